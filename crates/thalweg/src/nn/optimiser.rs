//! AdamW (Loshchilov & Hutter 2019, PyTorch's formula) with clipping by global norm, a learning-rate schedule and an exponential
//! moving average of the parameters, in two parallel passes over fixed chunks: one for the norm, one for everything else. The update itself is
//! [`AdamUpdate`], that of the base networks' training.
//!
//! The clip factor c = min(1, clip / ‖g‖) scales the gradient; then, at step s = 1, 2, …,
//! m ← β₁ m + (1 − β₁) c g, v ← β₂ v + (1 − β₂) (c g)²,
//! p ← (1 − η_s λ) p − η_s / (1 − β₁ˢ) · m / (√v / √(1 − β₂ˢ) + ε), average ← a_s average + (1 − a_s) p.
//! Early on a_s = s / (s + 9) < `average`, so that the initial parameters are forgotten in short fits too.
//!
//! The whole state is three slices and a step number ([`AdamW::state`], [`AdamW::resume`]): a resumed fit makes the same bytes.
use super::dense::vectorised;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thalweg_nets::train::AdamUpdate;
use thalweg_nets::{Error, Result};

/// Numbers in one task of a pass: five slices of 64 KiB.
const CHUNK: usize = 1 << 14;

/// How the learning rate goes on after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls to 0 along half a cosine at the last step.
    #[default]
    Cosine,
}

/// Parameters of [`AdamW`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdamWConfig {
    /// Learning rate η at the end of the warm-up (above 0; 5e-3 for narrow fields; take 1e-3 from some hundred units on).
    pub learning_rate: f64,
    /// What follows the warm-up (cosine).
    pub schedule: Schedule,
    /// Steps over which the learning rate rises to η (0).
    pub warm_up: u64,
    /// β₁ and β₂, the memories of the moments ([0.9, 0.999]; in [0, 1)).
    pub betas: [f64; 2],
    /// ε in the denominator (1e-8; above 0).
    pub epsilon: f64,
    /// Decoupled weight decay λ (0.01; at least 0).
    pub weight_decay: f64,
    /// Largest global norm of a gradient (1; above 0, `inf` for no clipping).
    pub clip: f64,
    /// Memory of the average of parameters (0.995; in [0, 1)).
    pub average: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            learning_rate: 5e-3,
            schedule: Schedule::default(),
            warm_up: 0,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
            clip: 1.0,
            average: 0.995,
        }
    }
}

impl AdamWConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        for (name, value, fits, expected) in [
            (
                "learning-rate",
                self.learning_rate,
                self.learning_rate > 0.0 && self.learning_rate.is_finite(),
                "above 0",
            ),
            ("betas[0]", self.betas[0], (0.0..1.0).contains(&self.betas[0]), "in [0, 1)"),
            ("betas[1]", self.betas[1], (0.0..1.0).contains(&self.betas[1]), "in [0, 1)"),
            ("epsilon", self.epsilon, self.epsilon > 0.0 && self.epsilon.is_finite(), "above 0"),
            ("weight-decay", self.weight_decay, (0.0..f64::INFINITY).contains(&self.weight_decay), "at least 0"),
            ("clip", self.clip, self.clip > 0.0, "above 0, inf for no clipping"),
            ("average", self.average, (0.0..1.0).contains(&self.average), "in [0, 1)"),
        ] {
            if !fits {
                return Err(Error::parameter(format!("optimiser.{name}"), expected, value));
            }
        }
        Ok(())
    }

    /// The learning rate of step `step` = 1, 2, …, `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        if step <= self.warm_up {
            return self.learning_rate * step as f64 / self.warm_up as f64;
        }
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Cosine => {
                let done = (step - self.warm_up) as f64 / steps.saturating_sub(self.warm_up).max(1) as f64;
                self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The number of the step, from 1.
    pub step: u64,
    /// The learning rate used.
    pub rate: f64,
    /// The gradient's norm before clipping.
    pub norm: f64,
}

/// The optimiser's state for parameters `[Q]`.
#[derive(Clone, Debug)]
pub struct AdamW {
    config: AdamWConfig,
    steps: u64,
    step: u64,
    first: Vec<f32>,
    second: Vec<f32>,
    average: Vec<f32>,
    partial: Vec<f64>,
}

/// The names of the state's slices in [`AdamW::state`], as they are saved.
pub const STATE: [&str; 3] = ["optimiser.first", "optimiser.second", "optimiser.average"];

impl AdamW {
    /// The state before the first of `steps` steps on `parameters [Q]`.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn new(config: &AdamWConfig, steps: u64, parameters: &[f32]) -> Result<Self> {
        let zeros = vec![0.0; parameters.len()];
        Self::resume(config, steps, 0, [zeros.clone(), zeros, parameters.to_vec()])
    }

    /// The state after step `step`, from the slices of [`AdamW::state`], each `[Q]`.
    ///
    /// # Errors
    /// A number outside its range; slices of different lengths.
    pub fn resume(config: &AdamWConfig, steps: u64, step: u64, state: [Vec<f32>; 3]) -> Result<Self> {
        config.check()?;
        let q = state[0].len();
        for (name, slice) in STATE.iter().zip(&state) {
            if slice.len() != q {
                return Err(Error::shape(*name, format!("[{q}]"), format!("[{}]", slice.len())));
            }
        }
        let [first, second, average] = state;
        let partial = vec![0.0; q.div_ceil(CHUNK)];
        Ok(Self { config: config.clone(), steps, step, first, second, average, partial })
    }

    /// The slices that [`AdamW::resume`] takes, named by `STATE`, each `[Q]`.
    pub fn state(&self) -> [&[f32]; 3] {
        [&self.first, &self.second, &self.average]
    }

    /// The number of steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The moving average of the parameters `[Q]`.
    pub fn average(&self) -> &[f32] {
        &self.average
    }

    /// Exchanges the moving average with the parameters, given in parts that are `[Q]` together: twice, and all is as it was.
    pub(crate) fn exchange_average(&mut self, parameters: Vec<&mut [f32]>) {
        let mut average = &mut self.average[..];
        for part in parameters {
            let (head, rest) = average.split_at_mut(part.len());
            head.swap_with_slice(part);
            average = rest;
        }
    }

    /// Moves `parameters [Q]` by one step against `gradient [Q]`.
    ///
    /// # Errors
    /// Slices of another length than the state's; a gradient that is not finite (the parameters are then untouched).
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32]) -> Result<Step> {
        self.step_parts(vec![parameters], gradient)
    }

    /// [`Self::step`] of parameters in parts that are `[Q]` together: the same bytes however they are parted.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub(crate) fn step_parts(&mut self, parameters: Vec<&mut [f32]>, gradient: &[f32]) -> Result<Step> {
        let q = parameters.iter().map(|part| part.len()).sum();
        for (name, found) in [("parameters", q), ("gradient", gradient.len())] {
            if found != self.first.len() {
                return Err(Error::shape(name, format!("[{}]", self.first.len()), format!("[{found}]")));
            }
        }
        gradient.par_chunks(CHUNK).zip(&mut self.partial).for_each(|(g, partial)| *partial = vectorised(|| squares(g)));
        let norm = self.partial.iter().sum::<f64>().sqrt();
        if !norm.is_finite() {
            let place = format!("step {}", self.step + 1);
            return Err(Error::NotFinite { what: "the gradient's norm".into(), place, value: norm });
        }
        #[cfg(test)]
        super::steps::note(1);
        self.step += 1;
        let rate = self.config.rate(self.step, self.steps);
        let pass = Pass::new(&self.config, self.step, rate, norm);
        let mut from = 0;
        for part in parameters {
            let range = from..from + part.len();
            from = range.end;
            let state =
                self.first[range.clone()].par_chunks_mut(CHUNK).zip(self.second[range.clone()].par_chunks_mut(CHUNK));
            let state = state.zip(self.average[range.clone()].par_chunks_mut(CHUNK));
            let moved = part.par_chunks_mut(CHUNK).zip(gradient[range].par_chunks(CHUNK));
            moved.zip(state).for_each(|((p, g), ((m, v), average))| vectorised(|| pass.run(p, g, m, v, average)));
        }
        Ok(Step { step: self.step, rate, norm })
    }
}

/// The sum of squares: sixteen lanes in f32 within short runs, runs in f64.
#[inline(always)]
fn squares(values: &[f32]) -> f64 {
    values
        .chunks(1024)
        .map(|run| {
            let mut lanes = [0f32; 16];
            let (whole, rest) = run.as_chunks::<16>();
            for group in whole {
                lanes.iter_mut().zip(group).for_each(|(lane, x)| *lane += x * x);
            }
            lanes.iter().map(|x| f64::from(*x)).sum::<f64>() + rest.iter().map(|x| f64::from(x * x)).sum::<f64>()
        })
        .sum()
}

/// The scalars of one step, in single precision as the loop wants them.
struct Pass {
    clip: f32,
    update: AdamUpdate,
    /// 1/√(1 − β₂ˢ).
    root: f32,
    average: f32,
}

impl Pass {
    fn new(config: &AdamWConfig, step: u64, rate: f64, norm: f64) -> Self {
        let s = step as f64;
        let powers = config.betas.map(|beta| beta.powf(s));
        Self {
            clip: (config.clip / norm).min(1.0) as f32,
            update: AdamUpdate::new(config.betas, powers, config.epsilon, rate, config.weight_decay),
            root: (1.0 - powers[1]).sqrt().recip() as f32,
            average: (1.0 - config.average.min(s / (s + 9.0))) as f32,
        }
    }

    #[inline(always)]
    fn run(&self, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], average: &mut [f32]) {
        for ((((p, g), m), v), average) in p.iter_mut().zip(g).zip(m).zip(v).zip(average) {
            self.update.apply(p, g * self.clip, m, v, |spread| spread * self.root);
            *average += self.average * (*p - *average);
        }
    }
}

#[cfg(test)]
#[path = "optimiser_tests.rs"]
mod tests;
