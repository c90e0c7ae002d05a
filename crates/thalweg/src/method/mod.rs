//! Methods: what each trains on and how it steps, one file each behind one trait, so that `fit` and `sample` know no method by name.
//!
//! To add one: a file with its parameters, an `impl MethodParameters` and an `impl Method`, and a line in `config`; from outside, the same two
//! traits and [`MethodConfig::Own`] (book/src/recipes/method.md). A method gets curves (points of the marginals it names, coupled as it asks) and owns
//! whatever net it trains behind flat parameters, be it a velocity field, a potential or a denoiser. `transport` may be an ODE, an SDE or explicit
//! steps.
pub mod action;
mod base;
pub mod cfm;
mod config;
pub mod ddpm;
pub mod jko;
mod jko_config;
mod jko_features;
pub mod kde;
pub mod mmfm;
mod parameters;
pub(crate) mod regression;
pub mod swag;

pub use action::{ActionConfig, ActionMatching};
pub use base::{ClosedForm, Method, Scratch, Transport};
pub use cfm::{CfmConfig, FlowMatching};
pub use config::MethodConfig;
pub use ddpm::{Ddpm, DdpmConfig};
pub use jko::{Jko, JkoConfig};
pub use kde::{Kde, KdeConfig};
pub use mmfm::MmfmConfig;
pub use parameters::{MethodParameters, OwnMethod};
pub use swag::{Swag, SwagConfig};
