//! Fields that are equivariant to permutations of hidden units (M23), judged as everything here is: [`Frontier`] on independent runs that nothing has aligned.
use super::experiment::{Experiment, Findings, Run, Scale};
use super::frontier::Frontier;
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The parameters of a frontier, with their values for it in `experiments/equivariance.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Equivariance(Frontier);

impl Experiment for Equivariance {
    const NAME: &'static str = "equivariance";
    const TOML: &'static str = include_str!("../../../../experiments/equivariance.toml");

    fn seed(&self) -> u64 {
        self.0.seed()
    }

    fn set_seed(&mut self, seed: u64) {
        self.0.set_seed(seed);
    }

    fn check(&self, scale: Scale) -> Result<()> {
        self.0.check(scale)
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        self.0.run(run)
    }
}
