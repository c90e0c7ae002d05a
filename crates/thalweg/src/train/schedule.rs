//! How long a training is, how it moves, when it is validated, and where its state is kept.
use crate::nn::optimiser::AdamWConfig;
use crate::{Error, Result};
use std::path::Path;

/// How long a training is and how it moves.
#[derive(Clone, Copy)]
pub(crate) struct TrainingSchedule<'a> {
    /// What it is called while it runs.
    pub what: &'a str,
    /// What one of its steps is called.
    pub unit: &'a str,
    /// The training's seed, told with a loss that explodes; none where the streams are those of another's fit.
    pub seed: Option<u64>,
    /// Steps in all.
    pub steps: u64,
    /// Updates of the optimiser in a step.
    pub updates: u64,
    /// The optimiser.
    pub optimiser: &'a AdamWConfig,
    /// When it is validated, and what follows from that.
    pub validation: ValidationSchedule,
}

/// When a training is validated, and what follows from that.
#[derive(Clone, Copy)]
pub(crate) struct ValidationSchedule {
    /// Steps between two validations; there is always one after the last step.
    pub every: u64,
    /// Whether there is one before the first step as well.
    pub at_start: bool,
    /// Which held-out score is the better one.
    pub better: Better,
    /// Validations without a better score before the training stops (0: never).
    pub patience: usize,
}

/// Which of two scores is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The higher one: an accuracy, a reward.
    Higher,
    /// The lower one: a loss.
    Lower,
}

impl Better {
    /// Whether `a` is better than `b`.
    pub(crate) fn than(self, a: f64, b: f64) -> bool {
        match self {
            Self::Lower => a < b,
            Self::Higher => a > b,
        }
    }

    /// What such a score is called.
    pub(super) fn score(self) -> &'static str {
        match self {
            Self::Lower => "loss",
            Self::Higher => "mean reward",
        }
    }
}

impl<'a> TrainingSchedule<'a> {
    /// A training by `steps` updates that lower a loss, validated every `every` of them and never stopped early.
    pub fn new(what: &'a str, steps: u64, every: u64, optimiser: &'a AdamWConfig) -> Self {
        let validation = ValidationSchedule { every, at_start: false, better: Better::Lower, patience: 0 };
        Self { what, unit: "step", seed: None, steps, updates: 1, optimiser, validation }
    }

    /// Checks that a score of `step`, counted from 0, is finite.
    ///
    /// # Errors
    /// One that is not, with the step, the seed and what may help.
    pub(super) fn check_finite(&self, which: &str, score: f64, step: u64) -> Result<()> {
        if score.is_finite() {
            return Ok(());
        }
        let seed = self.seed.map_or(String::new(), |seed| format!(" of seed {seed}"));
        let place = format!("{} {}{seed} (a smaller optimiser.learning-rate may help)", self.unit, step + 1);
        Err(Error::NotFinite { what: format!("{}: {which}", self.what), place, value: score })
    }
}

/// Where a training's state is kept between steps.
#[derive(Clone, Copy)]
pub struct Checkpointing<'a> {
    /// The file.
    pub path: &'a Path,
    /// The training that the state belongs to.
    pub identity: &'a str,
    /// Steps between two savings; 0 for on interruption only.
    pub every: u64,
    /// Whether the state of the finished training is saved as well.
    pub last: bool,
    /// Whether to go on from a state that is there.
    pub resume: bool,
}
