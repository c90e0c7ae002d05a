//! Tunings into folders, with their state; what flags ask of a tuning, what it has changed, and its page.
pub mod effect;
pub mod page;
pub mod reward;
pub mod settings;

use super::model;
use crate::output::Folder;
use crate::session::Session;
use anyhow::Result;
use std::path::Path;
use thalweg::model::{MetaModel, TuneConfig};
use thalweg::reward::Reward;
use thalweg::tune::{TuneOptions, tune};
use thalweg_nets::data::DataSpec;

/// Iterations between two savings of the state.
const SAVE_EVERY: u64 = 50;

/// Where the state between iterations is kept.
pub const STATE: &str = "tune-state.safetensors";

/// What a model is tuned to.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// What the tuning follows.
    pub reward: &'a dyn Reward,
    /// What the kept iteration is chosen by.
    pub held_out: &'a dyn Reward,
    /// What the networks of the tuned model are for; as those of the base where it is not said.
    pub data: Option<&'a DataSpec>,
}

/// Tunes into the claimed folder `out`, going on from a state there under `--resume`. The model is saved once, whole, so that no moment leaves one
/// that says that it is for other data.
///
/// # Errors
/// As [`tune`]; where the model cannot be written.
pub fn tune_into(
    base: &MetaModel,
    target: Target,
    config: &TuneConfig,
    out: &Path,
    session: &Session,
) -> Result<MetaModel> {
    let options = TuneOptions { state: Some(out.join(STATE)), save_every: SAVE_EVERY, resume: session.common.resume };
    let mut model = tune(base, target.reward, Some(target.held_out), config, &options, &session.progress)?;
    if let Some(data) = target.data {
        model.data = Some(data.clone());
    }
    session.progress.end();
    if let Some(record) = &model.record.tuned {
        session.progress.detail(&format!(
            "{}; iteration {} of {} kept; {:.1} iterations a second; validations: {:?}",
            record.process,
            record.best_iteration,
            record.iterations,
            record.iterations as f64 / record.seconds.max(1e-9),
            record.validations
        ));
    }
    model::save(&model, out, STATE)?;
    Ok(model)
}

/// As [`tune_into`] the claimed folder `out`; where a tuning that ended before its report has left its model there, it is read.
///
/// # Errors
/// As [`tune_into`].
pub fn tune_alone(
    base: &MetaModel,
    target: Target,
    config: &TuneConfig,
    out: &Folder,
    session: &Session,
) -> Result<MetaModel> {
    match model::left_in(out, STATE, session)? {
        Some(model) => Ok(model),
        None => tune_into(base, target, config, out.dir(), session),
    }
}
