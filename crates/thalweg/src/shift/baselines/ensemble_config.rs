//! Parameters of the deep ensemble.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thalweg_nets::train::{Length, Recipe};

/// The ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnsembleConfig {
    /// Networks beside f: 5.
    pub members: usize,
    /// How they are trained: Adam 0.003, 400 steps of 64 rows.
    pub recipe: Recipe,
}

impl Default for EnsembleConfig {
    fn default() -> Self {
        let recipe =
            Recipe { learning_rate: 3e-3, length: Length::Steps(400), checkpoints: vec![1.0], ..Recipe::default() };
        Self { members: 5, recipe }
    }
}
