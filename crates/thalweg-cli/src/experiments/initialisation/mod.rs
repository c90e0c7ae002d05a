//! Generated weights as initialisations (M21): fine-tuning curves of networks from seven kinds of starts, with one recipe, on whole tasks and on a few
//! rows a class. The flows are those of `reproduce context`, and one over the zoo of a single task.
mod page;
mod parameters;
mod starts;

use super::context::{self, Made};
use super::made;
use super::tasks::{Task, Tasks};
use super::{Experiment, Findings, Prepared};
use crate::common::Outcome;
use crate::results::object;
use crate::session::Session;
use crate::settings;
use anyhow::{Result, bail};
use parameters::{Curves, Settings};
use rayon::prelude::*;
use starts::Starts;
use std::path::Path;
use std::time::Instant;
use thalweg::Streams;
use thalweg::context::Support;
use thalweg::model::FitConfig;
use thalweg_nets::Error;
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::{Length, Recipe, Trainer};

const TOML: &str = include_str!("../../../../../experiments/initialisation.toml");
const ORIGIN: &str = "experiments/initialisation.toml";

/// Its entry in the registry.
pub const EXPERIMENT: Experiment = Experiment { name: "initialisation", prepare };

struct Initialisation {
    scale: String,
    settings: Settings,
    tasks: Tasks,
    conditional: FitConfig,
    home: FitConfig,
}

fn prepare(scale: &str, session: &Session) -> Result<Box<dyn Prepared>> {
    let mut settings: Settings = settings::read_at_scale(ORIGIN, TOML, scale, &session.common.set)?;
    settings.seed = session.seed_or(settings.seed);
    let counts = [settings.networks, settings.shots, settings.few, settings.rows, settings.tests, settings.soup];
    if counts.contains(&0) || settings.home_runs < 4 || settings.targets.is_empty() || settings.epochs.is_empty() {
        bail!("{ORIGIN}: counts must be at least 1, home-runs at least 4; targets and epochs must name some");
    }
    for name in settings.targets.iter().chain([&settings.home]) {
        DataSpec::parse(name)?;
    }
    let mut home = FitConfig::from_toml_str(Path::new(ORIGIN), &toml::to_string(&settings.fit)?)?;
    home.seed = settings.seed;
    let (tasks, conditional) = context::settings_at(scale, settings.seed)?;
    Ok(Box::new(Initialisation { scale: scale.to_owned(), settings, tasks, conditional, home }))
}

impl Prepared for Initialisation {
    fn seed(&self) -> u64 {
        self.settings.seed
    }

    fn run(&self, out: &Path, session: &Session) -> Result<Findings> {
        let set = &self.settings;
        let made = match &set.made_in {
            Some(dir) => context::open(&self.tasks, dir)?,
            None => context::make(&self.tasks, &self.conditional, set.seed, out, session)?,
        };
        let engine = Engine::new(&made.common.architecture)?;
        let home = self.home_flow(&made, out, session)?;
        let starts = Starts::new(&made, &home, &self.conditional, set, &engine)?;
        let tasks = Tasks { rows: set.rows, tests: set.tests, ..self.tasks.clone() };
        let mut all = Vec::new();
        session.progress.begin("fine-tuning", (set.targets.len() * 2 * starts::KINDS.len()) as u64);
        for (i, name) in set.targets.iter().enumerate() {
            let seen = self.tasks.seen().any(|n| n == name);
            let task = tasks.load(name, "", seen, &engine, session)?;
            for few in [false, true] {
                let streams = Streams::new(set.seed).child("initialisation").index(i as u64).index(u64::from(few));
                all.extend(self.target(&task, few, &made, &starts, &engine, &streams, session)?);
            }
        }
        session.progress.end();
        let page = page::Page { scale: &self.scale, settings: set, curves: &all };
        let tables = page.tables();
        Ok(Findings {
            rows: page.rows(),
            settings: object(set)?,
            report: page.report(&tables),
            outcome: if self.scale == "smoke" { Outcome::Done } else { page.outcome() },
            tables,
        })
    }
}

impl Initialisation {
    /// The flow over the zoo of the one task `home`.
    fn home_flow(&self, made: &Made, out: &Path, session: &Session) -> Result<thalweg::model::MetaModel> {
        let set = &self.settings;
        let common = super::tasks::Common { dir: out.join("home"), ..made.common.clone() };
        let zoo = self.tasks.zoo(&set.home, set.home_runs, &common, set.seed, session)?;
        made::fitted(&zoo, &self.home, &out.join("home-model"), session)
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
        let set = &self.settings;
        let each = if few { set.few } else { set.shots };
        // Every network has a support set of its own: what a start is chosen by varies too.
        let draw = |i: usize| {
            let rows = Support::rows(&task.data.train.labels, each, &streams.child("support").index(i as u64));
            task.data.train.subset(&rows)
        };
        let supports: Vec<Dataset> = (0..set.networks).map(draw).collect();
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
        let set = &self.settings;
        let epoch = (rows as u64).div_ceil(64);
        let last = set.epochs.iter().max().map_or(0, |e| e * epoch).max(set.steps.iter().copied().max().unwrap_or(0));
        let mut steps: Vec<u64> = set.epochs.iter().map(|e| e * epoch).chain(set.steps.clone()).collect();
        steps.extend(set.between.iter().filter(|s| **s < last));
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
            learning_rate: self.settings.learning_rate,
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
