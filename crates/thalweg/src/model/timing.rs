//! How long a model took to be made, and on what: what its files may not hold, since two runs of one command have the same bytes.
use super::record::Record;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use thalweg_nets::engine::Instructions;

/// The file beside a model.
pub(crate) const TIMING: &str = "timing.toml";

/// Seconds of a [`Record`] and of what it holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Timing {
    /// Instruction set of the engine.
    instructions: String,
    /// Of all of the fit.
    fit: f64,
    /// Of the autoencoder.
    latent: f64,
    /// Of the tuning.
    tuned: f64,
    /// Of the tuning, up to each validation.
    #[serde(alias = "looks")]
    validations: Vec<f64>,
}

impl Timing {
    /// The seconds of `record`.
    pub fn of(record: &Record) -> Self {
        let tuned = record.tuned.as_ref();
        Self {
            instructions: Instructions::best().name().into(),
            fit: record.seconds,
            latent: record.latent.as_ref().map_or(0.0, |latent| latent.seconds),
            tuned: tuned.map_or(0.0, |tuned| tuned.seconds),
            validations: tuned.map_or(vec![], |tuned| tuned.validations.iter().map(|v| v.seconds).collect()),
        }
    }

    /// Puts them into `record`.
    pub fn enter(self, record: &mut Record) {
        record.seconds = self.fit;
        if let Some(latent) = &mut record.latent {
            latent.seconds = self.latent;
        }
        if let Some(tuned) = &mut record.tuned {
            tuned.seconds = self.tuned;
            tuned.validations.iter_mut().zip(self.validations).for_each(|(v, seconds)| v.seconds = seconds);
        }
    }

    /// Those of the model in `dir`; zeros where the file is missing or is no longer one: nothing depends on it.
    pub fn read(dir: &Path) -> Self {
        let text = std::fs::read_to_string(dir.join(TIMING)).unwrap_or_default();
        toml::from_str(&text).unwrap_or_default()
    }

    /// The file's text.
    pub fn to_toml(&self) -> Result<String> {
        let text = toml::to_string(self).map_err(|e| Error::parameter(TIMING, "values that TOML can hold", e))?;
        Ok(format!("# Seconds that making this model took, and on what. Nothing depends on this file.\n{text}"))
    }
}
