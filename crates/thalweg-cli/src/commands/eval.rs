//! `thalweg eval`: judges networks in files, beside the zoo that they come from and the trivial baselines, or on data alone.
use crate::common::Outcome;
use crate::data::{self, NormalisationFlags};
use crate::output::{Folder, Inputs, JSON, Plan, REPORT};
use crate::report::{Report, figures};
use crate::results::Results;
use crate::row;
use crate::session::Session;
use crate::study::{Rows, Study};
use crate::table::{Cell, Table, Weight};
use crate::verdict::{self, Verdict, colour, label};
use crate::work::judge::{about, judge_all};
use crate::work::{networks, plan};
use anyhow::{Context, Result};
use std::path::PathBuf;
use thalweg::metric::summary::{Better, Summary};
use thalweg_nets::Architecture;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::fits;
use thalweg_nets::zoo::ZooStore;

/// Judge networks: accuracy, novelty, diversity, beside the zoo and the trivial baselines
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # the judgement table: samples, zoo, held-out runs, baselines
  thalweg eval samples.safetensors --zoo zoo/
  # with results.json and report.html
  thalweg eval samples.safetensors --zoo zoo/ --out look/
  # accuracy alone, on the data that the file names
  thalweg eval samples.safetensors
  # single networks, as PyTorch wrote them
  thalweg eval nets/ --arch cnn-s --data mnist
  # networks that take pixels from 0 to 1
  thalweg eval nets/ --arch cnn-s --data mnist --raw
  thalweg eval nets/ --arch cnn-s --data mnist --mean 0.1307 --std 0.3081
  # exits with 1 where the mean accuracy is below
  thalweg eval samples.safetensors --at-least 0.9")]
pub struct Args {
    /// A stack of networks, a single network, or a folder of single ones (.safetensors)
    #[arg(value_name = "NETWORKS")]
    networks: PathBuf,
    /// Zoo to judge against
    #[arg(long, value_name = "ZOO")]
    zoo: Option<PathBuf>,
    /// Architecture of single networks: cnn-s, cnn-m, mlp, digits (with --data), or a TOML file
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "zoo")]
    arch: Option<String>,
    /// Hidden widths of an mlp, e.g. 32,16
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "arch")]
    widths: Vec<usize>,
    /// Data to judge on, as the zoo's networks take them; what the zoo or the file says by default
    #[arg(long, value_name = "NAME[:PATH]")]
    data: Option<String>,
    #[command(flatten)]
    inputs: NormalisationFlags,
    /// Leave the trivial baselines out
    #[arg(long, requires = "zoo")]
    no_baselines: bool,
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
    let inputs = Inputs::default().path(&args.networks).paths(&args.zoo).data(data.as_ref()).text(args.arch.as_deref());
    let plan = Plan { command: "eval", names: &[JSON, REPORT], inputs, ..Plan::default() };
    let out = session.folder_if_given(&plan)?;
    match &args.zoo {
        Some(dir) => against_zoo(args, ZooStore::open(dir)?, data, out, session),
        None => alone(args, data, out, session),
    }
}

fn against_zoo(
    args: &Args,
    zoo: ZooStore,
    data: Option<DataSpec>,
    out: Option<Folder>,
    session: &Session,
) -> Result<Outcome> {
    let networks = networks::read(&args.networks, zoo.architecture(), session)?;
    // Networks from elsewhere do not say; the default split then at least keeps some real runs beside them.
    let split = networks.split.unwrap_or_default().of(&zoo)?;
    // Flags for inputs stand in for what the zoo recorded, on its own data too.
    let own = zoo.data().filter(|_| data.is_none() && args.inputs.given().is_some());
    let data = match own {
        Some(own) => Some(args.inputs.applied(DataSpec { record: None, ..own.clone() })?),
        None => data,
    };
    let study = Study::new(zoo, split, data.as_ref(), &session.progress)?;
    let seed = session.seed_or(0);
    let judged = judge_all(&study, &[(Weight::Strong, "samples", &networks.theta)], !args.no_baselines, seed, session)?;
    let about = about(&study);
    let mut results = Results::new(seed);
    results.rows = judged.iter().map(|(v, _)| v.row(&about)).collect::<Result<_>>()?;
    let verdicts: Vec<Verdict> = judged.iter().map(|(v, _)| v.clone()).collect();
    let table = verdict::table(&verdicts);
    session.show(&table);
    if let Some(out) = &out {
        let mut report = Report::new(
            "Networks, judged",
            format!("{} beside their zoo and the trivial baselines.", args.networks.display()),
        );
        let (accuracy, sem) = verdicts[0].accuracy();
        report.fact("mean test accuracy", format!("{accuracy:.3}"), sem.is_finite().then(|| format!("± {sem:.3}")));
        report.fact("novel and performing", format!("{:.2}", verdicts[0].novel_and_performing().0), None);
        report.table(&table);
        let groups: Vec<_> = judged.iter().map(|(v, a)| (v.label.clone(), colour(&v.method), a.clone())).collect();
        report.figure(
            &figures::strips("Test accuracy", "test accuracy", &groups),
            "Test accuracy of every network: a dot each; the tick is the mean, the bar its standard error.",
        );
        let path = out.dir().join(REPORT);
        report.write(&path)?;
        results.made(&path);
    }
    session.finish(out, results)?;
    Ok(outcome(args, verdicts[0].accuracy().0))
}

fn alone(args: &Args, data: Option<DataSpec>, out: Option<Folder>, session: &Session) -> Result<Outcome> {
    let known = match (&args.arch, &data) {
        (None, _) => None,
        (Some(file), None) if file.ends_with(".toml") => Some(Architecture::read(file.as_ref())?),
        (Some(name), data) => {
            let data = data
                .as_ref()
                .with_context(|| format!("--arch {name} takes its shape from --data, which is missing"))?;
            Some(plan::architecture(name, &args.widths, data, &session.progress)?)
        }
    };
    let networks = networks::read(&args.networks, known.as_ref(), session)?;
    let file = args.networks.display();
    let home = networks.data;
    let named = match (data, &home) {
        (None, Some(home)) if args.inputs.given().is_some() => {
            Some(args.inputs.applied(DataSpec { record: None, ..home.clone() })?)
        }
        (data, _) => data,
    };
    let architecture = networks.architecture.with_context(|| format!("{file} does not say what it is: --arch NAME"))?;
    let engine = Engine::new(&architecture)?;
    let splits = data::load_for(named.as_ref(), home.as_ref(), &session.progress)?
        .with_context(|| format!("{file} does not say what it is for: --data NAME"))?;
    fits(&architecture, &splits.test)?;
    let normalisation = splits.record.normalisation;
    let recorded = home.and_then(|home| home.record);
    let data = named.unwrap_or_else(|| DataSpec::named(splits.record.name.clone()));
    let inputs = data::told(&DataSpec { record: recorded, ..data.clone() }, &normalisation);
    let test = Rows::new(&engine, splits.test)?;
    session.progress.begin("evaluating", 1);
    let scores = evaluate(&engine, &networks.theta, &test.inputs, &test.labels)?;
    let accuracies: Vec<f64> = scores.iter().map(|s| s.accuracy).collect();
    let losses: Vec<f64> = scores.iter().map(|s| if s.loss.is_nan() { f64::INFINITY } else { s.loss }).collect();
    let (accuracy, loss) =
        (Summary::of("accuracy", &accuracies, Better::Higher)?, Summary::of("loss", &losses, Better::Lower)?);
    session.progress.end();
    let mut table = Table::new(&["networks", "accuracy", "best", "top 5", "median", "loss", "n"]);
    table.note = format!(
        "On the {} test rows of {}. ± is one standard error over networks. {inputs}.",
        test.labels.len(),
        data.name
    );
    let (estimate, number) = (|s: &Summary| Cell::Estimate(s.mean, s.sem, 4), |v| Cell::Number(v, 4));
    let name = args.networks.display().to_string();
    let cells =
        [estimate(&accuracy), number(accuracy.best), number(accuracy.top5), number(accuracy.median), estimate(&loss)];
    table.push(Weight::Strong, [vec![name.clone().into()], cells.to_vec(), vec![accuracy.n.into()]].concat());
    session.show(&table);
    let mut results = Results::new(session.seed_or(0));
    results.rows.push(row! {
        "method" => label("samples"), "networks" => name, "data" => data.name, "accuracy_mean" => accuracy.mean, "accuracy_sem" => accuracy.sem,
        "accuracy_best" => accuracy.best, "accuracy_top5" => accuracy.top5, "accuracy_median" => accuracy.median,
        "loss_mean" => loss.mean, "loss_sem" => loss.sem, "n" => accuracy.n, "inputs" => inputs,
    });
    session.finish(out, results)?;
    Ok(outcome(args, accuracy.mean))
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
