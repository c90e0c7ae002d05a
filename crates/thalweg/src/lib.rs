//! The flow: laws over points in weight space, learned from training trajectories and sampled in milliseconds.
//!
//! Knows networks only through `thalweg_nets`: their [`Layout`], their zoos, their engine.
pub mod assignment;
pub mod baseline;
pub mod canonical;
pub mod coordinates;
pub mod coupling;
mod dense;
pub mod energy;
pub mod feature_potential;
pub mod field;
pub mod interpolant;
pub mod jonker_volgenant;
pub mod judge;
pub mod metric;
pub mod optimiser;
pub mod path;
pub mod solver;
pub mod symmetry;

pub use thalweg_nets::{Error, Layout, Result, Streams};
