//! How long a training is, how it moves, and where its state is kept.
use crate::nn::optimiser::AdamWConfig;
use std::path::Path;

/// How long a fit is and how it moves.
#[derive(Clone, Copy)]
pub(crate) struct TrainingSchedule<'a> {
    /// What it is called while it runs.
    pub what: &'a str,
    /// The fit's seed, told with a loss that explodes; none where the streams are those of another's fit.
    pub seed: Option<u64>,
    /// Steps in all.
    pub steps: u64,
    /// Steps between two looks.
    pub validate_every: u64,
    /// The optimiser.
    pub optimiser: &'a AdamWConfig,
}

/// Where a fit's state is kept between steps.
#[derive(Clone, Copy)]
pub struct Checkpointing<'a> {
    /// The file.
    pub path: &'a Path,
    /// The fit that the state belongs to.
    pub identity: &'a str,
    /// Steps between two savings; 0 for on interruption only.
    pub every: u64,
    /// Whether the state of the finished fit is saved as well.
    pub last: bool,
    /// Whether to go on from a state that is there.
    pub resume: bool,
}
