//! `thalweg sample`: networks from a meta-model.
use crate::common::Outcome;
use crate::output::{Inputs, Plan};
use crate::results::Results;
use crate::row;
use crate::session::Session;
use crate::shell::quoted;
use crate::work::sample::{Format, Target, conditioned};
use anyhow::{Result, bail};
use std::path::PathBuf;
use thalweg::model::sample::SampleRequest;
use thalweg::model::{MetaModel, Networks};
use thalweg::solver::Solver;

/// Sample networks from a meta-model
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # one file: theta [n, P]
  thalweg sample model/ -n 100 --out samples.safetensors
  # a file a network, with network.py and README.md to load them
  thalweg sample model/ -n 8 --format per-network --out nets/
  # with the states on the way
  thalweg sample model/ -n 50 --at 0,0.25,0.5,0.75,1
  thalweg sample model/ -n 100 --solver heun --steps 20 --seed 7
  # networks for a task by 20 of its rows a class (model: fit --context)
  thalweg sample model/ --context mnist@rotate=40:20

In PyTorch: model.load_state_dict(safetensors.torch.load_file('nets/network-00000.safetensors'))")]
pub struct Args {
    /// Folder of the model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Number of networks
    #[arg(short, value_name = "N", default_value_t = 100)]
    n: usize,
    /// One stacked file, or a file a network
    #[arg(long, default_value = "stack")]
    format: Format,
    /// Solver: euler, heun, midpoint, rk4, dormand-prince, euler-maruyama
    #[arg(long, value_name = "NAME", default_value = "euler")]
    solver: String,
    /// Steps of equal size
    #[arg(long, value_name = "N", default_value_t = 100)]
    steps: usize,
    /// Also keep the states at these times in [0, 1]
    #[arg(long, value_name = "T,…", value_delimiter = ',')]
    at: Vec<f64>,
    /// The task to sample for, by N random training rows a class of these data (20)
    #[arg(long, value_name = "DATA[:N]")]
    context: Option<String>,
    /// Guidance by the context: 1 as learned, above 1 amplified, 0 without it
    #[arg(long, value_name = "G", default_value_t = 1.0, requires = "context")]
    guidance: f64,
}

/// Samples and writes.
///
/// # Errors
/// A folder that is no model, a target that exists, a solver that the method cannot use.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("sample")?;
    if args.format == Format::PerNetwork && !args.at.is_empty() {
        bail!("--at keeps states in the stacked file; leave --format per-network out");
    }
    let inputs = Inputs::default().path(&args.model).text(args.context.as_deref());
    let out = Target::claim(args.format, &Plan { command: "sample", inputs, ..Plan::default() }, session)?;
    let model = MetaModel::load(&args.model)?;
    let (seed, solver) = (session.seed_or(0), Solver::named(&args.solver)?);
    let task = args.context.as_ref().map(|text| conditioned(text, &model, args.guidance, seed, session)).transpose()?;
    let (context, data) = task.map_or((None, None), |(context, data)| (Some(context), data));
    let request =
        SampleRequest { solver, context, steps: args.steps, at: args.at.clone(), ..SampleRequest::new(args.n, seed) };
    let mut about = model.networks(Vec::new());
    about.data = data.or(about.data);
    let from = format!("sampled by thalweg {} from {}, seed {seed}", env!("CARGO_PKG_VERSION"), args.model.display());
    let samples = out.draw(&model, &request, &about, &from, session)?;
    let mut results = Results::new(seed);
    results.rows.push(row! {
        "method" => model.config.method.name(), "n" => args.n, "parameters" => model.layout.len(), "solver" => args.solver,
        "steps" => args.steps, "evaluations" => samples.evaluations, "seconds" => samples.seconds,
    });
    let made = out.shown().to_path_buf();
    let next = match (&out, &about) {
        (Target::Folder(_), _) => format!("To load them in PyTorch: {}", made.join("README.md").display()),
        (Target::File(_), Networks { architecture: Some(_), data: Some(_), .. }) => {
            format!(
                "Next: thalweg eval {}    (with --zoo and the zoo's folder: beside its runs and the trivial baselines)",
                quoted(&made)
            )
        }
        _ => "They can be judged with an architecture and data: thalweg eval --help".into(),
    };
    results.made(&made);
    out.finish(results, session)?;
    session.say(&format!(
        "Made {}: {} networks in {:.2} s ({:.0} a second, {} evaluations each). {next}",
        made.display(),
        args.n,
        samples.seconds,
        args.n as f64 / samples.seconds.max(1e-9),
        samples.evaluations,
    ));
    Ok(Outcome::Done)
}
