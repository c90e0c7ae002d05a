//! What `thalweg reproduce` can make: one file an experiment, one line in [`ALL`], one TOML in `experiments/` with its
//! parameters at the scales smoke, laptop and paper.
//!
//! To add one: write `experiments/NAME.toml` and a file here with a settings struct (`deny_unknown_fields`), an
//! `impl Prepared`, and a `pub const EXPERIMENT`; then name it in [`ALL`].
mod by_runs;
mod context;
mod flows;
mod generation;
mod inference_loss;
mod initialisation;
mod made;
mod marginals;
mod reward;
mod shift;
mod shift_curve;
mod tasks;

use crate::common::Outcome;
use crate::report::Report;
use crate::results::Row;
use crate::session::Session;
use crate::table::Table;
use anyhow::{Context, Result};
use std::path::Path;

/// Everything that can be reproduced.
const ALL: &[Experiment] = &[
    by_runs::EXPERIMENT,
    context::EXPERIMENT,
    generation::EXPERIMENT,
    inference_loss::EXPERIMENT,
    initialisation::EXPERIMENT,
    marginals::EXPERIMENT,
    reward::EXPERIMENT,
    shift::EXPERIMENT,
    shift_curve::EXPERIMENT,
];

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

/// The names, for `--help` and for complaints.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|e| e.name)
}

/// The experiment called `name`.
///
/// # Errors
/// Where there is none.
pub fn named(name: &str) -> Result<&'static Experiment> {
    ALL.iter().find(|e| e.name == name).with_context(|| format!("no experiment {name}"))
}
