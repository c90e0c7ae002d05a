//! What is told of one method's networks.
use crate::metric::summary::finite_or_null;
use serde::{Deserialize, Serialize};

/// One row of a table. Numbers that a sample cannot give (the error of one network, the spread of one, the loss of
/// one that overflows, the time of the zoo) are NaN, and null in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Where the networks come from.
    pub method: String,
    /// Mean test accuracy.
    pub accuracy_mean: f64,
    /// Its standard error.
    #[serde(with = "finite_or_null")]
    pub accuracy_sem: f64,
    /// Best test accuracy.
    pub accuracy_best: f64,
    /// Mean of the five best test accuracies.
    pub accuracy_top5: f64,
    /// Mean test cross-entropy.
    #[serde(with = "finite_or_null")]
    pub loss_mean: f64,
    /// Mean d: distance in weights, as they are, to the nearest training network over the zoo's leave-one-out median.
    pub novelty_l2: f64,
    /// Mean distance in weights, as they are, to the nearest training network.
    pub novelty_l2_nearest: f64,
    /// Median d_w: distance in weights to the nearest training network after alignment to it, over the zoo's leave-one-out median.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub novelty_weights: f64,
    /// Median d_f: share of test inputs answered differently from the most similar training network, over the zoo's leave-one-out median; NaN where
    /// that is 0. Where the 5 % quantile of the zoo's own is 0, class probabilities are compared in place of answers (mean total variation distance).
    #[serde(with = "finite_or_null", default = "unknown")]
    pub novelty_behaviour: f64,
    /// Mean greatest overlap (IoU) of a network's errors with those of any training network; 1: a copy in behaviour.
    pub novelty_iou: f64,
    /// N&P: share of networks at or above the zoo's own 5 % quantile in accuracy, in d_w and in d_f. Unseen runs have about .86 where the three are
    /// independent.
    #[serde(with = "finite_or_null")]
    pub novel_and_performing: f64,
    /// What was N&P before: share of networks with accuracy at or above the zoo's 5 % quantile and d > 1. Noise that a network does not feel
    /// passes for novelty here.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub novel_performing_weights: f64,
    /// Share of networks with accuracy at or above the zoo's 5 % quantile.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub performing: f64,
    /// Share of networks with d_w at or above the zoo's 5 % quantile. Distances of runs lie close together: where that quantile is .99 of the median, whatever
    /// lies between runs has none.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub new_in_weights: f64,
    /// Share of networks with d_f at or above the zoo's 5 % quantile.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub new_in_behaviour: f64,
    /// Data-copying score in weights: Mann–Whitney z of the aligned distances against those of held-out runs; far below 0: copies.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub copying_weights: f64,
    /// Data-copying score in behaviour: the same of the shares of inputs answered differently.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub copying_behaviour: f64,
    /// Spread in weights among the networks (root of the total variance) over the training runs' own.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub spread_weights: f64,
    /// Spread in behaviour among the networks (mean share of inputs that two answer differently) over the training runs' own.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub spread_behaviour: f64,
    /// How much more accurate 16 averaged networks are than one of them, over groups of 16; NaN for fewer than 16.
    #[serde(with = "finite_or_null", default = "unknown")]
    pub ensemble_gain: f64,
    /// Mean distance to the nearest other network of the sample, over the zoo's leave-one-out median; weights as they are.
    #[serde(with = "finite_or_null")]
    pub diversity_l2: f64,
    /// Mean greatest overlap of errors with any other network of the sample; 1: all err alike.
    #[serde(with = "finite_or_null")]
    pub diversity_iou: f64,
    /// Networks judged.
    pub n: usize,
    /// Seconds that making them took.
    #[serde(with = "finite_or_null")]
    pub seconds: f64,
    /// Standard deviation of the test accuracy.
    #[serde(with = "finite_or_null")]
    pub accuracy_sd: f64,
    /// The zoo's 5 % quantile of test accuracy: what counts as performing.
    pub accuracy_floor: f64,
}

/// What files of older versions do not tell.
fn unknown() -> f64 {
    f64::NAN
}
