//! How a tuned model came to be, as its `model.toml` holds it.
use super::tune_config::TuneConfig;
use crate::train::Validation;
use serde::{Deserialize, Serialize};

/// How a tuned model came to be, as its `model.toml` holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TuneRecord {
    /// The reward in words.
    pub reward: String,
    /// The reward that chose the iteration, in words; empty where none did.
    pub held_out: String,
    /// The process in words, with what it is exact for.
    pub process: String,
    /// The iteration whose averaged parameters were kept.
    pub best_iteration: u64,
    /// Iterations done.
    pub iterations: u64,
    /// Wall time in seconds; kept beside the model, not in it.
    #[serde(skip)]
    pub seconds: f64,
    /// What decided the tuning.
    pub config: TuneConfig,
    /// Every validation on the way.
    #[serde(alias = "looks")]
    pub validations: Vec<TuneValidation>,
}

/// One validation of a tuning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TuneValidation {
    /// Iterations done.
    pub iteration: u64,
    /// Mean reward of the simulated ends since the one before (NaN before the first iteration).
    pub training: f64,
    /// Mean held-out reward of networks sampled by the ODE; NaN where there is no held-out reward.
    pub held_out: f64,
    /// Relative entropy of the tuned path law to the base one, mean since the one before.
    pub distance: f64,
    /// Wall time so far in seconds; not in the model's own file.
    #[serde(skip)]
    pub seconds: f64,
}

impl From<&Validation> for TuneValidation {
    fn from(v: &Validation) -> Self {
        let (training, held_out) = (v.training.unwrap_or(f64::NAN), v.held_out.unwrap_or(f64::NAN));
        Self { iteration: v.step, training, held_out, distance: v.distance.unwrap_or(0.0), seconds: v.seconds }
    }
}
