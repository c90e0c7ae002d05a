//! A folder that a command writes into: claimed before it works, filled, and finished or let go.
use super::marker::{self, Marker, State};
use super::place::located;
use super::stand::{Found, Stand};
use super::{Plan, Resumes, leave, names, swap};
use crate::common::Common;
use anyhow::{Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use thalweg_nets::Error;
use thalweg_nets::files::{lock, stands_at};

/// Tries to create and lock a folder that another process is just removing.
const TRIES: usize = 100;

/// What claiming a folder came to.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours to write into.
    Open(Box<Folder>),
    /// Under `--resume`: the same command with the same settings has finished already.
    Finished,
}

/// A claimed folder. Dropped before [`Folder::finish`], it keeps what `--resume` can go on with, and nothing else.
#[derive(Debug)]
pub struct Folder {
    shown: PathBuf,
    work: PathBuf,
    marker: Marker,
    resumes: Resumes,
    finished: bool,
    /// Folders that were made for it: gone again where they stay empty. Before the lock, so that they go before it is lifted.
    _made: Made,
    _lock: Option<File>,
}

impl Folder {
    /// Claims `path` for `plan` under the flags of `common`.
    ///
    /// # Errors
    /// A target that touches an input, is a file, holds what is not ours, was begun with other settings, is being written by another process,
    /// or cannot be written to.
    pub fn claim(path: &Path, plan: &Plan, common: &Common) -> Result<Claimed> {
        refuse_resume(plan, common)?;
        let dir = located(path);
        plan.inputs.clone().overrides(&common.set).spare(&dir, path)?;
        if dir.exists() && !dir.is_dir() {
            bail!("{} is a file; --out takes a folder here", path.display());
        }
        let (made, lock) = opened(&dir, path, lock)?;
        swap::finish(&dir)?;
        let found = Found::look(&dir)?;
        let Some((work, marker)) = decide(path, &dir, plan, common, found)? else { return Ok(Claimed::Finished) };
        let resumes = plan.resumes;
        fs::create_dir_all(&work).map_err(Error::io("create", &work))?;
        let folder = Self { shown: path.into(), work, marker, resumes, finished: false, _made: made, _lock: lock };
        folder.marker.write(&folder.work)?;
        Ok(Claimed::Open(Box::new(folder)))
    }

    /// Where the command writes: the folder itself, or one within it whose files are moved at the end.
    pub fn dir(&self) -> &Path {
        &self.work
    }

    /// The folder as the user knows it, where everything lies at the end.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Ends the writing: what was made is noted, and stands where it belongs.
    ///
    /// # Errors
    /// A file of the user's in the way; whatever the system refuses.
    pub fn finish(mut self) -> Result<()> {
        let parts = match self.in_place() {
            true => names::ours(&self.work, &self.marker.names)?,
            false => names::all(&self.work, marker::NAME)?,
        };
        let (parts, files): (Vec<_>, Vec<_>) = parts.into_iter().partition(|name| names::is_part(name));
        swap::remove(&self.work, &parts)?;
        self.marker.made = files;
        if self.in_place() {
            self.marker.state = State::Finished;
            self.marker.write(&self.work)?;
        } else {
            swap::spare(&self.shown, &self.marker.made, &self.marker.replaces)?;
            self.marker.state = State::Whole;
            self.marker.write(&self.work)?;
            swap::finish(&self.shown)?;
        }
        self.finished = true;
        Ok(())
    }

    fn in_place(&self) -> bool {
        self.work == self.shown
    }

    /// Takes back what nothing can go on from.
    fn let_go(&self) -> Result<()> {
        let files = match self.in_place() {
            true => names::ours(&self.work, &self.marker.names)?,
            false => names::all(&self.work, marker::NAME)?,
        };
        // A zoo's description alone is no work done; after Ctrl-C it may still be what the next command reads.
        let trivial =
            |name: &String| names::is_part(name) || (name == "zoo.toml" && !thalweg_nets::interrupt::requested());
        let shown = self.shown.display();
        if self.resumes != Resumes::Never && !files.iter().all(trivial) {
            let how = if self.in_place() { "--resume" } else { "--resume in the place of --force" };
            leave(format!("what was finished is kept in {shown}, and the same command with {how} goes on from there"));
            return Ok(());
        }
        match self.in_place() {
            false => swap::discard(&self.shown)?,
            true => {
                swap::remove(&self.work, &files)?;
                swap::remove(&self.work, &[marker::NAME])?;
            }
        }
        if !self.marker.replaces.is_empty() {
            leave(format!("{shown} is as it was"));
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the error that ended the command is the one to tell.
            drop(self.let_go());
        }
    }
}

/// Refuses `--resume` for a command that cannot go on.
///
/// # Errors
/// Naming the command.
pub fn refuse_resume(plan: &Plan, common: &Common) -> Result<()> {
    if common.resume && plan.resumes == Resumes::Never {
        bail!(
            "--resume: `thalweg {}` has nothing to go on with, it starts anew each time; leave the flag out (--force replaces an earlier result)",
            plan.command
        );
    }
    Ok(())
}

/// Where to work, with the marker to put there; none where everything is there already.
fn decide(shown: &Path, dir: &Path, plan: &Plan, common: &Common, found: Found) -> Result<Option<(PathBuf, Marker)>> {
    let new = || shown.join(swap::NEW);
    if common.resume {
        return resumed(shown, dir, plan, found);
    }
    if !common.force
        && let Some(complaint) = found.taken(shown, plan)
    {
        return Err(complaint);
    }
    let replaces = match found.stand {
        Stand::Empty => Vec::new(),
        Stand::Ours(_, files) | Stand::Zoo(files) => files,
        Stand::Foreign(file) => bail!(
            "{} was not made by thalweg (it holds {file}); --force replaces only what thalweg made: choose another path",
            shown.display()
        ),
    };
    swap::discard(dir)?;
    clear_way(dir, plan, &replaces)?;
    let work = if replaces.is_empty() && plan.resumes != Resumes::Never { shown.to_path_buf() } else { new() };
    Ok(Some((work, Marker::new(plan, replaces))))
}

/// As [`decide`], under `--resume`.
fn resumed(shown: &Path, dir: &Path, plan: &Plan, found: Found) -> Result<Option<(PathBuf, Marker)>> {
    if let Some(new) = &found.new
        && new.difference(plan).is_none()
    {
        return Ok(Some((shown.join(swap::NEW), new.clone())));
    }
    match (found.stand, &found.new) {
        (Stand::Empty, Some(new)) => begun_alike(new, plan, shown).map(|()| None),
        (Stand::Empty, None) => Ok(Some((shown.to_path_buf(), Marker::new(plan, Vec::new())))),
        (Stand::Ours(marker, files), _) => {
            begun_alike(&marker, plan, shown)?;
            let whole = marker.state == State::Finished && files.len() == marker.made.len();
            if whole && plan.resumes == Resumes::Unfinished {
                return Ok(None);
            }
            let now = Marker::new(plan, Vec::new());
            clear_way(dir, plan, &[files, names::ours(dir, &now.names)?].concat())?;
            Ok(Some((shown.to_path_buf(), now)))
        }
        // Zoos of the library carry their own settings, and it compares them.
        (Stand::Zoo(files), _) if plan.command.starts_with("zoo ") => {
            clear_way(dir, plan, &files)?;
            Ok(Some((shown.to_path_buf(), Marker::new(plan, Vec::new()))))
        }
        (Stand::Zoo(_), _) => bail!("{}: expected what `thalweg {}` began, found a zoo", shown.display(), plan.command),
        (Stand::Foreign(file), _) => bail!(
            "{} was not begun by thalweg (it holds {file}), so there is nothing to go on with; choose another path",
            shown.display()
        ),
    }
}

/// Refuses an output that was begun by another command or with other settings than `plan`'s.
pub(super) fn begun_alike(marker: &Marker, plan: &Plan, shown: &Path) -> Result<()> {
    match marker.difference(plan) {
        None => Ok(()),
        Some((key, was, is)) => {
            let expected = format!("{was}, as this output was begun with (by `{}`)", marker.line);
            let found = format!("{is}; choose another path, or pass --force to start anew");
            Err(Error::format(shown, key, expected, found).into())
        }
    }
}

/// Refuses what stands in `dir` under a name that `plan` may make, and is not among `ours`.
fn clear_way(dir: &Path, plan: &Plan, ours: &[String]) -> Result<()> {
    for pattern in plan.names {
        let name = pattern.trim_end_matches('/');
        let below = |ours: &String| ours == name || ours.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let there = names::kind(&dir.join(name));
        // An empty folder holds nothing that could be lost.
        let empty = there == Some(names::Kind::Folder) && names::all(&dir.join(name), "")?.is_empty();
        if there.is_some() && !empty && !ours.iter().any(below) {
            bail!(
                "{} was not made by thalweg and is in the way; move it or choose another path",
                dir.join(name).display()
            );
        }
    }
    Ok(())
}

/// Folders that were made on the way; those that stay empty are removed again.
#[derive(Debug, Default)]
pub struct Made(Vec<PathBuf>);

impl Made {
    /// Creates `dir` and what it lies in, where they are missing.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn folder(dir: &Path) -> Result<Self> {
        let missing: Vec<_> = dir.ancestors().take_while(|at| !at.exists()).map(Path::to_path_buf).collect();
        let made = Self(missing);
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        Ok(made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // The deepest first; one with content refuses, as it should.
        for dir in &self.0 {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
    }
}

/// How a folder is locked: for oneself, or together with others.
type Lock = fn(&File, &Path) -> thalweg_nets::Result<()>;

/// Creates the folder `dir` where it is missing, and locks it by `lock`.
pub(super) fn opened(dir: &Path, shown: &Path, lock: Lock) -> Result<(Made, Option<File>)> {
    for _ in 0..TRIES {
        let mut made = Made::folder(dir)?;
        // Where the system does not open folders as files, there is no lock.
        let Ok(file) = File::open(dir) else { return Ok((made, None)) };
        if let Err(taken) = lock(&file, shown) {
            // It may be empty still: whoever holds it is about to fill it.
            made.0.clear();
            return Err(taken.into());
        }
        if stands_at(&file, dir) {
            return Ok((made, Some(file)));
        }
    }
    Err(Error::format(shown, "output", "a folder that stays", "another process that removes it").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_second_leaves_the_folder_of_the_first_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("a/out");
        for _ in 0..200 {
            let (barrier, done) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
            let one = || {
                barrier.wait();
                let opened = opened(&dir, &dir, lock);
                let there = opened.is_ok().then(|| dir.is_dir());
                done.wait();
                // The holder finds its folder after the other one has given up.
                let stays = there.map(|there| there && dir.is_dir());
                drop(opened);
                stays
            };
            let both = std::thread::scope(|scope| [scope.spawn(one), scope.spawn(one)].map(|t| t.join().unwrap()));
            assert!(both.contains(&Some(true)) && both.contains(&None), "{both:?}");
            drop(fs::remove_dir_all(home.path().join("a")));
        }
    }
}
