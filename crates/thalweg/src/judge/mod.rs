//! Honest judgement of generated weights: every method, every trivial baseline, the zoo itself and held-out real runs,
//! by the same numbers, in rows of one table (M17, M20).
//!
//! Choose on validation data, report on test data (invariant 5 of ARCHITECTURE.md): a [`Judge`] is for the report. It is given the *test*
//! set; accuracies, losses, answers, overlaps and the zoo's 5 % quantiles in its rows are all on that set, and nothing may be
//! chosen by them. Distances need no data. For choosing, make another judge on the validation set.
//!
//! A network counts as novel and performing where it reaches the zoo's own 5 % quantile in three numbers at once: accuracy, distance in weights to
//! the nearest training run after alignment to it, and share of inputs that it answers differently from the run that answers most alike. Weights
//! alone are gamed by noise that no input feels, answers alone by bad networks.
//!
//! Cost: every network is evaluated once (the zoo's at the start); distances O((R + n) R P), blocked; at most three alignments a network.
pub mod action_gap;
pub mod baseline;
mod by_weights;
mod evaluation;
mod evaluator;
mod flat;
mod gaussians;
mod groups;
mod reference;
mod results;
mod row;
mod runs;
mod table;

pub use crate::space::flat::{PROBES, Probe, Slope};
pub use by_weights::{Scorer, Weights, WeightsRow, by_weights};
pub use evaluator::{ByEngine, Evaluation, Evaluator};
pub use groups::Groups;
pub use reference::{GroupLogits, ZooReference};
pub use results::{RESULTS, read_rows, write_rows};
pub use row::Row;
pub use runs::ZooRuns;
pub use table::{Judged, Origin, table};

use crate::Result;
use crate::coupling::distance::{Nearest, nearest_others};
use crate::metric::aligned::AlignedNeighbourhood;
use crate::metric::copying::mann_whitney_z;
use crate::metric::novelty::{Neighbourhood, novel_and_performing};
use crate::metric::summary::{Better, Summary, mean, quantile};
use crate::metric::wasserstein::spread;
use evaluation::{Evaluated, evaluate, keeps_probabilities};
use groups::{HELD_OUT, TRAINING};

/// The quantile of the zoo's own runs that a network has to reach.
const LEAST: f64 = 0.05;

/// The numbers of each network behind a [`Row`], all `[n]`: for scatter plots and for picking out single networks.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Test accuracy.
    pub accuracy: Vec<f64>,
    /// Test cross-entropy; +∞ where it overflows.
    pub loss: Vec<f64>,
    /// The nearest training network in weights as they are, and its distance.
    pub nearest: Vec<Nearest>,
    /// d of [`Self::nearest`].
    pub d: Vec<f64>,
    /// The nearest training network in weights after alignment to it, and its distance.
    pub aligned: Vec<Nearest>,
    /// d_w: distances of [`Self::aligned`] over the zoo's leave-one-out median.
    pub d_weights: Vec<f64>,
    /// The training network that answers most alike, and the share of inputs answered differently from it; where a twentieth of the zoo's own runs answer
    /// all inputs as another does, the mean total variation distance of the class probabilities in its place.
    pub alike: Vec<Nearest>,
    /// d_f: shares of [`Self::alike`] over the zoo's leave-one-out median; NaN where that is 0.
    pub d_behaviour: Vec<f64>,
    /// Whether it is novel and performing.
    pub novel_and_performing: Vec<bool>,
    /// Greatest overlap of errors with a training network.
    pub similarity: Vec<f64>,
    /// d to the nearest other network of the sample; empty for a sample of one.
    pub d_within: Vec<f64>,
    /// Greatest overlap of errors with another network of the sample; empty for a sample of one.
    pub similarity_within: Vec<f64>,
}

/// What is told of networks together, not one by one; NaN where there are too few.
#[derive(Clone, Copy, Debug)]
struct Together {
    spread_weights: f64,
    spread_behaviour: f64,
    ensemble_gain: f64,
}

/// What the zoo's own runs are like, each against the others: units and least values of the three numbers.
#[derive(Clone, Copy, Debug)]
struct Own {
    accuracy_floor: f64,
    weights: Scale,
    behaviour: Scale,
    spread_weights: f64,
    spread_behaviour: f64,
}

/// Median and 5 % quantile of leave-one-out distances.
#[derive(Clone, Copy, Debug)]
struct Scale {
    median: f64,
    least: f64,
}

impl Scale {
    fn of(what: &str, nearest: &[Nearest]) -> Result<Self> {
        let distances = distances(nearest);
        Ok(Self { median: quantile(what, &distances, 0.5)?, least: quantile(what, &distances, LEAST)? })
    }

    /// The share of distances at or above the 5 % quantile.
    fn reached(&self, nearest: &[Nearest]) -> f64 {
        nearest.iter().filter(|x| x.distance >= self.least).count() as f64 / nearest.len() as f64
    }

    /// Distances in units of the median; NaN where that is 0.
    fn relative(&self, nearest: &[Nearest]) -> Vec<f64> {
        let one = |x: &Nearest| if self.median > 0.0 { x.distance / self.median } else { f64::NAN };
        nearest.iter().map(one).collect()
    }
}

/// A zoo with its statistics, ready to judge.
pub struct Judge<'a> {
    zoo: ZooReference<'a>,
    neighbourhood: Neighbourhood<'a>,
    aligned: Option<AlignedNeighbourhood<'a>>,
    evaluated: Evaluated,
    own: Own,
    training: (Judgement, Together),
    held_out: Option<(Judgement, Together)>,
}

impl<'a> Judge<'a> {
    /// Evaluates the training networks and the held-out ones and measures their distances, once.
    ///
    /// # Errors
    /// Slices that do not fit the engine, weights that are not finite, fewer than two training networks, copies only.
    pub fn new(zoo: ZooReference<'a>) -> Result<Self> {
        let layout = zoo.layout();
        let neighbourhood = Neighbourhood::new(zoo.training, layout.len())?;
        let mut evaluated = evaluate(&zoo, Some(TRAINING), zoo.training, keeps_probabilities(&zoo))?;
        let (nearest, similarity) = (neighbourhood.own().to_vec(), evaluated.wrong.most_similar_others()?);
        let mut alike = evaluated.answers.nearest_others()?;
        let behaviour = |alike: &[Nearest]| Scale::of("leave-one-out difference of answers", alike);
        let mut of_answers = behaviour(&alike)?;
        // Where runs answer every row as another does, their answers alone tell copies from nothing.
        evaluated.probabilities = evaluated.probabilities.filter(|_| of_answers.least == 0.0);
        if let Some(probabilities) = &evaluated.probabilities {
            alike = probabilities.nearest_others()?;
            of_answers = behaviour(&alike)?;
        }
        let symmetry = zoo.symmetry.filter(|symmetry| symmetry.layout() == layout);
        let neighbours = symmetry.map(|symmetry| AlignedNeighbourhood::new(zoo.training, symmetry));
        let aligned = match &neighbours {
            Some(neighbours) => neighbours.nearest_others(&nearest, &alike)?,
            None => nearest.clone(),
        };
        let own = Own {
            accuracy_floor: quantile("accuracy", &evaluated.accuracy, LEAST)?,
            weights: Scale::of("leave-one-out distance", &aligned)?,
            behaviour: of_answers,
            spread_weights: spread(zoo.training, layout.len())?,
            spread_behaviour: evaluated.answers.spread()?,
        };
        let d = neighbourhood.relative(&nearest);
        let accuracy = evaluated.accuracy.clone();
        let judgement = Judgement {
            novel_and_performing: own.novel_and_performing(&accuracy, &aligned, &alike),
            accuracy,
            loss: evaluated.loss.clone(),
            nearest,
            d_within: d.clone(),
            d,
            d_weights: own.weights.relative(&aligned),
            aligned,
            d_behaviour: own.behaviour.relative(&alike),
            alike,
            similarity_within: similarity.clone(),
            similarity,
        };
        let together = own.together(own.spread_weights, own.spread_behaviour, evaluated.ensemble_gain);
        let training = (judgement, together);
        let mut judge = Self { zoo, neighbourhood, aligned: neighbours, evaluated, own, training, held_out: None };
        judge.held_out = (!zoo.held_out.is_empty()).then(|| judge.examine(Some(HELD_OUT), zoo.held_out)).transpose()?;
        Ok(judge)
    }

    /// The zoo's 5 % quantile of test accuracy.
    pub fn accuracy_floor(&self) -> f64 {
        self.own.accuracy_floor
    }

    /// The zoo's leave-one-out median distance, weights as they are: the unit of d.
    pub fn median(&self) -> f64 {
        self.neighbourhood.median()
    }

    /// Whether alignment brings the zoo's runs nearer to each other, by more than a hundredth of their distance.
    fn reorders(&self) -> bool {
        self.own.weights.median < 0.99 * self.median()
    }

    /// Judges networks `theta [n, P]` one by one.
    ///
    /// # Errors
    /// A slice that is no `[n, P]` with n ≥ 1, or not finite.
    pub fn judge(&self, theta: &[f32]) -> Result<Judgement> {
        Ok(self.examine(None, theta)?.0)
    }

    fn examine(&self, group: Option<usize>, theta: &[f32]) -> Result<(Judgement, Together)> {
        let p = self.zoo.layout().len();
        let nearest = self.neighbourhood.nearest(theta)?;
        let own = self.evaluated.probabilities.as_ref();
        let Evaluated { accuracy, loss, wrong, answers, probabilities, ensemble_gain } =
            evaluate(&self.zoo, group, theta, own.is_some())?;
        let alike = match (&probabilities, own) {
            (Some(probabilities), Some(own)) => probabilities.nearest(own)?,
            _ => answers.nearest(&self.evaluated.answers)?,
        };
        let aligned = match &self.aligned {
            Some(neighbours) => neighbours.nearest(theta, &nearest, &alike)?,
            None => nearest.clone(),
        };
        let several = nearest.len() > 1;
        let (d_within, similarity_within) = match several {
            true => (self.neighbourhood.relative(&nearest_others(theta, p)?), wrong.most_similar_others()?),
            false => (Vec::new(), Vec::new()),
        };
        let (weights, behaviour) = if several { (spread(theta, p)?, answers.spread()?) } else { (f64::NAN, f64::NAN) };
        let own = &self.own;
        let together = own.together(weights, behaviour, ensemble_gain);
        let judgement = Judgement {
            novel_and_performing: own.novel_and_performing(&accuracy, &aligned, &alike),
            accuracy,
            loss,
            d: self.neighbourhood.relative(&nearest),
            nearest,
            d_weights: own.weights.relative(&aligned),
            aligned,
            d_behaviour: own.behaviour.relative(&alike),
            alike,
            similarity: wrong.most_similar(&self.evaluated.wrong)?,
            d_within,
            similarity_within,
        };
        Ok((judgement, together))
    }

    /// Judges networks `theta [n, P]` that `method` made in so many `seconds`, as one row.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub fn row(&self, method: &str, theta: &[f32], seconds: f64) -> Result<Row> {
        let (judged, together) = self.examine(None, theta)?;
        self.summarise(method, &judged, together, seconds)
    }

    /// The row of a judgement.
    fn summarise(&self, method: &str, judged: &Judgement, together: Together, seconds: f64) -> Result<Row> {
        let accuracy = Summary::of("accuracy", &judged.accuracy, Better::Higher)?;
        let (own, floor) = (&self.own, self.own.accuracy_floor);
        let share = |count: usize| count as f64 / accuracy.n as f64;
        // Held-out runs against themselves would have 0 by construction.
        let copying = |of: fn(&Judgement) -> &[Nearest]| match &self.held_out {
            Some((held_out, _)) if !std::ptr::eq(held_out, judged) => {
                mann_whitney_z(&distances(of(judged)), &distances(of(held_out)))
            }
            _ => f64::NAN,
        };
        Ok(Row {
            method: method.into(),
            accuracy_mean: accuracy.mean,
            accuracy_sem: accuracy.sem,
            accuracy_best: accuracy.best,
            accuracy_top5: accuracy.top5,
            loss_mean: mean(&judged.loss),
            novelty_l2: mean(&judged.d),
            novelty_l2_nearest: mean(&distances(&judged.nearest)),
            novelty_weights: median(&judged.d_weights),
            novelty_behaviour: median(&judged.d_behaviour),
            novelty_iou: mean(&judged.similarity),
            novel_and_performing: share(judged.novel_and_performing.iter().filter(|both| **both).count()),
            novel_performing_weights: novel_and_performing(&judged.accuracy, &judged.d, floor),
            performing: share(judged.accuracy.iter().filter(|a| **a >= floor).count()),
            new_in_weights: own.weights.reached(&judged.aligned),
            new_in_behaviour: own.behaviour.reached(&judged.alike),
            copying_weights: copying(|j| &j.aligned),
            copying_behaviour: copying(|j| &j.alike),
            spread_weights: together.spread_weights,
            spread_behaviour: together.spread_behaviour,
            ensemble_gain: together.ensemble_gain,
            diversity_l2: mean(&judged.d_within),
            diversity_iou: mean(&judged.similarity_within),
            n: accuracy.n,
            seconds,
            accuracy_sd: accuracy.sd,
            accuracy_floor: floor,
        })
    }

    /// The training runs, each judged against the others (leave-one-out).
    fn zoo_row(&self) -> Result<Row> {
        self.summarise("zoo", &self.training.0, self.training.1, f64::NAN)
    }
}

impl Own {
    /// Which networks reach the zoo's least values in all three numbers. Distances are compared as they are: a zoo whose runs answer alike has a
    /// median of 0.
    fn novel_and_performing(&self, accuracy: &[f64], aligned: &[Nearest], alike: &[Nearest]) -> Vec<bool> {
        let reaches = |((accuracy, aligned), alike): ((&f64, &Nearest), &Nearest)| {
            *accuracy >= self.accuracy_floor
                && aligned.distance >= self.weights.least
                && alike.distance >= self.behaviour.least
        };
        accuracy.iter().zip(aligned).zip(alike).map(reaches).collect()
    }

    fn together(&self, weights: f64, behaviour: f64, ensemble_gain: f64) -> Together {
        let over = |of: f64, own: f64| if own > 0.0 { of / own } else { f64::NAN };
        Together {
            spread_weights: over(weights, self.spread_weights),
            spread_behaviour: over(behaviour, self.spread_behaviour),
            ensemble_gain,
        }
    }
}

fn distances(nearest: &[Nearest]) -> Vec<f64> {
    nearest.iter().map(|x| x.distance).collect()
}

/// The median; NaN where a value is, or where there is none.
fn median(values: &[f64]) -> f64 {
    quantile("values", values, 0.5).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests;
