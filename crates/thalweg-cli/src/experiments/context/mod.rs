//! Networks for a task by a few of its rows (M10): a conditional flow over the zoos of many tasks, judged on tasks that it has seen and on held-out
//! tasks of each kind, for several sizes of support sets; beside the unconditional flow, the best network of all zoos by its loss on the support
//! set, and training on the support set for the time that sampling takes, from scratch and from the zoos' common start.
mod judge;
mod page;
mod parameters;

use super::made;
use super::tasks::{Common, Task, Tasks};
use super::{Experiment, Findings, Prepared};
use crate::common::Outcome;
use crate::results::object;
use crate::session::Session;
use crate::settings;
use anyhow::{Context, Result, bail};
use parameters::Settings;
use std::collections::BTreeMap;
use std::path::Path;
use thalweg::model::FitConfig;
use thalweg::model::MetaModel;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;
use toml::Table;

const TOML: &str = include_str!("../../../../../experiments/context.toml");
const ORIGIN: &str = "experiments/context.toml";

/// Its entry in the registry.
pub const EXPERIMENT: Experiment = Experiment { name: "context", prepare };

struct Contexts {
    scale: String,
    settings: Settings,
    fit: FitConfig,
    rivals: Vec<(String, FitConfig)>,
}

fn prepare(scale: &str, session: &Session) -> Result<Box<dyn Prepared>> {
    let mut settings: Settings = settings::read_at_scale(ORIGIN, TOML, scale, &session.common.set)?;
    settings.seed = session.seed_or(settings.seed);
    settings.tasks.check(ORIGIN)?;
    let empty = [settings.shots.is_empty(), settings.guidance.is_empty()].contains(&true);
    if settings.draws == 0
        || settings.networks == 0
        || settings.ode_steps == 0
        || settings.references < 2
        || empty
        || settings.shots.contains(&0)
    {
        bail!(
            "{ORIGIN}: draws, networks and ode-steps must be at least 1, references at least 2; shots (above 0) and guidance must name some"
        );
    }
    let fit = fit_config(ORIGIN, &settings.fit, settings.seed)?;
    let rivals = settings.rivals.iter().map(|(name, over)| {
        let mut fit = settings.fit.clone();
        // A choice takes the place of another; only what both have settings for is merged.
        ["method", "latent", "field"]
            .iter()
            .filter(|key| over.contains_key(**key))
            .for_each(|key| drop(fit.remove(*key)));
        let both = BTreeMap::from([("fit".to_owned(), fit), ("over".to_owned(), over.clone())]);
        let table = settings::merged(&both, &["fit", "over"]);
        Ok((name.clone(), fit_config(ORIGIN, &table, settings.seed).with_context(|| format!("rivals.{name}"))?))
    });
    let rivals = rivals.collect::<Result<Vec<_>>>()?;
    Ok(Box::new(Contexts { scale: scale.to_owned(), settings, fit, rivals }))
}

/// The conditional fit that a table describes.
///
/// # Errors
/// Unknown keys, values out of range, no `[context]`.
pub fn fit_config(origin: &str, table: &Table, seed: u64) -> Result<FitConfig> {
    let mut config = FitConfig::from_toml_str(Path::new(origin), &toml::to_string(table)?)?;
    if config.context.is_none() {
        bail!("{origin}: [fit] wants a table [fit.context]");
    }
    config.seed = seed;
    Ok(config)
}

/// The tasks and the fit of this experiment at a scale, for experiments that go on from it.
///
/// # Errors
/// An unknown scale.
pub fn settings_at(scale: &str, seed: u64) -> Result<(Tasks, FitConfig)> {
    let settings: Settings = settings::read_at_scale(ORIGIN, TOML, scale, &[])?;
    Ok((settings.tasks, fit_config(ORIGIN, &settings.fit, seed)?))
}

/// What the experiment is made from.
pub struct Made {
    /// Architecture, common start, place of the zoos.
    pub common: Common,
    /// The zoos of the seen tasks, in order.
    pub zoos: Vec<ZooStore>,
    /// The conditional flow over them.
    pub model: MetaModel,
}

/// Trains zoos and conditional flow into `out`; what an interrupted run has finished is taken from there.
///
/// # Errors
/// Data that cannot be had, Ctrl-C.
pub fn make(tasks: &Tasks, fit: &FitConfig, seed: u64, out: &Path, session: &Session) -> Result<Made> {
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

impl Prepared for Contexts {
    fn seed(&self) -> u64 {
        self.settings.seed
    }

    fn run(&self, out: &Path, session: &Session) -> Result<Findings> {
        let (set, tasks) = (&self.settings, &self.settings.tasks);
        let Made { common, zoos, model } = make(tasks, &self.fit, set.seed, out, session)?;
        let engine = Engine::new(&common.architecture)?;
        let borrowed: Vec<&ZooStore> = zoos.iter().collect();
        let mut rivals = Vec::new();
        for (i, (name, fit)) in self.rivals.iter().enumerate() {
            let rival = made::fitted_to(&borrowed, fit, &out.join(format!("rival-{i}")), session)?;
            session.say(&format!("{name}: step {} of {} kept", rival.record.best_step, fit.steps));
            rivals.push((name.clone(), rival));
        }
        let judge = judge::Judge::new(set, &model, rivals, &zoos, &self.fit, &engine, &common)?;
        let mut judged = Vec::new();
        let names: Vec<(String, String, bool)> = tasks
            .families
            .iter()
            .flat_map(|f| {
                let seen = f.seen.iter().take(set.seen_judged).map(|n| (n.clone(), f.name.clone(), true));
                seen.chain(f.unseen.iter().map(|n| (n.clone(), f.name.clone(), false)))
            })
            .collect();
        session.progress.begin("judging tasks", names.len() as u64);
        for (i, (name, family, seen)) in names.iter().enumerate() {
            if session.progress.interrupted() {
                return Err(thalweg_nets::Error::Interrupted.into());
            }
            let task: Task = tasks.load(name, family, *seen, &engine, session)?;
            judged.extend(judge.task(&task, i as u64)?);
            session.progress.advance(1);
        }
        session.progress.end();
        let page = page::Page { scale: &self.scale, settings: set, model: &model, judged: &judged };
        let tables = page.tables();
        Ok(Findings {
            rows: judged.iter().map(judge::Judged::row).collect(),
            settings: object(set)?,
            report: page.report(&tables),
            outcome: if self.scale == "smoke" { Outcome::Done } else { page.outcome() },
            tables,
        })
    }
}
