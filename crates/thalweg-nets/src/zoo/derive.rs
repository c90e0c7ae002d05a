//! [`derive()`]: a zoo whose runs are another zoo's, moved within weight space by something that keeps what each network computes (M3).
//!
//! Losses and accuracies, failed runs, the law of starts and its centre are the source's own and are taken over; `zoo.toml` says what was derived
//! from what, and holds the source's own description. A run that moves changes its start as well: fresh starts from the law are
//! then alike in law only where the law is symmetric under the move (Kaiming's laws are, under permutations of hidden units).
use super::folder::{self, Claim, Existing};
use super::origin::{Derived, Origin};
use super::shard::{self, Frame, Shard};
use super::store::ZooStore;
use super::template;
use crate::error::{Error, Result};
use crate::memory;
use crate::pieces::Task;
use crate::progress::Progress;
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;

/// How a derived zoo is made; nothing here changes its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeriveOptions {
    /// Go on with the same zoo where it is there already.
    pub resume: bool,
    /// Replace a zoo that is there already.
    pub force: bool,
}

/// Makes `out` the zoo of all trajectories `[K, P]` of `source` after `step(run, trajectory)`, in parallel over the runs of a shard, and opens
/// it. `how` says what the step does, down to every choice: zoos of one source and one `how` are the same zoo.
///
/// # Errors
/// The step's own; numbers that are not finite; `out` as for [`train_zoo`](super::train_zoo); [`Error::Interrupted`].
pub fn derive(
    source: &ZooStore,
    out: &Path,
    how: &str,
    options: DeriveOptions,
    step: &Step<'_>,
    progress: &dyn Progress,
) -> Result<ZooStore> {
    let existing = Existing::of(options.resume, options.force)?;
    made(source, how, step, None, progress, &|origin| folder::claim(out, origin, existing))?;
    ZooStore::open(out)
}

/// As [`derive()`], the shards of one `task` alone, into a folder that other processes fill with theirs at the same time: as
/// [`train_task`](super::train_task) does. Gives the task's runs back.
///
/// # Errors
/// As [`derive()`]; more tasks than shards.
pub fn derive_task(
    source: &ZooStore,
    out: &Path,
    how: &str,
    task: Task,
    step: &Step<'_>,
    progress: &dyn Progress,
) -> Result<Range<usize>> {
    made(source, how, step, Some(task), progress, &|origin| folder::join(out, origin))
}

/// What moves the trajectory `[K, P]` of a run.
pub type Step<'a> = dyn Fn(usize, &mut [f32]) -> Result<()> + Sync + 'a;

fn made(
    source: &ZooStore,
    how: &str,
    step: &Step<'_>,
    task: Option<Task>,
    progress: &dyn Progress,
    claim: &dyn Fn(&Origin) -> Result<Claim>,
) -> Result<Range<usize>> {
    let of = source.origin().clone();
    let id = blake3::hash(format!("{}\n{how}", of.id()).as_bytes()).to_hex()[..16].to_owned();
    let version = env!("CARGO_PKG_VERSION").into();
    let derived = Derived { id, version, how: how.into(), of };
    let origin = Origin::Derived(Box::new(derived));
    let claim = claim(&origin)?;
    let frame = Frame { shared: task.is_some(), ..origin.frame(claim.work())? };
    let shards = task.map_or(Ok(0..frame.shards()), |task| task.shards(frame.shards()))?;
    let all = frame.runs_in(&shards);
    if let Some(centre) = source.centre()? {
        frame.place(&folder::centre_of(claim.work()), &source.layout().to_sealed(&centre)?)?;
    }
    if let Some(template) = source.template()? {
        frame.place(&claim.work().join(template::FILE), &template.to_bytes()?)?;
    }
    progress.begin("deriving runs", all.len() as u64);
    let k = frame.checkpoints;
    for index in frame.missing(claim.work(), shards, progress)? {
        let runs = frame.runs_of(index);
        let mut file = frame.begin(&shard::path(claim.work(), index), &runs.clone().collect::<Vec<_>>())?;
        // As many trajectories at once as memory and threads want: their bytes do not depend on it.
        let most = memory::rows((8 * k * frame.layout.len()) as u64, frame.shard);
        for first in runs.clone().step_by(most) {
            let some = first..(first + most).min(runs.end);
            let moved = some.into_par_iter().with_max_len(1).map(|run| {
                if progress.interrupted() {
                    return Err(Error::Interrupted);
                }
                let mut trajectory = source.trajectory(run)?;
                step(run, &mut trajectory)?;
                progress.advance(1);
                Ok(trajectory)
            });
            for (i, trajectory) in moved.collect::<Result<Vec<_>>>()?.iter().enumerate() {
                file.networks((first - runs.start + i) * k, trajectory)?;
            }
        }
        let scores = |all: &[f32]| if frame.scored { all[runs.start * k..runs.end * k].to_vec() } else { vec![] };
        let rest = Shard {
            theta: Vec::new(),
            loss: scores(source.losses()),
            accuracy: scores(source.accuracies()),
            diverged_at: source.diverged_at()[runs.clone()].to_vec(),
        };
        file.finish(&rest)?;
    }
    claim.finish().map(|()| all)
}
