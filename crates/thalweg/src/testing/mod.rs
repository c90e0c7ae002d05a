//! TODO
pub mod energy;
