//! Parameters of the experiment, and what every way of reaching a reward is given.
use super::task::TaskSpec;
use crate::session::Session;
use crate::study::Labelled;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thalweg::Streams;
use thalweg::model::{FitConfig, MetaModel};
use thalweg::tune::TuneConfig;
use thalweg_nets::engine::Engine;
use toml::Table;

/// What must be reached.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    pub(super) task: String,
    pub(super) accuracy: f64,
    pub(super) iterations: u64,
    pub(super) seconds: f64,
}

/// Another generator that is tuned to every task, at the strength of the best validation accuracy among its own.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Other {
    pub(super) name: String,
    pub(super) strengths: Vec<f64>,
    pub(super) fit: FitConfig,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rewards {
    pub(super) seed: u64,
    pub(super) samples: usize,
    pub(super) tunings: u64,
    pub(super) rows: usize,
    pub(super) validation_rows: usize,
    pub(super) strengths: Vec<f64>,
    pub(super) best_of: usize,
    pub(super) ascent_rates: Vec<f64>,
    pub(super) guidance: Vec<f64>,
    pub(super) cost_at: Vec<usize>,
    pub(super) gate: Gate,
    pub(super) tasks: Vec<String>,
    /// Other generators on the same zoo.
    pub(super) others: Vec<Other>,
    pub(super) zoo: Table,
    pub(super) fit: FitConfig,
    pub(super) tune: TuneConfig,
    pub(super) task: BTreeMap<String, TaskSpec>,
}

/// What all tasks share.
pub(super) struct Bench<'a> {
    pub(super) settings: &'a Rewards,
    pub(super) session: &'a Session,
    pub(super) generator: Generator,
    /// Others, each with its strengths.
    pub(super) others: Vec<(Generator, &'a [f64])>,
    pub(super) engine: Engine,
    pub(super) streams: Streams,
    /// Test rows of the base's own data.
    pub(super) home: Labelled,
}

/// A model to tune.
pub(super) struct Generator {
    /// Empty for the first.
    pub(super) name: String,
    pub(super) model: MetaModel,
    /// Samples of it `[n, P]`.
    pub(super) before: Vec<f32>,
}
