//! `thalweg reproduce`: a table or figure of the paper, from raw data to report, or all of them. What can be reproduced stands in
//! [`crate::experiments`].
use crate::common::Outcome;
use crate::experiments::{self, EVERY, Findings, NAMES, NAMES_OF_ALL, Scale, Spread, What};
use crate::output::{Inputs, Plan, REPORT, Resumes, settings};
use crate::results::{Results, Row};
use crate::session::Session;
use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;

/// Reproduce a table or figure of the paper, or all of them
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # small: does all of it run?
  thalweg reproduce generation --scale smoke --out smoke/
  # the table at the size of a laptop
  thalweg reproduce generation --scale laptop --out laptop/
  # with a setting of experiments/generation.toml changed
  thalweg reproduce generation --set 'data=[\"mnist\"]' --out m/
  # everything, with a verdict on every claim; goes on after Ctrl-C
  thalweg reproduce all --scale smoke --out all/ --resume
  # its zoos and fits through an engine on many machines; --dry-run says how
  thalweg reproduce generation --scale smoke --on hq --dry-run --out g/

It writes PATH/results.json (flat rows) and PATH/report.html. `thalweg list experiments` says what each of them shows; with all, a
setting of one of them is changed by --set NAME.KEY=VALUE.")]
pub struct Args {
    /// The experiment, or all
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(experiments::names().chain([EVERY])))]
    name: String,
    /// Of all: only these
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = PossibleValuesParser::new(experiments::names()))]
    only: Vec<String>,
    /// Its size
    #[arg(long, default_value = "laptop")]
    scale: Scale,
    #[command(flatten)]
    spread: Spread,
}

/// Runs the experiment and writes what it found.
///
/// # Errors
/// As the experiment's own; a target that exists.
pub fn run(args: &Args, session: &mut Session) -> Result<Outcome> {
    let every = args.name == EVERY;
    if !every && !args.only.is_empty() {
        bail!("--only chooses among all experiments: thalweg reproduce all --only {}", args.only.join(","));
    }
    // Settings are read before the target is touched: a wrong --set must leave nothing behind.
    let prepared = match every {
        true => experiments::check_every(&args.only, args.scale, session).map(|()| None)?,
        false => {
            let experiment = experiments::named(&args.name)?;
            Some((experiment.prepare)(args.scale, &session.common.set, session.common.seed)?)
        }
    };
    let seed = prepared.as_ref().map_or(session.seed_or(0), |prepared| prepared.seed());
    let plan = plan(args, every, seed, session);
    let default = format!("{}-{}", args.name, args.scale);
    let what = What { name: &args.name, only: &args.only, scale: args.scale, default: &default };
    if args.spread.is_all(&what, &plan, session)? {
        return Ok(Outcome::Done);
    }
    let Some(out) = session.folder(&default, &plan)? else { return Ok(Outcome::Done) };
    // Experiments take over what others have made.
    session.common.resume |= every;
    let (findings, settings): (Findings, Row) = match &prepared {
        Some(prepared) => (prepared.run(out.dir(), None, session)?, prepared.settings()?),
        None => (experiments::run_every(&args.only, args.scale, out.dir(), session)?, Row::new()),
    };
    let mut results = Results::new(seed);
    (results.settings, results.rows) = (settings, findings.rows);
    let report = out.dir().join(REPORT);
    findings.report.write(&report)?;
    results.made(&report);
    for table in &findings.tables {
        session.show(table);
    }
    let (report, shown) = (out.shown().join(REPORT), out.shown().to_path_buf());
    session.finish(Some(out), results)?;
    args.spread.ended(&shown)?;
    session.say(&format!("Made {} and results.json beside it.", report.display()));
    Ok(findings.outcome)
}

fn plan(args: &Args, every: bool, seed: u64, session: &Session) -> Plan {
    Plan {
        command: "reproduce",
        names: if every { &NAMES_OF_ALL } else { NAMES },
        resumes: Resumes::Again,
        settings: settings([
            ("name", args.name.as_str().into()),
            ("only", args.only.join(",").into()),
            ("scale", args.scale.to_string().into()),
            ("seed", seed.to_string().into()),
            ("set", session.common.overrides().into()),
        ]),
        inputs: Inputs::default(),
    }
}
