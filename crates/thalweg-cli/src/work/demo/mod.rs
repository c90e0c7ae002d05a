//! The demo: a zoo, flows over it, samples of them, all judged.
mod drawn;
mod page;

use super::fit::fit_into;
use super::judge::judge_all;
use super::plan;
use crate::report::Report;
use crate::session::Session;
use crate::settings;
use crate::study::Study;
use crate::table::Weight;
use crate::verdict::Verdict;
use anyhow::{Result, bail};
use drawn::Drawn;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use thalweg::model::FitConfig;
use thalweg::model::sample::SampleRequest;
use thalweg_nets::Error;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{TrainOptions, ZooSpec, ZooStore, train_zoo};
use toml::Table;

const TOML: &str = include_str!("../../../../../experiments/demo.toml");
const ORIGIN: &str = "experiments/demo.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    seed: u64,
    methods: Vec<String>,
    samples: usize,
    looks: usize,
    paths: usize,
    zoo: Table,
    fit: BTreeMap<String, Table>,
}

/// The demo with its settings in force.
pub struct Demo {
    settings: Settings,
    /// Its seed.
    pub seed: u64,
    /// Its zoo.
    pub spec: ZooSpec,
    /// Its fits, one a method.
    configs: Vec<FitConfig>,
}

/// What the demo made.
pub struct Made {
    /// The zoo, made ready for judgement.
    pub study: Study,
    /// The flows with their samples.
    drawn: Vec<Drawn>,
    /// Verdicts and the accuracies behind them, those of the flows first.
    pub judged: Vec<(Verdict, Vec<f64>)>,
    seconds_of_zoo: f64,
}

impl Demo {
    /// Reads the settings at a scale; touches nothing on disk.
    ///
    /// # Errors
    /// Wrong settings.
    pub fn prepare(scale: &str, session: &Session) -> Result<Self> {
        let settings: Settings = settings::read_at_scale(ORIGIN, TOML, scale, &session.common.set)?;
        if settings.methods.is_empty() || settings.samples == 0 || settings.looks < 2 || settings.paths == 0 {
            bail!("{ORIGIN}: methods, samples and paths must not be empty, and looks be at least 2");
        }
        let seed = session.seed_or(settings.seed);
        let mut spec = plan::from_table(Path::new(ORIGIN), settings.zoo.clone(), &session.progress)?;
        spec.seed = seed;
        let configs = settings.methods.iter().map(|method| config(&settings, method, seed)).collect::<Result<_>>()?;
        Ok(Self { settings, seed, spec, configs })
    }

    /// Makes zoo, models and samples in the folder `out`, and judges the samples.
    ///
    /// # Errors
    /// Whatever goes wrong on the way; Ctrl-C.
    pub fn run(&self, out: &Path, session: &Session) -> Result<Made> {
        session.say("1. A zoo: many training runs of one small network, recorded on their way.");
        let options = TrainOptions { resume: session.common.resume, ..TrainOptions::default() };
        let zoo = train_zoo(&self.spec, &out.join("zoo"), &options, &session.progress)?;
        session.progress.end();
        let seconds_of_zoo = session.seconds();
        session.say("2. Flows: learned from the runs, how weights move from initialisation to trained.");
        let drawn = self.drawn(&zoo, out, session)?;
        session.say("4. Judgement: beside the zoo, real runs that nothing has seen, and trivial baselines.");
        let split = self.configs[0].split.of(&zoo)?;
        let study = Study::new(zoo, split, None, &session.progress)?;
        let samples: Vec<_> =
            drawn.iter().map(|d| (Weight::Strong, d.model.config.method.name(), &d.samples.theta[..])).collect();
        let mut judged = judge_all(&study, &samples, true, self.seed, session)?;
        for ((verdict, _), d) in judged.iter_mut().zip(&drawn) {
            verdict.timed(d.model.record.seconds, d.samples.seconds);
        }
        Ok(Made { study, drawn, judged, seconds_of_zoo })
    }

    /// A flow of every method over `zoo`, with its samples.
    fn drawn(&self, zoo: &ZooStore, out: &Path, session: &Session) -> Result<Vec<Drawn>> {
        let set = &self.settings;
        let mut models = Vec::new();
        for (method, config) in set.methods.iter().zip(&self.configs) {
            let folder = out.join(format!("model-{method}"));
            std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
            models.push(fit_into(&[zoo], config, &folder, &folder.join("latents"), session)?);
        }
        session.say("3. Samples: fresh initialisations carried along the flows.");
        session.progress.begin("sampling", models.len() as u64);
        let at: Vec<f64> = (0..set.looks).map(|i| i as f64 / (set.looks - 1) as f64).collect();
        let mut drawn = Vec::new();
        for model in models {
            let samples =
                model.sample(&SampleRequest { at: at.clone(), ..SampleRequest::new(set.samples, self.seed) })?;
            let file = out.join(format!("samples-{}.safetensors", model.config.method.name()));
            model.networks(samples.theta.clone()).write_stack(&file, &samples.states)?;
            drawn.push(Drawn { model, samples });
            session.progress.advance(1);
        }
        session.progress.end();
        Ok(drawn)
    }

    /// The page of what was made.
    ///
    /// # Errors
    /// A zoo that cannot be read any more.
    pub fn page(&self, made: &Made) -> Result<Report> {
        page::page(&made.study, &made.drawn, &made.judged, made.seconds_of_zoo, self.settings.paths)
    }
}

fn config(set: &Settings, method: &str, seed: u64) -> Result<FitConfig> {
    let table = settings::merged(&set.fit, &["all", method]);
    let mut config = FitConfig::from_toml_str(Path::new(ORIGIN), &toml::to_string(&table)?)?;
    config.seed = seed;
    Ok(config)
}
