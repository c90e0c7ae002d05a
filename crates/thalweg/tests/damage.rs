//! Damage to models, states, calibrations and samples is found when they are read, whichever bit it hits; and states go on with nothing but what
//! they were begun with.
#![allow(clippy::unwrap_used)]
mod common;

use common::{config, zoo};
use std::fs;
use std::path::Path;
use thalweg::fit::{FitOptions, fit};
use thalweg::model::FitConfig;
use thalweg::model::sample::{SampleRequest, Samples};
use thalweg::model::{MetaModel, Networks, States};
use thalweg::reward::{OnData, Reward, Rows};
use thalweg::space::latent::{LatentConfig, PcaConfig};
use thalweg::tensors::{TensorReader, TensorWriter};
use thalweg::tune::{Control, TuneConfig, TuneOptions, tune};
use thalweg::{Error, Result};
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::{Progress, Silent};
use thalweg_nets::testing::StopAfter;

/// Flips single bits of `file` all over it, and asserts that `read` refuses every time, naming the file.
fn every_flip_is_found(file: &Path, read: &dyn Fn() -> Result<()>) {
    read().unwrap();
    let (whole, name) = (fs::read(file).unwrap(), file.file_name().unwrap().to_string_lossy().into_owned());
    for i in 0..200 {
        let byte = if i < 80 { i } else { 80 + (i - 80) * (whole.len() - 81) / 119 };
        let mut damaged = whole.clone();
        damaged[byte] ^= 1 << (i % 8);
        fs::write(file, &damaged).unwrap();
        let message = read().err().unwrap_or_else(|| panic!("{name}: bit {} of byte {byte} unseen", i % 8)).to_string();
        assert!(message.contains(&name), "byte {byte}: {message}");
    }
    fs::write(file, whole).unwrap();
}

#[test]
fn a_flipped_bit_of_a_model_is_found_and_two_fits_have_the_same_files() {
    let home = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 12, &home.path().join("zoo"));
    let latent = Some(LatentConfig::Pca(PcaConfig::of(4)));
    let config = FitConfig { latent, steps: 4, ..config() };
    let made = |name: &str| {
        let dir = home.path().join(name);
        let model = fit(&zoo, &config, &FitOptions::default(), &Silent).unwrap();
        model.save(&dir, false).unwrap();
        (dir, model)
    };
    let ((a, model), (b, _)) = (made("a"), made("b"));
    for file in ["model.toml", "model.safetensors", "README.md"] {
        assert_eq!(fs::read(a.join(file)).unwrap(), fs::read(b.join(file)).unwrap(), "{file}");
    }
    let text = fs::read_to_string(a.join("model.toml")).unwrap();
    assert!(!text.contains("seconds") && !text.contains(&*home.path().to_string_lossy()), "{text}");
    assert!(model.record.seconds > 0.0 && MetaModel::load(&a).unwrap().record.seconds == model.record.seconds);
    for file in ["model.toml", "model.safetensors"] {
        every_flip_is_found(&a.join(file), &|| MetaModel::load(&a).map(drop));
    }
    // The seconds are told beside the model, and nothing depends on them.
    fs::write(a.join("timing.toml"), "spoilt").unwrap();
    assert_eq!(MetaModel::load(&a).unwrap().record.seconds, 0.0);
    let samples = a.join("samples.safetensors");
    let request = SampleRequest { at: vec![0.5], ..SampleRequest::new(3, 1) };
    let Samples { theta, states, .. } = model.sample(&request).unwrap();
    model.networks(theta).write_stack(&samples, &states).unwrap();
    every_flip_is_found(&samples, &|| Networks::read(&samples, None, &|_| ()).map(drop));
    every_flip_is_found(&samples, &|| States::read(&samples).map(drop));
}

#[test]
fn a_flipped_bit_of_a_state_is_found() {
    let home = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 12, &home.path().join("zoo"));
    let state = home.path().join("fit-state.safetensors");
    let options = FitOptions { state: Some(state.clone()), save_every: 0, resume: true, ..FitOptions::default() };
    let stop = StopAfter::new(5);
    assert!(matches!(fit(&zoo, &config(), &options, &stop), Err(Error::Interrupted)));
    assert_eq!(stop.kept(), Some(5), "steps kept, as told");
    // Stopped at once, the state is read and written again as it was.
    let again = || match fit(&zoo, &config(), &options, &StopAfter::new(0)) {
        Err(Error::Interrupted) => Ok(()),
        other => other.map(drop),
    };
    every_flip_is_found(&state, &again);
    let mut out = TensorWriter::default();
    out.word("step", 3);
    let mut bytes = out.bytes().unwrap();
    let at = bytes.windows(5).position(|w| w == b"\"3\"}}").unwrap_or(bytes.len() - 4);
    bytes[at + 1] = b'4';
    assert!(TensorReader::open(&state, &bytes).is_err(), "a word is under the checksum as well");
}

#[test]
fn a_tuning_goes_on_only_towards_the_numbers_it_was_begun_with() {
    let home = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 12, &home.path().join("zoo"));
    let base = fit(&zoo, &FitConfig { steps: 3, ..config() }, &FitOptions::default(), &Silent).unwrap();
    let engine = Engine::new(zoo.architecture().unwrap()).unwrap();
    let rows = DataSpec::named("digits").load().unwrap().train.first(40);
    let reward = |change: f32, label: u32| {
        let (mut inputs, mut labels) = (rows.inputs.clone(), rows.labels.clone());
        inputs[17] += change;
        labels[3] = (labels[3] + label) % 10;
        OnData::loss("the same name", &engine, inputs, labels, Rows::Batch(16)).unwrap()
    };
    let state = home.path().join("tune-state.safetensors");
    let options = TuneOptions { state: Some(state.clone()), save_every: 0, resume: true };
    let control = Control::General { noise: 0.3 };
    let config = TuneConfig {
        control,
        iterations: 6,
        steps: 4,
        trajectories: 4,
        validate_every: 2,
        validation_samples: 2,
        validation_steps: 3,
        ..TuneConfig::default()
    };
    let run = |reward: &OnData, options: &TuneOptions, progress: &dyn Progress| {
        tune(&base, reward, Some(reward), &config, options, progress)
    };
    let (own, whole) = (reward(0.0, 0), run(&reward(0.0, 0), &TuneOptions::default(), &Silent).unwrap());
    let stop = StopAfter::new(3);
    assert!(matches!(run(&own, &options, &stop), Err(Error::Interrupted)));
    assert_eq!(stop.kept(), Some(3));
    for other in [reward(0.5, 0), reward(0.0, 1)] {
        assert_eq!(other.describe(), own.describe());
        let message = run(&other, &options, &Silent).err().unwrap().to_string();
        assert!(message.contains("tune-state.safetensors: identity"), "{message}");
    }
    let again = || match run(&own, &options, &StopAfter::new(0)) {
        Err(Error::Interrupted) => Ok(()),
        other => other.map(drop),
    };
    every_flip_is_found(&state, &again);
    let resumed = run(&own, &options, &Silent).unwrap();
    assert_eq!(resumed.method.parameters(), whole.method.parameters());
}

#[test]
fn what_cannot_be_held_is_refused_with_its_bytes() {
    let home = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 12, &home.path().join("zoo"));
    let model = fit(&zoo, &FitConfig { steps: 2, ..config() }, &FitOptions::default(), &Silent).unwrap();
    let said = model.sample(&SampleRequest::new(10_000_000_000, 0)).unwrap_err().to_string();
    // 10^10 networks of 1,110 weights of 4 bytes.
    assert!(said.contains("44400000000000 bytes"), "{said}");
    for (field, config) in [
        ("trajectories", TuneConfig { trajectories: 1_000_000_000_000, ..TuneConfig::default() }),
        ("buffer", TuneConfig { buffer: 1 << 40, ..TuneConfig::default() }),
        ("updates", TuneConfig { updates: u64::MAX, ..TuneConfig::default() }),
        ("validation-samples", TuneConfig { validation_samples: usize::MAX, ..TuneConfig::default() }),
    ] {
        let message = config.check().unwrap_err().to_string();
        assert!(message.contains(&format!("parameter {field}: expected 1 to")), "{message}");
    }
}
