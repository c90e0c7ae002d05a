//! `thalweg predict`: what networks answer to rows of data.
use crate::common::Outcome;
use crate::data::{self, NormalisationFlags};
use crate::output::{Inputs, Plan};
use crate::results::Results;
use crate::row;
use crate::session::Session;
use crate::study::Labelled;
use crate::work::architecture::ArchitectureFlags;
use crate::work::eval::in_place_of;
use crate::work::networks::Stream;
use crate::work::predict::{Kept, write};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::path::PathBuf;
use thalweg_nets::data::Splits;
use thalweg_nets::engine::Engine;
use thalweg_nets::train::fits;

/// Write what networks answer to rows of data: logits, probabilities, and their mean over the networks
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # samples on the test rows of the data that they are for
  thalweg predict samples.safetensors --out predictions.npz
  # the final networks of a zoo's runs, as probabilities
  thalweg predict zoo/ --keep probabilities --out p.npz
  # on other rows of the same shape, as out-of-distribution data are
  thalweg predict samples.safetensors --data fashion-mnist --out far.npz
  # single networks, as PyTorch wrote them
  thalweg predict nets/ --arch cnn-s --data mnist --out nets.npz

The archive holds logits (or probabilities) [n, rows, C], ensemble [rows, C], the mean of the probabilities, labels [rows], and classes [C]
where they have names. In Python: numpy.load('predictions.npz')['ensemble']")]
pub struct Args {
    /// A stack of networks, a single network, a folder of single ones, or a zoo (the final networks of its runs)
    #[arg(value_name = "NETWORKS")]
    networks: PathBuf,
    #[command(flatten)]
    of: ArchitectureFlags,
    /// Data to answer to, as the networks take them; what the file or the zoo says by default
    #[arg(long, value_name = "NAME[:PATH]")]
    data: Option<String>,
    #[command(flatten)]
    inputs: NormalisationFlags,
    /// Rows of the data
    #[arg(long, value_name = "PART", default_value = "test")]
    rows: Part,
    /// What is kept of each network, beside the mean probabilities
    #[arg(long, value_name = "WHAT", default_value = "logits")]
    keep: Kept,
}

/// A part of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Rows that networks were trained on
    Train,
    /// Rows that were chosen by
    Validation,
    /// Rows that nobody saw
    Test,
}

/// Predicts and writes.
///
/// # Errors
/// Files that do not fit, unknown architecture or data, a target that exists.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let set = data::only_data("predict", &session.common.set)?;
    let data = data::named(args.data.as_deref(), set)?.map(|data| args.inputs.applied(data)).transpose()?;
    let inputs = Inputs::default().path(&args.networks).data(data.as_ref()).text(args.of.arch.as_deref());
    let out = session.file("predictions.npz", true, &Plan { command: "predict", inputs, ..Plan::default() })?;
    let known = args.of.given(data.as_ref(), &session.progress)?;
    let (mut networks, about) = Stream::open(&args.networks, known.as_ref(), session)?;
    let name = args.networks.display();
    let architecture =
        about.architecture.as_ref().with_context(|| format!("{name} does not say what it is: --arch NAME"))?;
    let home = about.data.as_ref();
    let named = in_place_of(data, home, &args.inputs)?;
    let Splits { train, validation, test, record, .. } = data::load_for(named.as_ref(), home, &session.progress)?
        .with_context(|| format!("{name} does not say what it is for: --data NAME"))?;
    let rows = match args.rows {
        Part::Train => train,
        Part::Validation => validation,
        Part::Test => test,
    };
    fits(architecture, &rows)?;
    let (classes, of) = (rows.class_names.clone(), record.name.clone());
    let labelled = Labelled::new(&Engine::new(architecture)?, rows)?;
    let n = networks.len();
    let found = write(&mut networks, &about, &labelled, &classes, args.keep, out.path(), session)?;
    let mean = found.accuracy.iter().sum::<f64>() / found.accuracy.len().max(1) as f64;
    let mut results = Results::new(session.seed_or(0));
    let together = &found.ensemble;
    results.rows.push(row! {
        "networks" => name.to_string(), "data" => of, "n" => n, "rows" => labelled.labels.len(), "accuracy_mean" => mean,
        "ensemble_accuracy" => together.accuracy, "ensemble_nll" => together.nll, "ensemble_ece" => together.ece,
    });
    let made = out.shown().to_path_buf();
    results.made(&made);
    session.finish_file(out, results)?;
    session.say(&format!(
        "Made {}: {n} networks on {} rows of {of}. Accuracy {mean:.4} alone, {:.4} together (NLL {:.4}, ECE {:.4}).",
        made.display(),
        labelled.labels.len(),
        together.accuracy,
        together.nll,
        together.ece,
    ));
    Ok(Outcome::Done)
}
