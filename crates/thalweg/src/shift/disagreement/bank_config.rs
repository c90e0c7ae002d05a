//! Parameters of the bank.
use crate::ranges::{self, MOST};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bank.
///
/// | field | default | range |
/// | --- | --- | --- |
/// | `size` | 400 | ≥ `members` CDCs |
/// | `members` | 3 | ≥ 1 taken for a query |
/// | `rows` | 16 | ≥ 1 rows in a synthetic query |
/// | `offset` | 4 | ≥ 0: greatest deviation of the common offset, in deviations of each feature; 0 leaves rows as they are |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BankConfig {
    /// CDCs in the bank.
    pub size: usize,
    /// CDCs taken for a query.
    pub members: usize,
    /// Rows in a synthetic query.
    pub rows: usize,
    /// Greatest offset.
    pub offset: f64,
}

impl Default for BankConfig {
    fn default() -> Self {
        Self { size: 400, members: 3, rows: 16, offset: 4.0 }
    }
}

impl BankConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the parameter under `bank`.
    pub fn check(&self) -> Result<()> {
        if self.members == 0 || self.members > self.size {
            return Err(Error::parameter("bank.members", format!("from 1 to bank.size {}", self.size), self.members));
        }
        ranges::check("bank.", [("size", self.size as u64, 1..=MOST), ("rows", self.rows as u64, 1..=MOST)])?;
        if !(self.offset >= 0.0 && self.offset.is_finite()) {
            return Err(Error::parameter("bank.offset", "a finite number of at least 0", self.offset));
        }
        Ok(())
    }
}
