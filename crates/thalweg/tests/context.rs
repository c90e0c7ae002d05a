//! Conditional flows over zoos of several tasks: purity, resumption, threads, and that a context says what task it is.
#![allow(clippy::unwrap_used)]
mod common;

use std::fs;
use std::path::Path;
use thalweg::Streams;
use thalweg::context::{ContextConfig, Features};
use thalweg::coupling::Coupling;
use thalweg::field::FieldConfig;
use thalweg::fit::tasks::fit_tasks;
use thalweg::fit::{FitOptions, fit};
use thalweg::method::{CfmConfig, MethodConfig};
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg::model::{FitConfig, Split};
use thalweg::space::latent::{LatentConfig, PcaConfig};
use thalweg::space::source::SourceKind;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Silent;
use thalweg_nets::testing::StopAfter;
use thalweg_nets::train::Length;
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, ZooStore, train_zoo};

const TASKS: [&str; 6] =
    ["digits", "digits@relabel=1", "digits@relabel=2", "digits@rotate=90", "digits@classes=5+6+7", "digits@relabel=3"];

/// A zoo of each task, around one network that has learned a little and whose last layer is zero.
fn zoos(dir: &Path, runs: usize, steps: u64) -> Vec<ZooStore> {
    let architecture = Preset::Digits.build([1, 8, 8], 10).unwrap();
    let engine = Engine::new(&architecture).unwrap();
    let mut centre = common::zoo("fork", 1, &dir.join("trunk")).centre().unwrap().unwrap();
    let head: usize = engine.layout().slots().iter().rev().take(2).map(|slot| slot.len()).sum();
    let body = centre.len() - head;
    centre[body..].fill(0.0);
    let file = dir.join("centre.safetensors");
    fs::write(&file, engine.layout().to_safetensors(&centre).unwrap()).unwrap();
    let train = |(i, task): (usize, &&str)| {
        let kind = ZooKind::Shared { noise: 0.05 };
        let mut spec = ZooSpec::new(architecture.clone(), DataSpec::parse(task).unwrap(), kind, runs);
        (spec.recipe.length, spec.recipe.learning_rate, spec.seed) = (Length::Steps(steps), 5e-3, i as u64);
        spec.centre = Some(file.clone());
        train_zoo(&spec, &dir.join(i.to_string()), &TrainOptions::default(), &Silent).unwrap()
    };
    TASKS.iter().enumerate().map(train).collect()
}

fn config(steps: u64) -> FitConfig {
    let mut config = FitConfig { steps, batch: 24, validate_every: 20, validation_points: 48, ..FitConfig::default() };
    config.optimiser.learning_rate = 2e-3;
    config.split = Split { validation: 0.2, test: 0.0, seed: 0 };
    let FieldConfig::ResidualMlp(field) = &mut config.field else { panic!("the default field") };
    (field.width, field.embedding) = (48, 48);
    config.context = Some(ContextConfig {
        hidden: vec![32],
        width: 32,
        global_width: 16,
        class_width: 8,
        tasks: 6,
        support_per_class: [2, 10],
        validation_tasks: 0.0,
        ..ContextConfig::default()
    });
    config
}

fn bytes(model: &MetaModel, dir: &Path) -> Vec<u8> {
    model.save(dir, true).unwrap();
    fs::read(dir.join("model.safetensors")).unwrap()
}

#[test]
fn a_resumed_fit_makes_the_same_bytes_on_any_number_of_threads_and_comes_back_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let owned = zoos(dir.path(), 5, 20);
    let zoos: Vec<&ZooStore> = owned.iter().collect();
    let mut config = config(30);
    let context = config.context.as_mut().unwrap();
    (context.relabel, context.validation_tasks, context.features) = (0.5, 0.2, Features::Centre);
    let quick = || fit_tasks(&zoos, &config, &FitOptions::default(), &Silent).unwrap();
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let model = with(1).install(quick);
    let expected = bytes(&model, &dir.path().join("one"));
    assert!(bytes(&with(3).install(quick), &dir.path().join("three")) == expected);
    let options =
        FitOptions { state: Some(dir.path().join("state")), save_every: 0, resume: true, ..FitOptions::default() };
    let stopped = fit_tasks(&zoos, &config, &options, &StopAfter::of("fitting", 17));
    assert!(matches!(stopped, Err(thalweg::Error::Interrupted)));
    let resumed = fit_tasks(&zoos, &config, &options, &Silent).unwrap();
    assert!(bytes(&resumed, &dir.path().join("resumed")) == expected);

    let loaded = MetaModel::load(&dir.path().join("one")).unwrap();
    let data = DataSpec::parse(TASKS[1]).unwrap().load().unwrap().train;
    let sample = |model: &MetaModel, guidance: f64| {
        let (context, rows) = model.condition(&data, 3, guidance, &Streams::new(1)).unwrap();
        assert_eq!(rows.class_counts(), [3; 10]);
        model.sample(&SampleRequest { context: Some(context), ..SampleRequest::new(3, 1) }).unwrap().theta
    };
    assert_eq!(sample(&model, 1.0), sample(&loaded, 1.0));
    assert_ne!(sample(&model, 1.0), sample(&model, 2.0));
    // g = 0 is the unconditional law, up to the rounding of one subtraction.
    let unconditional = model.sample(&SampleRequest::new(3, 1)).unwrap().theta;
    assert!(sample(&model, 0.0).iter().zip(&unconditional).all(|(a, b)| (a - b).abs() < 1e-4));
    assert!(model.duplicate().is_err());
}

#[test]
fn features_from_an_onnx_file_go_with_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let owned = zoos(dir.path(), 3, 10);
    let zoos: Vec<&ZooStore> = owned.iter().collect();
    let mut config = config(4);
    let file = dir.path().join("mine.onnx");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/features.onnx"), &file).unwrap();
    config.context.as_mut().unwrap().features = Features::Onnx(file.clone());
    let model = fit_tasks(&zoos, &config, &FitOptions::default(), &Silent).unwrap();
    assert_eq!(model.context.as_ref().unwrap().encoder.inputs(), 5, "as many as the network gives");
    model.save(&dir.path().join("model"), true).unwrap();
    // The model no longer needs the user's file, and does not take another for its own.
    fs::remove_file(&file).unwrap();
    let data = DataSpec::parse(TASKS[0]).unwrap().load().unwrap().train;
    let sample = |model: &MetaModel| {
        let (context, _) = model.condition(&data, 3, 1.0, &Streams::new(1)).unwrap();
        model.sample(&SampleRequest { context: Some(context), ..SampleRequest::new(2, 1) }).unwrap().theta
    };
    assert_eq!(sample(&MetaModel::load(&dir.path().join("model")).unwrap()), sample(&model));
    let message = fit_tasks(&zoos, &config, &FitOptions::default(), &Silent).err().unwrap().to_string();
    assert!(message.contains("mine.onnx"), "{message}");
    let kept = dir.path().join("model/features.onnx");
    let mut bytes = fs::read(&kept).unwrap();
    // A number of the last layer: still a network, but another.
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&kept, bytes).unwrap();
    let message = MetaModel::load(&dir.path().join("model")).err().unwrap().to_string();
    assert!(message.contains("features.onnx"), "{message}");
    fs::remove_file(&kept).unwrap();
    let message = MetaModel::load(&dir.path().join("model")).err().unwrap().to_string();
    assert!(message.contains("features.onnx"), "{message}");
}

#[test]
fn a_context_says_what_task_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let owned = zoos(dir.path(), 6, 120);
    let zoos: Vec<&ZooStore> = owned.iter().collect();
    let model = fit_tasks(&zoos, &config(300), &FitOptions::default(), &Silent).unwrap();
    let engine = Engine::new(model.architecture.as_ref().unwrap()).unwrap();
    // Networks drawn for each task, and none, on each task.
    let data = TASKS.map(|task| DataSpec::parse(task).unwrap().load().unwrap());
    let drawn: Vec<Vec<f32>> = (0..=TASKS.len())
        .map(|task| {
            let context = data.get(task).map(|data| model.condition(&data.train, 5, 1.0, &Streams::new(2)).unwrap().0);
            model.sample(&SampleRequest { context, ..SampleRequest::new(8, 1) }).unwrap().theta
        })
        .collect();
    for (task, data) in data.iter().enumerate() {
        let x = engine.pack(&data.test.inputs).unwrap();
        let accuracy = |theta: &Vec<f32>| {
            evaluate(&engine, theta, &x, &data.test.labels).unwrap().iter().map(|s| s.accuracy).sum::<f64>() / 8.0
        };
        let accuracies: Vec<f64> = drawn.iter().map(accuracy).collect();
        // Its own context is the best of all, by more than the error of a mean over 360 test rows; the next best is one of six that say another task.
        let error = (0.25 / data.test.len() as f64).sqrt();
        let others = accuracies.iter().enumerate().filter(|(other, _)| *other != task);
        let next = others.map(|(_, a)| *a).fold(0.0, f64::max);
        assert!(accuracies[task] > next + 2.0 * error, "{}: {accuracies:.3?}", TASKS[task]);
    }
}

#[test]
fn couplings_latents_and_what_does_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let owned = zoos(dir.path(), 5, 10);
    let zoos: Vec<&ZooStore> = owned.iter().take(3).collect();
    let mut config = config(4);
    let fitted = |config: &FitConfig| fit_tasks(&zoos, config, &FitOptions::default(), &Silent);
    let message = |config: &FitConfig| fitted(config).err().unwrap().to_string();
    config.context.as_mut().unwrap().couple_across_tasks = true;
    assert!(message(&config).contains("context.couple-across-tasks"));
    let (coupling, source) = (Coupling::OptimalTransport, SourceKind::Gaussian);
    config.method = MethodConfig::Cfm(CfmConfig { coupling, source, ..CfmConfig::default() });
    let crossed = fitted(&config).unwrap();
    config.context.as_mut().unwrap().couple_across_tasks = false;
    assert_ne!(crossed.method.parameters(), fitted(&config).unwrap().method.parameters());
    config.latent = Some(LatentConfig::Pca(PcaConfig::of(4)));
    let latent = fitted(&config).unwrap();
    assert_eq!(bytes(&latent, &dir.path().join("a")), bytes(&fitted(&config).unwrap(), &dir.path().join("b")));
    config.context.as_mut().unwrap().relabel = 0.5;
    assert!(message(&config).contains("context.relabel"));
    config.context.as_mut().unwrap().relabel = 0.0;
    config.method = MethodConfig::named("jko").unwrap();
    assert!(message(&config).contains("cfm"));
    config.method = MethodConfig::named("cfm").unwrap();
    // Zoos of two laws: one that drew its own centre does not fit the others.
    let other = common::zoo("shared", 5, &dir.path().join("other"));
    let mixed = fit_tasks(&[zoos[0], &other], &config, &FitOptions::default(), &Silent).err().unwrap().to_string();
    assert!(mixed.contains("other") && mixed.contains("law"), "{mixed}");
    // One zoo is a fit of one task; a model without contexts takes none.
    config.latent = None;
    assert!(fit(zoos[0], &config, &FitOptions::default(), &Silent).unwrap().context.is_some());
    config.context = None;
    let plain = fit(zoos[0], &config, &FitOptions::default(), &Silent).unwrap();
    let data = DataSpec::named("digits").load().unwrap().train;
    assert!(plain.condition(&data, 1, 1.0, &Streams::new(0)).unwrap_err().to_string().contains("with contexts"));
}
