//! DeepWeightFlow's recipe, judged as everything here is: [`Frontier`] on their zoo, with their alignment, field, source and steps.
use super::experiment::{Experiment, Findings, Run, Scale};
use super::frontier::Frontier;
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The parameters of a frontier, with their values for it in `experiments/deepweightflow.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub struct DeepWeightFlow(Frontier);

impl Experiment for DeepWeightFlow {
    const NAME: &'static str = "deepweightflow";
    const TOML: &'static str = include_str!("../../../../experiments/deepweightflow.toml");

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
