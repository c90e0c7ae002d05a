//! `thalweg tune`: a meta-model steered towards a reward by adjoint matching.
use crate::common::Outcome;
use crate::data;
use crate::output::{Folder, Inputs, JSON, Plan, REPORT, Resumes};
use crate::report::{Look, Mark, Plot, Report};
use crate::results::Results;
use crate::row;
use crate::session::Session;
use crate::settings;
use crate::shell::quoted;
use crate::study::Rows as Packed;
use crate::table::{Cell, Table, Weight};
use crate::work::tune::{STATE, tune_into};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use thalweg::metric::summary::{Better, Summary};
use thalweg::model::sample::SampleRequest;
use thalweg::model::{FILES, MetaModel};
use thalweg::reward::{OnData, Rows};
use thalweg::tune::{TuneConfig, TuneRecord};
use thalweg_nets::Error;
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::fits;

/// Tune a meta-model towards a reward: its networks move to another task, without a single network trained on it
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg tune model/ --reward loss:fashion-mnist --strength 3000 --out tuned/
  # stops rewarding confidence at the margin
  thalweg tune model/ --reward margin:mnist --iterations 100 --out tuned/
  thalweg tune model/ --reward loss:csv:mine.csv --set reward-clip=1 \\
    --out tuned/
  # after Ctrl-C: goes on, to the same bytes
  thalweg tune model/ --reward loss:fashion-mnist --out tuned/ --resume

Rewards are taken on training rows, the kept iteration is chosen on validation rows, accuracies are told on test rows.
Exact for models with a Gaussian source and independent coupling:
  thalweg fit zoo/ --set method.cfm.source=gaussian \\
    --set method.cfm.coupling=independent --set field.residual-mlp.width=256")]
pub struct Args {
    /// Folder of the model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// loss:NAME[:PATH] (minus cross-entropy on data) or margin:NAME[:PATH] (hinge on log-odds); for data see `thalweg data list`
    #[arg(long, value_name = "KIND:DATA")]
    reward: String,
    /// Weight of the reward against the distance from the model as it is; for losses, 300 moves a little, 30000 as far as it can
    #[arg(long, value_name = "NUMBER")]
    strength: Option<f64>,
    /// Iterations
    #[arg(long, value_name = "N")]
    iterations: Option<u64>,
    /// Training rows of a reward, drawn anew for every iteration
    #[arg(long, value_name = "N", default_value_t = 256)]
    rows: usize,
    /// Log-odds at which margin: is content
    #[arg(long, value_name = "NUMBER", default_value_t = 3.0)]
    margin: f32,
    /// Networks sampled before and after, for the accuracies
    #[arg(long, value_name = "N", default_value_t = 100)]
    samples: usize,
    /// A TOML file with the tuning's settings; flags override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Validation rows that looks are taken on.
const LOOK_ROWS: usize = 2_000;

/// Tunes and saves.
///
/// # Errors
/// Settings that do not hold together, a model or data that do not fit the reward, a folder that exists, Ctrl-C.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let config = config(args, session)?;
    let (kind, data) = Kind::parse(&args.reward, args.margin)?;
    if args.samples == 0 {
        bail!("--samples: expected at least 1, found 0");
    }
    let base = MetaModel::load(&args.model)?;
    let folder = args.model.display();
    let architecture =
        base.architecture.as_ref().with_context(|| format!("{folder} does not know its architecture"))?;
    let engine = Engine::new(architecture)?;
    let splits = data::load_for_reward(&data, base.data.as_ref(), &session.progress)?;
    fits(architecture, &splits.test)?;
    let record = splits.record.clone();
    let reward = kind.on(&data.name, &engine, splits.train, Rows::Batch(args.rows))?;
    let held_out =
        kind.on(&format!("{}, validation", data.name), &engine, splits.validation.first(LOOK_ROWS), Rows::All)?;
    let plan = plan(args, &config, &data, &splits.record.checksum)?;
    let Some(out) = session.folder("tuned", &plan)? else { return Ok(Outcome::Done) };
    let bound = data.bound(&record);
    let model = match finished(&out, session)? {
        Some(model) => model,
        None => tune_into(&base, &reward, Some(&held_out), &config, Some(&bound), out.dir(), session)?,
    };
    let test = Packed::new(&engine, splits.test)?;
    session.progress.begin("sampling and evaluating, before and after", 2);
    let [before, after] = [&base, &model].map(|model| {
        let samples = model.sample(&SampleRequest::new(args.samples, config.seed))?;
        let accuracies = test.accuracies(&engine, &samples.theta)?;
        session.progress.advance(1);
        Ok::<_, anyhow::Error>(Summary::of("accuracy", &accuracies, Better::Higher)?)
    });
    let (before, after) = (before?, after?);
    session.progress.end();
    let record = model.record.tuned.as_ref().context("a tuned model has its record")?;
    let mut table = Table::new(&["networks", "test accuracy", "best", "n"]);
    table.note =
        format!("On the {} test rows of {}. ± is one standard error over networks.", test.labels.len(), data.name);
    for (weight, name, s) in [(Weight::Faint, "before", &before), (Weight::Strong, "after", &after)] {
        let cells = vec![name.into(), Cell::Estimate(s.mean, s.sem, 4), Cell::Number(s.best, 4), s.n.into()];
        table.push(weight, cells);
    }
    session.show(&table);
    let mut results = Results::new(config.seed).with_settings(&config)?;
    for (state, s) in [("before", &before), ("after", &after)] {
        results.rows.push(row! {
            "method" => "adjoint-matching", "state" => state, "reward" => record.reward, "strength" => config.strength, "data" => data.name,
            "accuracy_mean" => s.mean, "accuracy_sem" => s.sem, "accuracy_best" => s.best, "n" => s.n,
        });
    }
    for look in &record.validations {
        results.rows.push(row! {
            "method" => "adjoint-matching", "iteration" => look.iteration, "reward_training" => look.training,
            "reward_held_out" => look.held_out, "distance" => look.distance, "seconds" => look.seconds,
            "kept" => look.iteration == record.best_iteration,
        });
    }
    page(record, &table).write(&out.dir().join(REPORT))?;
    results.made(out.shown());
    let made = out.shown().to_path_buf();
    session.finish(Some(out), results)?;
    session.say(&format!(
        "Made {}: iteration {} of {} kept, {:.1} s; test accuracy {:.3} before, {:.3} after. Next: thalweg sample {} -n 100",
        made.display(),
        record.best_iteration,
        record.iterations,
        record.seconds,
        before.mean,
        after.mean,
        quoted(&made)
    ));
    Ok(Outcome::Done)
}

/// What is written: a model, and what is told of it.
const NAMES: &[&str] = &{
    let [a, b, c, d, e] = FILES;
    [a, b, c, d, e, REPORT, JSON, STATE]
};

fn plan(args: &Args, config: &TuneConfig, data: &DataSpec, checksum: &str) -> Result<Plan> {
    let weights = args.model.join("model.safetensors");
    let bytes = std::fs::read(&weights).map_err(Error::io("read", &weights))?;
    let mut settings = toml::Table::try_from(config)?;
    let more: [(&str, toml::Value); 6] = [
        ("model", blake3::hash(&bytes).to_hex().to_string().into()),
        ("reward", args.reward.as_str().into()),
        ("reward-data", checksum.into()),
        ("rows", i64::try_from(args.rows)?.into()),
        ("margin", f64::from(args.margin).into()),
        ("samples", i64::try_from(args.samples)?.into()),
    ];
    settings.extend(more.map(|(key, value)| (key.to_owned(), value)));
    Ok(Plan {
        command: "tune",
        names: NAMES,
        resumes: Resumes::Unfinished,
        settings,
        inputs: Inputs::default().path(&args.model).paths(&args.config).data(Some(data)).settings(config),
    })
}

/// The model that a tuning which ended before its report has left in `out`, under `--resume`.
fn finished(out: &Folder, session: &Session) -> Result<Option<MetaModel>> {
    if !(session.common.resume && out.dir().join("model.toml").exists()) {
        return Ok(None);
    }
    let model = MetaModel::load(out.dir())?;
    let state = out.dir().join(STATE);
    if state.exists() {
        std::fs::remove_file(&state).map_err(Error::io("remove", &state))?;
    }
    Ok(Some(model))
}

/// A reward on data, before its data are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Minus cross-entropy.
    Loss,
    /// Minus the hinge at this margin of log-odds.
    Margin(f32),
}

impl Kind {
    /// Reads `KIND:NAME[:PATH]`.
    ///
    /// # Errors
    /// An unknown kind or data set.
    pub fn parse(text: &str, margin: f32) -> Result<(Self, DataSpec)> {
        let (kind, data) = text
            .split_once(':')
            .with_context(|| format!("--reward {text}: expected loss:DATA or margin:DATA, e.g. loss:fashion-mnist"))?;
        let kind = match kind {
            "loss" => Self::Loss,
            "margin" => Self::Margin(margin),
            other => bail!("--reward {text}: expected loss or margin before the colon, found {other}"),
        };
        Ok((kind, DataSpec::parse(data)?))
    }

    /// The reward on `data`, called `name` in cards.
    ///
    /// # Errors
    /// Data that do not fit the engine.
    pub fn on(self, name: &str, engine: &Engine, data: Dataset, rows: Rows) -> Result<OnData> {
        Ok(match self {
            Self::Loss => OnData::loss(name, engine, data.inputs, data.labels, rows)?,
            Self::Margin(margin) => OnData::margin(name, engine, data.inputs, data.labels, margin, rows)?,
        })
    }
}

fn config(args: &Args, session: &Session) -> Result<TuneConfig> {
    let mut config = match &args.config {
        Some(path) => {
            TuneConfig::from_toml_str(path, &std::fs::read_to_string(path).map_err(Error::io("read", path))?)?
        }
        None => TuneConfig::default(),
    };
    if let Some(strength) = args.strength {
        config.strength = strength;
    }
    if let Some(iterations) = args.iterations {
        config.iterations = iterations;
    }
    if !session.common.set.is_empty() {
        config = settings::read("the tuning's settings", &toml::to_string(&config)?, &session.common.set)?;
    }
    config.seed = session.seed_or(config.seed);
    config.check()?;
    Ok(config)
}

fn page(record: &TuneRecord, table: &Table) -> Report {
    let lede = format!("Tuned towards {}; {}.", record.reward, record.process);
    let mut report = Report::new("A generator of networks, tuned towards a reward", lede);
    report.fact("of the iterations kept", format!("{} / {}", record.best_iteration, record.iterations), None);
    report.fact("seconds", format!("{:.1}", record.seconds), None);
    report.table(table);
    let curve = |of: fn(&thalweg::tune::TuneValidation) -> f64| -> Vec<(f64, f64)> {
        record.validations.iter().map(|l| (l.iteration as f64, of(l))).filter(|(_, y)| y.is_finite()).collect()
    };
    let plot = |title: &str, label: &str, lines: Vec<(Vec<(f64, f64)>, Look)>| {
        let mut plot = Plot { title: title.into(), size: (820.0, 300.0), ..Plot::default() };
        plot.x.label = "iteration".into();
        plot.y.label = label.into();
        for (points, look) in lines {
            plot.marks.push(Mark::Line { points, arrow: false, look });
        }
        let kept = record.best_iteration as f64;
        plot.marks.push(Mark::Rule { at: kept, upright: true, look: Look::new(5, "kept").dashed() });
        plot
    };
    let rewards = vec![
        (curve(|l| l.training), Look::new(0, "simulated ends, training rows").size(1.6)),
        (curve(|l| l.held_out), Look::new(1, "sampled networks, validation rows")),
    ];
    report.heading("How the tuning went");
    report.figure(
        &plot("Reward along the tuning", "mean reward", rewards),
        "The reward of what the noisy process ends at, and of networks sampled without noise, on rows that the tuning does not see.",
    );
    report.figure(
        &plot("Distance from the base", "relative entropy", vec![(curve(|l| l.distance), Look::new(2, ""))]),
        "How far the tuned law of paths has moved from the base law: ½ ∫ E ‖(2/σ)(v − v₀)‖² dt, in nats.",
    );
    report
}
