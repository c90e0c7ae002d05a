//! A zoo's folder: what its `zoo.toml` says, which files are its own, and how it is claimed for writing.
//!
//! A folder counts as a zoo when its `zoo.toml` can be read as one; only then may it be gone on with or replaced, and only
//! the zoo's own files are ever removed.
use super::derive::Derived;
use super::import::Imported;
use super::shard::{self, Frame};
use super::spec::ZooSpec;
use crate::architecture::Architecture;
use crate::checksum;
use crate::data::DataSpec;
use crate::error::{Error, Result};
use crate::files::{Held, content_of, lock, part_of};
use crate::init::Initialisation;
use crate::layout::Layout;
use serde::{Deserialize, Serialize};
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

/// Where a zoo came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Trained here.
    Trained(Box<ZooSpec>),
    /// Foreign checkpoints.
    Imported(Box<Imported>),
    /// Another zoo, moved.
    Derived(Box<Derived>),
}

/// A `zoo.toml` that is no plain [`ZooSpec`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    imported: Option<Imported>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    derived: Option<Derived>,
}

impl Origin {
    /// Reads the `zoo.toml` of folder `dir`.
    ///
    /// # Errors
    /// No such file, or one that is no zoo's: with file, key and line; one that was changed since it was written.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = toml_of(dir);
        let text = fs::read_to_string(&path).map_err(|e| match dir.is_dir() && !path.exists() {
            // A folder of something else: the path is not the fault.
            true => {
                let expected = "a folder with a zoo.toml, as `thalweg zoo train` and `thalweg zoo import` make it";
                Error::format(dir, "zoo", expected, content_of(dir))
            }
            false => Error::io("read", if dir.exists() && !dir.is_dir() { dir } else { &path })(e),
        })?;
        let holds = |key: &str| text.parse::<toml::Table>().is_ok_and(|table| table.contains_key(key));
        if !holds("imported") && !holds("derived") {
            let spec = ZooSpec::from_toml_str(&path, &text)?;
            return checksum::check_text(&path, &text).map(|()| Self::Trained(Box::new(spec)));
        }
        let file: OtherFile = toml::from_str(&text).map_err(|e| {
            Error::format(
                &path,
                "imported or derived zoo",
                "known keys with values of their types",
                e.to_string().trim(),
            )
        })?;
        let origin = match (file.imported, file.derived) {
            (Some(imported), None) => Self::Imported(Box::new(imported)),
            (None, Some(derived)) => Self::Derived(Box::new(derived)),
            _ => return Err(Error::format(&path, "zoo", "imported or derived", "both")),
        };
        origin.check(&path)?;
        checksum::check_text(&path, &text)?;
        Ok(origin)
    }

    /// Checks what a hand could have spoilt in the `zoo.toml` at `path`.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        match self {
            Self::Trained(spec) => spec.check(),
            Self::Imported(imported) => imported.check(path),
            Self::Derived(derived) => derived.check(path),
        }
    }

    /// The zoo that all of its runs come from in the end: trained or imported.
    pub fn root(&self) -> &Self {
        match self {
            Self::Derived(derived) => derived.of.root(),
            other => other,
        }
    }

    /// What the user calls it.
    pub fn name(&self) -> &str {
        match self.root() {
            Self::Trained(spec) => &spec.name,
            Self::Imported(imported) => &imported.name,
            Self::Derived(_) => "",
        }
    }

    /// What it names itself by; empty for a specification that nothing was made from yet.
    pub fn id(&self) -> &str {
        match self {
            Self::Trained(spec) => spec.record.as_ref().map_or("", |record| &record.id),
            Self::Imported(imported) => &imported.id,
            Self::Derived(derived) => &derived.id,
        }
    }

    /// The specification that its runs were trained by, where they were trained here.
    pub fn spec(&self) -> Option<&ZooSpec> {
        match self.root() {
            Self::Trained(spec) => Some(spec),
            _ => None,
        }
    }

    /// The law that runs started from, where no specification says it.
    pub(super) fn initialisation(&self) -> Option<Initialisation> {
        match self.root() {
            Self::Imported(imported) => imported.initialisation,
            _ => None,
        }
    }

    /// The architecture, where known.
    pub fn architecture(&self) -> Option<&Architecture> {
        match self {
            Self::Trained(spec) => Some(&spec.architecture),
            Self::Imported(imported) => imported.architecture.as_ref(),
            Self::Derived(derived) => derived.of.architecture(),
        }
    }

    /// The data, where known.
    pub fn data(&self) -> Option<&DataSpec> {
        match self {
            Self::Trained(spec) => Some(&spec.data),
            Self::Imported(imported) => imported.data.as_ref(),
            Self::Derived(derived) => derived.of.data(),
        }
    }

    /// The data, where known, tied to what was found when the networks were trained or scored on them.
    pub fn bound_data(&self) -> Option<DataSpec> {
        let spec = self.data()?;
        match self.spec().and_then(|spec| spec.record.as_ref()) {
            Some(record) => Some(DataSpec { record: Some(Box::new(record.data.clone())), ..spec.clone() }),
            None => Some(spec.clone()),
        }
    }

    /// When checkpoints were taken, `[K]`.
    pub fn times(&self) -> &[f64] {
        match self {
            Self::Trained(spec) => &spec.recipe.checkpoints,
            Self::Imported(imported) => &imported.times,
            Self::Derived(derived) => derived.of.times(),
        }
    }

    /// How it was made, in words.
    fn made(&self) -> &'static str {
        match self {
            Self::Trained(_) => "a trained one",
            Self::Imported(_) => "an imported one",
            Self::Derived(_) => "a derived one",
        }
    }

    /// The text of `zoo.toml`.
    pub(super) fn to_toml(&self) -> Result<String> {
        let file = match self {
            Self::Trained(spec) => return spec.to_toml(),
            Self::Imported(imported) => OtherFile { imported: Some((**imported).clone()), derived: None },
            Self::Derived(derived) => OtherFile { imported: None, derived: Some((**derived).clone()) },
        };
        toml::to_string(&file).map_err(|e| Error::parameter("zoo.toml", "values that TOML can hold", e))
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
            Self::Derived(derived) => derived.frame(dir),
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
    own.extend(["centre.safetensors".into(), "zoo.toml".into()]);
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

/// Names of everything in `dir`, sorted.
pub(super) fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let mut names: Vec<String> =
        entries.map_err(Error::io("read", dir))?.iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}
