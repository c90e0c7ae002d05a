//! Parameters of the meta-detectron.
use crate::model::TuneConfig;
use crate::nn::optimiser::AdamWConfig;
use crate::ranges::{self, LONGEST, MOST};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Euler steps of the samples.
pub(super) const SAMPLING: usize = 20;

/// Parameters.
///
/// | field | default | range |
/// | --- | --- | --- |
/// | `zoo` | 1000 | > `dimension` CDCs that the flow is fitted to, against queries as the bank's |
/// | `dimension` | 96 | ≥ 1 principal components |
/// | `width` | 128 | ≥ 1: of the field |
/// | `kappa` | 0.035 | > 0, as for CDCs |
/// | `rows` | 512 | ≥ 1 rows of P in ℓ_cdc that the CDCs were held to, and as many of P's validation rows |
/// | `strength` | 3000 | > 0: λ |
/// | `warm` | 40 | ≥ 0 iterations towards synthetic queries, once, before any query: tuning goes on from there |
/// | `iterations` | 40 | ≥ 0 a query; 0 leaves the flow as it was fitted, or warmed |
/// | `steps` | 20 | ≥ 4 of the simulated process |
/// | `trajectories` | 16 | ≥ 1 an iteration |
/// | `learning-rate` | 0.002 | > 0, of the tuning |
/// | `drawn` | 80 | ≥ `samples` networks drawn from the flow |
/// | `samples` | 20 | ≥ 1 of them in the ensemble: those that agree with f on most rows of P in ℓ_cdc |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MetaConfig {
    /// CDCs that the flow is fitted to.
    pub zoo: usize,
    /// Principal components.
    pub dimension: usize,
    /// Width of the field.
    pub width: usize,
    /// κ.
    pub kappa: f64,
    /// Rows of P in ℓ_cdc, of each of two parts.
    pub rows: usize,
    /// λ.
    pub strength: f64,
    /// Iterations of the warm start.
    pub warm: u64,
    /// Iterations of the tuning.
    pub iterations: u64,
    /// Steps of the simulated process.
    pub steps: usize,
    /// Trajectories an iteration.
    pub trajectories: usize,
    /// Of the tuning.
    #[serde(alias = "learning_rate")]
    pub learning_rate: f64,
    /// Networks drawn.
    pub drawn: usize,
    /// Networks in the ensemble.
    pub samples: usize,
}

impl Default for MetaConfig {
    fn default() -> Self {
        Self {
            zoo: 1000,
            dimension: 96,
            width: 128,
            kappa: 0.035,
            rows: 512,
            strength: 3000.0,
            warm: 40,
            iterations: 40,
            steps: 20,
            trajectories: 16,
            learning_rate: 2e-3,
            drawn: 80,
            samples: 20,
        }
    }
}

impl MetaConfig {
    /// Checks what other types do not check.
    ///
    /// # Errors
    /// Names the parameter under `meta`.
    pub fn check(&self) -> Result<()> {
        if !(self.kappa > 0.0 && self.kappa.is_finite()) {
            return Err(Error::parameter("meta.kappa", "a finite number above 0", self.kappa));
        }
        let [rows, samples, drawn, zoo] = [self.rows, self.samples, self.drawn, self.zoo].map(|n| n as u64);
        ranges::check(
            "meta.",
            [
                ("rows", rows, 1..=MOST),
                ("samples", samples, 1..=MOST),
                ("drawn", drawn, 1..=MOST),
                ("zoo", zoo, 1..=MOST),
                ("warm", self.warm, 0..=LONGEST),
                ("iterations", self.iterations, 0..=LONGEST),
            ],
        )?;
        if self.zoo <= self.dimension {
            let expected = format!("more than meta.dimension {}", self.dimension);
            return Err(Error::parameter("meta.zoo", expected, self.zoo));
        }
        if self.drawn < self.samples {
            return Err(Error::parameter("meta.drawn", format!("at least meta.samples {}", self.samples), self.drawn));
        }
        self.tuning(0, 0).check()
    }

    pub(super) fn tuning(&self, seed: u64, validate_every: u64) -> TuneConfig {
        let of = TuneConfig::default();
        let optimiser = AdamWConfig { learning_rate: self.learning_rate, ..of.optimiser.clone() };
        TuneConfig {
            seed,
            strength: self.strength,
            iterations: self.iterations.max(1),
            steps: self.steps,
            trajectories: self.trajectories,
            validate_every: if validate_every == 0 { self.iterations.max(1) } else { validate_every },
            validation_samples: self.samples,
            validation_steps: SAMPLING,
            optimiser,
            ..of
        }
    }
}
