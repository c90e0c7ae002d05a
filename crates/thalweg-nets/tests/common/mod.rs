//! Small zoos for the tests of this folder.
#![allow(dead_code, clippy::unwrap_used)] // every test file uses its own part

use std::collections::BTreeMap;
use std::path::Path;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::Length;
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, ZooStore, train_zoo};
use thalweg_nets::{Architecture, Result};

pub fn digits() -> Architecture {
    Preset::Digits.build([1, 8, 8], 10).unwrap()
}

/// Ten runs of twelve steps in shards of three.
pub fn spec(kind: &str) -> ZooSpec {
    let mut spec = ZooSpec::new(digits(), DataSpec::named("digits"), ZooKind::named(kind).unwrap(), 10);
    spec.shard = 3;
    spec.seed = 7;
    spec.recipe.length = Length::Steps(12);
    if let ZooKind::Fork { steps, .. } = &mut spec.kind {
        *steps = 8;
    }
    spec
}

pub const RESUME: TrainOptions = TrainOptions { threads: 0, resume: true, force: false };
pub const FORCE: TrainOptions = TrainOptions { threads: 0, resume: false, force: true };

pub fn train(spec: &ZooSpec, dir: &Path) -> Result<ZooStore> {
    train_zoo(spec, dir, &TrainOptions::default(), &Silent)
}

/// Name and BLAKE3 of every file in `dir`.
pub fn sums(dir: &Path) -> BTreeMap<String, String> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let sum = blake3::hash(&std::fs::read(&path).unwrap()).to_hex().to_string();
            (path.file_name().unwrap().to_string_lossy().into_owned(), sum)
        })
        .collect()
}
