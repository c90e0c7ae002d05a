//! The loop of every fit: start or resume, steps, looks, savings. What is learned from, and by whom, is the [`Learner`]'s: curves of one zoo,
//! curves of many with their contexts, or points that an autoencoder is trained on.
mod schedule;
pub(crate) mod state;

pub use schedule::Checkpointing;
pub(crate) use schedule::TrainingSchedule;

use crate::train::state::FitState;
use crate::{Error, Result, interrupt};
use std::time::Instant;
use thalweg_nets::progress::Progress;

/// A model in training: parameters, gradient of a minibatch, validation loss. Step s is a pure function of s and the parameters.
pub(crate) trait Learner {
    /// All parameters `[Q]`.
    fn parameters(&self) -> &[f32];

    /// All parameters, to be moved `[Q]`.
    fn parameters_mut(&mut self) -> &mut [f32];

    /// The loss on the batch of `step`, with its gradient over what was in `gradient [Q]`.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn gradient(&mut self, step: u64, gradient: &mut [f32]) -> Result<f64>;

    /// The loss on what is held out, if anything is.
    ///
    /// # Errors
    /// As [`Self::gradient`].
    fn held_out(&mut self) -> Result<Option<f64>>;
}

/// The state that a fit starts or goes on from.
///
/// # Errors
/// A state of another fit, or a file that is damaged.
pub(crate) fn start(
    learner: &mut dyn Learner,
    schedule: &TrainingSchedule,
    saving: Option<Checkpointing>,
) -> Result<FitState> {
    match saving {
        Some(s) if s.resume && s.path.exists() => {
            FitState::load(s.path, s.identity, schedule, learner.parameters_mut())
        }
        _ => FitState::new(schedule, learner.parameters()),
    }
}

/// Goes on from `state` to the last step.
///
/// # Errors
/// A loss that is not finite, with its step and seed; files that cannot be read or written; [`Error::Interrupted`], after the state was saved.
pub(crate) fn run(
    learner: &mut dyn Learner,
    state: &mut FitState,
    schedule: &TrainingSchedule,
    saving: Option<Checkpointing>,
    progress: &dyn Progress,
) -> Result<()> {
    let mut gradient = vec![0.0; learner.parameters().len()];
    let (clock, before) = (Instant::now(), state.seconds);
    progress.begin(schedule.what, schedule.steps);
    progress.resumed(state.step());
    while state.step() < schedule.steps {
        let step = state.step();
        // A gradient that was interrupted has changed nothing: the state is that of before the step.
        let loss = match progress.interrupted() || interrupt::requested() {
            true => Err(Error::Interrupted),
            false => learner.gradient(step, &mut gradient),
        };
        if let (Err(Error::Interrupted), Some(saving)) = (&loss, saving) {
            state.save(saving.path, saving.identity, learner.parameters(), false)?;
            progress.kept(state.step(), schedule.steps, "steps");
        }
        let loss = finite("training loss", loss?, step, schedule)?;
        state.optimiser.step(learner.parameters_mut(), &gradient)?;
        state.record_training_loss(loss);
        let last = step + 1 == schedule.steps;
        if (step + 1).is_multiple_of(schedule.validate_every) || last {
            validate(learner, state, step, schedule)?;
        }
        state.seconds = before + clock.elapsed().as_secs_f64();
        let due = |s: Checkpointing| if last { s.last } else { s.every > 0 && (step + 1).is_multiple_of(s.every) };
        if let Some(s) = saving.filter(|s| due(*s)) {
            state.save(s.path, s.identity, learner.parameters(), last)?;
        }
        progress.advance(1);
    }
    Ok(())
}

/// Judges the averaged parameters by what is held out; the learner's own are put back.
///
/// # Errors
/// A loss that is not finite.
pub(crate) fn validate(
    learner: &mut dyn Learner,
    state: &mut FitState,
    step: u64,
    schedule: &TrainingSchedule,
) -> Result<()> {
    let own = learner.parameters().to_vec();
    learner.parameters_mut().copy_from_slice(state.optimiser.average());
    let held_out = learner.held_out();
    learner.parameters_mut().copy_from_slice(&own);
    state.record_validation(held_out?.map(|loss| finite("held-out loss", loss, step, schedule)).transpose()?);
    Ok(())
}

fn finite(which: &str, loss: f64, step: u64, schedule: &TrainingSchedule) -> Result<f64> {
    if loss.is_finite() {
        return Ok(loss);
    }
    let seed = schedule.seed.map_or(String::new(), |seed| format!(" of seed {seed}"));
    let place = format!("step {}{seed} (a smaller optimiser.learning-rate may help)", step + 1);
    Err(Error::NotFinite { what: format!("{}: {which}", schedule.what), place, value: loss })
}
