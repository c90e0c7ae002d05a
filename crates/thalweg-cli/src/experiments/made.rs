//! What experiments are made from, and what an interrupted run has made already: zoos, and models fitted to them.
use super::experiment::Run;
use super::parts::{Part, Stage, whole};
use crate::data::ensure;
use crate::session::Session;
use crate::settings;
use crate::work::fit::{fit_among_others, fit_or_read};
use crate::work::plan;
use crate::work::zoo::best_run;
use anyhow::{Context, Result, anyhow};
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thalweg::Streams;
use thalweg::model::FitConfig;
use thalweg::model::MetaModel;
use thalweg::space::align::{Target, align_task, align_zoo};
use thalweg_nets::data::DataSpec;
use thalweg_nets::pieces::{Task, apart};
use thalweg_nets::zoo::{
    DeriveOptions, TrainOptions, ZooKind, ZooSpec, ZooStore, derive, derive_task, train_task, train_zoo,
};
use toml::{Table, Value};

/// The kind that is made by aligning the independent zoo to its best run.
pub const ALIGNED: &str = "aligned";

/// Kinds of zoos, and what decides them: `all`, then what a kind changes.
#[derive(Clone, Copy)]
pub struct Zoos<'a> {
    /// The experiment.
    pub run: Run<'a>,
    /// The tables.
    pub tables: &'a BTreeMap<String, Table>,
    /// Their seed.
    pub seed: u64,
}

impl<'a> Zoos<'a> {
    /// The zoo of `kind` on data `NAME[:PATH]`, trained in the folder of the experiment if it is not there.
    ///
    /// # Errors
    /// As [`zoo`].
    pub fn get(&self, data: &str, kind: &str) -> Result<ZooStore> {
        let recipe = self.trained(data, kind)?;
        let zoo = recipe.train(&self.run, self.run.session.common.resume || kind == ALIGNED)?;
        match kind {
            ALIGNED => aligned_to(&self.run, &zoo, Target::Run, &self.aligned(data, &zoo)),
            _ => Ok(zoo),
        }
    }

    /// What [`Self::get`] is made from, of one stage.
    ///
    /// # Errors
    /// As [`zoo`], but for what goes wrong in training.
    pub fn parts(self, data: &'a str, kind: &'a str, stage: Stage) -> Result<Vec<Part<'a>>> {
        match (stage, kind) {
            (Stage::Zoos, _) => Ok(self.trained(data, kind)?.parts(self.run)),
            (Stage::Derived, ALIGNED) => {
                let source = self.trained(data, kind)?.dir;
                let name = format!("{ALIGNED} {}", source.display());
                let dir = move || whole(&source).then(|| Some(self.aligned(data, &ZooStore::open(&source).ok()?)))?;
                Ok(vec![Part::zoo(name, dir, move || self.get(data, kind).map(drop))])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The zoo that is trained for one of `kind`.
    fn trained(&self, data: &str, kind: &str) -> Result<Recipe> {
        let trained = if kind == ALIGNED { "independent" } else { kind };
        let mut table = settings::merged(self.tables, &["all", trained]);
        table.insert("data".into(), Value::String(data.into()));
        recipe(&self.run, table, self.seed, &zoo_dir(&self.run, &folder(data, trained), ""))
    }

    /// The folder of `zoo` aligned.
    fn aligned(&self, data: &str, zoo: &ZooStore) -> PathBuf {
        let alone = zoo_dir(&self.run, &folder(data, ALIGNED), "");
        self.run.zoos.map_or(alone, |shared| shared.join(format!("{ALIGNED}-{}", zoo.origin().id())))
    }
}

/// A zoo that is to be trained.
pub struct Recipe {
    spec: ZooSpec,
    /// Where: in the experiment's folder, or, where experiments share their zoos, in that of its recipe.
    dir: PathBuf,
}

/// The zoo that `table` of the experiment's file describes, for the folder `dir`; its data are fetched if they are not there.
///
/// # Errors
/// A table that is no zoo, data that cannot be had.
pub fn recipe(run: &Run, table: Table, seed: u64, dir: &Path) -> Result<Recipe> {
    let Run { origin, session, .. } = *run;
    if let Some(data) = table.get("data").and_then(|data| data.as_str()) {
        ensure(&DataSpec::parse(data)?, &session.progress)?;
    }
    let mut spec = plan::from_table(Path::new(origin), table, &session.progress)?;
    spec.seed = seed;
    let dir = match run.zoos {
        Some(zoos) => zoos.join(format!("{}-{}-{}", spec.data.name, spec.kind.name(), hash(&spec.to_toml()?))),
        None => dir.to_path_buf(),
    };
    Ok(Recipe { spec, dir })
}

/// Refuses a table whose recipe or kind cannot be read, before any data are looked for.
///
/// # Errors
/// Unknown keys, values of a wrong type, two choices where one may stand.
pub fn check(table: &Table) -> Result<()> {
    let said = |key: &'static str| move |e: toml::de::Error| anyhow!("zoo.{key}: {}", settings::in_words(e.message()));
    if let Some(recipe) = table.get("recipe") {
        recipe.clone().try_into::<thalweg_nets::train::Recipe>().map_err(said("recipe"))?;
    }
    if let Some(kind) = table.get("kind").filter(|kind| kind.is_table()) {
        kind.clone().try_into::<ZooKind>().map_err(said("kind"))?;
    }
    Ok(())
}

/// The zoo that `table` describes, trained for `dir` if it is not there.
///
/// # Errors
/// As [`recipe`]; a zoo that cannot be trained.
pub fn zoo(run: &Run, table: Table, seed: u64, dir: &Path) -> Result<ZooStore> {
    recipe(run, table, seed, dir)?.train(run, run.session.common.resume)
}

impl Recipe {
    fn train(&self, run: &Run, resume: bool) -> Result<ZooStore> {
        let Self { spec, dir } = self;
        if run.among_others {
            return trained_among_others(spec, dir, run.session);
        }
        let options = TrainOptions { resume: resume || run.zoos.is_some(), ..TrainOptions::default() };
        let zoo = train_zoo(spec, dir, &options, &run.session.progress)?;
        run.session.progress.end();
        Ok(zoo)
    }

    /// The zoo's shards; a tail, which is one run, is one part.
    pub fn parts<'a>(self, run: Run<'a>) -> Vec<Part<'a>> {
        let Self { spec, dir } = self;
        if let ZooKind::Tail { .. } = spec.kind {
            let (name, place) = (dir.display().to_string(), dir.clone());
            let make = move || trained_among_others(&spec, &dir, run.session).map(drop);
            return vec![Part::zoo(name, move || Some(place.clone()), make)];
        }
        shards(spec, dir, move |spec, dir, task| Ok(train_task(spec, dir, task, &run.session.progress).map(drop)?))
    }
}

/// The first digits of the BLAKE3 of a recipe.
pub fn hash(recipe: &str) -> String {
    blake3::hash(recipe.as_bytes()).to_hex()[..16].to_owned()
}

/// The shards of the zoo `spec` in `dir` as parts, made by `train`.
pub fn shards<'a>(
    spec: ZooSpec,
    dir: PathBuf,
    train: impl Fn(&ZooSpec, &Path, Task) -> Result<()> + Sync + Send + 'a,
) -> Vec<Part<'a>> {
    let count = spec.runs.div_ceil(spec.shard.max(1));
    let shared = Arc::new((spec, dir, train));
    let part = |index| {
        let shared = Arc::clone(&shared);
        let make = {
            let shared = Arc::clone(&shared);
            move || (shared.2)(&shared.0, &shared.1, Task::new(index, count)?)
        };
        Part::shard(shared.1.clone(), index, make)
    };
    (0..count).map(part).collect()
}

/// The zoo `spec` in `dir`, which other processes may be making too.
fn trained_among_others(spec: &ZooSpec, dir: &Path, session: &Session) -> Result<ZooStore> {
    match spec.kind {
        // One work, one description: whoever ends it compares them once more.
        _ if whole(dir) => {}
        ZooKind::Tail { .. } => apart(dir, whole, |own| {
            let options = TrainOptions { resume: true, ..TrainOptions::default() };
            train_zoo(spec, own, &options, &session.progress).map(drop)
        })?,
        _ => {
            train_task(spec, dir, Task::new(0, 1)?, &session.progress)?;
        }
    }
    session.progress.end();
    Ok(ZooStore::open(dir)?)
}

/// `zoo` aligned to the target that begins with its run of least final validation loss, in `dir`.
///
/// # Errors
/// A zoo whose runs all failed, or that cannot be aligned.
pub fn aligned_to(run: &Run, zoo: &ZooStore, target: fn(usize) -> Target, dir: &Path) -> Result<ZooStore> {
    let reference = best_run(zoo).with_context(|| format!("{}: every run failed", zoo.dir().display()))?;
    let (target, progress) = (target(reference), &run.session.progress);
    derived(
        run,
        dir,
        |task| align_task(zoo, target, dir, task, progress).map(drop),
        |options| align_zoo(zoo, target, dir, options, progress),
    )
}

/// The derived zoo in `dir`: made by `alone`, or, where other processes may be making it too, the whole of it as one `task` if it is not there.
fn derived(
    run: &Run,
    dir: &Path,
    task: impl FnOnce(Task) -> thalweg_nets::Result<()>,
    alone: impl FnOnce(DeriveOptions) -> thalweg_nets::Result<ZooStore>,
) -> Result<ZooStore> {
    let zoo = match run.among_others {
        true => {
            if !whole(dir) {
                task(Task::new(0, 1)?)?;
            }
            ZooStore::open(dir)?
        }
        false => alone(DeriveOptions { resume: run.session.common.resume, force: false })?,
    };
    run.session.progress.end();
    Ok(zoo)
}

/// `zoo` with the weights of every tensor shuffled, each run in an order of its own, in `dir`: what a method learns there it knows from the laws of single
/// weights alone.
///
/// # Errors
/// A zoo that cannot be read or written.
pub fn shuffled(run: &Run, zoo: &ZooStore, dir: &Path) -> Result<ZooStore> {
    let (layout, streams) = (zoo.layout().clone(), Streams::new(0).child("shuffle"));
    let step = |run: usize, trajectory: &mut [f32]| {
        for theta in trajectory.chunks_exact_mut(layout.len()) {
            // One order for all checkpoints of a run.
            let mut rng = streams.index(run as u64).rng();
            layout.slots().iter().for_each(|slot| theta[slot.range()].shuffle(&mut rng));
        }
        Ok(())
    };
    let (how, progress) = ("weights shuffled within tensors", &run.session.progress);
    derived(
        run,
        dir,
        |task| derive_task(zoo, dir, how, task, &step, progress).map(drop),
        |options| derive(zoo, dir, how, options, &step, progress),
    )
}

/// The folder of a zoo's kind on data `NAME[:PATH]`.
pub fn folder(data: &str, kind: &str) -> String {
    format!("{}-{kind}", data.split(':').next().unwrap_or(data))
}

/// The mean network `[P]`.
pub fn mean<'a>(networks: impl Iterator<Item = &'a [f32]>, p: usize) -> Vec<f32> {
    let (mut sum, mut n) = (vec![0f64; p], 0.0);
    for network in networks {
        sum.iter_mut().zip(network).for_each(|(s, w)| *s += f64::from(*w));
        n += 1.0;
    }
    sum.iter().map(|s| (s / n) as f32).collect()
}

/// The folder of the zoo `name`, or of one derived from it `how`.
pub fn zoo_dir(run: &Run, name: &str, how: &str) -> PathBuf {
    run.out.join("zoos").join(format!("{name}{how}"))
}

/// The folder of fit number `fit` of `method` to the zoo `name`.
pub fn model_dir(run: &Run, name: &str, method: &str, fit: u64) -> PathBuf {
    run.out.join("models").join(format!("{name}-{method}-{fit}"))
}

/// The model of one fit; what an interrupted run, or another process, has finished is loaded.
///
/// # Errors
/// The fit's own; a finished model of another configuration.
pub fn fitted(run: &Run, zoo: &ZooStore, config: &FitConfig, dir: &Path) -> Result<MetaModel> {
    fitted_to(run, &[zoo], config, dir)
}

/// The same for a fit to several zoos, one a task.
///
/// # Errors
/// As [`fitted`].
pub fn fitted_to(run: &Run, zoos: &[&ZooStore], config: &FitConfig, dir: &Path) -> Result<MetaModel> {
    // Methods of one experiment share what they train alike.
    let (session, latents) = (run.session, dir.with_file_name("latents"));
    if run.among_others {
        fit_among_others(zoos, config, dir, &latents, session)?;
    }
    fit_or_read(zoos, config, dir, &latents, session)
}
