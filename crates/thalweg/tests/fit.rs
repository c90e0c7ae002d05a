//! From a zoo on disk to samples on disk: purity, resumption, threads, and that a fork zoo is learned.
#![allow(clippy::unwrap_used)]
mod common;

use common::{config, zoo};
use std::fs;
use std::path::Path;
use thalweg::coupling::Coupling;
use thalweg::field::{EquivariantConfig, FieldConfig, MlpConfig, MlpPotentialConfig};
use thalweg::fit::{FitOptions, fit};
use thalweg::judge::action_gap::action_gap;
use thalweg::method::jko::PotentialConfig;
use thalweg::method::{ActionConfig, CfmConfig, JkoConfig, MethodConfig, MmfmConfig};
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg::model::{FILES, FitConfig, Split};
use thalweg::path::Width;
use thalweg::path::interpolant::Interpolant;
use thalweg::path::time_grid::TimeGrid;
use thalweg::solver::Solver;
use thalweg::space::coordinates::Standardiser;
use thalweg::space::latent::{LatentConfig, PcaConfig};
use thalweg::space::source::{Source, SourceKind};
use thalweg::{Error, Streams};
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Silent;
use thalweg_nets::testing::StopAfter;
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
    let mut named: Vec<&str> =
        FILES.into_iter().filter(|name| !["features.onnx", "template.safetensors"].contains(name)).collect();
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

    let options = FitOptions { state: Some(state.clone()), save_every: 7, resume: true, ..FitOptions::default() };
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
    assert!(message.contains("identity") && message.contains("another"), "{message}");
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

/// Times of the marginals by the definition of the grid: shares of the way between the checkpoints that are taken, evenly by their number.
fn expected_times(zoo: &ZooStore, train: &[usize], config: &FitConfig) -> Vec<f64> {
    let (k, p) = (zoo.checkpoints(), zoo.parameters());
    let of_run = |run: usize| -> Vec<f64> {
        let theta = zoo.trajectory(run).unwrap();
        let losses = &zoo.losses()[run * k..(run + 1) * k];
        let far = |i: usize| {
            let pair = theta[i * p..(i + 1) * p].iter().zip(&theta[(i + 1) * p..(i + 2) * p]);
            pair.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
        };
        let step = |i: usize| match config.time_grid {
            TimeGrid::Uniform => 1.0,
            TimeGrid::ArcLength => far(i),
            TimeGrid::LossDecrease => f64::from(losses[i] - losses[i + 1]).max(0.0),
        };
        (0..k - 1).map(step).collect()
    };
    let mut steps = vec![0.0; k - 1];
    train.iter().for_each(|&run| steps.iter_mut().zip(of_run(run)).for_each(|(sum, step)| *sum += step));
    let total: f64 = steps.iter().sum();
    assert!(steps.iter().all(|s| s / total > 0.01 / (k - 1) as f64), "no step is lengthened: {steps:?}");
    let at = |checkpoint: usize| steps[..checkpoint].iter().sum::<f64>() / total;
    let last = config.method.marginals() - 1;
    (0..=last).map(|i| at((i * (k - 1) + last / 2) / last)).collect()
}

/// Samples `[n, P]` at t = 0 are draws of the source that the method asks for.
fn starts_have_their_law(model: &MetaModel, zoo: &ZooStore, train: &[usize], states: &[f32], name: &str) {
    let p = zoo.parameters();
    match model.config.method.source() {
        SourceKind::Recorded => {
            for (i, state) in states.chunks(p).enumerate() {
                let start = &zoo.trajectory(train[i % train.len()]).unwrap()[..p];
                assert!(state.iter().zip(start).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())), "{name}: {i}");
            }
        }
        SourceKind::Gaussian => {
            let mut z = states.to_vec();
            model.coordinates.standardise(&mut z);
            let n = z.len() as f64;
            let (mean, square) = z.iter().fold((0.0, 0.0), |(m, s), z| (m + f64::from(*z), s + f64::from(z * z)));
            assert!((mean / n).abs() < 4.0 / n.sqrt() && (square / n - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "{name}");
        }
        // The zoo's own law is the uniform one: bounded by √3 deviations, which a normal number in twelve is beyond.
        kind => {
            let laws: Vec<_> = thalweg_nets::init::Initialisation::default().moments(&model.layout).collect();
            let (mut beyond, mut all) = (0, 0);
            for (slot, (mean, deviation)) in model.layout.slots().iter().zip(laws) {
                let own = || states.chunks(p).flat_map(|state| &state[slot.range()]).map(|w| f64::from(w - mean));
                let n = own().count() as f64;
                let variance = own().map(|w| w * w).sum::<f64>() / n;
                let share = variance / f64::from(deviation).powi(2);
                assert!((share - 1.0).abs() < 4.5 * (2.0 / n).sqrt(), "{name}, {}: {share}", slot.name);
                beyond += own().filter(|w| w.abs() > 3f64.sqrt() * f64::from(deviation) * 1.001).count();
                all += own().count();
            }
            let share = beyond as f64 / all as f64;
            match kind {
                SourceKind::KaimingNormal => assert!((share - 0.083).abs() < 0.01, "{name}: {share}"),
                _ => assert_eq!(beyond, 0, "{name}"),
            }
        }
    }
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
    let mut fitted = Vec::new();
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
        let name = format!("{method:?} {time_grid:?}");
        let config = FitConfig { method, time_grid, ..config() };
        let model = quick(&zoo, &config);
        let history = &model.record.history;
        // Where ends are drawn apart from starts most of the loss is their spread, which 40 steps do not show a change of.
        let falls = history[3].1 < history[0].1 || config.method.coupling() != Paired;
        assert!(history.len() == 4 && falls, "{name} learns nothing: {history:?}");
        let split = config.split.of(&zoo).unwrap();
        for (found, expected) in model.times.iter().zip(expected_times(&zoo, &split.train, &config)) {
            assert!((found - expected).abs() < 1e-9, "{name}: {found} {expected}");
        }
        let request = SampleRequest { at: vec![0.0], ..SampleRequest::new(64, 0) };
        let samples = model.sample(&request).unwrap();
        starts_have_their_law(&model, &zoo, &split.train, &samples.states.theta, &name);
        assert!(samples.states.theta != samples.theta, "{name} stands still");
        model.save(&dir.path().join("model"), true).unwrap();
        let loaded = MetaModel::load(&dir.path().join("model")).unwrap();
        assert_eq!(loaded.sample(&request).unwrap().theta, samples.theta, "{name}");
        fitted.push((name, config, model.method.parameters().to_vec()));
    }
    // Another coupling of the same method, source and times is another fit.
    for (method, paired) in [(0, mmfm(Paired, Zoo)), (6, jko(Paired, Zoo)), (8, action(Paired, Zoo))] {
        let (name, config, parameters) = &fitted[method];
        assert_eq!(config.method, paired, "{name}");
        let other = match method {
            0 => mmfm(Independent, Zoo),
            6 => jko(OptimalTransport, Zoo),
            _ => action(Independent, Zoo),
        };
        assert_ne!(
            quick(&zoo, &FitConfig { method: other, ..config.clone() }).method.parameters(),
            parameters,
            "{name}"
        );
    }
    let tail = common::zoo("tail", 12, &dir.path().join("tail"));
    let message = fit(&tail, &config(), &FitOptions::default(), &Silent).err().unwrap().to_string();
    assert!(message.contains("coupling") && message.contains("not recorded"), "{message}");
    quick(&tail, &FitConfig { method: cfm(Independent, Gaussian), ..config() });
}

#[test]
fn the_record_tells_how_a_model_came_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 20, &dir.path().join("zoo"));
    let config = config();
    let record = quick(&zoo, &config).record;
    let split = config.split.of(&zoo).unwrap();
    let runs = [split.train.len(), split.validation.len(), split.test.len()];
    assert_eq!([record.training_runs, record.validation_runs, record.test_runs], runs);
    assert_eq!((&record.zoo_id[..], &record.version[..]), (zoo.origin().id(), env!("CARGO_PKG_VERSION")));
    let steps: Vec<u64> = record.history.iter().map(|look| look.0).collect();
    assert_eq!(steps, [10, 20, 30, 40]);
    let best = record.history.iter().min_by(|a, b| a.2.total_cmp(&b.2)).unwrap();
    assert_eq!((record.best_step, record.best_loss), (best.0, Some(best.2)));
    assert!(record.tuned.is_none() && record.latent.is_none() && record.seconds > 0.0);
    // With nothing held out there is no best loss, and the last parameters are kept.
    let all = Split { validation: 0.0, ..config.split };
    let record = quick(&zoo, &FitConfig { split: all, ..config }).record;
    assert_eq!((record.validation_runs, record.best_step, record.best_loss), (0, 40, None));
    assert!(record.history.iter().all(|look| look.2.is_nan() && look.1.is_finite()));
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
    let (zoo_has, start, end) = (
        accuracy(&zoo.finals(&zoo.finished_runs()).unwrap()),
        accuracy(&samples.states.theta),
        accuracy(&samples.theta),
    );
    assert!(end > zoo_has - 0.02 && end > start + 0.02, "zoo {zoo_has:.3}, samples from {start:.3} to {end:.3}");
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

/// DeepWeightFlow's settings: weights as they are, principal components that are not whitened, a narrow source of few points, the plain field with dropout.
#[test]
fn a_narrow_source_on_plain_components_is_kept_by_the_file_and_sampled_as_it_was_trained() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("independent", 14, &dir.path().join("zoo"));
    let cfm = CfmConfig {
        coupling: Coupling::Independent,
        source: SourceKind::Gaussian,
        source_deviation: 0.05,
        source_points: 4,
        ..CfmConfig::default()
    };
    let config = FitConfig {
        method: MethodConfig::Cfm(cfm),
        standardiser: Standardiser::None,
        latent: Some(LatentConfig::Pca(PcaConfig { dimension: 4, whiten: false })),
        field: FieldConfig::Mlp(MlpConfig { widths: vec![16, 8], dropout: 0.2, ..MlpConfig::default() }),
        ..config()
    };
    let (model, again) = (quick(&zoo, &config), quick(&zoo, &config));
    let path = dir.path().join("model");
    assert_eq!(weights(&model, &path), weights(&again, &dir.path().join("again")), "dropout is drawn from the data");
    let read = MetaModel::load(&path).unwrap();
    assert_eq!((read.source.clone(), read.config.clone()), (Source::Gaussian { deviation: 0.05 }, config));
    let request = SampleRequest { at: vec![0.0], ..SampleRequest::new(200, 5) };
    let samples = model.sample(&request).unwrap();
    assert_eq!(read.sample(&request).unwrap().theta, samples.theta);
    // At the start every network lies in the span of the components, each coordinate with a deviation of .05.
    let latent = model.latent.as_ref().unwrap();
    let y = latent.encode(&samples.states.theta);
    let square = y.iter().map(|v| f64::from(v * v)).sum::<f64>() / y.len() as f64;
    assert!((square.sqrt() / 0.05 - 1.0).abs() < 0.12, "{}", square.sqrt());
}

#[test]
fn an_equivariant_field_is_wired_as_the_zoo_s_networks_are_and_kept_by_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("independent", 14, &dir.path().join("zoo"));
    let field = FieldConfig::Equivariant(EquivariantConfig { width: 4, rounds: 1, ..EquivariantConfig::default() });
    let config = FitConfig { standardiser: Standardiser::PerTensor, field, ..config() };
    let (model, path) = (quick(&zoo, &config), dir.path().join("model"));
    weights(&model, &path);
    let (read, request) = (MetaModel::load(&path).unwrap(), SampleRequest::new(3, 5));
    assert_eq!(read.config, config.for_zoo(&zoo).unwrap());
    assert_eq!(read.sample(&request).unwrap().theta, model.sample(&request).unwrap().theta);
    for wrong in [
        FitConfig { standardiser: Standardiser::PerParameter, ..config.clone() },
        FitConfig { latent: Some(LatentConfig::Pca(PcaConfig::of(4))), ..config },
    ] {
        let said = wrong.check().unwrap_err().to_string();
        assert!(said.contains("equivariant"), "{said}");
    }
}
