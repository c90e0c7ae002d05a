//! Work that consists of independent pieces, numbered from 0: one process makes all of them, or the tasks of many processes share them out among
//! themselves and one process gathers what they made.
//!
//! The shards of a zoo are such pieces ([`mod@crate::zoo::gather`]), which are files of the result itself; so are the models of many fits, folders of
//! the result ([`apart()`]). Other work has pieces of plain numbers
//! ([`Pieces`]): the networks that a shift test trains, the logits of networks under judgement. Tasks keep them in a folder ([`PieceFolder`]) until
//! the work is ended by a process that finds them there and makes nothing itself.
//!
//! A piece depends on the work and on its number alone. So it may be made again, or twice at once on two machines, with the same bytes.
mod apart;
mod folder;
pub mod task;

pub use apart::{apart, remove_neighbours};
pub use folder::PieceFolder;
pub use task::Task;

use crate::error::{Error, Result};
use crate::progress::Progress;
use rayon::prelude::*;

/// Work whose pieces are numbers.
pub trait Pieces: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Makes piece `index` on the calling thread, or in parallel within.
    ///
    /// # Errors
    /// The work's own; [`Error::Interrupted`].
    fn make(&self, index: usize) -> Result<Vec<f32>>;
}

/// Makes all pieces here, in parallel, in order.
///
/// # Errors
/// As [`Pieces::make`].
pub fn here(work: &dyn Pieces) -> Result<Vec<Vec<f32>>> {
    (0..work.count()).into_par_iter().map(|index| work.make(index)).collect()
}

/// Pieces that stand in files.
pub trait Kept: Sync {
    /// How many there are to be.
    fn count(&self) -> usize;

    /// Whether a file stands for piece `index`, by its name alone.
    fn stands(&self, index: usize) -> bool;

    /// Reads the file of piece `index` and compares all that it says with what it has to say, its checksum too.
    ///
    /// # Errors
    /// What is wrong with it; [`Error::Interrupted`].
    fn check(&self, index: usize) -> Result<()>;

    /// Removes the file of piece `index`.
    ///
    /// # Errors
    /// Whatever the system refuses.
    fn remove(&self, index: usize) -> Result<()>;
}

/// What is there of work in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// Pieces of the whole work.
    pub pieces: usize,
    /// Numbers of those that are not there, rising.
    pub missing: Vec<usize>,
    /// Those that are there and are not what they should be, rising, with what is wrong with each.
    pub damaged: Vec<(usize, String)>,
}

impl Gathered {
    /// Whether every piece is there and sound.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.damaged.is_empty()
    }

    /// Numbers of the pieces that have to be made, again or at last; rising.
    pub fn to_make(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.missing.iter().copied().chain(self.damaged.iter().map(|(i, _)| *i)).collect();
        all.sort_unstable();
        all
    }
}

/// Checks every piece of `kept`; `what` they are is told to `progress`. With `discard`, damaged ones are removed, so that their tasks make them again.
///
/// # Errors
/// Whatever the system refuses; [`Error::Interrupted`].
pub fn gather(kept: &dyn Kept, what: &str, discard: bool, progress: &dyn Progress) -> Result<Gathered> {
    progress.begin(&format!("checking {what}"), kept.count() as u64);
    let look = |index: usize| {
        if progress.interrupted() {
            return Err(Error::Interrupted);
        }
        progress.advance(1);
        match kept.stands(index).then(|| kept.check(index)) {
            None => Ok(Found::Nothing),
            Some(Ok(())) => Ok(Found::Sound),
            Some(Err(Error::Interrupted)) => Err(Error::Interrupted),
            Some(Err(e)) => Ok(Found::Damaged(e.to_string())),
        }
    };
    let found: Vec<Found> = (0..kept.count()).into_par_iter().map(look).collect::<Result<_>>()?;
    let mut gathered = Gathered { pieces: kept.count(), missing: Vec::new(), damaged: Vec::new() };
    for (index, found) in found.into_iter().enumerate() {
        match found {
            Found::Sound => {}
            Found::Nothing => gathered.missing.push(index),
            Found::Damaged(what) => gathered.damaged.push((index, what)),
        }
    }
    if discard {
        gathered.damaged.iter().try_for_each(|(index, _)| kept.remove(*index))?;
    }
    Ok(gathered)
}

enum Found {
    Nothing,
    Sound,
    Damaged(String),
}

/// Which of `of` tasks have a piece of `kept` to make, by the names of the files alone.
///
/// # Errors
/// More tasks than pieces.
pub fn unfinished(kept: &dyn Kept, of: usize) -> Result<Vec<usize>> {
    let mut unfinished = Vec::new();
    for index in 0..of {
        if Task::new(index, of)?.pieces(kept.count())?.any(|piece| !kept.stands(piece)) {
            unfinished.push(index);
        }
    }
    Ok(unfinished)
}
