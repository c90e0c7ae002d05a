//! Whether a change of P that f bears explains what tests of harm see: harm is claimed where none does.
//!
//! Tests of harm ask whether networks that agree with f on P disagree with it on Q, and whether f is less sure there. A feature that f hardly uses, moved out
//! of what P shows, raises disagreement too, and f is as right as before. So where they alarm, held-out rows of P are changed so that they resemble Q:
//!
//! - **classes**: a random part of the rows in which f names the classes in the proportions of Q, where these differ from P's;
//! - **features**: each input that visibly differs is given the value of Q of the same rank (the marginal laws of Q, the dependence of P).
//!
//! What f makes of the changed rows is known: how often it is right on them by their labels, which the change leaves as they are, or, without labels,
//! how often it answers as before (of another choice of rows: how sure it is). Where that falls by [`FALL`] or more, the change is itself harmful. Where it
//! does not, the tests of harm are asked again, of Q beside the changed rows: if they are silent, rows that f bears look as Q does, and the outcome is
//! "shifted, harm not established".
//!
//! The level: claims of harm become fewer, never more, so that it is kept. What is lost: harm that a visible and harmless change hides (its outcome is then
//! "shifted" and not silence); a change that the labels do not survive, whatever f answers.
use super::base::{Base, Sample};
use super::explain::feature::{Feature, Kind, distances};
use super::law::combined::as_large;
use super::law::outcome::{Measurement, Question, together};
use super::law::permutation;
use super::method::Method;
use super::reference::drawn;
use super::test::ShiftTest;
use crate::{Result, Streams};
use rand::RngExt;
use serde::Serialize;

/// A fall of f's accuracy from which on a change is harmful.
pub const FALL: f64 = 0.05;
/// Rows of P that are changed, at most.
const ROWS: usize = 1000;
/// Permutations that say which inputs differ.
const PERMUTATIONS: usize = 199;

/// How rows of P were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Chosen so that f names the classes as often as on Q.
    Classes,
    /// Their inputs.
    Features,
}

/// A change that f bears and that explains what the tests of harm see.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// How rows of P were changed.
    pub by: Change,
    /// By how much f's accuracy falls on them.
    pub fall: f64,
    /// The p-value of the tests of harm, of Q beside them.
    pub p_value: f64,
}

/// What is known of P and f.
#[derive(Clone, Copy)]
pub struct Home<'a> {
    /// f; none where inputs cannot be changed, because only its answers are known.
    pub base: Option<&'a Base>,
    /// Held-out rows.
    pub held_out: &'a Sample,
    /// Their labels; empty where they are not known.
    pub labels: &'a [u32],
}

/// Rows of P that were changed.
struct Changed {
    by: Change,
    rows: Sample,
    fall: f64,
}

/// The first change that f bears and beside which `tests` of harm are silent about `query` at `level`, by `null` redraws.
///
/// # Errors
/// As the tests' own; interruption.
pub fn explained<'a>(
    tests: impl Iterator<Item = (Method, &'a dyn ShiftTest)>,
    home: &Home,
    query: &Sample,
    (level, null): (f64, usize),
    streams: &Streams,
) -> Result<Option<Explained>> {
    let of_harm: Vec<_> = tests.filter(|(_, test)| Question::of(test.statistics()) == Question::Harm).collect();
    for change in [Change::Classes, Change::Features] {
        let streams = streams.child(if change == Change::Classes { "classes" } else { "features" });
        let changed = match change {
            Change::Classes => home.in_proportion(query, level, null, &streams)?,
            Change::Features => home.moved(query, level, &streams)?,
        };
        let Some(Changed { by, rows, fall }) = changed.filter(|changed| changed.fall < FALL) else { continue };
        if permutation::enough(rows.len(), query.len(), level).is_err() {
            continue;
        }
        let p_value = harm(&of_harm, &rows, query, null, &streams.child("again"))?;
        if p_value > level {
            return Ok(Some(Explained { by, fall, p_value }));
        }
    }
    Ok(None)
}

/// The p-value of `tests` of `query` beside `rows`.
fn harm(
    tests: &[(Method, &dyn ShiftTest)],
    rows: &Sample,
    query: &Sample,
    null: usize,
    streams: &Streams,
) -> Result<f64> {
    let all = rows.clone().joined(query);
    let draws = permutation::redraws(rows.len(), query.len(), null, streams)?;
    let mut measured = Vec::new();
    for (method, test) in tests {
        let of = test.measure_rows(&all, 0, &draws, &streams.child(method.name()))?;
        measured.push(Measurement::new(method.name(), test.statistics(), &of, draws.len())?);
    }
    Ok(together(&measured.iter().collect::<Vec<_>>()).map_or(1.0, |p| p[0]))
}

impl Home<'_> {
    /// Rows in which f names the classes in the proportions of `query`; none where these do not differ from P's at `level`, or where f names a class that
    /// it never names on P.
    fn in_proportion(&self, query: &Sample, level: f64, null: usize, streams: &Streams) -> Result<Option<Changed>> {
        let classes = query.classes();
        let (on_p, on_q) = (self.held_out.predictions(), query.predictions());
        let count = |of: &[u32], class: usize| of.iter().filter(|c| **c as usize == class).count();
        let (of_p, of_q): (Vec<_>, Vec<_>) = (0..classes).map(|c| (count(&on_p, c), count(&on_q, c))).unzip();
        let all: Vec<u32> = on_p.iter().chain(&on_q).copied().collect();
        let draws = permutation::redraws(on_p.len(), on_q.len(), null, &streams.child("proportions"))?;
        let apart = |draw: &Vec<usize>| -> f64 {
            let mut counts = vec![0.0; classes];
            draw.iter().for_each(|&row| counts[all[row] as usize] += 1.0);
            let share = |c: usize| (of_p[c] + of_q[c]) as f64 / all.len() as f64;
            let of = |c: usize| (counts[c] - share(c) * draw.len() as f64).powi(2) / share(c).max(f64::MIN_POSITIVE);
            (0..classes).map(of).sum()
        };
        let ranks = as_large(&draws.iter().map(apart).collect::<Vec<_>>());
        if ranks[0] as f64 / ranks.len() as f64 > level {
            return Ok(None);
        }
        // As many rows as the scarcest class allows.
        let most = (0..classes).filter(|&c| of_q[c] > 0).map(|c| of_p[c] as f64 / of_q[c] as f64);
        let times = most.fold(f64::INFINITY, f64::min);
        let mut left: Vec<usize> = (0..classes).map(|c| (times * of_q[c] as f64).floor() as usize).collect();
        let mut rows: Vec<usize> = drawn(on_p.len(), on_p.len(), &streams.child("rows"));
        rows.retain(|&row| {
            let left = &mut left[on_p[row] as usize];
            let taken = *left > 0;
            *left -= usize::from(taken);
            taken
        });
        if rows.is_empty() {
            return Ok(None);
        }
        let right = self.right();
        let mean = |rows: &mut dyn Iterator<Item = usize>| -> f64 {
            let (sum, n) = rows.fold((0.0, 0.0), |(sum, n), row| (sum + right[row], n + 1.0));
            sum / n
        };
        let fall = mean(&mut (0..on_p.len())) - mean(&mut rows.iter().copied());
        Ok(Some(Changed { by: Change::Classes, rows: self.held_out.rows(&rows), fall }))
    }

    /// Of every row whether f is right; how sure it is, where that is not known.
    fn right(&self) -> Vec<f64> {
        if self.labels.is_empty() {
            let probabilities = self.held_out.probabilities();
            let sure = |row: &[f32]| f64::from(row.iter().copied().fold(0.0, f32::max));
            return probabilities.chunks_exact(self.held_out.classes()).map(sure).collect();
        }
        let right = |(a, b): (u32, &u32)| f64::from(u8::from(a == *b));
        self.held_out.predictions().into_iter().zip(self.labels).map(right).collect()
    }

    /// Rows whose inputs that differ from those of `query` at `level` have the values of `query` in order of rank; none where none differs, or where f cannot
    /// be asked.
    fn moved(&self, query: &Sample, level: f64, streams: &Streams) -> Result<Option<Changed>> {
        let (Some(base), width) = (self.base, query.width()) else { return Ok(None) };
        let chosen = self.held_out.part(ROWS, &mut streams.child("rows").rng());
        let before = self.held_out.rows(&chosen);
        let each = |column: usize| Feature {
            name: String::new(),
            columns: column..column + 1,
            kind: Kind::Number { mean: 0.0, deviation: 1.0 },
        };
        let inputs: Vec<Feature> = (0..width).map(each).collect();
        let found = distances(&inputs, (&before.inputs, &query.inputs), width, PERMUTATIONS, &streams.child("apart"));
        let all = std::env::var("MOVE_ALL").is_ok();
        let differ: Vec<usize> = (0..width).filter(|&column| all || found[column].1 <= level).collect();
        if differ.is_empty() {
            return Ok(None);
        }
        let mut inputs = before.inputs.clone();
        for &column in &differ {
            let mut rng = streams.child("ties").index(column as u64).rng();
            let mut values: Vec<f32> = query.inputs.iter().skip(column).step_by(width).copied().collect();
            values.sort_by(f32::total_cmp);
            let mut order: Vec<(f32, u32, usize)> =
                (0..before.len()).map(|row| (before.inputs[row * width + column], rng.random(), row)).collect();
            order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for (rank, &(_, _, row)) in order.iter().enumerate() {
                inputs[row * width + column] = values[rank * values.len() / before.len()];
            }
        }
        let rows = base.sample(&inputs)?;
        let (old, new) = (before.predictions(), rows.predictions());
        let right = |predictions: &[u32]| -> f64 {
            let truth = |i: usize| self.labels.get(chosen[i]).unwrap_or(&old[i]);
            (0..old.len()).filter(|&i| predictions[i] == *truth(i)).count() as f64 / old.len() as f64
        };
        let fall = right(&old) - right(&new);
        Ok(Some(Changed { by: Change::Features, rows, fall }))
    }
}
