//! `thalweg fit`: a meta-model of a zoo.
use crate::common::Outcome;
use crate::output::{Inputs, JSON, Plan, REPORT, Resumes};
use crate::results::Results;
use crate::row;
use crate::session::Session;
use crate::shell::quoted;
use crate::work::fit::check::Check;
use crate::work::fit::page::page;
use crate::work::fit::settings::{Asked, FitFlags};
use crate::work::fit::sweep::{self, Request};
use crate::work::fit::{STATE, fit_alone, zoos};
use crate::work::task::Shard;
use anyhow::Result;
use std::path::PathBuf;
use thalweg::model::{FILES, FitConfig};
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
  # four models, a folder each, with a table of their losses
  thalweg fit zoo/ --sweep method=cfm,ddpm --sweep seed=1,2 --out models/

A model is a folder: model.safetensors, model.toml (all that decided it), README.md (its card), report.html (its course).")]
pub struct Args {
    /// Folder of the zoo; with --context, of each zoo, or of all of them
    #[arg(value_name = "ZOO", required = true)]
    zoos: Vec<PathBuf>,
    /// Condition on context data: one zoo a task, all of one architecture, with runs that start around one network
    #[arg(long)]
    context: bool,
    #[command(flatten)]
    pub flags: FitFlags,
    #[command(flatten)]
    pub shard: Shard,
}

/// What is written: a model, and what is told of it.
const NAMES: &[&str] = &{
    let [a, b, c, d, e, f] = FILES;
    [a, b, c, d, e, f, REPORT, JSON, STATE, "latents/"]
};

/// Fits and saves.
///
/// # Errors
/// Settings that do not hold together, a folder that exists, Ctrl-C.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let zoos = zoos::opened(&args.zoos, args.context)?;
    if !args.flags.sweep.is_empty() || args.shard.is_said() {
        let Args { zoos: dirs, context, flags, shard } = args;
        return sweep::run(&Request { flags, dirs, tasks: *context, shard }, &zoos, session);
    }
    let Asked { config, because, character } = args.flags.settings(&zoos, args.context, session)?;
    let Some(out) = session.folder("model", &plan(args, &config, &zoos)?)? else { return Ok(Outcome::Done) };
    if !because.is_empty() {
        session.say(&format!("For this zoo: {}.", because.join("; ")));
    }
    let check = Check::before(&zoos, &config, character.as_ref(), &session.progress)?;
    let model = fit_alone(&zoos, &config, &out, session)?;
    let record = &model.record;
    let mut results = Results::new(config.seed).with_settings(&config)?;
    let zoo_dir = args.zoos.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(" ");
    for &(step, training, held_out) in &record.history {
        results.rows.push(row! {
            "method" => config.method.name(), "zoo" => zoo_dir, "step" => step, "loss_training" => training,
            "loss_held_out" => held_out, "kept" => step == record.best_step,
        });
    }
    if let Some(check) = check {
        results.rows.push(check.after(&model, session)?);
    }
    page(&model).write(&out.dir().join(REPORT))?;
    results.made(out.shown());
    let made = out.shown().to_path_buf();
    session.finish(Some(out), results)?;
    let context = if args.context { format!(" --context {}:20", zoos::example_task(&zoos)) } else { String::new() };
    let held_out = record.best_loss.map_or(String::new(), |loss| format!(", held-out loss {loss:.5}"));
    let how = match record.history[..] {
        [] => "in closed form".to_owned(),
        _ => format!("step {} of {} kept", record.best_step, config.steps),
    };
    session.say(&format!(
        "Made {}: {} of {} runs, {how}{held_out}. Next: thalweg sample {}{context} -n 100",
        made.display(),
        config.method.name(),
        record.training_runs,
        quoted(&made)
    ));
    Ok(Outcome::Done)
}

fn plan(args: &Args, config: &FitConfig, zoos: &[ZooStore]) -> Result<Plan> {
    let mut settings = toml::Table::try_from(config)?;
    let ids: Vec<toml::Value> = zoos.iter().map(|zoo| zoo.origin().id().into()).collect();
    settings.insert("zoos".into(), ids.into());
    Ok(Plan {
        command: "fit",
        names: NAMES,
        resumes: Resumes::Unfinished,
        settings,
        inputs: Inputs::default().paths(&args.zoos).paths(&args.flags.config).settings(config),
    })
}
