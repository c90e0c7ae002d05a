//! Points: weights in the coordinates that laws are learned in. Standardised coordinates (M2), latent spaces (M8), the symmetries of networks and their
//! removal, the directions that networks do not feel, and the source laws from which samples start.
pub mod align;
pub mod coordinates;
pub mod families;
pub mod flat;
pub mod latent;
pub mod points;
pub(crate) mod principal;
pub mod source;
pub mod symmetry;
