//! From a zoo on disk to samples on disk: purity, resumption, threads, and that a fork zoo is learned.
#![allow(clippy::unwrap_used)]
mod common;

use common::{StopAfter, config, zoo};
use std::fs;
use std::path::Path;
use thalweg::coupling::Coupling;
use thalweg::field::MlpPotentialConfig;
use thalweg::field::feature_potential::FeatureConfig;
use thalweg::fit::{FitOptions, fit};
use thalweg::judge::action_gap::action_gap;
use thalweg::method::jko::PotentialConfig;
use thalweg::method::{ActionConfig, CfmConfig, JkoConfig, MethodConfig, MmfmConfig};
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg::model::{FILES, FitConfig};
use thalweg::path::Width;
use thalweg::path::interpolant::Interpolant;
use thalweg::path::time_grid::TimeGrid;
use thalweg::solver::Solver;
use thalweg::space::latent::{DenoisingConfig, FunctionalConfig, LatentConfig, PcaConfig, TrainingConfig, VaeConfig};
use thalweg::space::source::{Source, SourceKind};
use thalweg::{Error, Streams};
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::ZooStore;

fn weights(model: &MetaModel, dir: &Path) -> Vec<u8> {
    model.save(dir, true).unwrap();
    fs::read(dir.join("model.safetensors")).unwrap()
}

#[test]
fn a_model_writes_the_files_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let model = quick(&zoo("fork", 8, &dir.path().join("zoo")), &config());
    model.save(&dir.path().join("model"), false).unwrap();
    let entries = fs::read_dir(dir.path().join("model")).unwrap();
    let mut found: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut named: Vec<&str> = FILES.into_iter().filter(|name| *name != "features.onnx").collect();
    found.sort();
    named.sort();
    assert_eq!(found, named);
}

fn quick(zoo: &ZooStore, config: &FitConfig) -> MetaModel {
    fit(zoo, config, &FitOptions::default(), &Silent).unwrap()
}

#[test]
fn a_resumed_fit_makes_the_bytes_of_an_uninterrupted_one_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 20, &dir.path().join("zoo"));
    let (config, state) = (config(), dir.path().join("fit.state"));
    let whole = quick(&zoo, &config);
    let expected = weights(&whole, &dir.path().join("whole"));

    let options = FitOptions { state: Some(state.clone()), save_every: 7, resume: true, latents: None };
    for stop in [1, 17, 3, 15] {
        let stopped = fit(&zoo, &config, &options, &StopAfter::new(stop + steps_in(&state)));
        assert!(matches!(stopped, Err(Error::Interrupted)), "stopped after {stop}");
    }
    let resumed = fit(&zoo, &config, &options, &Silent).unwrap();
    assert_eq!(weights(&resumed, &dir.path().join("resumed")), expected);
    assert_eq!((resumed.record.best_step, &resumed.record.history), (whole.record.best_step, &whole.record.history));

    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    one.install(|| {
        assert_eq!(weights(&quick(&zoo, &config), &dir.path().join("one")), expected);
        let request = SampleRequest::new(40, 3);
        assert_eq!(whole.sample(&request).unwrap().theta, resumed.sample(&request).unwrap().theta);
    });

    let other = FitConfig { seed: 1, ..config };
    let message = fit(&zoo, &other, &options, &Silent).err().unwrap().to_string();
    assert!(message.contains("identity") && message.contains("--resume"), "{message}");
}

/// Steps that a saved state has done, which a resumed fit reports as done at once.
fn steps_in(state: &Path) -> u64 {
    let Ok(bytes) = fs::read(state) else { return 0 };
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    header.metadata().as_ref().unwrap()["step"].parse().unwrap()
}

#[test]
fn samples_are_a_pure_function_of_model_seed_and_index_and_survive_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 20, &dir.path().join("zoo"));
    let model = quick(&zoo, &FitConfig { method: MethodConfig::named("mmfm").unwrap(), ..config() });
    model.save(&dir.path().join("model"), false).unwrap();
    assert!(matches!(model.save(&dir.path().join("model"), false), Err(Error::Exists(_))));
    let loaded = MetaModel::load(&dir.path().join("model")).unwrap();
    assert_eq!((&loaded.config, &loaded.record, &loaded.times), (&model.config, &model.record, &model.times));

    let p = zoo.parameters();
    for solver in [Solver::Euler, Solver::DormandPrince { tolerance: 1e-3 }] {
        let request = SampleRequest { solver, steps: 20, at: vec![0.0, 0.5, 1.0], ..SampleRequest::new(70, 9) };
        let (many, few) =
            (loaded.sample(&request).unwrap(), model.sample(&SampleRequest { n: 10, ..request }).unwrap());
        assert_eq!(few.theta, many.theta[..10 * p], "{solver:?}");
        for t in 0..3 {
            assert_eq!(few.states.theta[t * 10 * p..(t + 1) * 10 * p], many.states.theta[t * 70 * p..][..10 * p]);
        }
        assert_eq!(many.states.theta[2 * 70 * p..], many.theta);
        assert!(many.evaluations > 0);
    }

    // A recorded source is a probe: the states at t = 0 are the recorded networks.
    let source = Source::recorded(&zoo, &[3, 4]).unwrap();
    let probe = SampleRequest { source: Some(source), at: vec![0.0], ..SampleRequest::new(3, 1) };
    let states = model.sample(&probe).unwrap().states.theta;
    let start = &zoo.trajectory(4).unwrap()[..p];
    assert!(states[p..2 * p].iter().zip(start).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())));
}

#[test]
fn mmfm_without_intermediate_marginals_fits_the_very_model_of_paired_cfm() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 20, &dir.path().join("zoo"));
    let width = Width::Constant { sigma: 0.2 };
    let cfm = MethodConfig::Cfm(CfmConfig { width, ..CfmConfig::default() });
    let mmfm = MmfmConfig { marginals: 0, interpolant: Interpolant::Linear, width, ..MmfmConfig::default() };
    let model = |method| quick(&zoo, &FitConfig { method, ..config() });
    let (a, b) = (model(cfm), model(MethodConfig::Mmfm(mmfm)));
    assert_eq!(a.method.parameters(), b.method.parameters());
}

#[test]
fn every_coupling_source_and_time_grid_fits_and_samples() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("independent", 14, &dir.path().join("zoo"));
    let mmfm =
        |coupling, source| MethodConfig::Mmfm(MmfmConfig { marginals: 2, coupling, source, ..MmfmConfig::default() });
    let cfm = |coupling, source| MethodConfig::Cfm(CfmConfig { coupling, source, ..CfmConfig::default() });
    let potential = MlpPotentialConfig { width: 16, ..MlpPotentialConfig::default() };
    let jko = |coupling, source| {
        let potential = PotentialConfig::Mlp(potential.clone());
        MethodConfig::Jko(JkoConfig {
            steps: 3,
            internal_energy: true,
            coupling,
            source,
            potential,
            ..JkoConfig::default()
        })
    };
    let action = |coupling, source| {
        let potential = potential.clone();
        MethodConfig::Action(ActionConfig { marginals: 2, coupling, source, potential, ..ActionConfig::default() })
    };
    use {Coupling::*, SourceKind::*};
    for (method, time_grid) in [
        (mmfm(Paired, Zoo), TimeGrid::ArcLength),
        (mmfm(Paired, Recorded), TimeGrid::LossDecrease),
        (mmfm(OptimalTransport, KaimingNormal), TimeGrid::Uniform),
        (mmfm(Independent, Gaussian), TimeGrid::Uniform),
        (cfm(OptimalTransport, KaimingUniform), TimeGrid::Uniform),
        (cfm(Independent, Gaussian), TimeGrid::Uniform),
        (jko(Paired, Zoo), TimeGrid::ArcLength),
        (jko(OptimalTransport, Gaussian), TimeGrid::Uniform),
        (action(Paired, Zoo), TimeGrid::Uniform),
        (action(Independent, KaimingNormal), TimeGrid::LossDecrease),
    ] {
        let config = FitConfig { method, time_grid, steps: 10, ..config() };
        let model = quick(&zoo, &config);
        assert!(model.times.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(model.sample(&SampleRequest::new(2, 0)).unwrap().theta.len(), 2 * zoo.parameters());
        model.save(&dir.path().join("model"), true).unwrap();
        MetaModel::load(&dir.path().join("model")).unwrap();
    }
    let tail = common::zoo("tail", 12, &dir.path().join("tail"));
    let message = fit(&tail, &config(), &FitOptions::default(), &Silent).err().unwrap().to_string();
    assert!(message.contains("coupling") && message.contains("not recorded"), "{message}");
    quick(&tail, &FitConfig { method: cfm(Independent, Gaussian), ..config() });
}

#[test]
fn a_loss_that_explodes_names_step_and_seed() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 12, &dir.path().join("zoo"));
    let mut config = FitConfig { seed: 5, ..config() };
    config.optimiser.learning_rate = 1e30;
    let message = fit(&zoo, &config, &FitOptions::default(), &Silent).err().unwrap().to_string();
    assert!(message.contains("not finite") && message.contains("step") && message.contains("seed 5"), "{message}");
}

#[test]
fn a_fork_zoo_is_learned_from_fresh_starts() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 60, &dir.path().join("zoo"));
    let model = quick(&zoo, &FitConfig { steps: 300, batch: 24, ..config() });
    let data = zoo.data().unwrap().load().unwrap();
    let engine = Engine::new(zoo.architecture().unwrap()).unwrap();
    let packed = engine.pack(&data.validation.inputs).unwrap();
    let accuracy = |theta: &[f32]| {
        let scores = evaluate(&engine, theta, &packed, &data.validation.labels).unwrap();
        scores.iter().map(|s| s.accuracy).sum::<f64>() / scores.len() as f64
    };
    let samples = model.sample(&SampleRequest { at: vec![0.0], ..SampleRequest::new(40, 0) }).unwrap();
    let (zoo_has, start, end) =
        (accuracy(&zoo.finals(&zoo.alive()).unwrap()), accuracy(&samples.states.theta), accuracy(&samples.theta));
    assert!(end > zoo_has - 0.02 && end > start + 0.02, "zoo {zoo_has:.3}, samples from {start:.3} to {end:.3}");
}

#[test]
fn methods_run_in_a_latent_space_and_come_back_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 30, &dir.path().join("zoo"));
    let features = PotentialConfig::Features(FeatureConfig::default());
    let jko = |internal_energy| {
        let potential = features.clone();
        MethodConfig::Jko(JkoConfig { steps: 3, internal_energy, noise: 0.0, potential, ..JkoConfig::default() })
    };
    let gaussian = CfmConfig { coupling: Coupling::Independent, source: SourceKind::Gaussian, ..CfmConfig::default() };
    for method in [MethodConfig::default(), MethodConfig::Cfm(gaussian), jko(false), jko(true)] {
        let latent = Some(LatentConfig::Pca(PcaConfig { dimension: 4 }));
        let model = quick(&zoo, &FitConfig { method, latent, ..config() });
        assert_eq!(model.latent.as_ref().unwrap().scales().len(), 4);
        model.save(&dir.path().join("model"), true).unwrap();
        let loaded = MetaModel::load(&dir.path().join("model")).unwrap();
        let request = SampleRequest { at: vec![0.0, 0.5], ..SampleRequest::new(35, 2) };
        let (a, b) = (model.sample(&request).unwrap(), loaded.sample(&request).unwrap());
        assert_eq!((a.theta.len(), &a.theta, &a.states), (35 * zoo.parameters(), &b.theta, &b.states));
        let few = loaded.sample(&SampleRequest { n: 3, ..request }).unwrap();
        assert_eq!(few.theta, a.theta[..3 * zoo.parameters()]);
    }
    // Learned ones: any method, with a functional term, and with a network that is decoded as it was before it went to disk.
    let functional = FunctionalConfig { weight: 0.1, rows: 16 };
    let training = TrainingConfig { steps: 30, batch: 16, functional, ..TrainingConfig::default() };
    let vae = VaeConfig { dimension: 4, training: training.clone(), ..VaeConfig::default() };
    let denoising = DenoisingConfig { dimension: 4, training, ..DenoisingConfig::default() };
    let mmfm = MethodConfig::Mmfm(MmfmConfig { marginals: 2, ..MmfmConfig::default() });
    for (method, latent) in [
        (MethodConfig::default(), LatentConfig::Vae(vae.clone())),
        (jko(false), LatentConfig::Vae(vae.clone())),
        (mmfm, LatentConfig::Denoising(denoising.clone())),
        (MethodConfig::named("ddpm").unwrap(), LatentConfig::Denoising(denoising)),
    ] {
        let model = quick(&zoo, &FitConfig { method, latent: Some(latent), ..config() });
        let record = model.record.latent.clone().unwrap();
        assert!(record.error_held_out.unwrap() < 20.0 && record.best_step > 0 && model.record.seconds > record.seconds);
        model.save(&dir.path().join("model"), true).unwrap();
        let loaded = MetaModel::load(&dir.path().join("model")).unwrap();
        assert_eq!(
            (&loaded.record.latent, loaded.latent.as_ref().unwrap().parameters()),
            (&model.record.latent, model.latent.as_ref().unwrap().parameters())
        );
        let request = SampleRequest::new(35, 2);
        assert_eq!(model.sample(&request).unwrap().theta, loaded.sample(&request).unwrap().theta);
    }
    // An interruption while the autoencoder is trained is one of the fit.
    let learned = FitConfig { latent: Some(LatentConfig::Vae(vae)), ..config() };
    let stopped = fit(&zoo, &learned, &FitOptions::default(), &StopAfter::new(7));
    assert!(matches!(stopped, Err(Error::Interrupted)));
    // In weight space there are too many features for a closed form.
    let message = fit(&zoo, &FitConfig { method: jko(false), ..config() }, &FitOptions::default(), &Silent);
    assert!(message.err().unwrap().to_string().contains("latent"));
}

#[test]
fn the_action_gap_of_a_fitted_flow_is_below_that_of_standing_still() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 60, &dir.path().join("zoo"));
    let model = quick(&zoo, &FitConfig { steps: 300, batch: 24, ..config() });
    let test = model.config.split.of(&zoo).unwrap().test;
    let found = action_gap(&model, &zoo, &test, 400, &Streams::new(1)).unwrap();
    assert!(found.gap < found.still && found.mean < found.still, "{found:?}");
    assert_eq!(found, action_gap(&model, &zoo, &test, 400, &Streams::new(1)).unwrap());
    // With no drift at all, the gap is half the mean square of the velocities.
    let mut still = model;
    still.method.parameters_mut().fill(0.0);
    let found = action_gap(&still, &zoo, &test, 400, &Streams::new(1)).unwrap();
    assert!((found.gap - found.still).abs() < 1e-9, "{found:?}");
    assert!(action_gap(&still, &zoo, &test, 0, &Streams::new(1)).unwrap_err().to_string().contains("point"));
}
