//! TODO
pub mod align;
pub mod coordinates;
pub mod latent;
pub mod source;
pub mod symmetry;
