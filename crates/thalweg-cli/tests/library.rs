//! Files of the program and of the library are the same files: what the program writes, the library reads and writes again byte for byte, and what
//! the library writes, the program reads.
#![allow(clippy::unwrap_used)]
use assert_cmd::Command;
use predicates::str::contains;
use std::fs;
use std::path::Path;
use thalweg::judge::{Row, read_rows, write_rows};
use thalweg::space::latent::Latents;
use thalweg::{Calibration, MetaModel, Networks, States};
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::{TrainOptions, ZooSpec, ZooStore, train_zoo};

fn ok(dir: &Path, words: &str) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("thalweg").expect("cargo builds the program for its tests");
    command.args(words.split_whitespace()).current_dir(dir).assert().success()
}

fn assert_same(a: &Path, b: &Path) {
    assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{} and {}", a.display(), b.display());
}

#[test]
fn every_file_of_the_program_is_read_and_written_by_the_library() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let path = |name: &str| dir.join(name);
    ok(
        dir,
        "zoo train --arch digits --data digits --kind fork --set kind.fork.steps=40 --checkpoints 3 --steps 60 --runs 20 --out zoo",
    );
    ok(dir, "fit zoo --steps 20 --set latent.pca.dimension=3 --out model");
    ok(dir, "sample model -n 5 --at 0,0.3 --steps 10 --out s.safetensors");
    ok(dir, "sample model -n 3 --steps 10 --format per-network --out each");
    ok(dir, "encode model s.safetensors --out l.safetensors");
    ok(dir, "eval s.safetensors --zoo zoo --out judged");
    ok(
        dir,
        "shift calibrate --p digits --model s.safetensors --arch digits --methods entropy,mahalanobis --size 20 --out c.cal",
    );

    // A zoo is a function of its spec.
    let spec = ZooSpec::read(&path("zoo/zoo.toml")).unwrap();
    train_zoo(&spec, &path("zoo-again"), &TrainOptions::default(), &Silent).unwrap();
    for file in ["zoo.toml", "shard-00000.safetensors"] {
        assert_same(&path("zoo").join(file), &path("zoo-again").join(file));
    }

    let model = MetaModel::load(&path("model")).unwrap();
    model.save(&path("model-again"), false).unwrap();
    for file in ["model.toml", "model.safetensors", "README.md", "timing.toml"] {
        assert_same(&path("model").join(file), &path("model-again").join(file));
    }

    let known = ZooStore::open(&path("zoo")).unwrap().architecture().cloned();
    let stack = path("s.safetensors");
    let networks = Networks::read(&stack, None, &|line| panic!("{line}")).unwrap();
    let states = States::read(&stack).unwrap();
    assert_eq!((networks.len(), &networks.architecture, &states.times[..]), (5, &known, &[0.0, 0.3][..]));
    assert!(networks.data.is_some() && networks.split.is_some());
    networks.write_stack(&path("again.safetensors"), &states).unwrap();
    assert_same(&stack, &path("again.safetensors"));
    // Drawn from the same streams, one by one or stacked.
    let each = Networks::read(&path("each"), known.as_ref(), &|line| panic!("{line}")).unwrap();
    assert_eq!(each.theta, networks.theta[..each.theta.len()]);
    each.write_each(&path("each-again"), &model.layout).unwrap();
    for i in 0..3 {
        assert_same(&path("each").join(Networks::file_name(i)), &path("each-again").join(Networks::file_name(i)));
    }

    Latents::read(&path("l.safetensors")).unwrap().write(&path("l-again.safetensors")).unwrap();
    assert_same(&path("l.safetensors"), &path("l-again.safetensors"));
    Calibration::read(&path("c.cal")).unwrap().write(&path("c-again.cal")).unwrap();
    assert_same(&path("c.cal"), &path("c-again.cal"));
    let rows = read_rows(&path("judged/results.json")).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.method.as_str()).collect();
    assert_eq!(names[..4], ["samples", "zoo", "held-out", "mean"]);
    write_rows(&path("rows.json"), &rows).unwrap();
    let same = |(a, b): (&Row, &Row)| serde_json::to_value(a).unwrap() == serde_json::to_value(b).unwrap();
    assert!(rows.iter().zip(&read_rows(&path("rows.json")).unwrap()).all(same));

    // The other way round: files that the library wrote, under the program.
    ok(dir, "eval again.safetensors").stdout(contains("again.safetensors"));
    ok(dir, "eval each-again --zoo zoo-again --no-baselines").stdout(contains("held-out"));
    ok(dir, "sample model-again -n 5 --at 0,0.3 --steps 10 --out t.safetensors");
    assert_same(&stack, &path("t.safetensors"));
    ok(dir, "shift test c-again.cal --q digits --draw --fail-on never --seed 3").stdout(contains("mahalanobis"));
}
