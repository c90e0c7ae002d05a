//! The regression of adjoint matching (M12): ‖(c/σ)(v(X_k, t_k) − v₀(X_k, t_k)) + σ s² a‖² over some of the steps, the target held fixed.
//!
//! Deviates: the residual is multiplied by s, the source's deviation, coordinate by coordinate, so that coordinates that
//! hardly vary do not blow up; the minimiser is the same. The loss is the mean over terms and coordinates.
//! A term (a trajectory at a step) whose residual is beyond `clip` times the median of its step's is weighed down to
//! that length: a few wild ends must not decide an iteration.
use super::process::Process;
use super::trajectory::Trajectories;
use crate::field::Field;
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;
use crate::{Result, Streams};
use rand::RngExt;
use rayon::prelude::*;
use thalweg_nets::streams::shuffle;

/// The steps of K that a regression is taken over: the last quarter, and as many of the others, drawn without replacement; in order.
pub fn terms(steps: usize, streams: &Streams) -> Vec<usize> {
    let last = steps.div_ceil(4);
    let mut early: Vec<usize> = (0..steps - last).collect();
    let mut rng = streams.rng();
    shuffle(&mut early, &mut rng);
    early.truncate(last);
    early.extend(steps - last..steps);
    early.sort_unstable();
    early
}

/// The entry of a buffer of `len` (newest last) that update `update` of an iteration learns from: first the newest, then any.
pub fn entry(len: usize, update: u64, streams: &Streams) -> usize {
    if update == 0 { len - 1 } else { streams.rng().random_range(0..len) }
}

/// Buffers that are kept from call to call.
#[derive(Default)]
pub struct Scratch {
    tape: Tape,
    x: Vec<f32>,
    t: Vec<f32>,
    v: Vec<f32>,
}

/// The loss of `field` on the steps `terms` of `made`, and its gradient `[Q]` over what was in `gradient`.
///
/// # Errors
/// None with shapes that fit; kept for fields that may refuse points.
pub fn loss(
    field: &dyn Field,
    process: &Process,
    made: &Trajectories,
    terms: &[usize],
    clip: f64,
    scratch: &mut Scratch,
    gradient: &mut [f32],
) -> Result<f64> {
    let p = field.dimension();
    let steps = made.grid.len() - 1;
    let size = made.x.len() / steps;
    let rows = size / p;
    let Scratch { tape, x, t, v } = scratch;
    x.clear();
    t.clear();
    for &k in terms {
        x.extend_from_slice(&made.x[k * size..(k + 1) * size]);
        t.extend(std::iter::repeat_n(made.grid[k] as f32, rows));
    }
    field.check(x, t, None)?;
    v.resize(x.len(), 0.0);
    field.velocity(x, t, None, v, tape);
    // v becomes the residual, its square is returned row by row.
    let residuals = v.par_chunks_exact_mut(p).enumerate().map(|(row, v)| {
        let (k, row) = (terms[row / rows], row % rows);
        let c = process.at(made.grid[k], made.grid[k + 1] - made.grid[k]);
        let at = k * size + row * p..k * size + (row + 1) * p;
        let (base, adjoint) = (&made.base[at.clone()], &made.adjoint[at]);
        let mut square = 0.0f64;
        for (i, ((v, base), a)) in v.iter_mut().zip(base).zip(adjoint).enumerate() {
            *v = c.velocity / c.sigma * (*v - base) + c.sigma * process.variance(i) * a;
            square += f64::from(*v * *v);
        }
        square
    });
    let squares: Vec<f64> = residuals.collect();
    let mut total = 0.0;
    let mut weights = Vec::with_capacity(squares.len());
    for (squares, &k) in squares.chunks(rows).zip(terms) {
        let mut sorted = squares.to_vec();
        sorted.sort_by(f64::total_cmp);
        let bound = clip * clip * sorted[rows / 2];
        let c = process.at(made.grid[k], made.grid[k + 1] - made.grid[k]);
        for square in squares {
            let weight = if *square > bound { (bound / square).sqrt() } else { 1.0 };
            total += weight * square;
            weights.push(2.0 * weight as f32 * c.velocity / c.sigma / x.len() as f32);
        }
    }
    v.par_chunks_exact_mut(p).zip(&weights).for_each(|(v, weight)| v.iter_mut().for_each(|v| *v *= weight));
    field.backward(v, tape, Gradient::Write(gradient), None);
    Ok(total / x.len() as f64)
}
