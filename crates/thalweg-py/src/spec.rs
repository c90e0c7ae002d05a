//! What zoo is to be trained, from the arguments of `Zoo.train`: the same choices as the program makes from the same flags.
use crate::architecture::Architecture;
use crate::errors::Raise;
use crate::settings;
use pyo3::prelude::*;
use pyo3::types::PyString;
use serde::Deserialize;
use std::path::PathBuf;
use thalweg::Result;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::init::Initialisation;
use thalweg_nets::train::{Length, Optimiser, Recipe, evenly};
use thalweg_nets::zoo::{ZooKind, ZooSpec};

/// What is to be trained, before the data are read.
#[derive(Clone)]
pub enum Wanted {
    /// A whole architecture.
    Given(thalweg_nets::Architecture),
    /// Layers that are made to fit the data.
    Preset(Preset),
}

impl Wanted {
    /// An [`Architecture`], a dict, the path of a TOML file, or the name of a preset.
    ///
    /// # Errors
    /// An unknown name, a file or dict that is none.
    pub fn of(value: &Bound<'_, PyAny>, widths: &[usize]) -> PyResult<Self> {
        if let Ok(given) = value.cast::<Architecture>() {
            return Ok(Self::Given(given.get().inner.clone()));
        }
        let path = value
            .cast::<PyString>()
            .map_or_else(|_| value.extract::<PathBuf>().ok(), |s| Some(PathBuf::from(s.to_string())));
        match path {
            Some(path) if path.extension().is_some_and(|e| e == "toml") => {
                thalweg_nets::Architecture::read(&path).map(Self::Given).raise()
            }
            Some(name) => Preset::named(&name.to_string_lossy(), widths).map(Self::Preset).raise(),
            None => settings::read("architecture", value).map(Self::Given),
        }
    }

    /// The architecture for `data`.
    ///
    /// # Errors
    /// A preset that the data's shape does not fit.
    pub fn build(&self, data: &Dataset) -> Result<thalweg_nets::Architecture> {
        match self {
            Self::Given(architecture) => Ok(architecture.clone()),
            Self::Preset(preset) => preset.build(data.shape, data.classes),
        }
    }
}

/// A name, or the whole setting.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named<T> {
    Name(String),
    Whole(T),
}

/// The keyword arguments of `Zoo.train`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    runs: usize,
    seed: u64,
    kind: Named<ZooKind>,
    #[serde(default)]
    name: String,
    /// Use only so many training rows.
    pub train_rows: Option<usize>,
    epochs: Option<f64>,
    steps: Option<u64>,
    batch: Option<usize>,
    learning_rate: Option<f64>,
    optimiser: Option<Named<Optimiser>>,
    checkpoints: Option<Checkpoints>,
    initialisation: Option<Initialisation>,
    centre: Option<PathBuf>,
    shard: Option<usize>,
    /// Other fields of the recipe.
    recipe: Option<Recipe>,
}

/// How many, or which.
#[derive(Deserialize)]
#[serde(untagged)]
enum Checkpoints {
    Number(usize),
    Shares(Vec<f64>),
}

impl Arguments {
    /// The specification of a zoo of `wanted` on `data`, whose training rows are `train`; and a sentence on the length of its runs where that was chosen.
    ///
    /// # Errors
    /// Values out of range, a preset that does not fit.
    pub fn spec(self, wanted: &Wanted, data: &DataSpec, train: &Dataset) -> Result<(ZooSpec, Option<String>)> {
        let kind = match self.kind {
            Named::Name(name) => ZooKind::named(&name)?,
            Named::Whole(kind) => kind,
        };
        let mut spec = ZooSpec::new(wanted.build(train)?, data.clone(), kind, self.runs);
        let (given, tail) = (self.recipe.is_some(), matches!(kind, ZooKind::Tail { .. }));
        spec.recipe = self.recipe.unwrap_or(spec.recipe);
        let recipe = &mut spec.recipe;
        if let Some(epochs) = self.epochs {
            recipe.length = Length::Epochs(epochs);
        }
        if let Some(steps) = self.steps {
            recipe.length = Length::Steps(steps);
        }
        recipe.batch = self.batch.unwrap_or(recipe.batch);
        recipe.learning_rate = self.learning_rate.unwrap_or(recipe.learning_rate);
        if let Some(optimiser) = self.optimiser {
            recipe.optimiser = named_optimiser(optimiser)?;
        }
        match self.checkpoints {
            Some(Checkpoints::Number(k)) => recipe.checkpoints = evenly(k),
            Some(Checkpoints::Shares(shares)) => recipe.checkpoints = shares,
            None if tail => recipe.checkpoints = vec![1.0],
            None => {}
        }
        let said_length = given || self.epochs.is_some() || self.steps.is_some();
        let said_batch = given || self.batch.is_some();
        spec.initialisation = self.initialisation.unwrap_or(spec.initialisation);
        spec.shard = self.shard.unwrap_or(spec.shard);
        (spec.name, spec.centre, spec.seed) = (self.name, self.centre, self.seed);
        spec.check()?;
        // A batch that does not fit is refused by the training itself, with its reason.
        let suited = spec.recipe.suit(train.len(), !said_length, !said_batch).ok();
        let note = suited.filter(|_| !(said_length && said_batch)).map(|steps| {
            format!("Each run: {steps} steps of {} rows; epochs or steps, and batch, change that", spec.recipe.batch)
        });
        Ok((spec, note))
    }
}

fn named_optimiser(optimiser: Named<Optimiser>) -> Result<Optimiser> {
    Ok(match optimiser {
        Named::Whole(optimiser) => optimiser,
        Named::Name(name) => match name.as_str() {
            "sgd" => Optimiser::sgd(0.9),
            "adam" => Optimiser::default(),
            "adamw" => Optimiser::adamw(),
            other => return Err(thalweg::Error::parameter("optimiser", "sgd, adam or adamw", other)),
        },
    })
}
