//! An experiment of `reproduce all` with what it found.
use crate::experiments::experiment::Scale;
use crate::report::Report;
use crate::results::Row;
use std::path::Path;

/// An experiment with what it found.
pub struct Found {
    /// Its NAME.
    pub name: &'static str,
    /// The scale it was run at.
    pub scale: Scale,
    /// Its seed.
    pub seed: u64,
    /// Seconds that it took.
    pub seconds: f64,
    /// What is not as its own file has it, as `--set` says it.
    pub set: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Its own page.
    pub report: Report,
}

impl Found {
    /// The command that makes it by itself.
    pub fn command(&self) -> String {
        let set = self.set.iter().map(|set| format!(" --set {}", crate::shell::quoted(Path::new(set))));
        format!(
            "thalweg reproduce {} --scale {} --seed {}{}",
            self.name,
            self.scale,
            self.seed,
            set.collect::<String>()
        )
    }
}
