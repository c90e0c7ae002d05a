//! An experiment shared out to many processes: what it is made from goes through an engine, stage by stage, before one process makes its report.
use super::all;
use super::experiment::{Prepared, Scale};
use super::parts::{Parts, Stage};
use super::{EVERY, chosen, named};
use crate::session::Session;
use crate::work::submit::{Array, Engine, follow, settled};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use thalweg_nets::pieces::{Kept, Task};

/// Most tasks of a stage where their number is not said.
const MOST: usize = 1000;

/// Experiments whose zoos and fits are to be made, each with its folder.
pub struct Sources {
    all: Vec<(Box<dyn Prepared>, PathBuf)>,
    zoos: Option<PathBuf>,
}

impl Sources {
    /// Of the experiment called `name`, or of those of all that are `only` and not finished, in the folder `out`.
    ///
    /// # Errors
    /// Settings that an experiment refuses.
    pub fn new(name: &str, only: &[String], scale: Scale, out: &Path, session: &Session) -> Result<Self> {
        if name == EVERY {
            let all = all::unfinished(&chosen(only), scale, out, session)?;
            return Ok(Self { all, zoos: Some(all::zoos(out)) });
        }
        let prepared = (named(name)?.prepare)(scale, &session.common.set, session.common.seed)?;
        Ok(Self { all: vec![(prepared, out.to_path_buf())], zoos: None })
    }

    fn parts<'a>(&'a self, stage: Stage, session: &'a Session) -> Result<Parts<'a>> {
        let mut parts = Vec::new();
        for (prepared, out) in &self.all {
            parts.extend(prepared.parts(out, self.zoos.as_deref(), session, stage)?);
        }
        Ok(Parts::new(parts))
    }

    /// Makes what `task` has of a stage.
    ///
    /// # Errors
    /// More tasks than parts; as the parts' own; an interruption.
    pub fn make(&self, stage: Stage, task: Task, session: &Session) -> Result<()> {
        self.parts(stage, session)?.make(task, session)
    }
}

/// How experiments are shared out.
pub struct Sharing<'a> {
    /// The words of a task, without those that say which it is.
    pub words: Vec<String>,
    /// The folder of the experiment.
    pub out: &'a Path,
    /// The program, from the root on.
    pub program: PathBuf,
    /// Tasks of each stage at most; as many as there are parts where none is said.
    pub tasks: Option<usize>,
    /// Cores of each.
    pub cores: usize,
}

impl Sharing<'_> {
    /// The tasks of a stage that have something to make, of all; none where the experiments have no such parts.
    fn array(&self, stage: Stage, parts: &Parts<'_>) -> Result<Option<Array>> {
        let of = self.tasks.unwrap_or(MOST).min(parts.count());
        if of == 0 {
            return Ok(None);
        }
        let words = [&self.words[..], &["--stage".into(), stage.to_string()]].concat();
        let (program, out, tasks) = (self.program.clone(), self.out.to_path_buf(), parts.unfinished(of)?);
        Ok(Some(Array { program, words, out, of, tasks, cores: self.cores }).filter(|array| !array.tasks.is_empty()))
    }

    /// What a person would type for each stage, as `typed` writes an array.
    ///
    /// # Errors
    /// As [`Experiment::parts`](super::experiment::Experiment::parts).
    pub fn typed(&self, sources: &Sources, typed: &dyn Fn(&Array) -> String, session: &Session) -> Result<String> {
        let mut lines = Vec::new();
        for stage in Stage::ALL {
            if let Some(array) = self.array(stage, &sources.parts(stage, session)?)? {
                lines.push(format!("# {stage}; what follows when all of it has ended\n{}", typed(&array)));
            }
        }
        Ok(lines.join("\n"))
    }

    /// Has `engine` make all parts, a stage after the other, where they are not there.
    ///
    /// # Errors
    /// As the engine's own; tasks that failed, with what they said; an interruption, after which the tasks go on.
    pub fn run(&self, sources: &Sources, engine: &dyn Engine, session: &Session) -> Result<()> {
        for stage in Stage::ALL {
            let parts = sources.parts(stage, session)?;
            let Some(array) = self.array(stage, &parts)? else { continue };
            session.say(&format!("{stage}: {} of {} tasks", array.tasks.len(), array.of));
            follow(&array, engine, &|| parts.unfinished(array.of), session)?;
            settled(self.out, session)?;
            let left = parts.unfinished(array.of)?;
            if !left.is_empty() {
                bail!(
                    "{} of {} tasks ended before their work was done; the same command submits them again",
                    left.len(),
                    array.of
                );
            }
            parts.gathered(session)?;
        }
        Ok(())
    }
}
