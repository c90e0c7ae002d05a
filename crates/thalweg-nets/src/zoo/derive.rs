//! [`derive`]: a zoo whose runs are another zoo's, moved within weight space by something that keeps what each network computes (M3).
//!
//! Losses and accuracies, failed runs, the law of starts and its centre are the source's own and are taken over; `zoo.toml` says what was derived
//! from what, and holds the source's own description. A run that moves changes its start as well: fresh starts from the law are
//! then alike in law only where the law is symmetric under the move (Kaiming's laws are, under permutations of hidden units).
use super::folder::{self, Existing};
use super::origin::{Derived, Origin};
use super::shard::Shard;
use super::store::ZooStore;
use super::template;
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::progress::Progress;
use rayon::prelude::*;
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
    step: &(dyn Fn(usize, &mut [f32]) -> Result<()> + Sync),
    progress: &dyn Progress,
) -> Result<ZooStore> {
    let of = source.origin().clone();
    let id = blake3::hash(format!("{}\n{how}", of.id()).as_bytes()).to_hex()[..16].to_owned();
    let version = env!("CARGO_PKG_VERSION").into();
    let derived = Derived { id, version, how: how.into(), of };
    let origin = Origin::Derived(Box::new(derived));
    let frame = origin.frame(out)?;
    let claim = folder::claim(out, &origin, Existing::of(options.resume, options.force)?)?;
    if let Some(centre) = source.centre()? {
        write_whole(&folder::centre_of(claim.work()), &source.layout().to_sealed(&centre)?)?;
    }
    if let Some(template) = source.template()? {
        write_whole(&claim.work().join(template::FILE), &template.to_bytes()?)?;
    }
    progress.begin("deriving runs", frame.runs as u64);
    let k = frame.checkpoints;
    for index in frame.missing(claim.work(), progress)? {
        let runs = frame.runs_of(index);
        let moved: Vec<Vec<f32>> = runs
            .clone()
            .into_par_iter()
            .with_max_len(1)
            .map(|run| {
                if progress.interrupted() {
                    return Err(Error::Interrupted);
                }
                let mut trajectory = source.trajectory(run)?;
                step(run, &mut trajectory)?;
                progress.advance(1);
                Ok(trajectory)
            })
            .collect::<Result<_>>()?;
        let scores = |all: &[f32]| if frame.scored { all[runs.start * k..runs.end * k].to_vec() } else { vec![] };
        let shard = Shard {
            theta: moved.concat(),
            loss: scores(source.losses()),
            accuracy: scores(source.accuracies()),
            diverged_at: source.diverged_at()[runs.clone()].to_vec(),
        };
        frame.write(claim.work(), index, &shard)?;
    }
    claim.finish()?;
    ZooStore::open(out)
}
