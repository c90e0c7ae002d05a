//! A small zoo and a small fit for the tests of this folder.
#![allow(dead_code, clippy::unwrap_used)] // every test file uses its own part

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use thalweg::field::FieldConfig;
use thalweg::model::FitConfig;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::{Progress, Silent};
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
    let FieldConfig::ResidualMlp(field) = &mut config.field;
    (field.width, field.blocks) = (16, 1);
    config
}

/// Asks to stop after so many units, and remembers what is kept.
pub struct StopAfter {
    left: AtomicU64,
    kept: AtomicU64,
}

impl StopAfter {
    pub fn new(units: u64) -> Self {
        Self { left: AtomicU64::new(units), kept: AtomicU64::new(u64::MAX) }
    }

    /// Units that are kept, as the work told; `u64::MAX` where it told nothing.
    pub fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }
}

impl Progress for StopAfter {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, n: u64) {
        self.left.fetch_sub(n.min(self.left.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
    fn note(&self, _: &str) {}
    fn kept(&self, done: u64, _: u64, _: &str) {
        self.kept.store(done, Ordering::Relaxed);
    }
    fn interrupted(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}
