//! How new networks are in behaviour (M20): the overlap (intersection over union) of the sets of wrongly classified inputs.
//!
//! 1: the same errors, whatever the weights; the zoo's own leave-one-out value is the level of an honest new run. Two
//! networks without any error count as the same. One bit an input: 1,000 networks on 10,000 inputs take 1.25 MB.
use crate::{Error, Result};
use rayon::prelude::*;

/// The wrongly classified inputs of M networks, as bits `[M, ceil(N/64)]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongSets {
    words: Vec<u64>,
    inputs: usize,
}

impl WrongSets {
    /// From predicted classes `predictions [M, N]` and `labels [N]`.
    ///
    /// # Errors
    /// No input, or predictions that are no `[M, N]`.
    pub fn new(predictions: &[u32], labels: &[u32]) -> Result<Self> {
        let inputs = labels.len();
        if inputs == 0 || !predictions.len().is_multiple_of(inputs) {
            return Err(Error::shape(
                "predictions",
                format!("[M, {inputs}], inputs at least 1"),
                format!("[{}]", predictions.len()),
            ));
        }
        let mut words = Vec::with_capacity(predictions.len() / inputs * inputs.div_ceil(64));
        for predictions in predictions.chunks_exact(inputs) {
            for (predictions, labels) in predictions.chunks(64).zip(labels.chunks(64)) {
                let wrong = predictions.iter().zip(labels).map(|(p, l)| p != l).enumerate();
                words.push(wrong.fold(0, |word, (bit, wrong)| word | u64::from(wrong) << bit));
            }
        }
        Ok(Self { words, inputs })
    }

    /// Adds the networks of `other`, over the same inputs, behind these.
    ///
    /// # Errors
    /// Another number of inputs.
    pub fn append(&mut self, mut other: Self) -> Result<()> {
        if self.inputs != other.inputs {
            let shape = |inputs: usize| format!("[M, {inputs}]");
            return Err(Error::shape("wrong sets", shape(self.inputs), shape(other.inputs)));
        }
        self.words.append(&mut other.words);
        Ok(())
    }

    /// M.
    pub fn len(&self) -> usize {
        self.words.len() / self.inputs.div_ceil(64)
    }

    /// Whether there is no network.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    fn set(&self, i: usize) -> &[u64] {
        let words = self.inputs.div_ceil(64);
        &self.words[i * words..(i + 1) * words]
    }

    /// Number of inputs that network `i` gets wrong.
    pub fn errors(&self, i: usize) -> usize {
        self.set(i).iter().map(|w| w.count_ones() as usize).sum()
    }

    /// The greatest overlap of each network here with any of `others` `[M]`.
    ///
    /// # Errors
    /// Sets over another number of inputs, or no other network.
    pub fn most_similar(&self, others: &Self) -> Result<Vec<f64>> {
        if self.inputs != others.inputs || others.is_empty() {
            let expected = format!("[M, {}] with M at least 1", self.inputs);
            return Err(Error::shape("wrong sets", expected, format!("[{}, {}]", others.len(), others.inputs)));
        }
        Ok(self.greatest(others, |_, _| true))
    }

    /// The greatest overlap of each network with any other one here `[M]`: leave-one-out.
    ///
    /// # Errors
    /// Fewer than two networks.
    pub fn most_similar_others(&self) -> Result<Vec<f64>> {
        if self.len() < 2 {
            return Err(Error::shape(
                "wrong sets",
                format!("[M, {}] with M at least 2", self.inputs),
                format!("[{}, {}]", self.len(), self.inputs),
            ));
        }
        Ok(self.greatest(self, |i, j| i != j))
    }

    fn greatest(&self, others: &Self, allowed: impl Fn(usize, usize) -> bool + Sync) -> Vec<f64> {
        let of = |i: usize| {
            let candidates = (0..others.len()).filter(|&j| allowed(i, j));
            candidates.map(|j| overlap(self.set(i), others.set(j))).fold(0.0, f64::max)
        };
        (0..self.len()).into_par_iter().map(of).collect()
    }
}

/// Intersection over union; 1 where both are empty.
fn overlap(a: &[u64], b: &[u64]) -> f64 {
    let (mut both, mut either) = (0, 0);
    for (a, b) in a.iter().zip(b) {
        both += (a & b).count_ones();
        either += (a | b).count_ones();
    }
    if either == 0 { 1.0 } else { f64::from(both) / f64::from(either) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;
    use std::collections::HashSet;

    #[test]
    fn agrees_with_sets_of_indices() {
        for n in [1usize, 63, 64, 65, 300] {
            let mut rng = Streams::new(n as u64).rng();
            let mut draw = |k: usize| -> Vec<u32> { (0..k).map(|_| rng.random_range(0..3)).collect() };
            let (labels, a, b) = (draw(n), draw(5 * n), draw(7 * n));
            let sets = |x: &[u32]| -> Vec<HashSet<usize>> {
                x.chunks(n).map(|x| (0..n).filter(|&i| x[i] != labels[i]).collect()).collect()
            };
            let iou = |x: &HashSet<usize>, y: &HashSet<usize>| match x.union(y).count() {
                0 => 1.0,
                union => x.intersection(y).count() as f64 / union as f64,
            };
            let (wrong_a, wrong_b) = (WrongSets::new(&a, &labels).unwrap(), WrongSets::new(&b, &labels).unwrap());
            let mut halves = WrongSets::new(&b[..3 * n], &labels).unwrap();
            halves.append(WrongSets::new(&b[3 * n..], &labels).unwrap()).unwrap();
            assert_eq!((wrong_a.len(), wrong_b.len(), &halves), (5, 7, &wrong_b));
            let (a, b) = (sets(&a), sets(&b));
            let greatest: Vec<f64> = a.iter().map(|x| b.iter().map(|y| iou(x, y)).fold(0.0, f64::max)).collect();
            assert_eq!(wrong_a.most_similar(&wrong_b).unwrap(), greatest);
            for (i, found) in wrong_a.most_similar_others().unwrap().into_iter().enumerate() {
                let others = (0..5).filter(|&j| j != i);
                assert_eq!(found, others.map(|j| iou(&a[i], &a[j])).fold(0.0, f64::max));
                assert_eq!(wrong_a.errors(i), a[i].len());
            }
            assert_eq!(wrong_a.most_similar(&wrong_a).unwrap(), vec![1.0; 5]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(WrongSets::new(&[0; 3], &[0, 1]).is_err());
        assert!(WrongSets::new(&[], &[]).is_err());
        let (two, three) = (WrongSets::new(&[0, 0], &[0, 1]).unwrap(), WrongSets::new(&[0; 3], &[0; 3]).unwrap());
        assert!(two.most_similar(&three).is_err());
        assert!(two.most_similar_others().is_err());
    }
}
