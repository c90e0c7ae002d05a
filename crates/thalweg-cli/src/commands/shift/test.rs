//! `thalweg shift test`: what calibrated tests say of new rows; exit code 1 where the shift is harmful, 3 where rows are shifted and harm is open.
use super::page::{accuracy, page, table};
use super::{logits, rows};
use crate::common::Outcome;
use crate::data;
use crate::output::{Inputs, JSON, Plan, REPORT};
use crate::results::{Results, Row, object};
use crate::row;
use crate::session::Session;
use anyhow::{Result, bail};
use std::path::PathBuf;
use thalweg::Streams;
use thalweg::shift::Sample;
use thalweg::shift::calibration::{Calibration, Verdict};
use thalweg::shift::law::outcome::{self, Question};
use thalweg::shift::law::permutation;

/// Rows shown as the most out of place.
const SHOWN: usize = 12;

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

/// The mildest outcome that is not exit code 0.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOn {
    /// Harmful shift (1), and shifted without harm being established (3)
    Shifted,
    /// Harmful shift (1)
    Harmful,
    /// None: read the outcome from --json
    Never,
}

impl FailOn {
    fn of(self, outcome: outcome::Outcome) -> Outcome {
        match (outcome, self) {
            (outcome::Outcome::HarmfulShift, Self::Shifted | Self::Harmful) => Outcome::Negative,
            (outcome::Outcome::ShiftedHarmNotEstablished, Self::Shifted) => Outcome::Open,
            _ => Outcome::Done,
        }
    }
}

/// Tests.
///
/// # Errors
/// A file that is no calibration; rows that do not fit it; a level that cannot be reached.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    data::only_data("shift test", &session.common.set)?;
    if let Some(level) = args.level.filter(|level| !(*level > 0.0 && *level < 1.0)) {
        bail!("--level: expected a number between 0 and 1, found {level}");
    }
    let inputs = Inputs::default().path(&args.calibration).text(args.query.as_deref()).paths(&args.query_logits);
    let plan = Plan { command: "shift test", names: &[JSON, REPORT], inputs, ..Plan::default() };
    let out = session.folder_if_given(&plan)?;
    let calibration = Calibration::read(&args.calibration)?;
    let level = args.level.unwrap_or(calibration.record.level);
    let least = permutation::needed(level);
    if calibration.record.null < least {
        bail!(
            "{} was calibrated with --null {}, which cannot lead to a p-value at or below level {level}: calibrate with --null {least} --level {level}, or more",
            args.calibration.display(),
            calibration.record.null
        );
    }
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
    let scores = &verdict.row_scores;
    let mut worst: Vec<usize> = (0..scores.len()).collect();
    worst.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    worst.truncate(SHOWN);
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

fn results(calibration: &Calibration, verdict: &Verdict, said: &str, seed: u64) -> Result<Results> {
    let mut results = Results::new(seed);
    results.settings = object(&calibration.record)?;
    let evidence: Vec<Row> = verdict
        .findings
        .iter()
        .map(|finding| {
            row! {
                "name" => finding.method.looks_at(), "test" => finding.method, "question" => finding.question,
                "p_value" => finding.p_value, "alarms" => finding.p_value <= verdict.level,
            }
        })
        .collect();
    results.summary = row! {
        "outcome" => verdict.outcome, "said" => said, "p_value" => verdict.p_value, "level" => verdict.level,
        "p_value_of_harm" => verdict.answer.adjusted(Question::Harm),
        "p_value_of_difference" => verdict.answer.adjusted(Question::Difference),
        "evidence" => evidence, "estimate" => verdict.estimate,
    };
    for finding in &verdict.findings {
        for (name, counts, value, p, mean) in &finding.statistics {
            results.rows.push(row! {
                "method" => finding.method, "question" => finding.question, "statistic" => name, "counts" => counts, "value" => value,
                "mean_of_redraws" => mean, "p_value" => p, "combined_p_value" => finding.p_value, "seconds" => finding.seconds,
            });
        }
    }
    Ok(results)
}

/// The rows to test, and their numbers in Q.
fn query(args: &Args, calibration: &Calibration, seed: u64, session: &Session) -> Result<(Sample, Vec<usize>)> {
    let (record, size) = (&calibration.record, calibration.record.size);
    let pick = |n: usize| match args.draw && n > size {
        true => rows::some(n, size, &Streams::new(seed).child("draw")),
        false => (0..n).collect(),
    };
    match (&args.query, &args.query_logits, calibration.base(), &record.source) {
        (None, Some(path), None, _) => {
            let read = logits::read(path, args.probabilities)?;
            let like = read.like(path, &record.columns, record.classes, record.probabilities)?;
            like.notes.iter().for_each(|note| session.say(note));
            let picked = pick(like.sample.len());
            Ok((like.sample.rows(&picked), picked))
        }
        (Some(text), None, Some(base), Some(source)) => {
            let spec = data::with_settings(&rows::spec(text, args.site.as_deref(), session)?, &session.common.set)?;
            let data = rows::as_source(&spec, source, session)?;
            let (picked, d) = (pick(data.len()), base.engine().input_len());
            let inputs: Vec<f32> =
                picked.iter().flat_map(|&r| data.inputs[r * d..(r + 1) * d].iter().copied()).collect();
            Ok((base.sample(&inputs)?, picked))
        }
        (_, _, Some(_), _) => {
            bail!("{} was calibrated with f's weights: name Q by --query", args.calibration.display())
        }
        _ => bail!("{} was calibrated on logits alone: give Q's by --query-logits", args.calibration.display()),
    }
}

/// The outcome in sentences.
fn told(verdict: &Verdict, logits_alone: bool) -> String {
    let Verdict { outcome, p_value, level, answer, .. } = verdict;
    let harm = answer.adjusted(Question::Harm);
    match (outcome, harm) {
        (outcome::Outcome::HarmfulShift, _) => {
            format!("Verdict: harmful shift found, p = {p_value:.4} ≤ {level}. Do not trust the model on these rows.")
        }
        (outcome::Outcome::ShiftedHarmNotEstablished, Some(harm)) => format!(
            "Verdict: shifted, harm not established: the rows differ from P, p = {p_value:.4} ≤ {level}, and the tests of harm are silent, p = {harm:.4}. That does not clear the model, which may be sure and wrong: label some of these rows to know."
        ),
        (outcome::Outcome::ShiftedHarmNotEstablished, None) => format!(
            "Verdict: shifted, harm not established: the rows differ from P, p = {p_value:.4} ≤ {level}, and no test of harm was asked."
        ),
        (outcome::Outcome::NoEvidenceOfHarm, None) => {
            format!("Verdict: no evidence of any difference, p = {p_value:.4} > {level}; no test of harm was asked.")
        }
        (outcome::Outcome::NoEvidenceOfHarm, Some(_)) => format!(
            "Verdict: no evidence of harm (no harmful shift found), p = {p_value:.4} > {level}.{}",
            match logits_alone {
                true =>
                    " Logits alone cannot show everything: a model that answers as on P, and wrongly, looks like this.",
                false => "",
            }
        ),
    }
}
