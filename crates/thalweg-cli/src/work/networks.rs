//! Networks as files name them to the program.
use crate::session::Session;
use anyhow::{Result, bail};
use std::path::Path;
use thalweg::model::Networks;
use thalweg_nets::Architecture;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;

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

/// As [`read`], networks such as those of `zoo`: whole ones, where only a part of them is modelled, put together with what is frozen.
///
/// # Errors
/// As [`Networks::read`]; networks of another size.
pub fn of_zoo(path: &Path, zoo: &ZooStore, session: &Session) -> Result<Networks> {
    let whole = zoo.origin().whole_architecture();
    let Some(assembly) = zoo.assembly()? else { return read(path, zoo.architecture(), session) };
    if !Networks::is_stack(path)? {
        return read(path, whole, session);
    }
    let found = read(path, None, session)?;
    if found.parameters != assembly.parameters() {
        return read(path, whole, session);
    }
    let theta = assembly.whole(&found.theta)?;
    let parameters = theta.len() / found.len();
    Ok(Networks { theta, parameters, architecture: whole.cloned(), ..found })
}
