//! `thalweg zoo train`.
use crate::common::Outcome;
use crate::data;
use crate::output::{Folder, Inputs, Plan, Resumes};
use crate::results::Results;
use crate::session::Session;
use crate::work::next::Next;
use crate::work::outlook::Outlook;
use crate::work::plan::{self, Flags};
use crate::work::task::{self, Shard};
use crate::work::zoo::FILES;
use anyhow::Result;
use std::path::{Path, PathBuf};
use thalweg_nets::zoo::{Summary, TrainOptions, ZooSpec, ZooStore, train_task, train_zoo};

/// Train many networks of one architecture and record their checkpoints
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg zoo train --arch cnn-s --data mnist --kind fork --runs 200 \\
    --epochs 6 --out zoo/
  thalweg zoo train --arch mlp --widths 16,16 --data heart --kind fork \\
    --runs 1000 --out hearts/
  thalweg zoo train zoo.toml --runs 50 --set recipe.batch=128 --out zoo/
  # after Ctrl-C: goes on, to the same bytes
  thalweg zoo train zoo/zoo.toml --out zoo/ --resume
  # the first of two tasks, which may run on two machines
  thalweg zoo train zoo.toml --set shard=4 --shard 0/2 --out parts/

A zoo is a folder: zoo.toml says all that decides its bytes, shard-NNNNN.safetensors hold theta [runs, K, P].")]
pub struct Args {
    /// A zoo.toml; flags override it
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    pub(super) shard: Shard,
}

/// The folder of the zoo without `--out`.
pub const FOLDER: &str = "zoo";

/// What the command writes, from what it reads.
pub fn plan(inputs: Inputs) -> Plan {
    Plan { command: "zoo train", names: FILES, resumes: Resumes::Again, inputs, ..Plan::default() }
}

/// Trains the zoo.
///
/// # Errors
/// A spec that does not hold together, a folder that exists, Ctrl-C.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let common = &session.common;
    let spec = plan::spec(args.file.as_deref(), &args.flags, common.seed, &common.set, &session.progress)?;
    let plan = plan(inputs(args, &spec, session));
    if let Some(task) = args.shard.task()? {
        task::same_bytes(session)?;
        let out = session.joined(FOLDER, &plan)?;
        data::ensure(&spec.data, &session.progress)?;
        let runs = train_task(&spec, out.dir(), task, &session.progress)?;
        task::told(session, task, runs, out.shown(), spec.seed)?;
        out.finish();
        return Ok(Outcome::Done);
    }
    let Some(out) = session.folder(FOLDER, &plan)? else { return Ok(Outcome::Done) };
    data::ensure(&spec.data, &session.progress)?;
    let options = TrainOptions { resume: common.resume, ..TrainOptions::default() };
    let zoo = train_zoo(&spec, out.dir(), &options, &session.progress)?;
    session.progress.end();
    finished(&zoo, &spec, out, session)
}

/// Tells of a zoo that is whole, and ends the work on its folder.
///
/// # Errors
/// A zoo that cannot be read, results that cannot be written.
pub fn finished(zoo: &ZooStore, spec: &ZooSpec, out: Folder, session: &Session) -> Result<Outcome> {
    let summary = Summary::of(zoo)?;
    let mut results = Results::new(spec.seed).with_settings(spec)?;
    results.rows = super::info::rows(&summary);
    results.made(out.shown());
    session.say(&format!("\n{summary}"));
    let prospect = Outlook::of_made(zoo, out.shown())?;
    let next = Next::of(zoo, out.shown(), prospect).told(out.shown());
    session.finish(Some(out), results)?;
    session.say(&next);
    Ok(if zoo.finished_runs().is_empty() { Outcome::Negative } else { Outcome::Done })
}

/// What the zoo is trained from. To go on with a zoo by its own `zoo.toml` is what that is there for.
fn inputs(args: &Args, spec: &ZooSpec, session: &Session) -> Inputs {
    let own = session.common.out.as_ref().map(|out| out.join("zoo.toml"));
    let file = args.file.as_ref().filter(|file| {
        !((session.common.resume || args.shard.is_said()) && own.as_ref().is_some_and(|own| same(own, file)))
    });
    Inputs::default().paths(file).settings(spec).text(args.flags.arch.as_deref())
}

fn same(a: &Path, b: &Path) -> bool {
    std::fs::canonicalize(a).is_ok_and(|a| std::fs::canonicalize(b).is_ok_and(|b| a == b))
}
