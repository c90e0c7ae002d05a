//! [`Workers`]: the flags that say who runs tasks, and with what.
use super::array::called;
use super::hyperqueue::HyperQueue;
use super::slurm::Slurm;
use super::{Array, Engine};
use anyhow::Result;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Names of the engines.
pub const ENGINES: [&str; 2] = ["hq", "slurm"];

/// Who runs tasks, and with what.
#[derive(clap::Args, Clone, Debug)]
pub struct Workers {
    /// Cores of a task
    #[arg(long, value_name = "N", default_value = "1")]
    cpus: NonZeroUsize,
    /// Print what a person would type for the engine, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The program that tasks run; this one by default
    #[arg(long, value_name = "FILE")]
    program: Option<String>,
    /// The Python that has HyperQueue's client; THALWEG_PYTHON or python3 by default
    #[arg(long, value_name = "FILE")]
    python: Option<String>,
}

impl Workers {
    /// Whether any of the flags is there.
    pub fn are_said(&self) -> bool {
        self.cpus.get() > 1 || self.dry_run || self.program.is_some() || self.python.is_some()
    }

    /// Cores of a task.
    pub fn cores(&self) -> usize {
        self.cpus.get()
    }

    /// The program that tasks run.
    ///
    /// # Errors
    /// A name that is not found.
    pub fn program(&self) -> Result<PathBuf> {
        called(&self.program.clone().unwrap_or_else(crate::results::program))
    }

    /// The engine called `name`, one of [`ENGINES`].
    pub fn engine(&self, name: &str) -> Box<dyn Engine> {
        if name == "slurm" {
            return Box::new(Slurm);
        }
        let named = std::env::var("THALWEG_PYTHON").ok().filter(|name| !name.is_empty());
        let python = self.python.clone().or(named).unwrap_or_else(|| "python3".into());
        Box::new(HyperQueue { python })
    }

    /// `array` as a person would type it for the engine called `name`.
    pub fn typed(name: &str, array: &Array) -> String {
        if name == "slurm" { array.typed_for_slurm() } else { array.typed_for_hyperqueue() }
    }
}
