//! Points: weights in the coordinates that laws are learned in. Standardised coordinates (M2), latent spaces (M8), the symmetries of networks and their
//! removal, and the source laws from which samples start.
pub mod align;
pub mod coordinates;
pub mod latent;
pub mod points;
pub(crate) mod principal;
pub mod source;
pub mod symmetry;
