//! The loop of every fit: start or resume, steps, looks, savings. What is learned from, and by whom, is the [`Learner`]'s: curves of one zoo, or
//! curves of many with their contexts.
use crate::fit::{FitConfig, FitOptions};
use crate::fit_state::FitState;
use crate::{Error, Result};
use std::time::Instant;
use thalweg_nets::progress::Progress;

/// Who is fitted, and what to: step s is a pure function of s and the parameters.
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
    fn held_out(&mut self) -> Option<f64>;
}

/// The state that a fit called `identity` starts or goes on from.
///
/// # Errors
/// A state of another fit, or a file that is damaged.
pub(crate) fn start(
    learner: &mut dyn Learner,
    config: &FitConfig,
    options: &FitOptions,
    identity: &str,
) -> Result<FitState> {
    match &options.state {
        Some(path) if options.resume && path.exists() => {
            FitState::load(path, identity, config, learner.parameters_mut())
        }
        _ => FitState::new(config, learner.parameters()),
    }
}

/// Goes on from `state` to the last step.
///
/// # Errors
/// A loss that is not finite, with step and seed; files that cannot be read or written; [`Error::Interrupted`], after the state was saved.
pub(crate) fn run(
    learner: &mut dyn Learner,
    state: &mut FitState,
    config: &FitConfig,
    options: &FitOptions,
    identity: &str,
    progress: &dyn Progress,
) -> Result<()> {
    let mut gradient = vec![0.0; learner.parameters().len()];
    let (clock, before) = (Instant::now(), state.seconds);
    let save = |state: &mut FitState, learner: &dyn Learner| match &options.state {
        Some(path) => state.save(path, identity, learner.parameters()),
        None => Ok(()),
    };
    progress.begin("fitting", config.steps);
    progress.advance(state.step());
    while state.step() < config.steps {
        let step = state.step();
        if progress.interrupted() {
            save(state, learner)?;
            return Err(Error::Interrupted);
        }
        let loss = finite("training loss", learner.gradient(step, &mut gradient)?, step, config)?;
        state.optimiser.step(learner.parameters_mut(), &gradient)?;
        state.note(loss);
        let last = step + 1 == config.steps;
        if (step + 1).is_multiple_of(config.validate_every) || last {
            look(learner, state, step, config)?;
        }
        state.seconds = before + clock.elapsed().as_secs_f64();
        if options.save_every > 0 && (step + 1).is_multiple_of(options.save_every) && !last {
            save(state, learner)?;
        }
        progress.advance(1);
    }
    Ok(())
}

/// Judges the averaged parameters by what is held out; the learner's own are put back.
///
/// # Errors
/// A loss that is not finite.
pub(crate) fn look(learner: &mut dyn Learner, state: &mut FitState, step: u64, config: &FitConfig) -> Result<()> {
    let own = learner.parameters().to_vec();
    learner.parameters_mut().copy_from_slice(state.optimiser.average());
    let held_out = learner.held_out();
    learner.parameters_mut().copy_from_slice(&own);
    state.judge(held_out.map(|loss| finite("held-out loss", loss, step, config)).transpose()?);
    Ok(())
}

fn finite(what: &str, loss: f64, step: u64, config: &FitConfig) -> Result<f64> {
    if loss.is_finite() {
        return Ok(loss);
    }
    let place = format!("step {} of seed {} (a smaller optimiser.learning-rate may help)", step + 1, config.seed);
    Err(Error::NotFinite { what: what.into(), place, value: loss })
}
