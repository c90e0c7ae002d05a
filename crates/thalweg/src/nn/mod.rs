//! TODO
pub(crate) mod affine;
pub mod attention;
mod dense;
mod normal;
pub mod optimiser;
pub(crate) mod passes;
mod tape;
mod time_features;
