//! Simulated trajectories with their lean adjoints (M12; Domingo-Enrich et al., ICLR 2025).
//!
//! Euler–Maruyama steps X_{k+1} = X_k + d (c v − reversion (X_k − m₀)) + √d σ s ε of the tuned field, without gradients; then backwards
//! a_K = −λ ∇r(X_K), a_k = a_{k+1} + d (c Jᵀ a_{k+1} − reversion a_{k+1}) with J = ∇v₀(X_k, t_k), the *base* field's: one
//! vector–Jacobian product a step. Deviates: a step is matched to the adjoint at its *end*, a_{k+1}, which is the gradient of the
//! discretised process itself; for Gaussians with 20 steps this leaves .8 % error in the mean and .1 % in the variance
//! of the tuned ODE, where a_k leaves 4.6 % and 5.8 %.
//! Cost of an iteration: per step one evaluation of the tuned field, one of the base field and one product through it.
use super::process::{Coefficients, Process};
use crate::field::Field;
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;
use crate::reward::Reward;
use crate::{Error, Result, Streams, interrupt};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// B trajectories of K steps with what the regression needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectories {
    /// t_k `[K + 1]`.
    pub grid: Vec<f64>,
    /// X_k for k < K, `[K, B, P]`.
    pub x: Vec<f32>,
    /// v₀(X_k, t_k) `[K, B, P]`.
    pub base: Vec<f32>,
    /// a_{k+1} `[K, B, P]`.
    pub adjoint: Vec<f32>,
}

/// What an iteration made beside its trajectories.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terminal {
    /// X_K `[B, P]`.
    pub x: Vec<f32>,
    /// r(X_K) `[B]`.
    pub rewards: Vec<f64>,
    /// ½ Σ d ‖(c/σ s)(v − v₀)‖² of each trajectory `[B]`: its mean is the relative entropy of the tuned path law to the base one.
    pub distances: Vec<f64>,
}

/// Buffers that are kept from iteration to iteration.
#[derive(Default)]
pub struct Buffers {
    tuned: Tape,
    base: Vec<Tape>,
    velocity: Vec<f32>,
    pulled: Vec<f32>,
}

/// What is simulated.
pub struct Simulation<'a> {
    /// v₀.
    pub base: &'a dyn Field,
    /// v.
    pub tuned: &'a dyn Field,
    /// The process.
    pub process: &'a Process<'a>,
    /// r over the process's coordinates.
    pub reward: &'a dyn Reward,
    /// λ.
    pub strength: f64,
    /// Largest norm of ∇r.
    pub clip: f64,
}

impl Simulation<'_> {
    /// Simulates `rows` trajectories on `grid` and their adjoints: a pure function of the streams.
    ///
    /// # Errors
    /// A state that is not finite, or whatever the reward refuses; [`Error::Interrupted`].
    pub fn run(
        &self,
        grid: Vec<f64>,
        rows: usize,
        streams: &Streams,
        buffers: &mut Buffers,
    ) -> Result<(Trajectories, Terminal)> {
        let (p, steps) = (self.base.dimension(), grid.len() - 1);
        let size = rows * p;
        let mut x = vec![0.0; size];
        for (i, z) in x.chunks_exact_mut(p).enumerate() {
            self.process.start.draw(i as u64, &streams.child("start"), z)?;
        }
        let noise = streams.child("noise");
        let mut rngs: Vec<ChaCha8Rng> = (0..rows).map(|i| noise.index(i as u64).rng()).collect();
        let mut made = Trajectories {
            x: Vec::with_capacity(steps * size),
            base: vec![0.0; steps * size],
            adjoint: vec![0.0; steps * size],
            grid,
        };
        buffers.velocity.resize(size, 0.0);
        buffers.pulled.resize(size, 0.0);
        buffers.base.resize_with(steps, Tape::default);
        let mut distances = vec![0.0; rows];
        for k in 0..steps {
            interrupt::check()?;
            let (t, step) = (made.grid[k], made.grid[k + 1] - made.grid[k]);
            let c = self.process.at(t, step);
            let (times, base) = (vec![t as f32; rows], &mut made.base[k * size..(k + 1) * size]);
            made.x.extend_from_slice(&x);
            self.tuned.velocity(&x, &times, None, &mut buffers.velocity, &mut buffers.tuned);
            self.base.velocity(&x, &times, None, base, &mut buffers.base[k]);
            let each =
                x.par_chunks_exact_mut(p).zip(buffers.velocity.par_chunks_exact(p)).zip(base.par_chunks_exact(p));
            let each = each.zip(&mut rngs).zip(&mut distances);
            each.for_each(|((((x, v), base), rng), distance)| *distance += self.step(&c, x, v, base, rng));
        }
        if let Some(i) = x.iter().position(|v| !v.is_finite()) {
            let place = format!("row {}, coordinate {} (a smaller strength or learning rate may help)", i / p, i % p);
            return Err(Error::NotFinite { what: "a simulated trajectory".into(), place, value: x[i].into() });
        }
        let graded = self.reward.grade(&x, &streams.child("reward"))?;
        self.adjoints(graded.gradients, &mut made, buffers)?;
        Ok((made, Terminal { x, rewards: graded.values, distances }))
    }

    /// One step of one row; returns its part of the distance.
    fn step(&self, c: &Coefficients, x: &mut [f32], v: &[f32], base: &[f32], rng: &mut ChaCha8Rng) -> f64 {
        let size = c.step.sqrt() * c.sigma;
        let mut square = 0.0f64;
        for (i, ((x, v), base)) in x.iter_mut().zip(v).zip(base).enumerate() {
            let variance = self.process.variance(i);
            let drift = c.velocity * v - c.reversion * (*x - self.process.mean(i));
            let noise: f32 = rng.sample(StandardNormal);
            *x += c.step * drift + size * variance.sqrt() * noise;
            if variance > 0.0 {
                square += f64::from((v - base) * (v - base) / variance);
            }
        }
        0.5 * f64::from(c.step) * f64::from(c.velocity / c.sigma).powi(2) * square
    }

    /// Fills the adjoints, from ∇r at the ends `[B, P]` backwards.
    fn adjoints(&self, mut gradient: Vec<f32>, made: &mut Trajectories, buffers: &mut Buffers) -> Result<()> {
        let size = gradient.len();
        descent(&mut gradient, self.base.dimension(), self.strength, self.clip)?;
        let mut a = gradient;
        for k in (0..made.grid.len() - 1).rev() {
            interrupt::check()?;
            made.adjoint[k * size..(k + 1) * size].copy_from_slice(&a);
            let c = self.process.at(made.grid[k], made.grid[k + 1] - made.grid[k]);
            self.base.backward(&a, &mut buffers.base[k], Gradient::Skip, Some(&mut buffers.pulled));
            let (keep, take) = (1.0 - c.step * c.reversion, c.step * c.velocity);
            a.par_iter_mut().zip(&buffers.pulled).for_each(|(a, pulled)| *a = keep * *a + take * pulled);
        }
        Ok(())
    }
}

/// Turns gradients of the reward `[B, P]` into −λ ∇r, each of norm at most λ `clip`.
///
/// # Errors
/// A gradient whose norm is not finite.
pub fn descent(gradients: &mut [f32], p: usize, strength: f64, clip: f64) -> Result<()> {
    for row in gradients.chunks_exact_mut(p) {
        let norm = row.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        if !norm.is_finite() {
            let what = "the norm of a reward's gradient".to_string();
            return Err(Error::NotFinite { what, place: "the end of a trajectory".into(), value: norm });
        }
        let factor = (-strength * (clip / norm).min(1.0)) as f32;
        row.iter_mut().for_each(|g| *g *= factor);
    }
    Ok(())
}
