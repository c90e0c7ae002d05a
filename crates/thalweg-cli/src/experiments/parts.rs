//! What experiments are made from, as parts that many processes can make: stage by stage, since models need their zoos.
use crate::session::Session;
use crate::work::model;
use anyhow::Result;
use clap::ValueEnum;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use thalweg_nets::Error;
use thalweg_nets::pieces::{self, Kept, Task, remove_neighbours};
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::gather;

/// What can be made at once: the parts of a stage need those of the stages before it, and none of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Networks that runs of zoos start around
    Starts,
    /// Shards of zoos
    Zoos,
    /// Zoos derived from these
    Derived,
    /// Models fitted to them
    Fits,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Starts, Self::Zoos, Self::Derived, Self::Fits];
}

impl fmt::Display for Stage {
    /// Its name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Starts => "starts",
            Stage::Zoos => "zoos",
            Stage::Derived => "derived",
            Stage::Fits => "fits",
        })
    }
}

/// Something that an experiment is made from. It may be made twice at once, on two machines.
pub struct Part<'a> {
    place: Place<'a>,
    make: Box<dyn Fn() -> Result<()> + Sync + 'a>,
}

/// Where a part lies, by which it is known to be there.
enum Place<'a> {
    File(PathBuf),
    Model(PathBuf),
    /// A shard of the zoo in a folder.
    Shard(PathBuf, usize),
    /// A whole zoo, which a name tells from others; its folder follows from zoos that have to be there.
    Zoo(String, Box<dyn Fn() -> Option<PathBuf> + Sync + 'a>),
}

impl<'a> Part<'a> {
    /// A file.
    pub fn file(path: PathBuf, make: impl Fn() -> Result<()> + Sync + 'a) -> Self {
        Self { place: Place::File(path), make: Box::new(make) }
    }

    /// A model in a folder.
    pub fn model(dir: PathBuf, make: impl Fn() -> Result<()> + Sync + 'a) -> Self {
        Self { place: Place::Model(dir), make: Box::new(make) }
    }

    /// A shard of the zoo in `dir`.
    pub fn shard(dir: PathBuf, index: usize, make: impl Fn() -> Result<()> + Sync + 'a) -> Self {
        Self { place: Place::Shard(dir, index), make: Box::new(make) }
    }

    /// The whole zoo called `name`, in the folder that `dir` says once it can be known.
    pub fn zoo(
        name: String,
        dir: impl Fn() -> Option<PathBuf> + Sync + 'a,
        make: impl Fn() -> Result<()> + Sync + 'a,
    ) -> Self {
        Self { place: Place::Zoo(name, Box::new(dir)), make: Box::new(make) }
    }

    fn stands(&self) -> bool {
        match &self.place {
            Place::File(path) => path.exists(),
            Place::Model(dir) => model::is_in(dir),
            Place::Shard(dir, index) => gather::stands(dir, *index),
            Place::Zoo(_, dir) => dir().is_some_and(|dir| whole(&dir)),
        }
    }

    /// What tells it from the other parts of a stage.
    fn name(&self) -> String {
        match &self.place {
            Place::File(path) | Place::Model(path) => path.display().to_string(),
            Place::Shard(dir, index) => format!("{} {index}", dir.display()),
            Place::Zoo(name, _) => name.clone(),
        }
    }

    /// The folder of the zoo that it belongs to.
    fn zoo_dir(&self) -> Option<PathBuf> {
        match &self.place {
            Place::File(_) | Place::Model(_) => None,
            Place::Shard(dir, _) => Some(dir.clone()),
            Place::Zoo(_, dir) => dir(),
        }
    }
}

/// Whether all shards of a zoo stand in `dir`.
pub fn whole(dir: &Path) -> bool {
    gather::unfinished(dir, 1).is_ok_and(|tasks| tasks.is_empty())
}

/// The parts of one stage, each once.
pub struct Parts<'a>(Vec<Part<'a>>);

impl<'a> Parts<'a> {
    /// Of those that experiments say, in their order; what two of them share is one part.
    pub fn new(parts: Vec<Part<'a>>) -> Self {
        let mut seen = BTreeSet::new();
        Self(parts.into_iter().filter(|part| seen.insert(part.name())).collect())
    }

    /// Which of `of` tasks have a part to make.
    ///
    /// # Errors
    /// More tasks than parts.
    pub fn unfinished(&self, of: usize) -> Result<Vec<usize>> {
        Ok(pieces::unfinished(self, of)?)
    }

    /// Makes those parts of `task` that are not there.
    ///
    /// # Errors
    /// More tasks than parts; as the parts' own; an interruption.
    pub fn make(&self, task: Task, session: &Session) -> Result<()> {
        for part in &self.0[task.pieces(self.0.len())?] {
            if session.progress.interrupted() {
                return Err(Error::Interrupted.into());
            }
            if !part.stands() {
                (part.make)()?;
                session.progress.end();
            }
        }
        Ok(())
    }

    /// Checks what tasks have made, and removes what killed ones have left beside it.
    ///
    /// # Errors
    /// A zoo with a shard that is not there or damaged; whatever the system refuses; an interruption.
    pub fn gathered(&self, session: &Session) -> Result<()> {
        let dirs: BTreeSet<PathBuf> = self.0.iter().filter_map(Part::zoo_dir).collect();
        for dir in dirs {
            let found = gather(&dir, false, &session.progress)?;
            session.progress.end();
            if let Some((_, wrong)) = found.damaged.first() {
                anyhow::bail!("{wrong}; `thalweg gather {} --discard` removes what is damaged", dir.display());
            }
        }
        let models = self.0.iter().filter_map(|part| match &part.place {
            Place::Model(dir) => dir.parent(),
            _ => None,
        });
        for dir in models.collect::<BTreeSet<_>>() {
            remove_neighbours(dir, |name| dir.join(name).is_dir())?;
        }
        Ok(())
    }
}

impl Kept for Parts<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn stands(&self, index: usize) -> bool {
        self.0[index].stands()
    }

    /// What is made from the part reads all of it.
    fn check(&self, _: usize) -> thalweg_nets::Result<()> {
        Ok(())
    }

    fn remove(&self, index: usize) -> thalweg_nets::Result<()> {
        Err(Error::parameter("part", "one that can be removed alone", self.0[index].name()))
    }
}
