//! What an import recognises in files that were written elsewhere, as it is told before anything is written.
use crate::data;
use crate::results::Row;
use crate::row;
use crate::session::Session;
use anyhow::{Context, Result};
use std::path::PathBuf;
use thalweg_nets::data::DataSpec;
use thalweg_nets::init::Initialisation;
use thalweg_nets::zoo::{ImportOptions, ImportPlan};

/// Flags that say which part of a network is modelled, and how adapters are.
#[derive(clap::Args, Clone, Debug)]
pub struct PartFlags {
    /// Model only the tensors that match one of these patterns (* for any characters); the rest is frozen
    #[arg(long, value_name = "PATTERN,…", value_delimiter = ',')]
    tensors: Vec<String>,
    /// Freeze the tensors that match one of these patterns
    #[arg(long, value_name = "PATTERN,…", value_delimiter = ',')]
    except: Vec<String>,
    /// Whole network whose frozen tensors all networks share (the last checkpoint of the first run)
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,
    /// Bring low-rank adapters (lora_A, lora_B) into one form of the many that compute the same
    #[arg(long)]
    canonical: bool,
}

impl PartFlags {
    /// The options of an import that they are.
    pub fn options(&self) -> ImportOptions {
        let Self { tensors, except, base, canonical } = self.clone();
        ImportOptions { tensors, except, base, canonical, ..ImportOptions::default() }
    }
}

/// Tells what `plan`, made by `options`, recognises, and how inputs are standardised.
pub fn tell(plan: &ImportPlan, options: &ImportOptions, session: &Session) {
    session.say(plan.to_string().trim_end());
    if let (Some(data), Some(record)) = (&plan.data, plan.record()) {
        let told = data::told(&DataSpec { record: None, ..data.clone() }, &record.normalisation);
        let unscored = if options.architecture.is_none() { " (nothing is scored on them without --arch)" } else { "" };
        session.say(&format!("  {told}{unscored}"));
    }
}

/// A row for every checkpoint of every run.
pub fn recognised(plan: &ImportPlan) -> Vec<Row> {
    let mut rows = Vec::new();
    for run in &plan.found.runs {
        for (time, network) in plan.times.iter().zip(&run.checkpoints) {
            rows.push(row! {
                "run" => run.name, "checkpoint" => network.name, "time" => time, "file" => network.place().display().to_string(),
            });
        }
    }
    rows
}

/// Reads the flag `--initialisation`.
///
/// # Errors
/// An unknown law.
pub fn law(name: &str) -> Result<Initialisation> {
    let parsed = toml::Value::String(name.into()).try_into();
    parsed.with_context(|| format!("--initialisation {name}: expected kaiming-uniform or kaiming-normal"))
}
