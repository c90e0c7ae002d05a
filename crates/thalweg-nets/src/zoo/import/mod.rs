//! [`import`]: foreign checkpoints of one shape made a zoo.
//!
//! A zoo also keeps what the file of one network looks like ([`super::template`]), so that networks are written as those that came in were.
//! Tensors that are one parameter (tied weights: one storage, or matrices with the same bytes in every network) are one tensor of θ, and stay equal to
//! the last bit in everything that is drawn, under all of their names. Only a part of the tensors may be modelled
//! ([`ImportOptions::tensors`], [`ImportOptions::except`]): the others are frozen as they stand in one base checkpoint, kept once in the zoo, and written
//! with every network in their own type.
//!
//! What the source folder may hold is told in [`super::checkpoints`]. An [`ImportPlan`] is what was recognised there (runs, checkpoints in order with
//! their times, names and tensors), made without writing anything; [`ImportPlan::write`] makes the zoo. Every network is read whole before the first
//! file is written: its numbers name the zoo, so that whatever was begun with other numbers is not gone on with.
mod beside;
mod canonical;
mod notes;
mod options;
mod parts;
mod plan;
mod select;
mod survey;

pub use options::ImportOptions;
pub use plan::ImportPlan;

use super::folder::{self, Existing};
use super::origin::{Imported, Named, Origin};
use super::shard::{self, Frame, Shard};
use super::store::ZooStore;
use super::template;
use crate::data::DataSpec;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::files::write_whole;
use crate::layout::{Role, Slot};
use crate::progress::Progress;
use crate::sealed::put_bytes;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Imports the checkpoints under `source` as a zoo in the folder `out` and opens it: [`ImportPlan::new`] and [`ImportPlan::write`].
///
/// # Errors
/// As those. `out` as for [`train_zoo`](super::train_zoo).
pub fn import(source: &Path, out: &Path, options: &ImportOptions, progress: &dyn Progress) -> Result<ZooStore> {
    ImportPlan::watched(source, options, progress)?.write(out, options.force, progress)
}

/// Runs in one shard, at most.
const SHARD: usize = 64;

/// Bytes of one shard, at most, where it has more than one run. No more than some networks of it are ever in memory.
const SHARD_BYTES: usize = 1 << 30;

/// Runs in one shard of runs of `weights` numbers with all their checkpoints.
fn runs_in_shard(weights: usize) -> usize {
    (SHARD_BYTES / weights.saturating_mul(4).max(1)).clamp(1, SHARD)
}

impl ImportPlan {
    /// Makes the zoo in the folder `out`, in the place of one that is there already under `force`, and opens it.
    ///
    /// # Errors
    /// A number that is not finite, with file and tensor; a file that changed since; `out` as for [`train_zoo`](super::train_zoo);
    /// [`Error::Interrupted`].
    pub fn write(&self, out: &Path, force: bool, progress: &dyn Progress) -> Result<ZooStore> {
        let existing = Existing::of(false, force)?;
        if !force && out.is_dir() && !folder::names(out)?.iter().all(|name| name.starts_with('.')) {
            return Err(Error::Exists(out.to_path_buf()));
        }
        let sums = self.sums(progress)?;
        let template = self.template.to_bytes()?;
        let imported = self.imported(&sums, &template)?;
        let frame = imported.frame();
        let claim = folder::claim(out, &Origin::Imported(Box::new(imported)), existing)?;
        write_whole(&claim.work().join(template::FILE), &template)?;
        progress.begin("importing runs", frame.runs as u64);
        for index in 0..frame.shards() {
            self.write_shard(&frame, claim.work(), index, &sums, progress)?;
        }
        claim.finish()?;
        ZooStore::open(out)
    }

    /// BLAKE3 of every network's numbers, in order. Each is read whole, so that a wrong number is found before anything is written.
    fn sums(&self, progress: &dyn Progress) -> Result<Vec<blake3::Hash>> {
        progress.begin("reading networks", (self.runs() * self.checkpoints()) as u64);
        let sum = |at: usize| {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            let sum = sum_of(&self.theta(at)?);
            progress.advance(1);
            Ok(sum)
        };
        (0..self.runs() * self.checkpoints()).into_par_iter().with_max_len(1).map(sum).collect()
    }

    /// Writes shard `index` network by network; where they are scored, run by run.
    fn write_shard(
        &self,
        frame: &Frame,
        dir: &Path,
        index: usize,
        sums: &[blake3::Hash],
        progress: &dyn Progress,
    ) -> Result<()> {
        let (runs, k) = (frame.runs_of(index), self.checkpoints());
        let mut file = frame.begin(&shard::path(dir, index), &runs.clone().collect::<Vec<_>>())?;
        let (mut rest, mut of_run) = (Shard::default(), Vec::new());
        for run in runs.clone() {
            for at in run * k..(run + 1) * k {
                if progress.interrupted() {
                    return Err(Error::Interrupted);
                }
                let theta = self.theta(at)?;
                if sum_of(&theta) != sums[at] {
                    let found = "others: it is being written to";
                    return Err(Error::format(self.network(at).place(), "numbers", "those read just before", found));
                }
                file.networks(at - runs.start * k, &theta)?;
                if self.judge.is_some() {
                    of_run.extend(theta);
                }
            }
            if let Some(judge) = &self.judge {
                for score in evaluate(&judge.engine, &self.whole(&of_run)?, &judge.inputs, &judge.labels)? {
                    // A foreign network may overflow on these rows; its loss is then the largest there is.
                    rest.loss.push((score.loss as f32).min(f32::MAX));
                    rest.accuracy.push(score.accuracy as f32);
                }
                of_run.clear();
            }
            rest.diverged_at.push(None);
            progress.advance(1);
        }
        file.finish(&rest)
    }

    /// What `zoo.toml` will say. The id is a hash of all that decides the zoo, its numbers included, but not of where they lay.
    fn imported(&self, sums: &[blake3::Hash], template: &[u8]) -> Result<Imported> {
        let own = |slot: &Slot| match &self.options.architecture {
            None if slot.role != Role::Unknown => Some(slot.role),
            _ => None,
        };
        let named = |slot: &Slot| Named { name: slot.name.clone(), shape: slot.shape.clone(), role: own(slot) };
        let tensors = self.layout.slots().iter().map(named).collect();
        let bare = Imported {
            name: String::new(),
            id: String::new(),
            version: String::new(),
            source: PathBuf::new(),
            runs: self.runs(),
            shard: runs_in_shard(self.layout.len().saturating_mul(self.checkpoints())),
            times: self.times.clone(),
            scored: self.judge.is_some(),
            initialisation: self.options.initialisation,
            data: self.data.clone().map(|data| DataSpec { folder: None, ..data }),
            architecture: self.options.architecture.clone(),
            template: Some(blake3::hash(template).to_hex().to_string()),
            tensors,
        };
        let text = toml::to_string(&bare).map_err(|e| Error::parameter("zoo.toml", "values that TOML can hold", e))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(text.as_bytes());
        sums.iter().for_each(|sum| {
            hasher.update(sum.as_bytes());
        });
        Ok(Imported {
            name: self.options.name.clone(),
            id: hasher.finalize().to_hex()[..16].to_owned(),
            version: env!("CARGO_PKG_VERSION").into(),
            source: crate::files::rooted(&self.source),
            data: self.data.clone(),
            ..bare
        })
    }
}

fn sum_of(theta: &[f32]) -> blake3::Hash {
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), vec![0; 4 << 14]);
    for piece in theta.chunks(1 << 14) {
        let bytes = &mut bytes[..4 * piece.len()];
        put_bytes(piece, bytes);
        hasher.update(bytes);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_so_many_runs_that_their_bytes_stay_few() {
        assert_eq!([1, 1_000_000, 4_194_304].map(runs_in_shard), [64; 3]);
        assert_eq!([11_191_242, 50_000_000, 1 << 28, usize::MAX].map(runs_in_shard), [23, 5, 1, 1]);
    }
}
