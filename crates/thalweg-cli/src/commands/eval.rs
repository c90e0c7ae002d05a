//! `thalweg eval`: judges networks in files, beside the zoo that they come from and the trivial baselines, or on data alone.
use crate::common::Outcome;
use crate::data::{self, NormalisationFlags};
use crate::output::{Inputs, JSON, Plan, REPORT};
use crate::results::Results;
use crate::session::Session;
use crate::work::architecture::ArchitectureFlags;
use crate::work::eval::{alone, beside};
use crate::work::pieces::Site;
use crate::work::scores::ScoreFlags;
use crate::work::task::Shard;
use crate::work::weights;
use anyhow::{Result, bail};
use std::path::PathBuf;
use thalweg_nets::zoo::ZooStore;

/// Judge networks: accuracy, novelty, diversity, beside the zoo and the trivial baselines
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # the judgement table: samples, zoo, held-out runs, baselines
  thalweg eval samples.safetensors --zoo zoo/
  # with results.json and report.html, and beside eight new runs by the zoo's recipe
  thalweg eval samples.safetensors --zoo zoo/ --out look/ --new-runs 8
  # accuracy alone, on the data that the file names
  thalweg eval samples.safetensors
  # single networks, as PyTorch wrote them
  thalweg eval nets/ --arch cnn-s --data mnist
  # networks that take pixels from 0 to 1
  thalweg eval nets/ --arch cnn-s --data mnist --raw
  thalweg eval nets/ --arch cnn-s --data mnist --mean 0.1307 --std 0.3081
  # networks of an architecture that is not known here: by weights, and by scores of one's own
  thalweg eval samples.safetensors --zoo zoo/ --score-command ./score.sh
  # the first of four tasks of this work, which may run on four machines
  thalweg eval samples.safetensors --zoo zoo/ --out parts/ --shard 0/4
  # exits with 1 where the mean accuracy is below
  thalweg eval samples.safetensors --at-least 0.9")]
pub struct Args {
    /// A stack of networks, a single network, or a folder of single ones (files of PyTorch or safetensors)
    #[arg(value_name = "NETWORKS")]
    networks: PathBuf,
    /// Zoo to judge against
    #[arg(long, value_name = "ZOO", conflicts_with = "arch")]
    zoo: Option<PathBuf>,
    #[command(flatten)]
    of: ArchitectureFlags,
    /// Data to judge on, as the zoo's networks take them; what the zoo or the file says by default
    #[arg(long, value_name = "NAME[:PATH]")]
    data: Option<String>,
    #[command(flatten)]
    inputs: NormalisationFlags,
    #[command(flatten)]
    scores: ScoreFlags,
    /// Leave the trivial baselines out
    #[arg(long, requires = "zoo")]
    no_baselines: bool,
    /// Train so many new runs by the zoo's recipe as rivals, and judge them after shares of their steps: what the same seconds come to that way
    #[arg(long, value_name = "N", default_value_t = 0, requires = "zoo", conflicts_with_all = ["shard", "score_command"])]
    new_runs: usize,
    #[command(flatten)]
    pub shard: Shard,
    /// Exit with 1 where the mean accuracy is below this
    #[arg(long, value_name = "ACCURACY", value_parser = share)]
    at_least: Option<f64>,
}

/// Judges.
///
/// # Errors
/// Files that do not fit, unknown architecture or data.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let set = data::only_data("eval", &session.common.set)?;
    let data = data::named(args.data.as_deref(), set)?.map(|data| args.inputs.applied(data)).transpose()?;
    let inputs =
        Inputs::default().path(&args.networks).paths(&args.zoo).data(data.as_ref()).text(args.of.arch.as_deref());
    let inputs = inputs.paths(args.scores.files());
    let plan = Plan { command: "eval", names: &[JSON, REPORT], inputs: inputs.clone(), ..Plan::default() };
    let site = Site::new(plan.command, session.common.out.as_deref(), &args.shard, inputs)?;
    let out = if args.shard.is_said() { None } else { session.folder_if_given(&plan)? };
    let judged = match &args.zoo {
        Some(dir) => {
            let (zoo, rivals) = (ZooStore::open(dir)?, (!args.no_baselines, args.new_runs));
            match args.scores.given() || zoo.origin().whole_architecture().is_none() {
                true if args.new_runs > 0 => bail!("--new-runs: expected a zoo trained here, whose recipe is known"),
                true if args.shard.is_said() => bail!("--shard: networks are judged by weights and scores at once"),
                true => Some(weights::beside(&args.networks, &zoo, &args.scores, rivals.0, session)?),
                false => beside(&args.networks, zoo, (data, &args.inputs), rivals, site, session)?,
            }
        }
        None => {
            let known = args.of.given(data.as_ref(), &session.progress)?;
            alone(&args.networks, known.as_ref(), (data, &args.inputs), site, session)?
        }
    };
    let Some(judged) = judged else { return Ok(Outcome::Done) };
    session.show(&judged.table);
    let mut results = Results::new(session.seed_or(0));
    results.rows = judged.rows;
    if let (Some(out), Some(report)) = (&out, judged.report) {
        let path = out.dir().join(REPORT);
        report.write(&path)?;
        results.made(&path);
    }
    session.finish(out, results)?;
    judged.found.remove()?;
    Ok(outcome(args, judged.accuracy))
}

/// A share from 0 to 1, as accuracies are.
fn share(text: &str) -> Result<f64, &'static str> {
    let within = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    within.ok_or("expected a number from 0 to 1")
}

fn outcome(args: &Args, accuracy: f64) -> Outcome {
    match args.at_least {
        // A mean that is not a number has not reached the bar.
        Some(bar) if accuracy < bar || accuracy.is_nan() => Outcome::Negative,
        _ => Outcome::Done,
    }
}
