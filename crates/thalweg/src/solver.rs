//! Solvers of dx/dt = v(x, t) and dX = b(X, t) dt + g(t) dW for batches of points (M11).
//!
//! Fixed-step methods are tableaus (Euler 1, Heun 2, midpoint 2, RK4 4: the order in the step size); [`Solver::DormandPrince`]
//! chooses its steps, each row its own, so that a row's result never depends on its neighbours in the batch.
//! States at requested times come from a step of their own (fixed steps, Euler–Maruyama: right in law, not along the path) or from
//! the method's continuous extension (Dormand–Prince), and never change the path itself.
//! Which: Euler with 100 steps for learned fields, whose own error is larger; RK4 or Dormand–Prince where few evaluations must
//! be exact or the way back must retrace the way there.
use crate::{Error, Result, interrupt};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

/// A solver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Solver {
    /// One evaluation a step, order 1.
    #[default]
    Euler,
    /// Two evaluations, order 2 (trapezoid).
    Heun,
    /// Two evaluations, order 2.
    Midpoint,
    /// Four evaluations, order 4.
    Rk4,
    /// Adaptive 5(4), six evaluations a step; the number of steps asked for sets only the first trial step.
    DormandPrince {
        /// Absolute and relative error allowed a step, per coordinate (root mean square).
        tolerance: f64,
    },
    /// Order ½ for an SDE (1 for its law), one evaluation a step.
    EulerMaruyama {
        /// Scale of the noise, above 0; what it multiplies is the method's business.
        noise: f64,
    },
}

impl Solver {
    /// The solvers' names, as `--solver` takes them.
    pub const NAMES: [&str; 6] = ["euler", "heun", "midpoint", "rk4", "dormand-prince", "euler-maruyama"];

    /// The solver of this name, tolerance 1e-5 and noise 1 where it has one.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "euler" => Self::Euler,
            "heun" => Self::Heun,
            "midpoint" => Self::Midpoint,
            "rk4" => Self::Rk4,
            "dormand-prince" => Self::DormandPrince { tolerance: 1e-5 },
            "euler-maruyama" => Self::EulerMaruyama { noise: 1.0 },
            other => return Err(Error::parameter("solver", Self::NAMES.join(", "), other)),
        })
    }

    fn tableau(self) -> &'static Tableau {
        match self {
            Self::Euler | Self::EulerMaruyama { .. } => &EULER,
            Self::Heun => &HEUN,
            Self::Midpoint => &MIDPOINT,
            Self::Rk4 => &RK4,
            Self::DormandPrince { .. } => &DORMAND_PRINCE,
        }
    }
}

/// From where to where, in how many steps, and which states to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// The solver.
    pub solver: Solver,
    /// Steps of equal size, at least 1.
    pub steps: usize,
    /// Start and end, in either order.
    pub span: [f64; 2],
    /// Times within the span at which states are kept.
    pub at: Vec<f64>,
}

/// What a solver made on its way to the end point.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// States at the requested times `[A, B, P]`.
    pub states: Vec<f32>,
    /// Evaluations of the field, each for the whole batch.
    pub evaluations: usize,
}

/// Writes v(x, t) for points `[B, P]` at times `[B]`.
pub type Drift<'a> = dyn FnMut(&[f32], &[f32], &mut [f32]) + 'a;

/// The diffusion g(t) and a generator for each row.
pub struct Diffusion<'a> {
    /// g.
    pub scale: &'a dyn Fn(f64) -> f64,
    /// One generator a row `[B]`.
    pub rngs: &'a mut [ChaCha8Rng],
}

impl Integration {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        let [start, end] = self.span;
        let inside = |t: &f64| (start.min(end)..=start.max(end)).contains(t);
        match self.solver {
            Solver::DormandPrince { tolerance } if !(tolerance > 0.0 && tolerance.is_finite()) => {
                return Err(Error::parameter("solver.dormand-prince.tolerance", "a finite number above 0", tolerance));
            }
            Solver::EulerMaruyama { noise } if !(noise > 0.0 && noise.is_finite()) => {
                return Err(Error::parameter("solver.euler-maruyama.noise", "a finite number above 0", noise));
            }
            _ => {}
        }
        if self.steps == 0 {
            return Err(Error::parameter("steps", "at least 1", 0));
        }
        if !(start.is_finite() && end.is_finite() && start != end) {
            return Err(Error::parameter("span", "two different times", format!("{:?}", self.span)));
        }
        match self.at.iter().find(|t| !inside(t)) {
            Some(t) => Err(Error::parameter("at", format!("times from {start} to {end}"), t)),
            None => Ok(()),
        }
    }

    /// Carries `x [B, P]` from the start to the end of the span, in place. `diffusion` belongs to Euler–Maruyama and to it alone.
    ///
    /// # Errors
    /// A number outside its range, points that are not `[B, dimension]`, a state that is not finite, or an adaptive solve that
    /// does not get to the end within 100,000 steps; [`Error::Interrupted`].
    pub fn run(
        &self,
        x: &mut [f32],
        dimension: usize,
        drift: &mut Drift,
        diffusion: Option<Diffusion>,
    ) -> Result<Solution> {
        self.check()?;
        if dimension == 0 || !x.len().is_multiple_of(dimension) {
            return Err(Error::shape("points", format!("[B, {dimension}]"), format!("[{}]", x.len())));
        }
        let stochastic = matches!(self.solver, Solver::EulerMaruyama { .. });
        if stochastic != diffusion.is_some() {
            return Err(Error::parameter(
                "solver",
                "a diffusion for euler-maruyama and for it alone",
                format!("{:?}", self.solver),
            ));
        }
        let mut stepper = Stepper::new(self.solver.tableau(), x.len(), dimension);
        let mut states = vec![0.0; self.at.len() * x.len()];
        match self.solver {
            Solver::DormandPrince { tolerance } => self.adaptive(tolerance, x, &mut states, &mut stepper, drift)?,
            _ => self.fixed(x, &mut states, &mut stepper, drift, diffusion)?,
        }
        check_finite("the solver's state", x, &states, dimension)?;
        Ok(Solution { states, evaluations: stepper.evaluations })
    }

    fn fixed(
        &self,
        x: &mut [f32],
        states: &mut [f32],
        stepper: &mut Stepper,
        drift: &mut Drift,
        mut diffusion: Option<Diffusion>,
    ) -> Result<()> {
        let ([start, end], rows) = (self.span, x.len() / stepper.dimension);
        let h = (end - start) / self.steps as f64;
        let mut kick = |x: &mut [f32], t: f64, h: f64| {
            if let Some(Diffusion { scale, rngs }) = &mut diffusion {
                let size = (scale(t) * h.abs().sqrt()) as f32;
                for (row, rng) in x.chunks_exact_mut(x.len() / rows).zip(rngs.iter_mut()) {
                    row.iter_mut().for_each(|x| *x += size * rng.sample::<f32, _>(StandardNormal));
                }
            }
        };
        for step in 0..=self.steps {
            interrupt::check()?;
            let t = start + h * step as f64;
            for (&wanted, state) in self.at.iter().zip(states.chunks_exact_mut(x.len())) {
                // In whole steps from the start: 0 on this grid point, within (0, 1) before the next.
                let ahead = (wanted - t) / h;
                if ahead.abs() < 1e-9 {
                    state.copy_from_slice(x);
                } else if ahead > 0.0 && ahead < 1.0 - 1e-9 && step < self.steps {
                    stepper.stages(x, &vec![t; rows], &vec![wanted - t; rows], 0, drift);
                    stepper.end(x, &vec![wanted - t; rows]);
                    state.copy_from_slice(&stepper.next);
                    kick(state, t, wanted - t);
                }
            }
            if step < self.steps {
                stepper.stages(x, &vec![t; rows], &vec![h; rows], 0, drift);
                stepper.end(x, &vec![h; rows]);
                x.copy_from_slice(&stepper.next);
                kick(x, t, h);
            }
        }
        Ok(())
    }

    /// Steps of each row's own size, by the error estimate of the embedded method; the last stage is the next step's first.
    fn adaptive(
        &self,
        tolerance: f64,
        x: &mut [f32],
        states: &mut [f32],
        stepper: &mut Stepper,
        drift: &mut Drift,
    ) -> Result<()> {
        let ([start, end], p, len) = (self.span, stepper.dimension, x.len());
        let rows = len / p;
        let (mut t, mut h) = (vec![start; rows], vec![(end - start) / self.steps as f64; rows]);
        for (&wanted, state) in self.at.iter().zip(states.chunks_exact_mut(len)) {
            if wanted == start {
                state.copy_from_slice(x);
            }
        }
        let mut first = 0;
        for _ in 0..100_000 {
            interrupt::check()?;
            // Rows that have arrived wait with steps of size 0.
            for (h, t) in h.iter_mut().zip(&t) {
                *h = if (end - start) > 0.0 { h.min(end - t) } else { h.max(end - t) };
            }
            if t.iter().all(|&t| t == end) {
                return Ok(());
            }
            stepper.stages(x, &t, &h, first, drift);
            stepper.end(x, &h);
            first = 1;
            for row in 0..rows {
                if t[row] == end {
                    continue;
                }
                let error = stepper.error(x, row, h[row], tolerance);
                if !error.is_finite() {
                    let place = format!("t = {:.6}, row {row}", t[row]);
                    return Err(Error::NotFinite { what: "the solver's state".into(), place, value: error });
                }
                if error <= 1.0 {
                    let after = if (end - t[row] - h[row]).abs() < 1e-12 { end } else { t[row] + h[row] };
                    for (&wanted, state) in self.at.iter().zip(states.chunks_exact_mut(len)) {
                        let share = (wanted - t[row]) / (after - t[row]);
                        if share > 0.0 && share <= 1.0 {
                            stepper.between(x, row, h[row], share, &mut state[row * p..][..p]);
                        }
                    }
                    stepper.accept(x, row);
                    t[row] = after;
                }
                h[row] *= (0.9 * error.max(1e-10).powf(-0.2)).clamp(0.2, 5.0);
            }
        }
        let slowest = (0..rows).min_by(|&a, &b| (end - t[b]).abs().total_cmp(&(end - t[a]).abs())).unwrap_or(0);
        let found = format!("row {slowest} at t = {:.6}", t[slowest]);
        Err(Error::parameter("solver.dormand-prince", format!("t = {end} within 100000 steps"), found))
    }
}

/// Checks the end points `x [B, P]` and the kept states `[A, B, P]`.
///
/// # Errors
/// A number that is not finite, with its row and coordinate.
pub(crate) fn check_finite(what: &str, x: &[f32], states: &[f32], dimension: usize) -> Result<()> {
    for values in [x, states] {
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            let place = format!("row {}, coordinate {}", i % x.len() / dimension, i % dimension);
            return Err(Error::NotFinite { what: what.into(), place, value: values[i].into() });
        }
    }
    Ok(())
}

/// A Runge–Kutta method: stage i is at t + c_i h, x + h Σ_j a_ij k_j; the step ends at x + h Σ_i b_i k_i.
struct Tableau {
    a: &'static [&'static [f64]],
    b: &'static [f64],
    c: &'static [f64],
}

const EULER: Tableau = Tableau { a: &[&[]], b: &[1.0], c: &[0.0] };
const HEUN: Tableau = Tableau { a: &[&[], &[1.0]], b: &[0.5, 0.5], c: &[0.0, 1.0] };
const MIDPOINT: Tableau = Tableau { a: &[&[], &[0.5]], b: &[0.0, 1.0], c: &[0.0, 0.5] };
const RK4: Tableau = Tableau {
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    c: &[0.0, 0.5, 0.5, 1.0],
};
const DORMAND_PRINCE: Tableau = Tableau {
    a: &[
        &[],
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    b: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
    c: &[0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0],
};
/// b − b̂ of the embedded fourth-order method.
const ERROR: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0];
/// The fourth-order continuous extension (Hairer, Nørsett & Wanner, II.6).
const DENSE: [f64; 7] = [
    -12715105075.0 / 11282082432.0,
    0.0,
    87487479700.0 / 32700410799.0,
    -10690763975.0 / 1880347072.0,
    701980252875.0 / 199316789632.0,
    -1453857185.0 / 822651844.0,
    69997945.0 / 29380423.0,
];

/// Buffers of one step.
struct Stepper {
    tableau: &'static Tableau,
    dimension: usize,
    stages: Vec<Vec<f32>>,
    point: Vec<f32>,
    next: Vec<f32>,
    evaluations: usize,
}

impl Stepper {
    fn new(tableau: &'static Tableau, len: usize, dimension: usize) -> Self {
        let stages = vec![vec![0.0; len]; tableau.b.len()];
        Self { tableau, dimension, stages, point: vec![0.0; len], next: vec![0.0; len], evaluations: 0 }
    }

    /// Evaluates stages `first` … of a step from `x` at `t [B]` of size `h [B]`.
    fn stages(&mut self, x: &[f32], t: &[f64], h: &[f64], first: usize, drift: &mut Drift) {
        for stage in first..self.tableau.b.len() {
            combine(x, h, self.dimension, self.tableau.a[stage], &self.stages, &mut self.point);
            let c = self.tableau.c[stage];
            let times: Vec<f32> = t.iter().zip(h).map(|(t, h)| (t + c * h) as f32).collect();
            drift(&self.point, &times, &mut self.stages[stage]);
            self.evaluations += 1;
        }
    }

    /// Leaves the end of the step in `next`.
    fn end(&mut self, x: &[f32], h: &[f64]) {
        combine(x, h, self.dimension, self.tableau.b, &self.stages, &mut self.next);
    }

    /// The row's values of Σ_i w_i k_i.
    fn sum<'a>(&'a self, row: usize, weights: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let stages = weights.iter().zip(&self.stages).filter(|(w, _)| **w != 0.0);
        (row * self.dimension..(row + 1) * self.dimension)
            .map(move |i| stages.clone().map(|(w, k)| w * f64::from(k[i])).sum())
    }

    /// Root mean square of the row's error over what is allowed.
    fn error(&self, x: &[f32], row: usize, h: f64, tolerance: f64) -> f64 {
        let range = row * self.dimension..(row + 1) * self.dimension;
        let sizes = x[range.clone()].iter().zip(&self.next[range]).map(|(a, b)| f64::from(a.abs().max(b.abs())));
        let squares: f64 =
            self.sum(row, &ERROR).zip(sizes).map(|(e, size)| (h * e / (tolerance * (1.0 + size))).powi(2)).sum();
        (squares / self.dimension as f64).sqrt()
    }

    /// The row's state after `share` of the step just made.
    fn between(&self, x: &[f32], row: usize, h: f64, share: f64, out: &mut [f32]) {
        let from = row * self.dimension;
        for (i, (out, extra)) in out.iter_mut().zip(self.sum(row, &DENSE)).enumerate() {
            let value = |v: &[f32]| f64::from(v[from + i]);
            let (x0, x1, k0, k1) = (value(x), value(&self.next), value(&self.stages[0]), value(&self.stages[6]));
            let change = x1 - x0;
            let bend = h * k0 - change;
            let rest = 1.0 - share;
            *out = (x0 + share * (change + rest * (bend + share * (change - h * k1 - bend + rest * h * extra)))) as f32;
        }
    }

    /// Moves the row to the end of its step.
    fn accept(&mut self, x: &mut [f32], row: usize) {
        let range = row * self.dimension..(row + 1) * self.dimension;
        x[range.clone()].copy_from_slice(&self.next[range.clone()]);
        let (first, last) = self.stages.split_at_mut(6);
        first[0][range.clone()].copy_from_slice(&last[0][range]);
    }
}

/// out = x + h Σ_j w_j k_j, row by row.
fn combine(x: &[f32], h: &[f64], dimension: usize, weights: &[f64], stages: &[Vec<f32>], out: &mut [f32]) {
    out.copy_from_slice(x);
    for (&w, k) in weights.iter().zip(stages).filter(|(w, _)| **w != 0.0) {
        for ((out, k), h) in out.chunks_exact_mut(dimension).zip(k.chunks_exact(dimension)).zip(h) {
            let step = (h * w) as f32;
            out.iter_mut().zip(k).for_each(|(out, k)| *out += step * k);
        }
    }
}

#[cfg(test)]
#[path = "solver_tests.rs"]
mod tests;
