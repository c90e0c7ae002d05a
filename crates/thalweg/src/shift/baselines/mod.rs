//! Tests that train no disagreeing classifiers: rivals of the tests in [`super::disagreement`], and what stands beside them in a verdict.
pub mod bbsd;
pub mod d3m;
pub mod deep_kernel;
pub mod divergence;
pub mod energy;
pub mod ensemble;
pub mod ensemble_config;
pub mod entropy;
mod halves;
pub mod hotelling;
pub mod mahalanobis;
pub mod mmd;
pub mod two_sample;
mod whitening;
