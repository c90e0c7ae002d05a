//! `thalweg demo`: the whole way on the embedded digits: zoo → flows → samples → judged → report.
mod drawn;
mod page;

use crate::common::Outcome;
use crate::output::{Inputs, JSON, Plan, REPORT, Resumes, settings as words};
use crate::results::{Results, object};
use crate::session::Session;
use crate::settings;
use crate::study::Study;
use crate::table::Weight;
use crate::verdict::{self, Verdict};
use crate::work::fit::fit_into;
use crate::work::judge::{about, judge_all};
use crate::work::plan;
use anyhow::{Result, bail};
use clap::ValueEnum;
use drawn::Drawn;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use thalweg::model::FitConfig;
use thalweg::model::sample::SampleRequest;
use thalweg_nets::Error;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{TrainOptions, train_zoo};
use toml::Table;

const TOML: &str = include_str!("../../../../../experiments/demo.toml");
const ORIGIN: &str = "experiments/demo.toml";

/// The whole way in about a minute, with nothing to fetch: zoo, flows, samples, judgement, report
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg demo  # into thalweg-demo/: open thalweg-demo/report.html in a browser
  thalweg demo --out d/ --seed 7
  thalweg demo --set zoo.runs=3000 --set fit.all.steps=3000 --out larger/")]
pub struct Args {
    /// How large
    #[arg(long, default_value = "full", hide = true)]
    scale: Scale,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scale {
    /// About a minute
    Full,
    /// Seconds, for tests
    Smoke,
}

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

/// Goes the whole way.
///
/// # Errors
/// A folder that exists, wrong settings, Ctrl-C.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let scale = if matches!(args.scale, Scale::Full) { "full" } else { "smoke" };
    let set: Settings = settings::read_at_scale(ORIGIN, TOML, scale, &session.common.set)?;
    if set.methods.is_empty() || set.samples == 0 || set.looks < 2 || set.paths == 0 {
        bail!("{ORIGIN}: methods, samples and paths must not be empty, and looks be at least 2");
    }
    let seed = session.seed_or(set.seed);
    let mut spec = plan::from_table(Path::new(ORIGIN), set.zoo.clone(), &session.progress)?;
    spec.seed = seed;
    let configs: Vec<FitConfig> = set.methods.iter().map(|method| config(&set, method, seed)).collect::<Result<_>>()?;
    let plan = Plan {
        command: "demo",
        names: &[JSON, REPORT, "zoo/", "model-*/", "samples-*.safetensors"],
        resumes: Resumes::Again,
        settings: words([
            ("seed", seed.to_string().into()),
            ("scale", scale.into()),
            ("set", session.common.overrides().into()),
        ]),
        inputs: Inputs::default().data(Some(&spec.data)),
    };
    let Some(out) = session.folder("thalweg-demo", &plan)? else { return Ok(Outcome::Done) };

    session.say("1. A zoo: many training runs of one small network, recorded on their way.");
    let options = TrainOptions { resume: session.common.resume, ..TrainOptions::default() };
    let zoo = train_zoo(&spec, &out.dir().join("zoo"), &options, &session.progress)?;
    session.progress.end();
    let seconds_of_zoo = session.seconds();

    session.say("2. Flows: learned from the runs, how weights move from initialisation to trained.");
    let mut models = Vec::new();
    for (method, config) in set.methods.iter().zip(&configs) {
        let folder = out.dir().join(format!("model-{method}"));
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        models.push(fit_into(&[&zoo], config, &folder, &folder.join("latents"), session)?);
    }

    session.say("3. Samples: fresh initialisations carried along the flows.");
    session.progress.begin("sampling", models.len() as u64);
    let at: Vec<f64> = (0..set.looks).map(|i| i as f64 / (set.looks - 1) as f64).collect();
    let mut drawn = Vec::new();
    for model in models {
        let samples = model.sample(&SampleRequest { at: at.clone(), ..SampleRequest::new(set.samples, seed) })?;
        let file = out.dir().join(format!("samples-{}.safetensors", model.config.method.name()));
        model.networks(samples.theta.clone()).write_stack(&file, &samples.states)?;
        drawn.push(Drawn { model, samples });
        session.progress.advance(1);
    }
    session.progress.end();

    session.say("4. Judgement: beside the zoo, real runs that nothing has seen, and trivial baselines.");
    let split = configs[0].split.of(&zoo)?;
    let study = Study::new(zoo, split, None, &session.progress)?;
    let samples: Vec<_> =
        drawn.iter().map(|d| (Weight::Strong, d.model.config.method.name(), &d.samples.theta[..])).collect();
    let mut judged = judge_all(&study, &samples, true, seed, session)?;
    for ((verdict, _), d) in judged.iter_mut().zip(&drawn) {
        verdict.fit_seconds = vec![d.model.record.seconds];
        verdict.rows[0].seconds = d.samples.seconds;
    }
    let about = about(&study);
    let mut results = Results::new(seed);
    results.settings = object(&spec)?;
    results.rows = judged.iter().map(|(v, _)| v.row(&about)).collect::<Result<_>>()?;
    session.progress.begin("drawing the report", 1);
    let report = out.dir().join(REPORT);
    page::page(&study, &drawn, &judged, seconds_of_zoo, set.paths)?.write(&report)?;
    session.progress.end();
    results.made(&report);
    let verdicts: Vec<Verdict> = judged.into_iter().map(|(verdict, _)| verdict).collect();
    session.show(&verdict::table(&verdicts));
    let report = out.shown().join(REPORT);
    session.finish(Some(out), results)?;
    session.say(&format!(
        "Made {} in {:.0} s: open it in a browser. The zoo, the models and the samples lie beside it.",
        report.display(),
        session.seconds()
    ));
    Ok(Outcome::Done)
}

fn config(set: &Settings, method: &str, seed: u64) -> Result<FitConfig> {
    let table = settings::merged(&set.fit, &["all", method]);
    let mut config = FitConfig::from_toml_str(Path::new(ORIGIN), &toml::to_string(&table)?)?;
    config.seed = seed;
    Ok(config)
}
