//! Parameters of Detectron.
use crate::ranges;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rounds.
///
/// | field | default | range |
/// | --- | --- | --- |
/// | `rounds` | 5 | ≥ 1 members |
/// | `idle` | 2 | ≥ 1 rounds without a new row end it |
/// | `tolerance` | 0.1 | (0, 1]: of agreement with f on validation rows |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rounds {
    /// Most members.
    pub rounds: usize,
    /// Rounds without a new row after which it ends.
    pub idle: usize,
    /// Disagreement with f on validation rows of P that spoils a member.
    pub tolerance: f64,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { rounds: 5, idle: 2, tolerance: 0.1 }
    }
}

impl Rounds {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the parameter under `detectron`.
    pub fn check(&self) -> Result<()> {
        let [rounds, idle] = [self.rounds, self.idle].map(|n| n as u64);
        ranges::check("detectron.", [("rounds", rounds, 1..=10_000), ("idle", idle, 1..=10_000)])?;
        if !(self.tolerance > 0.0 && self.tolerance <= 1.0) {
            return Err(Error::parameter("detectron.tolerance", "a number in (0, 1]", self.tolerance));
        }
        Ok(())
    }
}
