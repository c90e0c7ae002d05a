//! Training of the coefficients on the reward at the end of the steps (M24), by antithetic perturbations (evolution strategies; Salimans et al. 2017).
//!
//! log a_k(s, T) = Σ_j w_j(T, k) φ_j((s + ½)/N) with φ_j the first three Legendre polynomials of [0, 1], of mean square 1: smooth along the steps. With
//! ε_i standard normal, and the same starts and batches for all,
//!
//! Δw = Σ_i (ρ(w + σ ε_i) − ρ(w − σ ε_i)) ε_i / (2 σ n),
//!
//! ρ the rank of the mean reward at x_N among the 2n of an iteration, from −½ to ½: steps that end nowhere are the worst, and no more than that. Slopes along recorded directions, which leave
//! out how a step changes later gradients, do not train it: on digits they made networks worse (accuracy .587 at N = 5, tuned Adam .741).
use super::direction::ALL;
use super::{Refiner, trained};
use crate::nn::normal;
use crate::reward::Reward;
use crate::{Error, Result, Streams, interrupt, ranges};
use rayon::prelude::*;
use thalweg_nets::train::{Optimiser, Schedule, Stepper};

/// Polynomials of a course.
const TERMS: usize = 3;

/// How coefficients are trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    /// Updates of the coefficients.
    pub iterations: usize,
    /// Antithetic pairs an update, n.
    pub pairs: usize,
    /// σ, the deviation of the perturbations of w.
    pub deviation: f64,
    /// Learning rate of w (Adam; it falls to 0 along half a cosine).
    pub learning_rate: f64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self { iterations: 150, pairs: 12, deviation: 0.15, learning_rate: 0.1 }
    }
}

impl TrainingConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("deviation", self.deviation), ("learning-rate", self.learning_rate)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::parameter(format!("refine.{name}"), "a finite number above 0", value));
            }
        }
        let counts = [("iterations", self.iterations), ("pairs", self.pairs)];
        ranges::check("refine.", counts.map(|(name, n)| (name, n as u64, 1..=ranges::MOST)))
    }
}

/// Trains the coefficients of `refiner`, whose own are where it begins, on starts that `starts` draws, `[n, P]` from a stream; returns the mean reward of
/// what every iteration tried.
///
/// # Errors
/// A configuration outside its ranges; what starts or the reward say; interruption.
pub fn train(
    refiner: &mut Refiner,
    config: &TrainingConfig,
    starts: &dyn Fn(&Streams) -> Result<Vec<f32>>,
    reward: &dyn Reward,
    streams: &Streams,
) -> Result<Vec<f64>> {
    config.check()?;
    let base = refiner.logs.clone();
    let mut w = vec![0.0f32; TERMS * trained(&refiner.layout).count() * ALL.len()];
    let mut stepper = Stepper::of_numbers(Optimiser::adamw(), 0.0, w.len());
    let mut course = Vec::with_capacity(config.iterations);
    for i in 0..config.iterations {
        interrupt::check()?;
        let streams = streams.index(i as u64);
        let start = starts(&streams.child("starts"))?;
        let mut noise = vec![0.0; config.pairs * w.len()];
        normal::fill(&mut streams.child("noise").rng(), &mut noise);
        let tried: Vec<Vec<f32>> = noise
            .chunks_exact(w.len())
            .flat_map(|e| [1.0, -1.0].map(|sign| moved(&w, e, sign * config.deviation as f32)))
            .collect();
        let end = |w: &Vec<f32>| ended(&refiner.along(&base, w), &start, reward, &streams);
        let rewards: Vec<f64> = tried.par_iter().map(end).collect::<Result<_>>()?;
        let ranks = ranks(&rewards);
        let finite = rewards.iter().filter(|r| r.is_finite());
        course.push(finite.clone().sum::<f64>() / finite.count().max(1) as f64);
        let scale = 1.0 / (2.0 * config.deviation * config.pairs as f64);
        let mut slopes = vec![0.0f32; w.len()];
        for (pair, e) in ranks.chunks_exact(2).zip(noise.chunks_exact(w.len())) {
            let weight = (scale * (pair[0] - pair[1])) as f32;
            // The stepper descends.
            slopes.iter_mut().zip(e).for_each(|(slope, e)| *slope -= weight * e);
        }
        let rate = Schedule::Cosine.rate(config.learning_rate, i as u64, config.iterations as u64);
        stepper.step(&mut w, &slopes, rate);
    }
    *refiner = refiner.along(&base, &w);
    Ok(course)
}

/// Mean reward at the end of the steps; −∞ where they end nowhere.
fn ended(refiner: &Refiner, start: &[f32], reward: &dyn Reward, streams: &Streams) -> Result<f64> {
    let end = match refiner.refine(start, reward, &streams.child("steps")) {
        Ok(theta) => reward.values(&theta, &streams.child("end")),
        Err(error) => Err(error),
    };
    match end {
        Ok(values) => Ok(values.iter().sum::<f64>() / values.len().max(1) as f64),
        Err(Error::NotFinite { .. }) => Ok(f64::NEG_INFINITY),
        Err(other) => Err(other),
    }
}

fn moved(w: &[f32], e: &[f32], by: f32) -> Vec<f32> {
    w.iter().zip(e).map(|(w, e)| w + by * e).collect()
}

/// Ranks from −½ to ½, equal values the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let above = |v: &f64| {
        let below = values.iter().filter(|other| *other < v).count() as f64;
        let same = values.iter().filter(|other| *other == v).count() as f64;
        below + 0.5 * (same - 1.0)
    };
    let most = (values.len().max(2) - 1) as f64;
    values.iter().map(|v| above(v) / most - 0.5).collect()
}

impl Refiner {
    /// With log a = `base` + Σ_j w_j φ_j, w `[T, K, TERMS]`.
    fn along(&self, base: &[f32], w: &[f32]) -> Self {
        let courses = w.len() / TERMS;
        let mut logs = base.to_vec();
        for (s, logs) in logs.chunks_exact_mut(courses).enumerate() {
            let phi = polynomials((s as f32 + 0.5) / self.steps as f32);
            for (log, w) in logs.iter_mut().zip(w.chunks_exact(TERMS)) {
                *log += w.iter().zip(phi).map(|(w, phi)| w * phi).sum::<f32>();
            }
        }
        Self { logs, ..self.clone() }
    }
}

/// φ at x in [0, 1].
fn polynomials(x: f32) -> [f32; TERMS] {
    [1.0, 3f32.sqrt() * (2.0 * x - 1.0), 5f32.sqrt() * (6.0 * x * x - 6.0 * x + 1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_orthonormal_and_ranks_are_centred() {
        let n = 10_000;
        let mut products = [[0.0f64; TERMS]; TERMS];
        for i in 0..n {
            let phi = polynomials((i as f32 + 0.5) / n as f32);
            (0..TERMS).for_each(|a| (0..TERMS).for_each(|b| products[a][b] += f64::from(phi[a] * phi[b]) / n as f64));
        }
        for (a, row) in products.iter().enumerate() {
            row.iter()
                .enumerate()
                .for_each(|(b, p)| assert!((p - f64::from(u8::from(a == b))).abs() < 1e-3, "{a} {b}"));
        }
        assert_eq!(ranks(&[3.0, f64::NEG_INFINITY, 7.0, 3.0, 9.0]), [-0.125, -0.5, 0.25, -0.125, 0.5]);
    }
}
