//! What every autoencoder of weights can do, and what it is fitted to.
use super::functional::Functional;
use crate::nn::parameters::Parameters;
use crate::train::Checkpointing;
use crate::{Error, Layout, Result, Streams};
use thalweg_nets::progress::Progress;

/// The way from points to what they stand for, with its derivative. A row's bytes do not depend on the other rows.
pub trait Decoder: Send + Sync {
    /// D, numbers of a point.
    fn dimension(&self) -> usize;

    /// What `points [n, D]` stand for, `[n, P]`.
    fn decode(&self, points: &[f32]) -> Vec<f32>;

    /// Pulls `gradients [n, P]`, the derivative of a scalar with respect to `decoded [n, P]`, back to the `points [n, D]` that were decoded: `[n, D]`.
    fn pull_back(&self, points: &[f32], decoded: &[f32], gradients: Vec<f32>) -> Vec<f32>;
}

/// A weight autoencoder; it decodes to standardised weights.
pub trait Autoencoder: Decoder + Parameters {
    /// Latents `[n, D]` of standardised weights `z [n, P]`.
    fn encode(&self, z: &[f32]) -> Vec<f32>;

    /// Standard deviations that latents had before they were normalised `[D]`.
    fn scales(&self) -> &[f32];

    /// Standard deviations of the weights that a point stands for about what it decodes to `[P]`; empty where it stands for one network.
    fn deviations(&self) -> Vec<f32> {
        Vec::new()
    }
}

/// What an autoencoder is fitted to.
#[derive(Clone, Copy)]
pub struct LatentTask<'a> {
    /// Of the networks, P numbers in all.
    pub layout: &'a Layout,
    /// Standardised weights `[n, P]` to learn from.
    pub points: &'a [f32],
    /// Standardised weights `[m, P]` of runs that only choose; may be empty.
    pub held_out: &'a [f32],
    /// The functional term, where the configuration asks for one.
    pub functional: Option<&'a Functional>,
    /// Of all that is random in the fit.
    pub streams: &'a Streams,
    /// Where the state of a training is kept.
    pub saving: Option<Checkpointing<'a>>,
    /// Progress and interruption.
    pub progress: &'a dyn Progress,
}

/// Checks D; `field` is its name in the error.
pub(super) fn check_dimension(field: &str, dimension: usize) -> Result<()> {
    match dimension {
        1..=1_024 => Ok(()),
        other => Err(Error::parameter(field, "1 to 1,024", other)),
    }
}

/// Checks that `points` are `[n, P]` with n at least `least`.
pub(super) fn check_points(points: &[f32], p: usize, least: usize) -> Result<usize> {
    if p == 0 || !points.len().is_multiple_of(p) || points.len() / p < least {
        let expected = format!("[n, {p}] with n at least {least}");
        return Err(Error::shape("points to fit an autoencoder to", expected, format!("[{}]", points.len())));
    }
    Ok(points.len() / p)
}
