//! The loop of every training by steps: start or resume, steps, validations, early stopping, checkpoints. What is learned from, and by whom, is the
//! [`Learner`]'s: curves of one zoo, curves of many with their contexts, points of an autoencoder, a reward. [`descend`] is for trainings of a
//! moment, which are neither validated nor resumed.
mod descend;
mod learner;
mod schedule;
mod state;
mod validation;

#[cfg(test)]
mod tests;

pub(crate) use descend::descend;
pub(crate) use learner::{Learner, Updates};
pub use schedule::{Better, Checkpointing};
pub(crate) use schedule::{TrainingSchedule, ValidationSchedule};
pub use state::TrainState;
pub use validation::Validation;

use crate::{Error, Result, interrupt};
use std::time::Instant;
use thalweg_nets::progress::Progress;

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

/// The state of a training that a closed form took the place of: the learner's parameters, judged once.
///
/// # Errors
/// As [`validate`].
pub(crate) fn solved(learner: &mut dyn Learner, schedule: &TrainingSchedule) -> Result<TrainState> {
    let clock = Instant::now();
    let held_out = learner.held_out(0)?;
    if let Some(score) = held_out {
        schedule.check_finite(&format!("held-out {}", schedule.validation.better.score()), score, 0)?;
    }
    TrainState::solved(schedule, held_out, clock.elapsed().as_secs_f64())
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
        let which = format!("held-out {}", schedule.validation.better.score());
        schedule.check_finite(&which, score, state.step.saturating_sub(1))?;
    }
    state.record_validation(held_out);
    Ok(())
}
