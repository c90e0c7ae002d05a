//! Parameters of the conditional meta-detectron.
use crate::ranges::{self, LONGEST, MOST};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The generator.
///
/// | field | default | range |
/// | --- | --- | --- |
/// | `dimension` | 64 | 1 to members of the bank less one: principal components |
/// | `width` | 128 | ≥ 1: of the field |
/// | `pooled`, `each` | 32, 16 | numbers of c for the whole query, and for each class |
/// | `steps` | 1000 | ≥ 1 of the fit |
/// | `learning-rate` | 0.002 | > 0, of the fit |
/// | `drop` | 0.1 | [0, 1): how often a pair is seen without its context |
/// | `guidance` | 1 | ≥ 0: 1 for the law as it was learned, 0 for that of all CDCs |
/// | `samples` | 20 | ≥ 1 networks drawn for a query |
/// | `members` | 3 | 1 to `samples`: those of them that are taken |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConditionalConfig {
    /// Principal components.
    pub dimension: usize,
    /// Width of the field.
    pub width: usize,
    /// Numbers of c for the whole query.
    pub pooled: usize,
    /// Numbers of c for each class.
    pub each: usize,
    /// Steps of the fit.
    pub steps: u64,
    /// Of the fit.
    #[serde(alias = "learning_rate")]
    pub learning_rate: f64,
    /// How often a pair is seen without its context.
    pub drop: f64,
    /// Of the samples.
    pub guidance: f64,
    /// Networks drawn for a query.
    pub samples: usize,
    /// Those of them that are taken.
    pub members: usize,
}

impl Default for ConditionalConfig {
    fn default() -> Self {
        Self {
            dimension: 64,
            width: 128,
            pooled: 32,
            each: 16,
            steps: 1000,
            learning_rate: 2e-3,
            drop: 0.1,
            guidance: 1.0,
            samples: 20,
            members: 3,
        }
    }
}

impl ConditionalConfig {
    /// Checks the ranges that field, encoder and projection do not check.
    ///
    /// # Errors
    /// Names the parameter under `conditional`.
    pub fn check(&self) -> Result<()> {
        if self.members == 0 || self.members > self.samples {
            let expected = format!("from 1 to conditional.samples {}", self.samples);
            return Err(Error::parameter("conditional.members", expected, self.members));
        }
        ranges::check(
            "conditional.",
            [("steps", self.steps, 1..=LONGEST), ("samples", self.samples as u64, 1..=MOST)],
        )?;
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return Err(Error::parameter("conditional.learning-rate", "a finite number above 0", self.learning_rate));
        }
        if !(0.0..1.0).contains(&self.drop) {
            return Err(Error::parameter("conditional.drop", "a number in [0, 1)", self.drop));
        }
        if !(self.guidance >= 0.0 && self.guidance.is_finite()) {
            return Err(Error::parameter("conditional.guidance", "a finite number of at least 0", self.guidance));
        }
        Ok(())
    }
}
