//! SWAG (Maddox et al. 2019): a Gaussian with the mean, a diagonal and low-rank deviations of the iterates of a training run, or of any zoo.
//!
//! Over N points θ_i in the order of the runs, with θ̄ their mean, s² their variances (over N) and θ̄_i the mean of the first i:
//! θ = θ̄ + √a (s ⊙ z₁/√2 + D̂ z₂/√(2 (K − 1))), z₁ `[D]` and z₂ `[K]` standard normal, D̂ the last K deviations θ_i − θ̄_i and a the `scale`. The covariance is
//! a (½ diag(s²) + ½ D̂ D̂ᵀ/(K − 1)). With `rank` 0 it is a diag(s²), the paper's SWAG-diagonal. In standardised coordinates, which are affine, this is the paper's
//! law of the weights themselves; running variances of batch normalisation are standardised through their logarithm and stay positive.
//!
//! Solved at once. A sample costs O(K D) and holds nothing beyond the K deviations; a velocity, the closed form of the flow from a standard Gaussian
//! (Woodbury), O(K² D).
use super::{ClosedForm, Method, MethodParameters, Scratch, Transport};
use crate::field::FieldConfig;
use crate::nn::normal;
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::path::anchors::Anchors;
use crate::path::{Batch, Path, ProbabilityPath};
use crate::solver::{Solution, Solver};
use crate::{Error, Layout, Result, Streams};
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows of a batch that the loss is taken on, at most: a velocity costs K² D.
const ROWS: usize = 16;

/// Parameters of SWAG.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwagConfig {
    /// K, deviations that are kept, at most (20; 0 for the diagonal alone, or 2 to 1,024). Fewer points have fewer.
    pub rank: usize,
    /// a, over the covariance of the paper (1; above 0).
    pub scale: f64,
}

impl Default for SwagConfig {
    fn default() -> Self {
        Self { rank: 20, scale: 1.0 }
    }
}

impl SwagConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        if self.rank == 1 || self.rank > 1024 {
            return Err(Error::parameter("method.swag.rank", "0, or 2 to 1,024", self.rank));
        }
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return Err(Error::parameter("method.swag.scale", "a finite number above 0", self.scale));
        }
        Ok(())
    }

    /// The method, still to be solved.
    ///
    /// # Errors
    /// A number outside its range, or times that are not 0 and 1.
    pub fn build(&self, times: &[f64], dimension: usize) -> Result<Swag> {
        self.check()?;
        let path = Path::straight(times)?;
        let layout = Layout::of_tensors([
            ("mean".to_string(), vec![dimension]),
            ("deviation".to_string(), vec![dimension]),
            ("columns".to_string(), vec![self.rank.max(1), dimension]),
            ("count".to_string(), vec![1]),
        ]);
        let parameters = vec![0.0; layout.len()];
        Ok(Swag { config: self.clone(), path, dimension, layout, parameters })
    }
}

impl MethodParameters for SwagConfig {
    fn check(&self) -> Result<()> {
        SwagConfig::check(self)
    }

    /// The last deviations are those of the last iterates.
    fn reads_runs_in_order(&self) -> bool {
        true
    }

    fn is_solved(&self) -> bool {
        true
    }

    fn numbers(&self, curves: usize, dimension: usize, field: &FieldConfig) -> usize {
        let _ = (curves, field);
        dimension.saturating_mul(self.rank.max(1).saturating_add(2)).saturating_add(1)
    }

    fn build(
        &self,
        times: &[f64],
        dimension: usize,
        field: &FieldConfig,
        streams: &Streams,
    ) -> Result<Box<dyn Method>> {
        let _ = (field, streams);
        Ok(Box::new(SwagConfig::build(self, times, dimension)?))
    }
}

/// See the module's text.
pub struct Swag {
    config: SwagConfig,
    path: Path,
    dimension: usize,
    layout: Layout,
    /// θ̄ `[D]`, s `[D]`, D̂ `[rank, D]` with unused rows at 0, how many rows are used.
    parameters: Vec<f32>,
}

impl Swag {
    fn mean(&self) -> &[f32] {
        &self.parameters[..self.dimension]
    }

    fn deviation(&self) -> &[f32] {
        &self.parameters[self.dimension..2 * self.dimension]
    }

    /// The deviations that are used, `[K, D]`.
    fn columns(&self) -> &[f32] {
        let count = (self.parameters[self.parameters.len() - 1] as usize).min(self.config.rank);
        &self.parameters[2 * self.dimension..(2 + count) * self.dimension]
    }

    /// What s and what D̂ are multiplied by in a sample.
    fn factors(&self) -> [f32; 2] {
        let k = self.columns().len() / self.dimension;
        let a = self.config.scale;
        match k {
            0 | 1 => [a.sqrt() as f32, 0.0],
            k => [(a / 2.0).sqrt() as f32, (a / (2.0 * (k - 1) as f64)).sqrt() as f32],
        }
    }

    /// The law of `points [N, D]` as they are, N ≥ 2, in their order.
    ///
    /// # Errors
    /// A number outside its range, points of another shape.
    pub(crate) fn of_points(config: &SwagConfig, points: &[f32], dimension: usize) -> Result<Self> {
        let mut swag = config.build(&[0.0, 1.0], dimension)?;
        let anchors = Anchors::dense(points, 1, dimension)?;
        swag.solve_points(anchors.curves(), anchors.marginal(0))?;
        Ok(swag)
    }

    /// A draw `[D]`.
    pub(crate) fn draw(&self, streams: &Streams) -> Vec<f32> {
        let mut x = vec![0.0; self.dimension];
        normal::fill(&mut streams.child("diagonal").rng(), &mut x);
        self.finish(&mut x, &streams.child("low-rank"));
        x
    }

    /// Makes a draw `[D]` of standard normal z₁ `[D]`, with z₂ from `streams`.
    fn finish(&self, x: &mut [f32], streams: &Streams) {
        let [own, shared] = self.factors();
        let mut z = vec![0.0; self.columns().len() / self.dimension];
        normal::fill(&mut streams.rng(), &mut z);
        let terms = self.mean().iter().zip(self.deviation());
        x.iter_mut().zip(terms).for_each(|(x, (mean, deviation))| *x = mean + own * deviation * *x);
        for (column, z) in self.columns().chunks_exact(self.dimension).zip(&z) {
            let z = shared * z;
            x.iter_mut().zip(column).for_each(|(x, w)| *x += z * w);
        }
    }

    /// Mean, diagonal and deviations of the ends of curves `[2, N, D]`.
    fn solve(&mut self, curves: &[f32]) -> Result<()> {
        let anchors = Anchors::dense(curves, 2, self.dimension)?;
        self.solve_points(anchors.curves(), anchors.marginal(anchors.marginals() - 1))
    }

    /// The same of `n` points `[D]`.
    fn solve_points<'a>(&mut self, n: usize, points: impl Iterator<Item = &'a [f32]>) -> Result<()> {
        let d = self.dimension;
        if n < 2 {
            return Err(Error::parameter("training runs", "at least 2, to have a covariance", n));
        }
        let kept = match self.config.rank {
            0 => 0,
            // The first point is its own mean.
            rank => rank.min(n - 1),
        };
        self.parameters.fill(0.0);
        // One pass by Welford's rule: running means, and sums of squares about the mean.
        let (mut mean, mut squares) = (vec![0.0f64; d], vec![0.0f64; d]);
        for (i, y) in points.enumerate() {
            let row = (i + kept).checked_sub(n).map(|row| (2 + row) * d);
            for k in 0..d {
                let (y, before) = (f64::from(y[k]), mean[k]);
                mean[k] += (y - before) / (i + 1) as f64;
                squares[k] += (y - before) * (y - mean[k]);
                if let Some(at) = row {
                    self.parameters[at + k] = (y - mean[k]) as f32;
                }
            }
        }
        for k in 0..d {
            self.parameters[k] = mean[k] as f32;
            self.parameters[d + k] = (squares[k] / n as f64).max(0.0).sqrt() as f32;
        }
        let end = self.parameters.len() - 1;
        self.parameters[end] = kept as f32;
        Ok(())
    }

    /// E[x₁ − x₀ | x_t = x] of one row: θ̄ + (t C − (1 − t) I) (t² C + (1 − t)² I)⁻¹ (x − t θ̄), C the covariance.
    fn velocity_at(&self, x: &[f32], t: f32, out: &mut [f32]) {
        let (d, t) = (self.dimension, f64::from(t));
        let [own, shared] = self.factors().map(f64::from);
        let columns: Vec<&[f32]> = self.columns().chunks_exact(d).filter(|_| shared > 0.0).collect();
        let diagonal = |i: usize| (own * f64::from(self.deviation()[i])).powi(2);
        let inverse: Vec<f64> =
            (0..d).map(|i| 1.0 / ((1.0 - t).powi(2) + t * t * diagonal(i)).max(f64::MIN_POSITIVE)).collect();
        let away: Vec<f64> = x.iter().zip(self.mean()).map(|(x, m)| f64::from(*x) - t * f64::from(*m)).collect();
        let mut y: Vec<f64> = away.iter().zip(&inverse).map(|(e, a)| e * a).collect();
        let along = |w: &[f32], y: &[f64]| shared * w.iter().zip(y).map(|(w, y)| f64::from(*w) * y).sum::<f64>();
        let k = columns.len();
        if k > 0 && t > 0.0 {
            let inner = Mat::from_fn(k, k, |a, b| {
                let terms = columns[a].iter().zip(columns[b]).zip(&inverse);
                let sum: f64 = terms.map(|((u, v), a)| f64::from(*u) * f64::from(*v) * a).sum();
                f64::from(u8::from(a == b)) + (t * shared).powi(2) * sum
            });
            let side = Mat::from_fn(k, 1, |a, _| t * along(columns[a], &y));
            // I plus a Gram matrix has a Cholesky factor, rounding and all.
            if let Ok(factor) = inner.llt(Side::Lower) {
                let solved = factor.solve(&side);
                for (a, w) in columns.iter().enumerate() {
                    let pull = t * shared * solved[(a, 0)];
                    for ((y, w), inverse) in y.iter_mut().zip(*w).zip(&inverse) {
                        *y -= pull * f64::from(*w) * inverse;
                    }
                }
            }
        }
        let mut u: Vec<f64> =
            (0..d).map(|i| f64::from(self.mean()[i]) + (t * diagonal(i) - (1.0 - t)) * y[i]).collect();
        for w in &columns {
            let share = t * shared * along(w, &y);
            u.iter_mut().zip(*w).for_each(|(u, w)| *u += share * f64::from(*w));
        }
        out.iter_mut().zip(&u).for_each(|(out, u)| *out = *u as f32);
    }
}

impl_parameters!(Swag);

impl Method for Swag {
    fn closed_form(&mut self) -> Option<ClosedForm<'_>> {
        Some(Box::new(|curves| self.solve(curves)))
    }

    fn batch(&self, curves: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch> {
        self.path.batch(curves, c, streams)
    }

    /// mean over B and D of (v − u)², as NM-CFM's, on the first sixteen rows; nothing is trained by it.
    fn loss(&self, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64 {
        let rows = batch.t.len().min(ROWS);
        let numbers = rows * self.dimension;
        scratch.output.resize(numbers, 0.0);
        self.velocity(&batch.x[..numbers], &batch.t[..rows], None, &mut scratch.output, &mut scratch.tape);
        if let Some(gradient) = gradient {
            gradient.fill(0.0);
        }
        let squares = scratch.output.iter().zip(&batch.u).map(|(v, u)| f64::from(v - u).powi(2));
        squares.sum::<f64>() / numbers as f64
    }

    fn velocity(&self, x: &[f32], t: &[f32], _: Option<&[f32]>, out: &mut [f32], _: &mut Tape) {
        let rows = out.par_chunks_exact_mut(self.dimension).zip(x.par_chunks_exact(self.dimension)).zip(t);
        rows.for_each(|((out, x), t)| self.velocity_at(x, *t, out));
    }

    /// z₁ is where a row starts, z₂ is drawn for it; states on the straight way from there.
    fn transport(&self, x: &mut [f32], _: Option<&[f32]>, how: &Transport, streams: &[Streams]) -> Result<Solution> {
        if how.solver != Solver::Euler {
            let expected = "euler (the default): a Gaussian is drawn from at once, and no solver is used";
            return Err(Error::parameter("solver", expected, format!("{:?}", how.solver)));
        }
        if let Some(t) = how.at.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            return Err(Error::parameter("at", "times from 0 to 1", t));
        }
        let d = self.dimension;
        let start = if how.at.is_empty() { Vec::new() } else { x.to_vec() };
        x.chunks_exact_mut(d).zip(streams).for_each(|(x, streams)| self.finish(x, streams));
        let between = |t: f64| start.iter().zip(&*x).map(move |(a, b)| a + t as f32 * (b - a));
        Ok(Solution { states: how.at.iter().copied().flat_map(between).collect(), evaluations: 0 })
    }
}

#[cfg(test)]
#[path = "swag_tests.rs"]
mod tests;
