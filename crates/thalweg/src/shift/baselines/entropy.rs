//! Entropies of predictions, and what an ensemble beside f says of a query: who disagrees, how much, how unsure they are together.
//!
//! The **one-sided** mean entropy is part of verdicts: it does not fire where f is surer than on P. From that of an ensemble [`BASE_ENTROPY_SHARE`] of f's own is
//! taken away. The two-sided Kolmogorov–Smirnov distance of the paper fires on surer rows too, so it is printed only. [`MeanEntropy`] is f's own
//! (M16), the cheapest test there is.
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs};
use crate::shift::test::{self, Measured, ShiftTest, Statistic};
use crate::{Result, Streams};
use std::borrow::Cow;
use thalweg_nets::evaluate::argmax;
use thalweg_nets::loss::softmax_rows;

/// What an ensemble gives. For the verdict: rows disagreed on (an integer has no threshold of its own at small |Q|, so ties are broken by the
/// next), the most probability that a member takes from f's class, and the mean entropy less [`BASE_ENTROPY_SHARE`] of f's. Printed: mean disagreement, two-sided KS
/// of entropies.
pub const OF_ENSEMBLES: &[Statistic] = &[
    Statistic::verdict("count"),
    Statistic::verdict("max-drop"),
    Statistic::verdict("entropy"),
    Statistic::printed("disagreement"),
    Statistic::printed("ks"),
];

/// The share of f's own entropy that an ensemble's verdict leaves out. f is unsure of some rows of P, which hides what members add (with 0, as in the
/// paper, the bank's AUROC on UCI Heart at |Q| = 10 is .924, with .5 .983, .6 .986, .7 .986; seed 101); with 1, what members add alone, rows that f is
/// surer of than usual give an alarm (17 % of benign queries; up to .6 none).
pub const BASE_ENTROPY_SHARE: f64 = 0.6;

/// −Σ p log p of each row of `probabilities` `[N, C]`, in nats.
pub fn entropies(probabilities: &[f32], classes: usize) -> Vec<f64> {
    let of = |row: &[f32]| row.iter().map(|&p| if p > 0.0 { -f64::from(p) * f64::from(p).ln() } else { 0.0 }).sum();
    probabilities.chunks_exact(classes.max(1)).map(of).collect()
}

/// What a network says of rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answers {
    /// Softmax `[N, C]`.
    pub probabilities: Vec<f32>,
    /// Class `[N]`.
    pub classes: Vec<u32>,
}

impl Answers {
    /// From logits `[N, C]`.
    pub fn new(logits: &[f32], classes: usize) -> Self {
        Self {
            probabilities: softmax_rows(logits, classes),
            classes: logits.chunks_exact(classes.max(1)).map(argmax).collect(),
        }
    }
}

/// An ensemble's view of one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Whether any member's class differs from f's, `[N]`.
    pub rejected: Vec<bool>,
    /// Mean over the members of the probability that they do not give to f's class, `[N]`.
    pub disagreement: Vec<f64>,
    /// The most probability that a member takes from f's class, `[N]`; 0 where all give it as much as f does.
    pub max_drop: Vec<f64>,
    /// Entropy of the mean prediction of f and all members, `[N]`.
    pub entropies: Vec<f64>,
    /// Mean entropy of f alone.
    pub base_entropy: f64,
}

impl Reading {
    /// From members' logits `[N, C]` each. Without a member it is f alone.
    pub fn new<'a>(query: &Sample, members: impl Iterator<Item = &'a [f32]>) -> Self {
        let c = query.classes();
        let (base, predictions) = (query.probabilities(), query.predictions());
        let members: Vec<Answers> = members.map(|logits| Answers::new(logits, c)).collect();
        let (alone, at) = (entropies(&base, c), |i: usize| i * c..(i + 1) * c);
        Self::of(
            [c, query.len(), members.len()],
            |i| (&base[at(i)], predictions[i], alone[i]),
            |i, m| (&members[m].probabilities[at(i)], members[m].classes[i] != predictions[i]),
        )
    }

    /// Of `[C, N, M]` classes, rows and members: f's probabilities, class and entropy of row i, and member m's probabilities of row i with whether its
    /// class is another.
    pub(in crate::shift) fn of<'a>(
        [c, n, count]: [usize; 3],
        f: impl Fn(usize) -> (&'a [f32], u32, f64),
        member: impl Fn(usize, usize) -> (&'a [f32], bool),
    ) -> Self {
        let alone = (0..n).map(|i| f(i).2).sum::<f64>() / n as f64;
        let (mut rejected, mut disagreement, mut max_drop) = (vec![false; n], vec![0.0; n], vec![0f64; n]);
        let (share, mut mean) = (1.0 / (count + 1) as f32, Vec::with_capacity(n * c));
        for i in 0..n {
            let (base, class, _) = f(i);
            mean.extend_from_slice(base);
            let mean = &mut mean[i * c..];
            for m in 0..count {
                let (p, differs) = member(i, m);
                mean.iter_mut().zip(p).for_each(|(mean, p)| *mean += p);
                rejected[i] |= differs;
                disagreement[i] += 1.0 - f64::from(p[class as usize]);
                max_drop[i] = max_drop[i].max(f64::from(base[class as usize] - p[class as usize]));
            }
            mean.iter_mut().for_each(|m| *m *= share);
            disagreement[i] /= count.max(1) as f64;
        }
        Self { rejected, disagreement, max_drop, entropies: entropies(&mean, c), base_entropy: alone }
    }

    /// [`OF_ENSEMBLES`], against entropies on queries of P, in order.
    pub fn statistics(&self, reference_entropies: &[f64]) -> [f64; 5] {
        let n = self.rejected.len() as f64;
        let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
        let count = self.rejected.iter().filter(|r| **r).count() as f64;
        let max_drop = mean(&self.max_drop);
        let entropy = mean(&self.entropies) - BASE_ENTROPY_SHARE * self.base_entropy;
        let ks = ks_of_ordered(&in_order(&self.entropies), reference_entropies);
        [count + max_drop, max_drop, entropy, mean(&self.disagreement), ks]
    }
}

/// The two-sided Kolmogorov–Smirnov distance of two samples; 0 where one is empty. By hand, since `statrs` 0.19.1 never returns where a value
/// stands in both samples (its p-value is not needed: null laws give ours).
pub fn ks_distance(a: &[f64], b: &[f64]) -> f64 {
    ks_of_ordered(&in_order(a), &in_order(b))
}

/// The same of samples in order. Between two values of `a` its share stays and that of `b` grows, so that the distance is greatest just below or at a
/// value of `a`: these are looked up in `b`.
fn ks_of_ordered(a: &[f64], b: &[f64]) -> f64 {
    if b.is_empty() {
        return 0.0;
    }
    let share = |count: usize, of: &[f64]| count as f64 / of.len() as f64;
    let (mut before, mut below, mut furthest) = (0, 0, 0f64);
    for same in a.chunk_by(|x, y| x == y) {
        below += b[below..].partition_point(|v| *v < same[0]);
        let upto = below + b[below..].partition_point(|v| *v <= same[0]);
        let after = before + same.len();
        let [under, at] = [(before, below), (after, upto)].map(|(i, j)| (share(i, a) - share(j, b)).abs());
        (before, furthest) = (after, furthest.max(under).max(at));
    }
    furthest
}

/// The values from the least on.
pub(in crate::shift) fn in_order(values: &[f64]) -> Cow<'_, [f64]> {
    if values.is_sorted_by(|a, b| a.total_cmp(b).is_le()) {
        return Cow::Borrowed(values);
    }
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    Cow::Owned(values)
}

/// f's own mean entropy on the query.
#[derive(Clone, Debug)]
pub struct MeanEntropy {
    schema: Schema,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "entropy",
    looks_at: "how unsure the model is",
    needs: Needs::Logits,
    trains_per_query: false,
    prepare: |parts, _, _| Ok(Box::new(MeanEntropy::new(&parts.reference.validation))),
    trained: None,
};

impl MeanEntropy {
    /// For queries like these rows.
    pub fn new(source: &Sample) -> Self {
        Self { schema: source.schema() }
    }

    fn scores(&self, query: &Sample) -> Result<Vec<f64>> {
        test::check(query, &self.schema, false)?;
        Ok(entropies(&query.probabilities(), query.classes()))
    }
}

impl ShiftTest for MeanEntropy {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::verdict("entropy")] }
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Measured> {
        test::means(queries, |query| self.scores(query))
    }

    fn measure_rows(&self, rows: &Sample, _: usize, queries: &[Vec<usize>], _: &Streams) -> Result<Measured> {
        Ok(test::means_of_rows(&self.scores(rows)?, queries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropies_of_known_laws() {
        let found = entropies(&[0.5, 0.5, 1.0, 0.0, 0.25, 0.75], 2);
        let expected = [2f64.ln(), 0.0, 0.25 * 4f64.ln() + 0.75 * (4.0f64 / 3.0).ln()];
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-7), "{found:?}");
    }

    #[test]
    fn a_reading_by_hand() {
        // f is sure of class 0 on both rows; one member flips the first row, the other agrees.
        let (l, m) = (30.0, -30.0);
        let query = Sample::of_logits(vec![l, m, l, m], 2).unwrap();
        let (flips, agrees) = ([m, l, l, m], [l, m, l, m]);
        let reading = Reading::new(&query, [&flips[..], &agrees[..]].into_iter());
        assert_eq!((reading.rejected.clone(), reading.disagreement.clone()), (vec![true, false], vec![0.5, 0.0]));
        let third = (1.0f64 / 3.0, 2.0f64 / 3.0);
        let entropy = -third.0 * third.0.ln() - third.1 * third.1.ln();
        assert!((reading.entropies[0] - entropy).abs() < 1e-6 && reading.entropies[1] < 1e-6);
        assert_eq!(reading.max_drop, [1.0, 0.0]);
        assert!(reading.base_entropy < 1e-6);
        let s = reading.statistics(&[0.0, 0.0]);
        assert!((s[0], s[1], s[3]) == (1.5, 0.5, 0.25) && (s[2] - entropy / 2.0).abs() < 1e-6 && s[4] >= 0.5, "{s:?}");
    }

    #[test]
    fn of_an_ensemble_that_repeats_f_the_rest_of_fs_own_entropy_is_left() {
        let query = Sample::of_logits(vec![0.0, 0.0, 30.0, -30.0], 2).unwrap();
        let same = query.logits.clone();
        let entropy = Reading::new(&query, [&same[..], &same].into_iter()).statistics(&[])[2];
        assert!((entropy - (1.0 - BASE_ENTROPY_SHARE) * 2f64.ln() / 2.0).abs() < 1e-6, "{entropy}");
        assert_eq!(Reading::new(&query, std::iter::empty()).statistics(&[])[2], entropy);
    }

    #[test]
    fn ks_against_brute_force() {
        let a = [0.1, 0.4, 0.4, 0.9, 2.0];
        let b = [0.4, 0.5, 0.6, 3.0];
        let share = |v: &[f64], x: f64| v.iter().filter(|y| **y <= x).count() as f64 / v.len() as f64;
        let brute = a.iter().chain(&b).map(|&x| (share(&a, x) - share(&b, x)).abs()).fold(0.0, f64::max);
        assert!((ks_distance(&a, &b) - brute).abs() < 1e-12);
        assert_eq!([ks_distance(&a, &[]), ks_distance(&[], &a)], [0.0; 2]);
    }
}
