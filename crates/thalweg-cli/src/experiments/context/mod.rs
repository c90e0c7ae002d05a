//! Networks for a task by a few of its rows (M10): a conditional flow over the zoos of many tasks, judged on tasks that it has seen and on held-out
//! tasks of each kind, for several sizes of support sets; beside the unconditional flow, the best network of all zoos by its loss on the support
//! set, and training on the support set for the time that sampling takes, from scratch and from the zoos' common start.
mod judge;
mod page;
mod parameters;

use super::experiment::{Experiment, Findings, Run, Scale};
use super::made;
use super::tasks::{Common, Tasks};
use crate::session::Session;
use anyhow::{Context, Result, bail};
pub use parameters::Contexts;
use std::path::Path;
use thalweg::model::FitConfig;
use thalweg::model::MetaModel;
use thalweg_nets::Error;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;

/// What the experiment is made from.
pub struct Made {
    /// Architecture, common start, place of the zoos.
    pub common: Common,
    /// The zoos of the seen tasks, in order.
    pub zoos: Vec<ZooStore>,
    /// The conditional flow over them.
    pub model: MetaModel,
}

/// Trains zoos and conditional flow into the experiment's folder, or where experiments share them; what has been finished before is taken from there.
///
/// # Errors
/// Data that cannot be had, Ctrl-C.
pub fn make(tasks: &Tasks, fit: &FitConfig, seed: u64, run: &Run) -> Result<Made> {
    let session = run.session;
    let out = match run.zoos {
        Some(zoos) => &zoos.join(format!("tasks-{}", made::hash(&serde_json::to_string(&(tasks, fit, seed))?))),
        None => run.out,
    };
    std::fs::create_dir_all(out).map_err(Error::io("create", out))?;
    let architecture = tasks.architecture(session)?;
    let centre = tasks.centre(&architecture, seed, out, session)?;
    let common = Common { architecture, centre, dir: out.join("zoos") };
    session.say(&format!("{} zoos of {} runs", tasks.seen().count(), tasks.runs));
    let zoos = tasks.zoos(&common, seed, session)?;
    let borrowed: Vec<&ZooStore> = zoos.iter().collect();
    let model = made::fitted_to(&borrowed, fit, &out.join("model"), session)?;
    session.say(&format!("conditional flow: step {} of {} kept", model.record.best_step, fit.steps));
    Ok(Made { common, zoos, model })
}

/// Opens what [`make`] made in `dir`.
///
/// # Errors
/// A folder that is not such a one, or is of other tasks.
pub fn open(tasks: &Tasks, dir: &Path) -> Result<Made> {
    let model = MetaModel::load(&dir.join("model"))?;
    let architecture = model.architecture.clone().context("the model knows its architecture")?;
    let common = Common { architecture, centre: dir.join("centre.safetensors"), dir: dir.join("zoos") };
    let zoos = tasks.seen().map(|name| ZooStore::open(&common.folder(name)));
    Ok(Made { zoos: zoos.collect::<Result<_, _>>()?, common, model })
}

impl Experiment for Contexts {
    const NAME: &'static str = "context";
    const TOML: &'static str = include_str!("../../../../../experiments/context.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        self.tasks.check()?;
        let counts = [self.draws as usize, self.networks, self.ode_steps];
        let shots = !self.shots.is_empty() && !self.shots.contains(&0);
        if counts.contains(&0) || self.references < 2 || !shots || self.guidance.is_empty() {
            bail!(
                "draws, networks and ode-steps must be at least 1, references at least 2; shots (above 0) and guidance must name some"
            );
        }
        self.conditional()?;
        self.rivals()?;
        Ok(())
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let (session, fit) = (run.session, self.conditional()?);
        let Made { common, zoos, model } = make(&self.tasks, &fit, self.seed, run)?;
        let engine = Engine::new(&common.architecture)?;
        let borrowed: Vec<&ZooStore> = zoos.iter().collect();
        let mut rivals = Vec::new();
        for (i, (name, fit)) in self.rivals()?.into_iter().enumerate() {
            let rival = made::fitted_to(&borrowed, &fit, &run.out.join(format!("rival-{i}")), session)?;
            session.say(&format!("{name}: step {} of {} kept", rival.record.best_step, fit.steps));
            rivals.push((name, rival));
        }
        let judge = judge::Judge::new(self, &model, rivals, &zoos, &fit, &engine, &common)?;
        let judged = self.judged(&judge, &engine, session)?;
        let page = page::Page { scale: run.scale, settings: self, model: &model, judged: &judged };
        let tables = page.tables();
        Ok(Findings {
            rows: judged.iter().map(judge::Judged::row).collect(),
            report: page.report(&tables),
            outcome: page.outcome(),
            tables,
        })
    }
}

impl Contexts {
    /// Some of the seen tasks and all unseen ones, judged.
    fn judged(&self, judge: &judge::Judge, engine: &Engine, session: &Session) -> Result<Vec<judge::Judged>> {
        let mut names = Vec::new();
        for family in &self.tasks.families {
            names.extend(family.seen.iter().take(self.seen_judged).map(|name| (name, &family.name, true)));
            names.extend(family.unseen.iter().map(|name| (name, &family.name, false)));
        }
        session.progress.begin("judging tasks", names.len() as u64);
        let mut judged = Vec::new();
        for (i, (name, family, seen)) in names.into_iter().enumerate() {
            if session.progress.interrupted() {
                return Err(Error::Interrupted.into());
            }
            judged.extend(judge.task(&self.tasks.load(name, family, seen, engine, session)?, i as u64)?);
            session.progress.advance(1);
        }
        session.progress.end();
        Ok(judged)
    }
}
