//! f's accuracy on unlabelled rows Q: an estimate with an interval, beside the alarm of the tests.
//!
//! Nothing unlabelled can say how often f is right under any shift whatever. What can be had, from held-out rows of P with labels:
//!
//! - **Without shift**, an exact prediction interval. Given that f is right on k of m rows of P and on j of the n rows of Q, the m + n rows are
//!   exchangeable, so that j given k + j is hypergeometric; the j that neither tail at half the level excludes cover the truth with at least the nominal
//!   probability, for every m and n.
//! - **Average confidence** (AC): the mean of max softmax(z/T) over Q, T the temperature with the least cross-entropy on P (Guo et al. 2017).
//! - **Difference of confidences** (DoC; Guillory et al. 2021): accuracy on P less the fall of the mean confidence.
//! - **Average thresholded confidence** (ATC; Garg et al. 2022): the share of Q above the confidence that as many rows of P exceed as f is right on.
//! - **Disagreement bound** (Rosenfeld and Garg 2023): no more accuracy is lost than the network of the bank that disagrees with f most on Q disagrees
//!   there more than on P; the true labels are assumed to be no worse for f than that network. No Hoeffding term: the prediction interval's width stands
//!   for the chance in it.
//!
//! The interval is the hull of the prediction interval and of its copies about the three estimates, so that it keeps its coverage without shift; where the
//! tests find a shift, it extends down to the disagreement bound as well. Nothing is claimed where the interval is wider than [`WIDEST`], and where a
//! shift is found and no network can disagree, or more than [`FAR`] of the rows lie out of [`reach`] of P: there confidence may be fooled, and
//! networks that were held to f on P with it. Coverage under shift is measured, not proved (`tests/estimate.rs`: the rule was chosen on rotated digits;
//! turned upside down they have an accuracy of .16, a confidence of .84 and a bound of .69).
use super::base::Sample;
use super::law::outcome::Outcome;
use crate::{Error, Result};
use serde::Serialize;
use statrs::distribution::{DiscreteCDF, Hypergeometric};
use thalweg_nets::loss::softmax;

pub mod reach;
pub mod relation;
mod temperature;
#[cfg(test)]
mod tests;

pub use temperature::temperature;

/// Share of rows out of reach beyond which nothing is claimed of shifted rows.
pub const FAR: f64 = 0.5;

/// An interval that is wider says too little to be given.
pub const WIDEST: f64 = 0.5;

/// What is known of f on P: held-out rows with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Rows.
    rows: usize,
    /// Those that f is right on.
    right: usize,
    temperature: f64,
    /// At that temperature, `[N]`, from above.
    confidences: Vec<f64>,
}

/// What else is known of Q.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// What the tests came to.
    pub outcome: Outcome,
    /// By how much more the network that disagrees with f most does so on Q than on P; none where no networks are the same for all queries.
    pub excess: Option<f64>,
    /// Share of rows out of reach of P; none where inputs are not known.
    pub outside: Option<f64>,
}

/// f's accuracy on Q.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Rows of P that it is made from, and f's accuracy there.
    pub rows_of_p: usize,
    /// f's accuracy on them.
    pub accuracy_on_p: f64,
    /// T.
    pub temperature: f64,
    /// AC.
    pub average_confidence: f64,
    /// DoC.
    pub difference_of_confidences: f64,
    /// ATC.
    pub average_thresholded_confidence: f64,
    /// Least accuracy by the disagreement bound; none where no networks are the same for all queries.
    pub disagreement_bound: Option<f64>,
    /// Share of rows out of reach of P; none where inputs are not known.
    pub rows_out_of_reach: Option<f64>,
    /// Nominal coverage of the interval.
    pub coverage: f64,
    /// Where the accuracy on Q lies; none where that cannot be told.
    pub interval: Option<[f64; 2]>,
    /// Why it cannot be told.
    pub reason: Option<&'static str>,
}

impl Known {
    /// From held-out rows of P and their labels `[N]`.
    ///
    /// # Errors
    /// Labels of another number, or none.
    pub fn new(rows: &Sample, labels: &[u32]) -> Result<Self> {
        if labels.len() != rows.len() || labels.is_empty() {
            return Err(Error::shape("labels of P", format!("[{} ≥ 1]", rows.len()), format!("[{}]", labels.len())));
        }
        let right = rows.predictions().iter().zip(labels).filter(|(a, b)| a == b).count();
        let temperature = temperature(&rows.logits, labels, rows.classes());
        let mut confidences = confidences(rows, temperature);
        confidences.sort_by(|a, b| b.total_cmp(a));
        Ok(Self { rows: rows.len(), right, temperature, confidences })
    }

    /// f's accuracy on P.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.rows as f64
    }

    /// f's accuracy on `query`, by an interval at 1 − `level`.
    ///
    /// # Errors
    /// Another number of classes, no row, a level outside (0, 1).
    pub fn estimate(&self, query: &Sample, evidence: Evidence, level: f64) -> Result<Estimate> {
        let Evidence { outcome, excess, outside } = evidence;
        let of_q = confidences(query, self.temperature);
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let accuracy = self.accuracy();
        let ac = mean(&of_q);
        let doc = (accuracy + ac - mean(&self.confidences)).clamp(0.0, 1.0);
        let threshold = self.right.checked_sub(1).map_or(f64::INFINITY, |last| self.confidences[last]);
        let atc = of_q.iter().filter(|c| **c >= threshold).count() as f64 / of_q.len() as f64;
        let [low, high] = unshifted(self.right, self.rows, query.len(), level)?;
        let bound = excess.map(|excess| (low - excess.max(0.0)).max(0.0));
        let at = |estimate: f64| [estimate - (accuracy - low).max(0.0), estimate + (high - accuracy).max(0.0)];
        let mut hull = [low, high];
        for [a, b] in [ac, doc, atc].map(at) {
            hull = [hull[0].min(a), hull[1].max(b)];
        }
        let shifted = outcome != Outcome::NoEvidenceOfHarm;
        if let (true, Some(bound)) = (shifted, bound) {
            hull[0] = hull[0].min(bound);
        }
        let interval = hull.map(|end| end.clamp(0.0, 1.0));
        let reason = match (shifted, bound) {
            (true, None) => {
                Some("the rows are shifted, and no networks were calibrated that could disagree with the model")
            }
            _ if shifted && outside.is_some_and(|share| share > FAR) => {
                Some("the rows are shifted, and most lie further from those of P than nearly all of P's own do")
            }
            _ if interval[1] - interval[0] > WIDEST => Some("too many accuracies are possible"),
            _ => None,
        };
        Ok(Estimate {
            rows_of_p: self.rows,
            accuracy_on_p: accuracy,
            temperature: self.temperature,
            average_confidence: ac,
            difference_of_confidences: doc,
            average_thresholded_confidence: atc,
            disagreement_bound: bound,
            rows_out_of_reach: outside,
            coverage: 1.0 - level,
            interval: reason.is_none().then_some(interval),
            reason,
        })
    }
}

/// max softmax(z/T) of every row.
fn confidences(rows: &Sample, temperature: f64) -> Vec<f64> {
    let c = rows.classes().max(1);
    let (mut scaled, mut p) = (vec![0.0; c], vec![0.0; c]);
    let of = |z: &[f32]| {
        scaled.iter_mut().zip(z).for_each(|(s, z)| *s = (f64::from(*z) / temperature) as f32);
        softmax(&scaled, &mut p);
        f64::from(p.iter().copied().fold(0.0, f32::max))
    };
    rows.logits.chunks_exact(c).map(of).collect()
}

/// The shares of `n` rows that f may be right on where it is right on `right` of `rows` and all are exchangeable, at 1 − `level`.
///
/// # Errors
/// No row, a level outside (0, 1).
pub fn unshifted(right: usize, rows: usize, n: usize, level: f64) -> Result<[f64; 2]> {
    if n == 0 || right > rows || !(level > 0.0 && level < 1.0) {
        let found = format!("{right} of {rows}, {n} rows, level {level}");
        return Err(Error::parameter("prediction interval", "rows, no more of them right, a level in (0, 1)", found));
    }
    let law = |j: usize| {
        let [all, hits, draws] = [rows + n, right + j, n].map(|v| v as u64);
        Hypergeometric::new(all, hits, draws).map_err(|e| Error::parameter("prediction interval", "a law", e))
    };
    // Both tails are monotone in j: the first that is not too low, the last that is not too high.
    let low = first(n, |j| Ok(law(j)?.cdf(j as u64) > level / 2.0))?;
    let above = first(n, |j| Ok(j > 0 && law(j)?.sf(j as u64 - 1) <= level / 2.0))?;
    let high = above.saturating_sub(1).max(low.min(n));
    Ok([low.min(n) as f64 / n as f64, high as f64 / n as f64])
}

/// The first of 0..=n for which `holds`, which holds for all after it; n + 1 where it never does.
fn first(n: usize, holds: impl Fn(usize) -> Result<bool>) -> Result<usize> {
    let (mut low, mut high) = (0, n + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle)? { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}
