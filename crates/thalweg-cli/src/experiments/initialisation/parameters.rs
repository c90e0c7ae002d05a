//! Parameters of the experiment, and what it measures.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use toml::Table;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Initialisation {
    pub(super) seed: u64,
    pub(super) targets: Vec<String>,
    pub(super) networks: usize,
    pub(super) shots: usize,
    pub(super) few: usize,
    pub(super) rows: usize,
    pub(super) tests: usize,
    pub(super) epochs: Vec<u64>,
    pub(super) steps: Vec<u64>,
    pub(super) between: Vec<u64>,
    pub(super) learning_rate: f64,
    pub(super) soup: usize,
    pub(super) home: String,
    pub(super) home_runs: usize,
    pub(super) fit: Table,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) made_in: Option<PathBuf>,
}

/// The curve of every network from one kind of start, on one target.
#[derive(Clone, Debug)]
pub struct Curves {
    /// The task.
    pub target: String,
    /// Whether the conditional flow has learned from it.
    pub seen: bool,
    /// Five rows a class, or all.
    pub few: bool,
    /// What they started from.
    pub start: String,
    /// Steps of an epoch.
    pub epoch: u64,
    /// Steps at which they were judged, `[T]`.
    pub steps: Vec<u64>,
    /// Test accuracies, `[n][T]`.
    pub accuracy: Vec<Vec<f64>>,
    /// Seconds for making all starts.
    pub seconds: f64,
}
