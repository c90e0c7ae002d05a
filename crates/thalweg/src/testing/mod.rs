//! What tests share: closed forms that methods are held against, networks that were trained before, and networks that are not the engine's.
pub mod energy;
pub mod foreign;
pub mod kept;
