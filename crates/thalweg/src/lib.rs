//! Laws over points of weight space: learned from training trajectories, sampled in milliseconds, steered by rewards, judged beside trivial rivals; and
//! tests of harmful covariate shift.
//!
//! Networks are known only through `thalweg_nets`. The names below are what a caller of the library needs, in the order of the work; modules hold the
//! rest. ARCHITECTURE.md draws which of them may import which.
pub mod context;
pub mod coupling;
pub mod field;
pub mod fit;
pub mod judge;
pub mod method;
pub mod metric;
pub mod model;
pub mod network;
mod nn;
pub mod path;
mod ranges;
pub mod reward;
pub mod shift;
pub mod solver;
pub mod space;
pub mod tensors;
#[cfg(test)]
mod testing;
mod train;
pub mod tune;

pub use thalweg_nets::{Artefact, Error, Layout, Result, Streams, interrupt};

// What is learned, and in which space.
pub use coupling::Coupling;
pub use field::{Field, FieldConfig};
pub use method::{Method, MethodConfig, MethodParameters, OwnMethod};
pub use nn::optimiser::{AdamW, AdamWConfig, Schedule};
pub use nn::parameters::Parameters;
pub use space::coordinates::{Coordinates, Standardiser};
pub use space::latent::{Autoencoder, Decoder, LatentConfig, Latents};
pub use space::source::{Source, SourceKind};

// Fits, models, samples.
pub use context::{Conditioning, ContextConfig, Support};
pub use fit::tasks::fit_tasks;
pub use fit::{FitOptions, fit};
pub use model::sample::{SampleRequest, Samples};
pub use model::{FitConfig, MetaModel, Networks, Split, States};
pub use solver::Solver;

// Steering.
pub use model::{Control, TuneConfig};
pub use reward::{Diversity, Margin, OnData, Reward, ToPoint, WeightedSum};
pub use tune::{TuneOptions, tune};

// Judgement.
pub use judge::baseline::Baseline;
pub use judge::{Judge, Judged, Judgement, Row, ZooReference, ZooRuns};
pub use metric::summary::Summary;

// Shift.
pub use shift::calibration::{Calibration, Request};
pub use shift::law::outcome::Outcome;
pub use shift::{Base, Reference, Sample, ShiftTest};
