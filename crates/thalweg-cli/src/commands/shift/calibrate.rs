//! `thalweg shift calibrate`: trains what tests need, once for a model, into one file with the rows of P that queries are compared with.
use crate::common::Outcome;
use crate::output::{Inputs, Plan};
use crate::results::{Results, object};
use crate::session::Session;
use crate::shell::quoted;
use crate::work::shift::parts::{Flags, Making};
use crate::work::shift::{made, read};
use anyhow::Result;
use thalweg::shift::calibration::Calibration;
use thalweg::shift::law::permutation;

/// Calibrate shift tests for a model: train what they need, keep held-out rows of P, write one file
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg shift calibrate --model f.safetensors --arch mlp --widths 16,16,16 \\
    --p heart --size 20 --out heart.cal
  thalweg shift calibrate --model f.safetensors --arch net.toml \\
    --p npz:train.npz --held npz:held.npz --size 50 --out my.cal
  # a run of a zoo, with the zoo's data as P
  thalweg shift calibrate --model hearts --run 3 --size 20 --out run.cal
  # any model: rows as CSV on its stdin, a line of probabilities a row on stdout
  thalweg shift calibrate --predict 'python3 f.py' --p held.csv --out mine.cal
  # a model known by its logits only
  thalweg shift calibrate --logits held-logits.csv --size 20 --out logits.cal

The classifier is f, the reference data are P. P must hold rows that f was not trained on: the rows of a query are compared with them, and p-values are
exact for any number of both. They are --held-out, or else the test rows of --reference. Files of logits may hold probabilities; an index and labels in them are left out.
--set changes parameters, e.g. --set bank.size=400, --set cdc.kappa=0.02.")]
pub struct Args {
    #[command(flatten)]
    of: Flags,
    #[command(flatten)]
    making: Making,
    /// Level that queries will be tested at: it says how many redraws are needed
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    level: f64,
}

/// Calibrates.
///
/// # Errors
/// Flags that do not fit together; what cannot be read; a query larger than the held-out rows.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let methods = args.of.methods(&args.making.methods, session)?;
    permutation::check(args.making.null, args.level)?;
    let inputs = Inputs::default().paths(&args.of.classifier).paths(&args.of.logits);
    let inputs =
        inputs.text(args.of.arch.as_deref()).text(args.of.reference.as_deref()).text(args.of.held_out.as_deref());
    let out =
        session.file("shift.calibration", false, &Plan { command: "shift calibrate", inputs, ..Plan::default() })?;
    let seed = session.seed_or(1);
    let ready = read::read(&args.of, seed, session)?;
    let config = ready.config(session)?;
    let request = ready.request(&args.making, (&methods, &config), args.level, seed);
    // What cannot be is told before anything is trained or written.
    request.check()?;
    let calibration = Calibration::make(&request, &session.progress)?;
    session.progress.end();
    calibration.write(out.path())?;
    made::tell(&calibration, session);
    let mut results = Results::new(seed);
    results.settings = object(&calibration.record)?;
    results.rows = made::rows(&calibration);
    results.made(out.shown());
    let made = out.shown().to_path_buf();
    session.finish_file(out, results)?;
    // The rows are the user's to name.
    let query = match (&args.of.logits, &args.of.asking.predict) {
        (Some(_), _) => "--query-logits FILE.csv".into(),
        (None, Some(command)) => format!("--query FILE.csv --predict {}", quoted(command.as_ref())),
        (None, None) => "--query NAME[:PATH]".into(),
    };
    session.say(&format!("Made {}. For new rows: thalweg shift test {} {query}", made.display(), quoted(&made)));
    Ok(Outcome::Done)
}
