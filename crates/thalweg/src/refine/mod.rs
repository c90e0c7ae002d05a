//! Gradient-informed few-step refinement (M24): x_{s+1} = x_s + Σ_k a_k(s, T) e_k(s, T) for s = 0, …, N − 1 and every trained tensor T.
//!
//! The e_k are [`direction`]s of ascent of a [`Reward`] from the gradients at x_0, …, x_s, each on a fresh batch, with root mean square 1; the
//! coefficients a_k > 0 are trained ([`train`]) on the reward at x_N, for one N. Permuting hidden units of the start permutes the result: every direction commutes with
//! permutations of the rows and columns of its tensor. Starts are whatever the caller has: fresh draws, samples of a flow. What is not trained
//! (running statistics of batch normalisation) stays. A network costs N gradients; [`Ascent`] are the rivals of as many: tuned Adam, Muon, SOAP.
pub mod direction;
mod orthogonal;
mod rivals;
mod training;
mod whitened;

pub use rivals::{Ascent, Rule};
pub use training::{TrainingConfig, train};

use crate::reward::Reward;
use crate::{Error, Layout, Result, Streams, interrupt};
use direction::{ALL, Seen, normalise};
use rayon::prelude::*;
use thalweg_nets::engine::LayerInputs;
use thalweg_nets::layout::Slot;

/// Shares of the past in the running means of gradients and of their squares.
const DECAYS: [f32; 2] = [0.6, 0.9];

/// Rows of a batch that the second moments of layers' inputs are taken over, at most: the rows are drawn at random, and 256 of them cost ten times as much as a gradient
/// of a small network.
const INPUTS: usize = 64;

/// Steps with their coefficients, for networks of one layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Refiner {
    layout: Layout,
    steps: usize,
    /// log a `[N, T, K]`.
    logs: Vec<f32>,
}

impl Refiner {
    /// N steps for networks of `layout`, every coefficient `first`: to be trained.
    ///
    /// # Errors
    /// No step, a coefficient that is not above 0, or no trained tensor.
    pub fn new(layout: &Layout, steps: usize, first: f64) -> Result<Self> {
        if steps == 0 {
            return Err(Error::parameter("refine.steps", "at least 1", steps));
        }
        if !(first > 0.0 && first.is_finite()) {
            return Err(Error::parameter("refine.first", "a number above 0", first));
        }
        let tensors = trained(layout).count();
        if tensors == 0 {
            return Err(Error::parameter("refine.layout", "a layout with a trained tensor", "none"));
        }
        Ok(Self { layout: layout.clone(), steps, logs: vec![first.ln() as f32; steps * tensors * ALL.len()] })
    }

    /// Networks `[n, P]` from `starts [n, P]`: a pure function of them and of `streams`, on any number of threads.
    ///
    /// # Errors
    /// Starts that are not `[n, P]`; a reward over points of another dimension; what the reward refuses; a result that is not finite; [`Error::Interrupted`].
    pub fn refine(&self, starts: &[f32], reward: &dyn Reward, streams: &Streams) -> Result<Vec<f32>> {
        check(&self.layout, starts, reward)?;
        let mut theta = starts.to_vec();
        let [mut mean, mut squares] = [vec![0.0f32; theta.len()], vec![0.0f32; theta.len()]];
        for s in 0..self.steps {
            interrupt::check()?;
            let batch = streams.index(s as u64);
            let gradients = reward.grade(&theta, &batch)?.gradients;
            let inputs = reward.layer_inputs(&theta, &batch, INPUTS)?.unwrap_or_default();
            mix(&mut mean, &gradients, DECAYS[0], |g| g);
            mix(&mut squares, &gradients, DECAYS[1], |g| g * g);
            let [mean, squares] = [corrected(&mean, DECAYS[0], s), corrected(&squares, DECAYS[1], s)];
            let directions: Vec<Vec<f32>> =
                (0..ALL.len()).map(|k| self.directions(k, &mean, &squares, &inputs)).collect();
            self.advance(s, &directions, &mut theta);
        }
        finite(theta, &self.layout)
    }

    /// e_k of every tensor of every network `[n, P]`; 0 where it does not apply.
    fn directions(&self, k: usize, mean: &[f32], squares: &[f32], inputs: &[Vec<LayerInputs>]) -> Vec<f32> {
        let p = self.layout.len();
        let mut out = vec![0.0; mean.len()];
        let each = out.par_chunks_mut(p).zip(mean.par_chunks(p).zip(squares.par_chunks(p))).enumerate();
        each.for_each(|(network, (out, (mean, squares)))| {
            for slot in trained(&self.layout).filter(|slot| ALL[k].applies(slot)) {
                let e = &mut out[slot.range()];
                let (mean, squares) = (&mean[slot.range()], &squares[slot.range()]);
                ALL[k].write(&Seen { mean, squares, inputs: inputs_of(inputs.get(network), slot) }, slot, e);
                normalise(e);
            }
        });
        out
    }

    /// x ← x + Σ_k a_k(s, T) e_k.
    fn advance(&self, s: usize, directions: &[Vec<f32>], theta: &mut [f32]) {
        let p = self.layout.len();
        for (k, e) in directions.iter().enumerate() {
            for (theta, e) in theta.chunks_exact_mut(p).zip(e.chunks_exact(p)) {
                for (t, slot) in trained(&self.layout).enumerate() {
                    let a = self.logs[self.place(s, t, k)].exp();
                    theta[slot.range()].iter_mut().zip(&e[slot.range()]).for_each(|(x, e)| *x += a * e);
                }
            }
        }
    }

    /// Where a_k(s, T) is kept.
    fn place(&self, s: usize, t: usize, k: usize) -> usize {
        (s * trained(&self.layout).count() + t) * ALL.len() + k
    }
}

/// Refuses starts and rewards that do not fit networks of `layout`.
fn check(layout: &Layout, starts: &[f32], reward: &dyn Reward) -> Result<()> {
    layout.check("starts to refine", starts)?;
    match reward.dimension() == layout.len() {
        true => Ok(()),
        false => Err(Error::shape("reward", format!("points of {} numbers", layout.len()), reward.dimension())),
    }
}

/// Networks, if all their weights are finite.
fn finite(theta: Vec<f32>, layout: &Layout) -> Result<Vec<f32>> {
    if let Some(i) = theta.iter().position(|v| !v.is_finite()) {
        let place = format!("network {}, number {} (smaller steps may help)", i / layout.len(), i % layout.len());
        return Err(Error::NotFinite { what: "a refined weight".into(), place, value: theta[i].into() });
    }
    Ok(theta)
}

/// The trained tensors; those of imported networks, whose roles are not known, are all taken as trained.
fn trained(layout: &Layout) -> impl Iterator<Item = &Slot> {
    layout.slots().iter().filter(|slot| slot.role.is_trained() && !slot.is_empty())
}

/// What a tensor multiplies, of the `layers` of its network.
fn inputs_of<'a>(layers: Option<&'a Vec<LayerInputs>>, slot: &Slot) -> Option<&'a [f32]> {
    layers?.iter().find(|layer| layer.weight == slot.offset).map(|layer| &layer.rows[..])
}

/// m ← β m + (1 − β) f(g).
fn mix(mean: &mut [f32], gradients: &[f32], decay: f32, f: impl Fn(f32) -> f32) {
    mean.iter_mut().zip(gradients).for_each(|(m, g)| *m = decay * *m + (1.0 - decay) * f(*g));
}

/// m / (1 − β^{s+1}).
fn corrected(mean: &[f32], decay: f32, s: usize) -> Vec<f32> {
    let share = 1.0 - decay.powi(s as i32 + 1);
    mean.iter().map(|m| m / share).collect()
}

#[cfg(test)]
mod tests;
