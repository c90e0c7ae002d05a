//! What a calibration says of rows, from the tests to the exit code: for `thalweg shift test` and `check` alike.
use super::page::{Told, accuracy, page, table};
use super::predict::Predictor;
use super::query::Rows;
use super::verdict::{FailOn, results, told};
use super::{command, looking};
use crate::common::Outcome;
use crate::output::{Folder, Inputs, OutFile, Plan, REPORT};
use crate::session::Session;
use anyhow::{Context, Result};
use std::path::PathBuf;
use thalweg::shift::calibration::Calibration;
use thalweg::shift::counterpart::Ask;
use thalweg::shift::explain::explained;
use thalweg::shift::law::outcome;
use thalweg::{Error, Streams};

/// How it is to be said.
#[derive(clap::Args, Debug)]
pub struct AnswerFlags {
    /// Level of the outcome; that of the calibration by default
    #[arg(long, value_name = "P")]
    pub level: Option<f64>,
    /// What to look at (rows, features, classes, subgroups), even where nothing was found
    #[arg(long)]
    pub explain: bool,
    /// Write a page that says it all, with pictures
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Which outcomes end with another exit code than 0
    #[arg(long, value_name = "OUTCOME", value_enum, default_value_t = FailOn::Shifted)]
    pub fail_on: FailOn,
}

impl AnswerFlags {
    /// The page's file, claimed, where it is asked for.
    ///
    /// # Errors
    /// As [`OutFile::claim`].
    pub fn page(&self, command: &'static str, inputs: &Inputs, session: &Session) -> Result<Option<OutFile>> {
        let plan = Plan { command, inputs: inputs.clone(), ..Plan::default() };
        self.report.as_ref().map(|path| OutFile::claim(path, false, &plan, &session.common)).transpose()
    }
}

/// Tests the rows at `level`, and tells what was found; `model` answers for an f that is a command.
///
/// # Errors
/// As [`Calibration::test`]; what cannot be written.
pub fn answered(
    (calibration, model): (&Calibration, Option<&Predictor>),
    rows: &Rows,
    (flags, level): (&AnswerFlags, f64),
    (out, report): (Option<Folder>, Option<OutFile>),
    session: &Session,
) -> Result<Outcome> {
    let seed = session.seed_or(1);
    let Rows { sample, picked, features } = rows;
    let ask = |inputs: &[f32]| {
        let model = model.context("the model is a command that was not named")?;
        command::of_inputs(model, inputs, calibration, session)
    };
    let ask = |inputs: &[f32]| {
        ask(inputs).map_err(|error| match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::parameter("model", "answers to rows of P that were changed", format!("{error:#}")),
        })
    };
    let ask = model.map(|_| &ask as &Ask);
    let verdict = calibration.test_asking(sample, level, seed, ask, &session.progress)?;
    let alarm = verdict.outcome != outcome::Outcome::NoEvidenceOfHarm;
    let explanation = match flags.explain || alarm || out.is_some() || report.is_some() {
        true => Some(explained(calibration, sample, features, &Streams::new(seed).child("explain"))?),
        false => None,
    };
    session.progress.end();
    session.show(&table(&verdict));
    let said = told(&verdict, calibration.base().is_none());
    if let Some(estimate) = &verdict.estimate {
        session.say(&accuracy(estimate));
    }
    verdict.caveats.iter().for_each(|caveat| session.say(caveat));
    if let Some(agreement) = calibration.record.stand_in {
        session.say(&format!(
            "Tests by disagreement use a network that was fitted to the model's answers (it names the model's class on {:.0} % of other rows of P): they see less than with the model itself.",
            100.0 * agreement
        ));
    }
    if let Some(found) = explanation.as_ref().filter(|_| flags.explain || alarm) {
        looking::tables(found, picked).iter().for_each(|table| session.show(table));
    }
    let mut results = results(calibration, &verdict, &said, seed)?;
    if let Some(found) = &explanation {
        results.summary.insert("explain".into(), looking::json(found, picked)?);
    }
    let whole = Told { calibration, verdict: &verdict, said: &said, explanation: explanation.as_ref(), rows };
    if let Some(out) = &out {
        let report = out.dir().join(REPORT);
        page(&whole).write(&report)?;
        results.made(&report);
    }
    if let Some(report) = report {
        page(&whole).write(report.path())?;
        results.made(report.shown());
        report.finish()?;
    }
    session.finish(out, results)?;
    session.say(&said);
    Ok(flags.fail_on.of(verdict.outcome))
}
