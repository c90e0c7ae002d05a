//! Denoising autoencoder of weights as p-diff's (M8, M9; Wang et al. 2024): noise on the weights that are encoded, noise on their latents, and
//! the clean weights to be decoded.
//!
//! Latents are held at unit size by a small penalty, so that noise on them has something to be measured by (see `objective`). Made for zoos of
//! one run's tail, where networks are close to each other; with [`Ddpm`](crate::method::Ddpm) on its latents it is p-diff. Deviates: p-diff's
//! nets are one-dimensional convolutions over flat weights; ours are residual multilayer perceptrons.
use super::LatentTask;
use super::bottleneck::Bottleneck;
use super::coder_config::CoderConfig;
use super::learned::Learned;
use super::training::{Trained, TrainingConfig};
use crate::{Error, Layout, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of the denoising autoencoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DenoisingConfig {
    /// D, latents (32; 1 to 1,024).
    pub dimension: usize,
    /// Standard deviation of the noise on standardised weights (1e-3, p-diff's; at least 0).
    pub input_noise: f64,
    /// Standard deviation of the noise on latents (0.1, p-diff's; at least 0).
    pub latent_noise: f64,
    /// Weight of the penalty on the latents' size (1e-4; at least 0).
    pub penalty: f64,
    /// Encoder and decoder (mlp 256 × 1).
    pub coder: CoderConfig,
    /// How they are trained.
    pub training: TrainingConfig,
}

impl Default for DenoisingConfig {
    fn default() -> Self {
        Self {
            dimension: 32,
            input_noise: 1e-3,
            latent_noise: 0.1,
            penalty: 1e-4,
            coder: CoderConfig::default(),
            training: TrainingConfig::default(),
        }
    }
}

impl DenoisingConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        super::autoencoder::check_dimension("latent.denoising.dimension", self.dimension)?;
        let numbers =
            [("input-noise", self.input_noise), ("latent-noise", self.latent_noise), ("penalty", self.penalty)];
        if let Some((name, value)) = numbers.iter().find(|(_, v)| !(*v >= 0.0 && v.is_finite())) {
            return Err(Error::parameter(format!("latent.denoising.{name}"), "a finite number of at least 0", value));
        }
        self.coder.check("latent.denoising.coder")?;
        self.training.check("latent.denoising.training")
    }

    fn bottleneck(&self) -> Bottleneck {
        Bottleneck::Noisy { input: self.input_noise, latent: self.latent_noise, penalty: self.penalty }
    }

    /// Trains one.
    ///
    /// # Errors
    /// Points that do not fit, a loss that is not finite, [`Error::Interrupted`].
    pub fn fit(&self, task: &LatentTask) -> Result<(Learned, Trained)> {
        self.check()?;
        Learned::fit(&self.coder, self.bottleneck(), self.dimension, &self.training, task)
    }

    /// One with parameters from `streams`.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn untrained(&self, layout: &Layout, streams: &Streams) -> Result<Learned> {
        self.check()?;
        Ok(Learned::new(&self.coder, layout, self.bottleneck(), self.dimension, streams))
    }
}
