//! The loop of every training by steps: start or resume, steps, validations, early stopping, checkpoints. What is learned from, and by whom, is the
//! [`Learner`]'s: curves of one zoo, curves of many with their contexts, points of an autoencoder, a reward. [`descend`] is for trainings of a
//! moment, which are neither validated nor resumed.
mod descend;
mod schedule;
pub(crate) mod state;

#[cfg(test)]
mod tests;

pub(crate) use descend::descend;
pub use schedule::Checkpointing;
pub(crate) use schedule::{Better, TrainingSchedule, ValidationSchedule};
pub use state::{TrainState, Validation};

use crate::nn::optimiser::AdamW;
use crate::tensors::{TensorReader, TensorWriter};
use crate::{Error, Result, interrupt};
use state::Running;
use std::time::Instant;
use thalweg_nets::progress::Progress;

/// A model in training: its parameters, what a step of it is, its score on held-out data. Step s is a pure function of s and of the state.
pub(crate) trait Learner {
    /// Its sets of parameters, `[Q]` together, in the order in which gradients and states hold them.
    fn parameters(&self) -> Vec<&[f32]>;

    /// The same, to be moved.
    fn parameters_mut(&mut self) -> Vec<&mut [f32]>;

    /// Step `step`, counted from 0: as many updates as the schedule says. An interrupted one must leave everything as it was.
    ///
    /// # Errors
    /// A number that is not finite, a file that cannot be read, [`Error::Interrupted`].
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
    optimiser: &'a mut AdamW,
    running: &'a mut Running,
    schedule: &'a TrainingSchedule<'a>,
    step: u64,
}

impl Updates<'_> {
    /// Moves `parameters` against the gradient, and notes the loss that it is of.
    ///
    /// # Errors
    /// A loss or a gradient that is not finite; the parameters are then untouched.
    pub fn descend(&mut self, loss: f64, parameters: Vec<&mut [f32]>) -> Result<()> {
        finite("training loss", loss, self.step, self.schedule)?;
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

/// The state that a training starts or goes on from.
///
/// # Errors
/// A state of another training, or a file that is damaged.
pub(crate) fn start(
    learner: &mut dyn Learner,
    schedule: &TrainingSchedule,
    saving: Option<Checkpointing>,
) -> Result<TrainState> {
    match saving {
        Some(s) if s.resume && s.path.exists() => TrainState::load(s.path, s.identity, schedule, learner),
        _ => TrainState::new(schedule, learner),
    }
}

/// Goes on from `state` to the last step, or until patience has run out.
///
/// # Errors
/// A score that is not finite, with its step and seed; files that cannot be read or written; [`Error::Interrupted`], after the state was saved.
pub(crate) fn run(
    learner: &mut dyn Learner,
    state: &mut TrainState,
    schedule: &TrainingSchedule,
    saving: Option<Checkpointing>,
    progress: &dyn Progress,
) -> Result<()> {
    let mut gradient = vec![0.0; learner.parameters().iter().map(|part| part.len()).sum()];
    let (clock, before, begun) = (Instant::now(), state.seconds, state.step);
    progress.begin(schedule.what, schedule.steps);
    progress.resumed(state.step);
    // Whatever is interrupted below has changed nothing: the state is that between two steps, with or without its validation.
    let mut go_on = |state: &mut TrainState| {
        if state.validation_is_due(schedule) {
            state.seconds = before + clock.elapsed().as_secs_f64();
            validate(learner, state, schedule)?;
        }
        let done = state.is_done(schedule);
        state.seconds = before + clock.elapsed().as_secs_f64();
        let due = |s: &Checkpointing| if done { s.last } else { s.every > 0 && state.step.is_multiple_of(s.every) };
        if let Some(s) = saving.filter(|s| state.step > begun && due(s)) {
            state.save(s.path, s.identity, learner, done)?;
        }
        if done {
            return Ok(false);
        }
        if progress.interrupted() || interrupt::requested() {
            return Err(Error::Interrupted);
        }
        let (optimiser, running, step) = (&mut state.optimiser, &mut state.running, state.step);
        learner.step(step, &mut Updates { gradient: &mut gradient, optimiser, running, schedule, step })?;
        state.step += 1;
        progress.advance(1);
        Ok(true)
    };
    let end = loop {
        match go_on(state) {
            Ok(true) => {}
            end => break end,
        }
    };
    if let (Err(Error::Interrupted), Some(s)) = (&end, saving) {
        state.seconds = before + clock.elapsed().as_secs_f64();
        state.save(s.path, s.identity, learner, false)?;
        progress.kept(state.step, schedule.steps, &format!("{}s", schedule.unit));
    }
    end.map(drop)
}

/// Judges the averaged parameters by what is held out; the learner's own are put back.
///
/// # Errors
/// A score that is not finite; whatever the learner cannot do.
pub(crate) fn validate(learner: &mut dyn Learner, state: &mut TrainState, schedule: &TrainingSchedule) -> Result<()> {
    state.optimiser.exchange_average(learner.parameters_mut());
    let held_out = learner.held_out(state.step);
    state.optimiser.exchange_average(learner.parameters_mut());
    let held_out = held_out?;
    if let Some(score) = held_out {
        finite(
            &format!("held-out {}", schedule.validation.better.score()),
            score,
            state.step.saturating_sub(1),
            schedule,
        )?;
    }
    state.record_validation(held_out);
    Ok(())
}

fn finite(which: &str, score: f64, step: u64, schedule: &TrainingSchedule) -> Result<()> {
    match score.is_finite() {
        true => Ok(()),
        false => {
            let what = format!("{}: {which}", schedule.what);
            Err(Error::NotFinite { what, place: schedule.place(step), value: score })
        }
    }
}
