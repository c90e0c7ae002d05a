//! What to look at after an alarm: the rows that look most out of place, the features whose change explains it, the classes concerned, subgroups.
//!
//! All of it describes, and none of it decides: the outcome is that of the tests ([`super::law::outcome`]). Rows are scored by the first test that can
//! tell of rows (the bank: how readily networks that agree with f on P disagree with it there). A feature's part in that is measured by giving the rows of
//! Q values of P in its place, drawn at random from held-out rows, and scoring them again: what is then left of the excess over P does not come from it.
use self::feature::{Feature, compared, distances};
use super::base::{Sample, column_moments};
use super::calibration::Calibration;
use super::method::Method;
use crate::{Error, Result, Streams, interrupt};
use rand::RngExt;
use serde::Serialize;

pub mod feature;
pub mod tree;

/// Rows that are told.
const ROWS: usize = 12;
/// Values told of a row.
const VALUES: usize = 4;
/// Features that are told; as many are scored with values of P.
const FEATURES: usize = 16;
/// Times that a feature is given values of P.
const REPEATS: usize = 5;
/// Draws of P that are scored.
const DRAWS: usize = 20;
/// Permutations for the p-values of features.
const PERMUTATIONS: usize = 199;
/// Classes that are told.
const CLASSES: usize = 12;

/// A row of Q.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its number in Q, from 0.
    pub row: usize,
    /// How much it looks out of place.
    pub score: f64,
    /// The class that f gives it.
    pub class: usize,
    /// The features in which it lies farthest from the mean of P, with its values.
    pub values: Vec<(String, String)>,
}

/// What became of a feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// Its name.
    pub name: String,
    /// Kolmogorov-Smirnov distance between Q and P, 0 to 1.
    pub distance: f64,
    /// Its p-value by permutation, adjusted for the number of features.
    pub p_value: f64,
    /// Its mean on P and on Q, in the user's units; none of a category.
    pub means: Option<[f64; 2]>,
    /// The share of the excess of Q's scores over P's that is gone where Q has values of P in its place; none where nothing is scored.
    pub explains: Option<f64>,
}

/// What became of a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Class {
    /// Its number.
    pub class: usize,
    /// Shares of P and Q that f gives it.
    pub shares: [f64; 2],
    /// Mean score of the rows of Q that f gives it; none where there are none, or no scores.
    pub score: Option<f64>,
}

/// A part of Q with a common description.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Subgroup {
    /// What holds of its rows; all of it.
    pub conditions: Vec<String>,
    /// Its rows of Q.
    pub rows: usize,
    /// Shares of P and Q that it makes.
    pub shares: [f64; 2],
    /// Mean score of its rows.
    pub score: f64,
}

/// See the module's text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// The test that scores rows; none where no test can.
    pub scored_by: Option<Method>,
    /// Mean scores of P and Q.
    pub scores: Option<[f64; 2]>,
    /// The most out of place first.
    pub rows: Vec<Row>,
    /// The farthest from P first; empty for images, and where inputs are not known.
    pub features: Vec<Moved>,
    /// The most changed first.
    pub classes: Vec<Class>,
    /// The most out of place first; empty where Q cannot be divided.
    pub subgroups: Vec<Subgroup>,
    /// Scores of all rows of Q, `[N]`, and of rows of P.
    #[serde(skip)]
    pub all_scores: [Vec<f64>; 2],
}

/// What there is to see in `query`, of which the calibrated tests know `features` (none for images, and where inputs are not known).
///
/// # Errors
/// Features that lie outside the inputs; a query that does not fit; interruption.
pub fn explained(
    calibration: &Calibration,
    query: &Sample,
    features: &[Feature],
    streams: &Streams,
) -> Result<Explanation> {
    let width = query.width();
    if let Some(wrong) = features.iter().find(|f| f.columns.is_empty() || f.columns.end > width) {
        let found = format!("{} in columns {:?}", wrong.name, wrong.columns);
        return Err(Error::parameter("feature", format!("columns within the {width} inputs"), found));
    }
    let held_out = &calibration.reference().held_out;
    let scored = calibration.row_scores(query, &streams.child("query"))?;
    let (scored_by, scores) = scored.map_or((None, Vec::new()), |(method, scores)| (Some(method), scores));
    let on_p = match scored_by {
        Some(_) => scores_of_p(calibration, query.len(), &streams.child("home"))?,
        None => Vec::new(),
    };
    let means = scored_by.map(|_| [mean(&on_p), mean(&scores)]);
    let mut explanation = Explanation {
        scored_by,
        scores: means,
        rows: rows(query, &scores, features, held_out),
        features: moved(query, features, held_out, &streams.child("distances"))?,
        classes: classes(query, &scores, held_out),
        subgroups: subgroups(query, &scores, features, held_out),
        all_scores: [on_p, scores],
    };
    // What a stand-in answers to changed rows is not what the model itself answered to these.
    if let (Some(by), Some(means)) = (scored_by, means)
        && !by.trains_per_query()
        && calibration.record.stand_in.is_none()
    {
        for found in &mut explanation.features {
            let Some(feature) = features.iter().find(|f| f.name == found.name) else { continue };
            let streams = streams.child("in place").child(&feature.name);
            found.explains = explains(calibration, query, feature, means, &streams)?;
        }
    }
    Ok(explanation)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Scores of draws of held-out rows of P, of as many rows as the query has.
fn scores_of_p(calibration: &Calibration, size: usize, streams: &Streams) -> Result<Vec<f64>> {
    let reference = calibration.reference();
    let (draws, _) = reference.draws(size.min(reference.held_out.len()), DRAWS, streams)?;
    let mut all = Vec::new();
    for (i, draw) in draws.iter().enumerate() {
        interrupt::check()?;
        let rows = reference.held_out.rows(draw);
        all.extend(calibration.row_scores(&rows, &streams.index(i as u64))?.into_iter().flat_map(|(_, scores)| scores));
    }
    Ok(all)
}

fn rows(query: &Sample, scores: &[f64], features: &[Feature], held_out: &Sample) -> Vec<Row> {
    let (width, predictions) = (query.width(), query.predictions());
    let moments = if features.is_empty() { Vec::new() } else { column_moments(&held_out.inputs, width) };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let of = |&row: &usize| {
        let inputs = &query.inputs[row * width..(row + 1) * width];
        let mut far: Vec<(f64, &Feature)> = features.iter().map(|f| (f.away(inputs, &moments).abs(), f)).collect();
        far.sort_by(|a, b| b.0.total_cmp(&a.0));
        let values = far.iter().take(VALUES).map(|(_, f)| (f.name.clone(), f.value(inputs))).collect();
        Row { row, score: scores[row], class: predictions[row] as usize, values }
    };
    order.iter().take(ROWS).map(of).collect()
}

/// The features that lie farthest from P.
fn moved(query: &Sample, features: &[Feature], held_out: &Sample, streams: &Streams) -> Result<Vec<Moved>> {
    if features.is_empty() {
        return Ok(Vec::new());
    }
    interrupt::check()?;
    let width = query.width();
    let compared = held_out.rows(&compared(held_out, &mut streams.child("rows").rng()));
    let apart = distances(features, (&compared.inputs, &query.inputs), width, PERMUTATIONS, streams);
    let moments = [column_moments(&held_out.inputs, width), column_moments(&query.inputs, width)];
    let of = |(feature, &(distance, p_value)): (&Feature, &(f64, f64))| {
        let means = match feature.kind {
            feature::Kind::Number { mean, deviation } => {
                Some([0, 1].map(|k: usize| moments[k][feature.columns.start].0 * deviation + mean))
            }
            feature::Kind::Category(_) => None,
        };
        Moved { name: feature.name.clone(), distance, p_value, means, explains: None }
    };
    let mut all: Vec<Moved> = features.iter().zip(&apart).map(of).collect();
    all.sort_by(|a, b| b.distance.total_cmp(&a.distance));
    all.truncate(FEATURES);
    Ok(all)
}

/// The share of the excess that is gone where the rows of Q have values of P in place of the feature's; none where there is no excess, or no network.
fn explains(
    calibration: &Calibration,
    query: &Sample,
    feature: &Feature,
    [on_p, on_q]: [f64; 2],
    streams: &Streams,
) -> Result<Option<f64>> {
    let (Some(base), held_out) = (calibration.base(), &calibration.reference().held_out) else { return Ok(None) };
    let (width, excess) = (query.width(), on_q - on_p);
    if excess <= 1e-6 * on_p.abs().max(1e-6) {
        return Ok(None);
    }
    let mut left = 0.0;
    for repeat in 0..REPEATS {
        interrupt::check()?;
        let streams = streams.index(repeat as u64);
        let (mut rng, mut inputs) = (streams.rng(), query.inputs.clone());
        for row in inputs.chunks_exact_mut(width) {
            let from = rng.random_range(0..held_out.len() as u64) as usize * width;
            row[feature.columns.clone()].copy_from_slice(&held_out.inputs[from..from + width][feature.columns.clone()]);
        }
        let scored = calibration.row_scores(&base.sample(&inputs)?, &streams.child("scores"))?;
        left += scored.map_or(f64::NAN, |(_, scores)| mean(&scores)) / REPEATS as f64;
    }
    Ok(Some((on_q - left) / excess).filter(|share| share.is_finite()))
}

fn classes(query: &Sample, scores: &[f64], held_out: &Sample) -> Vec<Class> {
    let [on_p, on_q] = [held_out.predictions(), query.predictions()];
    let share =
        |of: &[u32], class: usize| of.iter().filter(|c| **c as usize == class).count() as f64 / of.len().max(1) as f64;
    let of = |class: usize| {
        let own = on_q.iter().zip(scores).filter(|(c, _)| **c as usize == class).map(|(_, score)| *score);
        let own: Vec<f64> = own.collect();
        Class {
            class,
            shares: [share(&on_p, class), share(&on_q, class)],
            score: (!own.is_empty()).then(|| mean(&own)),
        }
    };
    let mut all: Vec<Class> = (0..query.classes()).map(of).collect();
    let change = |c: &Class| (c.shares[1] - c.shares[0]).abs();
    all.sort_by(|a, b| change(b).total_cmp(&change(a)).then(a.class.cmp(&b.class)));
    all.truncate(CLASSES);
    all
}

fn subgroups(query: &Sample, scores: &[f64], features: &[Feature], held_out: &Sample) -> Vec<Subgroup> {
    if features.is_empty() || scores.is_empty() {
        return Vec::new();
    }
    let width = query.width();
    let leaves = tree::grown(&query.inputs, scores, width);
    if leaves.len() < 2 {
        return Vec::new();
    }
    let of = |leaf: &tree::Leaf| {
        let there = |row: &[f32]| leaf.splits.iter().all(|split| split.holds(row));
        let on_p = held_out.inputs.chunks_exact(width).filter(|row| there(row)).count() as f64;
        let own: Vec<f64> = leaf.rows.iter().map(|&r| scores[r]).collect();
        Subgroup {
            conditions: tree::told(leaf, features),
            rows: own.len(),
            shares: [on_p / held_out.len() as f64, own.len() as f64 / scores.len() as f64],
            score: mean(&own),
        }
    };
    let mut all: Vec<Subgroup> = leaves.iter().map(of).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}

#[cfg(test)]
mod tests;
