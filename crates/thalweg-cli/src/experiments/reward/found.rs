//! What was found on a task.
use super::rivals::Ascent;
use super::tuning::{Judged, Tuning};

/// What was found on one task.
pub(super) struct Found {
    pub(super) task: String,
    /// Every way, judged; the base first, then a tuning a strength.
    pub(super) judged: Vec<Judged>,
    /// A tuning a strength.
    pub(super) tunings: Vec<Tuning>,
    /// The strength with the best validation accuracy.
    pub(super) chosen: usize,
    /// Mean test accuracies of the tunings at that strength, a seed each.
    pub(super) over_seeds: Vec<f64>,
    pub(super) ascent: Ascent,
    pub(super) costs: Vec<Cost>,
}

/// Seconds for `n` good networks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) n: usize,
    /// Tuning the generator and sampling n.
    pub(super) tuned: f64,
    /// Ascent on n samples until they are as good on average; NaN where it did not get there.
    pub(super) ascent: f64,
}
