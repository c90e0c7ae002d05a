//! Parameters of the experiment.
use crate::experiments::flows::Named;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ensembles {
    pub(super) seed: u64,
    pub(super) data: String,
    /// Rows that no network was trained on the like of.
    pub(super) elsewhere: String,
    /// Training runs that go on.
    pub(super) bases: u64,
    /// Networks of an ensemble.
    pub(super) members: usize,
    /// Deviations of weights under the prior of the Laplace approximation.
    pub(super) priors: Vec<f64>,
    /// A training run.
    pub(super) zoo: toml::Table,
    /// What its checkpoints change of it.
    pub(super) tail: toml::Table,
    /// What all fits share.
    pub(super) fit: toml::Table,
    pub(super) methods: Vec<Named>,
}
