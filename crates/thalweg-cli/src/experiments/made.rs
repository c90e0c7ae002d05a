//! What experiments are made from, and what an interrupted run has made already: zoos, and models fitted to them.
use crate::commands::data::ensure;
use crate::commands::fit::fit_into;
use crate::commands::zoo::plan;
use crate::session::Session;
use anyhow::{Result, bail};
use std::path::Path;
use thalweg::fit::FitConfig;
use thalweg::model::MetaModel;
use thalweg_nets::Error;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::{TrainOptions, ZooStore, train_zoo};
use toml::Table;

/// The zoo that `table` of `origin` describes, trained into `dir`; its data are fetched if they are not there.
///
/// # Errors
/// A table that is no zoo, data that cannot be had, a zoo that cannot be trained.
pub fn zoo(origin: &str, table: Table, seed: u64, dir: &Path, session: &Session) -> Result<ZooStore> {
    if let Some(data) = table.get("data").and_then(|data| data.as_str()) {
        ensure(&DataSpec::parse(data)?, &session.progress)?;
    }
    let mut spec = plan::from_table(Path::new(origin), table, &session.progress)?;
    spec.seed = seed;
    let options = TrainOptions { resume: session.common.resume, ..TrainOptions::default() };
    let zoo = train_zoo(&spec, dir, &options, &session.progress)?;
    session.progress.end();
    Ok(zoo)
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
    if session.common.resume && dir.join("model.toml").exists() {
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
    fit_into(zoo, config, dir, session)
}
