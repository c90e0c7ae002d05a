//! The flow: laws over points in weight space, learned from training trajectories and sampled in milliseconds.
//!
//! Knows networks only through `thalweg_nets`: their [`Layout`], their zoos, their engine.
pub mod action_gap;
pub mod anchors;
pub mod assignment;
pub mod attention;
pub mod baseline;
pub mod canonical;
mod card;
pub mod context;
pub mod coordinates;
pub mod coupling;
pub mod curves;
mod dense;
pub mod energy;
pub mod feature_potential;
pub mod field;
pub mod fit;
mod fit_loop;
mod fit_state;
pub mod interpolant;
pub mod jonker_volgenant;
pub mod judge;
pub mod latent;
pub mod method;
pub mod metric;
pub mod model;
mod normal;
pub mod optimiser;
pub mod path;
mod plan;
mod ranges;
pub mod reward;
pub mod sample;
pub mod shift;
pub mod solver;
pub mod source;
pub mod symmetry;
pub mod tensors;
pub mod time;
mod timing;
pub mod tune;

pub use thalweg_nets::{Error, Layout, Result, Streams, interrupt};
