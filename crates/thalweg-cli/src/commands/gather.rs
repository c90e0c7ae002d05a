//! `thalweg gather`: the end of work that tasks have shared.
use super::zoo::train;
use crate::common::Outcome;
use crate::results::Results;
use crate::session::Session;
use crate::shell::quoted;
use anyhow::{Result, bail};
use serde_json::json;
use std::path::{Path, PathBuf};
use thalweg_nets::zoo::task::ranges;
use thalweg_nets::zoo::{Gathered, Origin, ZooSpec, ZooStore, gather};

/// Check what the tasks of a zoo have made, name what is missing, and end their work
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg gather zoo/
  # damaged shards are removed, so that their tasks make them again
  thalweg gather zoo/ --discard

Every shard is read and held against its checksum. Exit code 1 where shards are missing or damaged: they are named as ranges that schedulers take.")]
pub struct Args {
    /// Folder that the tasks filled
    #[arg(value_name = "ZOO")]
    zoo: PathBuf,
    /// Remove damaged shards
    #[arg(long)]
    discard: bool,
}

/// Gathers and tells.
///
/// # Errors
/// A folder that is no zoo, or that tasks are still at work on.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("gather")?;
    if session.common.out.is_some() {
        bail!("--out: `thalweg gather` ends the work in the zoo's own folder, and has no other output");
    }
    gathered(&args.zoo, args.discard, session)
}

/// Checks the zoo in `dir` and ends the work on it; the finding is negative where shards have to be made.
///
/// # Errors
/// As [`run`].
pub fn gathered(dir: &Path, discard: bool, session: &Session) -> Result<Outcome> {
    let found = gather(dir, discard, &session.progress)?;
    session.progress.end();
    if !found.is_whole() {
        return lacking(dir, discard, &found, session);
    }
    let zoo = ZooStore::open(dir)?;
    session.say(&format!("all {} shards of {} are there and sound", found.shards, dir.display()));
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

fn lacking(dir: &Path, discard: bool, found: &Gathered, session: &Session) -> Result<Outcome> {
    let (n, to_make) = (found.shards, ranges(&found.to_make()));
    let missing = ranges(&found.missing);
    session.say(&format!("{} of {n} shards of {} are there and sound", n - found.to_make().len(), dir.display()));
    if !found.missing.is_empty() {
        session.say(&format!("missing: {missing}"));
    }
    for (_, what) in &found.damaged {
        session.say(&format!("damaged: {what}"));
    }
    let (spec, out) = (quoted(&dir.join("zoo.toml")), quoted(dir));
    session.say(&match found.damaged.is_empty() || discard {
        false => format!("`thalweg gather {out} --discard` removes the damaged ones, so that they can be made again"),
        true => format!(
            "the command that began it makes them with --shard I/{n}, for I in {to_make}; a trained zoo also so: thalweg zoo train {spec} --out {out} --shard I/{n}"
        ),
    });
    let mut results = Results::new(0);
    let state = |shard: &usize, found: Option<&String>| match json!({"shard": shard, "damaged": found}) {
        serde_json::Value::Object(row) => row,
        _ => Default::default(),
    };
    let gone = found.missing.iter().map(|shard| state(shard, None));
    results.rows = gone.chain(found.damaged.iter().map(|(shard, what)| state(shard, Some(what)))).collect();
    session.finish(None, results)?;
    Ok(Outcome::Negative)
}
