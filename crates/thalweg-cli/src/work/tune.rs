//! A tuning into a folder, with its state.
use crate::session::Session;
use anyhow::Result;
use std::path::Path;
use thalweg::model::{MetaModel, TuneConfig};
use thalweg::reward::Reward;
use thalweg::tune::{TuneOptions, tune};
use thalweg_nets::Error;
use thalweg_nets::data::DataSpec;

/// Iterations between two savings of the state.
pub const SAVE_EVERY: u64 = 50;

/// Where the state between iterations is kept.
pub const STATE: &str = "tune-state.safetensors";

/// Tunes into the claimed folder `out`, going on from a state there under `--resume`. The networks of the tuned model are for `data` (those of
/// the base where none are given): it is saved once, whole, so that no moment leaves a model that says otherwise.
///
/// # Errors
/// As [`tune`]; where the model cannot be written.
pub fn tune_into(
    base: &MetaModel,
    reward: &dyn Reward,
    held_out: Option<&dyn Reward>,
    config: &TuneConfig,
    data: Option<&DataSpec>,
    out: &Path,
    session: &Session,
) -> Result<MetaModel> {
    let state = out.join(STATE);
    let options = TuneOptions { state: Some(state.clone()), save_every: SAVE_EVERY, resume: session.common.resume };
    let mut model = tune(base, reward, held_out, config, &options, &session.progress)?;
    if let Some(data) = data {
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
    model.save(out, true)?;
    if state.exists() {
        std::fs::remove_file(&state).map_err(Error::io("remove", &state))?;
    }
    Ok(model)
}
