//! What experiments are made from, and what an interrupted run has made already: zoos, and models fitted to them.
use super::experiment::Run;
use crate::data::ensure;
use crate::session::Session;
use crate::settings;
use crate::work::fit::fit_into;
use crate::work::model;
use crate::work::plan;
use crate::work::zoo::best_run;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use thalweg::model::FitConfig;
use thalweg::model::MetaModel;
use thalweg::space::align::align_zoo;
use thalweg_nets::Error;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::{DeriveOptions, TrainOptions, ZooStore, train_zoo};
use toml::{Table, Value};

/// The kind that is made by aligning the independent zoo to its best run.
pub const ALIGNED: &str = "aligned";

/// Kinds of zoos, and what decides them: `all`, then what a kind changes.
pub struct Zoos<'a> {
    /// The experiment.
    pub run: &'a Run<'a>,
    /// The tables.
    pub tables: &'a BTreeMap<String, Table>,
    /// Their seed.
    pub seed: u64,
}

impl Zoos<'_> {
    /// The zoo of `kind` on data `NAME[:PATH]`, trained in the folder of the experiment if it is not there.
    ///
    /// # Errors
    /// As [`zoo`].
    pub fn get(&self, data: &str, kind: &str) -> Result<ZooStore> {
        let Run { out, session, .. } = *self.run;
        let trained = if kind == ALIGNED { "independent" } else { kind };
        let mut table = settings::merged(self.tables, &["all", trained]);
        table.insert("data".into(), Value::String(data.into()));
        let (zoos, resume) = (out.join("zoos"), session.common.resume || kind == ALIGNED);
        let zoo = trained_into(self.run, &zoos.join(folder(data, trained)), table, self.seed, resume)?;
        match kind {
            ALIGNED => {
                let alone = zoos.join(folder(data, ALIGNED));
                let dir = self.run.zoos.map_or(alone, |shared| shared.join(format!("{ALIGNED}-{}", zoo.origin().id())));
                aligned(&zoo, &dir, session)
            }
            _ => Ok(zoo),
        }
    }
}

/// The zoo that `table` of the experiment's file describes, trained into `dir`; its data are fetched if they are not there.
///
/// # Errors
/// A table that is no zoo, data that cannot be had, a zoo that cannot be trained.
pub fn zoo(run: &Run, table: Table, seed: u64, dir: &Path) -> Result<ZooStore> {
    trained_into(run, dir, table, seed, run.session.common.resume)
}

/// The zoo in `dir`, or, where experiments share their zoos, in the folder of its recipe.
fn trained_into(run: &Run, dir: &Path, table: Table, seed: u64, resume: bool) -> Result<ZooStore> {
    let Run { origin, session, .. } = *run;
    if let Some(data) = table.get("data").and_then(|data| data.as_str()) {
        ensure(&DataSpec::parse(data)?, &session.progress)?;
    }
    let mut spec = plan::from_table(Path::new(origin), table, &session.progress)?;
    spec.seed = seed;
    let shared = match run.zoos {
        Some(zoos) => Some(zoos.join(format!("{}-{}-{}", spec.data.name, spec.kind.name(), hash(&spec.to_toml()?)))),
        None => None,
    };
    let options = TrainOptions { resume: resume || shared.is_some(), ..TrainOptions::default() };
    let zoo = train_zoo(&spec, shared.as_deref().unwrap_or(dir), &options, &session.progress)?;
    session.progress.end();
    Ok(zoo)
}

/// The first digits of the BLAKE3 of a recipe.
pub fn hash(recipe: &str) -> String {
    blake3::hash(recipe.as_bytes()).to_hex()[..16].to_owned()
}

/// `zoo` aligned to its run of least final validation loss, in `dir`.
fn aligned(zoo: &ZooStore, dir: &Path, session: &Session) -> Result<ZooStore> {
    let reference = best_run(zoo).with_context(|| format!("{}: every run failed", zoo.dir().display()))?;
    let options = DeriveOptions { resume: session.common.resume, force: false };
    let aligned = align_zoo(zoo, reference, dir, options, &session.progress)?;
    session.progress.end();
    Ok(aligned)
}

/// The folder of a zoo's kind on data `NAME[:PATH]`.
pub fn folder(data: &str, kind: &str) -> String {
    format!("{}-{kind}", data.split(':').next().unwrap_or(data))
}

/// The model of one fit; what an interrupted run has finished is loaded.
///
/// # Errors
/// The fit's own; a finished model of another configuration.
pub fn fitted(zoo: &ZooStore, config: &FitConfig, dir: &Path, session: &Session) -> Result<MetaModel> {
    fitted_to(&[zoo], config, dir, session)
}

/// The same for a fit to several zoos, one a task.
///
/// # Errors
/// As [`fitted`].
pub fn fitted_to(zoos: &[&ZooStore], config: &FitConfig, dir: &Path, session: &Session) -> Result<MetaModel> {
    if session.common.resume && model::is_in(dir) {
        let model = MetaModel::load(dir)?;
        if model.config != *config {
            bail!(
                "{}: expected the fit that is asked for, found another (settings were changed; use another --out)",
                dir.display()
            );
        }
        return Ok(model);
    }
    std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    // Methods of one experiment share what they train alike.
    fit_into(zoos, config, dir, &dir.with_file_name("latents"), session)
}
