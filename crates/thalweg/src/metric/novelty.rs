//! How new networks are in weights (M20): L2 to the nearest training network, in units of the zoo's own leave-one-out median.
//!
//! d = 1: as far from every training network as a new training run is from the others; d = 0: a copy. Weights are
//! compared as they are; permuting hidden units moves a network far away without changing it, so align first (M3) where
//! generated and training networks may differ by permutations, and read the overlap of errors ([`super::behaviour`]) beside d.
use super::summary::quantile;
use crate::coupling::distance::{Nearest, Points, count, nearest_others};
use crate::{Error, Result};

/// The training networks `[R, P]` of a zoo and how far apart they are.
#[derive(Clone, Debug)]
pub struct Neighbourhood<'a> {
    training: &'a [f32],
    p: usize,
    own: Vec<Nearest>,
    median: f64,
}

impl<'a> Neighbourhood<'a> {
    /// Measures `training [R, P]`: O(R² P), blocked and parallel.
    ///
    /// # Errors
    /// Fewer than two networks, weights not finite, or a median of 0: a zoo most of whose networks are copies.
    pub fn new(training: &'a [f32], p: usize) -> Result<Self> {
        if count("training networks", training, p)? < 2 {
            let expected = "at least 2: distances are in units of those between them";
            return Err(Error::parameter("training networks", expected, 1));
        }
        let own = nearest_others(training, p)?;
        let distances: Vec<f64> = own.iter().map(|x| x.distance).collect();
        let median = quantile("leave-one-out distance", &distances, 0.5)?;
        if median == 0.0 {
            return Err(Error::parameter("training networks", "networks that differ", "copies of each other"));
        }
        Ok(Self { training, p, own, median })
    }

    /// The zoo's leave-one-out median: distances divided by it are d.
    pub fn median(&self) -> f64 {
        self.median
    }

    /// Each training network's nearest other `[R]`.
    pub fn own(&self) -> &[Nearest] {
        &self.own
    }

    /// The nearest training network of each of `theta [n, P]`.
    ///
    /// # Errors
    /// A slice that is no `[n, P]`, or not finite.
    pub fn nearest(&self, theta: &[f32]) -> Result<Vec<Nearest>> {
        Points::new(theta, self.training, self.p)?.nearest()
    }

    /// d of each distance.
    pub fn relative(&self, nearest: &[Nearest]) -> Vec<f64> {
        nearest.iter().map(|x| x.distance / self.median).collect()
    }
}

/// N&P: the share of networks with accuracy at or above `floor` (the zoo's 5 % quantile) and d > 1; slices `[n]`, n ≥ 1.
pub fn novel_and_performing(accuracy: &[f64], d: &[f64], floor: f64) -> f64 {
    let both = accuracy.iter().zip(d).filter(|(accuracy, d)| **accuracy >= floor && **d > 1.0).count();
    both as f64 / accuracy.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use crate::coupling::distance::by_differences;
    use rand::RngExt;

    #[test]
    fn agrees_with_all_pairs() {
        let (r, n, p) = (31, 9, 6);
        let mut rng = Streams::new(1).rng();
        let (zoo, new): (Vec<f32>, Vec<f32>) =
            ((0..r * p).map(|_| rng.random()).collect(), (0..n * p).map(|_| rng.random()).collect());
        let near = |x: &[f32], skip: usize| {
            let others = zoo.chunks(p).enumerate().filter(|(j, _)| *j != skip);
            others.map(|(_, y)| by_differences(x, y)).fold(f64::INFINITY, f64::min)
        };
        let mut own: Vec<f64> = zoo.chunks(p).enumerate().map(|(i, x)| near(x, i)).collect();
        own.sort_by(f64::total_cmp);
        let zoo_of = Neighbourhood::new(&zoo, p).unwrap();
        assert!((zoo_of.median() / own[15] - 1.0).abs() < 1e-6);
        let d = zoo_of.relative(&zoo_of.nearest(&new).unwrap());
        for (x, d) in new.chunks(p).zip(&d) {
            assert!((d - near(x, usize::MAX) / own[15]).abs() < 1e-6);
        }
        assert_eq!(zoo_of.relative(&zoo_of.nearest(&zoo).unwrap()), vec![0.0; r]);
    }

    #[test]
    fn novel_and_performing_needs_both() {
        assert_eq!(novel_and_performing(&[0.9, 0.9, 0.8, 0.95], &[1.1, 1.0, 2.0, 3.0], 0.9), 0.5);
    }

    #[test]
    fn a_zoo_of_copies_is_refused() {
        assert!(Neighbourhood::new(&[1.0; 6], 2).unwrap_err().to_string().contains("copies"));
        assert!(Neighbourhood::new(&[1.0; 2], 2).is_err());
    }
}
