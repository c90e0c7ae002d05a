//! `thalweg fit`: a meta-model of a zoo.
use crate::common::Outcome;
use crate::output::{Folder, Inputs, JSON, Plan, REPORT, Resumes};
use crate::report::{Axis, Look, Mark, Plot, Report, Scale};
use crate::results::Results;
use crate::row;
use crate::session::Session;
use crate::settings;
use crate::shell::quoted;
use crate::work::fit::{STATE, fit_into};
use crate::work::outlook::Outlook;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use thalweg::method::MethodConfig;
use thalweg::model::MetaModel;
use thalweg::model::{FILES, FitConfig};
use thalweg_nets::Error;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::ZooStore;

/// Fit a meta-model: learn the flow from initialisations to trained weights from a zoo
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg fit zoo/ --out model/  # NM-CFM with its defaults: under a minute
  thalweg fit zoo/ --method mmfm --steps 3000 --out model/
  # in the latent space of an autoencoder (pca, vae, denoising)
  thalweg fit zoo/ --set latent.vae.dimension=32
  thalweg fit zoo/ --config fit.toml --set batch=96 \\
    --set field.residual-mlp.width=512
  # after Ctrl-C: goes on, to the same bytes
  thalweg fit zoo/ --out model/ --resume
  # one zoo a task (a folder of them): networks for tasks by a few of their rows
  thalweg fit --context tasks/ --out model/

A model is a folder: model.safetensors, model.toml (all that decided it), README.md (its card), report.html (its course).")]
pub struct Args {
    /// Folder of the zoo; with --context, of each zoo, or of all of them
    #[arg(value_name = "ZOO", required = true)]
    zoos: Vec<PathBuf>,
    /// Condition on context data: one zoo a task, all of one architecture, with runs that start around one network
    #[arg(long)]
    context: bool,
    /// Method: cfm, mmfm (flow matching on two or more marginals), jko, action, ddpm (diffusion), kde (kernel density)
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// A TOML file with the fit's settings; flags override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Optimiser steps
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Curves a step
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
}

/// Fits and saves.
///
/// # Errors
/// Settings that do not hold together, a folder that exists, Ctrl-C.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let zoos = opened(args)?;
    let config = config(args, &zoos, session)?;
    let Some(out) = session.folder("model", &plan(args, &config, &zoos)?)? else { return Ok(Outcome::Done) };
    // A model of tasks is sampled for one of them: nothing here says for which.
    let checked = match config.context {
        None => Outlook::of(&zoos[0], &session.progress)?
            .map(|outlook| Ok::<_, Error>((outlook, config.split.of(&zoos[0])?)))
            .transpose()?,
        Some(_) => None,
    };
    if let Some((outlook, split)) = &checked {
        outlook.before(&zoos[0], split, config.latent.as_ref())?;
    }
    let latents = out.dir().join("latents");
    let model = made_into(&zoos.iter().collect::<Vec<_>>(), &config, &out, &latents, session)?;
    if latents.exists() {
        std::fs::remove_dir_all(&latents).map_err(Error::io("remove", &latents))?;
    }
    let mut results = Results::new(config.seed).with_settings(&config)?;
    let zoo_dir = args.zoos.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(" ");
    for &(step, training, held_out) in &model.record.history {
        results.rows.push(row! {
            "method" => config.method.name(), "zoo" => zoo_dir, "step" => step, "loss_training" => training,
            "loss_held_out" => held_out, "kept" => step == model.record.best_step,
        });
    }
    if let Some((outlook, split)) = &checked {
        results.rows.push(outlook.after(&model, &zoos[0], split, session)?);
    }
    page(&model).write(&out.dir().join(REPORT))?;
    results.made(out.shown());
    let made = out.shown().to_path_buf();
    session.finish(Some(out), results)?;
    let context = if args.context { format!(" --context {}:20", task(&zoos)) } else { String::new() };
    let held_out = model.record.best_loss.map_or(String::new(), |loss| format!(", held-out loss {loss:.5}"));
    session.say(&format!(
        "Made {}: {} of {} runs, step {} of {} kept{held_out}. Next: thalweg sample {}{context} -n 100",
        made.display(),
        config.method.name(),
        model.record.training_runs,
        model.record.best_step,
        config.steps,
        quoted(&made)
    ));
    Ok(Outcome::Done)
}

/// A task that a model of these zoos can be asked for: the first whose data a text says, or a place for the user's own.
fn task(zoos: &[ZooStore]) -> String {
    let text = |data: &DataSpec| {
        let text = data.place();
        let plain = DataSpec { record: None, ..data.clone() };
        DataSpec::parse(&text).is_ok_and(|read| read == plain).then_some(text)
    };
    let found = zoos.iter().filter_map(ZooStore::data).find_map(text);
    found.map_or_else(|| "NAME[:PATH]".into(), |text| quoted(Path::new(&text)))
}

/// What is written: a model, and what is told of it.
const NAMES: &[&str] = &{
    let [a, b, c, d, e] = FILES;
    [a, b, c, d, e, REPORT, JSON, STATE, "latents/"]
};

fn plan(args: &Args, config: &FitConfig, zoos: &[ZooStore]) -> Result<Plan> {
    let mut settings = toml::Table::try_from(config)?;
    let ids: Vec<toml::Value> = zoos.iter().map(|zoo| zoo.origin().id().into()).collect();
    settings.insert("zoos".into(), ids.into());
    Ok(Plan {
        command: "fit",
        names: NAMES,
        resumes: Resumes::Unfinished,
        settings,
        inputs: Inputs::default().paths(&args.zoos).paths(&args.config).settings(config),
    })
}

/// The model of the claimed folder `out`: fitted, or read where a fit that ended before its report has left it.
fn made_into(
    zoos: &[&ZooStore],
    config: &FitConfig,
    out: &Folder,
    latents: &Path,
    session: &Session,
) -> Result<MetaModel> {
    if !(session.common.resume && out.dir().join("model.toml").exists()) {
        return fit_into(zoos, config, out.dir(), latents, session);
    }
    let model = MetaModel::load(out.dir())?;
    let state = out.dir().join(STATE);
    if state.exists() {
        std::fs::remove_file(&state).map_err(Error::io("remove", &state))?;
    }
    Ok(model)
}

/// The zoos that the arguments name; under `--context` a folder that is no zoo stands for all zoos in it, by name.
fn opened(args: &Args) -> Result<Vec<ZooStore>> {
    let is_zoo = |dir: &Path| dir.join("zoo.toml").exists();
    let mut dirs = Vec::new();
    for dir in &args.zoos {
        if !args.context || is_zoo(dir) {
            dirs.push(dir.clone());
            continue;
        }
        let entries = std::fs::read_dir(dir).map_err(Error::io("read", dir))?.collect::<Result<Vec<_>, _>>();
        let mut within: Vec<_> = entries.map_err(Error::io("read", dir))?.iter().map(|entry| entry.path()).collect();
        within.retain(|dir| is_zoo(dir));
        within.sort();
        if within.is_empty() {
            bail!("{}: expected a zoo or a folder of zoos, found neither", dir.display());
        }
        dirs.extend(within);
    }
    if !args.context && dirs.len() > 1 {
        bail!("{} zoos: a fit of several is one with --context", dirs.len());
    }
    let budget = thalweg_nets::zoo::BUDGET / dirs.len();
    Ok(dirs.iter().map(|dir| ZooStore::open_within(dir, budget)).collect::<Result<_, _>>()?)
}

/// Refuses a method that asks for more marginals than runs have checkpoints, with the setting that fits.
fn enough_checkpoints(method: &MethodConfig, zoos: &[ZooStore]) -> Result<()> {
    let checkpoints = zoos.iter().map(ZooStore::checkpoints).min().unwrap_or_default();
    let (wanted, within) = (method.marginals(), method.clone().within(checkpoints));
    let fits = match &within {
        MethodConfig::Mmfm(c) => format!("method.mmfm.marginals={}", c.marginals),
        MethodConfig::Jko(c) => format!("method.jko.steps={}", c.steps),
        MethodConfig::Action(c) => format!("method.action.marginals={}", c.marginals),
        _ => return Ok(()),
    };
    if wanted > checkpoints && within.marginals() <= checkpoints {
        bail!(
            "{} trains on {wanted} marginals, ends included, and runs have {checkpoints} checkpoints: add --set {fits}, or make runs with more (--checkpoints)",
            method.name()
        );
    }
    Ok(())
}

fn config(args: &Args, zoos: &[ZooStore], session: &Session) -> Result<FitConfig> {
    let mut config = match &args.config {
        Some(path) => FitConfig::from_toml_str(path, &std::fs::read_to_string(path).map_err(Error::io("read", path))?)?,
        None if args.context => FitConfig::for_tasks(),
        None => FitConfig::default(),
    };
    if args.context {
        config.context.get_or_insert_default();
    } else if config.context.is_some() {
        bail!("the fit's settings have a [context] table: add --context");
    }
    if let Some(name) = &args.method {
        // A file's own settings stay where the flag only repeats its method.
        if config.method.name() != name {
            config.method = MethodConfig::named(name)?;
        }
    }
    if let Some(steps) = args.steps {
        config.steps = steps;
    }
    if let Some(batch) = args.batch {
        config.batch = batch;
    }
    if !session.common.set.is_empty() {
        config = settings::read("the fit's settings", &toml::to_string(&config)?, &session.common.set)?;
    }
    config.seed = session.seed_or(config.seed);
    config.check()?;
    enough_checkpoints(&config.method, zoos)?;
    Ok(config)
}

fn page(model: &MetaModel) -> Report {
    let record = &model.record;
    let lede = format!(
        "{} fitted to {} runs of {}; the averaged parameters with the least loss on {} held-out runs were kept.",
        model.config.method.name(),
        record.training_runs,
        if record.zoo.is_empty() { &record.zoo_id } else { &record.zoo },
        record.validation_runs
    );
    let mut report = Report::new("A flow over weights, fitted", lede);
    report.fact("of the steps kept", format!("{} / {}", record.best_step, model.config.steps), None);
    if let Some(loss) = record.best_loss {
        report.fact("held-out loss", format!("{loss:.4}"), None);
    }
    report.fact("seconds", format!("{:.1}", record.seconds), None);
    let mut plot = Plot { title: "Loss along the fit".into(), size: (820.0, 320.0), ..Plot::default() };
    plot.x.label = "optimiser step".into();
    plot.y = Axis { label: "loss".into(), scale: Scale::Log, ..Axis::default() };
    let curve = |of: fn(&(u64, f64, f64)) -> f64| record.history.iter().map(|look| (look.0 as f64, of(look))).collect();
    let (training, held_out) = (curve(|look| look.1), curve(|look| look.2));
    plot.marks.push(Mark::Line { points: training, arrow: false, look: Look::new(0, "training runs").size(1.6) });
    plot.marks.push(Mark::Line {
        points: held_out,
        arrow: false,
        look: Look::new(1, "held-out runs, averaged parameters"),
    });
    plot.marks.push(Mark::Rule { at: record.best_step as f64, upright: true, look: Look::new(5, "kept").dashed() });
    report.heading("How the fit went");
    report.figure(&plot, "The loss of the batches since the last look, and of the averaged parameters on held-out runs. Part of the loss cannot be learned: it is the spread of the velocities at one point.");
    report
}
