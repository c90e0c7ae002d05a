//! `thalweg shift calibrate`: trains what tests need, once for a model, into one file with the rows of P that queries are compared with.
use crate::common::Outcome;
use crate::output::{Inputs, Plan, settings};
use crate::results::{Results, object};
use crate::session::Session;
use crate::shell::quoted;
use crate::work::pieces::{Site, Step};
use crate::work::shift::parts::{Flags, Making};
use crate::work::shift::{made, read};
use crate::work::task::Shard;
use anyhow::Result;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use thalweg::shift::calibration::Calibration;
use thalweg::shift::law::permutation;
use thalweg_nets::pieces::Pieces;

/// Calibrate shift tests for a model: train what they need, keep held-out rows of P, write one file
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg shift calibrate --model f.safetensors --arch mlp --widths 16,16,16 \\
    --p heart --size 20 --out heart.cal
  thalweg shift calibrate --model f.safetensors --arch net.toml \\
    --p npz:train.npz --held npz:held.npz --size 50 --out my.cal
  # the first of four tasks that train its networks, which may run on four machines
  thalweg shift calibrate --model f.safetensors --arch mlp --widths 16,16,16 \\
    --p heart --size 20 --out heart.cal --shard 0/4
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
    #[command(flatten)]
    shard: Shard,
}

/// The file without `--out`.
const FILE: &str = "shift.calibration";

impl Args {
    /// The folder that its tasks fill, for a command that writes to `out`.
    ///
    /// # Errors
    /// A command that is told already which task it is.
    pub fn shared(&self, out: Option<&Path>) -> Result<PathBuf> {
        self.shard.beside(Some(out.unwrap_or(Path::new(FILE))))
    }
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
    let plan = Plan { command: "shift calibrate", inputs: inputs.clone(), ..Plan::default() };
    let target = session.common.out.clone().unwrap_or_else(|| FILE.into());
    let site = Site::new(plan.command, Some(&target), &args.shard, inputs)?;
    let out = if args.shard.is_said() { None } else { Some(session.file(FILE, false, &plan)?) };
    let seed = session.seed_or(1);
    let ready = read::read(&args.of, seed, session)?;
    let config = ready.config(session)?;
    let request = ready.request(&args.making, (&methods, &config), args.level, seed);
    // What cannot be is told before anything is trained or written.
    let work = request.pieces()?;
    let of = || settings([("request", request.key().into())]);
    let (Step::All(found), Some(out)) = (site.begin(of, &work, session)?, out) else { return Ok(Outcome::Done) };
    let networks = |first: usize, part: &dyn Pieces| {
        (0..part.count())
            .into_par_iter()
            .map(|index| found.get(part, first, index))
            .collect::<thalweg::Result<Vec<_>>>()
    };
    let calibration = Calibration::make_by(&request, &networks, &session.progress)?;
    session.progress.end();
    calibration.write(out.path())?;
    made::tell(&calibration, session);
    let mut results = Results::new(seed);
    results.settings = object(&calibration.record)?;
    results.rows = made::rows(&calibration);
    results.made(out.shown());
    let made = out.shown().to_path_buf();
    session.finish_file(out, results)?;
    found.remove()?;
    // The rows are the user's to name.
    let query = match (&args.of.logits, &args.of.asking.predict) {
        (Some(_), _) => "--query-logits FILE.csv".into(),
        (None, Some(command)) => format!("--query FILE.csv --predict {}", quoted(command.as_ref())),
        (None, None) => "--query NAME[:PATH]".into(),
    };
    session.say(&format!("Made {}. For new rows: thalweg shift test {} {query}", made.display(), quoted(&made)));
    Ok(Outcome::Done)
}
