//! A zoo's folder: what its `zoo.toml` says, which files are its own, and how it is claimed for writing.
//!
//! A folder counts as a zoo when its `zoo.toml` can be read as one; only then may it be gone on with or replaced, and only
//! the zoo's own files are ever removed.
use super::origin::{Origin, toml_of};
use super::shard::{self, Frame};
use super::template;
use crate::checksum;
use crate::error::{Error, Result};
use crate::files::{Held, lock, lock_among_others, part_of, write_first};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What to do with a zoo that stands where one is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// Fail.
    Refuse,
    /// Go on with it, where it is the same zoo.
    Resume,
    /// Put the new one in its place once it is whole.
    Replace,
}

impl Existing {
    /// What the flags of these names ask for.
    pub(super) fn of(resume: bool, force: bool) -> Result<Self> {
        match (resume, force) {
            (false, false) => Ok(Self::Refuse),
            (true, false) => Ok(Self::Resume),
            (false, true) => Ok(Self::Replace),
            (true, true) => Err(Error::parameter("resume", "resume or force, not both", "both")),
        }
    }
}

/// The file of the centre of `dir`.
pub(super) fn centre_of(dir: &Path) -> PathBuf {
    dir.join("centre.safetensors")
}

/// Makes `dir` the folder of the zoo `origin`; its `zoo.toml` is then there. The folder is ours until the claim is dropped.
///
/// # Errors
/// [`Error::Exists`]; a folder with other content; a zoo that differs from `origin`, naming the first key; another process
/// at work on it; whatever the system refuses.
pub(super) fn claim(dir: &Path, origin: &Origin, existing: Existing) -> Result<Claim> {
    if dir.exists() && !dir.is_dir() {
        return Err(Error::format(dir, "zoo", "a folder", "a file"));
    }
    let filled = dir.is_dir() && !names(dir)?.iter().all(|name| name.starts_with('.'));
    let text = checksum::seal_text(origin.to_toml()?);
    if !filled {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        // The lock is taken before zoo.toml appears, so that of two processes only one ever writes it.
        let held = Held::begin(&toml_of(dir))?;
        if toml_of(dir).exists() {
            return Err(Error::format(
                dir,
                "zoo",
                "a folder that nobody else is writing to",
                "another process at work on it",
            ));
        }
        return Ok(Claim { dir: dir.into(), work: dir.into(), _held: vec![held.write(text.as_bytes())?] });
    }
    if existing == Existing::Refuse {
        return Err(Error::Exists(dir.to_path_buf()));
    }
    if !toml_of(dir).is_file() {
        return Err(Error::format(
            toml_of(dir),
            "zoo",
            "a zoo to go on with or to replace",
            "a folder with other content",
        ));
    }
    let (old, lock) = (Origin::read(dir)?, locked(dir)?);
    if existing == Existing::Resume {
        same(dir, &old, origin)?;
        return Ok(Claim { dir: dir.into(), work: dir.into(), _held: vec![lock] });
    }
    let work = dir.join(NEW);
    fs::create_dir_all(&work).map_err(Error::io("create", &work))?;
    remove(&work, &[])?;
    let new = Held::begin(&toml_of(&work))?.write(text.as_bytes())?;
    Ok(Claim { dir: dir.into(), work, _held: vec![lock, new] })
}

/// Makes `dir` the folder of the zoo `origin` for one of the processes that make its shards together; its `zoo.toml` is then there, as the first of
/// them wrote it. Until the claim is dropped, nobody may take the folder alone.
///
/// # Errors
/// A folder with other content; a zoo that differs from `origin`, naming the first key (another version of Thalweg and other data among them);
/// a process that works on it alone; whatever the system refuses.
pub(super) fn join(dir: &Path, origin: &Origin) -> Result<Claim> {
    if dir.exists() && !dir.is_dir() {
        return Err(Error::format(dir, "zoo", "a folder", "a file"));
    }
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    let path = toml_of(dir);
    if !path.exists() {
        if names(dir)?.iter().any(|name| !name.starts_with('.')) && !path.exists() {
            return Err(Error::format(
                dir,
                "zoo",
                "an empty folder, or a zoo to go on with",
                "a folder with other content",
            ));
        }
        write_first(&path, checksum::seal_text(origin.to_toml()?).as_bytes())?;
    }
    let file = File::open(&path).map_err(Error::io("read", &path))?;
    lock_among_others(&file, dir)?;
    same(dir, &Origin::read(dir)?, origin)?;
    Ok(Claim { dir: dir.into(), work: dir.into(), _held: vec![file] })
}

/// The folder within a zoo's folder where the zoo that will replace it is made.
const NEW: &str = ".zoo.new";

/// A zoo's folder while it is being written. Other processes are kept away by locks on `zoo.toml`, which the system lifts even
/// after a kill.
#[derive(Debug)]
pub(super) struct Claim {
    dir: PathBuf,
    work: PathBuf,
    _held: Vec<File>,
}

impl Claim {
    /// Where its files are to be written.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// Ends the writing: a zoo that was to be replaced now is, file by file, `zoo.toml` last.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub(super) fn finish(self) -> Result<()> {
        if self.work == self.dir {
            return Ok(());
        }
        let mut new = own(&self.work)?;
        new.retain(|name| self.work.join(name).is_file());
        remove(&self.dir, &new)?;
        for name in &new {
            fs::rename(self.work.join(name), self.dir.join(name)).map_err(Error::io("rename", self.dir.join(name)))?;
        }
        fs::remove_dir(&self.work).map_err(Error::io("remove", &self.work))
    }
}

/// A lock on the `zoo.toml` of `dir`.
fn locked(dir: &Path) -> Result<File> {
    let path = toml_of(dir);
    let file = File::open(&path).map_err(Error::io("read", &path))?;
    lock(&file, dir)?;
    Ok(file)
}

fn same(dir: &Path, old: &Origin, new: &Origin) -> Result<()> {
    match (old, new) {
        (Origin::Trained(old), Origin::Trained(new)) => match old.difference(new)? {
            None => Ok(()),
            Some((key, was, is)) => {
                Err(Error::format(toml_of(dir), key, format!("{was}, as this zoo was begun with"), is))
            }
        },
        (Origin::Derived(old), Origin::Derived(new)) if old.id == new.id => Ok(()),
        (Origin::Derived(old), Origin::Derived(new)) => {
            Err(Error::format(toml_of(dir), "derived.id", format!("{}, as this zoo was begun with", old.id), &new.id))
        }
        _ => Err(Error::format(toml_of(dir), "zoo to go on with", new.made(), old.made())),
    }
}

/// Names of the files that a zoo in `dir` has or may have, `zoo.toml` last.
fn own(dir: &Path) -> Result<Vec<String>> {
    let mut own = names(dir)?;
    own.retain(|name| shard::is_own(name));
    own.extend(["centre.safetensors".into(), template::FILE.into(), "zoo.toml".into()]);
    Ok(own)
}

/// Names of the files that belong to the zoo in `dir`, by its own `zoo.toml`; none where that is no zoo's that was made, as with a
/// specification written by hand.
///
/// # Errors
/// A folder that cannot be read.
pub fn files(dir: &Path) -> Result<Vec<String>> {
    if !Origin::read(dir).is_ok_and(|origin| !origin.id().is_empty()) {
        return Ok(Vec::new());
    }
    let mut own = own(dir)?;
    own.retain(|name| fs::symlink_metadata(dir.join(name)).is_ok_and(|at| at.is_file()));
    Ok(own)
}

/// Removes the zoo's own files but those called as in `kept`; `zoo.toml` last, so that a kill in between leaves a zoo.
fn remove(dir: &Path, kept: &[String]) -> Result<()> {
    for name in own(dir)?.iter().filter(|name| !kept.contains(name)) {
        let path = dir.join(name);
        for path in [part_of(&path), path] {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", path)(e)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Refuses a folder that holds a shard beyond the last one of its zoo.
pub(super) fn no_shard_beyond(dir: &Path, frame: &Frame) -> Result<()> {
    let beyond = |name: &String| shard::index_of(name).is_some_and(|index| index >= frame.shards());
    match names(dir)?.into_iter().find(beyond) {
        Some(name) => {
            Err(Error::format(dir.join(name), "shard", format!("{} shards only", frame.shards()), "one more"))
        }
        None => Ok(()),
    }
}

/// Names of everything in `dir`, sorted.
pub(super) fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let mut names: Vec<String> =
        entries.map_err(Error::io("read", dir))?.iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}
