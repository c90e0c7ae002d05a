//! Fields that are equivariant to permutations of hidden units (M23), judged as everything here is: [`Frontier`](super::frontier::Frontier) on independent runs that nothing has aligned.
use super::frontier::Recipe;

/// The values of `experiments/equivariance.toml`.
pub enum Equivariance {}

impl Recipe for Equivariance {
    const NAME: &'static str = "equivariance";
    const TOML: &'static str = include_str!("../../../../experiments/equivariance.toml");
}
