//! Whether a change of P that f bears explains what tests of harm see: harm is claimed where none does.
//!
//! Tests of harm ask whether networks that agree with f on P disagree with it on Q, and whether f is less sure there. A feature that f hardly uses, moved out
//! of what P shows, raises disagreement too, and f is as right as before. So where they alarm, held-out rows of P are changed so that they resemble Q:
//!
//! - **classes**: a random part of the rows in which f names the classes in the proportions of Q, where these differ from P's;
//! - **features**: each input that visibly differs is given the value of Q of the same rank (the marginal laws of Q, the dependence of P);
//! - **noise**: Gaussian noise in all inputs, as much (in deviations of each) as brings the rows as far from those of P as the rows of Q lie, where
//!   these lie farther than P's own.
//!
//! What f makes of such rows is known: how often it is right on them by their labels, which the change leaves as they are, or, without labels,
//! how often it answers as before (of another choice of rows: how sure it is); of features also where the values are given at random, which noise may have
//! come to and ranks would hide. A change is itself harmful where f's accuracy falls by [`FALL`] or more, and by more than chance among so many rows gives
//! ([`CHANCE`]: the sign test over the rows that f became wrong or right on; of another choice of rows, a permutation test). Where it is not, the tests of
//! harm are asked again, of Q beside the changed rows: if they are silent, rows that f bears look as Q does, and the outcome is "shifted, harm not established".
//!
//! The level: claims of harm become fewer, never more, so that it is kept. What is lost: harm that a visible and harmless change hides, and harm that
//! too few held-out rows cannot establish (the outcome is then "shifted" and not silence); a change that the labels do not survive, whatever f answers.
use super::base::Sample;
use super::law::outcome::{Measurement, Question, together};
use super::law::permutation;
use super::method::Method;
use super::test::ShiftTest;
use crate::{Result, Streams};
use serde::Serialize;

mod change;

use self::change::Changed;
pub use self::change::{Ask, CHANCE, Change, FALL, Home};

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
    for change in [Change::Classes, Change::Features, Change::Noise] {
        let streams = streams.child(change.name());
        let changed = match change {
            Change::Classes => home.in_proportion(query, level, null, &streams)?,
            Change::Features => home.moved(query, level, &streams)?,
            Change::Noise => home.noisy(query, &streams)?,
        };
        let Some(Changed { by, rows, fall }) = changed.filter(|changed| !changed.fall.is_harmful()) else { continue };
        if permutation::enough(rows.len(), query.len(), level).is_err() {
            continue;
        }
        let p_value = harm(&of_harm, &rows, query, null, &streams.child("again"))?;
        if p_value > level {
            return Ok(Some(Explained { by, fall: fall.mean, p_value }));
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

#[cfg(test)]
mod tests {
    use super::change::Fall;
    use super::*;
    use crate::shift::base::Base;
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
        let ask = |inputs: &[f32]| base.sample(inputs);
        let home = Home { ask: Some(&ask), held_out: &p, labels: &truth };
        // The third input is moved, which f does not look at: it is as right as before.
        let q = rows(40, 2, |row| row[2] += 3.0);
        let found = home.moved(&q, 0.05, &Streams::new(3)).unwrap().unwrap();
        assert_eq!((found.by, found.fall.mean, found.rows.len()), (Change::Features, 0.0, 400));
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
            assert!((found.fall.mean - 0.5).abs() < 0.06, "{}", found.fall.mean);
        }
        // Nothing differs, or f cannot be asked.
        assert!(home.moved(&rows(40, 5, |_| ()), 0.001, &Streams::new(3)).unwrap().is_none());
        assert!(Home { ask: None, ..home }.moved(&q, 0.05, &Streams::new(3)).unwrap().is_none());
    }

    #[test]
    fn rows_are_taken_in_the_proportions_in_which_f_names_the_classes_on_q() {
        let p = rows(400, 1, |_| ());
        // f is right where it says 0, and on three of four rows where it says 1.
        let labels: Vec<u32> =
            p.predictions().iter().enumerate().map(|(i, f)| if *f == 1 && i % 4 == 0 { 0 } else { *f }).collect();
        let home = Home { ask: None, held_out: &p, labels: &labels };
        let of = |q: &Sample| home.in_proportion(q, 0.05, 199, &Streams::new(4)).unwrap();
        let ones = of(&rows(40, 2, |row| row[0] = row[0].abs() + 0.01)).unwrap();
        assert!(ones.rows.predictions().iter().all(|f| *f == 1) && ones.rows.len() > 150);
        assert!((ones.fall.mean - 0.125).abs() < 0.05, "{}", ones.fall.mean);
        let most = of(&rows(40, 2, |row| row[0] += 0.8)).unwrap();
        let share = |rows: &Sample| rows.predictions().iter().filter(|f| **f == 1).count() as f64 / rows.len() as f64;
        assert!((share(&most.rows) - share(&rows(40, 2, |row| row[0] += 0.8))).abs() < 0.01);
        assert!(of(&rows(40, 2, |_| ())).is_none(), "the proportions are those of P");
        // Without labels by how sure f is: as sure of one class as of the other.
        let unlabelled = Home { labels: &[], ..home };
        let q = rows(40, 2, |row| row[0] = row[0].abs() + 0.01);
        let fall = unlabelled.in_proportion(&q, 0.05, 199, &Streams::new(4)).unwrap().unwrap().fall.mean;
        assert!(fall.abs() < 0.03, "{fall}");
    }

    #[test]
    fn noise_brings_rows_as_far_from_p_as_those_of_q_and_counts_what_f_loses() {
        let (base, p) = (base(), rows(900, 1, |_| ()));
        let truth = p.predictions();
        let ask = |inputs: &[f32]| base.sample(inputs);
        let home = Home { ask: Some(&ask), held_out: &p, labels: &truth };
        let noise = normals(&Streams::new(9), 3 * 400);
        let mut q = rows(400, 2, |_| ()).inputs;
        q.iter_mut().zip(noise).for_each(|(x, e)| *x += e);
        let found = home.noisy(&base.sample(&q).unwrap(), &Streams::new(3)).unwrap().unwrap();
        let variance = |x: &[f32]| x.iter().map(|v| f64::from(v * v)).sum::<f64>() / x.len() as f64;
        // Variance 1 and 1 more; f loses the rows whose sign turns, a quarter of them: atan(σ)/π.
        assert!((variance(&found.rows.inputs) - 2.0).abs() < 0.35, "{}", variance(&found.rows.inputs));
        assert!((found.fall.mean - 0.25).abs() < 0.07 && found.fall.is_harmful(), "{:?}", found.fall);
        // Rows that lie as P's do, or where f cannot be asked.
        assert!(
            home.noisy(&rows(400, 4, |row| row.iter_mut().for_each(|x| *x *= 0.9)), &Streams::new(3))
                .unwrap()
                .is_none()
        );
        assert!(Home { ask: None, ..home }.noisy(&p, &Streams::new(3)).unwrap().is_none());
    }

    #[test]
    fn a_fall_that_few_rows_give_by_chance_is_not_established() {
        // Of 40 rows f becomes wrong on `worse` and right on `better`: the tail of a fair coin.
        let (base, p) = (base(), rows(40, 1, |_| ()));
        let turned = |rows: std::ops::Range<usize>, of: &Sample| {
            let mut inputs = of.inputs.clone();
            rows.for_each(|i| inputs[3 * i] *= -1.0);
            base.sample(&inputs).unwrap()
        };
        let labels = turned(0..2, &p).predictions();
        let ask = |inputs: &[f32]| base.sample(inputs);
        let home = Home { ask: Some(&ask), held_out: &p, labels: &labels };
        let all: Vec<usize> = (0..40).collect();
        let of = |last: usize| home.fall(&all, &p, &turned(0..last, &p));
        // Two rows are mended; then one, three, six more are spoilt.
        assert_eq!(of(2), Fall { mean: -0.05, chance: 1.0 });
        let chances = [(5, 0.025, 0.5), (8, 0.1, 37.0 / 256.0), (12, 0.2, 79.0 / 4096.0)];
        for (last, mean, chance) in chances {
            let found = of(last);
            assert!((found.mean - mean).abs() < 1e-12 && (found.chance - chance).abs() < 1e-12, "{last}: {found:?}");
        }
        assert!(!of(8).is_harmful() && of(12).is_harmful());
    }

    /// Alarms where the inputs lie far out, whatever f makes of them; and of harm, it claims.
    struct Far;

    impl ShiftTest for Far {
        fn statistics(&self) -> &'static [crate::shift::Statistic] {
            const { &[crate::shift::Statistic::verdict("far")] }
        }

        fn measure(&self, queries: &[Sample], _: &Streams) -> Result<crate::shift::test::Measured> {
            let far = |q: &Sample| q.inputs.iter().map(|x| f64::from(x * x)).sum::<f64>() / q.len() as f64;
            Ok(crate::shift::test::Measured { values: queries.iter().map(far).collect(), ..Default::default() })
        }
    }

    #[test]
    fn an_alarm_is_explained_by_an_idle_input_and_not_by_one_that_counts_nor_by_what_ranks_cannot_give() {
        let (base, p) = (base(), rows(300, 1, |_| ()));
        let truth = p.predictions();
        let ask = |inputs: &[f32]| base.sample(inputs);
        let home = Home { ask: Some(&ask), held_out: &p, labels: &truth };
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
