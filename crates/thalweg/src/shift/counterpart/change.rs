//! The changes of rows of P, and what f makes of them.
use crate::nn::normal;
use crate::shift::base::{Sample, deviations};
use crate::shift::explain::feature::{FEWEST, Feature, Kind, compared, distances};
use crate::shift::law::combined::as_large;
use crate::shift::law::permutation;
use crate::shift::reference::drawn;
use crate::{Result, Streams, interrupt};
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};
use std::cmp::Ordering;

/// Permutations that say which inputs differ, and how often chance gives a fall.
const PERMUTATIONS: usize = 199;
/// Most noise, in deviations, and how often its range is halved.
const STRONGEST: f32 = 4.0;
const HALVINGS: usize = 8;

/// A fall of f's accuracy from which on a change is harmful.
pub const FALL: f64 = 0.05;
/// Probability that chance alone gives such a fall, up to which it is established.
pub const CHANCE: f64 = 0.1;

/// How rows of P were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Chosen so that f names the classes as often as on Q.
    Classes,
    /// Their inputs.
    Features,
    /// Noise in all inputs.
    Noise,
}

impl Change {
    pub(super) fn name(self) -> &'static str {
        match self {
            Change::Classes => "classes",
            Change::Features => "features",
            Change::Noise => "noise",
        }
    }
}

/// Rows `[N, D]` as f sees them, with what it answers.
pub type Ask<'a> = dyn Fn(&[f32]) -> Result<Sample> + 'a;

/// What is known of P and f.
#[derive(Clone, Copy)]
pub struct Home<'a> {
    /// f; none where it cannot be asked about rows that were changed.
    pub ask: Option<&'a Ask<'a>>,
    /// Held-out rows.
    pub held_out: &'a Sample,
    /// Their labels; empty where they are not known.
    pub labels: &'a [u32],
}

/// By how much f's accuracy falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fall {
    /// The fall.
    pub mean: f64,
    /// How often chance alone gives as much.
    pub chance: f64,
}

impl Fall {
    pub fn is_harmful(self) -> bool {
        self.mean >= FALL && self.chance <= CHANCE
    }
}

/// Rows of P that were changed.
pub(super) struct Changed {
    pub by: Change,
    pub rows: Sample,
    pub fall: Fall,
}

impl Home<'_> {
    /// Rows in which f names the classes in the proportions of `query`; none where these do not differ from P's at `level`, or where f names a class that
    /// it never names on P.
    pub(super) fn in_proportion(
        &self,
        query: &Sample,
        level: f64,
        null: usize,
        streams: &Streams,
    ) -> Result<Option<Changed>> {
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
        let all = mean(&mut (0..on_p.len()));
        let fall = all - mean(&mut rows.iter().copied());
        // Random choices of as many rows.
        let as_much = |i: &usize| {
            let chosen = drawn(on_p.len(), rows.len(), &streams.child("chance").index(*i as u64));
            all - mean(&mut chosen.into_iter()) >= fall - 1e-12
        };
        let chance = (1 + (0..PERMUTATIONS).filter(as_much).count()) as f64 / (1 + PERMUTATIONS) as f64;
        Ok(Some(Changed { by: Change::Classes, rows: self.held_out.rows(&rows), fall: Fall { mean: fall, chance } }))
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
    pub(super) fn moved(&self, query: &Sample, level: f64, streams: &Streams) -> Result<Option<Changed>> {
        let (Some(ask), width) = (self.ask, query.width()) else { return Ok(None) };
        let chosen = compared(self.held_out, &mut streams.child("rows").rng());
        // Asked as changed rows are, for a model behind a table of cells may answer otherwise than it did to the user's own cells.
        let before = ask(&self.held_out.rows(&chosen).inputs)?;
        let each = |column: usize| Feature {
            name: String::new(),
            columns: column..column + 1,
            kind: Kind::Number { mean: 0.0, deviation: 1.0 },
        };
        let inputs: Vec<Feature> = (0..width).map(each).collect();
        let found = distances(&inputs, (&before.inputs, &query.inputs), width, PERMUTATIONS, &streams.child("apart"));
        let differ: Vec<usize> = (0..width).filter(|&column| found[column].1 <= level).collect();
        if differ.is_empty() {
            return Ok(None);
        }
        let given = |by_rank: bool| {
            let streams = streams.child(if by_rank { "by rank" } else { "at random" });
            let mut inputs = before.inputs.clone();
            differ.iter().for_each(|&column| give(&mut inputs, query, column, by_rank, &streams));
            ask(&inputs)
        };
        let (rows, other) = (given(true)?, given(false)?);
        let falls = [&rows, &other].map(|after| self.fall(&chosen, &before, after));
        // The one that says harm, else the greater.
        let fall = falls
            .into_iter()
            .max_by(|a, b| (a.is_harmful(), a.mean).partial_cmp(&(b.is_harmful(), b.mean)).unwrap_or(Ordering::Equal));
        Ok(fall.map(|fall| Changed { by: Change::Features, fall, rows }))
    }

    /// By how much f's accuracy falls from the `chosen` held-out rows as they were `before` to what they are `after`: by their labels, else by f's answers.
    pub(super) fn fall(&self, chosen: &[usize], before: &Sample, after: &Sample) -> Fall {
        let (old, new) = (before.predictions(), after.predictions());
        let truth = |i: usize| self.labels.get(chosen[i]).unwrap_or(&old[i]);
        let count = |from: &[u32], to: &[u32]| {
            (0..old.len()).filter(|&i| from[i] == *truth(i) && to[i] != *truth(i)).count() as u64
        };
        let (worse, better) = (count(&old, &new), count(&new, &old));
        let chance = match worse {
            0 => 1.0,
            _ => Binomial::new(0.5, worse + better).map_or(1.0, |law| law.sf(worse - 1)),
        };
        Fall { mean: (worse as f64 - better as f64) / old.len() as f64, chance }
    }

    /// Rows with noise that brings them as far from others of P as the rows of `query` lie; none where these lie no farther than P's own, or where f
    /// cannot be asked.
    pub(super) fn noisy(&self, query: &Sample, streams: &Streams) -> Result<Option<Changed>> {
        let (Some(ask), width) = (self.ask, query.width()) else { return Ok(None) };
        let chosen = compared(self.held_out, &mut streams.child("rows").rng());
        let before = ask(&self.held_out.rows(&chosen).inputs)?;
        let spread: Vec<f32> = deviations(&before).into_iter().map(|s| s.max(f32::MIN_POSITIVE)).collect();
        let mut noise = vec![0.0; before.inputs.len()];
        normal::fill(&mut streams.child("noise").rng(), &mut noise);
        let with = |strength: f32, rows: usize| -> Vec<f32> {
            let moved = before.inputs.iter().zip(&noise).enumerate().take(rows * width);
            moved.map(|(i, (x, e))| x + strength * spread[i % width] * e).collect()
        };
        // Squared distance, in deviations, to the nearest row of P other than the row itself.
        let distance = |inputs: &[f32], own: bool| -> f64 {
            let nearest = |(i, row): (usize, &[f32])| {
                let to = |other: &[f32]| -> f32 {
                    row.iter().zip(other).zip(&spread).map(|((a, b), s)| ((a - b) / s).powi(2)).sum()
                };
                let others = before.inputs.chunks_exact(width).enumerate().filter(|(j, _)| !own || *j != i);
                others.map(|(_, other)| to(other)).fold(f32::INFINITY, f32::min)
            };
            let all: Vec<f32> = inputs.par_chunks_exact(width).enumerate().map(nearest).collect();
            all.iter().map(|d| f64::from(d.sqrt())).sum::<f64>() / all.len() as f64
        };
        let (few, wanted) = (before.len().min(FEWEST), distance(&query.inputs, false));
        let (mut low, mut high) = (0.0, STRONGEST);
        if !(distance(&with(low, few), true) < wanted && distance(&with(high, few), true) >= wanted) {
            return Ok(None);
        }
        for _ in 0..HALVINGS {
            interrupt::check()?;
            let middle = 0.5 * (low + high);
            match distance(&with(middle, few), true) < wanted {
                true => low = middle,
                false => high = middle,
            }
        }
        let rows = ask(&with(high, before.len()))?;
        let fall = self.fall(&chosen, &before, &rows);
        Ok(Some(Changed { by: Change::Noise, rows, fall }))
    }
}

/// Gives one input of the rows `inputs` the values of `query`, equally often: in order of rank, or at random.
fn give(inputs: &mut [f32], query: &Sample, column: usize, by_rank: bool, streams: &Streams) {
    let (width, mut rng) = (query.width(), streams.index(column as u64).rng());
    let mut values: Vec<f32> = query.inputs.iter().skip(column).step_by(width).copied().collect();
    values.sort_by(f32::total_cmp);
    // Equal values, or all where ranks do not matter, in random order.
    let key = |row: &[f32]| (if by_rank { row[column] } else { 0.0 }, rng.random::<u64>());
    let mut order: Vec<((f32, u64), usize)> =
        inputs.chunks_exact(width).map(key).enumerate().map(|(row, key)| (key, row)).collect();
    order.sort_by(|(a, _), (b, _)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let n = order.len();
    for (rank, (_, row)) in order.into_iter().enumerate() {
        inputs[row * width + column] = values[rank * values.len() / n];
    }
}
