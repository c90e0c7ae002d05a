//! `thalweg zoo import`: checkpoints that were trained elsewhere become a zoo.
use super::plan;
use crate::commands::data::ensure;
use crate::common::Outcome;
use crate::output::{Inputs, Plan};
use crate::results::Results;
use crate::session::Session;
use anyhow::{Context, Result};
use std::path::PathBuf;
use thalweg_nets::Architecture;
use thalweg_nets::data::DataSpec;
use thalweg_nets::init::Initialisation;
use thalweg_nets::zoo::{ImportOptions, Summary, import};

/// Make a zoo of checkpoints that were trained elsewhere
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg zoo import checkpoints/ --out zoo/                          one folder a run, one .safetensors a checkpoint
  thalweg zoo import finals/ --arch cnn-s --data mnist --out zoo/     single networks, scored on the data
  thalweg zoo import runs/ --arch net.toml --data npz:mine.npz --initialisation kaiming-uniform --out zoo/

Files are taken in the order in which people count (step-2 before step-10). From PyTorch:
  from safetensors.torch import save_file; save_file(model.state_dict(), 'run-0/step-0.safetensors')")]
pub struct Args {
    /// Folder of .safetensors files, or of one sub-folder a run
    #[arg(value_name = "FOLDER")]
    source: PathBuf,
    /// Architecture of the networks: cnn-s, cnn-m, mlp, digits (with --data), or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    arch: Option<String>,
    /// Hidden widths of an mlp, e.g. 32,16
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "arch")]
    widths: Vec<usize>,
    /// Data that the networks are for
    #[arg(long, value_name = "NAME[:PATH]")]
    data: Option<String>,
    /// Law that the runs started from: kaiming-uniform or kaiming-normal
    #[arg(long, value_name = "LAW")]
    initialisation: Option<String>,
    /// When the checkpoints of a run were taken, from 0 to 1; equally spaced by default
    #[arg(long, value_name = "T,…", value_delimiter = ',')]
    times: Option<Vec<f64>>,
    /// What to call the zoo
    #[arg(long, value_name = "TEXT", default_value = "")]
    name: String,
}

/// Imports.
///
/// # Errors
/// Files that do not fit together, each named.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("zoo import")?;
    let data = args.data.as_deref().map(DataSpec::parse).transpose()?;
    let inputs = Inputs::default().path(&args.source).data(data.as_ref()).text(args.arch.as_deref());
    let plan = Plan { command: "zoo import", names: super::FILES, inputs, ..Plan::default() };
    let Some(out) = session.folder("zoo", &plan)? else { return Ok(Outcome::Done) };
    if let Some(data) = &data {
        ensure(data, &session.progress)?;
    }
    let architecture = match (&args.arch, &data) {
        (None, _) => None,
        (Some(file), None) if file.ends_with(".toml") => Some(Architecture::read(file.as_ref())?),
        (Some(name), data) => {
            let data = data
                .as_ref()
                .with_context(|| format!("--arch {name} takes its shape from --data, which is missing"))?;
            Some(plan::architecture(name, &args.widths, data, &session.progress)?)
        }
    };
    let options = ImportOptions {
        name: args.name.clone(),
        architecture,
        data,
        initialisation: args.initialisation.as_deref().map(law).transpose()?,
        times: args.times.clone(),
        force: false,
    };
    let zoo = import(&args.source, out.dir(), &options, &session.progress)?;
    session.progress.end();
    let summary = Summary::of(&zoo)?;
    let mut results = Results::new(0);
    results.rows = super::info::rows(&summary);
    results.made(out.shown());
    session.say(&format!("\n{summary}"));
    let made = out.shown().display().to_string();
    session.finish(Some(out), results)?;
    session.say(&format!("Made {made}. Next: thalweg fit {made}"));
    Ok(Outcome::Done)
}

fn law(name: &str) -> Result<Initialisation> {
    let parsed = toml::Value::String(name.into()).try_into();
    parsed.with_context(|| format!("--initialisation {name}: expected kaiming-uniform or kaiming-normal"))
}
