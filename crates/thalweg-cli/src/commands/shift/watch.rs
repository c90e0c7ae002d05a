//! `thalweg shift watch`: batches of rows day after day, with one bound on false alarms over all time.
use crate::common::Outcome;
use crate::data;
use crate::output::{Inputs, OutFile, Plan};
use crate::session::Session;
use crate::work::shift::predict::PredictFlags;
use crate::work::shift::query;
use crate::work::shift::verdict::FailOn;
use crate::work::shift::watch::{State, batches, page, results, said, table};
use anyhow::{Result, bail};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use thalweg::shift::calibration::Calibration;

/// Watch rows that come in batches: without shift, the probability of any alarm, ever, is at most --level
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg shift watch logits.cal --state days.watch \\
    --query-logits new-logits.csv
  thalweg shift watch mine.cal --state mine.watch --query new.csv \\
    --predict 'python3 f.py'
  # a stream: fifty lines are a batch
  tail -n +1 -f logits.log | thalweg shift watch logits.cal \\
    --state days.watch --query-logits - --every 50
  # what it has come to so far, and its course as a page
  thalweg shift watch logits.cal --state days.watch --report days.html

Every file is a batch (all of a folder: --batches DIR); the state is made with the first one and goes on with each that follows. Rows that were watched before are left out: a file may be
given again, whole or with rows appended. Testing every day's rows by `shift test` would alarm sooner or later without any shift; here the batches'
p-values add up to evidence that may be looked at after each of them. An alarm stays: after you have acted on it, begin another state.

Exit codes: 0 no evidence of harm, 1 harmful shift, 2 an error, 3 shifted but harm not established.")]
pub struct Args {
    /// What `thalweg shift calibrate` made
    #[arg(value_name = "FILE")]
    calibration: PathBuf,
    /// Where the watch is kept between batches: a file, made if it is not there
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Rows of a batch: FILE.csv, - for stdin, or NAME[:DIR]; several in their order
    #[arg(long, visible_alias = "q", value_name = "NAME[:DIR]", conflicts_with = "query_logits")]
    query: Vec<String>,
    /// The hospital, for --query heart
    #[arg(long, value_name = "SITE", requires = "query")]
    site: Option<String>,
    /// Folder of batches: its files .csv, .csv.gz and .npz in natural order (day-2 before day-10), rows or logits as the calibration has them
    #[arg(long, value_name = "DIR", conflicts_with_all = ["query", "query_logits"])]
    batches: Option<PathBuf>,
    #[command(flatten)]
    asking: PredictFlags,
    /// f's logits on the rows of a batch: a CSV file, or - for stdin; several in their order
    #[arg(long, visible_alias = "q-logits", value_name = "FILE", num_args = 1.., conflicts_with = "predict")]
    query_logits: Vec<PathBuf>,
    /// Rows from stdin that make a batch, all of them without this; the verdict is told after each, and an alarm ends the watch
    #[arg(long, value_name = "N")]
    every: Option<NonZeroUsize>,
    /// The files hold probabilities (recognised without the flag; with it anything else is refused)
    #[arg(long, conflicts_with = "query")]
    probabilities: bool,
    /// Level over all time, for a new state; that of the calibration by default
    #[arg(long, value_name = "P")]
    level: Option<f64>,
    /// Write a page that shows its course
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Which outcomes end with another exit code than 0
    #[arg(long, value_name = "OUTCOME", value_enum, default_value_t = FailOn::Shifted)]
    fail_on: FailOn,
}

/// Watches.
///
/// # Errors
/// Files that are no calibration, or no watch by it; rows that do not fit; a level outside (0, 1). Batches before the one that failed are kept.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    data::only_data("shift watch", &session.common.set)?;
    if session.common.out.is_some() || session.common.resume {
        bail!("shift watch: --state names the file; it goes on by itself, without --out and --resume");
    }
    let inputs = Inputs::default().path(&args.calibration).path(&args.state).paths(&args.query_logits);
    let inputs = args.query.iter().fold(inputs.paths(&args.batches), |inputs, text| inputs.text(Some(text)));
    let plan = Plan { command: "shift watch", inputs, ..Plan::default() };
    let report = args.report.as_ref().map(|path| OutFile::claim(path, false, &plan, &session.common)).transpose()?;
    let calibration = Calibration::read(&args.calibration)?;
    calibration.caveats().iter().for_each(|said| session.say(said));
    let mut state = State::open(&args.state, &calibration, args.level, session)?;
    let model = args.asking.predictor();
    let logits_alone = calibration.base().is_none();
    let files = args.batches.as_deref().map(batches).transpose()?.unwrap_or_default();
    let (of_logits, of_rows): (Vec<_>, Vec<_>) = files.into_iter().partition(|_| logits_alone);
    let of_rows = of_rows.iter().map(|path| path.display().to_string());
    let asked = (args.site.as_deref(), model.as_ref());
    let data = |text: &str| query::of_data(text, asked, &calibration, &args.calibration, session);
    let parted = (args.every, args.fail_on);
    for text in args.query.iter().cloned().chain(of_rows) {
        let name = args.site.as_ref().map_or(text.clone(), |site| format!("{text}, {site}"));
        state.take(&text, &name, data, parted, (&calibration, session))?;
    }
    let logits =
        |file: &str| query::of_logits(Path::new(file), args.probabilities, &calibration, &args.calibration, session);
    for path in args.query_logits.iter().chain(&of_logits) {
        let name = path.display().to_string();
        state.take(&name, &name, logits, parted, (&calibration, session))?;
    }
    session.progress.end();
    let watch = state.watch();
    session.show(&table(watch));
    let mut results = results(watch, state.seed())?;
    if let Some(report) = report {
        page(watch, &calibration).write(report.path())?;
        results.made(report.shown());
        report.finish()?;
    }
    session.finish(None, results)?;
    session.say(&said(watch));
    Ok(args.fail_on.of(watch.outcome()))
}
