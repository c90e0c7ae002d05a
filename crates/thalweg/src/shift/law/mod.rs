//! TODO
pub mod null;
pub mod outcome;
pub mod permutation;
pub mod power;
