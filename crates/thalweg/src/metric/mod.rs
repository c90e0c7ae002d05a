//! What generated weights are worth (book/src/mathematics.md, section 14): accuracy, distance between laws, novelty, diversity,
//! calibration. Everything here works on slices; [`crate::judge`] puts the numbers into one row of a table.
//!
//! | module | measures | number |
//! | --- | --- | --- |
//! | [`summary`] | mean, spread, best, quantiles of any score | M17 |
//! | [`along`] | loss and accuracy at the states of a sampler | M18 |
//! | [`barrier`] | how much worse networks are between two networks | M3 |
//! | [`wasserstein`] | W₁ with its sampling floor, spread ratio, energy distance | M19 |
//! | [`novelty`], [`aligned`] | distance in weights to the nearest training network, as it is and after alignment | M20 |
//! | [`answers`], [`probabilities`], [`behaviour`] | inputs answered differently, or with other probabilities; overlap of the sets of wrongly classified inputs | M20 |
//! | [`copying`] | whether generated networks lie nearer to the training runs than held-out runs do | M20 |
//! | [`manifold`] | precision and recall of sets of networks in weight space | M20 |
//! | [`calibration`] | ensembles: accuracy, NLL, calibration error | M22 |
pub mod aligned;
pub mod along;
pub mod answers;
pub mod barrier;
pub mod behaviour;
pub mod calibration;
pub mod copying;
pub mod manifold;
pub mod novelty;
pub mod probabilities;
pub mod summary;
pub mod wasserstein;

pub use summary::Summary;
