//! Aligned zoos: the same networks, closer together, as a zoo like any other (M3).
#![allow(clippy::unwrap_used)]
use std::fs;
use std::path::Path;
use thalweg::coupling::assignment::squared_distance;
use thalweg::fit::{FitOptions, fit};
use thalweg::model::FitConfig;
use thalweg::space::align::{Target, align_zoo};
use thalweg_nets::Architecture;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::{DeriveOptions, Origin, Summary, TrainOptions, ZooKind, ZooSpec, ZooStore, train_zoo};

fn digits() -> Architecture {
    Preset::Mlp { widths: vec![12] }.build([1, 8, 8], 10).unwrap()
}

fn zoo(dir: &Path, kind: ZooKind) -> ZooStore {
    let mut spec = ZooSpec::new(digits(), DataSpec::parse("digits").unwrap(), kind, 9);
    spec.shard = 4;
    spec.recipe.length = thalweg_nets::train::Length::Steps(60);
    train_zoo(&spec, dir, &TrainOptions::default(), &Silent).unwrap()
}

#[test]
fn networks_keep_their_function_and_come_closer() {
    let root = tempfile::tempdir().unwrap();
    let zoo = zoo(&root.path().join("zoo"), ZooKind::Independent);
    let out = root.path().join("aligned");
    let aligned = align_zoo(&zoo, Target::Run(2), &out, DeriveOptions::default(), &Silent).unwrap();
    assert_eq!((aligned.runs(), aligned.checkpoints(), aligned.times()), (9, zoo.checkpoints(), zoo.times()));
    assert_eq!((aligned.losses(), aligned.accuracies()), (zoo.losses(), zoo.accuracies()));
    let engine = Engine::new(&digits()).unwrap();
    let x = engine.pack(&DataSpec::parse("digits").unwrap().load().unwrap().validation.inputs).unwrap();
    let reference = zoo.finals(&[2]).unwrap();
    let mut closer = 0;
    for run in 0..9 {
        let (before, after) = (zoo.trajectory(run).unwrap(), aligned.trajectory(run).unwrap());
        let logits = |theta: &[f32]| engine.logits_of_many(theta, &x).unwrap();
        assert!(logits(&before).iter().zip(&logits(&after)).all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + a.abs())));
        let distance = |run: &[f32]| squared_distance(&reference, &run[run.len() - reference.len()..]);
        assert!(distance(&after) <= distance(&before));
        closer += usize::from(distance(&after) < 0.98 * distance(&before));
    }
    assert_eq!(aligned.finals(&[2]).unwrap(), reference);
    assert!(closer >= 7, "{closer} of 8 runs came closer");
    let text = Summary::of(&aligned).unwrap().to_string();
    assert!(text.contains("independent, aligned to run 2"), "{text}");
}

#[test]
fn an_aligned_zoo_is_a_zoo_and_goes_on_where_it_was() {
    let root = tempfile::tempdir().unwrap();
    let zoo = zoo(&root.path().join("zoo"), ZooKind::Fork { noise: 0.05, steps: 20 });
    let out = root.path().join("aligned");
    let fresh = DeriveOptions::default();
    let aligned = align_zoo(&zoo, Target::Run(0), &out, fresh, &Silent).unwrap();
    assert!(matches!(aligned.origin(), Origin::Derived(d) if d.of == *zoo.origin()));
    assert_eq!(aligned.initial_law().unwrap(), zoo.initial_law().unwrap());
    let config = FitConfig { steps: 3, ..FitConfig::default() };
    let model = fit(&aligned, &config, &FitOptions::default(), &Silent).unwrap();
    assert_eq!(model.record.zoo_id, aligned.origin().id());
    assert_ne!(aligned.origin().id(), zoo.origin().id());

    let shard = out.join("shard-00001.safetensors");
    let bytes = fs::read(&shard).unwrap();
    fs::remove_file(&shard).unwrap();
    assert!(ZooStore::open(&out).unwrap_err().to_string().contains("not finished"));
    assert!(align_zoo(&zoo, Target::Run(0), &out, fresh, &Silent).unwrap_err().to_string().contains("exists"));
    let resume = DeriveOptions { resume: true, force: false };
    let other = align_zoo(&zoo, Target::Run(1), &out, resume, &Silent).unwrap_err().to_string();
    assert!(other.contains("derived.id"), "{other}");
    align_zoo(&zoo, Target::Run(0), &out, resume, &Silent).unwrap();
    assert_eq!(fs::read(&shard).unwrap(), bytes);
    align_zoo(&zoo, Target::Run(1), &out, DeriveOptions { resume: false, force: true }, &Silent).unwrap();
    assert!(align_zoo(&zoo, Target::Run(9), &out, resume, &Silent).unwrap_err().to_string().contains("a run below 9"));
}
