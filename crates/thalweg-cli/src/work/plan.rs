//! What zoo is to be trained: a TOML file, flags and `--set` together give one checked [`ZooSpec`].
//!
//! In the file `architecture` may be a preset's name and `data` a `NAME[:PATH]`, as on the command line.
use super::architecture::{architecture, named};
use super::length::{self, Said};
use crate::data;
use crate::settings;
use anyhow::{Context, Result, bail};
use std::path::Path;
use thalweg_nets::Error;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::{Length, Optimiser, Recipe};
use thalweg_nets::zoo::{ZooKind, ZooSpec};
use toml::{Table, Value};

/// Flags that say what a zoo is. All may be left out where a TOML file says them.
#[derive(clap::Args, Debug, Default)]
pub struct Flags {
    /// Architecture: cnn-s, cnn-m, mlp, digits, or a TOML or ONNX file
    #[arg(long, value_name = "NAME|FILE")]
    pub arch: Option<String>,
    /// Hidden widths of an mlp, e.g. 32,16
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "arch")]
    pub widths: Vec<usize>,
    /// Data: digits, mnist, fashion-mnist, …, or NAME:PATH (see `thalweg data list`)
    #[arg(long, value_name = "NAME[:PATH]")]
    pub data: Option<String>,
    /// Use only so many training rows
    #[arg(long, value_name = "N")]
    pub train_rows: Option<usize>,
    /// How runs are related: independent, shared (one start, noise), fork (one trunk, noise), tail (iterates of one run)
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Training runs
    #[arg(long, value_name = "N")]
    pub runs: Option<usize>,
    /// Length of a run in passes over the training rows; without a file or a length: four, and at least 1,000 mini-batches
    #[arg(long, value_name = "E", conflicts_with = "steps")]
    pub epochs: Option<f64>,
    /// Length of a run in mini-batches
    #[arg(long, value_name = "T")]
    pub steps: Option<u64>,
    /// Rows of a mini-batch; without a file 64, or all training rows where there are fewer
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// sgd (with momentum .9), adam or adamw
    #[arg(long, value_name = "NAME")]
    pub optimiser: Option<String>,
    /// Learning rate
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// Recorded checkpoints of a run, its start and its end included
    #[arg(long, value_name = "K")]
    pub checkpoints: Option<usize>,
}

/// The spec that file, flags and overrides come to.
///
/// # Errors
/// Neither file nor `--arch` and `--data`; unknown keys; values out of range.
pub fn spec(
    file: Option<&Path>,
    flags: &Flags,
    seed: Option<u64>,
    overrides: &[String],
    progress: &dyn Progress,
) -> Result<ZooSpec> {
    let (mut spec, rows) = match file {
        Some(path) => (from_file(path, flags, overrides, progress)?, None),
        None => from_flags(flags, overrides, progress).map(|(spec, rows)| (spec, Some(rows)))?,
    };
    if let Some(runs) = flags.runs {
        spec.runs = runs;
    }
    if let Some(kind) = &flags.kind {
        // A file's own noise and lengths stay where the flag only repeats its kind.
        if spec.kind.name() != kind {
            spec.kind = ZooKind::named(kind)?;
        }
    }
    if let Some(rows) = flags.train_rows {
        spec.data.train = Some(rows);
    }
    adjust(&mut spec.recipe, flags)?;
    if matches!(spec.kind, ZooKind::Tail { .. }) && flags.checkpoints.is_none() {
        spec.recipe.checkpoints = vec![1.0];
    }
    if !overrides.is_empty() {
        spec = settings::read("the zoo's settings", &spec.to_toml()?, overrides)?;
    }
    if let Some(seed) = seed {
        spec.seed = seed;
    }
    spec.check()?;
    // What a file leaves out has the defaults of its format, whatever the data.
    let said = Said::of(flags.epochs.is_some() || flags.steps.is_some(), flags.batch.is_some(), overrides);
    if let Some(note) = rows.and_then(|rows| length::suit(&mut spec.recipe, rows, said)) {
        progress.note(&note);
    }
    Ok(spec)
}

/// The spec, and the training rows of its data.
fn from_flags(flags: &Flags, overrides: &[String], progress: &dyn Progress) -> Result<(ZooSpec, usize)> {
    let (Some(arch), Some(data)) = (&flags.arch, &flags.data) else {
        bail!("name a TOML file, or at least --arch and --data; e.g. thalweg zoo train --arch cnn-s --data mnist");
    };
    let mut data = data::with_settings(&DataSpec::parse(data)?, overrides)?;
    data.train = flags.train_rows.or(data.train);
    let preset = named(arch, &flags.widths)?;
    let train = data::load(&data, progress)?.train;
    let architecture = preset.build(&data, train.shape, train.classes)?;
    Ok((ZooSpec::new(architecture, data, ZooKind::default(), flags.runs.unwrap_or(100)), train.len()))
}

fn from_file(path: &Path, flags: &Flags, overrides: &[String], progress: &dyn Progress) -> Result<ZooSpec> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let mut table: Table = text.parse().with_context(|| format!("{} is not valid TOML", path.display()))?;
    for (key, flag) in [("data", &flags.data), ("architecture", &flags.arch)] {
        if let Some(value) = flag {
            table.insert(key.into(), Value::String(value.clone()));
        }
    }
    if !flags.widths.is_empty() {
        table.insert("widths".into(), Value::try_from(&flags.widths)?);
    }
    // What is said of the data decides the shape of a preset's inputs, so it comes before the rest.
    if let Some(data) = table.get("data").cloned() {
        let data: DataSpec = match data.as_str() {
            Some(text) => DataSpec::parse(text)?,
            None => data.try_into().with_context(|| format!("{}: data", path.display()))?,
        };
        table.insert("data".into(), Value::try_from(data::with_settings(&data, overrides)?)?);
    }
    from_table(path, table, progress)
}

/// The spec of a table in which `architecture` may be a preset's name (with `widths` for an mlp) and `data` a `NAME[:PATH]`;
/// `path` is named in errors.
///
/// # Errors
/// Unknown keys, values out of range, data that cannot be had.
pub fn from_table(path: &Path, mut table: Table, progress: &dyn Progress) -> Result<ZooSpec> {
    if let Some(data) = table.get("data").and_then(Value::as_str) {
        let data = DataSpec::parse(data)?;
        table.insert("data".into(), Value::try_from(&data)?);
    }
    if let Some(name) = table.get("architecture").and_then(Value::as_str).map(str::to_owned) {
        let data: DataSpec = match table.get("data") {
            Some(data) => data.clone().try_into().with_context(|| format!("{}: data", path.display()))?,
            None => bail!("{}: missing field `data`", path.display()),
        };
        let widths = table.remove("widths").map(Value::try_into).transpose();
        let widths: Vec<usize> = widths.with_context(|| format!("{}: widths", path.display()))?.unwrap_or_default();
        let architecture = architecture(&name, &widths, &data, progress)?;
        table.insert("architecture".into(), Value::try_from(&architecture)?);
    }
    Ok(ZooSpec::from_toml_str(path, &toml::to_string(&table)?)?)
}

fn adjust(recipe: &mut Recipe, flags: &Flags) -> Result<()> {
    if let Some(epochs) = flags.epochs {
        recipe.length = Length::Epochs(epochs);
    }
    if let Some(steps) = flags.steps {
        recipe.length = Length::Steps(steps);
    }
    if let Some(batch) = flags.batch {
        recipe.batch = batch;
    }
    if let Some(rate) = flags.learning_rate {
        recipe.learning_rate = rate;
    }
    if let Some(name) = &flags.optimiser {
        recipe.optimiser = match name.as_str() {
            "sgd" => Optimiser::sgd(0.9),
            "adam" => Optimiser::default(),
            "adamw" => Optimiser::adamw(),
            other => return Err(Error::parameter("optimiser", "sgd, adam or adamw", other).into()),
        };
    }
    if let Some(k) = flags.checkpoints {
        recipe.checkpoints = thalweg_nets::train::evenly(k);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::progress::Silent;

    fn digits() -> Flags {
        Flags { arch: Some("digits".into()), data: Some("digits".into()), ..Flags::default() }
    }

    #[test]
    fn flags_files_and_overrides_are_laid_over_in_turn() {
        let flags = Flags { kind: Some("fork".into()), runs: Some(7), epochs: Some(2.0), ..digits() };
        let a =
            spec(None, &flags, Some(3), &["recipe.batch=32".into(), "kind.fork.noise=0.1".into()], &Silent).unwrap();
        assert_eq!((a.runs, a.seed, a.recipe.batch), (7, 3, 32));
        assert_eq!(a.kind, ZooKind::Fork { noise: 0.1, steps: 200 });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zoo.toml");
        let text = "runs = 5\narchitecture = \"digits\"\ndata = \"digits\"\nkind = { fork = { steps = 9 } }\n";
        std::fs::write(&path, text).unwrap();
        let b =
            spec(Some(&path), &Flags { kind: Some("fork".into()), ..Flags::default() }, None, &[], &Silent).unwrap();
        assert_eq!((b.runs, b.kind), (5, ZooKind::Fork { noise: 0.05, steps: 9 }));
        assert_eq!(b.architecture, a.architecture);
    }

    #[test]
    fn what_is_not_said_follows_from_the_data_but_not_in_a_file() {
        let recipe = |flags: &Flags, set: &[&str]| {
            let set: Vec<String> = set.iter().map(ToString::to_string).collect();
            let recipe = spec(None, flags, None, &set, &Silent).unwrap().recipe;
            (recipe.length, recipe.batch)
        };
        assert_eq!(recipe(&digits(), &[]), (Length::Steps(1000), 64));
        assert_eq!(recipe(&Flags { train_rows: Some(40), ..digits() }, &[]), (Length::Steps(1000), 40));
        assert_eq!(recipe(&Flags { epochs: Some(4.0), ..digits() }, &[]), (Length::Epochs(4.0), 64));
        assert_eq!(recipe(&digits(), &["recipe.length.epochs=2", "recipe.batch=8"]), (Length::Epochs(2.0), 8));
        let few = Flags { train_rows: Some(36), ..digits() };
        assert_eq!(recipe(&few, &["recipe.batch=16"]), (Length::Steps(1000), 16));
        assert_eq!(recipe(&Flags { batch: Some(16), ..few }, &[]), (Length::Steps(1000), 16));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zoo.toml");
        std::fs::write(&path, "runs = 5\narchitecture = \"digits\"\ndata = \"digits\"\n").unwrap();
        assert_eq!(spec(Some(&path), &Flags::default(), None, &[], &Silent).unwrap().recipe, Recipe::default());
    }

    #[test]
    fn mistakes_are_named() {
        let said = |flags: &Flags, set: &[&str]| {
            let set: Vec<String> = set.iter().map(ToString::to_string).collect();
            format!("{:#}", spec(None, flags, None, &set, &Silent).unwrap_err())
        };
        assert!(said(&Flags::default(), &[]).contains("--arch and --data"));
        assert!(
            said(&Flags { kind: Some("forked".into()), ..digits() }, &[]).contains("independent, shared, fork, tail")
        );
        assert!(said(&Flags { arch: Some("resnet".into()), ..digits() }, &[]).contains("cnn-s, cnn-m"));
        assert!(said(&Flags { arch: Some("mlp".into()), ..digits() }, &[]).contains("--widths"));
        assert!(said(&Flags { optimiser: Some("lion".into()), ..digits() }, &[]).contains("adamw"));
        assert!(said(&digits(), &["recipe.bacth=2"]).contains("bacth"));
        assert!(said(&digits(), &["runs=0"]).contains("at least 1"));
    }
}
