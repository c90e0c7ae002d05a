//! What an experiment is, and what it comes to.
use crate::common::Outcome;
use crate::report::Report;
use crate::results::Row;
use crate::session::Session;
use crate::table::Table;
use anyhow::Result;
use std::path::Path;

/// A table or figure of the paper.
pub struct Experiment {
    /// The NAME of `reproduce NAME`.
    pub name: &'static str,
    /// Reads its settings at a scale, with the session's `--set` and `--seed`; touches nothing on disk.
    pub prepare: fn(&str, &Session) -> Result<Box<dyn Prepared>>,
}

/// An experiment with its settings in force.
pub trait Prepared {
    /// The seed that it will use.
    fn seed(&self) -> u64;
    /// Runs it; `out` is its folder, claimed already, for what it wants to keep.
    ///
    /// # Errors
    /// Whatever goes wrong on the way.
    fn run(&self, out: &Path, session: &Session) -> Result<Findings>;
}

/// What an experiment found.
pub struct Findings {
    /// For results.json.
    pub rows: Vec<Row>,
    /// Settings in force.
    pub settings: Row,
    /// For the terminal.
    pub tables: Vec<Table>,
    /// For people.
    pub report: Report,
    /// [`Outcome::Negative`] where the experiment contradicts what it was to show.
    pub outcome: Outcome,
}
