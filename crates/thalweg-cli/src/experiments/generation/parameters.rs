//! Parameters of the tables, and what follows from them for each fit.
use crate::settings;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use thalweg::model::FitConfig;
use toml::Table;

/// A method of the table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Its name in tables.
    pub(super) name: String,
    /// What it changes of the common fit.
    pub(super) fit: Table,
    /// What it changes besides on a kind of zoo.
    #[serde(default)]
    pub(super) on: BTreeMap<String, Table>,
    /// The kinds that it is for; all where empty.
    #[serde(default)]
    pub(super) kinds: Vec<String>,
    /// Solver steps, or strides of a diffusion.
    #[serde(default = "steps")]
    pub(super) steps: usize,
    /// Whether it is also sampled from training starts, as a memorisation probe.
    #[serde(default)]
    pub(super) probe: bool,
}

fn steps() -> usize {
    100
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Generation {
    pub(super) seed: u64,
    pub(super) data: Vec<String>,
    pub(super) kinds: Vec<String>,
    /// Only these of the methods; all where empty.
    pub(super) only: Vec<String>,
    pub(super) fits: u64,
    pub(super) samples: usize,
    /// Whether the first method is also fitted to weights shuffled within tensors, as a control.
    pub(super) control: bool,
    /// Sizes of the ensembles that are judged; none where empty.
    pub(super) ensembles: Vec<usize>,
    /// The method that is to reach `shared_accuracy` on shared zoos of MNIST, above a fresh start plus the mean move.
    pub(super) shared_gate: String,
    pub(super) shared_accuracy: f64,
    pub(super) zoo: BTreeMap<String, Table>,
    /// Fits: `all`, then what a kind of zoo changes.
    pub(super) fit: BTreeMap<String, Table>,
    pub(super) methods: Vec<Listed>,
}

impl Generation {
    /// The methods to run on zoos of `kind`.
    pub(super) fn chosen<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Listed> {
        let named = |m: &&Listed| self.only.is_empty() || self.only.contains(&m.name);
        self.methods.iter().filter(named).filter(move |m| m.kinds.is_empty() || m.kinds.iter().any(|k| k == kind))
    }

    /// The configuration of fit number `fit` of `method` on a zoo of `kind`.
    ///
    /// # Errors
    /// A table that is no fit.
    pub(super) fn config(&self, method: &Listed, kind: &str, fit: u64) -> Result<FitConfig> {
        let mut tables = self.fit.clone();
        tables.insert("the method's".into(), method.fit.clone());
        tables.insert("the method's on this kind".into(), method.on.get(kind).cloned().unwrap_or_default());
        let table = settings::merged(&tables, &["all", kind, "the method's", "the method's on this kind"]);
        let origin = format!("method {}, {kind} zoo", method.name);
        let mut config = FitConfig::from_toml_str(Path::new(&origin), &toml::to_string(&table)?)?;
        config.seed = self.seed + fit;
        Ok(config)
    }
}
