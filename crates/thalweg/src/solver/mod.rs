//! Solvers of dx/dt = v(x, t) and dX = b(X, t) dt + g(t) dW for batches of points (M11).
//!
//! Fixed-step methods are tableaus (Euler 1, Heun 2, midpoint 2, RK4 4: the order in the step size); [`Solver::DormandPrince`]
//! chooses its steps, each row its own, so that a row's result never depends on its neighbours in the batch.
//! States at requested times come from a step of their own (fixed steps, Euler–Maruyama: right in law, not along the path) or from
//! the method's continuous extension (Dormand–Prince), and never change the path itself.
//! Which: Euler with 100 steps for learned fields, whose own error is larger; RK4 or Dormand–Prince where few evaluations must
//! be exact or the way back must retrace the way there.
mod tableau;
use crate::{Error, Result, interrupt};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
pub use tableau::Drift;
use tableau::{DORMAND_PRINCE, EULER, HEUN, MIDPOINT, RK4, Stepper, Tableau};

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
    /// ```
    /// use thalweg::Solver;
    /// assert_eq!(Solver::named("heun")?, Solver::Heun);
    /// assert!(Solver::named("hein").is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
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
        let mut add_noise = |x: &mut [f32], t: f64, h: f64| {
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
                    add_noise(state, t, wanted - t);
                }
            }
            if step < self.steps {
                stepper.stages(x, &vec![t; rows], &vec![h; rows], 0, drift);
                stepper.end(x, &vec![h; rows]);
                x.copy_from_slice(&stepper.next);
                add_noise(x, t, h);
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
        for _ in 0..MAXIMUM_STEPS {
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
        let reached = format!("row {slowest} at t = {:.6}", t[slowest]);
        Err(Error::not_converged("solver.dormand-prince", format!("t = {end} within {MAXIMUM_STEPS} steps"), reached))
    }
}

/// Steps of the adaptive solver before it gives up.
const MAXIMUM_STEPS: usize = 100_000;

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

#[cfg(test)]
mod tests;
