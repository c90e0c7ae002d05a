//! `thalweg zoo align`: a zoo whose runs are permuted to lie close to one of them (M3), and what that does to the lines between them.
use crate::common::Outcome;
use crate::data;
use crate::output::{Inputs, Plan, Resumes, settings};
use crate::results::Results;
use crate::session::Session;
use crate::work::barriers::Comparison;
use crate::work::next::Next;
use crate::work::outlook::Outlook;
use crate::work::task::{self, Shard};
use crate::work::zoo::{FILES, best_run};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use thalweg::space::align::{align_task, align_zoo};
use thalweg_nets::zoo::{DeriveOptions, ZooStore};

/// Permute the hidden units of every run so that it lies close to a reference run
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg zoo align zoo/ --out aligned/
  thalweg zoo align zoo/ --reference 3 --pairs 50 --out aligned/
  # without the table of loss barriers
  thalweg zoo align zoo/ --pairs 0 --out aligned/

Networks compute what they computed before; whole trajectories move by the permutation of their final checkpoint.")]
pub struct Args {
    /// Folder of the zoo
    #[arg(value_name = "ZOO")]
    zoo: PathBuf,
    /// The run that the others are aligned to; the one of least final validation loss by default
    #[arg(long, value_name = "RUN")]
    reference: Option<usize>,
    /// Pairs of runs between which the loss barrier is measured, on validation rows
    #[arg(long, value_name = "N", default_value_t = 20)]
    pairs: usize,
    /// Data in the place of what the zoo says, as its networks take them
    #[arg(long, value_name = "NAME[:PATH]")]
    data: Option<String>,
    #[command(flatten)]
    pub(super) shard: Shard,
}

/// The folder of the aligned zoo without `--out`.
pub const FOLDER: &str = "zoo-aligned";

/// Aligns and tells.
///
/// # Errors
/// A zoo without architecture, too few runs, an output folder that holds something else.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let set = data::only_data("zoo align", &session.common.set)?;
    let named = data::named(args.data.as_deref(), set)?;
    let zoo = ZooStore::open(&args.zoo)?;
    let finished = zoo.finished_runs();
    let reference = match args.reference {
        Some(run) => run,
        None => best_run(&zoo).with_context(|| format!("{}: every run failed", args.zoo.display()))?,
    };
    let others: Vec<usize> = finished.iter().copied().filter(|&run| run != reference).collect();
    if others.is_empty() {
        bail!("{}: expected at least two runs that did not fail, found {}", args.zoo.display(), finished.len());
    }
    let plan = Plan {
        command: "zoo align",
        names: FILES,
        resumes: Resumes::Again,
        settings: settings([("zoo", zoo.origin().id().into()), ("reference", i64::try_from(reference)?.into())]),
        inputs: Inputs::default().path(&args.zoo).data(named.as_ref()),
    };
    if let Some(task) = args.shard.task()? {
        let out = session.joined(FOLDER, &plan)?;
        let runs = align_task(&zoo, reference, out.dir(), task, &session.progress)?;
        task::told(session, task, runs, out.shown(), 0)?;
        out.finish();
        return Ok(Outcome::Done);
    }
    // Data that changed are told before the work, not after.
    let comparison = Comparison::new(&zoo, reference, others, args.pairs, named.as_ref(), session)?;
    let Some(out) = session.folder(FOLDER, &plan)? else { return Ok(Outcome::Done) };
    let options = DeriveOptions { resume: session.common.resume, force: false };
    let aligned = align_zoo(&zoo, reference, out.dir(), options, &session.progress)?;
    session.progress.end();
    let (table, rows) = comparison.table([("as it was", &zoo), ("aligned", &aligned)])?;
    session.show(&table);
    let mut results = Results::new(0);
    results.rows = rows;
    results.made(out.shown());
    let prospect = Outlook::of_made(&aligned, out.shown())?;
    let next = Next::of(&aligned, out.shown(), prospect).told(out.shown());
    session.finish(Some(out), results)?;
    session.say(&next);
    Ok(Outcome::Done)
}
