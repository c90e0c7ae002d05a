//! `thalweg list`: the names that commands take, each with a line on what it is. All of them come from where they are defined.
use crate::common::Outcome;
use crate::experiments;
use crate::results::Results;
use crate::row;
use crate::schema::{sentence, variants};
use crate::session::Session;
use crate::table::{Table, Weight};
use anyhow::Result;
use clap::ValueEnum;
use schemars::schema_for;
use thalweg::reward::Kind;
use thalweg::shift::method::Method;
use thalweg::{LatentConfig, MethodConfig};
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::catalogue::SETS;

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Methods of `thalweg fit --method NAME`
    Methods,
    /// Latent spaces of `thalweg fit --set latent.NAME.dimension=N`
    Latents,
    /// Rewards of `thalweg tune --reward NAME:DATA`
    Rewards,
    /// Tests of `thalweg shift calibrate --methods NAME,…`
    Tests,
    /// Experiments of `thalweg reproduce NAME`
    Experiments,
    /// Architectures of `thalweg zoo train --arch NAME`
    Architectures,
    /// Data sets of `--data NAME`
    Data,
}

/// List what there is to choose from: methods, latent spaces, rewards, tests of shift, experiments, architectures, data
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg list
  thalweg list methods
  thalweg list tests --json

What has settings is described in full by `thalweg config`.")]
pub struct Args {
    /// What to list; everything by default
    #[arg(value_name = "WHAT")]
    what: Option<What>,
}

/// Lists.
///
/// # Errors
/// `--set`, which has nothing to set here.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("list")?;
    let mut results = Results::new(session.seed_or(0));
    for what in What::value_variants().iter().filter(|what| args.what.is_none_or(|asked| asked == **what)) {
        let (kind, purpose) = words(*what);
        let mut table = Table::new(&[&kind, "what it is"]).note(purpose);
        for (name, about) in entries(*what)? {
            results.rows.push(row! { "list" => kind, "name" => name, "what" => about });
            table.push(Weight::Plain, vec![name.into(), about.into()]);
        }
        session.show(&table);
    }
    session.finish(None, results)?;
    Ok(Outcome::Done)
}

/// The word for a list, and where its names are taken.
fn words(what: What) -> (String, String) {
    let value = what.to_possible_value();
    let name = value.as_ref().map_or(String::new(), |value| value.get_name().to_owned());
    (name, value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default())
}

/// The names with what they are.
fn entries(what: What) -> Result<Vec<(String, String)>> {
    let pair = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    Ok(match what {
        What::Methods => MethodConfig::ABOUT.iter().map(|(name, about)| pair(name, about)).collect(),
        What::Latents => variants(&serde_json::to_value(schema_for!(LatentConfig))?),
        What::Rewards => Kind::ALL.iter().map(|kind| pair(kind.name, kind.about)).collect(),
        What::Tests => Method::ALL.iter().map(|test| pair(test.name(), test.looks_at())).collect(),
        What::Experiments => experiments::about().map(|(name, about)| (name.to_owned(), sentence(&about))).collect(),
        What::Architectures => variants(&serde_json::to_value(schema_for!(Preset))?),
        What::Data => SETS.iter().map(|set| pair(set.name, set.about)).collect(),
    })
}
