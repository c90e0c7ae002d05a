//! Parts of the networks that this crate trains (velocity fields, potentials, autoencoders, encoders): layers with explicit backward passes over flat
//! parameters, and the optimiser. Nothing here knows what the networks are for.
pub(crate) mod affine;
pub(crate) mod attention;
pub(crate) mod dense;
pub(crate) mod elementwise;
pub(crate) mod gradient;
pub(crate) mod normal;
pub mod optimiser;
pub(crate) mod parameters;
#[cfg(test)]
pub(crate) mod steps;
pub(crate) mod tape;
pub(crate) mod time_features;
