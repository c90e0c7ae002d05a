//! The flow: laws over points in weight space, learned from training trajectories and sampled in milliseconds.
//!
//! Knows networks only through `thalweg_nets`: their [`Layout`], their zoos, their engine.
pub mod context;
pub mod coupling;
pub mod field;
pub mod fit;
pub mod judge;
pub mod method;
pub mod metric;
pub mod model;
pub mod nn;
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

pub use thalweg_nets::{Error, Layout, Result, Streams, interrupt};
