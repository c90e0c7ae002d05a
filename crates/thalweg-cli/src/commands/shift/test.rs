//! `thalweg shift test`: what calibrated tests say of new rows; exit code 1 where the shift is harmful, 3 where rows are shifted and harm is open.
use crate::common::Outcome;
use crate::data;
use crate::output::{Inputs, JSON, Plan, REPORT};
use crate::session::Session;
use crate::work::shift::predict::PredictFlags;
use crate::work::shift::{answer, looking, query};
use anyhow::Result;
use std::path::PathBuf;
use thalweg::shift::calibration::Calibration;

/// Test new rows for harmful shift: exit code 1 where it is found
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg shift test heart.cal --query heart --site hungary
  # with results.json and report.html
  thalweg shift test my.cal --query npz:new.npz --out verdict/
  # which rows, features, classes and subgroups to look at, and a page
  thalweg shift test heart.cal --query heart --site hungary --explain \\
    --report heart.html
  thalweg shift test logits.cal --query-logits new-logits.csv
  # a model that is a command: it is asked about the new rows
  thalweg shift test mine.cal --query new.csv --predict 'python3 f.py'

Three outcomes: harmful shift; no evidence of harm; shifted, harm not established (the rows differ from P, and the tests of harm are silent: the
model may be sure and wrong; or they alarm, and rows of P changed to look like Q do so too while the model is as right on them as before). Without shift, any but the second comes with at most the probability --level.

Exit codes: 0 no evidence of harm, 1 harmful shift, 2 an error, 3 shifted but harm not established.")]
pub struct Args {
    /// What `thalweg shift calibrate` made
    #[arg(value_name = "FILE")]
    calibration: PathBuf,
    #[command(flatten)]
    query: query::QueryFlags,
    #[command(flatten)]
    asking: PredictFlags,
    /// The file holds probabilities (recognised without the flag; with it anything else is refused)
    #[arg(long, requires = "query_logits", conflicts_with = "query")]
    probabilities: bool,
    #[command(flatten)]
    answer: answer::AnswerFlags,
}

/// Tests.
///
/// # Errors
/// A file that is no calibration; rows that do not fit it; a level that cannot be reached.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    data::only_data("shift test", &session.common.set)?;
    let inputs = args.query.inputs(Inputs::default().path(&args.calibration));
    let report = args.answer.page("shift test", &inputs, session)?;
    let plan = Plan { command: "shift test", names: &[JSON, REPORT], inputs, ..Plan::default() };
    let out = session.folder_if_given(&plan)?;
    let calibration = Calibration::read(&args.calibration)?;
    let level = query::level(args.answer.level, &calibration, &args.calibration)?;
    let model = args.asking.predictor();
    let (query, _stdin) = args.query.in_files()?;
    let (sample, picked) =
        query.rows((model.as_ref(), args.probabilities), &calibration, &args.calibration, session)?;
    let rows = query::Rows { sample, picked, features: looking::features(&calibration) };
    answer::answered((&calibration, model.as_ref()), &rows, (&args.answer, level), (out, report), session)
}
