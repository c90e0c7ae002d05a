//! What `thalweg reproduce` can make: one file an experiment, its entry in [`ALL`], one TOML in `experiments/` with its parameters at the scales
//! smoke, laptop and paper.
//!
//! To add one: write `experiments/NAME.toml`, and a file here with a struct of its parameters (`deny_unknown_fields`) that is an [`Experiment`];
//! then name it in [`ALL`]. Settings, `--set`, scale, seed, folder, results and page are cared for.
mod all;
mod by_runs;
mod connectivity;
mod context;
mod deepweightflow;
mod ensembles;
mod equivariance;
mod experiment;
mod few_gradients;
mod flows;
mod frontier;
mod generation;
mod inference_loss;
mod initialisation;
mod made;
mod marginals;
mod methods;
mod parts;
mod peers;
mod picture;
mod prices;
mod refine;
mod reward;
mod share;
mod shift;
mod shift_curve;
mod spread;
mod tasks;

pub use experiment::{Entry, Findings, Scale};
pub use spread::{Spread, What};

use crate::output::{JSON, REPORT};
use crate::session::Session;

use anyhow::{Context, Result};
use std::path::Path;
use std::sync::LazyLock;

/// Everything that can be reproduced.
const ALL: &[Entry] = &[
    Entry::of::<by_runs::ByRuns>(),
    Entry::of::<connectivity::Connectivity>(),
    Entry::of::<context::Contexts>(),
    Entry::of::<frontier::Of<deepweightflow::DeepWeightFlow>>(),
    Entry::of::<ensembles::Ensembles>(),
    Entry::of::<frontier::Of<equivariance::Equivariance>>(),
    Entry::of::<frontier::Frontier>(),
    Entry::of::<generation::Generation>(),
    Entry::of::<inference_loss::InferenceLoss>(),
    Entry::of::<initialisation::Initialisation>(),
    Entry::of::<marginals::Marginals>(),
    Entry::of::<peers::Peers>(),
    Entry::of::<prices::Prices>(),
    Entry::of::<refine::Refine>(),
    Entry::of::<reward::Rewards>(),
    Entry::of::<shift::Shifts>(),
    Entry::of::<shift_curve::ShiftCurve>(),
];

/// What experiments make: see their files.
pub const NAMES: &[&str] = &[
    JSON,
    REPORT,
    "centre.safetensors",
    "zoo/",
    "zoos/",
    "models/",
    "model/",
    "latents/",
    "rival-*/",
    "home/",
    "home-model/",
];

/// What all of them make together: a folder each, and the zoos that they share.
pub static NAMES_OF_ALL: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let folders = names().map(|name| &*Box::leak(format!("{name}/").into_boxed_str()));
    [JSON, REPORT, "zoos/"].into_iter().chain(folders).collect()
});

/// The names, for `--help` and for complaints.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|entry| entry.name)
}

/// Every experiment's name, and what it shows.
pub fn about() -> impl Iterator<Item = (&'static str, String)> {
    ALL.iter().map(|entry| (entry.name, entry.about()))
}

/// Those of the names `only`, in the order of [`ALL`]; all where it names none.
fn chosen(only: &[String]) -> Vec<&'static Entry> {
    ALL.iter().filter(|entry| only.is_empty() || only.iter().any(|name| name == entry.name)).collect()
}

/// The NAME that stands for all of them.
pub const EVERY: &str = all::NAME;

/// Refuses settings with which not all of them can be run at `scale`, before anything is touched.
///
/// # Errors
/// Such settings.
pub fn check_every(only: &[String], scale: Scale, session: &Session) -> Result<()> {
    all::check(&chosen(only), scale, session)
}

/// Runs all of them in folders of `out`, and judges what is claimed by what they find.
///
/// # Errors
/// As the experiments' own.
pub fn run_every(only: &[String], scale: Scale, out: &Path, session: &Session) -> Result<Findings> {
    all::run(&chosen(only), scale, out, session)
}

/// The experiment called `name`.
///
/// # Errors
/// Where there is none.
pub fn named(name: &str) -> Result<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name).with_context(|| format!("no experiment {name}"))
}
