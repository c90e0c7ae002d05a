//! `thalweg zoo train`.
use super::plan::{self, Flags};
use crate::commands::data;
use crate::common::Outcome;
use crate::results::Results;
use crate::session::Session;
use anyhow::Result;
use std::path::PathBuf;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{Summary, TrainOptions, train_zoo};

/// Train many networks of one architecture and record their way
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg zoo train --arch cnn-s --data mnist --kind fork --runs 200 --epochs 4 --out zoo/
  thalweg zoo train --arch mlp --widths 16,16 --data heart --runs 1000 --out hearts/
  thalweg zoo train zoo.toml --runs 50 --set recipe.batch=128 --out zoo/
  thalweg zoo train zoo/zoo.toml --out zoo/ --resume     after Ctrl-C: goes on, to the same bytes

A zoo is a folder: zoo.toml says all that decides its bytes, shard-NNNNN.safetensors hold theta [runs, K, P].")]
pub struct Args {
    /// A zoo.toml; flags override it
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Trains the zoo.
///
/// # Errors
/// A spec that does not hold together, a folder that exists, Ctrl-C.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let common = &session.common;
    let spec = plan::spec(args.file.as_deref(), &args.flags, common.seed, &common.set, &session.progress)?;
    data::ensure(&spec.data, &session.progress)?;
    let out = session.out_or("zoo");
    let options = TrainOptions { resume: common.resume, force: common.force, ..TrainOptions::default() };
    let zoo = train_zoo(&spec, &out, &options, &session.progress)?;
    session.progress.end();
    let summary = Summary::of(&zoo)?;
    let mut results = Results::new(spec.seed).with_settings(&spec)?;
    results.rows = super::info::rows(&summary);
    results.made(&out);
    session.say(&format!("\n{summary}"));
    session.finish(Some(&out), results)?;
    if summary.dead == summary.runs {
        let expected = "a smaller --learning-rate, most likely; --force replaces this zoo";
        session
            .progress
            .note(&format!("all {} runs died: there is nothing to learn from; try {expected}", summary.runs));
        return Ok(Outcome::Negative);
    }
    session.say(&format!("Made {}. Next: thalweg fit {}", out.display(), out.display()));
    Ok(Outcome::Done)
}
