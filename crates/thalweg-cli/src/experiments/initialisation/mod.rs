//! Generated weights as initialisations (M21): fine-tuning curves of networks from seven kinds of starts, with one recipe, on whole tasks and on a few
//! rows a class. The flows are those of `reproduce context`, and one over the zoo of a single task.
mod page;
mod parameters;
mod parts;
mod starts;

use super::context::{self, Contexts, Made};
use super::experiment::{Experiment, Findings, Run, Scale, parameters as parameters_of};
use super::made;
use super::parts::{Part, Stage};
use super::tasks::{Common, Task, Tasks};
use crate::session::Session;
use anyhow::{Result, bail};
use parameters::Curves;
pub use parameters::Initialisation;
use rayon::prelude::*;
use starts::Starts;
use std::path::Path;
use std::time::Instant;
use thalweg::Streams;
use thalweg::context::Support;
use thalweg::model::{FitConfig, MetaModel};
use thalweg_nets::Error;
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::{Length, Recipe, Trainer};

impl Experiment for Initialisation {
    const NAME: &'static str = "initialisation";
    const TOML: &'static str = include_str!("../../../../../experiments/initialisation.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, scale: Scale) -> Result<()> {
        let counts = [self.networks, self.shots, self.few, self.rows, self.tests, self.soup];
        if counts.contains(&0) || self.home_runs < 4 || self.targets.is_empty() || self.epochs.is_empty() {
            bail!("counts must be at least 1, home-runs at least 4; targets and epochs must name some");
        }
        for name in self.targets.iter().chain([&self.home]) {
            DataSpec::parse(name)?;
        }
        self.home_fit()?;
        self.contexts(scale)?.conditional()?;
        Ok(())
    }

    fn parts<'a>(&'a self, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
        parts::of(self, run, stage)
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let (session, contexts) = (run.session, self.contexts(run.scale)?);
        let (tasks, conditional) = (&contexts.tasks, contexts.conditional()?);
        let made = match &self.made_in {
            Some(dir) => context::open(tasks, dir)?,
            None => context::make(tasks, &conditional, self.seed, run)?,
        };
        let engine = Engine::new(&made.common.architecture)?;
        let home = self.home_flow(tasks, &made.common, run)?;
        let starts = Starts::new(&made, &home, &conditional, self, &engine)?;
        let cut = Tasks { rows: self.rows, tests: self.tests, ..tasks.clone() };
        let mut all = Vec::new();
        session.progress.begin("fine-tuning", (self.targets.len() * 2 * starts::KINDS.len()) as u64);
        for (i, name) in self.targets.iter().enumerate() {
            let seen = tasks.seen().any(|n| n == name);
            let task = cut.load(name, "", seen, &engine, session)?;
            for few in [false, true] {
                let streams = Streams::new(self.seed).child("initialisation").index(i as u64).index(u64::from(few));
                all.extend(self.target(&task, few, &made, &starts, &engine, &streams, session)?);
            }
        }
        session.progress.end();
        let page = page::Page { scale: run.scale, settings: self, curves: &all };
        let tables = page.tables();
        Ok(Findings { rows: page.rows(), report: page.report(&tables), outcome: page.outcome(), tables })
    }
}

impl Initialisation {
    /// The experiment whose zoos and flow it goes on from, with this one's seed.
    fn contexts(&self, scale: Scale) -> Result<Contexts> {
        let mut contexts: Contexts = parameters_of(scale, &[])?;
        contexts.set_seed(self.seed);
        Ok(contexts)
    }

    /// The fit over the zoo of the one task `home`.
    fn home_fit(&self) -> Result<FitConfig> {
        let config = FitConfig::from_toml_str(Path::new("fit"), &toml::to_string(&self.fit)?)?;
        Ok(FitConfig { seed: self.seed, ..config })
    }

    /// The flow over that zoo.
    fn home_flow(&self, tasks: &Tasks, common: &Common, run: &Run) -> Result<MetaModel> {
        let zoo = tasks.zoo(&self.home, self.home_runs, &parts::at_home(common, run), self.seed, run.session)?;
        made::fitted(run, &zoo, &self.home_fit()?, &parts::model_dir(run))
    }

    /// Curves from every kind of start on one target.
    #[allow(clippy::too_many_arguments)]
    fn target(
        &self,
        task: &Task,
        few: bool,
        made: &Made,
        starts: &Starts,
        engine: &Engine,
        streams: &Streams,
        session: &Session,
    ) -> Result<Vec<Curves>> {
        let each = if few { self.few } else { self.shots };
        // Every network has a support set of its own: what a start is chosen by varies too.
        let draw = |i: usize| {
            let rows = Support::rows(&task.data.train.labels, each, &streams.child("support").index(i as u64));
            task.data.train.subset(&rows)
        };
        let supports: Vec<Dataset> = (0..self.networks).map(draw).collect();
        let mut all = Vec::new();
        for kind in starts::KINDS {
            if session.progress.interrupted() {
                return Err(Error::Interrupted.into());
            }
            let clock = Instant::now();
            let theta = starts.draw(kind, &supports, &streams.child("start"))?;
            let seconds = clock.elapsed().as_secs_f64();
            let of = |i: usize, theta: &[f32]| {
                let train = if few { &supports[i] } else { &task.data.train };
                self.curve(theta, train, task, made, engine, &streams.child("run").index(i as u64))
            };
            let runs = theta.par_chunks_exact(engine.parameters()).with_max_len(1).enumerate().map(|(i, t)| of(i, t));
            let runs = runs.collect::<Result<Vec<_>>>()?;
            let (epoch, steps) = self.points(if few { supports[0].len() } else { task.data.train.len() });
            let start = kind.to_owned();
            all.push(Curves {
                target: task.name.clone(),
                seen: task.seen,
                few,
                start,
                epoch,
                steps,
                accuracy: runs,
                seconds,
            });
            session.progress.advance(1);
        }
        Ok(all)
    }

    /// Steps of an epoch over `rows`, and the steps at which curves are looked at.
    fn points(&self, rows: usize) -> (u64, Vec<u64>) {
        let epoch = (rows as u64).div_ceil(64);
        let last = self.epochs.iter().max().map_or(0, |e| e * epoch).max(self.steps.iter().copied().max().unwrap_or(0));
        let mut steps: Vec<u64> = self.epochs.iter().map(|e| e * epoch).chain(self.steps.clone()).collect();
        steps.extend(self.between.iter().filter(|s| **s < last));
        steps.sort_unstable();
        steps.dedup();
        (epoch, steps)
    }

    /// Test accuracies of one network along its fine-tuning.
    fn curve(
        &self,
        theta: &[f32],
        train: &Dataset,
        task: &Task,
        made: &Made,
        engine: &Engine,
        streams: &Streams,
    ) -> Result<Vec<f64>> {
        let (_, points) = self.points(train.len());
        let recipe = Recipe {
            batch: train.len().min(64),
            learning_rate: self.learning_rate,
            length: Length::Steps(points.last().copied().unwrap_or(1).max(1)),
            checkpoints: vec![1.0],
            ..Recipe::default()
        };
        let trainer = Trainer::new(engine, &made.common.architecture, train, train, &recipe)?;
        let mut run = trainer.begin(theta, streams)?;
        let mut accuracy = Vec::with_capacity(points.len());
        for step in points {
            run.advance_by_schedule(step, &|| false)?;
            accuracy.push(task.test.accuracies(engine, run.theta())?[0]);
        }
        Ok(accuracy)
    }
}
