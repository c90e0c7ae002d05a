//! Models in folders that are being written: saved whole, and found again where a command ended between its model and its report.
use crate::output::Folder;
use crate::session::Session;
use anyhow::Result;
use std::path::Path;
use thalweg::model::MetaModel;
use thalweg_nets::Error;

/// Whether `dir` holds a whole model: its description is written last.
pub fn is_in(dir: &Path) -> bool {
    dir.join("model.toml").exists()
}

/// Saves `model` into `dir`, and removes the `state` there that it was trained from: it is not needed any more.
///
/// # Errors
/// Where the system refuses.
pub fn save(model: &MetaModel, dir: &Path, state: &str) -> Result<()> {
    model.save(dir, true)?;
    remove(&dir.join(state))
}

/// The model that the same command left in `out` when it ended before its report, under `--resume`.
///
/// # Errors
/// A damaged model.
pub fn left_in(out: &Folder, state: &str, session: &Session) -> Result<Option<MetaModel>> {
    if !(session.common.resume && is_in(out.dir())) {
        return Ok(None);
    }
    let model = MetaModel::load(out.dir())?;
    remove(&out.dir().join(state))?;
    Ok(Some(model))
}

fn remove(state: &Path) -> Result<()> {
    if state.exists() {
        std::fs::remove_file(state).map_err(Error::io("remove", state))?;
    }
    Ok(())
}
