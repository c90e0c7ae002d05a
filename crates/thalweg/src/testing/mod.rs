//! What tests share: closed forms that methods are held against, gradients of velocity fields, reordered hidden units, networks that were trained before, and networks that are not the engine's.
pub mod energy;
pub mod fields;
pub mod foreign;
pub mod kept;
pub mod reordered;
