//! `thalweg shift test`: what calibrated tests say of new rows; exit code 1 where the shift is harmful, 3 where rows are shifted and harm is open.
use crate::common::Outcome;
use crate::data;
use crate::output::{Inputs, JSON, Plan, REPORT};
use crate::session::Session;
use crate::work::shift::page::{accuracy, page, table};
use crate::work::shift::query;
use crate::work::shift::verdict::{FailOn, results, told, worst};
use anyhow::{Result, bail};
use std::path::PathBuf;
use thalweg::Streams;
use thalweg::shift::Sample;
use thalweg::shift::calibration::Calibration;
use thalweg::shift::law::outcome;
use thalweg::shift::reference::drawn;

/// Test new rows for harmful shift: exit code 1 where it is found
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg shift test heart.cal --query heart --site hungary
  # with results.json and report.html
  thalweg shift test my.cal --query npz:new.npz --out verdict/
  thalweg shift test logits.cal --query-logits new-logits.csv

Three outcomes: harmful shift; no evidence of harm; shifted, harm not established (the rows differ from P, and the tests of harm are silent: the
model may be sure and wrong). Without shift, any but the second comes with at most the probability --level.

Exit codes: 0 no evidence of harm, 1 harmful shift, 2 an error, 3 shifted but harm not established.")]
pub struct Args {
    /// What `thalweg shift calibrate` made
    #[arg(value_name = "FILE")]
    calibration: PathBuf,
    /// Query Q: NAME[:DIR], rows with or without labels
    #[arg(
        long,
        visible_alias = "q",
        value_name = "NAME[:DIR]",
        required_unless_present = "query_logits",
        conflicts_with = "query_logits"
    )]
    query: Option<String>,
    /// The hospital, for --query heart
    #[arg(long, value_name = "SITE", requires = "query")]
    site: Option<String>,
    /// f's logits on Q: a CSV file
    #[arg(long, visible_alias = "q-logits", value_name = "FILE")]
    query_logits: Option<PathBuf>,
    /// The file holds probabilities (recognised without the flag; with it anything else is refused)
    #[arg(long, requires = "query_logits", conflicts_with = "query")]
    probabilities: bool,
    /// Where Q has more rows than were calibrated for: test that many only, drawn by --seed
    #[arg(long)]
    draw: bool,
    /// Level of the outcome; that of the calibration by default
    #[arg(long, value_name = "P")]
    level: Option<f64>,
    /// Which outcomes end with another exit code than 0
    #[arg(long, value_name = "OUTCOME", value_enum, default_value_t = FailOn::Shifted)]
    fail_on: FailOn,
}

/// Tests.
///
/// # Errors
/// A file that is no calibration; rows that do not fit it; a level that cannot be reached.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    data::only_data("shift test", &session.common.set)?;
    let inputs = Inputs::default().path(&args.calibration).text(args.query.as_deref()).paths(&args.query_logits);
    let plan = Plan { command: "shift test", names: &[JSON, REPORT], inputs, ..Plan::default() };
    let out = session.folder_if_given(&plan)?;
    let calibration = Calibration::read(&args.calibration)?;
    let level = query::level(args.level, &calibration, &args.calibration)?;
    let seed = session.seed_or(1);
    let (query, picked) = query(args, &calibration, seed, session)?;
    let verdict = calibration.test(&query, level, seed, &session.progress)?;
    session.progress.end();
    let table = table(&verdict);
    session.show(&table);
    let said = told(&verdict, calibration.base().is_none());
    if let Some(estimate) = &verdict.estimate {
        session.say(&accuracy(estimate));
    }
    let worst = worst(&verdict);
    if verdict.outcome != outcome::Outcome::NoEvidenceOfHarm && !worst.is_empty() {
        let rows: Vec<String> = worst.iter().map(|&i| picked[i].to_string()).collect();
        session.say(&format!("Rows of Q that look most out of place (counted from 0): {}.", rows.join(", ")));
    }
    let mut results = results(&calibration, &verdict, &said, seed)?;
    if let Some(out) = &out {
        let report = out.dir().join(REPORT);
        page(&calibration, &query, &verdict, &said, &worst, &picked).write(&report)?;
        results.made(&report);
    }
    session.finish(out, results)?;
    session.say(&said);
    Ok(args.fail_on.of(verdict.outcome))
}

/// The rows to test, and their numbers in Q.
fn query(args: &Args, calibration: &Calibration, seed: u64, session: &Session) -> Result<(Sample, Vec<usize>)> {
    let (of, size) = (&args.calibration, calibration.record.size);
    let all = match (&args.query, &args.query_logits) {
        (Some(text), _) => query::of_data(text, args.site.as_deref(), calibration, of, session)?,
        (None, Some(path)) => query::of_logits(path, args.probabilities, calibration, of, session)?,
        (None, None) => bail!("name the rows to test by --query or --query-logits"),
    };
    let picked = match args.draw && all.len() > size {
        true => drawn(all.len(), size, &Streams::new(seed).child("draw")),
        false => (0..all.len()).collect(),
    };
    Ok((all.rows(&picked), picked))
}
