//! Closed forms that tests hold methods against.
pub mod energy;
