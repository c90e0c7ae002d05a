//! The training of a learned autoencoder (M8): minibatches of standardised weights, AdamW, validation on held-out points.
//!
//! Step s is a pure function of (configuration, points, s). The averaged parameters with the least loss on points of held-out runs are kept (with
//! none held out, the last), and latents are normalised on the training points afterwards. Points are held in memory. Bytes do not depend on
//! the number of threads. The loop, its state and its resumption are those of every fit.
use super::LatentTask;
use super::autoencoder::check_points;
use super::bottleneck::Bottleneck;
use super::coder_config::CoderConfig;
use super::functional::FunctionalConfig;
use super::learned::Learned;
use super::objective::Objective;
use crate::nn::optimiser::AdamWConfig;
use crate::ranges::{self, LONGEST, MOST};
use crate::train::{self, Learner, TrainingSchedule, Updates};
use crate::{Error, Result};
use rand::seq::index::sample;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Held-out points of a validation, at most.
const HELD_OUT: usize = 1024;

/// How a learned autoencoder is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainingConfig {
    /// Optimiser steps (800; at least 1).
    pub steps: u64,
    /// Points a step (64; at least 1).
    pub batch: usize,
    /// Steps between two validations on the held-out points (50; at least 1).
    pub validate_every: u64,
    /// The optimiser (AdamW, 1e-3, cosine, average .995).
    pub optimiser: AdamWConfig,
    /// The functional term (none).
    pub functional: FunctionalConfig,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 800,
            batch: 64,
            validate_every: 50,
            optimiser: AdamWConfig { learning_rate: 1e-3, ..AdamWConfig::default() },
            functional: FunctionalConfig::default(),
        }
    }
}

impl TrainingConfig {
    /// `field` names the place in errors.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn check(&self, field: &str) -> Result<()> {
        ranges::check(
            &format!("{field}."),
            [
                ("steps", self.steps, 1..=LONGEST),
                ("batch", self.batch as u64, 1..=MOST),
                ("validate-every", self.validate_every, 1..=LONGEST),
            ],
        )?;
        self.functional.check(&format!("{field}.functional"))?;
        self.optimiser.check().map_err(|e| match e {
            Error::Parameter { field: inner, expected, found } => {
                Error::Parameter { field: format!("{field}.{inner}"), expected, found }
            }
            other => other,
        })
    }
}

/// What a training came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// The step whose averaged parameters were kept.
    pub best_step: u64,
    /// Held-out loss there; none where nothing was held out.
    pub best_loss: Option<f64>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Learned {
    /// One for this bottleneck, trained on the task's points.
    ///
    /// # Errors
    /// Points that do not fit, a loss that is not finite, [`crate::Error::Interrupted`].
    pub(super) fn fit(
        config: &CoderConfig,
        bottleneck: Bottleneck,
        dimension: usize,
        training: &TrainingConfig,
        task: &LatentTask,
    ) -> Result<(Self, Trained)> {
        let mut net = Self::new(config, task.layout, bottleneck, dimension, &task.streams.child("net"));
        let trained = train(&mut net, bottleneck, training, task)?;
        Ok((net, trained))
    }
}

/// Trains `net` on the task's points.
///
/// # Errors
/// No points, a loss that is not finite, a state that cannot be read or written, [`Error::Interrupted`].
fn train(net: &mut Learned, bottleneck: Bottleneck, config: &TrainingConfig, task: &LatentTask) -> Result<Trained> {
    check_points(task.points, net.weights(), 1)?;
    let what = "training the autoencoder";
    let schedule = TrainingSchedule::new(what, config.steps, config.validate_every, &config.optimiser);
    let objective = Objective::new(bottleneck, task.functional);
    let mut learner = OnPoints { net, objective, batch: config.batch, task, x: Vec::new() };
    let mut state = train::start(&mut learner, &schedule, task.saving)?;
    train::run(&mut learner, &mut state, &schedule, task.saving, task.progress)?;
    net.trained_mut().copy_from_slice(&state.best);
    net.normalise(task.points);
    let best = state.best_validation();
    Ok(Trained {
        best_step: best.map_or(0, |best| best.step),
        best_loss: best.and_then(|best| best.held_out),
        seconds: state.seconds,
    })
}

/// An autoencoder that learns from points.
struct OnPoints<'a> {
    net: &'a mut Learned,
    objective: Objective<'a>,
    batch: usize,
    task: &'a LatentTask<'a>,
    /// The batch of a step.
    x: Vec<f32>,
}

impl Learner for OnPoints<'_> {
    fn parameters(&self) -> Vec<&[f32]> {
        vec![self.net.trained()]
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        vec![self.net.trained_mut()]
    }

    fn step(&mut self, step: u64, updates: &mut Updates<'_>) -> Result<()> {
        let (points, p) = (self.task.points, self.net.weights());
        let (n, streams) = (points.len() / p, self.task.streams.child("step").index(step));
        self.x.clear();
        for row in sample(&mut streams.child("rows").rng(), n, self.batch.min(n)) {
            self.x.extend_from_slice(&points[row * p..(row + 1) * p]);
        }
        let loss = self.objective.loss(self.net, &self.x, &streams.child("noise"), Some(updates.gradient))?;
        updates.descend(loss, self.parameters_mut())
    }

    fn held_out(&mut self, _: u64) -> Result<Option<f64>> {
        let held_out = &self.task.held_out[..self.task.held_out.len().min(HELD_OUT * self.net.weights())];
        if held_out.is_empty() {
            return Ok(None);
        }
        // The noise is the same at every validation.
        self.objective.loss(self.net, held_out, &self.task.streams.child("look"), None).map(Some)
    }
}
