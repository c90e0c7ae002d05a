//! One tuning with what was seen along it, and the judgement of networks on a task.
use super::bench::{Bench, Generator};
use super::rivals::{Made, mean};
use super::task::{Task, Watched};
use crate::work::tune::{Target, tune_into};
use anyhow::{Context, Result};
use std::path::Path;
use thalweg::metric::summary::{Better, Summary};
use thalweg::metric::wasserstein::spread;
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg::tune::{TuneConfig, TuneValidation};
use thalweg_nets::Error;
use thalweg_nets::files::write_whole;

/// A tuning at one strength.
pub struct Tuning {
    /// The generator that it began with.
    pub generator: String,
    /// λ.
    pub strength: f64,
    /// The tuned model.
    pub model: MetaModel,
    /// Samples of it `[n, P]`, from the starts of the base's samples.
    pub theta: Vec<f32>,
    /// Every look.
    pub looks: Vec<TuneValidation>,
    /// Mean validation accuracy at every look; NaN where a resume lost it.
    pub accuracies: Vec<f64>,
    /// Iterations done.
    pub iterations: u64,
    /// The relative entropy to the base at the kept iteration.
    pub distance: f64,
    /// Seconds of the tuning, looks included, and of the sampling.
    pub seconds: f64,
    /// Mean validation accuracy of the samples.
    validation: f64,
}

impl Tuning {
    /// Mean validation accuracy of the samples.
    pub fn validation(&self) -> f64 {
        self.validation
    }

    /// As what a way made.
    pub fn made(&self) -> Made {
        let setting = format!("strength {}", self.strength);
        Made {
            method: format!("{}tuned", prefix(&self.generator)),
            setting,
            theta: self.theta.clone(),
            seconds: self.seconds,
        }
    }
}

/// Networks judged on a task.
pub struct Judged {
    /// The way.
    pub method: String,
    /// Its setting.
    pub setting: String,
    /// On the task's test rows.
    pub accuracy: Summary,
    /// Mean accuracy on the test rows of the base's own data.
    pub home: f64,
    /// Root mean square move of a weight from the base's sample of the same start, in standardised units.
    pub moved: f64,
    /// Root mean square distance of networks to their mean, over that of the base's samples.
    pub spread: f64,
    /// Relative entropy of the path law to the base's; NaN where it is not known.
    pub distance: f64,
    /// Seconds for all networks.
    pub seconds: f64,
}

/// What names of another generator than the first begin with.
pub fn prefix(generator: &str) -> String {
    if generator.is_empty() { String::new() } else { format!("{generator}, ") }
}

impl Bench<'_> {
    /// Tunes to `task`; what an interrupted run has finished is loaded.
    pub fn tuning(&self, generator: &Generator, task: &Task, strength: f64, seed: u64, out: &Path) -> Result<Tuning> {
        let dir = out.join("models").join(format!("{}{}-{strength}-{seed}", prefix(&generator.name), task.name));
        std::fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let seen = dir.join("accuracies.json");
        let watched = Watched::new(task, &self.engine);
        let tune = &self.settings.tune;
        let iterations = task.iterations.unwrap_or(tune.iterations);
        let config = TuneConfig { strength, seed, iterations, ..tune.clone() };
        let finished = self.session.common.resume && dir.join("model.toml").exists() && seen.exists();
        let (model, accuracies_seen): (MetaModel, Vec<f64>) = if finished {
            let text = std::fs::read_to_string(&seen).map_err(Error::io("read", &seen))?;
            (MetaModel::load(&dir)?, serde_json::from_str(&text).context("accuracies.json is damaged")?)
        } else {
            let target = Target { reward: &task.reward, held_out: &watched, data: None };
            let model = tune_into(&generator.model, target, &config, &dir, self.session)?;
            write_whole(&seen, serde_json::to_string(&watched.accuracies())?.as_bytes())?;
            (model, watched.accuracies())
        };
        let record = model.record.tuned.clone().context("a tuned model has its record")?;
        // A resumed tuning saw its earlier looks in another process.
        let lost = record.validations.len().saturating_sub(accuracies_seen.len());
        let along = [vec![f64::NAN; lost], accuracies_seen].concat();
        let samples = model.sample(&SampleRequest::new(self.settings.samples, self.settings.seed))?;
        let kept = record.validations.iter().find(|look| look.iteration == record.best_iteration);
        Ok(Tuning {
            generator: generator.name.clone(),
            strength,
            validation: mean(&task.validation.accuracies(&self.engine, &samples.theta)?),
            theta: samples.theta,
            accuracies: along,
            iterations: record.iterations,
            distance: kept.map_or(f64::NAN, |look| look.distance),
            seconds: record.seconds + samples.seconds,
            looks: record.validations,
            model,
        })
    }

    /// Judges what a way made of `generator`.
    pub fn judge(&self, generator: &Generator, task: &Task, made: &Made, distance: f64) -> Result<Judged> {
        let own = task.test.accuracies(&self.engine, &made.theta)?;
        let standardised = |theta: &[f32]| {
            let mut z = theta.to_vec();
            generator.model.coordinates.standardise(&mut z);
            z
        };
        let (z, before) = (standardised(&made.theta), standardised(&generator.before));
        let same_starts = !matches!(made.method.as_str(), "best-of-n" | "ascent-from-initialisations");
        let square: f64 = z.iter().zip(&before).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let p = self.engine.parameters();
        Ok(Judged {
            method: made.method.clone(),
            setting: made.setting.clone(),
            accuracy: Summary::of("accuracy", &own, Better::Higher)?,
            home: mean(&self.home.accuracies(&self.engine, &made.theta)?),
            moved: if same_starts { (square / z.len() as f64).sqrt() } else { f64::NAN },
            spread: spread(&z, p)? / spread(&before, p)?,
            distance,
            seconds: made.seconds,
        })
    }
}
