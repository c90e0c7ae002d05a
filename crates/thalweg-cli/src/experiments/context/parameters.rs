//! Parameters of the experiment, and what follows from them.
use crate::experiments::tasks::Tasks;
use crate::settings;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use thalweg::model::FitConfig;
use toml::Table;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Contexts {
    pub(super) seed: u64,
    pub(super) shots: Vec<usize>,
    pub(super) draws: u64,
    pub(super) networks: usize,
    pub(super) ode_steps: usize,
    pub(super) guidance: Vec<f64>,
    pub(super) references: usize,
    pub(super) seen_judged: usize,
    /// The tasks.
    pub tasks: Tasks,
    pub(super) fit: Table,
    #[serde(default)]
    pub(super) rivals: BTreeMap<String, Table>,
}

impl Contexts {
    /// The conditional fit.
    ///
    /// # Errors
    /// Unknown keys, values out of range, no `[fit.context]`.
    pub fn conditional(&self) -> Result<FitConfig> {
        self.conditional_of(&self.fit)
    }

    /// The fits beside it, by name.
    ///
    /// # Errors
    /// As [`Self::conditional`].
    pub fn rivals(&self) -> Result<Vec<(String, FitConfig)>> {
        let of = |(name, over): (&String, &Table)| {
            let mut fit = self.fit.clone();
            // A choice takes the place of another; only what both have settings for is merged.
            let choices = ["method", "latent", "field"];
            choices.iter().filter(|key| over.contains_key(**key)).for_each(|key| drop(fit.remove(*key)));
            let both = BTreeMap::from([("fit".to_owned(), fit), ("over".to_owned(), over.clone())]);
            let table = settings::merged(&both, &["fit", "over"]);
            Ok((name.clone(), self.conditional_of(&table).with_context(|| format!("rivals.{name}"))?))
        };
        self.rivals.iter().map(of).collect()
    }

    fn conditional_of(&self, table: &Table) -> Result<FitConfig> {
        let mut config = FitConfig::from_toml_str(Path::new("fit"), &toml::to_string(table)?)?;
        if config.context.is_none() {
            bail!("[fit] wants a table [fit.context]");
        }
        config.seed = self.seed;
        Ok(config)
    }
}
