//! Laws over points of weight space: learned from training trajectories, sampled in milliseconds, steered by rewards, judged beside trivial rivals; and
//! tests of harmful covariate shift.
//!
//! Networks are known only through `thalweg_nets`. The names below are what a caller of the library needs, in the order of the work; modules hold the
//! rest. ARCHITECTURE.md draws which of them may import which.
//!
//! The whole way, far too short to be of use (`examples/digits.rs` has sizes that are, and judges what comes out):
//!
//! ```
//! use thalweg::{FitConfig, FitOptions, SampleRequest, ToPoint, TuneConfig, TuneOptions, fit, tune};
//! use thalweg_nets::{architecture::Preset, data::DataSpec, progress::Silent, train::Length, zoo::*};
//! let folder = tempfile::tempdir().expect("a folder");
//! // A zoo: 12 runs of one small network.
//! let net = Preset::Digits.build([1, 8, 8], 10)?;
//! let mut spec = ZooSpec::new(net, DataSpec::named("digits"), ZooKind::named("fork")?, 12);
//! spec.recipe.length = Length::Steps(10);
//! let zoo = train_zoo(&spec, &folder.path().join("zoo"), &TrainOptions::default(), &Silent)?;
//! // A flow over its runs, and networks from it: [n, P].
//! let config = FitConfig { steps: 20, ..FitConfig::default() };
//! let model = fit(&zoo, &config, &FitOptions::default(), &Silent)?;
//! let samples = model.sample(&SampleRequest::new(3, 7))?;
//! assert_eq!(samples.theta.len(), 3 * zoo.parameters());
//! // The same flow, steered to networks with small weights.
//! let small = ToPoint::new(vec![0.0; zoo.parameters()], 1.0)?;
//! let short = TuneConfig { iterations: 2, trajectories: 4, strength: 1.0, ..TuneConfig::default() };
//! let tuned = tune(&model, &small, None, &short, &TuneOptions::default(), &Silent)?;
//! assert_eq!(tuned.layout.len(), zoo.parameters());
//! # Ok::<(), thalweg::Error>(())
//! ```
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
pub mod refine;
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
