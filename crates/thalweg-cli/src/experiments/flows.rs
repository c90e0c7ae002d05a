//! What the figures of trajectory inference share: zoos of several kinds, and fits of several methods with several seeds on each.
use super::experiment::Run;
use super::made::{self, ALIGNED, Zoos, folder, model_dir};
use super::parts::{Part, Stage};
use crate::report::Look;
use crate::report::figures::mean_sem;
use crate::settings;
use crate::study::Labelled;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use thalweg::model::FitConfig;
use thalweg::model::MetaModel;
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::zoo::{RunSplit, ZooKind, ZooStore};
use toml::Table;

/// A method of the comparison: its name in tables, and its fit.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it changes of the common fit.
    pub fit: Table,
}

/// Zoos and fits, as the TOML files of the figures have them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Flows {
    /// Seed of the zoos, and of the first fit.
    pub seed: u64,
    /// Data sets, `NAME[:PATH]`.
    pub data: Vec<String>,
    /// Kinds of zoos.
    pub kinds: Vec<String>,
    /// Fits of each method, seeds `seed`, `seed + 1`, …
    pub fits: u64,
    /// Networks sampled from each fit.
    pub samples: usize,
    /// Only these of the methods; all where empty.
    pub only: Vec<String>,
    /// Zoos: `all`, then what a kind changes.
    pub zoo: BTreeMap<String, Table>,
    /// What all fits share.
    pub fit: Table,
    /// The methods, in the order of tables.
    pub methods: Vec<Named>,
}

/// One fit.
pub struct Fit {
    /// Its method's name.
    pub method: String,
    /// Its seed.
    pub seed: u64,
    /// The model.
    pub model: MetaModel,
}

impl Named {
    /// The configuration of a fit by it, `common` to all methods but for what it changes.
    ///
    /// # Errors
    /// A table that is no fit.
    pub fn config(&self, common: &Table, seed: u64) -> Result<FitConfig> {
        let text = toml::to_string(&settings::over(common, &self.fit))?;
        let mut config = FitConfig::from_toml_str(Path::new(&format!("method {}", self.name)), &text)?;
        config.seed = seed;
        Ok(config)
    }
}

impl Flows {
    /// # Errors
    /// Unknown kinds, data or methods, empty lists, fits that are no fits: before anything is touched.
    pub fn check(&self) -> Result<()> {
        for kind in self.kinds.iter().chain(self.zoo.keys().filter(|k| *k != "all")) {
            if (!ZooKind::NAMES.contains(&kind.as_str()) && kind != ALIGNED) || kind == "tail" {
                bail!("expected kinds among independent, {ALIGNED}, shared, fork (with trajectories), found {kind}");
            }
        }
        for kind in &self.kinds {
            made::check(&settings::merged(&self.zoo, &["all", kind])).with_context(|| format!("{kind} zoo"))?;
        }
        if self.fits == 0 || self.samples < 2 || self.data.is_empty() || self.kinds.is_empty() {
            bail!("expected fits of at least 1, samples of at least 2, some data and some kinds");
        }
        for name in &self.data {
            DataSpec::parse(name)?;
        }
        if let Some(unknown) = self.only.iter().find(|name| !self.methods.iter().any(|m| m.name == **name)) {
            let names = self.methods.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ");
            bail!("expected only among {names}, found {unknown}");
        }
        for method in self.chosen() {
            self.config(method, 0)?;
        }
        Ok(())
    }

    /// The methods to run.
    pub fn chosen(&self) -> impl Iterator<Item = &Named> {
        self.methods.iter().filter(|m| self.only.is_empty() || self.only.contains(&m.name))
    }

    /// The configuration of fit number `fit` of `method`.
    ///
    /// # Errors
    /// A table that is no fit.
    pub fn config(&self, method: &Named, fit: u64) -> Result<FitConfig> {
        method.config(&self.fit, self.seed + fit)
    }

    /// What `of` makes of every kind of zoo on every data set.
    ///
    /// # Errors
    /// Those of `of`.
    pub fn each_zoo<T>(&self, run: &Run, of: impl Fn(&str, &str) -> Result<T>) -> Result<Vec<T>> {
        let each = self.pairs().map(|(data, kind)| {
            run.session.say(&format!("{data}, {kind} zoo"));
            of(data, kind)
        });
        each.collect()
    }

    /// Every kind of zoo on every data set.
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.data.iter().flat_map(|data| self.kinds.iter().map(move |kind| (data.as_str(), kind.as_str())))
    }

    /// The parts of a stage of a figure's zoos; `fits` says those of the models on each.
    ///
    /// # Errors
    /// As [`Self::zoo`], but for what goes wrong in training.
    pub fn parts<'a>(
        &'a self,
        run: Run<'a>,
        stage: Stage,
        fits: impl Fn(&'a str, &'a str) -> Vec<Part<'a>>,
    ) -> Result<Vec<Part<'a>>> {
        let mut parts = Vec::new();
        for (data, kind) in self.pairs() {
            parts.extend(match stage {
                Stage::Fits => fits(data, kind),
                _ => Zoos { run, tables: &self.zoo, seed: self.seed }.parts(data, kind, stage)?,
            });
        }
        Ok(parts)
    }

    /// The models of [`Self::each_fit`] as parts.
    pub fn fits<'a>(&'a self, run: Run<'a>, data: &'a str, kind: &'a str) -> Vec<Part<'a>> {
        let part = |(method, fit): (&'a Named, u64)| {
            let dir = model_dir(&run, &folder(data, kind), &method.name, fit);
            Part::model(dir.clone(), move || {
                made::fitted(&run, &self.zoo(&run, data, kind)?, &self.config(method, fit)?, &dir).map(drop)
            })
        };
        self.chosen().flat_map(|method| (0..self.fits).map(move |fit| (method, fit))).map(part).collect()
    }

    /// The zoo of this kind on these data, trained in the folder of the experiment if it is not there.
    ///
    /// # Errors
    /// Data that cannot be had, a zoo that cannot be trained.
    pub fn zoo(&self, run: &Run, data: &str, kind: &str) -> Result<ZooStore> {
        Zoos { run: *run, tables: &self.zoo, seed: self.seed }.get(data, kind)
    }

    /// The same, with what its flows are judged by.
    ///
    /// # Errors
    /// As [`Self::zoo`]; no method.
    pub fn ground(&self, run: &Run, data: &str, kind: &str) -> Result<Ground> {
        let first = self.chosen().next().context("no method")?;
        Ground::new(self.zoo(run, data, kind)?, folder(data, kind), &self.config(first, 0)?)
    }

    /// Every fit of every chosen method on the zoo of `ground`, one after the other, handed to `use_it`.
    ///
    /// # Errors
    /// A fit's own, and those of `use_it`.
    pub fn each_fit(&self, run: &Run, ground: &Ground, mut use_it: impl FnMut(Fit) -> Result<()>) -> Result<()> {
        for method in self.chosen() {
            for fit in 0..self.fits {
                let config = self.config(method, fit)?;
                let model = made::fitted(run, &ground.zoo, &config, &model_dir(run, &ground.name, &method.name, fit))?;
                use_it(Fit { method: method.name.clone(), seed: config.seed, model })?;
            }
        }
        Ok(())
    }
}

/// A zoo with what its flows are judged by.
pub struct Ground {
    /// The zoo.
    pub zoo: ZooStore,
    /// Its folder's name.
    name: String,
    /// Its engine.
    pub engine: Engine,
    /// Validation rows, for curves.
    pub validation: Dataset,
    /// Test rows, for tables.
    pub test: Labelled,
    /// Who is trained on, chosen by, and the reference.
    pub split: RunSplit,
    /// Times of the checkpoints `[K]`.
    pub times: Vec<f64>,
}

impl Ground {
    fn new(zoo: ZooStore, name: String, config: &FitConfig) -> Result<Self> {
        let engine = Engine::new(zoo.architecture().context("a trained zoo knows its architecture")?)?;
        let splits = zoo.data().context("a trained zoo knows its data")?.load()?;
        let split = config.split.of(&zoo)?;
        let times = config.time_grid.times(&zoo, &split.train)?;
        let test = Labelled::new(&engine, splits.test)?;
        Ok(Self { zoo, name, engine, validation: splits.validation, test, split, times })
    }

    /// The networks of `runs` at every checkpoint, `[K][n, P]`.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn checkpoints(&self, runs: &[usize]) -> Result<Vec<Vec<f32>>> {
        let at = |checkpoint: usize| {
            let mut theta = vec![0.0; runs.len() * self.zoo.parameters()];
            self.zoo.gather(&runs.iter().map(|&run| (run, checkpoint)).collect::<Vec<_>>(), &mut theta)?;
            Ok(theta)
        };
        (0..self.zoo.checkpoints()).map(at).collect()
    }

    /// Mean test accuracy of `theta [n, P]` with its standard error.
    ///
    /// # Errors
    /// Weights that are not finite.
    pub fn accuracy(&self, theta: &[f32]) -> Result<(f64, f64)> {
        Ok(mean_sem(&self.test.accuracies(&self.engine, theta)?))
    }
}

/// The look of the `i`-th method's line: seven colours, then dashed.
pub fn look(i: usize, method: &str) -> Look {
    let look = Look::new(i % 7 + 1, method);
    if i >= 7 { look.dashed() } else { look }
}
