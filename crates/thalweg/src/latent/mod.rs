//! Latent spaces (M8): a weight autoencoder between standardised weights z `[P]` and latents y `[D]`, in which any method can run.
//!
//! A flow in a latent space trains on encoded checkpoints and decodes what it samples. Latents are normalised, each to mean 0 and
//! deviation 1 over the training points, and the model card tells their scale. An autoencoder bounds what a flow in it can reach: judge its
//! reconstructions by the accuracy of decoded networks, beside the samples. [`Space`] is the way from weights to a method's points and back.
pub mod pca;

pub use pca::{Pca, PcaConfig};

use crate::coordinates::Coordinates;
use crate::source::Source;
use crate::{Error, Layout, Result, Streams, normal};
use serde::{Deserialize, Serialize};

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
pub trait Autoencoder: Decoder {
    /// Latents `[n, D]` of standardised weights `z [n, P]`.
    fn encode(&self, z: &[f32]) -> Vec<f32>;

    /// Standard deviations that latents had before they were normalised `[D]`.
    fn scales(&self) -> &[f32];

    /// Names, shapes and places of the parameters.
    fn layout(&self) -> &Layout;

    /// All parameters, as they are saved.
    fn parameters(&self) -> &[f32];

    /// All parameters, to be read back.
    fn parameters_mut(&mut self) -> &mut [f32];
}

/// Which autoencoder, and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LatentConfig {
    /// Principal components.
    Pca(PcaConfig),
}

impl LatentConfig {
    /// # Errors
    /// A size outside its range.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Pca(c) => c.check(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pca(_) => "pca",
        }
    }

    /// D.
    pub fn dimension(&self) -> usize {
        match self {
            Self::Pca(c) => c.dimension,
        }
    }

    /// Fits the autoencoder to standardised weights `points [n, P]`.
    ///
    /// # Errors
    /// Fewer points than dimensions ask for, or points that span less.
    pub fn fit(&self, points: &[f32], p: usize) -> Result<Box<dyn Autoencoder>> {
        match self {
            Self::Pca(c) => Ok(Box::new(Pca::fit(c, points, p)?)),
        }
    }

    /// An autoencoder of this shape whose parameters are still to be read.
    ///
    /// # Errors
    /// A size outside its range.
    pub fn unfitted(&self, p: usize) -> Result<Box<dyn Autoencoder>> {
        match self {
            Self::Pca(c) => Ok(Box::new(Pca::unfitted(c, p)?)),
        }
    }
}

/// Where a method's points live: standardised weights, or latents of them.
#[derive(Clone, Copy)]
pub struct Space<'a> {
    /// M2.
    pub coordinates: &'a Coordinates,
    /// M8, where the method runs in a latent space.
    pub latent: Option<&'a dyn Autoencoder>,
}

impl Space<'_> {
    /// Points `[n, D]` of weights `theta [n, P]`.
    pub fn points(&self, mut theta: Vec<f32>) -> Vec<f32> {
        self.coordinates.standardise(&mut theta);
        self.encoded(theta)
    }

    /// Draw `i` of `source`: a point `[D]`. A Gaussian source is standard in the space itself.
    ///
    /// # Errors
    /// A law that does not fit the layout.
    pub fn draw(&self, source: &Source, i: u64, layout: &Layout, streams: &Streams) -> Result<Vec<f32>> {
        if let (Source::Gaussian, Some(latent)) = (source, self.latent) {
            let mut y = vec![0.0; latent.dimension()];
            normal::fill(&mut streams.index(i).rng(), &mut y);
            return Ok(y);
        }
        let mut z = vec![0.0; self.coordinates.dimension()];
        source.draw(i, layout, self.coordinates, streams, &mut z)?;
        Ok(self.encoded(z))
    }

    fn encoded(&self, z: Vec<f32>) -> Vec<f32> {
        match self.latent {
            Some(latent) => latent.encode(&z),
            None => z,
        }
    }
}

/// Points decode to weights θ, through M8 and M2.
impl Decoder for Space<'_> {
    fn dimension(&self) -> usize {
        self.latent.map_or(self.coordinates.dimension(), |latent| latent.dimension())
    }

    fn decode(&self, points: &[f32]) -> Vec<f32> {
        let mut theta = self.latent.map_or_else(|| points.to_vec(), |latent| latent.decode(points));
        self.coordinates.restore(&mut theta);
        theta
    }

    fn pull_back(&self, points: &[f32], theta: &[f32], mut gradients: Vec<f32>) -> Vec<f32> {
        self.coordinates.pull_back(theta, &mut gradients);
        match self.latent {
            Some(latent) => {
                let mut z = theta.to_vec();
                self.coordinates.standardise(&mut z);
                latent.pull_back(points, &z, gradients)
            }
            None => gradients,
        }
    }
}

/// Checks that `points` are `[n, P]` with n at least `least`.
fn check_points(points: &[f32], p: usize, least: usize) -> Result<usize> {
    if p == 0 || !points.len().is_multiple_of(p) || points.len() / p < least {
        let expected = format!("[n, {p}] with n at least {least}");
        return Err(Error::shape("points to fit an autoencoder to", expected, format!("[{}]", points.len())));
    }
    Ok(points.len() / p)
}
