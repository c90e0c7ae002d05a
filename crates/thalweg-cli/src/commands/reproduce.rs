//! `thalweg reproduce`: a table or figure of the paper, from raw data to report. What can be reproduced stands in
//! [`crate::experiments`].
use crate::common::Outcome;
use crate::experiments::{self, Scale};
use crate::output::{Inputs, JSON, Plan, REPORT, Resumes, settings};
use crate::results::Results;
use crate::session::Session;
use anyhow::Result;
use clap::builder::PossibleValuesParser;

/// What experiments make: see their files.
const NAMES: &[&str] = &[
    JSON,
    REPORT,
    "centre.safetensors",
    "zoo/",
    "zoos/",
    "models/",
    "model/",
    "latents/",
    "rival-*/",
    "home/",
    "home-model/",
];

/// Reproduce a table or figure of the paper
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # within a minute: does all of it run?
  thalweg reproduce generation --scale smoke --out smoke/
  # the table at the size of a laptop
  thalweg reproduce generation --scale laptop --out laptop/
  # with a setting of experiments/generation.toml changed
  thalweg reproduce generation --set 'data=[\"mnist\"]' --out m/

It writes PATH/results.json (flat rows) and PATH/report.html.")]
pub struct Args {
    /// The experiment
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(experiments::names()))]
    name: String,
    /// Its size
    #[arg(long, default_value = "laptop")]
    scale: Scale,
}

/// Runs the experiment and writes what it found.
///
/// # Errors
/// As the experiment's own; a target that exists.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let experiment = experiments::named(&args.name)?;
    // Settings are read before the target is touched: a wrong --set must leave nothing behind.
    let prepared = (experiment.prepare)(args.scale, session)?;
    let seed = session.seed_or(prepared.seed());
    let plan = Plan {
        command: "reproduce",
        names: NAMES,
        resumes: Resumes::Again,
        settings: settings([
            ("name", args.name.as_str().into()),
            ("scale", args.scale.to_string().into()),
            ("seed", seed.to_string().into()),
            ("set", session.common.overrides().into()),
        ]),
        inputs: Inputs::default(),
    };
    let default = format!("{}-{}", args.name, args.scale);
    let Some(out) = session.folder(&default, &plan)? else { return Ok(Outcome::Done) };
    let findings = prepared.run(out.dir(), session)?;
    let mut results = Results::new(seed);
    results.settings = prepared.settings()?;
    results.rows = findings.rows;
    let report = out.dir().join(REPORT);
    findings.report.write(&report)?;
    results.made(&report);
    for table in &findings.tables {
        session.show(table);
    }
    let report = out.shown().join(REPORT);
    session.finish(Some(out), results)?;
    session.say(&format!("Made {} and results.json beside it.", report.display()));
    Ok(findings.outcome)
}
