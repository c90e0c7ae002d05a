//! `thalweg zoo import`: checkpoints that were trained elsewhere become a zoo.
use crate::common::Outcome;
use crate::data::{self, NormalisationFlags};
use crate::output::{Inputs, Plan};
use crate::results::Results;
use crate::session::Session;
use crate::work::architecture::ArchitectureFlags;
use crate::work::import::{PartFlags, law, recognised, tell};
use crate::work::next::Next;
use crate::work::outlook::Outlook;
use crate::work::zoo::FILES;
use anyhow::{Result, bail};
use std::path::PathBuf;
use thalweg_nets::zoo::{ImportOptions, ImportPlan, Summary};

/// Make a zoo of checkpoints that were trained elsewhere
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # one folder a run, one file a checkpoint: .pt, .pth, .bin, .ckpt, .safetensors
  thalweg zoo import checkpoints/ --out zoo/
  # single networks, scored on the data
  thalweg zoo import finals/ --arch cnn-s --data mnist --out zoo/
  thalweg zoo import runs/ --arch net.toml --data npz:mine.npz \\
    --initialisation kaiming-uniform --out zoo/
  # networks that take pixels from 0 to 1
  thalweg zoo import runs/ --arch net.toml --data npz:mine.npz --raw --out zoo/
  thalweg zoo import runs/ --dry-run  # only tells what it recognises
  # only a part is modelled; the rest is frozen, and written with every network
  thalweg zoo import resnets/ --tensors 'layer4.*,*.bn*,fc.*' --out zoo/
  # checkpoints that hold only a part of a whole network
  thalweg zoo import heads/ --base resnet.safetensors --out zoo/
  # low-rank adapters, as PEFT writes them
  thalweg zoo import adapters/ --canonical --out zoo/

A run is a folder of files (step-0.pt, …) or of checkpoint folders (checkpoint-500/model.safetensors, …); shards of one network with
their index are read as one. Order: numbers in the names (step-2 before step-10, 1k before 1M), init first, final last. What torch.save wrote (a
state_dict, a training's checkpoint, a whole module) is read as data: nothing in it is run. Networks that are sampled later have the names, types,
counters, tied and frozen tensors of what came in, and config.json or adapter_config.json beside them where those stood beside it.")]
pub struct Args {
    /// Folder of networks in files of PyTorch or safetensors, or of one sub-folder a run
    #[arg(value_name = "FOLDER")]
    source: PathBuf,
    #[command(flatten)]
    of: ArchitectureFlags,
    /// Data that the networks are for
    #[arg(long, value_name = "NAME[:PATH]")]
    data: Option<String>,
    #[command(flatten)]
    inputs: NormalisationFlags,
    /// Law that the runs started from: kaiming-uniform or kaiming-normal (with --arch)
    #[arg(long, value_name = "LAW", requires = "arch")]
    initialisation: Option<String>,
    /// When the checkpoints of a run were taken, from 0 to 1; equally spaced by default
    #[arg(long, value_name = "T,…", value_delimiter = ',')]
    times: Option<Vec<f64>>,
    #[command(flatten)]
    parts: PartFlags,
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
    let set = data::only_data("zoo import", &session.common.set)?;
    let data = data::named(args.data.as_deref(), set)?;
    if data.is_none() && args.inputs.given().is_some() {
        bail!("--raw, --mean and --std say how inputs are made of data: name them, --data NAME[:PATH]");
    }
    let data = data.map(|data| args.inputs.applied(data)).transpose()?;
    let from =
        Inputs::default().path(&args.source).paths(&args.parts.base).data(data.as_ref()).text(args.of.arch.as_deref());
    let target = Plan { command: "zoo import", names: FILES, inputs: from, ..Plan::default() };
    if let Some(data) = &data {
        data::ensure(data, &session.progress)?;
    }
    let architecture = args.of.given(data.as_ref(), &session.progress)?;
    let options = ImportOptions {
        name: args.name.clone(),
        architecture,
        data,
        initialisation: args.initialisation.as_deref().map(law).transpose()?,
        times: args.times.clone(),
        ..args.parts.options()
    };
    let plan = ImportPlan::watched(&args.source, &options, &session.progress)?;
    session.progress.end();
    tell(&plan, &options, session);
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
    let prospect = Outlook::of_made(&zoo, out.shown())?;
    let next = Next::of(&zoo, out.shown(), prospect)?.told(out.shown());
    session.finish(Some(out), results)?;
    session.say(&next);
    Ok(Outcome::Done)
}
