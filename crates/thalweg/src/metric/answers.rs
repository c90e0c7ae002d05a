//! How new networks are in what they answer (M20): the share of inputs that two networks answer differently.
//!
//! Unlike the overlap of errors ([`super::behaviour`]) it needs no labels, and unlike a distance in weights it is blind to whatever a network does not
//! feel: hidden units in another order, and noise along flat directions. A bad network differs from everything, so read it beside the accuracy.
//! Two bytes an answer: 1,000 networks on 10,000 inputs take 20 MB.
use crate::coupling::distance::{Nearest, nearest_by};
use crate::{Error, Result};
use rayon::prelude::*;

/// The classes that M networks answer on N inputs `[M, N]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    classes: Vec<u16>,
    inputs: usize,
}

impl Answers {
    /// From predicted classes `predictions [M, N]` on `inputs` N.
    ///
    /// # Errors
    /// No input, predictions that are no `[M, N]`, or a class above 65,535.
    pub fn new(predictions: &[u32], inputs: usize) -> Result<Self> {
        if inputs == 0 || !predictions.len().is_multiple_of(inputs) {
            let expected = format!("[M, {inputs}], inputs at least 1");
            return Err(Error::shape("predictions", expected, format!("[{}]", predictions.len())));
        }
        let class = |&class: &u32| {
            u16::try_from(class).map_err(|_| Error::parameter("predictions", "classes of at most 65535", class))
        };
        Ok(Self { classes: predictions.iter().map(class).collect::<Result<_>>()?, inputs })
    }

    /// Adds the networks of `other`, over the same inputs, behind these.
    ///
    /// # Errors
    /// Another number of inputs.
    pub fn append(&mut self, mut other: Self) -> Result<()> {
        self.check(&other)?;
        self.classes.append(&mut other.classes);
        Ok(())
    }

    /// M.
    pub fn len(&self) -> usize {
        self.classes.len() / self.inputs
    }

    /// Whether there is no network.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// For each network here the one of `others` that answers the fewest inputs differently, with their share as the distance `[M]`; the first of
    /// equally near ones.
    ///
    /// # Errors
    /// Answers on another number of inputs, or no other network.
    pub fn nearest(&self, others: &Self) -> Result<Vec<Nearest>> {
        self.check(others)?;
        if others.is_empty() {
            return Err(Error::shape("answers", format!("[M, {}] with M at least 1", self.inputs), "[0]"));
        }
        Ok(self.least(others, |_, _| true))
    }

    /// The same among the networks here, each compared with all others `[M]`: leave-one-out.
    ///
    /// # Errors
    /// Fewer than two networks.
    pub fn nearest_others(&self) -> Result<Vec<Nearest>> {
        self.several()?;
        Ok(self.least(self, |i, j| i != j))
    }

    /// Mean share of inputs that two different networks answer differently, over all pairs: how spread the networks are. O(M N).
    ///
    /// # Errors
    /// Fewer than two networks.
    pub fn spread(&self) -> Result<f64> {
        self.several()?;
        let m = self.len() as f64;
        // On an input n_c networks answer c: n_c (n_c − 1) of the m (m − 1) ordered pairs agree on c.
        let agreeing = |input: usize| {
            let mut counts = std::collections::BTreeMap::new();
            self.classes.iter().skip(input).step_by(self.inputs).for_each(|c| *counts.entry(*c).or_insert(0u64) += 1);
            counts.values().map(|n| n * (n - 1)).sum::<u64>()
        };
        let agreeing: u64 = (0..self.inputs).into_par_iter().map(agreeing).sum();
        Ok(1.0 - agreeing as f64 / (m * (m - 1.0) * self.inputs as f64))
    }

    fn several(&self) -> Result<()> {
        if self.len() < 2 {
            let shape = |m: &str| format!("[{m}, {}]", self.inputs);
            return Err(Error::shape("answers", shape("M at least 2"), shape(&self.len().to_string())));
        }
        Ok(())
    }

    fn check(&self, other: &Self) -> Result<()> {
        if self.inputs != other.inputs {
            let shape = |inputs: usize| format!("[M, {inputs}]");
            return Err(Error::shape("answers", shape(self.inputs), shape(other.inputs)));
        }
        Ok(())
    }

    fn of(&self, i: usize) -> &[u16] {
        &self.classes[i * self.inputs..(i + 1) * self.inputs]
    }

    fn least(&self, others: &Self, allowed: impl Fn(usize, usize) -> bool + Sync) -> Vec<Nearest> {
        let share = |i, j| differing(self.of(i), others.of(j)) as f64 / self.inputs as f64;
        nearest_by([self.len(), others.len()], allowed, share)
    }
}

/// Inputs answered differently. Counted in pieces whose count two bytes hold, so that the loop stays in narrow vectors.
fn differing(a: &[u16], b: &[u16]) -> usize {
    let piece = |(a, b): (&[u16], &[u16])| {
        let count = a.iter().zip(b).fold(0u16, |count, (a, b)| count + u16::from(a != b));
        usize::from(count)
    };
    a.chunks(4096).zip(b.chunks(4096)).map(piece).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;

    #[test]
    fn agrees_with_all_pairs() {
        for n in [1usize, 64, 9_000] {
            let mut rng = Streams::new(n as u64).rng();
            let mut draw = |k: usize| -> Vec<u32> { (0..k * n).map(|_| rng.random_range(0..3)).collect() };
            let (a, b) = (draw(5), draw(7));
            let share = |x: &[u32], y: &[u32]| x.iter().zip(y).filter(|(x, y)| x != y).count() as f64 / n as f64;
            let (of_a, of_b) = (Answers::new(&a, n).unwrap(), Answers::new(&b, n).unwrap());
            let mut joined = Answers::new(&b[..3 * n], n).unwrap();
            joined.append(Answers::new(&b[3 * n..], n).unwrap()).unwrap();
            assert_eq!((of_a.len(), of_b.len(), &joined), (5, 7, &of_b));
            for (x, found) in a.chunks(n).zip(of_a.nearest(&of_b).unwrap()) {
                let all: Vec<f64> = b.chunks(n).map(|y| share(x, y)).collect();
                assert_eq!(found.distance, all.iter().copied().fold(f64::INFINITY, f64::min));
                assert_eq!(found.index, all.iter().position(|s| *s == found.distance).unwrap());
            }
            let pairs = || (0..5).flat_map(|i| (0..5).filter(move |j| *j != i).map(move |j| (i, j)));
            let of = |(i, j): (usize, usize)| share(&a[i * n..(i + 1) * n], &a[j * n..(j + 1) * n]);
            for (i, found) in of_a.nearest_others().unwrap().into_iter().enumerate() {
                let least = pairs().filter(|p| p.0 == i).map(of).fold(f64::INFINITY, f64::min);
                assert!(found.index != i && found.distance == least);
            }
            assert!((of_a.spread().unwrap() - pairs().map(of).sum::<f64>() / 20.0).abs() < 1e-12);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(
            Answers::new(&[0; 3], 2).is_err() && Answers::new(&[], 0).is_err() && Answers::new(&[65_536], 1).is_err()
        );
        let (one, two) = (Answers::new(&[0, 1], 2).unwrap(), Answers::new(&[0; 2], 1).unwrap());
        assert!(one.nearest(&two).is_err() && one.nearest_others().is_err() && one.spread().is_err());
        assert!(one.nearest(&Answers::new(&[], 2).unwrap()).is_err());
    }
}
