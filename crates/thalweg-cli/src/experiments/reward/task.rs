//! A task to steer to: data, whole or of some classes, corrupted or not, as rewards and as rows to be judged on.
use crate::data::ensure;
use crate::study::Labelled;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use thalweg::reward::{Graded, OnData, Reward, Rows};
use thalweg::{Error, Streams};
use thalweg_nets::data::Corruption;
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Progress;

/// A task as the TOML file has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// `NAME[:PATH]`.
    pub data: String,
    /// What is done to every image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corruption: Option<Corruption>,
    /// The only classes whose rows are kept; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<u32>,
    /// Iterations of its tunings, where they are not those of the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u64>,
}

/// A task made ready.
pub struct Task {
    /// Its name in tables.
    pub name: String,
    /// Iterations of its tunings, where they are not those of the rest.
    pub iterations: Option<u64>,
    /// −cross-entropy on training rows, by minibatches.
    pub reward: OnData,
    /// Validation rows: for looks and choices.
    pub validation: Labelled,
    /// Test rows: for tables.
    pub test: Labelled,
}

impl Task {
    /// Reads the task's data.
    ///
    /// # Errors
    /// Missing data, or data that do not fit the engine.
    pub fn new(
        name: &str,
        spec: &TaskSpec,
        engine: &Engine,
        rows: usize,
        validation: usize,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let data = DataSpec::parse(&spec.data)?;
        ensure(&data, progress)?;
        let splits = data.load()?;
        let part = |part: Dataset, seed: u64| -> Result<Dataset> {
            let kept: Vec<usize> = (0..part.len()).filter(|&i| spec.classes.contains(&part.labels[i])).collect();
            let part = match (spec.classes.is_empty(), kept.is_empty()) {
                (true, _) => part,
                (false, false) => part.subset(&kept),
                (false, true) => bail!("task {name}: no row of {} is of classes {:?}", spec.data, spec.classes),
            };
            Ok(match &spec.corruption {
                Some(corruption) => corruption.apply(&part, seed)?,
                None => part,
            })
        };
        // Each part has its own corruptions: nothing of the test rows' is seen before.
        let train = part(splits.train, 1)?;
        let validation = part(splits.validation, 2)?.first(validation);
        let test = part(splits.test, 3)?;
        Ok(Self {
            name: name.to_owned(),
            iterations: spec.iterations,
            reward: OnData::loss(name, engine, train.inputs, train.labels, Rows::Batch(rows))?,
            validation: Labelled::new(engine, validation)?,
            test: Labelled::new(engine, test)?,
        })
    }
}

/// −cross-entropy on validation rows, that also remembers the mean accuracy at every look.
pub struct Watched<'a> {
    engine: &'a Engine,
    rows: &'a Labelled,
    name: String,
    seen: Mutex<Vec<f64>>,
}

impl<'a> Watched<'a> {
    /// Over the validation rows of `task`.
    pub fn new(task: &'a Task, engine: &'a Engine) -> Self {
        Self { engine, rows: &task.validation, name: task.name.clone(), seen: Mutex::new(Vec::new()) }
    }

    /// Mean accuracy at each call so far.
    pub fn accuracies(&self) -> Vec<f64> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reward for Watched<'_> {
    fn dimension(&self) -> usize {
        self.engine.parameters()
    }

    fn describe(&self) -> String {
        format!("minus cross-entropy on {} validation rows of {}", self.rows.labels.len(), self.name)
    }

    fn grade(&self, _: &[f32], _: &Streams) -> Result<Graded, Error> {
        Err(Error::parameter("reward", "a reward with gradients", "one that only judges"))
    }

    fn values(&self, theta: &[f32], _: &Streams) -> Result<Vec<f64>, Error> {
        let scores = evaluate(self.engine, theta, &self.rows.inputs, &self.rows.labels)?;
        let mean = scores.iter().map(|s| s.accuracy).sum::<f64>() / scores.len() as f64;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(mean);
        Ok(scores.iter().map(|s| -s.loss).collect())
    }
}
