//! `thalweg zoo import`: checkpoints that were trained elsewhere become a zoo.
use super::next::Next;
use super::plan;
use crate::commands::data::ensure;
use crate::common::Outcome;
use crate::output::{Inputs, Plan};
use crate::results::{Results, Row};
use crate::row;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use thalweg_nets::Architecture;
use thalweg_nets::data::{DataRecord, DataSpec, Standardise};
use thalweg_nets::init::Initialisation;
use thalweg_nets::zoo::{ImportOptions, ImportPlan, Summary};

/// Make a zoo of checkpoints that were trained elsewhere
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg zoo import checkpoints/ --out zoo/                          one folder a run, one .safetensors a checkpoint
  thalweg zoo import finals/ --arch cnn-s --data mnist --out zoo/     single networks, scored on the data
  thalweg zoo import runs/ --arch net.toml --data npz:mine.npz --initialisation kaiming-uniform --out zoo/
  thalweg zoo import runs/ --arch net.toml --data npz:mine.npz --raw --out zoo/     networks that take pixels from 0 to 1
  thalweg zoo import runs/ --dry-run                                  only tells what it recognises

A run is a folder of files (step-0.safetensors, …) or of checkpoint folders (checkpoint-500/model.safetensors, …); shards of one network with
their index are read as one. Order: numbers in the names (step-2 before step-10, 1k before 1M), init first, final last. From PyTorch:
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
    /// The networks take the data's values as they are (pixels of bytes from 0 to 1); they are standardised by the data's own moments by default
    #[arg(long, requires = "data")]
    raw: bool,
    /// Means by which the networks' inputs are standardised, one or one a channel, in raw units (pixels from 0 to 1)
    #[arg(
        long,
        value_name = "M,…",
        value_delimiter = ',',
        allow_hyphen_values = true,
        requires = "data",
        requires = "std",
        conflicts_with = "raw"
    )]
    mean: Vec<f32>,
    /// Standard deviations beside --mean
    #[arg(long, value_name = "S,…", value_delimiter = ',', requires = "mean")]
    std: Vec<f32>,
    /// Law that the runs started from: kaiming-uniform or kaiming-normal (with --arch)
    #[arg(long, value_name = "LAW", requires = "arch")]
    initialisation: Option<String>,
    /// When the checkpoints of a run were taken, from 0 to 1; equally spaced by default
    #[arg(long, value_name = "T,…", value_delimiter = ',')]
    times: Option<Vec<f64>>,
    /// What to call the zoo
    #[arg(long, value_name = "TEXT", default_value = "")]
    name: String,
    /// Tell what is recognised, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Imports.
///
/// # Errors
/// Files that do not fit together, each named.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("zoo import")?;
    let data = data(args)?;
    let inputs_of = Inputs::default().path(&args.source).data(data.as_ref()).text(args.arch.as_deref());
    let target = Plan { command: "zoo import", names: super::FILES, inputs: inputs_of, ..Plan::default() };
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
    let plan = ImportPlan::new(&args.source, &options)?;
    session.say(plan.to_string().trim_end());
    if let (Some(data), Some(record)) = (&plan.data, plan.record()) {
        session.say(&format!("  {}", inputs(data, record, options.architecture.is_some())));
    }
    if args.dry_run {
        let mut results = Results::new(0);
        results.rows = recognised(&plan);
        session.finish(None, results)?;
        session.say("Nothing was written (--dry-run).");
        return Ok(Outcome::Done);
    }
    let Some(out) = session.folder("zoo", &target)? else { return Ok(Outcome::Done) };
    let zoo = plan.write(out.dir(), false, &session.progress)?;
    session.progress.end();
    let summary = Summary::of(&zoo)?;
    let mut results = Results::new(0);
    results.rows = super::info::rows(&summary);
    results.made(out.shown());
    session.say(&format!("\n{summary}"));
    let next = Next::of(&zoo, out.shown()).told(out.shown());
    session.finish(Some(out), results)?;
    session.say(&next);
    Ok(Outcome::Done)
}

/// The data with the standardisation that flags ask for.
fn data(args: &Args) -> Result<Option<DataSpec>> {
    let Some(text) = &args.data else { return Ok(None) };
    let mut data = DataSpec::parse(text)?;
    let asked = match (args.raw, args.mean.is_empty()) {
        (true, _) => Some(Standardise::Raw),
        (false, false) => Some(Standardise::Given { mean: args.mean.clone(), std: args.std.clone() }),
        (false, true) => None,
    };
    if let Some(asked) = asked {
        if data.normalisation.as_ref().is_some_and(|said| *said != asked) {
            bail!("--data {text} says one standardisation and the flags another: leave one of them out");
        }
        asked.check()?;
        data.normalisation = Some(asked);
    }
    Ok(Some(data))
}

/// How the networks' inputs are made of the data, in a sentence.
fn inputs(data: &DataSpec, record: &DataRecord, scored: bool) -> String {
    let some = |values: &[f32]| {
        let more = if values.len() > 3 { ", …" } else { "" };
        let shown: Vec<String> = values.iter().take(3).map(|v| format!("{v:.4}")).collect();
        shown.join(", ") + more
    };
    let moments = format!("mean {}; deviation {}", some(&record.normalisation.mean), some(&record.normalisation.std));
    let how = match &data.normalisation {
        None | Some(Standardise::Fitted) => format!("standardised by the moments of the data themselves ({moments})"),
        Some(Standardise::Raw) => "as they are in the file, pixels of bytes from 0 to 1".into(),
        Some(Standardise::Given { .. }) => format!("standardised as given ({moments})"),
    };
    let hint = match scored {
        true => {
            ". Accuracies far below what you know of the networks? Then they were trained on other inputs: --raw, or --mean and --std"
        }
        false => " (without --arch nothing is scored on them)",
    };
    format!("inputs: {how}{hint}")
}

/// A row for every checkpoint of every run.
fn recognised(plan: &ImportPlan) -> Vec<Row> {
    let mut rows = Vec::new();
    for run in &plan.found.runs {
        for (time, network) in plan.times.iter().zip(&run.checkpoints) {
            rows.push(row! {
                "run" => run.name, "checkpoint" => network.name, "time" => time, "file" => network.place().display().to_string(),
            });
        }
    }
    rows
}

fn law(name: &str) -> Result<Initialisation> {
    let parsed = toml::Value::String(name.into()).try_into();
    parsed.with_context(|| format!("--initialisation {name}: expected kaiming-uniform or kaiming-normal"))
}
