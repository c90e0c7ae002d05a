//! What a fit is asked for: a TOML file, flags and `--set` together give one checked [`FitConfig`].
use crate::session::Session;
use crate::settings;
use anyhow::{Result, bail};
use std::path::PathBuf;
use thalweg::method::MethodConfig;
use thalweg::model::FitConfig;
use thalweg_nets::Error;
use thalweg_nets::zoo::ZooStore;

/// Flags that say what a fit is.
#[derive(clap::Args, Debug)]
pub struct FitFlags {
    // The library knows its methods.
    #[arg(long, value_name = "NAME", help = format!("Method: {}", MethodConfig::help()))]
    method: Option<String>,
    /// A TOML file with the fit's settings; flags override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Optimiser steps
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Batch size: curves a step
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
}

impl FitFlags {
    /// The configuration of a fit to `zoos`; of one of `tasks`, where they are that.
    ///
    /// # Errors
    /// A file that cannot be read; unknown keys; values out of range; a context without tasks; more marginals than there are checkpoints.
    pub fn settings(&self, zoos: &[ZooStore], tasks: bool, session: &Session) -> Result<FitConfig> {
        let mut config = match &self.config {
            Some(path) => {
                FitConfig::from_toml_str(path, &std::fs::read_to_string(path).map_err(Error::io("read", path))?)?
            }
            None if tasks => FitConfig::for_tasks(),
            None => FitConfig::default(),
        };
        if tasks {
            config.context.get_or_insert_default();
        } else if config.context.is_some() {
            bail!("the fit's settings have a [context] table: add --context");
        }
        if let Some(name) = &self.method {
            // A file's own settings stay where the flag only repeats its method.
            if config.method.name() != name {
                config.method = MethodConfig::named(name)?;
            }
        }
        if let Some(steps) = self.steps {
            config.steps = steps;
        }
        if let Some(batch) = self.batch {
            config.batch = batch;
        }
        if !session.common.set.is_empty() {
            config = settings::read("the fit's settings", &toml::to_string(&config)?, &session.common.set)?;
        }
        config.seed = session.seed_or(config.seed);
        config.check()?;
        enough_checkpoints(&config.method, zoos)?;
        Ok(config)
    }
}

/// Refuses a method that asks for more marginals than runs have checkpoints, with the setting that fits.
fn enough_checkpoints(method: &MethodConfig, zoos: &[ZooStore]) -> Result<()> {
    let checkpoints = zoos.iter().map(ZooStore::checkpoints).min().unwrap_or_default();
    match method.remedy(checkpoints) {
        None => Ok(()),
        Some(fits) => bail!(
            "{} trains on {} marginals, ends included, and runs have {checkpoints} checkpoints: add --set {fits}, or make runs with more (--checkpoints)",
            method.name(),
            method.marginals()
        ),
    }
}
