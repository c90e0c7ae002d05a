//! [`Partial`]: the runs of a shard that are done while others are not, kept on disk so that an interruption or a kill costs one run or ten seconds
//! of them, whichever is more, and not a shard. The shard itself is written when all are there, with the bytes that it would have had anyway.
use super::shard::{self, Frame, Shard};
use crate::checksum;
use crate::error::{Error, Result};
use crate::train::Trajectory;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two savings; longer where a saving takes more than a twentieth of it.
const EVERY: Duration = Duration::from_secs(10);

/// The runs of one shard that are done.
pub(super) struct Partial<'a> {
    frame: &'a Frame,
    path: PathBuf,
    done: Mutex<Done>,
}

struct Done {
    runs: BTreeMap<usize, Trajectory>,
    saved: usize,
    next: Instant,
}

impl<'a> Partial<'a> {
    /// Those that an earlier process left.
    ///
    /// # Errors
    /// A file that is damaged or of another zoo: it says itself that it may be removed.
    pub(super) fn open(frame: &'a Frame, dir: &Path, index: usize) -> Result<Self> {
        let path = shard::partial_path(dir, index);
        let runs = if path.exists() { read(frame, &path, index)? } else { BTreeMap::new() };
        let done = Mutex::new(Done { saved: runs.len(), runs, next: Instant::now() + EVERY });
        Ok(Self { frame, path, done })
    }

    /// Runs done.
    pub(super) fn len(&self) -> usize {
        self.lock().runs.len()
    }

    /// Whether `run` is done.
    pub(super) fn holds(&self, run: usize) -> bool {
        self.lock().runs.contains_key(&run)
    }

    /// Takes a run that is done, and saves if it is time.
    pub(super) fn push(&self, run: usize, trajectory: Trajectory) -> Result<()> {
        let mut done = self.lock();
        done.runs.insert(run, trajectory);
        if Instant::now() < done.next {
            return Ok(());
        }
        let begun = Instant::now();
        self.save_all(&mut done)?;
        done.next = Instant::now() + EVERY.max(20 * begun.elapsed());
        Ok(())
    }

    /// Saves what is not saved yet.
    pub(super) fn save(&self) -> Result<()> {
        self.save_all(&mut self.lock())
    }

    fn save_all(&self, done: &mut Done) -> Result<()> {
        if done.saved == done.runs.len() {
            return Ok(());
        }
        let mut all = Shard::default();
        done.runs.values().for_each(|trajectory| all.push(trajectory));
        self.frame.write_runs(&self.path, &done.runs.keys().copied().collect::<Vec<_>>(), &all)?;
        done.saved = done.runs.len();
        Ok(())
    }

    /// All runs in order, when the shard is complete.
    pub(super) fn finish(self) -> Vec<(usize, Trajectory)> {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner).runs.into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Done> {
        // A panic elsewhere cannot leave a run half-entered.
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many runs of shard `index` the partial file holds, by its list alone: it is asked after an interruption, when nothing long may be done.
pub(super) fn count(frame: &Frame, dir: &Path, index: usize) -> Result<usize> {
    let path = shard::partial_path(dir, index);
    match path.exists() {
        true => Ok(shard::runs_in(&path, frame.runs_of(index).len())?.len()),
        false => Ok(0),
    }
}

/// Removes the partial file of shard `index`, once the shard is there.
pub(super) fn remove(dir: &Path, index: usize) -> Result<()> {
    let path = shard::partial_path(dir, index);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// The runs of the partial file `path` of shard `index`, checked as a shard is.
fn read(frame: &Frame, path: &Path, index: usize) -> Result<BTreeMap<usize, Trajectory>> {
    let (k, p, expected) = (frame.checkpoints, frame.layout.len(), frame.runs_of(index));
    let runs = shard::runs_in(path, expected.len())?;
    let rising = runs.windows(2).all(|pair| pair[0] < pair[1]);
    if !rising || runs.iter().any(|run| !expected.contains(run)) {
        return Err(Error::format(path, "tensor run", format!("some of {expected:?}, rising"), format!("{runs:?}")));
    }
    let (header, opened) = frame.open_runs(path, &runs)?;
    frame.check_theta(path, opened.theta, &runs)?;
    checksum::check_file(path, header.start())?;
    let mut theta = vec![0.0; runs.len() * k * p];
    let mut file = fs::File::open(path).map_err(Error::io("read", path))?;
    shard::read_floats(&mut file, path, opened.theta, &mut theta, &mut Vec::new())?;
    let each = theta.chunks_exact(k * p).zip(opened.loss.chunks_exact(k)).zip(opened.accuracy.chunks_exact(k));
    let each = each.zip(opened.diverged_at).map(|(((theta, loss), accuracy), diverged_at)| Trajectory {
        theta: theta.to_vec(),
        loss: loss.to_vec(),
        accuracy: accuracy.to_vec(),
        diverged_at,
    });
    Ok(runs.into_iter().zip(each).collect())
}
