//! A folder that the tasks of one command fill together, each with files of its own: many processes at once, on one machine or on many.
use super::folder::{Made, begun_alike, opened};
use super::marker::{self, Marker};
use super::place::located;
use super::stand::{Found, Stand};
use super::{Plan, leave, names, swap};
use crate::common::Common;
use anyhow::{Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use thalweg_nets::Error;
use thalweg_nets::files::lock_among_others;

/// Where, within such a folder, what tasks say on stderr is kept while they are at work.
pub const SAID: &str = ".tasks";

/// A folder that this process shares with others. No command takes it alone meanwhile. Whatever is finished in it stays.
#[derive(Debug)]
pub struct Joined {
    dir: PathBuf,
    shown: PathBuf,
    finished: bool,
    _made: Made,
    _lock: Option<File>,
}

impl Joined {
    /// Joins whoever works on `path` for `plan`; the first to come marks it.
    ///
    /// # Errors
    /// A target that touches an input, is a file, holds what is not ours or was begun with other settings, is taken by a process that works alone,
    /// or cannot be written to; `--force`, which would take from the others what they have made.
    pub fn claim(path: &Path, plan: &Plan, common: &Common) -> Result<Self> {
        if common.force {
            bail!("--force: tasks share their folder; choose another path, or remove {} first", path.display());
        }
        let dir = located(path);
        plan.inputs.clone().overrides(&common.set).spare(&dir, path)?;
        if dir.exists() && !dir.is_dir() {
            bail!("{} is a file; --out takes a folder here", path.display());
        }
        let (made, lock) = opened(&dir, path, lock_among_others)?;
        let found = Found::look(&dir)?;
        if found.new.is_some() {
            bail!("{}: a `thalweg {}` that replaces it has not finished", path.display(), plan.command);
        }
        match found.stand {
            Stand::Ours(marker, _) => begun_alike(&marker, plan, path)?,
            Stand::Zoo(_) | Stand::Empty => {}
            Stand::Foreign(file) => {
                bail!("{} was not begun by thalweg (it holds {file}); choose another path", path.display())
            }
        }
        Marker::new(plan, Vec::new()).write_first(&dir)?;
        // Whoever was first, it is the same work.
        if let Some(marker) = Marker::read(&dir)? {
            begun_alike(&marker, plan, path)?;
        }
        Ok(Self { dir, shown: path.into(), finished: false, _made: made, _lock: lock })
    }

    /// Where the task writes.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder as the user knows it.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The task is done.
    pub fn finish(mut self) {
        self.finished = true;
    }
}

/// Removes what tasks made in the folder `dir` under `names`, the words that they said among it, and the folder where this leaves it empty.
///
/// # Errors
/// Whatever the system refuses.
pub fn remove(dir: &Path, names: &[&str]) -> Result<()> {
    swap::remove(dir, &names::ours(dir, names)?)?;
    let said = dir.join(SAID);
    if names::kind(&said) == Some(names::Kind::Folder) {
        fs::remove_dir_all(&said).map_err(Error::io("remove", &said))?;
    }
    swap::remove(dir, &[marker::NAME])?;
    // Fails where something is left in it, as it should.
    drop(fs::remove_dir(dir));
    Ok(())
}

impl Drop for Joined {
    fn drop(&mut self) {
        if !self.finished {
            let shown = self.shown.display();
            leave(format!("what was finished is kept in {shown}, and the same task goes on from there"));
        }
    }
}
