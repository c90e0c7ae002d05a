//! What decides a tuning, as TOML holds it.
use crate::nn::optimiser::{AdamWConfig, Schedule};
use crate::ranges::{self, LONGEST, MOST};
use crate::train::{Better, TrainingSchedule, ValidationSchedule};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use thalweg_nets::memory::Need;

/// Which controlled process is simulated (M12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Control {
    /// Memoryless where the model allows it, else general with noise 0.3.
    #[default]
    #[serde(alias = "natural")]
    Auto,
    /// The memoryless process: the tuned law is p₁ exp(λ r) up to normalisation. Needs conditional flow matching with independent
    /// coupling, path width 0 and a Gaussian source (standard, Kaiming, or a centre with normal noise; Kaiming uniform is
    /// replaced by the normal law of the same variances while tuning).
    Memoryless,
    /// dX = v dt + σ dB with σ² = noise² (1 − t): for any velocity field. Two biases remain. The start's own value is not
    /// accounted for: starts are drawn from p₀ as before, so the law is tilted given its start and not as a whole, and if
    /// the start decides the end (paired couplings) rewards can only be reached by transport, not by selection. And
    /// sampling follows the ODE without the noise that the control was found under. It works all the same: paired MNIST
    /// flow to Fashion-MNIST, λ = 3,000, 100 iterations: .079 to .614, where the memoryless process on a Gaussian source gets to .62 in 200.
    General {
        /// Scale of the noise in standardised units, above 0.
        noise: f64,
    },
}

/// Everything that decides a tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TuneConfig {
    /// Seed of every random stream (0).
    pub seed: u64,
    /// λ, the reward's weight against the distance from the base law (30,000; above 0). The reward's size decides what is much: for the loss
    /// of networks of some thousand weights, 300 moves them a little or not at all, 3,000 far, 30,000 is near plain maximisation.
    pub strength: f64,
    /// Iterations (200; 1 to 1,000,000,000).
    pub iterations: u64,
    /// Steps of the simulated process (20; 4 to 100,000).
    pub steps: usize,
    /// Trajectories an iteration (16; 1 to 1,000,000).
    pub trajectories: usize,
    /// The process (auto).
    pub control: Control,
    /// Largest norm of ∇r in standardised coordinates (inf; above 0): rewards of weights have huge gradients off the data.
    pub reward_clip: f64,
    /// Largest residual of a trajectory at a step, over the median of its step's residuals (8; above 1, inf for none).
    pub term_clip: f64,
    /// Optimiser steps an iteration (2; at least 1).
    pub updates: u64,
    /// Iterations whose trajectories are kept for reuse, this one included (1; at least 1). Old ones belong to an older
    /// control: the fixed point is the same, the way there is cheaper and less direct.
    pub buffer: usize,
    /// Iterations between two validations by the held-out reward (10; at least 1).
    #[serde(alias = "look-every")]
    pub validate_every: u64,
    /// Networks sampled at a validation (16; at least 1).
    #[serde(alias = "look-samples")]
    pub validation_samples: usize,
    /// Euler steps of a validation (40; at least 1).
    #[serde(alias = "look-steps")]
    pub validation_steps: usize,
    /// Early-stopping patience: validations without a better held-out reward (0: off).
    pub patience: usize,
    /// The optimiser (AdamW, 3e-4, constant, no decay, average .9).
    pub optimiser: AdamWConfig,
}

impl Default for TuneConfig {
    fn default() -> Self {
        let optimiser = AdamWConfig {
            learning_rate: 3e-4,
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            average: 0.9,
            ..AdamWConfig::default()
        };
        Self {
            seed: 0,
            strength: 30_000.0,
            iterations: 200,
            steps: 20,
            trajectories: 16,
            control: Control::default(),
            reward_clip: f64::INFINITY,
            term_clip: 8.0,
            updates: 2,
            buffer: 1,
            validate_every: 10,
            validation_samples: 16,
            validation_steps: 40,
            patience: 0,
            optimiser,
        }
    }
}

impl TuneConfig {
    /// Checks that the memory budget holds the tuning of a method of so many `parameters` over points `[dimension]`, whose field holds `at_work` numbers for each.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub(crate) fn check_memory(&self, dimension: usize, parameters: usize, at_work: usize) -> Result<()> {
        let kept = self.buffer.saturating_mul(3);
        Need::of(format!("tuning {parameters} parameters over points of {dimension} numbers"))
            .numbers("parameters with the optimiser's state", &[parameters, 6])
            .numbers("trajectories (with steps and buffer)", &[self.trajectories, self.steps, kept, dimension])
            .numbers("what the field holds for each step", &[self.trajectories, self.steps.saturating_add(1), at_work])
            .numbers("validation samples", &[self.validation_samples, dimension])
            .check(|| None)
    }

    /// How long the tuning is and how it moves.
    pub(crate) fn schedule(&self) -> TrainingSchedule<'_> {
        TrainingSchedule {
            what: "tuning",
            unit: "iteration",
            seed: Some(self.seed),
            steps: self.iterations,
            updates: self.updates,
            optimiser: &self.optimiser,
            validation: ValidationSchedule {
                every: self.validate_every,
                at_start: true,
                better: Better::Higher,
                patience: self.patience,
            },
        }
    }

    /// Reads and checks the TOML form, from `path` for the errors.
    ///
    /// # Errors
    /// Unknown keys, wrong types, numbers outside their ranges: with file and key.
    pub fn from_toml_str(path: &Path, text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| {
            Error::format(path, "tuning configuration", "known keys with values of their types", e.to_string().trim())
        })?;
        config.check().map_err(|e| e.in_file(path))?;
        Ok(config)
    }

    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        ranges::check(
            "",
            [
                ("iterations", self.iterations, 1..=LONGEST),
                ("steps", self.steps as u64, 4..=100_000),
                ("trajectories", self.trajectories as u64, 1..=MOST),
                ("updates", self.updates, 1..=MOST),
                ("buffer", self.buffer as u64, 1..=10_000),
                ("validate-every", self.validate_every, 1..=LONGEST),
                ("validation-samples", self.validation_samples as u64, 1..=MOST),
                ("validation-steps", self.validation_steps as u64, 1..=MOST),
            ],
        )?;
        if self.seed > i64::MAX as u64 {
            return Err(Error::parameter("seed", "at most 2^63 - 1 (what TOML holds)", self.seed));
        }
        let noise = match self.control {
            Control::General { noise } => noise,
            _ => 1.0,
        };
        for (field, value, fits, expected) in [
            ("strength", self.strength, self.strength > 0.0 && self.strength.is_finite(), "a finite number above 0"),
            ("reward-clip", self.reward_clip, self.reward_clip > 0.0, "above 0, inf for no clipping"),
            ("term-clip", self.term_clip, self.term_clip > 1.0, "above 1, inf for no clipping"),
            ("control.general.noise", noise, noise > 0.0 && noise.is_finite(), "a finite number above 0"),
        ] {
            if !fits {
                return Err(Error::parameter(field, expected, value));
            }
        }
        self.optimiser.check()
    }
}
