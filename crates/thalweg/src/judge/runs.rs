//! What a judge needs of a zoo on disk: finals by the split of runs, and how the runs began.
use super::baseline::{Courses, Start};
use super::evaluator::{ByEngine, Evaluation};
use super::reference::ZooReference;
use crate::space::symmetry::SymmetryTable;
use crate::{Error, Result};
use thalweg_nets::engine::{Engine, Packed};
use thalweg_nets::zoo::{InitialLaw, RunSplit, ZooStore};

/// Finals and starts of a zoo's runs, in memory.
#[derive(Clone, Debug)]
pub struct ZooRuns {
    /// Final weights of the training runs `[R, P]`, whole networks where only a part of them is modelled.
    pub training: Vec<f32>,
    /// Final weights of the runs to report on (the split's test part) `[H, P]`.
    pub held_out: Vec<f32>,
    /// Mean initialisation `[P]` of the training runs and the law of fresh ones; none for tail zoos, whose iterates have
    /// no start, and for imported zoos that do not tell theirs.
    pub start: Option<(Vec<f32>, InitialLaw)>,
    /// How some of the training runs went on; none where fewer than three checkpoints behind the half of their way are kept.
    pub courses: Option<Courses>,
    /// Which hidden units may be reordered; none for a zoo that does not know its architecture.
    pub symmetry: Option<SymmetryTable>,
}

impl ZooRuns {
    /// Reads what is needed of `store`, its runs split as `split` says. Runs of the validation part are left out: they
    /// served to choose.
    ///
    /// # Errors
    /// Shards that cannot be read, a split without training runs.
    pub fn of(store: &ZooStore, split: &RunSplit) -> Result<Self> {
        let modelled = Self::modelled(store, split)?;
        let Some(assembly) = store.assembly()? else { return Ok(modelled) };
        let whole = |theta: &[f32]| if theta.is_empty() { Ok(Vec::new()) } else { assembly.whole(theta) };
        let (training, held_out) = (whole(&modelled.training)?, whole(&modelled.held_out)?);
        // Starts of a part are those of no whole network.
        Ok(Self { training, held_out, start: None, courses: None, symmetry: None })
    }

    /// As [`Self::of`], but of what the zoo models of its networks alone, where that is a part.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn modelled(store: &ZooStore, split: &RunSplit) -> Result<Self> {
        if split.train.is_empty() {
            return Err(Error::parameter("split", "at least one training run", "none"));
        }
        Ok(Self {
            training: store.finals(&split.train)?,
            held_out: store.finals(&split.test)?,
            start: start(store, &split.train)?,
            courses: courses(store, &split.train)?,
            symmetry: store.architecture().map(SymmetryTable::of),
        })
    }

    /// The reference of a judge, with the base network's `engine` and `test` inputs `[N, D]` with their `labels` `[N]`, without probe inputs.
    pub fn reference<'a>(&'a self, engine: &'a Engine, test: &'a Packed, labels: &'a [u32]) -> ZooReference<'a> {
        self.evaluated(Evaluation::Engine(ByEngine { engine, test, probe: &[] }), labels)
    }

    /// The reference of a judge, with what evaluates `networks` on test inputs, and the `labels` `[N]` of those.
    pub fn evaluated<'a>(&'a self, networks: Evaluation<'a>, labels: &'a [u32]) -> ZooReference<'a> {
        let (training, held_out) = (&self.training, &self.held_out);
        ZooReference {
            networks,
            training,
            held_out,
            labels,
            start: self.start(),
            courses: self.courses.as_ref(),
            symmetry: self.symmetry.as_ref(),
            logits: None,
        }
    }

    /// How the runs began, where that is known.
    pub fn start(&self) -> Option<Start<'_>> {
        self.start.as_ref().map(|(mean, law)| Start { mean, law })
    }
}

fn start(store: &ZooStore, runs: &[usize]) -> Result<Option<(Vec<f32>, InitialLaw)>> {
    let from_the_start = store.checkpoints() > 1 && store.times().first() == Some(&0.0);
    let law = match (from_the_start, store.initial_law()) {
        (true, Ok(law)) => law,
        // A zoo trained here must have a law: a centre that cannot be read is an error. An imported one may have none.
        (true, Err(error)) if store.spec().is_some() => return Err(error),
        _ => return Ok(None),
    };
    let (mut first, mut mean) = (vec![0.0; store.parameters()], vec![0.0f64; store.parameters()]);
    for &run in runs {
        store.gather(&[(run, 0)], &mut first)?;
        mean.iter_mut().zip(&first).for_each(|(mean, w)| *mean += f64::from(*w) / runs.len() as f64);
    }
    Ok(Some((mean.into_iter().map(|w| w as f32).collect(), law)))
}

/// Numbers of late checkpoints that are kept, unless a single run has more.
const KEPT: usize = 1 << 24;
/// Runs whose late checkpoints are kept, at most.
const COURSES: usize = 16;
/// Late checkpoints of a run, at least.
const LATE: usize = 3;

fn courses(store: &ZooStore, runs: &[usize]) -> Result<Option<Courses>> {
    let late: Vec<usize> = (0..store.checkpoints()).filter(|&k| store.times()[k] > 0.5).collect();
    if late.len() < LATE {
        return Ok(None);
    }
    let each = late.len() * store.parameters();
    let runs = &runs[..(KEPT / each.max(1)).clamp(1, COURSES).min(runs.len())];
    let items: Vec<_> = runs.iter().flat_map(|&run| late.iter().map(move |&k| (run, k))).collect();
    let mut all = vec![0.0; runs.len() * each];
    store.gather(&items, &mut all)?;
    Ok(Some(Courses { late: all, checkpoints: late.len() }))
}
