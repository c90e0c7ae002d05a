//! Parameters of the price list, and the runs that one data set has for it.
use crate::data;
use crate::experiments::experiment::Run;
use crate::experiments::few_gradients::{Optimiser, Training, Tuning};
use crate::experiments::flows::Named;
use crate::experiments::made::{self, folder, zoo_dir};
use crate::study::Study;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use thalweg::reward::{OnData, Rows};
use thalweg::space::align::Target;
use thalweg_nets::data::Dataset;
use thalweg_nets::zoo::{RunSplit, Shares, ZooStore};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Prices {
    pub seed: u64,
    pub data: Vec<String>,
    /// Networks behind every row.
    pub networks: usize,
    /// Rows of a gradient.
    pub rows: usize,
    /// Gradients after which networks from each start are looked at.
    pub gradients: Vec<usize>,
    /// The same from fresh starts.
    pub fresh_gradients: Vec<usize>,
    pub optimisers: Vec<Optimiser>,
    pub tuning: Tuning,
    /// Gradients for which steps are trained as well (M24); none for no start.
    pub trained_steps: Vec<usize>,
    pub training: Training,
    /// New runs that say what training anew takes.
    pub new_runs: usize,
    /// Runs: as they are, and aligned to their common mean.
    pub zoo: toml::Table,
    /// What all fits share.
    pub fit: toml::Table,
    /// Flows on the aligned runs, to start from.
    pub aligned: Vec<Named>,
    /// Flows on the runs as they are, to start from.
    pub unaligned: Vec<Named>,
}

/// The runs of one data set with all that is needed to make and to judge networks.
pub struct Place {
    pub study: Study,
    /// The runs as they were trained.
    pub unaligned: ZooStore,
    /// Gradients of a run of the zoo's recipe.
    pub steps: usize,
    /// On training rows, a batch at a time.
    pub reward: OnData,
    /// On all validation rows.
    pub chooses: OnData,
}

impl Prices {
    /// The gradients after which networks from fresh starts, or from others, are looked at.
    pub fn gradients_from(&self, fresh: bool) -> &[usize] {
        if fresh { &self.fresh_gradients } else { &self.gradients }
    }

    /// How the fits split the runs, and with them the judgement.
    fn split(&self, zoo: &ZooStore) -> Result<RunSplit> {
        match self.aligned.iter().chain(&self.unaligned).next() {
            Some(method) => Ok(method.config(&self.fit, self.seed)?.split.of(zoo)?),
            None => Ok(zoo.split(Shares::default(), 0)?),
        }
    }
}

impl Place {
    /// The runs of `set` on `data`, trained and aligned where they are not there.
    ///
    /// # Errors
    /// As [`made::zoo`] and [`made::aligned_to`].
    pub fn new(set: &Prices, run: &Run, data: &str) -> Result<Self> {
        let (name, progress) = (folder(data, "runs"), &run.session.progress);
        let mut table = set.zoo.clone();
        table.insert("data".into(), data.into());
        let unaligned = made::zoo(run, table, set.seed, &zoo_dir(run, &name, ""))?;
        let zoo = made::aligned_to(run, &unaligned, Target::Mean, &zoo_dir(run, &name, "-joint"))?;
        let split = set.split(&zoo)?;
        let splits = data::load(zoo.data().context("the zoo does not know its data")?, progress)?;
        let study = Study::new(zoo, split, None, progress)?;
        let loss = |of: &Dataset, rows| OnData::loss(data, &study.engine, of.inputs.clone(), of.labels.clone(), rows);
        let (reward, chooses) = (loss(&splits.train, Rows::Batch(set.rows))?, loss(&splits.validation, Rows::All)?);
        let recipe = &unaligned.spec().context("a trained zoo knows its recipe")?.recipe;
        let steps = usize::try_from(recipe.steps(splits.train.labels.len())?)?;
        Ok(Self { study, unaligned, steps, reward, chooses })
    }
}
