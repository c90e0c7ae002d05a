//! Whether a change of P that f bears explains what tests of harm see: harm is claimed where none does.
//!
//! Tests of harm ask whether networks that agree with f on P disagree with it on Q, and whether f is less sure there. A feature that f hardly uses, moved out
//! of what P shows, raises disagreement too, and f is as right as before. So where they alarm, held-out rows of P are changed so that they resemble Q:
//!
//! - **classes**: a random part of the rows in which f names the classes in the proportions of Q, where these differ from P's;
//! - **features**: each input that visibly differs is given the value of Q of the same rank (the marginal laws of Q, the dependence of P).
//!
//! What f makes of such rows is known: how often it is right on them by their labels, which the change leaves as they are, or, without labels,
//! how often it answers as before (of another choice of rows: how sure it is); of features also where the values are given at random, which noise may have
//! come to and ranks would hide. So a change of features is harmless where f hardly uses them. Where f's accuracy falls by [`FALL`] or more, the change is
//! itself harmful. Where it does not, the tests of harm are asked again, of Q beside the changed rows: if they are silent, rows that f bears look as Q does, and the outcome is
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
/// Fewest and most rows of P that are changed, where there are so many, and about how many inputs they have together: each is permuted often.
const ROWS: [usize; 2] = [100, 1000];
const INPUTS: usize = 1 << 20;
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
        let chosen =
            self.held_out.part((INPUTS / width.max(1)).clamp(ROWS[0], ROWS[1]), &mut streams.child("rows").rng());
        let before = self.held_out.rows(&chosen);
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
            base.sample(&inputs)
        };
        let (rows, other) = (given(true)?, given(false)?);
        let old = before.predictions();
        let right = |predictions: &[u32]| -> f64 {
            let truth = |i: usize| self.labels.get(chosen[i]).unwrap_or(&old[i]);
            (0..old.len()).filter(|&i| predictions[i] == *truth(i)).count() as f64 / old.len() as f64
        };
        let least = right(&rows.predictions()).min(right(&other.predictions()));
        Ok(Some(Changed { by: Change::Features, fall: right(&old) - least, rows }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::testing::normals;

    /// f says class 1 where the first of three inputs is positive, and does not look at the others.
    fn base() -> Base {
        let net = Preset::Mlp { widths: vec![2] }.build([3, 1, 1], 2).unwrap();
        // Hidden units x₀ and −x₀, from which the logits are ∓x₀.
        let mut theta = vec![0.0; 6 + 2 + 4 + 2];
        (theta[0], theta[3]) = (1.0, -1.0);
        theta[8..12].copy_from_slice(&[-1.0, 1.0, 1.0, -1.0]);
        Base::new(&net, theta).unwrap()
    }

    fn rows(n: usize, seed: u64, of: impl Fn(&mut [f32])) -> Sample {
        let mut inputs = normals(&Streams::new(seed), 3 * n);
        inputs.chunks_exact_mut(3).for_each(of);
        base().sample(&inputs).unwrap()
    }

    #[test]
    fn rows_are_given_the_values_of_q_by_rank_in_the_inputs_that_differ_and_no_others() {
        let (base, p) = (base(), rows(400, 1, |_| ()));
        let truth = p.predictions();
        let home = Home { base: Some(&base), held_out: &p, labels: &truth };
        // The third input is moved, which f does not look at: it is as right as before.
        let q = rows(40, 2, |row| row[2] += 3.0);
        let found = home.moved(&q, 0.05, &Streams::new(3)).unwrap().unwrap();
        assert_eq!((found.by, found.fall, found.rows.len()), (Change::Features, 0.0, 400));
        for (new, old) in found.rows.inputs.chunks_exact(3).zip(p.inputs.chunks_exact(3)) {
            assert_eq!(new[..2], old[..2]);
            assert!(q.inputs.chunks_exact(3).any(|row| row[2] == new[2]));
        }
        let by_rank = |a: usize, b: usize| {
            let [old, new] = [&p, &found.rows].map(|rows| rows.inputs[3 * a + 2] <= rows.inputs[3 * b + 2]);
            !old || new
        };
        assert!((0..400).all(|a| by_rank(a, (7 * a + 1) % 400)), "in the order of P");
        // The first is moved, on which all depends: half of the rows change sides, whether the truth is known or not.
        let q = rows(40, 2, |row| row[0] += 3.0);
        for labels in [&truth[..], &[]] {
            let found = Home { labels, ..home }.moved(&q, 0.05, &Streams::new(3)).unwrap().unwrap();
            assert!((found.fall - 0.5).abs() < 0.06, "{}", found.fall);
        }
        // Nothing differs, or f cannot be asked.
        assert!(home.moved(&rows(40, 5, |_| ()), 0.001, &Streams::new(3)).unwrap().is_none());
        assert!(Home { base: None, ..home }.moved(&q, 0.05, &Streams::new(3)).unwrap().is_none());
    }

    #[test]
    fn rows_are_taken_in_the_proportions_in_which_f_names_the_classes_on_q() {
        let p = rows(400, 1, |_| ());
        // f is right where it says 0, and on three of four rows where it says 1.
        let labels: Vec<u32> =
            p.predictions().iter().enumerate().map(|(i, f)| if *f == 1 && i % 4 == 0 { 0 } else { *f }).collect();
        let home = Home { base: None, held_out: &p, labels: &labels };
        let of = |q: &Sample| home.in_proportion(q, 0.05, 199, &Streams::new(4)).unwrap();
        let ones = of(&rows(40, 2, |row| row[0] = row[0].abs() + 0.01)).unwrap();
        assert!(ones.rows.predictions().iter().all(|f| *f == 1) && ones.rows.len() > 150);
        assert!((ones.fall - 0.125).abs() < 0.05, "{}", ones.fall);
        let most = of(&rows(40, 2, |row| row[0] += 0.8)).unwrap();
        let share = |rows: &Sample| rows.predictions().iter().filter(|f| **f == 1).count() as f64 / rows.len() as f64;
        assert!((share(&most.rows) - share(&rows(40, 2, |row| row[0] += 0.8))).abs() < 0.01);
        assert!(of(&rows(40, 2, |_| ())).is_none(), "the proportions are those of P");
        // Without labels by how sure f is: as sure of one class as of the other.
        let unlabelled = Home { labels: &[], ..home };
        let q = rows(40, 2, |row| row[0] = row[0].abs() + 0.01);
        let fall = unlabelled.in_proportion(&q, 0.05, 199, &Streams::new(4)).unwrap().unwrap().fall;
        assert!(fall.abs() < 0.03, "{fall}");
    }

    /// Alarms where the inputs lie far out, whatever f makes of them; and of harm, it claims.
    struct Far;

    impl ShiftTest for Far {
        fn statistics(&self) -> &'static [crate::shift::Statistic] {
            const { &[crate::shift::Statistic::verdict("far")] }
        }

        fn measure(&self, queries: &[Sample], _: &Streams) -> Result<crate::shift::test::Measured> {
            let far = |q: &Sample| q.inputs.iter().map(|x| f64::from(x * x)).sum::<f64>() / q.len() as f64;
            Ok(crate::shift::test::Measured { values: queries.iter().map(far).collect(), row_scores: Vec::new() })
        }
    }

    #[test]
    fn an_alarm_is_explained_by_an_idle_input_and_not_by_one_that_counts_nor_by_what_ranks_cannot_give() {
        let (base, p) = (base(), rows(300, 1, |_| ()));
        let truth = p.predictions();
        let home = Home { base: Some(&base), held_out: &p, labels: &truth };
        let bank = Method::named("bank").unwrap();
        let of = |q: &Sample| {
            let tests = std::iter::once((bank, &Far as &dyn ShiftTest));
            explained(tests, &home, q, (0.05, 99), &Streams::new(6)).unwrap()
        };
        let idle = of(&rows(30, 2, |row| row[2] += 3.0)).unwrap();
        assert!(idle.by == Change::Features && idle.fall == 0.0 && idle.p_value > 0.05, "{idle:?}");
        assert!(of(&rows(30, 2, |row| row[0] += 3.0)).is_none());
        // f is right on one side only, and Q is of that side alone: the proportions explain what lies far out.
        let one = rows(30, 2, |row| row[0] = row[0].abs() + 0.01);
        assert!(of(&one).is_some_and(|found| found.p_value > 0.05));
    }
}
