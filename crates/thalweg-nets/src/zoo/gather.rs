//! [`gather`]: what the tasks of a zoo have made, checked and counted; a zoo that is whole is rid of what tasks left beside its shards.
use super::folder;
use super::origin::{Origin, toml_of};
use super::partial;
use super::shard;
use super::task::Task;
use crate::error::{Error, Result};
use crate::files::remove_parts;
use crate::progress::Progress;
use rayon::prelude::*;
use std::fs::File;
use std::path::Path;

/// What is there of a zoo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// Shards of the whole zoo.
    pub shards: usize,
    /// Numbers of those that are not there, rising.
    pub missing: Vec<usize>,
    /// Those that are there and are not what they should be, rising, with what is wrong with each.
    pub damaged: Vec<(usize, String)>,
}

impl Gathered {
    /// Whether every shard is there and sound.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.damaged.is_empty()
    }

    /// Numbers of the shards that have to be made, again or at last; rising.
    pub fn to_make(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.missing.iter().copied().chain(self.damaged.iter().map(|(i, _)| *i)).collect();
        all.sort_unstable();
        all
    }
}

/// Reads every shard of the zoo in `dir` and checks all that it says: its zoo, its runs, its numbers, its checksum. Where all are there and sound,
/// what killed tasks left in the folder is removed. With `discard`, damaged shards are removed, so that their tasks make them again.
///
/// # Errors
/// A folder that is no zoo, or holds a shard beyond its last; a process that is at work on it; whatever the system refuses;
/// [`Error::Interrupted`].
pub fn gather(dir: &Path, discard: bool, progress: &dyn Progress) -> Result<Gathered> {
    let origin = Origin::read(dir)?;
    let frame = origin.frame(dir)?;
    let path = toml_of(dir);
    let _held = {
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        crate::files::lock(&file, dir)?;
        file
    };
    folder::no_shard_beyond(dir, &frame)?;
    progress.begin("checking shards", frame.shards() as u64);
    let found: Vec<Found> = (0..frame.shards())
        .into_par_iter()
        .map(|index| {
            progress.advance(1);
            match shard::path(dir, index).exists() {
                false => Ok(Found::Nothing),
                true => match frame.open(dir, index) {
                    Ok(_) => Ok(Found::Sound),
                    Err(Error::Interrupted) => Err(Error::Interrupted),
                    Err(e) => Ok(Found::Damaged(e.to_string())),
                },
            }
        })
        .collect::<Result<_>>()?;
    let mut gathered = Gathered { shards: frame.shards(), missing: Vec::new(), damaged: Vec::new() };
    for (index, found) in found.into_iter().enumerate() {
        match found {
            Found::Sound => {}
            Found::Nothing => gathered.missing.push(index),
            Found::Damaged(what) => gathered.damaged.push((index, what)),
        }
    }
    if discard {
        for (index, _) in &gathered.damaged {
            let path = shard::path(dir, *index);
            std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    if gathered.is_whole() {
        (0..frame.shards()).try_for_each(|index| partial::remove(dir, index))?;
        remove_parts(dir, |name| shard::is_own(name) || name == "centre.safetensors" || name == "zoo.toml")?;
    }
    Ok(gathered)
}

/// Which of `of` tasks have a shard to make in `dir`, by the names of the files alone; all of them where no zoo was begun there.
///
/// # Errors
/// A description of a zoo that cannot be read; more tasks than shards.
pub fn unfinished(dir: &Path, of: usize) -> Result<Vec<usize>> {
    if !toml_of(dir).exists() {
        return Ok((0..of).collect());
    }
    let frame = Origin::read(dir)?.frame(dir)?;
    let mut unfinished = Vec::new();
    for index in 0..of {
        if Task::new(index, of)?.shards(frame.shards())?.any(|shard| !shard::path(dir, shard).exists()) {
            unfinished.push(index);
        }
    }
    Ok(unfinished)
}

enum Found {
    Nothing,
    Sound,
    Damaged(String),
}
