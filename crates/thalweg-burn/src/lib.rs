//! Burn: base networks and fields on other devices, and an independent truth for the tests of our own engines.
//!
//! On the CPU nothing here is meant to be fast: the engine of `thalweg-nets` and the fields of `thalweg` are. What this
//! crate gives is a second implementation, by automatic differentiation, of the same mathematics on the same flat
//! parameters: θ `[P]` of a base network ([`network`]), `[Q]` of a velocity field ([`field`]) or of a scalar potential
//! ([`potential`]). The tests under `tests/` hold the two against each other; the cargo features `cuda` and `wgpu` open
//! other devices ([`device`]).
pub mod device;
pub mod field;
pub mod network;
mod parameters;
pub mod potential;
mod time;

pub use device::Device;
pub use field::{BurnField, place};
pub use network::{Network, Statistics};
pub use potential::BurnPotential;
pub use thalweg_nets::{Error, Result};
