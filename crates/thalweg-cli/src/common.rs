//! Flags that every command takes, and what a command can come to.
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use thalweg_nets::memory;

/// The steps of the demo, one by one: the help, the demo's page, README.md and the book show the same lines.
pub const STEPS: [&str; 4] = [
    "thalweg zoo train --arch digits --data digits --kind fork --runs 60 --out zoo/",
    "thalweg fit zoo/ --out model/",
    "thalweg sample model/ -n 100 --out samples.safetensors",
    "thalweg eval samples.safetensors --zoo zoo/",
];

/// The common flags. All are global: they may stand before or after the command's own.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Folder (or file) to write to; nothing there is overwritten without --force
    #[arg(short, long, global = true, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Seed of all randomness: the same seed gives the same bytes on any number of threads
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Worker threads; all cores by default
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Memory that the command may take, as 8G or 1.5GiB: what cannot fit is refused before it begins. Half of the machine's by default
    #[arg(long, global = true, value_name = "SIZE", value_parser = memory::parse_size)]
    pub memory: Option<u64>,
    /// Device of velocity fields: cpu (the default), or flex, cuda, cuda:INDEX, wgpu in a program that was built for them
    #[arg(long, global = true, value_name = "NAME")]
    pub device: Option<String>,
    /// Instruction set of the networks' engine: avx512, avx2 or portable (also by the variable THALWEG_INSTRUCTIONS); the fastest one by
    /// default. avx512 and avx2 give the same bytes, portable gives others. The matrix products of velocity fields choose for themselves
    #[arg(long, global = true, value_name = "NAME")]
    pub instructions: Option<String>,
    /// Go on from what an interrupted run of the same command has finished
    #[arg(long, global = true, conflicts_with = "force")]
    pub resume: bool,
    /// Overwrite existing output that Thalweg made
    #[arg(long, global = true)]
    pub force: bool,
    /// Print the results as JSON on stdout, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress, no tables: only errors (and --json)
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More about what is done
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Override a setting of the command or its TOML file, e.g. --set recipe.batch=128; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl Common {
    /// What `--set` says, by key.
    pub fn overrides(&self) -> toml::Table {
        let pairs = self.set.iter().filter_map(|text| text.split_once('='));
        pairs.map(|(key, value)| (key.trim().to_owned(), toml::Value::from(value.trim()))).collect()
    }
}

/// What a command came to when it ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked for is done.
    Done,
    /// It is done, and the finding is negative: a failed check, a harmful shift.
    Negative,
    /// It is done, and the finding is open: rows are shifted, harm is not established.
    Open,
}
