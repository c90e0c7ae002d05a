//! Diversity of an ensemble: networks of one batch repel each other.
//!
//! rᵢ = −1/(n − 1) Σ_{j≠i} k(θᵢ, θⱼ) with k = 1 / (1 + ‖θᵢ − θⱼ‖²/ℓ²), whose pull is strongest near distance ℓ and reaches far.
//! This is the first variation of the interaction energy −½ E k(θ, θ') at θᵢ, so gradients hold the others fixed, as adjoint
//! matching of a law wants it. A batch of one has reward 0. Meant as a part of a [`WeightedSum`](super::WeightedSum) beside
//! a reward that keeps networks good; cost n² P.
use super::{Graded, Reward, rows};
use crate::{Error, Result, Streams};
use rayon::prelude::*;

/// Repulsion within a batch, at the length ℓ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diversity {
    dimension: usize,
    length: f64,
}

impl Diversity {
    /// Over points `[dimension]`; a good `length` is the median distance of the zoo's runs.
    ///
    /// # Errors
    /// A dimension of 0, or a length that is not above 0.
    pub fn new(dimension: usize, length: f64) -> Result<Self> {
        if dimension == 0 {
            return Err(Error::parameter("diversity.dimension", "at least 1", 0));
        }
        if !(length > 0.0 && length.is_finite()) {
            return Err(Error::parameter("diversity.length", "a finite number above 0", length));
        }
        Ok(Self { dimension, length })
    }
}

impl Reward for Diversity {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn describe(&self) -> String {
        format!("diversity at length {}", self.length)
    }

    fn grade(&self, theta: &[f32], _: &Streams) -> Result<Graded> {
        let (n, p) = (rows(theta, self.dimension)?, self.dimension);
        let (square, share) = (self.length * self.length, 1.0 / (n.max(2) - 1) as f64);
        let mut gradients = vec![0.0; theta.len()];
        let point = |i: usize| &theta[i * p..(i + 1) * p];
        let each = gradients.par_chunks_exact_mut(p).enumerate();
        let values = each.map(|(i, gradient)| {
            let mut value = 0.0;
            for j in (0..n).filter(|&j| j != i) {
                let apart: f64 = point(i).iter().zip(point(j)).map(|(a, b)| f64::from(a - b).powi(2)).sum();
                let kernel = 1.0 / (1.0 + apart / square);
                value -= share * kernel;
                let pull = (2.0 * share * kernel * kernel / square) as f32;
                gradient.iter_mut().zip(point(i)).zip(point(j)).for_each(|((g, a), b)| *g += pull * (a - b));
            }
            value
        });
        Ok(Graded { values: values.collect(), gradients })
    }
}
