//! Parameters of the experiment.
use crate::experiments::tasks::Tasks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Table;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) seed: u64,
    pub(super) shots: Vec<usize>,
    pub(super) draws: u64,
    pub(super) networks: usize,
    pub(super) ode_steps: usize,
    pub(super) guidance: Vec<f64>,
    pub(super) references: usize,
    pub(super) seen_judged: usize,
    pub(super) tasks: Tasks,
    pub(super) fit: Table,
    #[serde(default)]
    pub(super) rivals: BTreeMap<String, Table>,
}
