//! `thalweg gather`: the end of work that tasks have shared.
use super::zoo::train;
use crate::common::Outcome;
use crate::results::Results;
use crate::session::Session;
use crate::shell::{line, quoted};
use crate::work::pieces::{self, Ending};
use crate::work::task::lacking;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use thalweg_nets::zoo::{Origin, ZooSpec, ZooStore, gather};

/// Runs the command of words that end work which tasks have shared.
pub type Ends<'a> = dyn Fn(&[String], &Session) -> Result<Outcome> + 'a;

/// Check what the tasks of a zoo or of another command have made, name what is missing, and end their work
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg gather zoo/
  # damaged shards are removed, so that their tasks make them again
  thalweg gather zoo/ --discard

Every shard or piece is read and held against its checksum. Exit code 1 where some are missing or damaged: they are named as ranges that schedulers take.
For other work (eval, shift calibrate: or PATH.pieces; fit --sweep) name the output; where all pieces are there the command itself is run and finds them.")]
pub struct Args {
    /// Folder that the tasks filled, or the output of their command
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Remove what is damaged
    #[arg(long)]
    discard: bool,
}

/// Gathers and tells.
///
/// # Errors
/// A folder that is no zoo and holds no pieces, or that tasks are still at work on.
pub fn run(args: &Args, session: &Session, ends: &Ends<'_>) -> Result<Outcome> {
    session.no_settings("gather")?;
    if session.common.out.is_some() {
        bail!("--out: `thalweg gather` ends the work where the tasks began it, and has no other output");
    }
    gathered(&args.path, args.discard, session, ends)
}

/// Checks what tasks have made at `path` and ends the work on it; the finding is negative where something has to be made.
///
/// # Errors
/// As [`run`].
pub fn gathered(path: &Path, discard: bool, session: &Session, ends: &Ends<'_>) -> Result<Outcome> {
    match pieces::folder_of(path) {
        Some(dir) => of_pieces(&dir, discard, session, ends),
        None => of_zoo(path, discard, session),
    }
}

fn of_pieces(dir: &Path, discard: bool, session: &Session, ends: &Ends<'_>) -> Result<Outcome> {
    let Ending { found, what, mut words, directory, resumes } = pieces::gather(dir, discard, session)?;
    if !found.is_whole() {
        let of = found.pieces;
        let how = |to_make: &str| format!("thalweg {} --shard I/{of}, for I in {to_make}", line(&words));
        return lacking(dir, what, discard, &found, &how, session);
    }
    session.say(&format!("all {} {what} in {} are there and sound", found.pieces, dir.display()));
    let moved = || format!("{}: the folder that the work was begun in", directory.display());
    std::env::set_current_dir(&directory).with_context(moved)?;
    if resumes && !words.iter().any(|word| word == "--resume") {
        words.push("--resume".into());
    }
    ends(&words, session)
}

fn of_zoo(dir: &Path, discard: bool, session: &Session) -> Result<Outcome> {
    let found = gather(dir, discard, &session.progress)?;
    session.progress.end();
    if !found.is_whole() {
        let (spec, out, of) = (quoted(&dir.join("zoo.toml")), quoted(dir), found.pieces);
        let how = |to_make: &str| {
            format!(
                "the command that began it makes them with --shard I/{of}, for I in {to_make}; a trained zoo also so: thalweg zoo train {spec} --out {out} --shard I/{of}"
            )
        };
        return lacking(dir, "shards", discard, &found, &how, session);
    }
    let zoo = ZooStore::open(dir)?;
    session.say(&format!("all {} shards of {} are there and sound", found.pieces, dir.display()));
    match zoo.origin() {
        Origin::Trained(spec) => {
            let out = session.resumed(dir, &train::plan(Default::default()))?;
            // As the command itself tells it: without what was found in the data.
            train::finished(&zoo, &ZooSpec { record: None, ..(**spec).clone() }, out, session)
        }
        // What else its command tells needs what it was made from: the command itself adds it, and finds every shard there.
        _ => session.finish(None, Results::new(0)).map(|()| Outcome::Done),
    }
}
