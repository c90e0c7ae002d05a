//! Many tasks of one layout with a zoo each, whose runs all start around one network: what `context` and `initialisation` are made from.
//!
//! The common start is meta-learned on the training tasks ([`Reptile`]); its last layer is zero, so that it does not tell classes apart. With
//! `rounds = 0` it is a plain draw.
use super::made;
use super::parts::Part;
use crate::data::ensure;
use crate::session::Session;
use crate::study::Labelled;
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use thalweg::Streams;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::{DataSpec, Splits};
use thalweg_nets::engine::Engine;
use thalweg_nets::files::write_among_others;
use thalweg_nets::init::Initialisation;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::{Length, Recipe, Reptile, reptile};
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, ZooStore, train_task, train_zoo};
use thalweg_nets::{Architecture, Error};

/// Tasks of one kind.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// What differs between them.
    pub name: String,
    /// Tasks that have zoos, as `--data` reads them.
    pub seen: Vec<String>,
    /// Tasks that nothing sees before they are judged.
    pub unseen: Vec<String>,
}

/// The zoo `spec` where it stands finished in `folder`: its data are not read again, as many sets would be.
fn finished(spec: &ZooSpec, folder: &Path) -> Option<ZooStore> {
    let zoo = ZooStore::open(folder).ok()?;
    let (made, centre) = (zoo.spec()?, zoo.centre().ok()??);
    let given = spec.centre.as_ref().and_then(|path| Some((path, std::fs::read(path).ok()?)));
    let same_centre =
        given.is_some_and(|(path, bytes)| zoo.layout().from_safetensors(path, &bytes).is_ok_and(|c| c == centre));
    let plain = |spec: &ZooSpec| {
        let data = DataSpec { train: None, validation: None, ..spec.data.clone() };
        ZooSpec { data, centre: None, record: None, ..spec.clone() }
    };
    let same_rows = made.data.train == spec.data.train || made.data.train.is_none();
    (same_centre && same_rows && plain(made) == plain(spec)).then_some(zoo)
}

/// The seed of the zoo of task `i`, its own: no two zoos draw the same starts.
fn seed_of(seed: u64, i: usize) -> u64 {
    seed.wrapping_mul(1000) + i as u64
}

/// What `train` makes of `spec` with so many rows as it asks for, or all where there are fewer.
fn with_rows_that_there_are<T>(mut spec: ZooSpec, train: impl Fn(&ZooSpec) -> thalweg_nets::Result<T>) -> Result<T> {
    match train(&spec) {
        Err(Error::TooFewRows { .. }) => {
            (spec.data.train, spec.data.validation) = (None, None);
            Ok(train(&spec)?)
        }
        trained => Ok(trained?),
    }
}

/// Progress that hears of interruptions only: many small zoos are one stage.
struct Quiet<'a>(&'a dyn Progress);

impl Progress for Quiet<'_> {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn note(&self, text: &str) {
        self.0.note(text);
    }
    fn kept(&self, done: u64, total: u64, units: &str) {
        self.0.kept(done, total, units);
    }
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}

/// All tasks, and how their zoos are made.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tasks {
    /// Architecture of all networks.
    pub architecture: String,
    /// Runs of every zoo.
    pub runs: usize,
    /// Steps of a run.
    pub steps: u64,
    /// Learning rate of a run.
    pub learning_rate: f64,
    /// Training rows of a task, at most.
    pub rows: usize,
    /// Labelled that a network is judged on, at most.
    pub tests: usize,
    /// Relative noise of starts.
    pub noise: f64,
    /// Reptile's passes over the training tasks; 0 for a draw.
    pub rounds: usize,
    /// Steps on a task in each of them.
    pub inner: u64,
    /// What share of the way is gone afterwards.
    pub outer: f32,
    /// The tasks, by kind.
    pub families: Vec<Family>,
}

/// What all zoos have in common.
#[derive(Clone)]
pub struct Common {
    /// Of all networks.
    pub architecture: Architecture,
    /// The file of the network that all runs start around.
    pub centre: PathBuf,
    /// Where the zoos lie.
    pub dir: PathBuf,
}

impl Common {
    /// The folder of a task's zoo.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.dir.join(name.replace(['@', '=', '+'], "-"))
    }
}

/// A task with its rows.
pub struct Task {
    /// As it is written.
    pub name: String,
    /// Its kind.
    pub family: String,
    /// Whether it has a zoo that the flow learns from.
    pub seen: bool,
    /// The rows.
    pub data: Splits,
    /// Those that networks are judged on.
    pub test: Labelled,
}

impl Tasks {
    /// # Errors
    /// No task, names that are none, sizes of 0.
    pub fn check(&self) -> Result<()> {
        if self.runs < 2 || self.steps == 0 || self.rows == 0 || self.tests == 0 || self.seen().count() == 0 {
            bail!("runs must be at least 2; steps, rows and tests at least 1; some family must have seen tasks");
        }
        for name in self.families.iter().flat_map(|f| f.seen.iter().chain(&f.unseen)) {
            DataSpec::parse(name).with_context(|| format!("task {name}"))?;
        }
        Ok(())
    }

    /// Names of the tasks that have zoos.
    pub fn seen(&self) -> impl Iterator<Item = &String> {
        self.families.iter().flat_map(|f| &f.seen)
    }

    fn asked(&self, name: &str) -> Result<DataSpec> {
        Ok(DataSpec { train: Some(self.rows), validation: Some(self.tests.min(500)), ..DataSpec::parse(name)? })
    }

    /// Where a task's rows come from: so many training rows as asked, or all where there are fewer.
    fn splits(&self, name: &str) -> Result<Splits> {
        let spec = self.asked(name)?;
        match spec.load() {
            Err(Error::TooFewRows { .. }) => Ok(DataSpec { train: None, validation: None, ..spec }.load()?),
            loaded => Ok(loaded?),
        }
    }

    /// The task of this name, loaded.
    ///
    /// # Errors
    /// Data that cannot be had, of another shape than the networks'.
    pub fn load(&self, name: &str, family: &str, seen: bool, engine: &Engine, session: &Session) -> Result<Task> {
        ensure(&DataSpec::parse(name)?, &session.progress)?;
        let data = self.splits(name)?;
        let test = Labelled::new(engine, data.test.first(self.tests))?;
        Ok(Task { name: name.into(), family: family.into(), seen, data, test })
    }

    /// The common architecture, fitted to the first task.
    ///
    /// # Errors
    /// An unknown preset, data that cannot be had.
    pub fn architecture(&self, session: &Session) -> Result<Architecture> {
        let name = self.seen().next().context("some family has seen tasks")?;
        ensure(&DataSpec::parse(name)?, &session.progress)?;
        let data = self.splits(name)?.train;
        Ok(Preset::named(&self.architecture, &[])?.build(data.shape, data.classes)?)
    }

    fn recipe(&self, checkpoints: Vec<f64>) -> Recipe {
        Recipe {
            length: Length::Steps(self.steps),
            learning_rate: self.learning_rate,
            checkpoints,
            ..Recipe::default()
        }
    }

    /// The network that all runs start around, made into its file if it is not there.
    ///
    /// # Errors
    /// Data that cannot be had, Ctrl-C.
    pub fn centre(&self, common: &Common, seed: u64, session: &Session) -> Result<()> {
        let Common { architecture, centre: path, .. } = common;
        if session.common.resume && path.exists() {
            return Ok(());
        }
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        }
        let engine = Engine::new(architecture)?;
        let streams = Streams::new(seed).child("tasks").child("centre");
        let mut centre = Initialisation::default().draw(engine.layout(), &streams.child("start"));
        let head: usize = engine.layout().slots().iter().rev().take(2).map(|slot| slot.len()).sum();
        let body = centre.len() - head;
        centre[body..].fill(0.0);
        if self.rounds > 0 {
            let tasks = self.for_the_start(session)?;
            let reptile = Reptile { rounds: self.rounds, inner: self.inner, outer: self.outer };
            let recipe = self.recipe(vec![1.0]);
            let of = (&engine, architecture);
            reptile.learn(&mut centre, 0..body, of, &tasks, &recipe, &streams, &session.progress)?;
            session.progress.end();
        }
        Ok(write_among_others(path, &engine.layout().to_safetensors(&centre)?)?)
    }

    /// The seen tasks, cut for the common start.
    fn for_the_start(&self, session: &Session) -> Result<Vec<reptile::Task>> {
        let names: Vec<&String> = self.seen().collect();
        for name in &names {
            ensure(&DataSpec::parse(name)?, &session.progress)?;
        }
        session.progress.begin("reading tasks for the common start", names.len() as u64);
        let load = |name: &&String| {
            let splits = self.splits(name)?;
            session.progress.advance(1);
            // Some epochs of a thousand rows are enough for a start.
            Ok(reptile::Task { train: splits.train.first(1000), validation: splits.validation.first(64) })
        };
        names.par_iter().map(load).collect()
    }

    /// What the zoo of one task is trained by.
    fn spec(&self, name: &str, runs: usize, common: &Common, seed: u64) -> Result<ZooSpec> {
        let kind = ZooKind::Shared { noise: self.noise };
        let mut spec = ZooSpec::new(common.architecture.clone(), self.asked(name)?, kind, runs);
        (spec.name, spec.seed, spec.centre) = (name.into(), seed, Some(common.centre.clone()));
        spec.recipe = self.recipe(vec![0.0, 1.0]);
        Ok(spec)
    }

    /// The shards of the zoo of one task as parts.
    ///
    /// # Errors
    /// A name that is no task.
    pub fn parts<'a>(
        &self,
        name: &str,
        runs: usize,
        common: &Common,
        seed: u64,
        session: &'a Session,
    ) -> Result<Vec<Part<'a>>> {
        let (spec, data) = (self.spec(name, runs, common, seed)?, DataSpec::parse(name)?);
        Ok(made::shards(spec, common.folder(name), move |spec, folder, task| {
            ensure(&data, &session.progress)?;
            let train = |spec: &ZooSpec| train_task(spec, folder, task, &session.progress);
            with_rows_that_there_are(spec.clone(), train).map(drop)
        }))
    }

    /// The shards of the zoos of all seen tasks as parts.
    ///
    /// # Errors
    /// As [`Self::parts`].
    pub fn all_parts<'a>(&self, common: &Common, seed: u64, session: &'a Session) -> Result<Vec<Part<'a>>> {
        let each = self.seen().enumerate();
        let each = each.map(|(i, name)| self.parts(name, self.runs, common, seed_of(seed, i), session));
        Ok(each.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// The zoo of one task.
    ///
    /// # Errors
    /// Data that cannot be had, Ctrl-C.
    pub fn zoo(&self, name: &str, runs: usize, common: &Common, seed: u64, session: &Session) -> Result<ZooStore> {
        let options = TrainOptions { resume: session.common.resume, ..TrainOptions::default() };
        let folder = common.folder(name);
        ensure(&DataSpec::parse(name)?, &session.progress)?;
        let spec = self.spec(name, runs, common, seed)?;
        if let Some(zoo) = finished(&spec, &folder).filter(|_| session.common.resume) {
            return Ok(zoo);
        }
        let quiet = Quiet(&session.progress);
        with_rows_that_there_are(spec, |spec| train_zoo(spec, &folder, &options, &quiet))
    }

    /// The zoos of all seen tasks, with their names.
    ///
    /// # Errors
    /// As [`Self::zoo`].
    pub fn zoos(&self, common: &Common, seed: u64, session: &Session) -> Result<Vec<ZooStore>> {
        let names: Vec<&String> = self.seen().collect();
        session.progress.begin("training zoos", names.len() as u64);
        let zoos = names.iter().enumerate().map(|(i, name)| {
            let zoo = self.zoo(name, self.runs, common, seed_of(seed, i), session)?;
            session.progress.advance(1);
            Ok(zoo)
        });
        let zoos = zoos.collect::<Result<Vec<_>>>();
        session.progress.end();
        zoos
    }
}
