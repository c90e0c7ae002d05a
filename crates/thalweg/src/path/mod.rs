//! Probability paths: from anchors to one training record (x, t, u, c) (M4, M5).
//!
//! x_t = μ_t + σ_t ε and u = μ̇_t + σ̇_t ε, with μ_t the [`Interpolant`] through the anchors of one curve and ε standard normal.
//! (book/src/mathematics.md writes u = μ̇_t + (σ̇_t/σ_t)(x_t − μ_t): the same, and without the quotient.) Two anchors at times 0 and 1 give
//! M4, x_t = (1 − t) x₀ + t x₁ + σ ε, u = x₁ − x₀; there is no other code for it.
//!
//! Cost: one pass over the anchors that have weight at t (two of them where pieces are straight) and one normal number a weight. Path noise is what teaches the field to come back to the
//! curves: without it many-anchor paths leave the field off the curves unconstrained, and samples diverge.
pub mod anchors;
pub(crate) mod curves;
pub mod interpolant;
pub mod time_grid;
use crate::nn::dense::vectorised;
use crate::nn::normal;
use crate::path::anchors::Anchors;
use crate::path::interpolant::{Basis, Interpolant};
use crate::{Error, Result, Streams};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The width σ_t of a path, in standardised units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Width {
    /// σ_t = σ ≥ 0.
    Constant {
        /// σ.
        sigma: f64,
    },
    /// σ_t = max(σ √(τ(1 − τ)), floor), τ the share of the way between the neighbouring anchors.
    Bridge {
        /// σ > 0.
        sigma: f64,
        /// What σ_t never falls below, > 0; where it would, σ̇_t = 0.
        floor: f64,
    },
}

impl Width {
    /// Checks the ranges; `field` is the parameter's name in the error.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn check(self, field: &str) -> Result<()> {
        let fits = |x: f64, least: bool| x.is_finite() && (x > 0.0 || least && x == 0.0);
        match self {
            Width::Constant { sigma } if !fits(sigma, true) => {
                Err(Error::parameter(format!("{field}.constant.sigma"), "a finite number of at least 0", sigma))
            }
            Width::Bridge { sigma, floor } if !fits(sigma, false) || !fits(floor, false) => {
                let found = format!("sigma {sigma}, floor {floor}");
                Err(Error::parameter(format!("{field}.bridge"), "finite sigma and floor above 0", found))
            }
            _ => Ok(()),
        }
    }

    /// σ and σ̇ at share `tau` of a piece of length `h`.
    fn at(self, tau: f64, h: f64) -> (f64, f64) {
        match self {
            Width::Constant { sigma } => (sigma, 0.0),
            Width::Bridge { sigma, floor } => {
                let root = (tau * (1.0 - tau)).max(0.0).sqrt();
                match sigma * root > floor {
                    true => (sigma * root, sigma * (1.0 - 2.0 * tau) / (2.0 * root * h)),
                    false => (floor, 0.0),
                }
            }
        }
    }
}

/// The law of training times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TimeLaw {
    /// U(0, 1).
    #[default]
    Uniform,
    /// The logistic function of a normal number: more weight on the middle.
    LogitNormal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation, above 0.
        deviation: f64,
    },
}

impl TimeLaw {
    /// # Errors
    /// A number outside its range.
    pub fn check(self, field: &str) -> Result<()> {
        match self {
            TimeLaw::LogitNormal { mean, deviation }
                if !mean.is_finite() || deviation <= 0.0 || !deviation.is_finite() =>
            {
                let found = format!("mean {mean}, deviation {deviation}");
                Err(Error::parameter(format!("{field}.logit-normal"), "a finite mean and a deviation above 0", found))
            }
            _ => Ok(()),
        }
    }

    fn draw(self, rng: &mut impl Rng) -> f64 {
        match self {
            TimeLaw::Uniform => rng.random(),
            TimeLaw::LogitNormal { mean, deviation } => {
                1.0 / (1.0 + (-(mean + deviation * rng.sample::<f64, _>(StandardNormal))).exp())
            }
        }
    }
}

/// What a field is trained on: B points with their times and target velocities.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Points `[B, P]`.
    pub x: Vec<f32>,
    /// Times `[B]`.
    pub t: Vec<f32>,
    /// Target velocities `[B, P]`.
    pub u: Vec<f32>,
    /// Contexts `[B, D]`.
    pub c: Option<Vec<f32>>,
    /// Scores ∇log ρ of the marginals at x `[B, P]`, where a method asks for them (β of M6).
    pub scores: Option<Vec<f32>>,
}

/// How curves become what a field is trained on: the path of one's own that [`FlowMatching`](crate::method::FlowMatching) takes as well as [`Path`].
pub trait ProbabilityPath: Send + Sync {
    /// One record a curve at random times: row i a function of its own anchors and of `streams.index(i)`, its x on the path at its t, its u the
    /// velocity there.
    ///
    /// # Errors
    /// Anchors at another number of times.
    fn batch(&self, anchors: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch>;
}

impl ProbabilityPath for Path {
    fn batch(&self, anchors: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch> {
        self.batch_at(None, anchors, c, streams)
    }
}

/// A path through anchors at fixed times.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    basis: Basis,
    width: Width,
    time_law: TimeLaw,
}

impl Path {
    /// Straight lines through anchors at `times [A]`, from 0 to 1, without noise, trained at times that are uniform.
    ///
    /// # Errors
    /// Times that do not increase from 0 to 1.
    pub fn straight(times: &[f64]) -> Result<Self> {
        Self::new(Interpolant::Linear, times, Width::Constant { sigma: 0.0 }, TimeLaw::Uniform)
    }

    /// A path through anchors at `times [A]`, from 0 to 1.
    ///
    /// # Errors
    /// Times that do not rise from 0 to 1, or a number outside its range.
    pub fn new(interpolant: Interpolant, times: &[f64], width: Width, time_law: TimeLaw) -> Result<Self> {
        width.check("method.width")?;
        time_law.check("method.time-law")?;
        if times.first() != Some(&0.0) || times.last() != Some(&1.0) {
            return Err(Error::parameter("anchor times", "times from 0 to 1", format!("{times:?}")));
        }
        Ok(Self { basis: Basis::new(interpolant, times)?, width, time_law })
    }

    /// A: anchors of a curve.
    pub fn anchors(&self) -> usize {
        self.basis.anchors()
    }

    /// Their times `[A]`.
    pub fn times(&self) -> &[f64] {
        self.basis.times()
    }

    /// As [`ProbabilityPath::batch`], but all at time `at` where that is given: the same curves with the same ε as `batch` has for
    /// the same stream, so that differences between times are differences along one path.
    ///
    /// # Errors
    /// Anchors at another number of times.
    pub fn batch_at(
        &self,
        at: Option<f64>,
        anchors: &Anchors,
        c: Option<Vec<f32>>,
        streams: &Streams,
    ) -> Result<Batch> {
        if anchors.marginals() != self.anchors() {
            return Err(Error::shape("anchors of a curve", self.anchors(), anchors.marginals()));
        }
        let (rows, dimension) = (anchors.curves(), anchors.dimension());
        let (mut x, mut u, mut t) = (vec![0.0; rows * dimension], vec![0.0; rows * dimension], vec![0.0; rows]);
        let outputs = x.par_chunks_exact_mut(dimension).zip(u.par_chunks_exact_mut(dimension)).zip(t.par_iter_mut());
        outputs.enumerate().for_each(|(i, ((x, u), t))| {
            let mut rng = streams.index(i as u64).rng();
            let drawn = self.time_law.draw(&mut rng);
            let time = at.unwrap_or(drawn);
            *t = time as f32;
            self.point(time, |anchor| anchors.point(anchor, i), &mut rng, x, u);
        });
        Ok(Batch { x, t, u, c, scores: None })
    }

    /// x_t and u `[P]` at `t` of the curve through `anchor(0)`, `anchor(1)`, …
    fn point<'a>(&self, t: f64, anchor: impl Fn(usize) -> &'a [f32], rng: &mut impl Rng, x: &mut [f32], u: &mut [f32]) {
        let (w, dw) = self.basis.weights(t);
        let weights = w.iter().zip(&dw).enumerate().filter(|(_, (w, dw))| **w != 0.0 || **dw != 0.0);
        let weighted: Vec<_> = weights.map(|(a, (w, dw))| (*w as f32, *dw as f32, anchor(a))).collect();
        vectorised(|| sum_of_anchors(&weighted, x, u));
        let (_, start, h) = self.basis.piece(t);
        let (sigma, rate) = self.width.at((t - start) / h, h);
        if sigma > 0.0 {
            let (mut noise, sigma, rate) = ([0.0; PIECE], sigma as f32, rate as f32);
            for (x, u) in x.chunks_mut(PIECE).zip(u.chunks_mut(PIECE)) {
                let noise = &mut noise[..x.len()];
                normal::fill(rng, noise);
                vectorised(|| {
                    for ((x, u), z) in x.iter_mut().zip(u).zip(&*noise) {
                        *x += sigma * z;
                        *u += rate * z;
                    }
                });
            }
        }
    }
}

/// Normal numbers that are drawn together.
const PIECE: usize = 1024;
/// Numbers of x and u that stay in registers while the anchors pass by.
const LANES: usize = 64;

/// x = Σ w a and u = Σ ẇ a over the `anchors` (w, ẇ, a), each number summed from the first anchor to the last.
#[inline(always)]
fn sum_of_anchors(anchors: &[(f32, f32, &[f32])], x: &mut [f32], u: &mut [f32]) {
    let (mut at, whole) = (0, x.len() / LANES * LANES);
    while at < whole {
        let (mut xs, mut us) = ([0f32; LANES], [0f32; LANES]);
        for (w, dw, anchor) in anchors {
            let anchor: &[f32; LANES] = anchor[at..at + LANES].try_into().expect("a slice of LANES numbers");
            for l in 0..LANES {
                xs[l] += w * anchor[l];
                us[l] += dw * anchor[l];
            }
        }
        x[at..at + LANES].copy_from_slice(&xs);
        u[at..at + LANES].copy_from_slice(&us);
        at += LANES;
    }
    for i in whole..x.len() {
        (x[i], u[i]) = anchors.iter().fold((0.0, 0.0), |(x, u), (w, dw, a)| (x + w * a[i], u + dw * a[i]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::testing::normals;

    const STILL: Width = Width::Constant { sigma: 0.0 };

    #[test]
    fn two_anchors_are_the_straight_path_whatever_the_interpolant() {
        let anchors = normals(&Streams::new(1), 2 * 5 * 7);
        let batch = |kind| {
            let path = Path::new(kind, &[0.0, 1.0], Width::Constant { sigma: 0.3 }, TimeLaw::Uniform).unwrap();
            path.batch(&Anchors::dense(&anchors, 2, 7).unwrap(), None, &Streams::new(2)).unwrap()
        };
        let line = batch(Interpolant::Linear);
        assert_eq!(line, batch(Interpolant::CubicNotAKnot));
        assert_eq!(line, batch(Interpolant::CubicNatural));
        for (i, &t) in line.t.iter().enumerate() {
            for k in 0..7 {
                let (x0, x1) = (anchors[i * 7 + k], anchors[35 + i * 7 + k]);
                assert!((line.u[i * 7 + k] - (x1 - x0)).abs() < 1e-6);
                let noise = (line.x[i * 7 + k] - ((1.0 - t) * x0 + t * x1)) / 0.3;
                assert!(noise.abs() < 5.0 && noise != 0.0);
            }
        }
    }

    #[test]
    fn the_velocity_is_the_derivative_of_the_point_at_fixed_noise() {
        let (times, h) = ([0.0, 0.3, 0.5, 1.0], 1e-3);
        let anchors = normals(&Streams::new(3), 4 * 6);
        for width in [STILL, Width::Bridge { sigma: 0.8, floor: 0.01 }] {
            let path = Path::new(Interpolant::CubicNotAKnot, &times, width, TimeLaw::Uniform).unwrap();
            let at = |t: f64| {
                let (mut x, mut u) = (vec![0.0; 6], vec![0.0; 6]);
                path.point(t, |a| &anchors[a * 6..][..6], &mut Streams::new(4).rng(), &mut x, &mut u);
                (x, u)
            };
            for t in [0.05, 0.2, 0.4, 0.6, 0.9] {
                let (before, (_, u), after) = (at(t - h).0, at(t), at(t + h).0);
                for k in 0..6 {
                    let numeric = (after[k] - before[k]) / (2.0 * h as f32);
                    assert!((numeric - u[k]).abs() < 2e-2 * (1.0 + u[k].abs()), "{width:?} {t}: {numeric} {}", u[k]);
                }
            }
        }
    }

    #[test]
    fn the_bridge_touches_its_floor_at_the_anchors_and_its_top_between() {
        let width = Width::Bridge { sigma: 1.0, floor: 0.1 };
        assert_eq!(width.at(0.0, 0.2), (0.1, 0.0));
        assert_eq!(width.at(1.0, 0.2), (0.1, 0.0));
        assert_eq!(width.at(0.5, 0.2), (0.5, 0.0));
    }

    #[test]
    fn times_follow_their_law() {
        let path = |law| Path::new(Interpolant::Linear, &[0.0, 1.0], STILL, law).unwrap();
        let times = |law| {
            let curves = vec![0.0; 2 * 4000];
            path(law).batch(&Anchors::dense(&curves, 2, 1).unwrap(), None, &Streams::new(5)).unwrap().t
        };
        let share = |t: &[f32], below| t.iter().filter(|&&t| t < below).count() as f64 / t.len() as f64;
        let uniform = times(TimeLaw::Uniform);
        assert!((share(&uniform, 0.25) - 0.25).abs() < 0.03);
        // P(logistic(z) < 1/4) = Φ(−log 3) = .1360 for standard normal z.
        let middle = times(TimeLaw::LogitNormal { mean: 0.0, deviation: 1.0 });
        assert!((share(&middle, 0.25) - 0.136).abs() < 0.025);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let message =
            |times: &[f64], width, law| Path::new(Interpolant::Linear, times, width, law).unwrap_err().to_string();
        assert!(message(&[0.0, 0.9], STILL, TimeLaw::Uniform).contains("anchor times"));
        assert!(
            message(&[0.0, 1.0], Width::Constant { sigma: -1.0 }, TimeLaw::Uniform)
                .contains("method.width.constant.sigma")
        );
        assert!(
            message(&[0.0, 1.0], Width::Bridge { sigma: 1.0, floor: 0.0 }, TimeLaw::Uniform)
                .contains("method.width.bridge")
        );
        let law = TimeLaw::LogitNormal { mean: 0.0, deviation: 0.0 };
        assert!(message(&[0.0, 1.0], STILL, law).contains("method.time-law"));
        let path = Path::new(Interpolant::Linear, &[0.0, 1.0], STILL, TimeLaw::Uniform).unwrap();
        assert!(path.batch(&Anchors::dense(&[0.0; 6], 3, 2).unwrap(), None, &Streams::new(0)).is_err());
    }
}
