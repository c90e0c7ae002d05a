//! The nets of the meta-models (book/src/mathematics.md, table of symbols): velocity fields v(x, t, c) over standardised weights.
//!
//! A field is a pure function of flat parameters. [`Field::velocity`] leaves on its [`Tape`] what [`Field::backward`]
//! needs, so that training costs two calls a step, adjoint matching (M12) gets its vector–Jacobian products in x from the same
//! code, and nothing is allocated after the first step. A tape belongs to one thread of work at a time; fields are shared.
mod base;
mod config;
mod embedding;
pub mod equivariant;
pub mod feature_potential;
mod gate;
pub mod mlp;
pub mod potential;
mod potential_elementwise;
pub mod residual;
mod steps;

pub use crate::nn::gradient::Gradient;
pub use crate::nn::parameters::Parameters;
pub use crate::nn::tape::Tape;
pub use base::Field;
pub use config::{FieldConfig, Place, place_fields};
pub use equivariant::{Equivariant, EquivariantConfig};
pub use gate::Gate;
pub use mlp::{Mlp, MlpConfig};
pub use potential::{Cotangents, Jet, MlpPotential, MlpPotentialConfig, Potential};
pub use residual::{ResidualMlp, ResidualMlpConfig};
pub use steps::Steps;
