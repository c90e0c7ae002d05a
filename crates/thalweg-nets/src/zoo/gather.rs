//! [`gather`]: what the tasks of a zoo have made, checked and counted; a zoo that is whole is rid of what tasks left beside its shards.
use super::folder;
use super::origin::{Origin, toml_of};
use super::partial;
use super::shard::{self, Frame};
use crate::error::{Error, Result};
use crate::files::remove_parts;
use crate::pieces::{self, Gathered, Kept};
use crate::progress::Progress;
use std::fs::File;
use std::path::Path;

/// The shards of a zoo as pieces of its making.
struct Shards<'a> {
    dir: &'a Path,
    frame: Frame,
}

impl Kept for Shards<'_> {
    fn count(&self) -> usize {
        self.frame.shards()
    }

    fn stands(&self, index: usize) -> bool {
        stands(self.dir, index)
    }

    fn check(&self, index: usize) -> Result<()> {
        self.frame.open(self.dir, index).map(|_| ())
    }

    fn remove(&self, index: usize) -> Result<()> {
        let path = shard::path(self.dir, index);
        std::fs::remove_file(&path).map_err(Error::io("remove", path))
    }
}

/// Reads every shard of the zoo in `dir` and checks all that it says: its zoo, its runs, its numbers, its checksum. Where all are there and sound,
/// what killed tasks left in the folder is removed. With `discard`, damaged shards are removed, so that their tasks make them again.
///
/// # Errors
/// A folder that is no zoo, or holds a shard beyond its last; a process that is at work on it; whatever the system refuses;
/// [`Error::Interrupted`].
pub fn gather(dir: &Path, discard: bool, progress: &dyn Progress) -> Result<Gathered> {
    let frame = Origin::read(dir)?.frame(dir)?;
    let path = toml_of(dir);
    let _held = {
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        crate::files::lock(&file, dir)?;
        file
    };
    folder::no_shard_beyond(dir, &frame)?;
    let shards = Shards { dir, frame };
    let gathered = pieces::gather(&shards, "shards", discard, progress)?;
    if gathered.is_whole() {
        (0..shards.count()).try_for_each(|index| partial::remove(dir, index))?;
        remove_parts(dir, |name| shard::is_own(name) || name == "centre.safetensors" || name == "zoo.toml")?;
    }
    Ok(gathered)
}

/// Whether shard `index` of the zoo in `dir` is there, by its name alone.
pub fn stands(dir: &Path, index: usize) -> bool {
    shard::path(dir, index).exists()
}

/// Which of `of` tasks have a shard to make in `dir`, by the names of the files alone; all of them where no zoo was begun there.
///
/// # Errors
/// A description of a zoo that cannot be read; more tasks than shards.
pub fn unfinished(dir: &Path, of: usize) -> Result<Vec<usize>> {
    if !toml_of(dir).exists() {
        return Ok((0..of).collect());
    }
    pieces::unfinished(&Shards { dir, frame: Origin::read(dir)?.frame(dir)? }, of)
}
