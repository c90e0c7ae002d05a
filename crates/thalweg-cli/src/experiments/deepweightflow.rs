//! DeepWeightFlow's recipe, judged as everything here is: [`Frontier`](super::frontier::Frontier) on their zoo, with their alignment, field, source and steps.
use super::frontier::Recipe;

/// The values of `experiments/deepweightflow.toml`.
pub enum DeepWeightFlow {}

impl Recipe for DeepWeightFlow {
    const NAME: &'static str = "deepweightflow";
    const TOML: &'static str = include_str!("../../../../experiments/deepweightflow.toml");
}
