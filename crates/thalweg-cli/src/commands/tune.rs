//! `thalweg tune`: a meta-model steered towards a reward by adjoint matching.
use crate::common::Outcome;
use crate::output::{Inputs, JSON, Plan, REPORT, Resumes};
use crate::results::Results;
use crate::session::Session;
use crate::shell::quoted;
use crate::work::tune::effect::Effect;
use crate::work::tune::page::page;
use crate::work::tune::reward::{RewardFlags, Task};
use crate::work::tune::settings::TuneFlags;
use crate::work::tune::{STATE, tune_alone};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use thalweg::model::{FILES, MetaModel};
use thalweg::tune::TuneConfig;
use thalweg_nets::Error;

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
    #[command(flatten)]
    reward: RewardFlags,
    #[command(flatten)]
    settings: TuneFlags,
    /// Networks sampled before and after, for the accuracies
    #[arg(long, value_name = "N", default_value_t = 100)]
    samples: usize,
}

/// What is written: a model, and what is told of it.
const NAMES: &[&str] = &{
    let [a, b, c, d, e, f] = FILES;
    [a, b, c, d, e, f, REPORT, JSON, STATE]
};

/// Tunes and saves.
///
/// # Errors
/// Settings that do not hold together, a model or data that do not fit the reward, a folder that exists, Ctrl-C.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let config = args.settings.settings(session)?;
    if args.samples == 0 {
        bail!("--samples: expected at least 1, found 0");
    }
    let base = MetaModel::load(&args.model)?;
    let task = Task::read(&args.reward, &base, &args.model.display().to_string(), session)?;
    let Some(out) = session.folder("tuned", &plan(args, &config, &task)?)? else { return Ok(Outcome::Done) };
    let model = tune_alone(&base, task.target(), &config, &out, session)?;
    let record = model.record.tuned.as_ref().context("a tuned model has its record")?;
    let effect = Effect::of([&base, &model], args.samples, config.seed, &task.engine, &task.test, session)?;
    let table = effect.table(&task.name);
    session.show(&table);
    let mut results = Results::new(config.seed).with_settings(&config)?;
    results.rows = effect.rows(record, &config, &task.name);
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
        effect.before.mean,
        effect.after.mean,
        quoted(&made)
    ));
    Ok(Outcome::Done)
}

fn plan(args: &Args, config: &TuneConfig, task: &Task) -> Result<Plan> {
    let weights = args.model.join("model.safetensors");
    let bytes = std::fs::read(&weights).map_err(Error::io("read", &weights))?;
    let mut settings = toml::Table::try_from(config)?;
    let more: [(&str, toml::Value); 6] = [
        ("model", blake3::hash(&bytes).to_hex().to_string().into()),
        ("reward", args.reward.reward.as_str().into()),
        ("reward-data", task.checksum.as_str().into()),
        ("rows", i64::try_from(args.reward.rows)?.into()),
        ("margin", f64::from(args.reward.margin).into()),
        ("samples", i64::try_from(args.samples)?.into()),
    ];
    settings.extend(more.map(|(key, value)| (key.to_owned(), value)));
    Ok(Plan {
        command: "tune",
        names: NAMES,
        resumes: Resumes::Unfinished,
        settings,
        inputs: Inputs::default()
            .path(&args.model)
            .paths(&args.settings.config)
            .data(Some(&task.data))
            .settings(config),
    })
}
