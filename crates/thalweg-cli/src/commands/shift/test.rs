//! `thalweg shift test`: what a calibrated test says of new rows; exit code 1 where it says that the shift is harmful.
use super::rows;
use crate::common::Outcome;
use crate::output::{Inputs, JSON, Plan, REPORT};
use crate::report::{Report, pixels};
use crate::results::{Results, object};
use crate::row;
use crate::session::Session;
use crate::table::{Cell, Table, Weight};
use anyhow::{Result, bail};
use std::path::PathBuf;
use thalweg::Streams;
use thalweg::shift::Sample;
use thalweg::shift::calibration::{Calibration, Finding};

/// Rows shown as the most doubtful.
const SHOWN: usize = 12;

/// Ask whether a model still knows what it does on new rows: exit code 1 where harmful shift is found
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg shift test heart.cal --q heart --site hungary --draw
  thalweg shift test my.cal --q npz:new.npz --out verdict/            with results.json and report.html
  thalweg shift test logits.cal --q-logits new-logits.csv

Exit codes: 0 no harmful shift found, 1 harmful shift found, 2 an error.")]
pub struct Args {
    /// What `thalweg shift calibrate` made
    #[arg(value_name = "FILE")]
    calibration: PathBuf,
    /// Q: NAME[:DIR]; labels there are not looked at
    #[arg(long, value_name = "NAME[:DIR]", required_unless_present = "q_logits", conflicts_with = "q_logits")]
    q: Option<String>,
    /// The hospital, for --q heart
    #[arg(long, value_name = "SITE", requires = "q")]
    site: Option<String>,
    /// f's logits on Q: a CSV file
    #[arg(long, value_name = "FILE")]
    q_logits: Option<PathBuf>,
    /// Where Q has more rows than were calibrated for: test that many, drawn by --seed
    #[arg(long)]
    draw: bool,
    /// Level of the verdict
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    level: f64,
}

/// Tests.
///
/// # Errors
/// A file that is no calibration; rows that do not fit it; another number of rows without `--draw`.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("shift test")?;
    if !(args.level > 0.0 && args.level < 1.0) {
        bail!("--level: expected a number between 0 and 1, found {}", args.level);
    }
    let inputs = Inputs::default().path(&args.calibration).text(args.q.as_deref()).paths(&args.q_logits);
    let plan = Plan { command: "shift test", names: &[JSON, REPORT], inputs, ..Plan::default() };
    let out = session.folder_if_given(&plan)?;
    let calibration = Calibration::read(&args.calibration)?;
    let seed = session.seed_or(1);
    let (query, picked) = query(args, &calibration, seed, session)?;
    let findings = calibration.test(&query, seed)?;
    let blame = calibration.blame(&query, seed)?;
    let first = &findings[0];
    let found = first.p_value <= args.level;
    let table = table(&findings, args.level);
    session.show(&table);
    let said = verdict(first, found, args.level);
    let mut worst: Vec<usize> = (0..blame.len()).collect();
    worst.sort_by(|&a, &b| blame[b].total_cmp(&blame[a]));
    worst.truncate(SHOWN);
    if found && !worst.is_empty() {
        let rows: Vec<String> = worst.iter().map(|&i| picked[i].to_string()).collect();
        session.say(&format!("Rows of Q that look most out of place (counted from 0): {}.", rows.join(", ")));
    }
    let mut results = Results::new(seed);
    results.settings = object(&calibration.record)?;
    for finding in &findings {
        for (name, counts, value, p) in &finding.statistics {
            results.rows.push(row! {
                "method" => finding.method, "statistic" => name, "verdict" => counts, "value" => value, "p_value" => p,
                "combined_p_value" => finding.p_value, "seconds" => finding.seconds,
                "level" => args.level, "rejected" => *p <= args.level,
            });
        }
    }
    if let Some(out) = &out {
        let report = out.dir().join(REPORT);
        page(&calibration, &query, &table, &said, &worst, &picked, &blame).write(&report)?;
        results.made(&report);
    }
    session.finish(out, results)?;
    session.say(&said);
    Ok(if found && first.harmful { Outcome::Negative } else { Outcome::Done })
}

/// The rows to test, and their numbers in Q.
fn query(args: &Args, calibration: &Calibration, seed: u64, session: &Session) -> Result<(Sample, Vec<usize>)> {
    let size = calibration.record.size;
    let pick = |n: usize| -> Result<Vec<usize>> {
        match n {
            n if n == size => Ok((0..n).collect()),
            n if n > size && args.draw => Ok(rows::some(n, size, &Streams::new(seed).child("draw"))),
            n => bail!(
                "{} was calibrated for {size} rows, Q has {n}: {}calibrate with --size {n}",
                args.calibration.display(),
                if n > size { "pass --draw to test as many of them, or " } else { "" }
            ),
        }
    };
    match (&args.q, &args.q_logits, calibration.base()) {
        (None, Some(path), None) => {
            let all = rows::logits(path)?;
            let picked = pick(all.len())?;
            Ok((all.rows(&picked), picked))
        }
        (Some(text), None, Some(base)) => {
            let spec = rows::spec(text, args.site.as_deref(), session)?;
            let data = rows::as_home(&spec, calibration.record.normalisation.as_ref())?;
            let picked = pick(data.len())?;
            Ok((base.sample(&data.subset(&picked).inputs)?, picked))
        }
        (_, _, Some(_)) => bail!("{} was calibrated with f's weights: name Q by --q", args.calibration.display()),
        _ => bail!("{} was calibrated on logits alone: give Q's by --q-logits", args.calibration.display()),
    }
}

fn table(findings: &[Finding], level: f64) -> Table {
    let mut table = Table::new(&["test", "statistic", "value", "p", "ms"]);
    for (i, finding) in findings.iter().enumerate() {
        for (name, counts, value, p) in &finding.statistics {
            let weight = if !counts { Weight::Faint } else { Weight::Plain };
            table.push(
                weight,
                vec![
                    finding.method.into(),
                    format!("{name}{}", if *counts { " *" } else { "" }).into(),
                    Cell::Number(*value, 4),
                    Cell::Number(*p, 4),
                    Cell::Number(f64::NAN, 0),
                ],
            );
        }
        let weight = if i == 0 { Weight::Strong } else { Weight::Plain };
        table.push(
            weight,
            vec![
                finding.method.into(),
                "together".into(),
                Cell::Number(f64::NAN, 0),
                Cell::Number(finding.p_value, 4),
                Cell::Number(1e3 * finding.seconds, 2),
            ],
        );
    }
    table.note = format!(
        "Statistics marked * speak of harm; the others fire on any difference, harmless ones too. The verdict at level {level} is that of the first \
         test, all its marked statistics together; the p-values of different tests are not corrected for each other."
    );
    table
}

fn verdict(first: &Finding, found: bool, level: f64) -> String {
    let what = if first.harmful { "harmful shift" } else { "shift (harmful or not)" };
    match found {
        true => format!(
            "Verdict: {what} found by {}, p = {:.4} ≤ {level}. Do not trust f on these rows.",
            first.method, first.p_value
        ),
        false => format!("Verdict: no {what} found by {}, p = {:.4} > {level}.", first.method, first.p_value),
    }
}

fn page(
    calibration: &Calibration,
    query: &Sample,
    table: &Table,
    said: &str,
    worst: &[usize],
    picked: &[usize],
    blame: &[f64],
) -> Report {
    let record = &calibration.record;
    let mut report = Report::new(
        "Does the model still know what it does?",
        format!(
            "{said} Tested on {} rows, against {} draws of as many held-out rows of {}.",
            query.len(),
            record.null,
            record.data
        ),
    );
    report.heading("Statistics").table(table);
    let Some(base) = calibration.base().filter(|_| !worst.is_empty()) else { return report };
    report.heading("Rows that look most out of place").paragraph(
        "Ordered by how readily networks that agree with the model at home take another view here. This does not say that the model is wrong \
         on them, but that its training data do not decide what is right.",
    );
    let shape = base.architecture().input();
    let predictions = query.predictions();
    if shape[1] > 1 && matches!(shape[0], 1 | 3) {
        let d = query.width();
        let images: Vec<(&[f32], String)> = worst
            .iter()
            .map(|&i| (&query.inputs[i * d..(i + 1) * d], format!("row {}: {}", picked[i], predictions[i])))
            .collect();
        report
            .picture(pixels::gallery(shape, &images), "The row's number in Q, and the class that the model gives it.");
    }
    let mut rows = Table::new(&["row of Q", "class by the model", "doubt"]);
    for &i in worst {
        rows.push(Weight::Plain, vec![picked[i].into(), (predictions[i] as usize).into(), Cell::Number(blame[i], 3)]);
    }
    report.table(&rows);
    report
}
