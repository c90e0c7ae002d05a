//! Honest judgement of generated weights: every method, every trivial baseline, the zoo itself and held-out real runs,
//! by the same numbers, in rows of one table (M17, M20).
//!
//! Choose on validation data, report on test data (invariant 5 of ARCHITECTURE.md): a [`Judge`] is for the report. It is given the *test*
//! set; accuracies, losses, overlaps and the zoo's 5 % quantile in its rows are all on that set, and nothing may be
//! chosen by them. Distances need no data. For choosing, make another judge on the validation set.
//!
//! Cost: every network is evaluated once (the zoo's at the start); distances O((R + n) R P), blocked.
pub mod action_gap;
pub mod baseline;
mod by_weights;
mod reference;
mod results;
mod runs;
mod table;

pub use by_weights::{Scorer, Weights, WeightsRow, by_weights};
pub use reference::ZooReference;
pub use results::{RESULTS, read_rows, write_rows};
pub use runs::ZooRuns;
pub use table::{Judged, Origin, table};

use crate::coupling::distance::{Nearest, nearest_others};
use crate::metric::behaviour::WrongSets;
use crate::metric::novelty::{Neighbourhood, novel_and_performing};
use crate::metric::summary::{Better, Summary, finite_or_null, mean};
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thalweg_nets::evaluate::argmax;
use thalweg_nets::loss::{CrossEntropy, LogitLoss};

/// Networks whose logits are held at once.
const AT_ONCE: usize = 64;

/// One row of a table. Numbers that a sample cannot give (the error of one network, the diversity of one, the loss of
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
    /// Mean d: distance to the nearest training network over the zoo's leave-one-out median.
    pub novelty_l2: f64,
    /// Mean distance to the nearest training network.
    pub novelty_l2_nearest: f64,
    /// Mean greatest overlap (IoU) of a network's errors with those of any training network; 1: a copy in behaviour.
    pub novelty_iou: f64,
    /// N&P: share of networks with accuracy at or above the zoo's 5 % quantile and d > 1.
    pub novel_and_performing: f64,
    /// Mean distance to the nearest other network of the sample, over the zoo's leave-one-out median.
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

/// The numbers of each network behind a [`Row`], all `[n]`: for scatter plots and for picking out single networks.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Test accuracy.
    pub accuracy: Vec<f64>,
    /// Test cross-entropy; +∞ where it overflows.
    pub loss: Vec<f64>,
    /// The nearest training network and its distance.
    pub nearest: Vec<Nearest>,
    /// d of [`Self::nearest`].
    pub d: Vec<f64>,
    /// Greatest overlap of errors with a training network.
    pub similarity: Vec<f64>,
    /// d to the nearest other network of the sample; empty for a sample of one.
    pub d_within: Vec<f64>,
    /// Greatest overlap of errors with another network of the sample; empty for a sample of one.
    pub similarity_within: Vec<f64>,
}

/// A zoo with its statistics, ready to judge.
pub struct Judge<'a> {
    zoo: ZooReference<'a>,
    neighbourhood: Neighbourhood<'a>,
    own: Judgement,
    wrong: WrongSets,
    floor: f64,
}

impl<'a> Judge<'a> {
    /// Evaluates the training networks and measures their distances, once.
    ///
    /// # Errors
    /// Slices that do not fit the engine, weights that are not finite, fewer than two training networks, copies only.
    pub fn new(zoo: ZooReference<'a>) -> Result<Self> {
        let neighbourhood = Neighbourhood::new(zoo.training, zoo.engine.parameters())?;
        let (accuracy, loss, wrong) = evaluate(&zoo, zoo.training)?;
        let (nearest, similarity) = (neighbourhood.own().to_vec(), wrong.most_similar_others()?);
        let d = neighbourhood.relative(&nearest);
        let floor = accuracy_floor(&accuracy)?;
        let own = Judgement {
            accuracy,
            loss,
            nearest,
            d_within: d.clone(),
            d,
            similarity_within: similarity.clone(),
            similarity,
        };
        Ok(Self { zoo, neighbourhood, own, wrong, floor })
    }

    /// The zoo's 5 % quantile of test accuracy.
    pub fn accuracy_floor(&self) -> f64 {
        self.floor
    }

    /// The zoo's leave-one-out median distance: the unit of d.
    pub fn median(&self) -> f64 {
        self.neighbourhood.median()
    }

    /// Judges networks `theta [n, P]` one by one.
    ///
    /// # Errors
    /// A slice that is no `[n, P]` with n ≥ 1, or not finite.
    pub fn judge(&self, theta: &[f32]) -> Result<Judgement> {
        let nearest = self.neighbourhood.nearest(theta)?;
        let (accuracy, loss, wrong) = evaluate(&self.zoo, theta)?;
        let (d_within, similarity_within) = if nearest.len() > 1 {
            let others = nearest_others(theta, self.zoo.engine.parameters())?;
            (self.neighbourhood.relative(&others), wrong.most_similar_others()?)
        } else {
            (Vec::new(), Vec::new())
        };
        let (d, similarity) = (self.neighbourhood.relative(&nearest), wrong.most_similar(&self.wrong)?);
        Ok(Judgement { accuracy, loss, nearest, d, similarity, d_within, similarity_within })
    }

    /// Judges networks `theta [n, P]` that `method` made in so many `seconds`, as one row.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub fn row(&self, method: &str, theta: &[f32], seconds: f64) -> Result<Row> {
        self.summarise(method, &self.judge(theta)?, seconds)
    }

    /// The row of a judgement.
    fn summarise(&self, method: &str, judged: &Judgement, seconds: f64) -> Result<Row> {
        let accuracy = Summary::of("accuracy", &judged.accuracy, Better::Higher)?;
        let distances: Vec<f64> = judged.nearest.iter().map(|x| x.distance).collect();
        Ok(Row {
            method: method.into(),
            accuracy_mean: accuracy.mean,
            accuracy_sem: accuracy.sem,
            accuracy_best: accuracy.best,
            accuracy_top5: accuracy.top5,
            loss_mean: mean(&judged.loss),
            novelty_l2: mean(&judged.d),
            novelty_l2_nearest: mean(&distances),
            novelty_iou: mean(&judged.similarity),
            novel_and_performing: novel_and_performing(&judged.accuracy, &judged.d, self.floor),
            diversity_l2: mean(&judged.d_within),
            diversity_iou: mean(&judged.similarity_within),
            n: accuracy.n,
            seconds,
            accuracy_sd: accuracy.sd,
            accuracy_floor: self.floor,
        })
    }

    /// The training runs, each judged against the others (leave-one-out).
    fn zoo_row(&self) -> Result<Row> {
        self.summarise("zoo", &self.own, f64::NAN)
    }
}

/// 5 % quantile of the zoo's accuracies.
fn accuracy_floor(accuracy: &[f64]) -> Result<f64> {
    crate::metric::summary::quantile("accuracy", accuracy, 0.05)
}

/// Accuracies, losses and wrong sets of `theta [n, P]` from one pass over the test set.
fn evaluate(zoo: &ZooReference<'_>, theta: &[f32]) -> Result<(Vec<f64>, Vec<f64>, WrongSets)> {
    let (engine, labels) = (zoo.engine, zoo.labels);
    if labels.len() != zoo.test.len() {
        return Err(Error::shape("labels", format!("[{}]", zoo.test.len()), format!("[{}]", labels.len())));
    }
    let cross_entropy = CrossEntropy::new(labels, engine.classes(), 0.0)?;
    let (mut accuracy, mut loss, mut wrong) = (Vec::new(), Vec::new(), WrongSets::new(&[], labels)?);
    for theta in theta.chunks((AT_ONCE * engine.parameters()).max(1)) {
        let logits = engine.logits_of_many(theta, zoo.test)?;
        let of_one = |logits: &[f32]| {
            let value = cross_entropy.rows(0, logits, &mut vec![0.0; logits.len()]);
            let sets =
                WrongSets::new(&logits.chunks_exact(engine.classes()).map(argmax).collect::<Vec<u32>>(), labels)?;
            Ok((if value.is_nan() { f64::INFINITY } else { value }, sets))
        };
        let parts: Vec<Result<(f64, WrongSets)>> =
            logits.par_chunks_exact(labels.len() * engine.classes()).map(of_one).collect();
        for part in parts {
            let (value, sets) = part?;
            accuracy.push(1.0 - sets.errors(0) as f64 / labels.len() as f64);
            loss.push(value);
            wrong.append(sets)?;
        }
    }
    Ok((accuracy, loss, wrong))
}

#[cfg(test)]
mod tests;
