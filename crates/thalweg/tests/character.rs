//! What a zoo is, told by its weights, and the fits without any settings that follow from it.
#![allow(clippy::unwrap_used)]

mod common;

use common::zoo;
use std::path::Path;
use thalweg::fit::{Character, FitOptions, Relation, fit, suited};
use thalweg::model::sample::SampleRequest;
use thalweg::{Coupling, FitConfig, SourceKind, Streams};
use thalweg_nets::Layout;
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::{ImportOptions, ImportPlan, ZooStore};

/// The chosen checkpoints of `zoo`'s runs, imported as networks of which nothing is known but their weights.
fn imported(zoo: &ZooStore, checkpoints: &[usize], dir: &Path) -> ZooStore {
    let p = zoo.parameters();
    for run in 0..zoo.runs() {
        let theta = zoo.trajectory(run).unwrap();
        for (i, &k) in checkpoints.iter().enumerate() {
            let bytes = zoo.layout().to_safetensors(&theta[k * p..(k + 1) * p]).unwrap();
            let path = match checkpoints.len() {
                1 => dir.join(format!("from/net-{run}.safetensors")),
                _ => dir.join(format!("from/run-{run}/step-{i}.safetensors")),
            };
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    let plan = ImportPlan::new(&dir.join("from"), &ImportOptions::default()).unwrap();
    plan.write(&dir.join("zoo"), false, &Silent).unwrap()
}

#[test]
fn the_weights_tell_how_runs_belong_together_and_defaults_fit() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, relation, method) in [
        ("fork", Relation::CommonStart, "cfm"),
        ("independent", Relation::Independent, "cfm"),
        ("tail", Relation::Iterates, "swag"),
    ] {
        let trained = zoo(kind, 12, &dir.path().join(kind));
        let own = Character::of(&trained).unwrap();
        assert!(own.relation == relation && own.recorded, "{own:?}");
        let last = trained.checkpoints() - 1;
        let foreign = imported(&trained, &[last], &dir.path().join(format!("of-{kind}")));
        let found = Character::of(&foreign).unwrap();
        assert!(found.relation == relation && !found.recorded && !found.starts, "{kind}: {found:?}");
        assert_eq!(found.families, [12], "{kind}");
        assert!((found.common - own.common).abs() < 0.05, "{kind}: {found:?} {own:?}");
        let chosen = suited(&foreign, &found, None).unwrap();
        assert_eq!(chosen.config.method.name(), method);
        assert!(!chosen.because.is_empty());
        // Every method that draws from final networks is fitted without a word, and sampled.
        for name in ["cfm", "mmfm", "jko", "action", "swag", "kde"] {
            let config = suited(&foreign, &found, Some(name)).unwrap().config;
            assert_ne!(config.method.coupling(), Coupling::Paired, "{name}");
            let config = FitConfig { steps: 2, batch: 4, validation_points: 4, ..config };
            let model = fit(&foreign, &config, &FitOptions::default(), &Silent).unwrap();
            let drawn = model.sample(&SampleRequest { steps: 4, ..SampleRequest::new(2, 0) }).unwrap();
            assert_eq!(drawn.theta.len(), 2 * foreign.parameters(), "{name}");
        }
    }
    let fork = zoo("fork", 12, &dir.path().join("again"));
    let kept = suited(&fork, &Character::of(&fork).unwrap(), None).unwrap();
    assert_eq!((kept.config, kept.because), (FitConfig::default(), vec![]), "what works is left alone");
    let two = imported(&fork, &[0, fork.checkpoints() - 1], &dir.path().join("two"));
    let chosen = suited(&two, &Character::of(&two).unwrap(), Some("mmfm")).unwrap().config;
    assert_eq!((chosen.method.marginals(), chosen.method.source()), (2, SourceKind::Gaussian));
}

#[test]
fn a_zoo_of_two_or_three_runs_is_fitted_by_every_method() {
    let dir = tempfile::tempdir().unwrap();
    for (runs, trained, solved) in [(2, 1, 2), (3, 1, 2)] {
        let few = zoo("fork", runs, &dir.path().join(runs.to_string()));
        let character = Character::of(&few).unwrap();
        for (name, learned) in [("cfm", trained), ("swag", solved), ("kde", solved)] {
            let config = suited(&few, &character, Some(name)).unwrap().config;
            assert_eq!(config.split.of(&few).unwrap().train.len(), learned, "{name} of {runs}");
            let config = FitConfig { steps: 2, batch: 4, validation_points: 4, ..config };
            let model = fit(&few, &config, &FitOptions::default(), &Silent).unwrap();
            assert!(model.sample(&SampleRequest { steps: 4, ..SampleRequest::new(2, 0) }).is_ok(), "{name} of {runs}");
        }
    }
}

/// Networks of two families, 28 and 12: their means apart in every weight.
fn two_families(dir: &Path) -> (ZooStore, Vec<f32>) {
    let layout = Layout::of_tensors([("w".to_string(), vec![20, 15])]);
    let direction: Vec<f32> = (0..layout.len()).map(|i| (i as f32 * 0.7).sin()).collect();
    std::fs::create_dir_all(dir.join("from")).unwrap();
    for i in 0..40 {
        let side = if i < 28 { 1.0 } else { -1.0 };
        let mut rng = Streams::new(3).index(i).rng();
        let theta: Vec<f32> =
            direction.iter().map(|d| side * d + 0.2 * rand::RngExt::random_range(&mut rng, -1.0f32..1.0)).collect();
        std::fs::write(dir.join(format!("from/net-{i}.safetensors")), layout.to_safetensors(&theta).unwrap()).unwrap();
    }
    let plan = ImportPlan::new(&dir.join("from"), &ImportOptions::default()).unwrap();
    (plan.write(&dir.join("zoo"), false, &Silent).unwrap(), direction)
}

#[test]
fn two_families_are_fitted_as_two() {
    let dir = tempfile::tempdir().unwrap();
    let (zoo, direction) = two_families(dir.path());
    let character = Character::of(&zoo).unwrap();
    assert_eq!(character.families, [28, 12]);
    let chosen = suited(&zoo, &character, None).unwrap();
    assert_eq!(chosen.config.method.source(), SourceKind::Families);
    assert!(chosen.because[0].contains("2 families"), "{:?}", chosen.because);
    let model = fit(&zoo, &FitConfig { steps: 300, ..chosen.config }, &FitOptions::default(), &Silent).unwrap();
    let again = dir.path().join("model");
    model.save(&again, false).unwrap();
    let read = thalweg::MetaModel::load(&again).unwrap();
    assert_eq!(read.source, model.source);
    let drawn = read.sample(&SampleRequest::new(200, 1)).unwrap().theta;
    assert_eq!(drawn, model.sample(&SampleRequest::new(200, 1)).unwrap().theta);
    let length: f32 = direction.iter().map(|d| d * d).sum();
    let places: Vec<f32> = drawn
        .chunks_exact(direction.len())
        .map(|theta| theta.iter().zip(&direction).map(|(x, d)| x * d).sum::<f32>() / length)
        .collect();
    let share = |of: fn(f32) -> bool| places.iter().filter(|place| of(**place)).count() as f64 / 200.0;
    // Three tenths are of the smaller one, up to four standard errors of 200 draws; hardly any lies between.
    assert!((share(|place| place < -0.5) - 0.3).abs() < 0.13, "{places:?}");
    assert!(share(|place| place.abs() <= 0.5) <= 0.02, "{places:?}");
}
