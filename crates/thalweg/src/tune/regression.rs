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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::parameters::Parameters;
    use crate::tune::linear_field::LinearField;
    use thalweg_nets::testing::partial;

    /// Four trajectories of one step in one dimension, whose residuals are σ times these adjoints: the field is the base.
    fn made(adjoints: [f32; 4]) -> (LinearField, Process<'static>, Trajectories) {
        let field = LinearField::between([&[0.0], &[1.0]], [&[1.0], &[0.5]], 2);
        let process = Process::memoryless(vec![0.0], vec![1.0], 4);
        let x = vec![0.5, -0.3, 1.1, 0.2];
        let mut base = vec![0.0; 4];
        field.velocity(&x, &[0.0; 4], None, &mut base, &mut Tape::default());
        let made = Trajectories { grid: vec![0.0, 1.0], x, base, adjoint: adjoints.to_vec() };
        (field, process, made)
    }

    fn run(field: &dyn Field, process: &Process, made: &Trajectories, clip: f64) -> (f64, Vec<f32>) {
        let mut gradient = vec![f32::NAN; field.parameters().len()];
        let found = loss(field, process, made, &[0], clip, &mut Scratch::default(), &mut gradient).unwrap();
        (found, gradient)
    }

    #[test]
    fn terms_beyond_the_clip_weigh_as_much_as_one_at_it_would() {
        // Residuals σ · (1, 2, 3, 100): the third of four in order counts as the median, so the bound is clip · 3 σ.
        let (field, process, made) = made([1.0, 2.0, 3.0, 100.0]);
        let sigma = f64::from(process.at(0.0, 1.0).sigma);
        let square = |clipped: f64| sigma * sigma * (1.0 + 4.0 + 9.0 + clipped) / 4.0;
        let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-5;
        let (free, loose) = (run(&field, &process, &made, f64::INFINITY), run(&field, &process, &made, 50.0));
        assert!(close(free.0, square(1e4)) && free == loose, "{free:?}");
        // r² is weighed by bound/r: it counts as bound · r.
        let (clipped, gradient) = run(&field, &process, &made, 2.0);
        assert!(close(clipped, square(6.0 * 100.0)), "{clipped} {}", square(600.0));
        // The gradient is that of the weighed squares with their weights held: of the constant at t = 0, by hand.
        let c = process.at(0.0, 1.0);
        let terms = [1.0, 2.0, 3.0, 100.0 * 6.0 / 100.0].map(|r| r * sigma);
        let expected = terms.iter().sum::<f64>() * 2.0 * f64::from(c.velocity / c.sigma) / 4.0;
        assert!(close(f64::from(gradient[1]), expected), "{gradient:?} {expected}");
    }

    #[test]
    fn the_gradient_without_a_clip_agrees_with_differences() {
        let (mut field, process, made) = made([1.0, -2.0, 3.0, 0.5]);
        let gradient = run(&field, &process, &made, f64::INFINITY).1;
        let own = field.parameters().to_vec();
        for i in 0..2 {
            let truth = partial(&own, i, 1e-2, |q| {
                field.parameters_mut().copy_from_slice(q);
                run(&field, &process, &made, f64::INFINITY).0
            });
            assert!((truth - f64::from(gradient[i])).abs() < 1e-3 * (1.0 + truth.abs()), "{i}: {truth} {gradient:?}");
        }
    }

    #[test]
    fn terms_are_the_last_quarter_and_as_many_others() {
        for steps in [1, 4, 10, 21] {
            let mut seen = vec![0; steps];
            for seed in 0..200 {
                let chosen = terms(steps, &Streams::new(seed));
                let last = steps.div_ceil(4);
                assert_eq!(chosen.len(), (2 * last).min(steps));
                assert!(chosen.windows(2).all(|w| w[0] < w[1]) && (steps - last..steps).all(|k| chosen.contains(&k)));
                chosen.iter().for_each(|&k| seen[k] += 1);
            }
            assert!(seen.iter().all(|n| *n > 0), "{steps}: {seen:?}");
        }
        assert_eq!(entry(5, 0, &Streams::new(1)), 4, "the newest first");
        let drawn: std::collections::HashSet<_> = (0..100).map(|i| entry(5, 1, &Streams::new(i))).collect();
        assert_eq!(drawn.len(), 5);
    }
}
