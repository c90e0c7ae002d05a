//! What `thalweg reproduce` can make: one file an experiment, one line in [`ALL`], one TOML in `experiments/` with its
//! parameters at the scales smoke, laptop and paper.
//!
//! To add one: write `experiments/NAME.toml` and a file here with a settings struct (`deny_unknown_fields`), an
//! `impl Prepared`, and a `pub const EXPERIMENT`; then name it in [`ALL`].
mod by_runs;
mod context;
mod experiment;
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

pub use experiment::{Experiment, Findings, Prepared};

use anyhow::{Context, Result};

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
