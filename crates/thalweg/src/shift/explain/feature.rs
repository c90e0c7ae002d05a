//! [`Feature`]: what a user calls one or several columns of inputs, with values in the user's own units; and how far two samples of it lie apart.
use crate::Streams;
use crate::shift::base::Sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use thalweg_nets::streams::shuffle;

/// Fewest and most rows of P that are compared with Q feature by feature, where there are so many, and about how many inputs they have together.
pub(in crate::shift) const FEWEST: usize = 100;
const MOST: usize = 1000;
const INPUTS: usize = 1 << 20;

/// Numbers of the rows of P that are compared feature by feature: each feature is permuted often, so that wide rows are fewer.
pub(in crate::shift) fn compared(rows: &Sample, rng: &mut ChaCha8Rng) -> Vec<usize> {
    rows.part((INPUTS / rows.width().max(1)).clamp(FEWEST, MOST), rng)
}

/// What the columns of a feature hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// A standardised number in the first column; a second column, where there is one, is 1 where the number is missing and 0 elsewhere.
    Number {
        /// What was taken from it.
        mean: f64,
        /// What it was divided by then.
        deviation: f64,
    },
    /// 1 in the column of the category that a row is of; a row may be of none.
    Category(Vec<String>),
}

/// A feature of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Its columns of inputs.
    pub columns: Range<usize>,
    /// What they hold.
    pub kind: Kind,
}

impl Feature {
    /// Its value in a row of inputs `[D]`, in words.
    pub fn value(&self, row: &[f32]) -> String {
        let own = &row[self.columns.clone()];
        match &self.kind {
            Kind::Number { .. } if own.len() > 1 && own[1] > 0.5 => "missing".into(),
            Kind::Number { mean, deviation } => short(f64::from(own[0]) * deviation + mean),
            Kind::Category(names) => {
                let at = own.iter().position(|v| *v > 0.5);
                at.and_then(|i| names.get(i)).map_or("another".into(), Clone::clone)
            }
        }
    }

    /// What holds of rows above (or not above) `threshold` in the column of this number among its own, in words.
    pub fn condition(&self, column: usize, threshold: f32, above: bool) -> String {
        let name = &self.name;
        match &self.kind {
            Kind::Number { mean, deviation } if column == 0 => {
                let sign = if above { ">" } else { "≤" };
                format!("{name} {sign} {}", short(f64::from(threshold) * deviation + mean))
            }
            Kind::Number { .. } => format!("{name} is {}", if above { "missing" } else { "known" }),
            Kind::Category(names) => {
                let of = names.get(column).map_or("another", String::as_str);
                format!("{name} {} {of}", if above { "=" } else { "≠" })
            }
        }
    }

    /// How far a row lies from the mean of P in deviations of P: of a category, its indicator's √((1 − s)/s), where P has it with the share s.
    pub(super) fn away(&self, row: &[f32], moments: &[(f64, f64)]) -> f64 {
        match self.kind {
            Kind::Number { .. } => {
                let (mean, variance) = moments[self.columns.start];
                (f64::from(row[self.columns.start]) - mean) / variance.sqrt().max(1e-6)
            }
            Kind::Category(_) => {
                let own = self.columns.clone().find(|&at| row[at] > 0.5);
                let share = |at: usize| moments[at].0;
                let share = own.map_or_else(|| 1.0 - self.columns.clone().map(share).sum::<f64>(), share);
                ((1.0 - share).max(0.0) / share.max(1e-6)).sqrt()
            }
        }
    }

    /// Its columns in rows of inputs, and for a category whether a row is of none that is known.
    fn values<'a>(&self, rows: impl Iterator<Item = &'a [f32]> + Clone) -> Vec<Vec<f32>> {
        let column = |at: usize| rows.clone().map(|row| row[at]).collect();
        let mut all: Vec<Vec<f32>> = self.columns.clone().map(column).collect();
        if let Kind::Category(_) = self.kind {
            all.push(
                rows.map(|row| f32::from(u8::from(row[self.columns.clone()].iter().all(|v| *v <= 0.5)))).collect(),
            );
        }
        all
    }
}

/// A number with four digits that count, without zeros at its end.
fn short(x: f64) -> String {
    let x = if x.abs() < 1e-12 { 0.0 } else { x };
    let whole = x.abs().max(1e-9).log10().floor() as i32;
    if !(-4..7).contains(&whole) && x != 0.0 {
        return format!("{x:.3e}");
    }
    let text = format!("{x:.*}", usize::try_from(3 - whole).unwrap_or(0).min(8));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

/// One column of P and Q together, in order.
struct Ordered {
    /// Row numbers by rising value.
    order: Vec<u32>,
    /// Whether the value at each place is the last of its equals.
    last: Vec<bool>,
}

impl Ordered {
    fn new(values: &[f32]) -> Self {
        let mut order: Vec<u32> = (0..values.len() as u32).collect();
        order.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
        let value = |i: usize| values[order[i] as usize];
        let last = (0..order.len()).map(|i| i + 1 == order.len() || value(i + 1) != value(i)).collect();
        Self { order, last }
    }

    /// The Kolmogorov-Smirnov distance between rows that are of Q and those that are not.
    fn distance(&self, of_q: &[bool], [q, p]: [f64; 2]) -> f64 {
        let (mut in_q, mut in_p, mut most) = (0.0f64, 0.0f64, 0.0f64);
        for (&row, &last) in self.order.iter().zip(&self.last) {
            if of_q[row as usize] {
                in_q += 1.0
            } else {
                in_p += 1.0
            }
            if last {
                most = most.max((in_q / q - in_p / p).abs());
            }
        }
        most
    }
}

/// How far Q lies from P in each of `features`: the greatest Kolmogorov-Smirnov distance over the columns of a feature (of a category: the greatest
/// difference of shares, of rows of no known category among them), and a p-value of it by permutation of the rows, adjusted for the number of features (Westfall and Young 1993: the share of
/// permutations that have so great a distance in any feature). `p` and `q` are inputs `[N, width]`.
pub fn distances(
    features: &[Feature],
    (p, q): (&[f32], &[f32]),
    width: usize,
    permutations: usize,
    streams: &Streams,
) -> Vec<(f64, f64)> {
    let [n_p, n_q] = [p.len() / width, q.len() / width];
    let all = n_p + n_q;
    let mut of_q: Vec<Vec<bool>> = vec![(0..all).map(|i| i >= n_p).collect()];
    for i in 0..permutations {
        let mut permuted = of_q[0].clone();
        shuffle(&mut permuted, &mut streams.index(i as u64).rng());
        of_q.push(permuted);
    }
    let of_feature = |feature: &Feature| -> Vec<f64> {
        let mut greatest = vec![0.0f64; of_q.len()];
        for values in feature.values(p.chunks_exact(width).chain(q.chunks_exact(width))) {
            let ordered = Ordered::new(&values);
            for (most, of_q) in greatest.iter_mut().zip(&of_q) {
                *most = most.max(ordered.distance(of_q, [n_q as f64, n_p as f64]));
            }
        }
        greatest
    };
    let all: Vec<Vec<f64>> = features.par_iter().map(of_feature).collect();
    let of_any: Vec<f64> = (0..of_q.len()).map(|b| all.iter().map(|f| f[b]).fold(0.0, f64::max)).collect();
    let p_value = |own: f64| {
        let others = of_any[1..].iter().filter(|any| **any >= own - 1e-12).count();
        (1 + others) as f64 / of_any.len() as f64
    };
    all.iter().map(|f| (f[0], p_value(f[0]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::testing;

    fn normals(n: usize, seed: u64) -> Vec<f32> {
        testing::normals(&Streams::new(seed), n)
    }

    fn number(name: &str, at: usize) -> Feature {
        Feature { name: name.into(), columns: at..at + 1, kind: Kind::Number { mean: 50.0, deviation: 10.0 } }
    }

    #[test]
    fn values_and_conditions_are_in_the_users_units() {
        let age = Feature { columns: 0..2, ..number("age", 0) };
        assert_eq!((age.value(&[0.42, 0.0]), age.value(&[0.0, 1.0])), ("54.2".into(), "missing".into()));
        assert_eq!(age.condition(0, 0.5, true), "age > 55");
        assert_eq!(age.condition(1, 0.5, false), "age is known");
        let kind = Kind::Category(vec!["red".into(), "blue".into()]);
        let colour = Feature { name: "colour".into(), columns: 1..3, kind };
        assert_eq!(colour.value(&[9.0, 0.0, 1.0]), "blue");
        assert_eq!(colour.value(&[9.0, 0.0, 0.0]), "another");
        assert_eq!(
            (colour.condition(0, 0.5, true), colour.condition(1, 0.5, false)),
            ("colour = red".into(), "colour ≠ blue".into())
        );
        let said = [0.0, 1.0, -1234.5678, 1e-7, 12_345_678.9, 100.0].map(short);
        assert_eq!(said, ["0", "1", "-1235", "1.000e-7", "1.235e7", "100"]);
    }

    #[test]
    fn distances_by_hand_and_only_the_feature_that_moved_is_named() {
        // 1 2 2 3 of P, 2 3 3 4 of Q: at 2 the shares at most are 3/4 and 1/4.
        let apart =
            distances(&[number("a", 0)], (&[1.0, 2.0, 2.0, 3.0], &[2.0, 3.0, 3.0, 4.0]), 1, 9, &Streams::new(1));
        assert_eq!(apart[0].0, 0.5);
        let (p, mut q) = (normals(600, 1), normals(120, 2));
        q.chunks_exact_mut(3).for_each(|row| row[1] += 1.5);
        let features = [number("a", 0), number("b", 1), number("c", 2)];
        let apart = distances(&features, (&p, &q), 3, 199, &Streams::new(2));
        assert!(apart[1].0 > 0.4 && apart[1].1 == 0.005, "{apart:?}");
        assert!(apart[0].1 > 0.05 && apart[2].1 > 0.05, "{apart:?}");
    }

    #[test]
    fn a_word_that_p_does_not_have_is_as_far_as_can_be() {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let city = Feature { name: "city".into(), columns: 0..3, kind: Kind::Category(names) };
        let of = |word: usize| -> [f32; 3] { std::array::from_fn(|k| f32::from(u8::from(k == word))) };
        let p: Vec<f32> = (0..90).flat_map(|i| of(i % 3)).collect();
        let distance = |word: usize| {
            let q = of(word).repeat(20);
            distances(std::slice::from_ref(&city), (&p, &q), 3, 99, &Streams::new(1))[0]
        };
        assert_eq!(distance(3), (1.0, 0.01));
        assert!((distance(1).0 - 2.0 / 3.0).abs() < 1e-12);
        let moments = [(0.25, 0.0), (0.5, 0.0), (0.25, 0.0)];
        assert!((city.away(&of(0), &moments) - 3f64.sqrt()).abs() < 1e-9 && city.away(&of(3), &moments) > 100.0);
    }

    #[test]
    fn without_shift_any_feature_is_named_as_seldom_as_the_level() {
        let features: Vec<Feature> = (0..4).map(|i| number("x", i)).collect();
        let named = (0..400).filter(|i| {
            let (p, q) = (normals(4 * 30, 1000 + i), normals(4 * 10, 5000 + i));
            distances(&features, (&p, &q), 4, 39, &Streams::new(*i)).iter().any(|(_, p)| *p <= 0.1)
        });
        // 40 expected at most; four deviations above.
        assert!(named.count() <= 64);
    }
}
