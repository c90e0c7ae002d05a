//! What tuning a generator has to beat: the best of n samples, gradient ascent on samples, guidance at sampling time.
//!
//! None of them changes the model. Ascent is plain fine-tuning by Adam, in weights; guidance adds the gradient of the reward
//! at the predicted end x + (1 − t) v to the velocity: dx = (v + g ∇r(x + (1 − t) v) / ‖∇r‖ · √P) dt, a direction of fixed length g in
//! standardised units, since raw gradients of weights have no useful size. Cost: a reward gradient a step and network, each.
use crate::field::Field;
use crate::nn::optimiser::{AdamW, AdamWConfig, Schedule};
use crate::nn::tape::Tape;
use crate::reward::Reward;
use crate::{Error, Result, Streams};
use rayon::prelude::*;

/// The indices of the `m` largest of `rewards`, best first; equal ones in their order.
pub fn best(rewards: &[f64], m: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rewards.len()).collect();
    order.sort_by(|&a, &b| rewards[b].total_cmp(&rewards[a]));
    order.truncate(m);
    order
}

/// Gradient ascent by Adam on points `theta [n, P]`, in place: `steps` steps, each on another draw of the reward; `after` is told the
/// number of steps done and the points after each, and stops the ascent by returning false. Returns the steps done.
///
/// # Errors
/// Whatever the reward refuses, or points that are no longer finite.
pub fn ascend(
    theta: &mut [f32],
    reward: &dyn Reward,
    steps: u64,
    rate: f64,
    streams: &Streams,
    mut after: impl FnMut(u64, &[f32]) -> Result<bool>,
) -> Result<u64> {
    let config = AdamWConfig {
        learning_rate: rate,
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        clip: f64::INFINITY,
        ..AdamWConfig::default()
    };
    let mut adam = AdamW::new(&config, steps, theta)?;
    for step in 0..steps {
        let mut descent = reward.grade(theta, &streams.index(step))?.gradients;
        descent.par_iter_mut().for_each(|g| *g = -*g);
        adam.step(theta, &descent)?;
        if !after(step + 1, theta)? {
            return Ok(step + 1);
        }
    }
    if let Some(i) = theta.iter().position(|v| !v.is_finite()) {
        let place = format!("row {}", i / reward.dimension());
        return Err(Error::NotFinite { what: "a point under ascent".into(), place, value: theta[i].into() });
    }
    Ok(steps)
}

/// Guided Euler steps from starts `z [n, P]`, in place; `reward` is over the field's coordinates, `strength` is g.
///
/// # Errors
/// Whatever the reward refuses.
pub fn guide(
    field: &dyn Field,
    z: &mut [f32],
    reward: &dyn Reward,
    strength: f64,
    steps: usize,
    streams: &Streams,
) -> Result<()> {
    let p = field.dimension();
    let (mut tape, mut v) = (Tape::default(), vec![0.0; z.len()]);
    let h = 1.0 / steps as f32;
    for k in 0..steps {
        let t = k as f32 / steps as f32;
        field.velocity(z, &vec![t; z.len() / p], None, &mut v, &mut tape);
        let ends: Vec<f32> = z.iter().zip(&v).map(|(x, v)| x + (1.0 - t) * v).collect();
        let gradients = reward.grade(&ends, &streams.index(k as u64))?.gradients;
        let rows = z.par_chunks_exact_mut(p).zip(v.par_chunks_exact(p)).zip(gradients.par_chunks_exact(p));
        rows.for_each(|((x, v), g)| {
            let norm = g.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let push = if norm > 0.0 { (strength * (p as f64).sqrt() / norm) as f32 } else { 0.0 };
            for ((x, v), g) in x.iter_mut().zip(v).zip(g) {
                *x += h * (v + push * g);
            }
        });
    }
    Ok(())
}
