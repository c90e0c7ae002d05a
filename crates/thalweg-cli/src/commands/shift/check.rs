//! `thalweg shift check`: a model, the rows that it knows and new rows, in one step; calibrations are kept, so that the next rows cost no training.
use crate::common::Outcome;
use crate::output::{Inputs, JSON, Plan, REPORT};
use crate::session::Session;
use crate::work::shift::parts::{Flags, Making};
use crate::work::shift::query::{QueryFlags, Rows};
use crate::work::shift::{answer, cache, looking, read};
use anyhow::Result;
use std::path::{Path, PathBuf};
use thalweg::shift::law::permutation;

/// Ask whether a model still holds on new rows, in one step: exit code 1 where the shift is harmful
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg shift check --model f.safetensors --arch net.toml --p train.csv \\
    --held held.csv --q new.csv
  thalweg shift check --logits held-logits.csv --q-logits new-logits.csv
  # any model: rows as CSV on its stdin, a line of probabilities a row on stdout
  thalweg shift check --predict 'python3 f.py' --p held.csv --q new.csv \\
    --report new.html

With --model, P are the rows that f was trained on and --held rows that it was not (else P's test rows by --split-seed). With --predict, P are rows that f was
not trained on, or --held are; f gets the columns of P but for labels and an index, cells as they stand, words and gaps too. Columns of Q are matched by
name. What was trained is kept by the hash of all that it depends on, and serves again for other rows.

Exit codes: 0 no evidence of harm, 1 harmful shift, 2 an error, 3 shifted but harm not established.")]
pub struct Args {
    #[command(flatten)]
    of: Flags,
    #[command(flatten)]
    query: QueryFlags,
    #[command(flatten)]
    making: Making,
    /// Folder that calibrations are kept in; one in the user's cache folder by default
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Keep no calibration
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
    #[command(flatten)]
    answer: answer::AnswerFlags,
}

/// Calibrates, or finds what was calibrated, and tests.
///
/// # Errors
/// As of `shift calibrate` and `shift test`; a command that fails.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let level = args.answer.level.unwrap_or(0.05);
    permutation::check(args.making.null, level)?;
    let of = &args.of;
    let inputs = Inputs::default().paths(&of.classifier).paths(&of.logits).text(of.arch.as_deref());
    let inputs = args.query.inputs(inputs.text(of.reference.as_deref()).text(of.held_out.as_deref()));
    let report = args.answer.page("shift check", &inputs, session)?;
    let plan = Plan { command: "shift check", names: &[JSON, REPORT], inputs, ..Plan::default() };
    let out = session.folder_if_given(&plan)?;
    let folder = if args.no_cache { None } else { Some(cache::folder(args.cache.as_deref())?) };
    let seed = session.seed_or(1);
    let methods = of.methods(&args.making.methods, session)?;
    let model = of.asking.predictor();
    let (query, _stdin) = args.query.in_files()?;
    // A command is asked about P and Q at once.
    let (ready, asked) = match &model {
        Some(model) => read::by_command(of, model, query.query.as_deref(), seed, session)?,
        None => (read::read(of, seed, session)?, None),
    };
    let config = ready.config(session)?;
    let request = ready.request(&args.making, (&methods, &config), level, seed);
    let (calibration, _) = cache::calibrated(&request, folder.as_deref(), session)?;
    let (sample, picked) = match asked {
        Some(rows) => query.picked(rows, args.making.size, session),
        None => query.rows((None, of.probabilities), &calibration, Path::new("the model"), session)?,
    };
    let rows = Rows { sample, picked, features: looking::features(&calibration) };
    answer::answered((&calibration, model.as_ref()), &rows, (&args.answer, level), (out, report), session)
}
