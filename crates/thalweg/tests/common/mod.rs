//! A small zoo and a small fit for the tests of this folder.
#![allow(dead_code, clippy::unwrap_used)] // every test file uses its own part

use std::path::Path;
use thalweg::field::FieldConfig;
use thalweg::model::FitConfig;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::Length;
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, ZooStore, train_zoo};

/// Runs of the embedded digits: a trunk of 100 steps, then 48 steps each.
pub fn zoo(kind: &str, runs: usize, dir: &Path) -> ZooStore {
    train_zoo(&spec(kind, runs), dir, &TrainOptions::default(), &Silent).unwrap()
}

/// What such a zoo is made by.
pub fn spec(kind: &str, runs: usize) -> ZooSpec {
    let architecture = Preset::Digits.build([1, 8, 8], 10).unwrap();
    let mut spec = ZooSpec::new(architecture, DataSpec::named("digits"), ZooKind::named(kind).unwrap(), runs);
    spec.recipe.length = Length::Steps(48);
    if let ZooKind::Fork { steps, .. } = &mut spec.kind {
        *steps = 100;
    }
    spec
}

/// A fit of a moment.
pub fn config() -> FitConfig {
    let mut config =
        FitConfig { steps: 40, batch: 8, validate_every: 10, validation_points: 16, ..FitConfig::default() };
    let FieldConfig::ResidualMlp(field) = &mut config.field else { panic!("the default field") };
    (field.width, field.blocks) = (16, 1);
    config
}
