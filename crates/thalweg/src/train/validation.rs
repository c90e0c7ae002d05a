//! [`Validation`], the one record of how a training stood, and the sums that the next one is made of.

/// One validation: the averaged parameters, judged by what is held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validation {
    /// Steps done.
    pub step: u64,
    /// Mean training score since the validation before; none where there was no step.
    pub training: Option<f64>,
    /// Score on what is held out; none where nothing is.
    pub held_out: Option<f64>,
    /// Mean distance from where the training began since the validation before; none where it is not measured.
    pub distance: Option<f64>,
    /// Wall time so far.
    pub seconds: f64,
}

/// Sums of what steps noted since the last validation, and how many did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Running {
    pub(super) score: f64,
    pub(super) distance: Option<f64>,
    pub(super) count: f64,
}

impl Running {
    pub(super) fn note(&mut self, score: f64, distance: Option<f64>) {
        self.score += score;
        self.distance = distance.map(|distance| self.distance.unwrap_or(0.0) + distance).or(self.distance);
        self.count += 1.0;
    }

    pub(super) fn mean_score(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.score / self.count)
    }

    pub(super) fn mean_distance(&self) -> Option<f64> {
        self.distance.map(|distance| distance / self.count)
    }
}
