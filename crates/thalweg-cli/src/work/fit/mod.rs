//! Fits into folders, with their state; what flags ask of a fit, and its page; many fits as one work.
pub mod check;
mod many;
pub mod page;
pub mod settings;
pub mod sweep;
pub mod zoos;

pub use many::{Models, fit_among_others};

use super::model;
use crate::output::Folder;
use crate::session::Session;
use anyhow::{Result, bail};
use std::path::Path;
use thalweg::fit::tasks::fit_tasks;
use thalweg::fit::{FitOptions, fit};
use thalweg::model::{FitConfig, MetaModel};
use thalweg_nets::Error;
use thalweg_nets::zoo::ZooStore;

/// Steps between two savings of the state: what a kill (not Ctrl-C, which saves) can cost.
const SAVE_EVERY: u64 = 500;

/// Where the state between steps is kept.
pub const STATE: &str = "fit-state.safetensors";

/// Fits a model into the claimed folder `out`, going on from a state there under `--resume`; autoencoders are kept in the folder `latents`.
///
/// # Errors
/// As [`fit`] and [`fit_tasks`]; where the model cannot be written.
pub fn fit_into(
    zoos: &[&ZooStore],
    config: &FitConfig,
    out: &Path,
    latents: &Path,
    session: &Session,
) -> Result<MetaModel> {
    fitted(zoos, config, out, latents, session.common.resume, session)
}

/// The model in the folder `dir`, which is made: fitted as [`fit_into`] does, or read where an attempt that `--resume` goes on from has ended it.
///
/// # Errors
/// As [`fit_into`]; a model of other settings.
pub fn fit_or_read(
    zoos: &[&ZooStore],
    config: &FitConfig,
    dir: &Path,
    latents: &Path,
    session: &Session,
) -> Result<MetaModel> {
    if session.common.resume && model::is_in(dir) {
        let found = MetaModel::load(dir)?;
        if found.config != config.for_zoo(zoos[0])? {
            bail!(
                "{}: expected the fit that is asked for, found another (settings were changed; use another --out)",
                dir.display()
            );
        }
        return Ok(found);
    }
    std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    fit_into(zoos, config, dir, latents, session)
}

/// As [`fit_into`], going on from a state where it is to `resume`.
fn fitted(
    zoos: &[&ZooStore],
    config: &FitConfig,
    out: &Path,
    latents: &Path,
    resume: bool,
    session: &Session,
) -> Result<MetaModel> {
    let options = FitOptions {
        state: Some(out.join(STATE)),
        save_every: SAVE_EVERY,
        resume,
        latents: Some(latents.to_path_buf()),
        probes: None,
    };
    let model = match config.context {
        Some(_) => fit_tasks(zoos, config, &options, &session.progress)?,
        None => fit(zoos[0], config, &options, &session.progress)?,
    };
    session.progress.end();
    let record = &model.record;
    session.progress.detail(&format!(
        "{}: step {} of {} kept; {:.1} steps a second; validations (step, training loss, held-out loss): {:?}",
        config.method.name(),
        record.best_step,
        config.steps,
        config.steps as f64 / record.seconds.max(1e-9),
        record.history
    ));
    model::save(&model, out, STATE)?;
    Ok(model)
}

/// The model of the claimed folder `out` alone: fitted, or read where a fit that ended before its report has left it. The autoencoders that were
/// kept while it was fitted are in the model, and go.
///
/// # Errors
/// As [`fit_into`].
pub fn fit_alone(zoos: &[ZooStore], config: &FitConfig, out: &Folder, session: &Session) -> Result<MetaModel> {
    let latents = out.dir().join("latents");
    let model = match model::left_in(out, STATE, session)? {
        Some(model) => model,
        None => fit_into(&zoos.iter().collect::<Vec<_>>(), config, out.dir(), &latents, session)?,
    };
    if latents.exists() {
        std::fs::remove_dir_all(&latents).map_err(Error::io("remove", &latents))?;
    }
    Ok(model)
}
