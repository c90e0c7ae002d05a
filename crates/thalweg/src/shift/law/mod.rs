//! From statistics to decisions: laws without shift, p-values, outcomes, and the power of tests.
pub mod combined;
pub mod null;
pub mod outcome;
pub mod permutation;
pub mod power;
