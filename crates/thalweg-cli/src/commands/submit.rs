//! `thalweg submit`: a command's work, shared out to the tasks of an array on a cluster.
use super::gather::{Ends, gathered};
use crate::common::Outcome;
use crate::session::Session;
use crate::work::submit::{Array, ENGINES, Shared, Workers, follow, settled, unfinished};
use anyhow::{Result, bail};
use std::fs;
use std::num::NonZeroUsize;
use thalweg_nets::Error;

/// Share a command's work out to the tasks of an array on a cluster, follow them, gather what they make
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # what to type by hand; without --dry-run it is submitted and followed
  thalweg submit --tasks 4 --dry-run -- zoo train zoo.toml --out zoo/
  thalweg submit --tasks 4 --on slurm --dry-run -- zoo align zoo/ --out a/

Ctrl-C leaves the tasks to the engine: the same command finds them again. Tasks that failed are submitted again by the same command.
HyperQueue is driven by its Python package (pip install hyperqueue); HQ_SERVER_DIR names its server's folder. Slurm is driven by sbatch, squeue and sacct;
SBATCH_PARTITION and the like choose for it. docs/distributed.md has the contract.")]
pub struct Args {
    /// Tasks that the shards are shared out to
    #[arg(long, value_name = "N")]
    tasks: NonZeroUsize,
    /// The engine: hq (HyperQueue) or slurm
    #[arg(long, value_name = "NAME", default_value = "hq", value_parser = ENGINES)]
    on: String,
    #[command(flatten)]
    workers: Workers,
    /// The command, after --: zoo train …, zoo align …, fit --sweep …, eval …, shift calibrate …
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<String>,
}

/// Submits, follows and gathers; `read` checks the words of a command and says which folder its tasks fill.
///
/// # Errors
/// A command whose work cannot be shared out, no engine, tasks that failed, Ctrl-C.
pub fn run(
    args: &Args,
    session: &Session,
    read: &dyn Fn(&[String]) -> Result<Shared>,
    ends: &Ends<'_>,
) -> Result<Outcome> {
    let common = &session.common;
    if common.out.is_some() || common.resume || common.force || !common.set.is_empty() || common.seed.is_some() {
        bail!("submit: --out, --seed, --set, --resume and --force belong to the command, behind --");
    }
    let (mut shared, workers) = (read(&args.command)?, &args.workers);
    if !shared.words.iter().any(|word| word == "--threads" || word.starts_with("--threads=")) {
        shared.words.extend(["--threads".into(), workers.cores().to_string()]);
    }
    let of = args.tasks.get();
    let array = Array {
        program: workers.program()?,
        tasks: unfinished(&shared.out, of)?,
        words: shared.words,
        out: shared.out,
        of,
        cores: workers.cores(),
    };
    if workers.dry_run {
        let gather = format!("thalweg gather {}", crate::shell::quoted(&array.out));
        let line = Workers::typed(&args.on, &array);
        session.say(&if array.tasks.is_empty() { gather } else { format!("{line}\n{gather}") });
        return Ok(Outcome::Done);
    }
    if !array.tasks.is_empty() {
        follow(&array, &*workers.engine(&args.on), &|| unfinished(&array.out, of), session)?;
    }
    settled(&array.out, session)?;
    let outcome = gathered(&array.out, false, session, ends)?;
    let logs = array.logs();
    if outcome == Outcome::Done && logs.exists() {
        fs::remove_dir_all(&logs).map_err(Error::io("remove", &logs))?;
    }
    Ok(outcome)
}
