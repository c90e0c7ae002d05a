//! How new networks are in the probabilities that they answer (M20), where their classes alone tell too little: the mean total variation distance.
//!
//! On few inputs good networks often answer all of them alike; their probabilities still tell them apart, and are as blind to what a network does not feel.
use crate::coupling::distance::{Nearest, nearest_by};
use crate::{Error, Result};
use thalweg_nets::loss::softmax_rows;

/// Class probabilities of M networks on N inputs `[M, N, C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities {
    values: Vec<f32>,
    inputs: usize,
    classes: usize,
}

impl Probabilities {
    /// From `logits [M, N, C]`.
    ///
    /// # Errors
    /// Logits that are no `[M, N, C]` with N and C at least 1.
    pub fn of_logits(logits: &[f32], inputs: usize, classes: usize) -> Result<Self> {
        let each = inputs * classes;
        if each == 0 || !logits.len().is_multiple_of(each) {
            return Err(Error::shape("logits", format!("[M, {inputs}, {classes}]"), format!("[{}]", logits.len())));
        }
        Ok(Self { values: softmax_rows(logits, classes), inputs, classes })
    }

    /// Adds the networks of `other`, over the same inputs, behind these.
    pub fn append(&mut self, mut other: Self) {
        self.values.append(&mut other.values);
    }

    /// M.
    pub fn len(&self) -> usize {
        self.values.len() / (self.inputs * self.classes)
    }

    /// Whether there is no network.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// For each network here the nearest of `others`, with the mean over inputs of ½ Σ_c |p_c − q_c| as the distance `[M]`; the first of equally near
    /// ones. A network whose probabilities are not finite is at distance 1 from all.
    ///
    /// # Errors
    /// Other inputs or classes, or no other network.
    pub fn nearest(&self, others: &Self) -> Result<Vec<Nearest>> {
        if (self.inputs, self.classes) != (others.inputs, others.classes) || others.is_empty() {
            let shape = |of: &Self, m: &str| format!("[{m}, {}, {}]", of.inputs, of.classes);
            let found = shape(others, &others.len().to_string());
            return Err(Error::shape("probabilities", shape(self, "M at least 1"), found));
        }
        Ok(self.least(others, |_, _| true))
    }

    /// The same among the networks here, each compared with all others `[M]`: leave-one-out.
    ///
    /// # Errors
    /// Fewer than two networks.
    pub fn nearest_others(&self) -> Result<Vec<Nearest>> {
        if self.len() < 2 {
            return Err(Error::shape("probabilities", "of 2 networks at least", format!("of {}", self.len())));
        }
        Ok(self.least(self, |i, j| i != j))
    }

    fn of(&self, i: usize) -> &[f32] {
        let each = self.inputs * self.classes;
        &self.values[i * each..(i + 1) * each]
    }

    fn least(&self, others: &Self, allowed: impl Fn(usize, usize) -> bool + Sync) -> Vec<Nearest> {
        let distance = |i, j| {
            let rows = self.of(i).chunks_exact(self.classes).zip(others.of(j).chunks_exact(self.classes));
            let sum: f64 = rows.map(|(p, q)| p.iter().zip(q).map(|(p, q)| f64::from((p - q).abs())).sum::<f64>()).sum();
            if sum.is_finite() { sum / (2 * self.inputs) as f64 } else { 1.0 }
        };
        nearest_by([self.len(), others.len()], allowed, distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_by_hand_and_blind_to_what_softmax_is_blind_to() {
        // Two inputs, two classes: probabilities (¾, ¼) and (½, ½), then (¼, ¾) and (½, ½); logits may be moved by a constant.
        let third = 3f32.ln();
        let all = Probabilities::of_logits(&[third, 0.0, 1.0, 1.0, 5.0, 5.0 + third, -2.0, -2.0], 2, 2).unwrap();
        let found = all.nearest_others().unwrap();
        assert_eq!((found[0].index, found[1].index), (1, 0));
        // ½ (½ + ½) on the first input, nothing on the second, over two inputs.
        assert!(found.iter().all(|nearest| (nearest.distance - 0.25).abs() < 1e-7));
        let copy = Probabilities::of_logits(&[third + 7.0, 7.0, 0.0, 0.0], 2, 2).unwrap();
        let found = copy.nearest(&all).unwrap();
        assert!(found[0].index == 0 && found[0].distance < 1e-7);
        let broken = Probabilities::of_logits(&[f32::NAN, 0.0, 0.0, 0.0], 2, 2).unwrap();
        assert_eq!(broken.nearest(&all).unwrap()[0].distance, 1.0);
        assert!(Probabilities::of_logits(&[0.0; 3], 2, 2).is_err() && copy.nearest_others().is_err());
    }
}
