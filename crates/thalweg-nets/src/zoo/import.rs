//! [`import`]: foreign checkpoints of one shape made a zoo.
//!
//! What the source folder may hold is told in [`super::checkpoints`]. An [`ImportPlan`] is what was recognised there (runs, checkpoints in order with
//! their times, names and tensors), made without writing anything; [`ImportPlan::write`] makes the zoo. Every network is read whole before the first
//! file is written: its numbers name the zoo, so that whatever was begun with other numbers is not gone on with.
mod plan;

pub use plan::ImportPlan;

use super::folder::{self, Existing, Origin};
use super::shard::{Frame, Shard};
use super::store::ZooStore;
use crate::architecture::Architecture;
use crate::data::DataSpec;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::init::Initialisation;
use crate::layout::Layout;
use crate::progress::Progress;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is known of the checkpoints beside their numbers.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// What the user calls the zoo.
    pub name: String,
    /// The architecture; its layout is then required of every network, and kept. Else the first network gives the layout.
    pub architecture: Option<Architecture>,
    /// The data that the networks are for: with the architecture, every checkpoint is scored on its validation rows.
    pub data: Option<DataSpec>,
    /// The law that the runs started from; it is known for the tensors of an architecture only.
    pub initialisation: Option<Initialisation>,
    /// When checkpoints were taken, `[K]`, rising from 0 to 1 (or `[1.0]`); equally spaced where not given.
    pub times: Option<Vec<f64>>,
    /// Replace a zoo that is there already.
    pub force: bool,
}

/// What the `zoo.toml` of an imported zoo says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// What the user calls it.
    pub name: String,
    /// Names the zoo; every shard carries it.
    pub id: String,
    /// Version of Thalweg that imported it.
    pub version: String,
    /// The folder that it was imported from.
    pub source: PathBuf,
    /// R.
    pub runs: usize,
    /// Runs in one shard.
    pub shard: usize,
    /// When checkpoints were taken, `[K]`.
    pub times: Vec<f64>,
    /// Whether losses and accuracies are known.
    pub scored: bool,
    /// The law that the runs started from, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialisation: Option<Initialisation>,
    /// The data that the networks are for, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSpec>,
    /// The architecture, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// The tensors in order.
    pub tensors: Vec<Named>,
}

/// A tensor's name and shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name in the checkpoints.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl Imported {
    /// Checks what a hand could have spoilt in the `zoo.toml` at `path`.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        check_times(&self.times, self.times.len()).map_err(|_| {
            Error::format(path, "imported.times", "rising times from 0 to 1, or [1.0]", format!("{:?}", self.times))
        })?;
        let product = |shape: &[usize]| shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
        let sizes = self.tensors.iter().map(|t| product(&t.shape)).try_fold(0usize, |n, size| n.checked_add(size?));
        let Some(parameters) = sizes else {
            return Err(Error::format(path, "imported.tensors", "sizes below 2^64", "larger ones"));
        };
        for (field, value) in [("runs", self.runs), ("shard", self.shard), ("tensors", parameters)] {
            if value == 0 {
                return Err(Error::format(path, format!("imported.{field}"), "at least 1", 0));
            }
        }
        match &self.architecture {
            Some(architecture) if !same_tensors(&Layout::of(architecture), &self.layout()) => {
                Err(Error::format(path, "imported.tensors", "the tensors of its architecture", "others"))
            }
            _ => Ok(()),
        }
    }

    fn layout(&self) -> Layout {
        Layout::of_tensors(self.tensors.iter().map(|t| (t.name.clone(), t.shape.clone())))
    }

    pub(super) fn frame(&self) -> Frame {
        Frame {
            id: self.id.clone(),
            runs: self.runs,
            shard: self.shard,
            checkpoints: self.times.len(),
            // With an architecture tensors also have roles.
            layout: self.architecture.as_ref().map_or_else(|| self.layout(), Layout::of),
            scored: self.scored,
        }
    }
}

fn same_tensors(a: &Layout, b: &Layout) -> bool {
    let names = |l: &Layout| l.slots().iter().map(|s| (s.name.clone(), s.shape.clone())).collect::<Vec<_>>();
    names(a) == names(b)
}

/// Imports the checkpoints under `source` as a zoo in the folder `out` and opens it: [`ImportPlan::new`] and [`ImportPlan::write`].
///
/// # Errors
/// As those. `out` as for [`train_zoo`](super::train_zoo).
pub fn import(source: &Path, out: &Path, options: &ImportOptions, progress: &dyn Progress) -> Result<ZooStore> {
    ImportPlan::new(source, options)?.write(out, options.force, progress)
}

/// Runs in one shard.
const SHARD: usize = 64;

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
        let imported = self.imported(&sums)?;
        let frame = imported.frame();
        let claim = folder::claim(out, &Origin::Imported(Box::new(imported)), existing)?;
        progress.begin("importing runs", frame.runs as u64);
        for index in 0..frame.shards() {
            let shard = self.shard(frame.runs_of(index), &sums, progress)?;
            frame.write(claim.work(), index, &shard)?;
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

    fn shard(&self, runs: std::ops::Range<usize>, sums: &[blake3::Hash], progress: &dyn Progress) -> Result<Shard> {
        let (mut shard, k) = (Shard::default(), self.checkpoints());
        for run in runs {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            for at in run * k..(run + 1) * k {
                let theta = self.theta(at)?;
                if sum_of(&theta) != sums[at] {
                    let path = self.network(at).place();
                    return Err(Error::format(
                        path,
                        "numbers",
                        "those read just before",
                        "others: it is being written to",
                    ));
                }
                shard.theta.extend(theta);
            }
            shard.died.push(None);
            progress.advance(1);
        }
        if let Some(judge) = &self.judge {
            for score in evaluate(&judge.engine, &shard.theta, &judge.inputs, &judge.labels)? {
                // A foreign network may overflow on these rows; its loss is then the largest there is.
                shard.loss.push((score.loss as f32).min(f32::MAX));
                shard.accuracy.push(score.accuracy as f32);
            }
        }
        Ok(shard)
    }

    /// What `zoo.toml` will say. The id is a hash of all that decides the zoo, its numbers included, but not of where they lay.
    fn imported(&self, sums: &[blake3::Hash]) -> Result<Imported> {
        let tensors =
            self.layout.slots().iter().map(|s| Named { name: s.name.clone(), shape: s.shape.clone() }).collect();
        let bare = Imported {
            name: String::new(),
            id: String::new(),
            version: String::new(),
            source: PathBuf::new(),
            runs: self.runs(),
            shard: SHARD,
            times: self.times.clone(),
            scored: self.judge.is_some(),
            initialisation: self.options.initialisation,
            data: self.data.clone().map(|data| DataSpec { folder: None, ..data }),
            architecture: self.options.architecture.clone(),
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
    let mut hasher = blake3::Hasher::new();
    for piece in theta.chunks(1 << 14) {
        hasher.update(&piece.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    }
    hasher.finalize()
}

fn check_times(times: &[f64], k: usize) -> Result<()> {
    let rising = times.windows(2).all(|w| w[0] < w[1]);
    let whole = times == [1.0] || (times.first() == Some(&0.0) && times.last() == Some(&1.0));
    if rising && whole && times.len() == k {
        return Ok(());
    }
    let expected = format!("{k} rising times from 0 to 1 (for one checkpoint [1.0])");
    Err(Error::parameter("times", expected, format!("{times:?}")))
}
