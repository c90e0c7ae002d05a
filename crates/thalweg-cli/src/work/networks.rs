//! Networks as files name them to the program.
use crate::session::Session;
use anyhow::{Result, bail};
use std::path::Path;
use thalweg::model::Networks;
use thalweg_nets::Architecture;
use thalweg_nets::progress::Progress;

/// Reads a stack, a single network, or a folder of them; what was passed over is told on the way. `known` is the architecture that flags or a zoo say.
///
/// # Errors
/// As [`Networks::read`].
pub fn read(path: &Path, known: Option<&Architecture>, session: &Session) -> Result<Networks> {
    if known.is_none() && !Networks::is_stack(path)? {
        bail!("{} holds a network by its tensors' names; say which with --arch and --data, or --zoo", path.display());
    }
    Ok(Networks::read(path, known, &|line| session.progress.note(line))?)
}
