//! A sweep: a fit for every combination of some values of settings, in one folder with a table, by one process or shared out to many.
use super::check::Check;
use super::page;
use super::settings::{Asked, FitFlags, Over};
use super::{fit_among_others, fit_or_read};
use crate::common::Outcome;
use crate::output::{Folder, Inputs, JSON, Plan, REPORT, Resumes};
use crate::report::{Axis, Look, Mark, Plot, Report, Scale};
use crate::results::{Results, Row, object};
use crate::row;
use crate::session::Session;
use crate::shell::quoted;
use crate::table::{Cell, Table, Weight};
use crate::work::model;
use crate::work::pieces::{WORK, noted, told};
use crate::work::task::{Shard, same_bytes};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use thalweg::model::{FitConfig, MetaModel};
use thalweg_nets::Error;
use thalweg_nets::pieces::Task;
use thalweg_nets::zoo::ZooStore;

/// The folder of a sweep without `--out`.
pub const FOLDER: &str = "models";

/// Autoencoders that fits share, while the sweep is being made.
const LATENTS: &str = "latents";

/// Most fits of one sweep: more is a mistake of a list.
const MOST: usize = 10_000;

/// What a sweep is asked for.
pub struct Request<'a> {
    /// The flags of every fit, the swept settings among them.
    pub flags: &'a FitFlags,
    /// Where its zoos lie.
    pub dirs: &'a [PathBuf],
    /// Whether they are of tasks.
    pub tasks: bool,
    /// Which part of it is to be made.
    pub shard: &'a Shard,
}

/// What one fit of a sweep has for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Point {
    name: String,
    method: Option<String>,
    seed: Option<u64>,
    set: Vec<String>,
}

/// Every combination of the values of `axes`, each `KEY=VALUE,VALUE…`; the last changes first.
fn points(axes: &[String]) -> Result<Vec<Point>> {
    let mut all = vec![Point::default()];
    for text in axes {
        let (key, values) = text
            .split_once('=')
            .filter(|(key, values)| !key.trim().is_empty() && !values.trim().is_empty())
            .with_context(|| format!("--sweep {text}: expected KEY=VALUE,VALUE,…"))?;
        let values = split(values);
        if all.len().saturating_mul(values.len()) > MOST {
            bail!("--sweep {text}: expected at most {MOST} fits in all, found more");
        }
        let mut next = Vec::new();
        for point in &all {
            for value in &values {
                next.push(point.with(key.trim(), value).with_context(|| format!("--sweep {text}"))?);
            }
        }
        all = next;
    }
    let mut names: Vec<&str> = all.iter().map(|point| point.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => bail!("--sweep: expected every fit once, found {} twice", pair[0]),
        None => Ok(all),
    }
}

/// `values` at its commas, but for those within brackets, braces and quotes.
fn split(values: &str) -> Vec<String> {
    let (mut all, mut depth, mut quote) = (vec![String::new()], 0i32, None);
    for c in values.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(c);
        }
    }
    all.iter().map(|value| value.trim().to_owned()).collect()
}

impl Point {
    fn with(&self, key: &str, value: &str) -> Result<Self> {
        if value.is_empty() {
            bail!("expected a value between commas, found none");
        }
        let mut point = self.clone();
        // A name is that of a folder on any system.
        let plain = |text: &str| text.replace(|c: char| !c.is_alphanumeric() && !".-+".contains(c), "-");
        let comma = if self.name.is_empty() { "" } else { "," };
        point.name = format!("{}{comma}{}={}", self.name, plain(key), plain(value));
        match key {
            "method" => point.method = Some(value.to_owned()),
            "seed" => {
                point.seed =
                    Some(value.parse().with_context(|| format!("seed: expected a whole number, found {value}"))?)
            }
            _ => point.set.push(format!("{key}={value}")),
        }
        Ok(point)
    }
}

/// A fit with its name.
struct Fit {
    name: String,
    config: FitConfig,
}

/// The folder that the tasks of a sweep fill, for a command that writes to `out`.
///
/// # Errors
/// A single fit; a command that is told already which task it is.
pub fn shared(flags: &FitFlags, shard: &Shard, out: Option<&Path>) -> Result<PathBuf> {
    shard.none()?;
    several(flags)?;
    Ok(out.map_or_else(|| FOLDER.into(), Path::to_path_buf))
}

/// Refuses to share out a single fit.
fn several(flags: &FitFlags) -> Result<()> {
    if flags.sweep.is_empty() {
        bail!("fit: expected --sweep in a command that is shared out, found a single fit, which is one process");
    }
    Ok(())
}

/// Makes the sweep, or the part of it that a task has.
///
/// # Errors
/// Values that do not hold together; as the fits' own; a folder that exists, Ctrl-C.
pub fn run(request: &Request<'_>, zoos: &[ZooStore], session: &Session) -> Result<Outcome> {
    several(request.flags)?;
    let common = &session.common;
    let (mut fits, mut because) = (Vec::new(), Vec::new());
    for point in points(&request.flags.sweep)? {
        let set = [&common.set[..], &point.set].concat();
        let over = Over { method: point.method.as_deref(), set: &set, seed: point.seed.or(common.seed) };
        let asked = request.flags.asked(zoos, request.tasks, &over).with_context(|| point.name.clone())?;
        let Asked { config, because: of_zoo, .. } = asked;
        because.extend(of_zoo.into_iter().filter(|reason| !because.contains(reason)).collect::<Vec<_>>());
        fits.push(Fit { name: point.name, config });
    }
    let plan = plan(request, &fits, zoos)?;
    if let Some(task) = request.shard.task()? {
        same_bytes(session)?;
        return share(task, request.shard, &fits, zoos, &plan, session);
    }
    let Some(out) = session.folder(FOLDER, &plan)? else { return Ok(Outcome::Done) };
    if !because.is_empty() {
        session.say(&format!("For this zoo: {}.", because.join("; ")));
    }
    let models = fits.iter().map(|fit| fitted(fit, zoos, out.dir(), session)).collect::<Result<Vec<_>>>()?;
    finished(&fits, &models, zoos, out, session)
}

fn plan(request: &Request<'_>, fits: &[Fit], zoos: &[ZooStore]) -> Result<Plan> {
    let mut settings = toml::Table::new();
    for fit in fits {
        settings.insert(fit.name.clone(), toml::Table::try_from(&fit.config)?.into());
    }
    let ids: Vec<toml::Value> = zoos.iter().map(|zoo| zoo.origin().id().into()).collect();
    settings.insert("zoos".into(), ids.into());
    let folders = fits.iter().map(|fit| &*Box::leak(format!("{}/", fit.name).into_boxed_str()));
    // A process makes one plan.
    let names: Vec<&'static str> = [JSON, REPORT, WORK, "latents/"].into_iter().chain(folders).collect();
    let inputs = Inputs::default().paths(request.dirs).paths(&request.flags.config);
    let inputs = fits.iter().fold(inputs, |inputs, fit| inputs.settings(&fit.config));
    Ok(Plan { command: "fit", names: names.leak(), resumes: Resumes::Unfinished, settings, inputs })
}

/// Makes the fits of `task`.
fn share(
    task: Task,
    shard: &Shard,
    fits: &[Fit],
    zoos: &[ZooStore],
    plan: &Plan,
    session: &Session,
) -> Result<Outcome> {
    let own = task.pieces(fits.len())?;
    let out = session.joined(FOLDER, plan)?;
    let key = blake3::hash(plan.settings.to_string().as_bytes()).to_hex().to_string();
    noted(out.dir(), shard, &key, fits.iter().map(|fit| fit.name.clone()).collect())?;
    let zoos: Vec<&ZooStore> = zoos.iter().collect();
    for fit in &fits[own.clone()] {
        session.say(&fit.name);
        let dir = out.dir().join(&fit.name);
        fit_among_others(&zoos, &fit.config, &dir, &out.dir().join(LATENTS), session)?;
    }
    told(session, task, &own, "models", out).map(|()| Outcome::Done)
}

/// The model of `fit` in its folder of `out`.
fn fitted(fit: &Fit, zoos: &[ZooStore], out: &Path, session: &Session) -> Result<MetaModel> {
    let dir = out.join(&fit.name);
    if !(session.common.resume && model::is_in(&dir)) {
        session.say(&fit.name);
    }
    fit_or_read(&zoos.iter().collect::<Vec<_>>(), &fit.config, &dir, &out.join(LATENTS), session)
}

/// Tells of all fits, and ends the work on their folder.
fn finished(fits: &[Fit], models: &[MetaModel], zoos: &[ZooStore], out: Folder, session: &Session) -> Result<Outcome> {
    let mut results = Results::new(fits.first().map_or(0, |fit| fit.config.seed));
    let check = match fits.first() {
        Some(fit) => Check::of(zoos, &fit.config, &session.progress)?,
        None => None,
    };
    for (fit, model) in fits.iter().zip(models) {
        let accuracy = match &check {
            Some(check) => Some(check.accuracies(model, fit.config.seed)?),
            None => None,
        };
        let mut row = row! {
            "fit" => fit.name, "method" => fit.config.method.name(), "seed" => fit.config.seed, "steps" => fit.config.steps,
            "step" => model.record.best_step, "loss_held_out" => model.record.best_loss, "seconds" => model.record.seconds,
        };
        if let Some([sampled, trained]) = accuracy {
            row.extend(row! {
                "accuracy_sampled_mean" => sampled.mean, "accuracy_sampled_sem" => sampled.sem,
                "accuracy_zoo_mean" => trained.mean, "accuracy_zoo_sem" => trained.sem,
            });
        }
        results.rows.push(row);
        results.settings.insert(fit.name.clone(), object(&fit.config)?.into());
        page::page(model).write(&out.dir().join(&fit.name).join(REPORT))?;
        results.made(&out.shown().join(&fit.name));
    }
    let table = table(&results.rows);
    report(fits, models, &table).write(&out.dir().join(REPORT))?;
    for name in [LATENTS, WORK] {
        let path = out.dir().join(name);
        let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.or_else(|e| if path.exists() { Err(e) } else { Ok(()) }).map_err(Error::io("remove", &path))?;
    }
    session.show(&table);
    let (made, count) = (out.shown().to_path_buf(), fits.len());
    session.finish(Some(out), results)?;
    let first = fits.first().map_or(made.clone(), |fit| made.join(&fit.name));
    session.say(&format!("Made {}: {count} models. Next: thalweg sample {} -n 100", made.display(), quoted(&first)));
    Ok(Outcome::Done)
}

/// The table of all fits; the one of least held-out loss stands out among those of its method.
fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["fit", "method", "step kept", "held-out loss", "accuracy of samples", "seconds"]).note(
        "Held-out losses of one method can be compared, those of two methods are of two objectives. Accuracy: of 16 sampled networks on validation \
         rows, ± one standard error; it does not show that they are new (thalweg eval does).",
    );
    let number = |row: &Row, key: &str| row.get(key).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    let text = |row: &Row, key: &str| row.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    for row in rows {
        let loss = number(row, "loss_held_out");
        let same = rows.iter().filter(|other| text(other, "method") == text(row, "method"));
        let others: Vec<f64> = same.map(|other| number(other, "loss_held_out")).collect();
        let best = others.len() > 1 && others.iter().all(|other| loss <= *other);
        table.push(
            if best { Weight::Strong } else { Weight::Plain },
            vec![
                text(row, "fit").into(),
                text(row, "method").into(),
                Cell::Number(number(row, "step"), 0),
                Cell::Number(loss, 5),
                Cell::Estimate(number(row, "accuracy_sampled_mean"), number(row, "accuracy_sampled_sem"), 3),
                Cell::Number(number(row, "seconds"), 1),
            ],
        );
    }
    table
}

fn report(fits: &[Fit], models: &[MetaModel], table: &Table) -> Report {
    let lede = format!("{} fits to the same runs, each in a folder of its own with its page.", fits.len());
    let mut report = Report::new("A sweep of fits", lede);
    report.table(table);
    let mut plot = Plot { title: "Held-out loss along the fits".into(), size: (820.0, 360.0), ..Plot::default() };
    plot.x.label = "optimiser step".into();
    plot.y = Axis { label: "held-out loss".into(), scale: Scale::Log, ..Axis::default() };
    for (i, (fit, model)) in fits.iter().zip(models).enumerate() {
        let points: Vec<_> = model.record.history.iter().map(|(step, _, loss)| (*step as f64, *loss)).collect();
        let look = Look::new(i % 7 + 1, &fit.name);
        let look = if i >= 7 { look.dashed() } else { look };
        plot.marks.push(Mark::Line { points, arrow: false, look });
    }
    // More lines than can be told apart tell nothing.
    if fits.len() <= 14 {
        report.figure(&plot, "The loss of the averaged parameters on held-out runs; lines of different methods are of different objectives.");
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axes: &[&str]) -> Result<Vec<String>> {
        let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
        Ok(points(&axes)?.into_iter().map(|point| point.name).collect())
    }

    #[test]
    fn every_combination_is_one_fit_with_a_name_that_folders_can_have() {
        let all = names(&["method=cfm,kde", "seed=1,2", "field.residual-mlp.width=8"]).unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!(all[1], "method=cfm,seed=2,field.residual-mlp.width=8");
        let axes = ["method=cfm,kde".to_owned(), "steps=5".into(), "seed=7".into()];
        let point = &points(&axes).unwrap()[1];
        assert_eq!(
            (point.method.as_deref(), point.seed, &point.set[..]),
            (Some("kde"), Some(7), &["steps=5".to_owned()][..])
        );
        assert_eq!(split("[1, 2],{a = 1, b = 2},\"x,y\",3"), ["[1, 2]", "{a = 1, b = 2}", "\"x,y\"", "3"]);
        assert_eq!(names(&["time-grid=\"a/b\""]).unwrap(), ["time-grid=-a-b-"]);
    }

    #[test]
    fn mistakes_are_named() {
        let said = |axes: &[&str]| format!("{:#}", names(axes).unwrap_err());
        for (axes, expected) in [
            (&["seed"][..], "KEY=VALUE"),
            (&["seed="], "KEY=VALUE"),
            (&["seed=1,,2"], "between commas"),
            (&["seed=a"], "whole number"),
            (&["steps=1,2", "seed=1,1"], "seed=1 twice"),
        ] {
            assert!(said(axes).contains(expected), "{axes:?}: {}", said(axes));
        }
        let many = ["1,2,3,4,5,6,7,8,9,10"; 5];
        let axes: Vec<String> = many.iter().enumerate().map(|(i, values)| format!("k{i}={values}")).collect();
        assert!(points(&axes).unwrap_err().to_string().contains("at most 10000"));
    }
}
