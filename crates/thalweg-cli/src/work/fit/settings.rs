//! What a fit is asked for: a TOML file, flags and `--set` together give one checked [`FitConfig`].
use crate::session::Session;
use crate::settings;
use anyhow::{Result, bail};
use std::path::PathBuf;
use thalweg::fit::character::adapt;
use thalweg::fit::{Character, suited};
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
    /// Many fits in one folder: one for each of these values of a setting, named as for --set, or of method, seed; repeated, for every combination
    #[arg(long, value_name = "KEY=VALUE,…")]
    pub sweep: Vec<String>,
}

impl FitFlags {
    /// The configuration of a fit to `zoos`, of one of `tasks` where they are that: what follows from the zoo, a file and flags over it; and what
    /// follows from the zoo, in words.
    ///
    /// # Errors
    /// A file that cannot be read; unknown keys; values out of range; a context without tasks; more marginals than there are checkpoints.
    pub fn settings(&self, zoos: &[ZooStore], tasks: bool, session: &Session) -> Result<Asked> {
        self.asked(zoos, tasks, &Over { method: None, set: &session.common.set, seed: session.common.seed })
    }

    /// As [`Self::settings`], with what one fit of a sweep has in the place of flags.
    ///
    /// # Errors
    /// As [`Self::settings`].
    pub(super) fn asked(&self, zoos: &[ZooStore], tasks: bool, over: &Over<'_>) -> Result<Asked> {
        let named = over.method.or(self.method.as_deref());
        let text = self.config.as_ref().map(|path| std::fs::read_to_string(path).map_err(Error::io("read", path)));
        let text = text.transpose()?.unwrap_or_default();
        let (mut because, mut character) = (Vec::new(), None);
        let mut config = match (&self.config, &zoos[0]) {
            (Some(path), _) => FitConfig::from_toml_str(path, &text)?,
            (None, _) if tasks => FitConfig::for_tasks(),
            (None, zoo) => {
                let method = named.or_else(|| method_of(over.set));
                let found = Character::of(zoo)?;
                let suited = suited(zoo, &found, method)?;
                character = Some(found);
                because = suited.because;
                suited.config
            }
        };
        if tasks {
            config.context.get_or_insert_default();
        } else if config.context.is_some() {
            bail!("the fit's settings have a [context] table: add --context");
        }
        if let Some(name) = named {
            // A file's own settings stay where the flag only repeats its method.
            if config.method.name() != name {
                config.method = MethodConfig::named(name)?;
            }
        }
        if let (Some(_), false, false) = (&self.config, tasks, said(&text, config.method.name())) {
            let found = Character::of(&zoos[0])?;
            adapt(&mut config, &zoos[0], &found, &mut because);
            character = Some(found);
        }
        if let Some(steps) = self.steps {
            config.steps = steps;
        }
        if let Some(batch) = self.batch {
            config.batch = batch;
        }
        if !over.set.is_empty() {
            config = settings::read("the fit's settings", &toml::to_string(&config)?, over.set)?;
        }
        config.seed = over.seed.unwrap_or(config.seed);
        config.check()?;
        enough_checkpoints(&config.method, zoos)?;
        Ok(Asked { config, because, character })
    }
}

/// What is laid over a fit's flags.
pub(super) struct Over<'a> {
    /// The method, in the place of that of the flags.
    pub(super) method: Option<&'a str>,
    /// Settings as `--set` takes them.
    pub(super) set: &'a [String],
    /// The seed, in the place of the configuration's.
    pub(super) seed: Option<u64>,
}

/// What is asked of a fit.
pub struct Asked {
    /// Its configuration.
    pub config: FitConfig,
    /// What of it follows from the zoo, and why.
    pub because: Vec<String>,
    /// What the zoo is, where that was looked at.
    pub character: Option<Character>,
}

/// The method that `--set method.NAME.…` speaks of.
fn method_of(set: &[String]) -> Option<&str> {
    let name = |text: &'_ String| -> Option<usize> {
        let rest = text.trim_start().strip_prefix("method.")?;
        MethodConfig::NAMES
            .iter()
            .position(|name| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '='])))
    };
    set.iter().find_map(name).map(|i| MethodConfig::NAMES[i])
}

/// Whether the settings in `text` say what a fit by `method` starts from, or how runs are split: then nothing of it is changed.
fn said(text: &str, method: &str) -> bool {
    let table: toml::Table = text.parse().unwrap_or_default();
    let of_method = table.get("method").and_then(|methods| methods.get(method));
    of_method.is_some_and(|own| own.get("source").is_some() || own.get("coupling").is_some())
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
