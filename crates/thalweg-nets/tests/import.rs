//! Foreign checkpoints made a zoo.
#![allow(clippy::unwrap_used)]
mod common;

use common::digits;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs;
use std::path::Path;
use thalweg_nets::Layout;
use thalweg_nets::data::DataSpec;
use thalweg_nets::init::Initialisation;
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::{ImportOptions, InitialLaw, Origin, Summary, ZooStore, import};

/// A checkpoint as a user's framework may write it: own names, half precision, an integer counter.
fn foreign(path: &Path, value: f32) {
    let halves: Vec<u8> = [value, -value].iter().flat_map(|v| ((v.to_bits() >> 16) as u16).to_le_bytes()).collect();
    let singles = value.to_le_bytes();
    let counter = 7i64.to_le_bytes();
    let views = [
        ("encoder.block/0", TensorView::new(Dtype::BF16, vec![1, 2], &halves).unwrap()),
        ("head.γ", TensorView::new(Dtype::F32, vec![1], &singles).unwrap()),
        ("bn.num_batches_tracked", TensorView::new(Dtype::I64, vec![], &counter).unwrap()),
    ];
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn folders_are_runs_and_files_are_checkpoints_in_natural_order() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("source");
    for run in 0..12 {
        for step in [0, 2, 10] {
            foreign(&source.join(format!("run{run}/step-{step}.safetensors")), (run * 100 + step) as f32);
        }
    }
    fs::write(source.join("README.md"), "not a checkpoint").unwrap();
    fs::create_dir(source.join(".git")).unwrap();
    let zoo = import(&source, &root.path().join("zoo"), &ImportOptions::default(), &Silent).unwrap();
    assert_eq!((zoo.runs(), zoo.checkpoints(), zoo.parameters()), (12, 3, 3));
    assert_eq!(zoo.times(), [0.0, 0.5, 1.0]);
    let names: Vec<&str> = zoo.layout().slots().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names.len(), 2);
    // The order of the tensors in θ may be told.
    let slots = zoo.layout().slots();
    let turned = Layout::of_tensors(slots.iter().rev().map(|s| (s.name.clone(), s.shape.clone())));
    let options = ImportOptions { layout: Some(turned.clone()), ..ImportOptions::default() };
    let other = import(&source, &root.path().join("turned"), &options, &Silent).unwrap();
    assert_eq!(other.layout(), &turned);
    let (a, b) = (zoo.trajectory(7).unwrap(), other.trajectory(7).unwrap());
    assert_eq!(a[slots[0].range()], b[turned.slots()[1].range()]);
    assert_eq!(a[slots[1].range()], b[turned.slots()[0].range()]);
    for run in 0..12 {
        for (k, step) in [0, 2, 10].into_iter().enumerate() {
            let row = &zoo.trajectory(run).unwrap()[3 * k..3 * k + 3];
            let value = (run * 100 + step) as f32;
            // Values up to 256 are exact in bfloat16; beyond, to its eight bits.
            assert!(row.iter().all(|v| (v.abs() - value).abs() <= value / 128.0), "{run} {step} {row:?}");
        }
    }
    assert!(!zoo.is_scored() && zoo.losses().is_empty() && zoo.spec().is_none() && zoo.finished_runs().len() == 12);
    let text = Summary::of(&zoo).unwrap().to_string();
    assert!(text.contains("imported zoo of unknown") && text.contains("no scores"), "{text}");
    assert_eq!(ZooStore::open(zoo.dir()).unwrap().trajectory(11).unwrap(), zoo.trajectory(11).unwrap());
}

#[test]
fn with_architecture_and_data_files_become_scored_runs_of_one_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    // A zoo trained here, written out file by file, comes back as it was.
    let trained = common::train(&common::spec("independent"), &root.path().join("trained")).unwrap();
    let source = root.path().join("source");
    fs::create_dir(&source).unwrap();
    let finals = trained.finals(&(0..10).collect::<Vec<_>>()).unwrap();
    for (run, theta) in finals.chunks(trained.parameters()).enumerate() {
        let bytes = trained.layout().to_safetensors(theta).unwrap();
        fs::write(source.join(format!("net-{run}.safetensors")), bytes).unwrap();
    }
    let options = ImportOptions {
        name: "back again".into(),
        architecture: Some(digits()),
        data: Some(DataSpec::named("digits")),
        initialisation: Some(Initialisation::KaimingUniform),
        ..ImportOptions::default()
    };
    let zoo = import(&source, &root.path().join("zoo"), &options, &Silent).unwrap();
    assert_eq!((zoo.runs(), zoo.checkpoints()), (10, 1));
    assert_eq!(zoo.times(), [1.0]);
    assert_eq!(zoo.finals(&(0..10).collect::<Vec<_>>()).unwrap(), finals);
    for run in 0..10 {
        assert_eq!(zoo.accuracies()[run], trained.accuracies()[run * 7 + 6]);
        assert_eq!(zoo.losses()[run], trained.losses()[run * 7 + 6]);
    }
    assert_eq!(zoo.layout(), &Layout::of(&digits()));
    assert_eq!(zoo.initial_law().unwrap(), InitialLaw::Kaiming(Initialisation::KaimingUniform));
    assert!(matches!(zoo.origin(), Origin::Imported(i) if i.name == "back again"));
    let forced = ImportOptions { force: true, ..options };
    import(&source, zoo.dir(), &forced, &Silent).unwrap();
}
