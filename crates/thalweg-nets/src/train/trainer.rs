//! [`Trainer`]: one run after the other on one data set; each a pure function of (recipe, data, start, streams).
//!
//! A run whose loss leaves the finite numbers is not an error but a fact about the recipe: it is marked failed with the step,
//! and its remaining checkpoints repeat the last finite one, so that θ never holds a NaN.
//! Cost: a step is one gradient of the engine, on one thread; a checkpoint one pass over the validation rows, which for short
//! runs is a third of the whole (fewer validation rows make it cheaper).
use super::optimiser::Stepper;
use super::order::Order;
use super::recipe::Recipe;
use crate::architecture::Architecture;
use crate::data::Dataset;
use crate::engine::{Engine, Mode, Packed, Workspace};
use crate::error::{Error, Result};
use crate::evaluate::{Score, score};
use crate::loss::CrossEntropy;
use crate::streams::Streams;

/// The recorded course of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    /// θ at every checkpoint, `[K, P]`; finite.
    pub theta: Vec<f32>,
    /// Validation loss of every checkpoint, `[K]`.
    pub loss: Vec<f32>,
    /// Validation accuracy of every checkpoint, `[K]`.
    pub accuracy: Vec<f32>,
    /// The step at which loss or weights left the finite numbers, if they did.
    pub diverged_at: Option<u64>,
}

impl Trajectory {
    /// Appends a checkpoint.
    pub fn push(&mut self, checkpoint: &Checkpoint) {
        self.theta.extend_from_slice(&checkpoint.theta);
        self.loss.push(checkpoint.loss);
        self.accuracy.push(checkpoint.accuracy);
    }
}

/// One recorded moment of a run; all its numbers are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// `[P]`.
    pub theta: Vec<f32>,
    /// Validation loss.
    pub loss: f32,
    /// Validation accuracy.
    pub accuracy: f32,
}

/// Rows that checkpoints are judged on, laid out for the engine once.
#[derive(Clone, Debug)]
pub struct Validation {
    inputs: Packed,
    labels: Vec<u32>,
}

impl Validation {
    /// Packs `data`.
    ///
    /// # Errors
    /// Inputs of another size than the engine's.
    pub fn new(engine: &Engine, data: &Dataset) -> Result<Self> {
        Ok(Self { inputs: engine.pack(&data.inputs)?, labels: data.labels.clone() })
    }
}

/// Everything that the runs of one recipe share.
#[derive(Debug)]
pub struct Trainer<'a> {
    engine: &'a Engine,
    architecture: &'a Architecture,
    data: &'a Dataset,
    validation: Validation,
    recipe: &'a Recipe,
    steps: u64,
    checkpoints: Vec<u64>,
}

impl<'a> Trainer<'a> {
    /// Checks that network, data and recipe fit together.
    ///
    /// # Errors
    /// Another input shape or fewer classes than the data's, a batch larger than the data, checkpoints that coincide.
    pub fn new(
        engine: &'a Engine,
        architecture: &'a Architecture,
        data: &'a Dataset,
        validation: &Dataset,
        recipe: &'a Recipe,
    ) -> Result<Self> {
        recipe.check()?;
        fits(architecture, data)?;
        let steps = recipe.steps(data.len())?;
        let checkpoints = recipe.checkpoint_steps(steps)?;
        let validation = Validation::new(engine, validation)?;
        Ok(Self { engine, architecture, data, validation, recipe, steps, checkpoints })
    }

    /// T: steps of a run.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A run at its start `theta [P]`, ready to step.
    ///
    /// # Errors
    /// Where `theta` is not one finite network.
    pub fn begin(&self, theta: &[f32], streams: &Streams) -> Result<Run<'_>> {
        let layout = self.engine.layout();
        if layout.check("start", theta)? != 1 {
            return Err(Error::shape("start", format!("[{}]", layout.len()), format!("[{}]", theta.len())));
        }
        let mut batch = self.engine.pack(&[])?;
        // Room for a whole batch now, so that no step allocates.
        self.engine.pack_rows(&self.data.inputs, &vec![0; self.recipe.batch], &mut batch)?;
        Ok(Run {
            trainer: self,
            theta: theta.to_vec(),
            gradient: vec![0.0; theta.len()],
            workspace: self.engine.workspace(),
            batch,
            labels: Vec::with_capacity(self.recipe.batch),
            order: Order::new(self.data.len(), self.recipe.batch, streams.child("order")),
            dropout: streams.child("dropout"),
            stepper: Stepper::new(self.recipe.optimiser, self.recipe.weight_decay, self.architecture),
            logits: [(); 2].map(|()| vec![0.0; self.validation.labels.len() * self.engine.classes()]),
            taken: 0,
            diverged_at: None,
            last: Checkpoint { theta: theta.to_vec(), loss: f32::MAX, accuracy: 0.0 },
            judged: false,
        })
    }

    /// The whole run from `theta [P]`: steps by the schedule, checkpoints by the recipe. `stop` is asked at every step.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `stop` says so; a start that is not one finite network.
    pub fn train(&self, theta: &[f32], streams: &Streams, stop: &dyn Fn() -> bool) -> Result<Trajectory> {
        let mut run = self.begin(theta, streams)?;
        let mut trajectory = Trajectory::default();
        trajectory.theta.reserve_exact(self.checkpoints.len() * theta.len());
        for &step in &self.checkpoints {
            run.advance_by_schedule(step, stop)?;
            trajectory.push(run.checkpoint()?);
        }
        trajectory.diverged_at = run.diverged_at();
        Ok(trajectory)
    }
}

/// Checks that `architecture` takes the inputs and tells the classes of `data`.
///
/// # Errors
/// Another input shape, or another number of classes.
pub fn fits(architecture: &Architecture, data: &Dataset) -> Result<()> {
    if architecture.input() != data.shape {
        let found = format!("{:?}", architecture.input());
        return Err(Error::shape("architecture.input", format!("{:?} of {}", data.shape, data.name), found));
    }
    if architecture.classes() != data.classes {
        let expected = format!("{} classes of {}", data.classes, data.name);
        return Err(Error::parameter("architecture", expected, format!("{} logits", architecture.classes())));
    }
    Ok(())
}

/// A run under way.
#[derive(Debug)]
pub struct Run<'a> {
    trainer: &'a Trainer<'a>,
    theta: Vec<f32>,
    gradient: Vec<f32>,
    workspace: Workspace,
    batch: Packed,
    labels: Vec<u32>,
    order: Order,
    dropout: Streams,
    stepper: Stepper,
    logits: [Vec<f32>; 2],
    taken: u64,
    diverged_at: Option<u64>,
    /// The last finite checkpoint: the start at first, `judged` as soon as its scores are known.
    last: Checkpoint,
    judged: bool,
}

impl Run<'_> {
    /// Where the run is, `[P]`.
    pub fn theta(&self) -> &[f32] {
        &self.theta
    }

    /// One step at the given learning rate; gives the loss of the mini-batch before it.
    ///
    /// # Errors
    /// None, once a run has begun on checked data.
    pub fn step(&mut self, learning_rate: f64) -> Result<f64> {
        let Trainer { engine, data, recipe, .. } = self.trainer;
        let rows = self.order.next_batch();
        engine.pack_rows(&data.inputs, rows, &mut self.batch)?;
        self.labels.clear();
        self.labels.extend(rows.iter().map(|&row| data.labels[row]));
        let loss = CrossEntropy::new(&self.labels, engine.classes(), recipe.label_smoothing)?;
        let mode = Mode::Train { dropout: self.dropout.index(self.taken) };
        let loss = engine.gradient(&self.theta, &self.batch, mode, &loss, &mut self.gradient, &mut self.workspace);
        self.stepper.step(&mut self.theta, &self.gradient, learning_rate);
        self.taken += 1;
        Ok(loss)
    }

    /// Takes steps by the recipe's schedule until `step` are taken in all. A failed run stays where it is.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `stop` says so.
    pub fn advance_by_schedule(&mut self, step: u64, stop: &dyn Fn() -> bool) -> Result<()> {
        let Trainer { recipe, steps, .. } = self.trainer;
        let rate = |taken| recipe.schedule.rate(recipe.learning_rate, taken, *steps);
        self.advance(step.saturating_sub(self.taken), rate, stop)
    }

    /// Takes `count` steps at the rates `rate(steps taken so far)`. A failed run stays where it is.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `stop` says so.
    pub fn advance(&mut self, count: u64, rate: impl Fn(u64) -> f64, stop: &dyn Fn() -> bool) -> Result<()> {
        for _ in 0..count {
            if stop() {
                return Err(Error::Interrupted);
            }
            if self.diverged_at.is_some() {
                break;
            }
            if !self.step(rate(self.taken))?.is_finite() {
                self.diverged_at = Some(self.taken);
            }
        }
        Ok(())
    }

    /// The step at which loss or weights left the finite numbers, if they did.
    pub fn diverged_at(&self) -> Option<u64> {
        self.diverged_at
    }

    /// This moment's checkpoint; where the run is failed, the last one again, or its start if there is none.
    ///
    /// # Errors
    /// None, once a run has begun on checked data.
    pub fn checkpoint(&mut self) -> Result<&Checkpoint> {
        if self.diverged_at.is_none() {
            let Score { loss, accuracy } = self.score()?;
            if (loss as f32).is_finite() && self.theta.iter().all(|w| w.is_finite()) {
                self.last.theta.copy_from_slice(&self.theta);
                (self.last.loss, self.last.accuracy, self.judged) = (loss as f32, accuracy as f32, true);
                return Ok(&self.last);
            }
            self.diverged_at = Some(self.taken);
        }
        if !self.judged {
            self.theta.copy_from_slice(&self.last.theta);
            let Score { loss, accuracy } = self.score()?;
            // A start without a finite loss is given the largest one: what is stored stays finite.
            (self.last.loss, self.last.accuracy, self.judged) = ((loss as f32).min(f32::MAX), accuracy as f32, true);
        }
        Ok(&self.last)
    }

    /// Validation loss and accuracy of the weights as they are.
    fn score(&mut self) -> Result<Score> {
        let Trainer { engine, validation, .. } = self.trainer;
        let [logits, scratch] = &mut self.logits;
        engine.logits(&self.theta, &validation.inputs, logits, &mut self.workspace);
        score(logits, &validation.labels, scratch)
    }
}
