//! What follows from zoos and a configuration, against its definition.
use super::*;
use crate::method::{CfmConfig, MethodConfig, MmfmConfig};
use crate::space::latent::Decoder;
use crate::space::latent::{FunctionalConfig, PcaConfig, Probes, TrainingConfig, VaeConfig};
use crate::space::source::SourceKind;
use crate::testing::foreign::foreign;
use std::path::Path;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Silent;
use thalweg_nets::testing::StopAfter;
use thalweg_nets::train::{Length, evenly};
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, train_zoo};

fn zoo(dir: &Path, checkpoints: usize) -> ZooStore {
    let architecture = Preset::Mlp { widths: vec![3] }.build([1, 8, 8], 10).unwrap();
    let data = DataSpec { train: Some(80), validation: Some(20), ..DataSpec::named("digits") };
    let mut spec = ZooSpec::new(architecture, data, ZooKind::Shared { noise: 0.05 }, 10);
    spec.recipe.length = Length::Steps(12);
    spec.recipe.checkpoints = evenly(checkpoints);
    train_zoo(&spec, dir, &TrainOptions::default(), &Silent).unwrap()
}

fn plan(zoo: &ZooStore, config: &FitConfig, options: &FitOptions) -> Result<Plan> {
    let split = config.split.of(zoo)?;
    Plan::new(&[(zoo, &split)], config, options, &Silent)
}

fn mmfm(marginals: usize, coupling: Coupling) -> MethodConfig {
    MethodConfig::Mmfm(MmfmConfig { marginals, coupling, source: SourceKind::Zoo, ..MmfmConfig::default() })
}

#[test]
fn marginals_are_checkpoints_at_even_distances_and_start_at_the_source_unless_runs_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo(&dir.path().join("zoo"), 5);
    let of = |method| {
        let plan = plan(&zoo, &FitConfig { method, ..FitConfig::default() }, &FitOptions::default()).unwrap();
        (plan.marginals, plan.times)
    };
    use Marginal::{Checkpoint, Source};
    // MMFM counts the marginals between the ends.
    let paired = of(mmfm(1, Coupling::Paired));
    assert_eq!(paired, (vec![Checkpoint(0), Checkpoint(2), Checkpoint(4)], vec![0.0, 0.5, 1.0]));
    let independent = of(mmfm(1, Coupling::Independent));
    assert_eq!(independent, (vec![Source, Checkpoint(2), Checkpoint(4)], vec![0.0, 0.5, 1.0]));
    let ends = of(MethodConfig::Cfm(CfmConfig { coupling: Coupling::Paired, ..CfmConfig::default() }));
    assert_eq!(ends, (vec![Checkpoint(0), Checkpoint(4)], vec![0.0, 1.0]));
    let refused =
        plan(&zoo, &FitConfig { method: mmfm(4, Coupling::Paired), ..FitConfig::default() }, &FitOptions::default());
    assert!(refused.err().unwrap().to_string().contains("2 to 5, the checkpoints"));
}

#[test]
fn of_final_networks_the_source_is_all_that_comes_before() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo(&dir.path().join("zoo"), 1);
    let method = MethodConfig::Cfm(CfmConfig { coupling: Coupling::Independent, ..CfmConfig::default() });
    let config = FitConfig { method, ..FitConfig::default() };
    let plan = plan(&zoo, &config, &FitOptions::default()).unwrap();
    assert_eq!((plan.marginals, plan.times), (vec![Marginal::Source, Marginal::Checkpoint(0)], vec![0.0, 1.0]));
}

#[test]
fn coordinates_are_moments_of_the_finals_of_training_runs() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo(&dir.path().join("zoo"), 3);
    let config = FitConfig::default();
    let split = config.split.of(&zoo).unwrap();
    assert!(split.train.len() < zoo.runs());
    let plan = plan(&zoo, &config, &FitOptions::default()).unwrap();
    let (finals, p) = (zoo.finals(&split.train).unwrap(), zoo.parameters());
    for i in 0..p {
        let values: Vec<f64> = finals.iter().skip(i).step_by(p).map(|&w| f64::from(w)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((f64::from(plan.coordinates.mean()[i]) - mean).abs() < 1e-6, "weight {i}");
    }
}

#[test]
fn an_autoencoder_that_was_kept_is_taken_by_the_next_fit_and_another_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo(&dir.path().join("zoo"), 3);
    let latents = dir.path().join("latents");
    let options = FitOptions { latents: Some(latents.clone()), ..FitOptions::default() };
    let config = |dimension, seed| FitConfig {
        latent: Some(LatentConfig::Pca(PcaConfig::of(dimension))),
        seed,
        ..FitConfig::default()
    };
    let first = plan(&zoo, &config(3, 0), &options).unwrap();
    let again = plan(&zoo, &config(3, 0), &options).unwrap();
    let bytes = |plan: &Plan| plan.latent.as_ref().unwrap().parameters().to_vec();
    assert_eq!(bytes(&first), bytes(&again));
    assert_eq!(first.space().dimension(), 3);
    assert_eq!(first.latent_record.unwrap().checkpoints, [0, 2]);
    assert_eq!(plan(&zoo, &config(2, 0), &options).unwrap().space().dimension(), 2);
    let checkpoints = [0, 2];
    let split = config(3, 0).split.of(&zoo).unwrap();
    let name = |dimension, seed| {
        let config = config(dimension, seed);
        latent_identity(
            config.latent.as_ref().unwrap(),
            &config,
            &[(&zoo, &split)],
            &checkpoints,
            &FitOptions::default(),
        )
        .unwrap()
    };
    assert_eq!(name(3, 0), name(3, 0));
    let others = [name(2, 0), name(3, 1)];
    assert!(!others.contains(&name(3, 0)) && others[0] != others[1]);
}

#[test]
fn what_is_thinned_is_chosen_evenly() {
    let points: Vec<usize> = (0..10).collect();
    assert_eq!(thinned(points.clone(), 10), points);
    assert_eq!(thinned(points, 4), [0, 2, 5, 7]);
}

#[test]
fn a_functional_term_by_other_networks_on_the_same_inputs_is_the_engines_and_part_of_the_fits_name() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo(&dir.path().join("zoo"), 3);
    let functional = FunctionalConfig { weight: 0.1, rows: 16, ..FunctionalConfig::default() };
    let training = TrainingConfig { steps: 30, batch: 8, functional, ..TrainingConfig::default() };
    let vae = VaeConfig { dimension: 3, training, ..VaeConfig::default() };
    let config = FitConfig { latent: Some(LatentConfig::Vae(vae)), steps: 60, ..FitConfig::default() };
    let splits = zoo.data().unwrap().load().unwrap();
    let probes = |name: &str| Probes {
        network: foreign(zoo.architecture().unwrap(), 4),
        name: name.into(),
        pool: splits.train.inputs.clone(),
        held_out: splits.validation.inputs.clone(),
    };
    let by = |name| FitOptions { probes: Some(probes(name)), ..FitOptions::default() };
    let engine = plan(&zoo, &config, &FitOptions::default()).unwrap();
    let other = plan(&zoo, &config, &by("a")).unwrap();
    let bytes = |plan: &Plan| plan.latent.as_ref().unwrap().parameters().to_vec();
    assert!(bytes(&engine) == bytes(&other));
    let records = [engine, other].map(|plan| plan.latent_record.unwrap());
    assert_eq!(records.each_ref().map(|record| record.functional_by.clone()), [None, Some("a".into())]);
    // A state is gone on with by networks of the same name alone, on the same inputs.
    let state = |options: FitOptions| FitOptions { state: Some(dir.path().join("state")), resume: true, ..options };
    let fitted = |options: FitOptions, progress: &dyn Progress| crate::fit(&zoo, &config, &state(options), progress);
    assert!(matches!(fitted(by("a"), &StopAfter::of("fitting", 3)), Err(Error::Interrupted)));
    let said = |options| fitted(options, &Silent).err().unwrap().to_string();
    let (another, engine) = (said(by("b")), said(FitOptions::default()));
    assert!(another.contains("networks by b") && another.contains("found that with networks by a"), "{another}");
    assert!(engine.contains("found that of another"), "{engine}");
    let few = Probes { pool: splits.train.first(40).inputs, ..probes("a") };
    assert!(said(FitOptions { probes: Some(few), ..FitOptions::default() }).contains("found that of another"));
    assert!(fitted(by("a"), &Silent).is_ok());
    let plain = crate::fit(&zoo, &FitConfig::default(), &by("a"), &Silent).err().unwrap().to_string();
    assert!(plain.contains("functional.weight"), "{plain}");
}
