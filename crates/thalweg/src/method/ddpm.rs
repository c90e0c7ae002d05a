//! Denoising diffusion, DDPM (M9; Ho et al. 2020), with DDIM sampling (Song et al. 2021) and the probability-flow ODE.
//!
//! x_k = √ᾱ_k x₀ + √(1 − ᾱ_k) ε for k = 1 … T, ᾱ_0 = 1; the net learns ε̂(x_k, k) by ‖ε̂ − ε‖². In the time of flows, t = 1 − k/T: t = 0 is
//! Gaussian noise and t = 1 the data, so the net is the field of the other methods with ε in the velocity's place. From k to an earlier j,
//! x̂₀ = (x − √(1 − ᾱ_k) ε̂)/√ᾱ_k (held within ± `clip`, with ε̂ what then remains), σ² = η² (1 − ᾱ_j)/(1 − ᾱ_k) (1 − ᾱ_k/ᾱ_j), x_j = √ᾱ_j x̂₀ + √(1 − ᾱ_j − σ²) ε̂ + σ ξ:
//! η = 1 is ancestral sampling (with j = k − 1 the posterior of DDPM), η = 0 is DDIM, the Euler step of dx̃/ds = ε̂ in x̃ = x/√ᾱ, s = √(1/ᾱ − 1).
//! Between whole k, log ᾱ is a straight line; the velocity is that of the ODE in t, with ½ d log ᾱ/dt = r: v = r (x − ε̂/√(1 − ᾱ)).
//!
//! p-diff (Wang et al. 2024) is this on the latents of a denoising autoencoder, the unconditional part of D2NWG (Soro et al. 2025) on those of a
//! VAE. Not for weight space itself: some hundred points in thousands of dimensions are learned by heart. Not to be tuned by M12.
use super::{Method, MethodParameters, Scratch, Transport, regression};
use crate::field::{Field, FieldConfig};
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::path::Batch;
use crate::path::anchors::Anchors;
use crate::solver::{Solution, Solver, check_finite};
use crate::{Error, Result, Streams, interrupt};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the variances β_k of the noise grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum NoiseSchedule {
    /// β from 1e-4 to .02 for T = 1,000, times 1,000/T for others (Ho et al. 2020).
    #[default]
    Linear,
    /// ᾱ_k in proportion to cos²((k/T + .008)/1.008 · π/2), β at most .999 (Nichol & Dhariwal 2021).
    Cosine,
}

/// How networks are drawn by the solver `euler`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// With noise on every step.
    #[default]
    Ancestral,
    /// Without.
    Ddim,
}

/// Parameters of DDPM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DdpmConfig {
    /// T, steps of the diffusion (1,000; 10 to 100,000).
    pub steps: usize,
    /// β (linear).
    pub schedule: NoiseSchedule,
    /// What the solver `euler` means (ancestral).
    pub sampler: Sampler,
    /// What no coordinate of x̂₀ is beyond, in standard units (8; above 0, `inf` for no limit). Where hardly any signal is left, at the
    /// start of a cosine schedule, small errors of ε̂ would be large ones of x̂₀.
    pub clip: f64,
}

impl Default for DdpmConfig {
    fn default() -> Self {
        Self { steps: 1000, schedule: NoiseSchedule::default(), sampler: Sampler::default(), clip: 8.0 }
    }
}

impl DdpmConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        if !(10..=100_000).contains(&self.steps) {
            return Err(Error::parameter("method.ddpm.steps", "10 to 100,000", self.steps));
        }
        match self.clip > 0.0 {
            true => Ok(()),
            false => Err(Error::parameter("method.ddpm.clip", "above 0, inf for no limit", self.clip)),
        }
    }

    /// log ᾱ_k, `[T + 1]`, from 0 down.
    fn log_alpha_bar(&self) -> Vec<f64> {
        let t = self.steps as f64;
        let cosine = |k: f64| ((k / t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        let beta = |k: usize| match self.schedule {
            NoiseSchedule::Linear => {
                let share = (k - 1) as f64 / (t - 1.0);
                ((1e-4 + share * (0.02 - 1e-4)) * 1000.0 / t).min(0.999)
            }
            NoiseSchedule::Cosine => (1.0 - cosine(k as f64) / cosine(k as f64 - 1.0)).min(0.999),
        };
        let sums = (1..=self.steps).scan(0.0, |sum, k| {
            *sum += (1.0 - beta(k)).ln();
            Some(*sum)
        });
        [0.0].into_iter().chain(sums).collect()
    }

    /// The method with its net, a field whose output is read as ε̂.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn build(&self, net: Box<dyn Field>) -> Result<Ddpm> {
        self.check()?;
        Ok(Ddpm { config: self.clone(), log_alpha_bar: self.log_alpha_bar(), net })
    }
}

impl MethodParameters for DdpmConfig {
    fn check(&self) -> Result<()> {
        DdpmConfig::check(self)
    }

    fn build(
        &self,
        times: &[f64],
        dimension: usize,
        field: &FieldConfig,
        streams: &Streams,
    ) -> Result<Box<dyn Method>> {
        let _ = times;
        Ok(Box::new(DdpmConfig::build(self, field.build(dimension, streams)?)?))
    }
}

/// A net that tells noise from signal.
pub struct Ddpm {
    config: DdpmConfig,
    log_alpha_bar: Vec<f64>,
    net: Box<dyn Field>,
}

impl Ddpm {
    /// ᾱ at `k` in [0, T].
    pub fn alpha_bar(&self, k: f64) -> f64 {
        self.log_alpha_bar_at(k).exp()
    }

    fn log_alpha_bar_at(&self, k: f64) -> f64 {
        let (low, share) = self.piece(k);
        self.log_alpha_bar[low] + share * (self.log_alpha_bar[low + 1] - self.log_alpha_bar[low])
    }

    /// The whole step below `k`, and how far beyond it k is.
    fn piece(&self, k: f64) -> (usize, f64) {
        let low = (k.max(0.0).floor() as usize).min(self.config.steps - 1);
        (low, k.clamp(0.0, self.config.steps as f64) - low as f64)
    }

    /// t of step k.
    fn time(&self, k: f64) -> f64 {
        1.0 - k / self.config.steps as f64
    }

    /// ε̂ of `x [B, P]`, all at `k`.
    fn noise(&self, x: &[f32], k: f64, c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        let rows = x.len() / self.net.dimension();
        self.net.velocity(x, &vec![self.time(k) as f32; rows], c, out, tape);
    }

    /// From `k` to an earlier `j` with the noise `eps` found at `x`, both `[B, P]`; row i draws from `rngs[i]` where η > 0.
    fn jump(&self, x: &mut [f32], eps: &[f32], [k, j]: [f64; 2], eta: f64, rngs: &mut [ChaCha8Rng]) {
        let (from, to, p) = (self.alpha_bar(k), self.alpha_bar(j), self.net.dimension());
        let variance = eta * eta * (1.0 - to) / (1.0 - from) * (1.0 - from / to);
        let [signal, spread] = [from.sqrt() as f32, (1.0 - from).sqrt() as f32];
        let [a, b, sigma] = [to.sqrt(), (1.0 - to - variance).max(0.0).sqrt(), variance.sqrt()].map(|v| v as f32);
        let clip = self.config.clip as f32;
        let rows = x.par_chunks_exact_mut(p).zip(eps.par_chunks_exact(p)).zip(rngs.par_iter_mut());
        rows.for_each(|((x, eps), rng)| {
            for (x, e) in x.iter_mut().zip(eps) {
                let end = ((*x - spread * e) / signal).clamp(-clip, clip);
                *x = a * end + b * (*x - signal * end) / spread;
                if sigma > 0.0 {
                    *x += sigma * rng.sample::<f32, _>(StandardNormal);
                }
            }
        });
    }

    /// Strides through k from T to 0 in as many steps as asked for, T at most.
    fn strides(&self, steps: usize) -> Vec<f64> {
        let (t, n) = (self.config.steps, steps.clamp(1, self.config.steps));
        (0..=n).map(|i| ((n - i) * t).div_ceil(n) as f64).collect()
    }

    /// Ancestral sampling or DDIM. States at requested times come from a step of their own from the point before, with noise of their own.
    fn denoise(
        &self,
        x: &mut [f32],
        c: Option<&[f32]>,
        how: &Transport,
        eta: f64,
        streams: &[Streams],
    ) -> Result<Solution> {
        let (size, p) = (x.len(), self.net.dimension());
        let mut rngs: Vec<_> = streams.iter().map(Streams::rng).collect();
        let (mut eps, mut tape, mut states) = (vec![0.0; size], Tape::default(), vec![0.0; how.at.len() * size]);
        let grid = self.strides(how.steps);
        for pair in grid.windows(2) {
            interrupt::check()?;
            self.noise(x, pair[0], c, &mut eps, &mut tape);
            for (i, (&wanted, state)) in how.at.iter().zip(states.chunks_exact_mut(size)).enumerate() {
                let k = (1.0 - wanted) * self.config.steps as f64;
                if k <= pair[0] + 1e-9 && k > pair[1] + 1e-9 {
                    state.copy_from_slice(x);
                    if k < pair[0] - 1e-9 {
                        let mut own: Vec<_> = streams.iter().map(|s| s.child("state").index(i as u64).rng()).collect();
                        self.jump(state, &eps, [pair[0], k], eta, &mut own);
                    }
                }
            }
            self.jump(x, &eps, [pair[0], pair[1]], eta, &mut rngs);
        }
        for (_, state) in how.at.iter().zip(states.chunks_exact_mut(size)).filter(|(at, _)| **at >= 1.0 - 1e-12) {
            state.copy_from_slice(x);
        }
        check_finite("the diffusion's state", x, &states, p)?;
        Ok(Solution { states, evaluations: grid.len() - 1 })
    }
}

impl_parameters!(Ddpm, net);

impl Method for Ddpm {
    fn context(&self) -> usize {
        self.net.context()
    }

    /// From curves through noise and data: x_k at a random k for each, with u = ε.
    fn batch(&self, curves: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch> {
        let (p, rows) = (self.net.dimension(), curves.curves());
        if curves.marginals() != 2 || curves.dimension() != p {
            let found = format!("{} of them in [{}]", curves.marginals(), curves.dimension());
            return Err(Error::shape("anchors of a curve", format!("2 of them in [{p}]"), found));
        }
        let (mut x, mut u, mut t) = (vec![0.0; rows * p], vec![0.0; rows * p], vec![0.0; rows]);
        let outputs = x.par_chunks_exact_mut(p).zip(u.par_chunks_exact_mut(p)).zip(t.par_iter_mut());
        outputs.enumerate().for_each(|(i, ((x, u), t))| {
            let k = streams.index(i as u64).rng().random_range(1..=self.config.steps) as f64;
            let alpha_bar = self.alpha_bar(k);
            let (signal, spread) = (alpha_bar.sqrt() as f32, (1.0 - alpha_bar).sqrt() as f32);
            *t = self.time(k) as f32;
            u.copy_from_slice(curves.point(0, i));
            for ((x, e), d) in x.iter_mut().zip(&*u).zip(curves.point(1, i)) {
                *x = signal * d + spread * e;
            }
        });
        Ok(Batch { x, t, u, c, scores: None })
    }

    /// Mean over B and P of (ε̂ − ε)².
    fn loss(&self, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64 {
        regression::loss(&*self.net, batch, scratch, gradient)
    }

    /// The velocity of the probability-flow ODE; beyond the last noise, k < 1, that of k = 1.
    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        let (p, steps) = (self.net.dimension(), self.config.steps as f64);
        let k = |t: f32| ((1.0 - f64::from(t)) * steps).clamp(1.0, steps);
        let held: Vec<f32> = t.iter().map(|&t| self.time(k(t)) as f32).collect();
        self.net.velocity(x, &held, c, out, tape);
        for ((v, x), &t) in out.chunks_exact_mut(p).zip(x.chunks_exact(p)).zip(t) {
            let k = k(t);
            // The piece towards the data, which is where the flow goes.
            let low = (k.ceil() as usize).max(1) - 1;
            let rate = 0.5 * steps * (self.log_alpha_bar[low] - self.log_alpha_bar[low + 1]);
            let (rate, inverse) = (rate as f32, (1.0 - self.alpha_bar(k)).sqrt().recip() as f32);
            v.iter_mut().zip(x).for_each(|(v, x)| *v = rate * (x - inverse * *v));
        }
    }

    /// `euler`: the configuration's sampler, in so many strides of T. `euler-maruyama`: ancestral with η = its noise, at most 1. Other
    /// solvers follow the probability-flow ODE in t, which is stiff at the start of a cosine schedule: take dormand-prince there.
    fn transport(&self, x: &mut [f32], c: Option<&[f32]>, how: &Transport, streams: &[Streams]) -> Result<Solution> {
        let integration = how.integration();
        integration.check()?;
        match (how.solver, self.config.sampler) {
            (Solver::Euler, Sampler::Ancestral) => self.denoise(x, c, how, 1.0, streams),
            (Solver::Euler, Sampler::Ddim) => self.denoise(x, c, how, 0.0, streams),
            (Solver::EulerMaruyama { noise }, _) if noise <= 1.0 => self.denoise(x, c, how, noise, streams),
            (Solver::EulerMaruyama { noise }, _) => {
                Err(Error::parameter("solver.euler-maruyama.noise", "at most 1 for ddpm (1: ancestral)", noise))
            }
            _ => {
                let mut tape = Tape::default();
                let mut drift = |x: &[f32], t: &[f32], v: &mut [f32]| self.velocity(x, t, c, v, &mut tape);
                integration.run(x, self.net.dimension(), &mut drift, None)
            }
        }
    }
}

#[cfg(test)]
#[path = "ddpm_tests.rs"]
mod tests;
