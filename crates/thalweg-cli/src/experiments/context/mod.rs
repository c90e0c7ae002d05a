//! Networks for a task by a few of its rows (M10): a conditional flow over the zoos of many tasks, judged on tasks that it has seen and on held-out
//! tasks of each kind, for several sizes of support sets; beside the unconditional flow, the best network of all zoos by its loss on the support
//! set, and training on the support set for the time that sampling takes, from scratch and from the zoos' common start.
mod judge;
mod page;
mod parameters;

use super::experiment::{Experiment, Findings, Run, Scale};
use super::made;
use super::parts::{Part, Stage};
use super::tasks::{Common, Tasks};
use crate::session::Session;
use anyhow::{Context, Result, bail};
pub use parameters::Contexts;
use std::path::{Path, PathBuf};
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
    let (session, out) = (run.session, folder(tasks, fit, seed, run)?);
    std::fs::create_dir_all(&out).map_err(Error::io("create", &out))?;
    let common = common(tasks, &out, session)?;
    tasks.centre(&common, seed, session)?;
    session.say(&format!("{} zoos of {} runs", tasks.seen().count(), tasks.runs));
    let zoos = tasks.zoos(&common, seed, session)?;
    let borrowed: Vec<&ZooStore> = zoos.iter().collect();
    let model = made::fitted_to(run, &borrowed, fit, &out.join("model"))?;
    session.say(&format!("conditional flow: step {} of {} kept", model.record.best_step, fit.steps));
    Ok(Made { common, zoos, model })
}

/// Where [`make`] makes it.
fn folder(tasks: &Tasks, fit: &FitConfig, seed: u64, run: &Run) -> Result<PathBuf> {
    Ok(match run.zoos {
        Some(zoos) => zoos.join(format!("tasks-{}", made::hash(&serde_json::to_string(&(tasks, fit, seed))?))),
        None => run.out.to_path_buf(),
    })
}

fn common(tasks: &Tasks, out: &Path, session: &Session) -> Result<Common> {
    Ok(Common {
        architecture: tasks.architecture(session)?,
        centre: out.join("centre.safetensors"),
        dir: out.join("zoos"),
    })
}

/// What [`make`] makes, of one stage; and where.
///
/// # Errors
/// As [`make`], but for what goes wrong in training.
pub fn parts<'a>(
    tasks: &Tasks,
    fit: &FitConfig,
    seed: u64,
    run: Run<'a>,
    stage: Stage,
) -> Result<(Vec<Part<'a>>, Common)> {
    let out = folder(tasks, fit, seed, &run)?;
    let common = common(tasks, &out, run.session)?;
    let (tasks, shared, fit) = (tasks.clone(), common.clone(), fit.clone());
    let parts = match stage {
        Stage::Starts => {
            vec![Part::file(common.centre.clone(), move || tasks.centre(&shared, seed, run.session))]
        }
        Stage::Zoos => tasks.all_parts(&common, seed, run.session)?,
        Stage::Derived => Vec::new(),
        Stage::Fits => vec![Part::model(out.join("model"), move || make(&tasks, &fit, seed, &run).map(drop))],
    };
    Ok((parts, common))
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

    fn parts<'a>(&'a self, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
        let (mut parts, common) = parts(&self.tasks, &self.conditional()?, self.seed, run, stage)?;
        if stage == Stage::Fits {
            for (i, (_, fit)) in self.rivals()?.into_iter().enumerate() {
                let (dir, common) = (rival_dir(&run, i), common.clone());
                parts.push(Part::model(dir.clone(), move || {
                    let zoos = self.tasks.zoos(&common, self.seed, run.session)?;
                    made::fitted_to(&run, &zoos.iter().collect::<Vec<_>>(), &fit, &dir).map(drop)
                }));
            }
        }
        Ok(parts)
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let (session, fit) = (run.session, self.conditional()?);
        let Made { common, zoos, model } = make(&self.tasks, &fit, self.seed, run)?;
        let engine = Engine::new(&common.architecture)?;
        let borrowed: Vec<&ZooStore> = zoos.iter().collect();
        let mut rivals = Vec::new();
        for (i, (name, fit)) in self.rivals()?.into_iter().enumerate() {
            let rival = made::fitted_to(run, &borrowed, &fit, &rival_dir(run, i))?;
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

/// The folder of a rival's model.
fn rival_dir(run: &Run, index: usize) -> PathBuf {
    run.out.join(format!("rival-{index}"))
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
