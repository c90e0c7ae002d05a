//! The training of a learned autoencoder (M8): minibatches of standardised weights, AdamW, looks at held-out points.
//!
//! Step s is a pure function of (configuration, points, s). The averaged parameters with the least loss on points of held-out runs are kept (with
//! none held out, the last), and latents are normalised on the training points afterwards. Points are held in memory. Bytes do not depend on
//! the number of threads. An interrupted training keeps nothing: it is seconds to minutes, and begins anew with the fit.
use super::functional::FunctionalConfig;
use super::learned::Learned;
use super::objective::{Bottleneck, Objective};
use super::{LatentTask, check_points};
use crate::optimiser::{AdamW, AdamWConfig};
use crate::{Error, Result, Streams};
use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

/// Held-out points that a look is taken at, at most.
const HELD_OUT: usize = 1024;

/// How a learned autoencoder is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainingConfig {
    /// Optimiser steps (800; at least 1).
    pub steps: u64,
    /// Points a step (64; at least 1).
    pub batch: usize,
    /// Steps between two looks at the held-out points (50; at least 1).
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
        let sizes = [("steps", self.steps), ("batch", self.batch as u64), ("validate-every", self.validate_every)];
        if let Some((name, _)) = sizes.iter().find(|(_, value)| *value == 0) {
            return Err(Error::parameter(format!("{field}.{name}"), "at least 1", 0));
        }
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
}

/// Trains `net` on the task's points.
///
/// # Errors
/// No points, a loss that is not finite, [`Error::Interrupted`].
pub(super) fn train(
    net: &mut Learned,
    bottleneck: Bottleneck,
    config: &TrainingConfig,
    task: &LatentTask,
) -> Result<Trained> {
    let p = net.weights();
    let n = check_points(task.points, p, 1)?;
    let mut objective = Objective::new(bottleneck, task.functional);
    let mut optimiser = AdamW::new(&config.optimiser, config.steps, net.trained())?;
    let (mut gradient, mut best) = (vec![0.0; net.trained().len()], net.trained().to_vec());
    let (mut kept, mut x) = (Trained { best_step: 0, best_loss: None }, Vec::new());
    let held_out = &task.held_out[..task.held_out.len().min(HELD_OUT * p)];
    task.progress.begin("training the autoencoder", config.steps);
    for step in 0..config.steps {
        if task.progress.interrupted() {
            return Err(Error::Interrupted);
        }
        let streams = task.streams.child("step").index(step);
        x.clear();
        for row in sample(&mut streams.child("rows").rng(), n, config.batch.min(n)) {
            x.extend_from_slice(&task.points[row * p..(row + 1) * p]);
        }
        let loss = objective.loss(net, &x, &streams.child("noise"), Some(&mut gradient))?;
        finite("the autoencoder's training loss", loss, step)?;
        optimiser.step(net.trained_mut(), &gradient)?;
        if (step + 1) % config.validate_every == 0 || step + 1 == config.steps {
            let found = look(net, &mut objective, &optimiser, held_out, &task.streams.child("look"))?;
            let found = found.map(|loss| finite("the autoencoder's held-out loss", loss, step)).transpose()?;
            // Where nothing is held out, every look is taken for the best.
            if found.is_none_or(|loss| kept.best_loss.is_none_or(|best| loss < best)) {
                best.copy_from_slice(optimiser.average());
                kept = Trained { best_step: step + 1, best_loss: found };
            }
        }
        task.progress.advance(1);
    }
    net.trained_mut().copy_from_slice(&best);
    net.normalise(task.points);
    Ok(kept)
}

/// The loss of the averaged parameters on the held-out points, if there are any; the noise is the same at every look.
fn look(
    net: &mut Learned,
    objective: &mut Objective,
    optimiser: &AdamW,
    held_out: &[f32],
    streams: &Streams,
) -> Result<Option<f64>> {
    if held_out.is_empty() {
        return Ok(None);
    }
    let own = net.trained().to_vec();
    net.trained_mut().copy_from_slice(optimiser.average());
    let loss = objective.loss(net, held_out, streams, None);
    net.trained_mut().copy_from_slice(&own);
    loss.map(Some)
}

fn finite(what: &str, loss: f64, step: u64) -> Result<f64> {
    if loss.is_finite() {
        return Ok(loss);
    }
    let place = format!("step {} (a smaller learning rate may help)", step + 1);
    Err(Error::NotFinite { what: what.into(), place, value: loss })
}
