//! `thalweg zoo export`: networks of a zoo's runs as files that PyTorch loads.
use crate::common::Outcome;
use crate::for_torch;
use crate::output::{Inputs, Plan};
use crate::results::Results;
use crate::row;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use thalweg::model::Networks;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;

/// Write the networks of a zoo's runs as files that PyTorch loads: a network each
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg zoo export zoo/ --out nets/
  # three runs, as they were at an earlier checkpoint
  thalweg zoo export zoo/ --runs 0,2,5 --checkpoint 1 --out early/

In PyTorch: model.load_state_dict(safetensors.torch.load_file('nets/network-00000.safetensors'))
Beside the networks lie network.py, the module that they are weights of, and README.md.")]
pub struct Args {
    /// Folder of the zoo
    #[arg(value_name = "ZOO")]
    zoo: PathBuf,
    /// Runs, counted from 0; all that ended well by default
    #[arg(long, visible_alias = "run", value_delimiter = ',', value_name = "I,…")]
    runs: Vec<usize>,
    /// Which checkpoint, counted from 0; the last by default
    #[arg(long, value_name = "K")]
    checkpoint: Option<usize>,
}

/// The folder without `--out`.
const FOLDER: &str = "networks";
/// Networks that are in memory at a time.
const AT_ONCE: usize = 64;

/// Writes them.
///
/// # Errors
/// A folder that is no zoo, runs and checkpoints that it does not have, a target that exists.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("zoo export")?;
    let inputs = Inputs::default().path(&args.zoo);
    let out = session.folder(FOLDER, &Plan { command: "zoo export", inputs, ..Plan::default() })?;
    let out = out.context("a command that starts anew each time is never finished already")?;
    let zoo = ZooStore::open(&args.zoo)?;
    let (runs, checkpoint) = chosen(args, &zoo)?;
    let template = zoo.template()?;
    session.progress.begin("writing", runs.len() as u64);
    for (first, some) in runs.chunks(AT_ONCE).enumerate() {
        if session.progress.interrupted() {
            return Err(thalweg_nets::Error::Interrupted.into());
        }
        let items: Vec<(usize, usize)> = some.iter().map(|&run| (run, checkpoint)).collect();
        let mut theta = vec![0.0; items.len() * zoo.parameters()];
        zoo.gather(&items, &mut theta)?;
        match &template {
            Some(template) => Networks::write_as(first * AT_ONCE, &theta, out.dir(), zoo.layout(), template)?,
            None => Networks::write_some(first * AT_ONCE, &theta, out.dir(), zoo.layout())?,
        }
        session.progress.advance(some.len() as u64);
    }
    session.progress.end();
    let about = Networks {
        theta: Vec::new(),
        parameters: zoo.parameters(),
        architecture: zoo.architecture().cloned(),
        data: zoo.data().cloned(),
        split: None,
    };
    let from = format!("checkpoint {checkpoint} of runs of the zoo {}", args.zoo.display());
    for_torch::write(&about, runs.len(), template.as_ref(), out.dir(), &from, &|line| session.progress.note(line))?;
    let mut results = Results::new(0);
    results.rows = runs
        .iter()
        .enumerate()
        .map(|(i, run)| row! { "network" => i, "run" => run, "checkpoint" => checkpoint })
        .collect();
    let made = out.shown().to_path_buf();
    results.made(&made);
    session.finish(Some(out), results)?;
    let readme = made.join("README.md");
    session.say(&format!(
        "Made {}: {} networks. To load them in PyTorch: {}",
        made.display(),
        runs.len(),
        readme.display()
    ));
    Ok(Outcome::Done)
}

/// The runs and the checkpoint that `args` name.
fn chosen(args: &Args, zoo: &ZooStore) -> Result<(Vec<usize>, usize)> {
    let (name, last) = (args.zoo.display(), zoo.checkpoints().saturating_sub(1));
    let checkpoint = args.checkpoint.unwrap_or(last);
    if checkpoint > last {
        bail!("--checkpoint {checkpoint}: {name} has {} checkpoints, counted from 0", zoo.checkpoints());
    }
    let runs = if args.runs.is_empty() { zoo.finished_runs() } else { args.runs.clone() };
    if let Some(beyond) = runs.iter().find(|&&run| run >= zoo.runs()) {
        bail!("--runs {beyond}: {name} has {} runs, counted from 0", zoo.runs());
    }
    if let Some(failed) = runs.iter().find(|&&run| zoo.diverged_at()[run].is_some()) {
        bail!("--runs {failed}: this run of {name} diverged, and has no such network");
    }
    if runs.is_empty() {
        bail!("{name}: expected runs that ended well, found none");
    }
    Ok((runs, checkpoint))
}
