//! NM-JKO(k): k JKO steps of a learned potential (M6; JKOnet*, Terpin et al. NeurIPS 2024; Bunne et al. 2022).
//!
//! Neighbouring marginals k and k + 1, τ apart, are joined by the coupling, and the potential is trained on the first-order
//! optimality condition of the step, Σ_k E‖τ (∇V(x, t) + β ∇log ρ(x)) + x_{k+1} − x_k‖². Deviates: by default gradients are taken at the
//! *old* point x = x_k and samples take the explicit step x − τ∇V(x, t_k), since the implicit form with fixed-point steps diverges
//! in weight space; `form = "implicit"` is the paper's, x = x_{k+1}, for spaces of few dimensions. The number of steps is k by design: a solver's is
//! ignored. With `internal-energy` β = softplus(b) ≥ 0 is learned against the diagonal Gaussian fitted to each batch's marginal, and samples
//! take √(2βτ) of noise a step: Fokker–Planck's SDE, whose marginals those are. Off by default: in thousands of dimensions
//! no density is estimable.
//!
//! `potential` is a network (`mlp`), or linear in features and solved in closed form (`features`; few dimensions only, so
//! ask for a latent space). k steps of one evaluation each make it the fastest sampler here; it knows the marginals it was trained
//! on and, between them, straight lines.
pub use super::jko_config::{JkoConfig, PotentialConfig};
use super::jko_features::FeatureNet;
use super::{ClosedForm, Method, Scratch, Transport};
use crate::field::Steps;
use crate::field::feature_potential::StepForm;
use crate::field::{Cotangents, Jet, MlpPotential, Potential};
use crate::nn::gradient::Gradient;
use crate::nn::normal;
use crate::nn::parameters::Parameters;
use crate::nn::tape::Tape;
use crate::path::Batch;
use crate::path::anchors::Anchors;
use crate::solver::{Solution, Solver, check_finite};
use crate::{Error, Layout, Result, Streams, interrupt};
use rand::RngExt;
use rayon::prelude::*;

impl JkoConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        if !(1..=63).contains(&self.steps) {
            return Err(Error::parameter("method.jko.steps", "1 to 63", self.steps));
        }
        if !(self.noise >= 0.0 && self.noise.is_finite()) {
            return Err(Error::parameter("method.jko.noise", "a finite number of at least 0", self.noise));
        }
        match &self.potential {
            PotentialConfig::Mlp(c) => c.check(),
            PotentialConfig::Features(c) => c.check(),
        }
    }

    /// The method over points `[dimension]`; `times` are those of the k + 1 marginals, from 0 to 1.
    ///
    /// # Errors
    /// A number outside its range, times that do not rise from 0 to 1, or too many dimensions for features.
    pub fn build(&self, times: &[f64], dimension: usize, streams: &Streams) -> Result<Jko> {
        self.check()?;
        let rising = times.windows(2).all(|w| w[0] < w[1]);
        if times.len() != self.steps + 1 || times[0] != 0.0 || times[self.steps] != 1.0 || !rising {
            let expected = format!("{} times that rise from 0 to 1", self.steps + 1);
            return Err(Error::parameter("marginal times", expected, format!("{times:?}")));
        }
        let scalars: &[&str] = if self.internal_energy { &["beta"] } else { &[] };
        let net = match &self.potential {
            PotentialConfig::Mlp(c) => Net::Mlp(MlpPotential::with_scalars(dimension, c, scalars, streams)?),
            PotentialConfig::Features(c) => {
                let potentials = if self.time_dependent { self.steps } else { 1 };
                Net::Features(FeatureNet::new(c, dimension, potentials, self.internal_energy, streams)?)
            }
        };
        Ok(Jko { config: self.clone(), times: times.to_vec(), dimension, net })
    }
}

/// V, one or the other.
enum Net {
    Mlp(MlpPotential),
    Features(FeatureNet),
}

/// JKO steps between fixed times.
pub struct Jko {
    config: JkoConfig,
    times: Vec<f64>,
    dimension: usize,
    net: Net,
}

impl Jko {
    fn tau(&self, step: usize) -> f64 {
        self.times[step + 1] - self.times[step]
    }

    /// The step that time `t` lies in: [t_k, t_{k+1}).
    fn step_at(&self, t: f64) -> usize {
        let after = self.times.iter().position(|&other| other > t + 1e-6).unwrap_or(self.times.len() - 1);
        after.clamp(1, self.times.len() - 1) - 1
    }

    /// The time at which the potential of `step` is taken.
    fn time_feature(&self, step: usize) -> f64 {
        match self.config.form {
            StepForm::Explicit => self.times[step],
            StepForm::Implicit => self.times[step + 1],
        }
    }

    /// The step that a batch's row of time `t` belongs to, by the end at which its gradient is taken.
    fn step_of_row(&self, t: f32) -> usize {
        let distance = |step: &usize| (self.time_feature(*step) - f64::from(t)).abs();
        (0..self.config.steps).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    }

    /// ∇V(x) of the step of each row, to `out [B, P]`.
    fn gradient(&self, x: &[f32], step_of_row: &dyn Fn(usize) -> usize, out: &mut [f32], tape: &mut Tape) {
        let rows = x.len() / self.dimension;
        match &self.net {
            Net::Mlp(net) => {
                let time =
                    |row| if self.config.time_dependent { self.time_feature(step_of_row(row)) as f32 } else { 0.0 };
                let t: Vec<f32> = (0..rows).map(time).collect();
                net.evaluate(x, &t, Jet { value: None, gradient: out, rate: None }, tape);
            }
            Net::Features(net) => net.gradient(x, step_of_row, out),
        }
    }

    /// β of `step`.
    fn beta(&self, step: usize) -> f64 {
        match &self.net {
            _ if !self.config.internal_energy => 0.0,
            Net::Mlp(net) => softplus(f64::from(net.parameters()[net.parameters().len() - 1])),
            Net::Features(net) => net.beta(step),
        }
    }

    /// Implicit x' = x − τ∇V(x', t_{k+1}) by fixed-point iteration, each row until it stands still.
    fn implicit(&self, x: &mut [f32], step: usize, tape: &mut Tape) -> Result<usize> {
        let (p, tau) = (self.dimension, self.tau(step) as f32);
        let (start, mut g) = (x.to_vec(), vec![0.0; x.len()]);
        let mut moving = vec![true; x.len() / p];
        for iteration in 1..=FIXED_POINT_STEPS {
            self.gradient(x, &|_| step, &mut g, tape);
            let rows = x.chunks_exact_mut(p).zip(start.chunks_exact(p)).zip(g.chunks_exact(p)).zip(&mut moving);
            for (((x, start), g), moving) in rows.filter(|(_, moving)| **moving) {
                let mut largest = 0.0f32;
                for ((x, start), g) in x.iter_mut().zip(start).zip(g) {
                    let next = start - tau * g;
                    largest = largest.max((next - *x).abs() / (1.0 + next.abs()));
                    *x = next;
                }
                // A largest change that is not a number keeps moving, and is reported below.
                *moving = !(largest < 1e-5 && x.iter().all(|v| v.is_finite()));
            }
            if moving.iter().all(|moving| !moving) {
                return Ok(iteration);
            }
        }
        let row = moving.iter().position(|moving| *moving).unwrap_or(0);
        let expected = format!("a fixed point within {FIXED_POINT_STEPS} iterations (take explicit, or more steps)");
        Err(Error::not_converged("method.jko.form = implicit", expected, format!("none at step {step}, row {row}")))
    }
}

/// Iterations of an implicit step before it counts as divergent.
const FIXED_POINT_STEPS: usize = 200;

impl Net {
    fn flat(&self) -> &dyn Parameters {
        match self {
            Self::Mlp(net) => net,
            Self::Features(net) => net,
        }
    }
}

impl Parameters for Jko {
    fn layout(&self) -> &Layout {
        self.net.flat().layout()
    }

    fn parameters(&self) -> &[f32] {
        self.net.flat().parameters()
    }

    fn parameters_mut(&mut self) -> &mut [f32] {
        match &mut self.net {
            Net::Mlp(net) => net.parameters_mut(),
            Net::Features(net) => net.parameters_mut(),
        }
    }
}

impl Method for Jko {
    fn explicit_steps(&self) -> Option<Steps<'_>> {
        match &self.net {
            Net::Mlp(potential) if self.config.form == StepForm::Explicit && !self.config.internal_energy => {
                Some(Steps { potential, times: &self.times, time_dependent: self.config.time_dependent })
            }
            _ => None,
        }
    }

    fn closed_form(&mut self) -> Option<ClosedForm<'_>> {
        let (times, form) = (&self.times, self.config.form);
        match &mut self.net {
            Net::Features(net) => Some(Box::new(move |curves| net.solve(curves, times, form))),
            Net::Mlp(_) => None,
        }
    }

    /// One step of each curve, all steps equally often: x the point where the gradient is taken, t its time, u = (x_{k+1} − x_k)/τ.
    fn batch(&self, curves: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch> {
        let (p, k) = (self.dimension, self.config.steps);
        if curves.marginals() != k + 1 || curves.dimension() != p {
            let found = format!("{} of them in [{}]", curves.marginals(), curves.dimension());
            return Err(Error::shape("anchors of a curve", format!("{} of them in [{p}]", k + 1), found));
        }
        let rows = curves.curves();
        let end = |step: usize| if self.config.form == StepForm::Explicit { step } else { step + 1 };
        let first = streams.child("step").rng().random_range(0..k);
        let step_of = |row: usize| (first + row) % k;
        let densities: Vec<_> = match self.config.internal_energy {
            true => (0..k).map(|step| diagonal_gaussian(curves, end(step), self.config.noise)).collect(),
            false => vec![],
        };
        let (mut x, mut u) = (vec![0.0; rows * p], vec![0.0; rows * p]);
        let mut scores = vec![0.0; if densities.is_empty() { 0 } else { rows * p }];
        x.par_chunks_exact_mut(p).zip(u.par_chunks_exact_mut(p)).enumerate().for_each(|(i, (x, u))| {
            let step = step_of(i);
            let tau = self.tau(step) as f32;
            let (old, new) = (curves.point(step, i), curves.point(step + 1, i));
            u.iter_mut().zip(old.iter().zip(new)).for_each(|(u, (old, new))| *u = (new - old) / tau);
            x.copy_from_slice(curves.point(end(step), i));
            if self.config.noise > 0.0 {
                let mut rng = streams.child("noise").index(i as u64).rng();
                let sigma = self.config.noise as f32;
                let mut noise = vec![0.0; p];
                normal::fill(&mut rng, &mut noise);
                x.iter_mut().zip(&noise).for_each(|(x, z)| *x += sigma * z);
            }
        });
        if !densities.is_empty() {
            for (i, (score, x)) in scores.chunks_exact_mut(p).zip(x.chunks_exact(p)).enumerate() {
                let (mean, variance) = &densities[step_of(i)];
                for ((s, x), (m, v)) in score.iter_mut().zip(x).zip(mean.iter().zip(variance)) {
                    *s = (m - x) / v;
                }
            }
        }
        let t = (0..rows).map(|i| self.time_feature(step_of(i)) as f32).collect();
        Ok(Batch { x, t, u, c, scores: (!scores.is_empty()).then_some(scores) })
    }

    /// mean over B and P of w_k (∇V + β s + u)² with w_k = (τ_k k)²: M6's loss over τ̄², so that it has the size of a velocity's.
    fn loss(&self, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64 {
        let (p, n) = (self.dimension, batch.x.len());
        let steps: Vec<usize> = batch.t.iter().map(|&t| self.step_of_row(t)).collect();
        scratch.output.resize(n, 0.0);
        self.gradient(&batch.x, &|row| steps[row], &mut scratch.output, &mut scratch.tape);
        let (mut total, mut d_beta) = (0.0, 0.0);
        for (i, (e, u)) in scratch.output.chunks_exact_mut(p).zip(batch.u.chunks_exact(p)).enumerate() {
            let weight = (self.tau(steps[i]) * self.config.steps as f64).powi(2);
            let (beta, slope) = (self.beta(steps[i]) as f32, (2.0 * weight / n as f64) as f32);
            e.iter_mut().zip(u).for_each(|(e, u)| *e += u);
            let scores = batch.scores.as_ref().map(|s| &s[i * p..][..p]);
            if let Some(s) = scores {
                e.iter_mut().zip(s).for_each(|(e, s)| *e += beta * s);
                d_beta += f64::from(slope) * e.iter().zip(s).map(|(e, s)| f64::from(e * s)).sum::<f64>();
            }
            total += weight * e.iter().map(|e| f64::from(e * e)).sum::<f64>();
            e.iter_mut().for_each(|e| *e *= slope);
        }
        if let (Some(gradient), Net::Mlp(net)) = (gradient, &self.net) {
            if self.config.internal_energy {
                // d softplus(b)/db = sigmoid(b).
                let last = gradient.len() - 1;
                let b = f64::from(net.parameters()[last]);
                gradient[last] = (d_beta / (1.0 + (-b).exp())) as f32;
            }
            let weights = Cotangents { gradient: Some(&scratch.output), ..Cotangents::default() };
            net.vjp(&weights, &mut scratch.tape, Gradient::Write(gradient), None);
        }
        total / n as f64
    }

    /// −∇V of the step that t lies in.
    fn velocity(&self, x: &[f32], t: &[f32], _: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        let steps: Vec<usize> = t.iter().map(|&t| self.step_at(f64::from(t))).collect();
        self.gradient(x, &|row| steps[row], out, tape);
        out.iter_mut().for_each(|v| *v = -*v);
    }

    /// k steps; states between two marginals lie on the straight line of the step, with their share of its noise.
    fn transport(&self, x: &mut [f32], _: Option<&[f32]>, how: &Transport, streams: &[Streams]) -> Result<Solution> {
        if how.solver != Solver::Euler {
            let expected = "euler (the default): the steps of NM-JKO are its own, and no solver is used";
            return Err(Error::parameter("solver", expected, format!("{:?}", how.solver)));
        }
        if let Some(t) = how.at.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            return Err(Error::parameter("at", "times from 0 to 1", t));
        }
        let (p, len) = (self.dimension, x.len());
        let mut tape = Tape::default();
        let (mut states, mut evaluations) = (vec![0.0; how.at.len() * len], 0);
        let mut rngs: Vec<_> = streams.iter().map(Streams::rng).collect();
        for step in 0..self.config.steps {
            interrupt::check()?;
            let (start, tau, beta) = (x.to_vec(), self.tau(step), self.beta(step));
            evaluations += match self.config.form {
                StepForm::Explicit => {
                    let mut g = vec![0.0; len];
                    self.gradient(&start, &|_| step, &mut g, &mut tape);
                    x.iter_mut().zip(&g).for_each(|(x, g)| *x -= tau as f32 * g);
                    1
                }
                StepForm::Implicit => self.implicit(x, step, &mut tape)?,
            };
            for (a, (&wanted, state)) in how.at.iter().zip(states.chunks_exact_mut(len.max(1))).enumerate() {
                let share = (wanted - self.times[step]) / tau;
                if (0.0..1.0).contains(&share) {
                    for (s, (from, to)) in state.iter_mut().zip(start.iter().zip(&*x)) {
                        *s = from + share as f32 * (to - from);
                    }
                    let own = |row: usize| streams[row].child("at").index(a as u64).rng();
                    add_noise(state, p, (2.0 * beta * share * tau).sqrt(), &mut |row, z| {
                        normal::fill(&mut own(row), z)
                    });
                }
            }
            add_noise(x, p, (2.0 * beta * tau).sqrt(), &mut |row, z| normal::fill(&mut rngs[row], z));
        }
        for (&wanted, state) in how.at.iter().zip(states.chunks_exact_mut(len.max(1))) {
            if wanted >= 1.0 {
                state.copy_from_slice(x);
            }
        }
        check_finite("the state after a step", x, &states, p)?;
        Ok(Solution { states, evaluations })
    }
}

fn softplus(b: f64) -> f64 {
    b.max(0.0) + (-b.abs()).exp().ln_1p()
}

/// Adds `size` times normal numbers to each row.
fn add_noise(x: &mut [f32], p: usize, size: f64, draw: &mut dyn FnMut(usize, &mut [f32])) {
    if size > 0.0 {
        let mut z = vec![0.0; p];
        for (row, x) in x.chunks_exact_mut(p).enumerate() {
            draw(row, &mut z);
            x.iter_mut().zip(&z).for_each(|(x, z)| *x += size as f32 * z);
        }
    }
}

/// Mean and variance `[P]` of the points at `marginal` with normal noise of deviation `noise` on them.
fn diagonal_gaussian(curves: &Anchors, marginal: usize, noise: f64) -> (Vec<f32>, Vec<f32>) {
    let (n, p) = (curves.curves() as f64, curves.dimension());
    let (mut mean, mut variance) = (vec![0.0f64; p], vec![0.0f64; p]);
    for x in curves.marginal(marginal) {
        mean.iter_mut().zip(x).for_each(|(m, x)| *m += f64::from(*x) / n);
    }
    for x in curves.marginal(marginal) {
        variance.iter_mut().zip(x.iter().zip(&mean)).for_each(|(v, (x, m))| *v += (f64::from(*x) - m).powi(2) / n);
    }
    let narrow = |values: Vec<f64>, floor: f64| values.into_iter().map(|v| (v + floor) as f32).collect();
    (narrow(mean, 0.0), narrow(variance, noise * noise + 1e-6))
}

#[cfg(test)]
#[path = "jko_tests.rs"]
mod tests;
