//! The explicit noiseless steps of a potential, x_{k+1} = x_k − τ_k ∇V(x_k, t_k), as NM-JKO samples by them (M6).
use super::base::Field;
use super::potential::{Cotangents, Jet, MlpPotential, Potential};
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;

/// The explicit steps of a potential model.
#[derive(Clone, Copy)]
pub struct Steps<'a> {
    /// V.
    pub potential: &'a MlpPotential,
    /// Times of the marginals `[K + 1]`: step k goes from the k-th to the next.
    pub times: &'a [f64],
    /// Whether V is taken at the step's start; at time 0 always where it is not.
    pub time_dependent: bool,
}

impl Steps<'_> {
    pub(crate) fn tau(&self, k: usize) -> f32 {
        (self.times[k + 1] - self.times[k]) as f32
    }

    pub(crate) fn gradient(&self, x: &[f32], k: usize, tape: &mut Tape) -> Vec<f32> {
        let time = if self.time_dependent { self.times[k] as f32 } else { 0.0 };
        let mut gradient = vec![0.0; x.len()];
        let t = vec![time; x.len() / self.potential.dimension()];
        self.potential.evaluate(x, &t, Jet { value: None, gradient: &mut gradient, rate: None }, tape);
        gradient
    }

    /// ∇²V w at the points of `tape`, and the parameters' share added to `gradient`.
    pub(crate) fn vjp(&self, w: &[f32], tape: &mut Tape, gradient: Gradient<'_>) -> Vec<f32> {
        let mut dx = vec![0.0; w.len()];
        self.potential.vjp(&Cotangents { gradient: Some(w), ..Cotangents::default() }, tape, gradient, Some(&mut dx));
        dx
    }
}
