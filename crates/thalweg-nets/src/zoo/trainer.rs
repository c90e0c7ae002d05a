//! [`train_zoo`]: all runs of a specification, shard after shard into a folder; [`train_task`]: those of one task, for many machines.
//!
//! Runs of a shard are trained in parallel, each on one thread and a pure function of (spec, run index), so the bytes do not
//! depend on the number of threads. A finished shard appears whole or not at all; of the shard in progress the finished runs are kept beside it
//! (see `partial`), so that a killed job loses no more than one run or ten seconds, and the same job
//! with `resume` ends with the same bytes as if nothing had happened. (A tail
//! is one run: its steps are taken again from the first on, its finished shards are not written again.)
use super::folder::{self, Claim, Existing};
use super::law::InitialLaw;
use super::origin::Origin;
use super::partial::{self, Partial};
use super::shard::{self, Frame, Shard};
use super::spec::{ZooKind, ZooSpec};
use super::store::ZooStore;
use crate::checksum;
use crate::data::{DataRecord, Dataset};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::pieces::Task;
use crate::progress::Progress;
use crate::streams::Streams;
use crate::train::{Trainer, Trajectory};
use rayon::prelude::*;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// How a zoo is made; nothing here changes its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrainOptions {
    /// Threads; 0 for those of the current rayon pool.
    pub threads: usize,
    /// Go on with the same zoo where it is there already.
    pub resume: bool,
    /// Replace a zoo that is there already.
    pub force: bool,
}

/// Trains the zoo `spec` into the folder `dir` and opens it.
///
/// # Errors
/// A wrong specification, missing data or data of one class (before anything is written); [`Error::Exists`]; a folder that is another zoo (to
/// resume) or none (to resume or replace) or cannot be written; a full disk; [`Error::Interrupted`].
pub fn train_zoo(spec: &ZooSpec, dir: &Path, options: &TrainOptions, progress: &dyn Progress) -> Result<ZooStore> {
    let existing = Existing::of(options.resume, options.force)?;
    train(spec, options.threads, None, progress, &|origin| folder::claim(dir, origin, existing))?;
    ZooStore::open(dir)
}

/// Trains the shards of one `task` of the zoo `spec` into the folder `dir`, which other processes fill with theirs at the same time, on this
/// machine or on others. Gives the task's runs back.
///
/// A task may be run again, or twice at once: what it writes appears whole, with the bytes that [`train_zoo`] gives it. What is there already is
/// checked and left.
///
/// # Errors
/// As [`train_zoo`]; a folder that was begun with another specification, other data or another version of Thalweg; more tasks than shards; a tail,
/// which is one run.
pub fn train_task(spec: &ZooSpec, dir: &Path, task: Task, progress: &dyn Progress) -> Result<Range<usize>> {
    if let ZooKind::Tail { .. } = spec.kind {
        return Err(Error::parameter("kind", "runs that can be trained apart", "tail, the iterates of one run"));
    }
    task.shards(spec.runs.div_ceil(spec.shard.max(1)))?;
    train(spec, 0, Some(task), progress, &|origin| folder::join(dir, origin))
}

/// Trains a zoo, or one task of it, into the folder that `claim` claims. The runs that were to be made.
fn train(
    spec: &ZooSpec,
    threads: usize,
    task: Option<Task>,
    progress: &dyn Progress,
    claim: &dyn Fn(&Origin) -> Result<Claim>,
) -> Result<Range<usize>> {
    spec.check()?;
    let data = spec.data.load()?;
    data.train.notes.iter().for_each(|note| progress.note(note));
    several_classes(&data.train, &data.record)?;
    let spec = &spec.recorded(data.record.clone())?;
    let engine = Engine::new(&spec.architecture)?;
    let trainer = Trainer::new(&engine, &spec.architecture, &data.train, &data.validation, &spec.recipe)?;
    let origin = Origin::Trained(Box::new(spec.clone()));
    let pool = match threads {
        0 => None,
        n => Some(
            rayon::ThreadPoolBuilder::new()
                .num_threads(n)
                .build()
                .map_err(|e| Error::parameter("threads", "threads that the system gives", e))?,
        ),
    };
    let claim = claim(&origin)?;
    let frame = Frame { shared: task.is_some(), ..origin.frame(claim.work())? };
    let shards = task.map_or(Ok(0..frame.shards()), |task| task.shards(frame.shards()))?;
    let runs = frame.runs_in(&shards);
    let job = Job { spec, dir: claim.work(), trainer: &trainer, layout: engine.layout(), frame, shards, progress };
    pool.as_ref().map_or_else(|| job.run(), |pool| pool.install(|| job.run()))?;
    claim.finish().map(|()| runs)
}

/// Refuses training rows of one class alone.
fn several_classes(train: &Dataset, record: &DataRecord) -> Result<()> {
    let counts = train.class_counts();
    let mut present = (0..counts.len()).filter(|&class| counts[class] > 0);
    match (present.next(), present.next()) {
        (Some(class), None) => {
            let name = record.class_names.get(class).cloned().unwrap_or_else(|| class.to_string());
            Err(Error::OneClass { rows: train.len(), class: name })
        }
        _ => Ok(()),
    }
}

/// A zoo being trained.
struct Job<'a> {
    spec: &'a ZooSpec,
    dir: &'a Path,
    trainer: &'a Trainer<'a>,
    layout: &'a Layout,
    frame: Frame,
    /// Which shards are to be made here.
    shards: Range<usize>,
    progress: &'a dyn Progress,
}

impl Job<'_> {
    fn run(&self) -> Result<()> {
        let centre = if self.spec.kind.has_centre() { Some(self.centre()?) } else { None };
        let law = InitialLaw::of(self.spec, centre)?;
        let runs = self.frame.runs_in(&self.shards).len() as u64;
        self.progress.begin("training runs", runs);
        let missing = self.frame.missing(self.dir, self.shards.clone(), self.progress)?;
        // A kill right after a shard was written leaves its parts behind.
        self.shards.clone().filter(|i| !missing.contains(i)).try_for_each(|i| partial::remove(self.dir, i))?;
        let made = match self.spec.kind {
            ZooKind::Tail { every } => self.tail(&law, every, &missing),
            _ => missing.into_iter().try_for_each(|index| self.shard(&law, index)),
        };
        if let Err(Error::Interrupted) = made {
            self.progress.kept(self.kept()?, runs, "runs");
        }
        made
    }

    /// Runs on disk, in shards and in parts of them.
    fn kept(&self) -> Result<u64> {
        let mut kept = 0;
        for index in self.shards.clone() {
            kept += match shard::path(self.dir, index).exists() {
                true => self.frame.runs_of(index).len(),
                false => partial::count(&self.frame, self.dir, index)?,
            };
        }
        Ok(kept as u64)
    }

    fn stop(&self) -> bool {
        self.progress.interrupted()
    }

    /// The network around which all runs start: read where it was saved already, else made and saved.
    fn centre(&self) -> Result<Vec<f32>> {
        let path = folder::centre_of(self.dir);
        if path.exists() {
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            let centre = self.layout.from_safetensors(&path, &bytes)?;
            return checksum::check(&path, &bytes).map(|()| centre);
        }
        let streams = Streams::new(self.spec.seed).child("centre");
        let mut centre = match &self.spec.centre {
            Some(path) => self.layout.from_safetensors(path, &fs::read(path).map_err(Error::io("read", path))?)?,
            None => self.spec.initialisation.draw(self.layout, &streams.child("start")),
        };
        if let ZooKind::Fork { steps, .. } = self.spec.kind {
            let mut trunk = self.trainer.begin(&centre, &streams)?;
            trunk.advance(steps, |_| self.spec.recipe.learning_rate, &|| self.stop())?;
            if let Some(step) = trunk.diverged_at() {
                return Err(Error::NotFinite {
                    what: "loss of the trunk run".into(),
                    place: format!("step {step}, seed {}", self.spec.seed),
                    value: f64::NAN,
                });
            }
            centre.copy_from_slice(trunk.theta());
        }
        self.frame.place(&path, &self.layout.to_sealed(&centre)?)?;
        Ok(centre)
    }

    /// Trains the runs of one shard in parallel and writes it.
    fn shard(&self, law: &InitialLaw, index: usize) -> Result<()> {
        let partial = Partial::open(&self.frame, self.dir, index)?;
        self.progress.advance(partial.len() as u64);
        let train = |run: usize| {
            let streams = self.spec.streams(run);
            let start = law.draw(self.layout, &streams.child("start"))?;
            let trajectory = self.trainer.train(&start, &streams, &|| self.stop())?;
            partial.push(run, trajectory)?;
            self.progress.advance(1);
            Ok(())
        };
        // One run a task: runs are long, and any thread may take the next.
        let missing: Vec<usize> = self.frame.runs_of(index).filter(|&run| !partial.holds(run)).collect();
        let trained = missing.into_par_iter().with_max_len(1).try_for_each(train);
        if trained.is_err() {
            partial.save()?;
        }
        trained?;
        let mut shard = Shard::default();
        for (run, trajectory) in &partial.finish() {
            if let Some(step) = trajectory.diverged_at {
                self.progress.note(&format!("run {run} diverged at step {step}: its loss is not finite"));
            }
            shard.push(trajectory);
        }
        self.frame.write(self.dir, index, &shard)?;
        partial::remove(self.dir, index)
    }

    /// Trains the one run of a tail through its warm-up and on through its iterates; writes the shards that are missing.
    fn tail(&self, law: &InitialLaw, every: u64, missing: &[usize]) -> Result<()> {
        let Some(&last) = missing.last() else { return Ok(()) };
        let (streams, stop) = (self.spec.streams(0), || self.stop());
        let start = law.draw(self.layout, &streams.child("start"))?;
        let mut run = self.trainer.begin(&start, &streams)?;
        run.advance_by_schedule(self.trainer.steps(), &stop)?;
        for index in 0..=last {
            let mut shard = Shard::default();
            for _ in self.frame.runs_of(index) {
                run.advance(every, |_| self.spec.recipe.learning_rate, &stop)?;
                let mut iterate = Trajectory::default();
                iterate.push(run.checkpoint()?);
                iterate.diverged_at = run.diverged_at();
                shard.push(&iterate);
                self.progress.advance(u64::from(missing.contains(&index)));
            }
            if missing.contains(&index) {
                self.frame.write(self.dir, index, &shard)?;
            }
        }
        Ok(())
    }
}
