//! `thalweg config`: every setting of a command with default, range and meaning, as its types hold them.
use crate::common::Outcome;
use crate::experiments;
use crate::output::Plan;
use crate::results::Results;
use crate::row;
use crate::schema::{Key, keys};
use crate::session::Session;
use crate::table::{columns, wrapped};
use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;
use schemars::{Schema, schema_for};
use std::fmt::Write as _;
use thalweg::shift::method::Config;
use thalweg::{FitConfig, TuneConfig};
use thalweg_nets::zoo::ZooSpec;

/// What a schema describes, where it is set, and the schema.
type Described = (&'static str, &'static str, fn() -> Schema);

const SCHEMAS: &[Described] = &[
    ("zoo", "thalweg zoo train FILE, and --set KEY=VALUE", || schema_for!(ZooSpec)),
    ("fit", "thalweg fit --config FILE, and --set KEY=VALUE", || schema_for!(FitConfig)),
    ("tune", "thalweg tune --config FILE, and --set KEY=VALUE", || schema_for!(TuneConfig)),
    ("shift", "thalweg shift calibrate --set KEY=VALUE (other defaults for images)", || schema_for!(Config)),
];

/// Print every setting of a command with its default, range and meaning
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg config fit
  thalweg config fit method.mmfm  # those of one table
  thalweg config zoo --schema  # a JSON schema, for an editor
  thalweg config generation  # an experiment: its file, with its comments

Every key can be set by --set KEY=VALUE; keys that are not set have their defaults.")]
pub struct Args {
    /// Whose settings: zoo, fit, tune, shift, or an experiment
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(names()))]
    name: String,
    /// Only keys that begin so
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Print a JSON schema of the TOML file
    #[arg(long, conflicts_with = "key")]
    schema: bool,
}

fn names() -> Vec<&'static str> {
    let own = SCHEMAS.iter().map(|(name, ..)| *name);
    // Where a command and an experiment share a name, the command's settings are printed.
    let others = experiments::about().map(|(name, _)| name).filter(|name| SCHEMAS.iter().all(|(own, ..)| own != name));
    own.chain(others).collect()
}

/// Prints them.
///
/// # Errors
/// A key that there is not; a schema of an experiment.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("config")?;
    let plan = Plan { command: "config", ..Plan::default() };
    let Some((_, place, schema)) = SCHEMAS.iter().find(|(name, ..)| *name == args.name) else {
        if args.schema || args.key.is_some() {
            bail!("{}: an experiment has a commented file and no schema; leave KEY and --schema out", args.name);
        }
        session.text(&plan, experiments::named(&args.name)?.toml.trim_end())?;
        return Ok(Outcome::Done);
    };
    let schema = serde_json::to_value(schema())?;
    if args.schema {
        session.text(&plan, &serde_json::to_string_pretty(&schema)?)?;
        return Ok(Outcome::Done);
    }
    let mut keys = keys(&schema);
    if let Some(prefix) = &args.key {
        keys.retain(|key| {
            key.path.strip_prefix(prefix.as_str()).is_some_and(|r| r.is_empty() || r.starts_with(['.', '[']))
        });
        if keys.is_empty() {
            bail!("{prefix}: no such key; `thalweg config {}` prints all", args.name);
        }
    }
    if session.common.json {
        let mut results = Results::new(session.seed_or(0));
        results.rows.extend(keys.iter().filter(|key| !key.table).map(|key| {
            row! { "key" => key.path, "kind" => key.kind, "default" => key.default, "meaning" => key.about }
        }));
        session.finish(None, results)?;
        return Ok(Outcome::Done);
    }
    session.text(&plan, &format!("# {} ({place})\n{}", args.name, listed(&keys)))?;
    Ok(Outcome::Done)
}

/// The keys as text: `key = default (kind)`, below it what it means.
fn listed(keys: &[Key]) -> String {
    let mut text = String::new();
    for key in keys {
        let kind = if key.kind.is_empty() { String::new() } else { format!("  ({})", key.kind) };
        let _ = match (&key.default, key.table) {
            (_, true) => writeln!(text, "\n[{}]", key.path),
            (Some(default), _) => writeln!(text, "{} = {default}{kind}", key.path),
            (None, _) => writeln!(text, "{}{kind}", key.path),
        };
        let _ = writeln!(text, "    {}", wrapped(&key.about, columns() - 4).replace('\n', "\n    "));
    }
    text.trim_end().to_owned()
}
