//! [`Learner`], what the loop of every training steps, and what a step works with.
use super::schedule::TrainingSchedule;
use super::validation::Running;
use crate::Result;
use crate::nn::optimiser::AdamW;
use crate::tensors::{TensorReader, TensorWriter};

/// A model in training: its parameters, what a step of it is, its score on held-out data. Step s is a pure function of s and of the state.
pub(crate) trait Learner {
    /// Its sets of parameters, `[Q]` together, in the order in which gradients and states hold them.
    fn parameters(&self) -> Vec<&[f32]>;

    /// The same, to be moved.
    fn parameters_mut(&mut self) -> Vec<&mut [f32]>;

    /// Step `step`, counted from 0: as many updates as the schedule says. An interrupted one must leave everything as it was.
    ///
    /// # Errors
    /// A number that is not finite, a file that cannot be read, [`crate::Error::Interrupted`].
    fn step(&mut self, step: u64, updates: &mut Updates<'_>) -> Result<()>;

    /// The score of the parameters that it has now on what is held out, if anything is; `step` of them are done.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn held_out(&mut self, step: u64) -> Result<Option<f64>>;

    /// Adds to a state what it keeps from step to step besides its parameters.
    fn save(&self, _state: &mut TensorWriter) {}

    /// Takes what [`Self::save`] added.
    ///
    /// # Errors
    /// Something that is missing or does not fit.
    fn load(&mut self, _state: &TensorReader<'_>) -> Result<()> {
        Ok(())
    }
}

/// What a step of a [`Learner`] works with.
pub(crate) struct Updates<'a> {
    /// The gradient of an update `[Q]`, to be written over.
    pub gradient: &'a mut [f32],
    pub(super) optimiser: &'a mut AdamW,
    pub(super) running: &'a mut Running,
    pub(super) schedule: &'a TrainingSchedule<'a>,
    pub(super) step: u64,
}

impl Updates<'_> {
    /// Moves `parameters` against the gradient, and notes the loss that it is of.
    ///
    /// # Errors
    /// A loss or a gradient that is not finite; the parameters are then untouched.
    pub fn descend(&mut self, loss: f64, parameters: Vec<&mut [f32]>) -> Result<()> {
        self.schedule.check_finite("training loss", loss, self.step)?;
        self.update(parameters)?;
        self.note(loss, None);
        Ok(())
    }

    /// Moves `parameters` against the gradient.
    ///
    /// # Errors
    /// A gradient that is not finite; the parameters are then untouched.
    pub fn update(&mut self, parameters: Vec<&mut [f32]>) -> Result<()> {
        self.optimiser.step_parts(parameters, self.gradient).map(drop)
    }

    /// Notes a score of the training, and a distance from where it began where one is measured.
    pub fn note(&mut self, score: f64, distance: Option<f64>) {
        self.running.note(score, distance);
    }

    /// What [`Self::restore`] takes back, of updates and of what was noted.
    pub fn snapshot(&self) -> (AdamW, Running) {
        (self.optimiser.clone(), *self.running)
    }

    /// Undoes all updates and notes since a snapshot, but for the parameters.
    pub fn restore(&mut self, (optimiser, running): (AdamW, Running)) {
        (*self.optimiser, *self.running) = (optimiser, running);
    }
}
