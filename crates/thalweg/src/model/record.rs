//! [`Record`]: how a model came to be, as `model.toml` holds it.
use super::tuned::TuneRecord;
use crate::space::latent::LatentRecord;
use crate::train::{TrainState, Validation};
use serde::{Deserialize, Serialize};
use thalweg_nets::zoo::{RunSplit, ZooStore};

/// How a model came to be, beside its configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// Version of the program.
    pub version: String,
    /// What the zoo called itself; empty for one without a name.
    pub zoo: String,
    /// The zoo's own hash.
    pub zoo_id: String,
    /// Runs trained on.
    pub training_runs: usize,
    /// Runs held out to choose the step.
    pub validation_runs: usize,
    /// Runs held out for reports.
    pub test_runs: usize,
    /// The step whose averaged parameters were kept.
    pub best_step: u64,
    /// Held-out loss there; none where nothing was held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_loss: Option<f64>,
    /// Validations: step, mean training loss since the one before, held-out loss (NaN for none).
    pub history: Vec<(u64, f64, f64)>,
    /// Wall time in seconds, the autoencoder's among them; kept beside the model, not in it.
    #[serde(skip)]
    pub seconds: f64,
    /// How the autoencoder came out, where the method runs in a latent space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent: Option<LatentRecord>,
    /// What the model was tuned for afterwards, where it was (M12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<TuneRecord>,
}

impl Record {
    /// The record of a fit that has come to its end.
    pub(crate) fn new(zoo: &ZooStore, split: &RunSplit, state: &TrainState, latent: Option<LatentRecord>) -> Self {
        let best = state.best_validation();
        let zoo_name = zoo.origin().name();
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            zoo: zoo_name.to_owned(),
            zoo_id: zoo.origin().id().to_owned(),
            training_runs: split.train.len(),
            validation_runs: split.validation.len(),
            test_runs: split.test.len(),
            best_step: best.map_or(0, |best| best.step),
            best_loss: best.and_then(|best| best.held_out),
            history: state.validations.iter().map(entry).collect(),
            seconds: state.seconds + latent.as_ref().map_or(0.0, |latent| latent.seconds),
            latent,
            tuned: None,
        }
    }
}

/// A validation as the history tells it; a closed form has no training loss, and 0 in its place.
fn entry(v: &Validation) -> (u64, f64, f64) {
    (v.step, v.training.unwrap_or(0.0), v.held_out.unwrap_or(f64::NAN))
}
