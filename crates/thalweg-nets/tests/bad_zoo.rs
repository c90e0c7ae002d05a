//! Everything that can be wrong with a zoo on the way in, each with the message that a user sees.
#![allow(clippy::unwrap_used)]
mod common;

use common::{FORCE, RESUME, spec, train};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::Length;
use thalweg_nets::zoo::{ImportOptions, TrainOptions, ZooKind, ZooSpec, ZooStore, import, train_zoo};
use thalweg_nets::{Layout, Result};

/// Asserts that `result` failed with a message that holds every one of `parts`.
#[track_caller]
fn fails<T>(result: Result<T>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn specifications() {
    let root = tempfile::tempdir().unwrap();
    type Change = fn(&mut ZooSpec);
    let cases: [(Change, &[&str]); 17] = [
        (|s| s.runs = 0, &["runs", "at least 1", "found 0"]),
        (|s| s.shard = 0, &["shard", "at least 1"]),
        (|s| s.seed = u64::MAX, &["seed", "2^63"]),
        (|s| s.recipe.batch = 0, &["recipe.batch", "at least one row"]),
        (|s| s.recipe.batch = 5000, &["recipe.batch", "1079 training rows", "5000"]),
        (|s| s.recipe.learning_rate = -0.1, &["recipe.learning-rate", "above 0", "-0.1"]),
        (|s| s.recipe.learning_rate = f64::NAN, &["recipe.learning-rate", "NaN"]),
        (|s| s.recipe.weight_decay = f64::INFINITY, &["recipe.weight-decay", "inf"]),
        (|s| s.recipe.label_smoothing = 1.0, &["recipe.label-smoothing", "[0, 1)"]),
        (|s| s.recipe.length = Length::Epochs(0.0), &["recipe.length.epochs"]),
        (|s| s.recipe.length = Length::Steps(0), &["recipe.length.steps"]),
        (|s| s.recipe.checkpoints = vec![0.1, 1.0], &["recipe.checkpoints", "from 0", "[0.1, 1.0]"]),
        (|s| s.recipe.checkpoints = vec![0.0, 0.5, 0.4, 1.0], &["recipe.checkpoints", "rising"]),
        (|s| s.recipe.checkpoints = vec![], &["recipe.checkpoints", "[]"]),
        (|s| s.kind = ZooKind::Shared { noise: -1.0 }, &["kind.shared.noise", "-1"]),
        (|s| s.kind = ZooKind::Fork { noise: 0.1, steps: 0 }, &["kind.fork.steps"]),
        (|s| s.kind = ZooKind::Tail { every: 1 }, &["recipe.checkpoints", "[1.0]", "tail"]),
    ];
    let dir = root.path().join("zoo");
    for (change, parts) in cases {
        let mut spec = spec("independent");
        change(&mut spec);
        fails(train(&spec, &dir), parts);
        assert!(!dir.exists(), "nothing is written for {parts:?}");
    }
    fails(ZooKind::named("forked"), &["kind", "independent, shared, fork, tail", "forked"]);
}

#[test]
fn specification_files() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("my-zoo.toml");
    let text = spec("fork").to_toml().unwrap();
    let cases: [(&str, &str, &[&str]); 6] = [
        ("runs = 10", "rnus = 10", &["my-zoo.toml", "rnus"]),
        ("batch = 64", "batch = 64\nbacth = 1", &["my-zoo.toml", "bacth"]),
        ("batch = 64", "batch = 0", &["my-zoo.toml", "recipe.batch", "at least one row"]),
        ("batch = 64", "batch = -3", &["my-zoo.toml", "-3"]),
        ("noise = 0.05", "noise = \"much\"", &["my-zoo.toml", "much"]),
        ("name = \"digits\"", "name = \"digitz\"", &["data", "digitz"]),
    ];
    for (from, to, parts) in cases {
        assert!(text.contains(from), "{from}: {text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        if to.contains("digitz") {
            // The first name is the architecture's own, which may be anything.
            fs::write(&path, text.replace(from, to)).unwrap();
        }
        fails(ZooSpec::read(&path), parts);
    }
    fails(ZooSpec::read(&root.path().join("none.toml")), &["cannot read", "none.toml"]);
}

#[test]
fn folders() {
    let root = tempfile::tempdir().unwrap();
    let (zoo, file, thesis) = (root.path().join("zoo"), root.path().join("file"), root.path().join("thesis"));
    let spec = spec("independent");
    train(&spec, &zoo).unwrap();
    fails(train(&spec, &zoo), &["zoo exists already"]);
    fs::write(&file, "x").unwrap();
    fails(train(&spec, &file), &["file", "a folder", "a file"]);
    fails(train(&spec, &file.join("zoo")), &["cannot create", "file/zoo"]);
    fs::create_dir(&thesis).unwrap();
    fs::write(thesis.join("thesis.tex"), "years").unwrap();
    for options in [RESUME, FORCE] {
        fails(train_zoo(&spec, &thesis, &options, &Silent), &["thesis", "zoo.toml", "other content"]);
    }
    fs::write(thesis.join("zoo.toml"), "animals = 12").unwrap();
    fails(train_zoo(&spec, &thesis, &FORCE, &Silent), &["thesis/zoo.toml", "animals"]);
    assert_eq!(fs::read_to_string(thesis.join("thesis.tex")).unwrap(), "years");
    let both = TrainOptions { threads: 0, resume: true, force: true };
    fails(train_zoo(&spec, &zoo, &both, &Silent), &["resume or force, not both"]);
    let other = fs::File::open(zoo.join("zoo.toml")).unwrap();
    other.lock().unwrap();
    for options in [RESUME, FORCE] {
        fails(train_zoo(&spec, &zoo, &options, &Silent), &["zoo", "another process"]);
    }
    drop(other);
    // A replaced zoo loses its own files and nothing else.
    fs::write(zoo.join("notes.txt"), "mine").unwrap();
    train_zoo(&ZooSpec { runs: 2, ..spec }, &zoo, &FORCE, &Silent).unwrap();
    assert!(zoo.join("notes.txt").exists() && !zoo.join("shard-00001.safetensors").exists());
    fails(ZooStore::open(&root.path().join("nowhere")), &["cannot read", "nowhere/zoo.toml"]);
}

#[test]
fn a_changed_specification_is_not_gone_on_with() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("zoo");
    train(&spec("fork"), &dir).unwrap();
    type Change = fn(&mut ZooSpec);
    let cases: [(Change, &[&str]); 6] = [
        (|s| s.runs = 11, &["zoo.toml", "runs", "expected 10", "found 11"]),
        (|s| s.recipe.batch = 32, &["recipe.batch", "expected 64", "found 32"]),
        (|s| s.kind = ZooKind::Fork { noise: 0.06, steps: 8 }, &["kind.fork.noise", "0.05", "0.06"]),
        (|s| s.data = DataSpec { train: Some(500), ..DataSpec::named("digits") }, &["data.train", "found 500"]),
        (|s| s.seed = 8, &["seed", "expected 7", "found 8"]),
        (
            |s| s.initialisation = thalweg_nets::init::Initialisation::KaimingNormal,
            &["initialisation", "kaiming-normal"],
        ),
    ];
    for (change, parts) in cases {
        let mut spec = spec("fork");
        change(&mut spec);
        fails(train_zoo(&spec, &dir, &RESUME, &Silent), parts);
    }
    // A specification with a record asks for the data that it records.
    let mut recorded = ZooStore::open(&dir).unwrap().spec().unwrap().clone();
    recorded.record.as_mut().unwrap().data.checksum = "abc".into();
    fails(train(&recorded, &root.path().join("other")), &["record.data.checksum", "abc"]);
}

/// The tensors of a shard as (name, shape, bytes), to be spoilt and written again.
type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

fn rewrite(path: &Path, change: impl FnOnce(&mut Tensors, &mut HashMap<String, String>)) {
    let bytes = fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let mut words = header.metadata().clone().unwrap_or_default();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Tensors =
        file.iter().map(|(n, v)| (n.to_owned(), v.dtype(), v.shape().to_vec(), v.data().to_vec())).collect();
    change(&mut tensors, &mut words);
    let views = tensors.iter().map(|(n, d, s, b)| (n.as_str(), TensorView::new(*d, s.clone(), b).unwrap()));
    fs::write(path, safetensors::serialize(views, Some(words)).unwrap()).unwrap();
}

fn at<'a>(tensors: &'a mut Tensors, name: &str) -> &'a mut (String, Dtype, Vec<usize>, Vec<u8>) {
    tensors.iter_mut().find(|t| t.0 == name).unwrap()
}

#[test]
fn spoilt_shards() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("zoo");
    train(&spec("fork"), &dir).unwrap();
    let shard = dir.join("shard-00001.safetensors");
    let nan = |tensors: &mut Tensors, name: &str, index: usize| {
        at(tensors, name).3[4 * index..4 * index + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    };
    type Spoil<'a> = Box<dyn Fn(&Path) + 'a>;
    let cases: Vec<(Spoil, &[&str])> = vec![
        (Box::new(|p| fs::write(p, &fs::read(p).unwrap()[..90_000]).unwrap()), &["file size", "found 90000 bytes"]),
        (Box::new(|p| fs::write(p, b"short").unwrap()), &["safetensors header", "5 bytes"]),
        (
            Box::new(|p| fs::write(p, [&u64::MAX.to_le_bytes()[..], b"{}"].concat()).unwrap()),
            &["header", "18446744073709551615"],
        ),
        (
            Box::new(|p| fs::write(p, [&9u64.to_le_bytes()[..], b"{\"theta\":"].concat()).unwrap()),
            &["header", "valid JSON"],
        ),
        (
            Box::new(|p| {
                let text = br#"{"theta":{"dtype":"F32","shape":[9000000000000000000,9],"data_offsets":[0,4]}}"#;
                fs::write(p, [&(text.len() as u64).to_le_bytes()[..], text, &[0; 4]].concat()).unwrap();
            }),
            &["header", "side by side"],
        ),
        (
            Box::new(|p| rewrite(p, |t, _| nan(t, "theta", (7 + 2) * 1110 + 5))),
            &["theta, run 4, checkpoint 2, 0.weight, index 5", "finite", "NaN"],
        ),
        (Box::new(|p| rewrite(p, |t, _| nan(t, "loss", 8))), &["tensor loss, run 4, checkpoint 1", "NaN"]),
        (
            Box::new(|p| rewrite(p, |t, _| at(t, "loss").3[..4].copy_from_slice(&(-9f32).to_le_bytes()))),
            &["tensor loss, run 3, checkpoint 0", "at least 0", "found -9"],
        ),
        (
            Box::new(|p| rewrite(p, |t, _| at(t, "accuracy").3[..4].copy_from_slice(&7.5f32.to_le_bytes()))),
            &["tensor accuracy, run 3, checkpoint 0", "from 0 to 1", "found 7.5"],
        ),
        (
            Box::new(|p| rewrite(p, |t, _| at(t, "theta").3[..4].copy_from_slice(&1e30f32.to_le_bytes()))),
            &["checksum (BLAKE3)"],
        ),
        (
            Box::new(|p| rewrite(p, |t, _| t.retain(|t| t.0 != "accuracy"))),
            &["tensor accuracy", "F32 [3, 7]", "no such tensor"],
        ),
        (
            Box::new(|p| rewrite(p, |t, _| at(t, "theta").2 = vec![7, 3, 1110])),
            &["tensor theta", "[3, 7, 1110]", "[7, 3, 1110]"],
        ),
        (Box::new(|p| rewrite(p, |t, _| at(t, "theta").1 = Dtype::I32)), &["tensor theta", "F32", "I32"]),
        (Box::new(|p| rewrite(p, |t, _| t.push(("more".into(), Dtype::U8, vec![1], vec![0])))), &["tensor more"]),
        (Box::new(|p| rewrite(p, |_, w| drop(w.insert("zoo".into(), "another".into())))), &["zoo id", "another"]),
        (
            Box::new(|p| assert!(fs::copy(dir.join("shard-00000.safetensors"), p).is_ok())),
            &["tensor run, index 0", "expected 3", "found 0"],
        ),
        (Box::new(|p| fs::remove_file(p).unwrap()), &["runs 3..6", "not finished", "no such file"]),
    ];
    let good = fs::read(&shard).unwrap();
    for (spoil, parts) in cases {
        spoil(&shard);
        fails(ZooStore::open(&dir), parts);
        fails(ZooStore::open(&dir), &["shard-00001.safetensors"]);
        if shard.exists() {
            // Going on with the zoo does not build on the spoilt shard either.
            fails(train_zoo(&spec("fork"), &dir, &RESUME, &Silent), parts);
        }
        fs::write(&shard, &good).unwrap();
    }
    let extra = dir.join("shard-00004.safetensors");
    fs::copy(&shard, &extra).unwrap();
    fails(ZooStore::open(&dir), &["shard-00004.safetensors", "4 shards only"]);
    fs::remove_file(extra).unwrap();
    fs::remove_file(dir.join("centre.safetensors")).unwrap();
    fails(ZooStore::open(&dir).unwrap().initial_law(), &["centre.safetensors"]);
    fails(ZooStore::open(&dir).unwrap().finals(&[10]), &["run below 10"]);
}

/// A folder of checkpoints to import, with a way to spoil one of them.
fn checkpoints(root: &Path, runs: &[&[&str]]) -> PathBuf {
    let layout = Layout::of(&common::digits());
    let theta: Vec<f32> = (0..layout.len()).map(|i| (i as f32).sin()).collect();
    let source = root.join("source");
    for (r, files) in runs.iter().enumerate() {
        let folder = source.join(format!("run-{r}"));
        fs::create_dir_all(&folder).unwrap();
        for file in *files {
            fs::write(folder.join(file), layout.to_safetensors(&theta).unwrap()).unwrap();
        }
    }
    source
}

#[test]
fn imports() {
    type Spoil = fn(&Path);
    const A: &str = "step-2.safetensors";
    const B: &str = "step-10.safetensors";
    type Case<'a> = (&'a [&'a [&'a str]], Spoil, &'a [&'a str]);
    let cases: [Case; 13] = [
        (&[], |s| fs::create_dir_all(s).unwrap(), &["source", "at least one .safetensors file", "none"]),
        (&[], |_| (), &["cannot read", "source"]),
        (&[&[A, B], &[A]], |_| (), &["run-1", "2 checkpoints, as in", "1 checkpoints"]),
        (&[&[A], &[]], |_| (), &["run-1", "at least one .safetensors file"]),
        (&[&[A]], |s| drop(fs::copy(s.join("run-0").join(A), s.join("loose.safetensors"))), &["both", "loose"]),
        (
            &[&[A], &[A]],
            |s| rewrite(&s.join("run-1").join(A), |t, _| t.retain(|t| t.0 != "4.bias")),
            &["run-1", "tensor 4.bias", "no such tensor"],
        ),
        (
            &[&[A], &[A]],
            |s| rewrite(&s.join("run-1").join(A), |t, _| at(t, "4.weight").2 = vec![54, 16]),
            &["run-1", "tensor 4.weight", "[16, 54]", "[54, 16]"],
        ),
        (
            &[&[A], &[A]],
            |s| rewrite(&s.join("run-1").join(A), |t, _| at(t, "4.weight").1 = Dtype::I32),
            &["run-1", "tensor 4.weight", "I32"],
        ),
        (
            &[&[A], &[A]],
            |s| rewrite(&s.join("run-1").join(A), |t, _| t.push(("x".into(), Dtype::F16, vec![1], vec![0; 2]))),
            &["run-1", "tensor x"],
        ),
        (
            &[&[A], &[A]],
            |s| {
                rewrite(&s.join("run-1").join(A), |t, _| {
                    at(t, "4.bias").3[8..12].copy_from_slice(&f32::INFINITY.to_le_bytes())
                })
            },
            &["run-1", "tensor 4.bias, index 2", "inf"],
        ),
        (
            &[&[A], &[A]],
            |s| fs::write(s.join("run-1").join(A), [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat()).unwrap(),
            &["run-1", "header", "1152921504606846976"],
        ),
        (&[&[A], &[A]], |s| fs::write(s.join("run-1").join(A), b"").unwrap(), &["run-1", "an empty file"]),
        (
            &[&[A]],
            |s| rewrite(&s.join("run-0").join(A), |t, _| t.iter_mut().for_each(|t| t.1 = Dtype::I32)),
            &["at least one number in a float tensor"],
        ),
    ];
    for (runs, spoil, parts) in cases {
        let root = tempfile::tempdir().unwrap();
        let source = checkpoints(root.path(), runs);
        spoil(&source);
        let out = root.path().join("zoo");
        fails(import(&source, &out, &ImportOptions::default(), &Silent), parts);
        assert!(ZooStore::open(&out).is_err(), "no zoo is left for {parts:?}");
    }
    let root = tempfile::tempdir().unwrap();
    let source = checkpoints(root.path(), &[&[A, B]]);
    let out = root.path().join("zoo");
    let times = ImportOptions { times: Some(vec![0.0, 0.5, 1.0]), ..ImportOptions::default() };
    fails(import(&source, &out, &times, &Silent), &["times", "2 rising times"]);
    let other = thalweg_nets::architecture::Preset::Mlp { widths: vec![3] }.build([1, 8, 8], 10).unwrap();
    let options = ImportOptions { architecture: Some(other), ..ImportOptions::default() };
    fails(import(&source, &out, &options, &Silent), &["step-2.safetensors", "tensor 1.weight", "[3, 64]"]);
    import(&source, &out, &ImportOptions::default(), &Silent).unwrap();
    fails(import(&source, &out, &ImportOptions::default(), &Silent), &["exists already"]);
    fails(ZooStore::open(&out).unwrap().initial_law(), &["initial law", "imported without"]);
    let toml = out.join("zoo.toml");
    let text = fs::read_to_string(&toml).unwrap();
    let spoilt: [(&str, &str, &[&str]); 4] = [
        ("shape = [16]", "shape = [4611686018427387904, 8]", &["imported.tensors", "2^64"]),
        ("runs = 1", "runs = 0", &["imported.runs", "at least 1"]),
        ("runs = 1", "runs = 9223372036854775807", &["zoo.toml", "checksum (BLAKE3)"]),
        ("times = [0.0, 1.0]", "times = [1.0, 0.0]", &["imported.times", "rising"]),
    ];
    for (from, to, parts) in spoilt {
        assert!(text.contains(from), "{text}");
        fs::write(&toml, text.replacen(from, to, 1)).unwrap();
        fails(ZooStore::open(&out), parts);
    }
    fs::write(&toml, text).unwrap();
    fails(train_zoo(&spec("fork"), &out, &RESUME, &Silent), &["zoo.toml", "an imported one"]);
}
