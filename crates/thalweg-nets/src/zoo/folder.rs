//! A zoo's folder: what its `zoo.toml` says, which files are its own, and how it is claimed for writing.
//!
//! A folder counts as a zoo when its `zoo.toml` can be read as one; only then may it be gone on with or replaced, and only
//! the zoo's own files are ever removed.
use super::import::Imported;
use super::shard::{self, Frame};
use super::spec::ZooSpec;
use crate::architecture::Architecture;
use crate::data::DataSpec;
use crate::error::{Error, Result};
use crate::files::{part_of, write_whole};
use crate::layout::Layout;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// What to do with a zoo that stands where one is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// Fail.
    Refuse,
    /// Go on with it, where it is the same zoo.
    Resume,
    /// Remove it first.
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

/// Where a zoo came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Trained here.
    Trained(Box<ZooSpec>),
    /// Foreign checkpoints.
    Imported(Box<Imported>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportedFile {
    imported: Imported,
}

impl Origin {
    /// Reads the `zoo.toml` of folder `dir`.
    ///
    /// # Errors
    /// No such file, or one that is no zoo's: with file, key and line.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = toml_of(dir);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let imported = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("imported"));
        if !imported {
            return Ok(Self::Trained(Box::new(ZooSpec::from_toml_str(&path, &text)?)));
        }
        let file: ImportedFile = toml::from_str(&text).map_err(|e| {
            Error::format(&path, "imported zoo", "known keys with values of their types", e.to_string().trim())
        })?;
        file.imported.check(&path)?;
        Ok(Self::Imported(Box::new(file.imported)))
    }

    /// The architecture, where known.
    pub fn architecture(&self) -> Option<&Architecture> {
        match self {
            Self::Trained(spec) => Some(&spec.architecture),
            Self::Imported(imported) => imported.architecture.as_ref(),
        }
    }

    /// The data, where known.
    pub fn data(&self) -> Option<&DataSpec> {
        match self {
            Self::Trained(spec) => Some(&spec.data),
            Self::Imported(imported) => imported.data.as_ref(),
        }
    }

    /// When checkpoints were taken, `[K]`.
    pub fn times(&self) -> &[f64] {
        match self {
            Self::Trained(spec) => &spec.recipe.checkpoints,
            Self::Imported(imported) => &imported.times,
        }
    }

    /// The text of `zoo.toml`.
    pub(super) fn to_toml(&self) -> Result<String> {
        match self {
            Self::Trained(spec) => spec.to_toml(),
            Self::Imported(imported) => toml::to_string(&ImportedFile { imported: (**imported).clone() })
                .map_err(|e| Error::parameter("imported zoo", "values that TOML can hold", e)),
        }
    }

    /// What the zoo's shards have in common.
    pub(super) fn frame(&self, dir: &Path) -> Result<Frame> {
        match self {
            Self::Trained(spec) => {
                let unmade = || Error::format(toml_of(dir), "record", "the record of a zoo that was made", "none");
                Ok(Frame {
                    id: spec.record.as_ref().ok_or_else(unmade)?.id.clone(),
                    runs: spec.runs,
                    shard: spec.shard,
                    checkpoints: spec.recipe.checkpoints.len(),
                    layout: Layout::of(&spec.architecture),
                    scored: true,
                })
            }
            Self::Imported(imported) => Ok(imported.frame()),
        }
    }
}

/// The `zoo.toml` of `dir`.
pub(super) fn toml_of(dir: &Path) -> PathBuf {
    dir.join("zoo.toml")
}

/// The file of the centre of `dir`.
pub(super) fn centre_of(dir: &Path) -> PathBuf {
    dir.join("centre.safetensors")
}

/// Makes `dir` the folder of the zoo `origin`; its `zoo.toml` is then there. The folder is ours until the guard is dropped.
///
/// # Errors
/// [`Error::Exists`]; a folder with other content; a zoo that differs from `origin`, naming the first key; another process
/// at work on it; whatever the system refuses.
pub(super) fn claim(dir: &Path, origin: &Origin, existing: Existing) -> Result<Guard> {
    if dir.exists() && !dir.is_dir() {
        return Err(Error::format(dir, "zoo", "a folder", "a file"));
    }
    let filled = dir.is_dir() && !names(dir)?.iter().all(|name| name.starts_with('.'));
    if filled {
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
        let (old, guard) = (Origin::read(dir)?, Guard::new(dir)?);
        if existing == Existing::Resume {
            return same(dir, &old, origin).map(|()| guard);
        }
        remove(dir)?;
    }
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    write_whole(&toml_of(dir), origin.to_toml()?.as_bytes())?;
    Guard::new(dir)
}

/// Keeps other processes from writing to a zoo: a lock on its `zoo.toml`, which the system lifts even after a kill.
#[derive(Debug)]
pub(super) struct Guard {
    _file: File,
}

impl Guard {
    fn new(dir: &Path) -> Result<Self> {
        let path = toml_of(dir);
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                Err(Error::format(dir, "zoo", "a zoo that nobody else is writing", "another process at work on it"))
            }
            // Some network file systems know no locks: then it is up to the user.
            Err(TryLockError::Error(_)) | Ok(()) => Ok(Self { _file: file }),
        }
    }
}

fn same(dir: &Path, old: &Origin, new: &Origin) -> Result<()> {
    match (old, new) {
        (Origin::Trained(old), Origin::Trained(new)) => match old.difference(new)? {
            None => Ok(()),
            Some((key, was, is)) => {
                Err(Error::format(toml_of(dir), key, format!("{was}, as this zoo was begun with"), is))
            }
        },
        _ => Err(Error::format(toml_of(dir), "zoo", "a zoo that was trained", "an imported one")),
    }
}

/// Removes the zoo's own files, `zoo.toml` last, so that a kill in between leaves a zoo.
fn remove(dir: &Path) -> Result<()> {
    let mut own = vec![centre_of(dir)];
    own.extend(names(dir)?.iter().filter(|name| shard::index_of(name).is_some()).map(|name| dir.join(name)));
    own.push(toml_of(dir));
    for path in own {
        for path in [part_of(&path), path] {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", path)(e)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Names of everything in `dir`, sorted.
pub(super) fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let mut names: Vec<String> =
        entries.map_err(Error::io("read", dir))?.iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}
