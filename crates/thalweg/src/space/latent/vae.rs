//! Variational autoencoder of weights (M8; Kingma & Welling 2014, with the weight β of Higgins et al. 2017).
//!
//! Loss = mean squared error of standardised weights + β KL to N(0, I), each a mean (see `objective`); to encode is to take the posterior's mean.
//! β decides how much of a zoo is taken for noise: on zoos of some hundred runs, whose finals differ along nearly as many directions as
//! there are runs, most of it is. What is left out, decoded networks do not have: they are better than the mean of the finals, but never as far
//! from the zoo as a new run. Read d and N&P beside the accuracy.
//!
//! Measured on 150 MNIST runs around one start, NM-CFM from a Gaussian in the latent space, 100 fresh networks of each of three fits (runs
//! themselves: .949; fresh start + mean move: .870; N&P 0 in every row):
//!
//! | latent space | accuracy | d |
//! | --- | --- | --- |
//! | VAE, 32 latents, β = .1 (the defaults) | .914 | .76 |
//! | the same, β = .5 | .918 | .74 |
//! | the same, β = .1, functional term of weight .02 (four times the time) | .934 | .76 |
//! | the same by layer-wise tokens (six times the time or more) | .901 | .79 |
//! | 8 principal components | .909 | .76 |
//! | 32 principal components | .882 | .86 |
//!
//! Principal components have less squared error at as many dimensions (.46 against .50 on finals of unseen runs), these decode to better
//! networks (.919 against .913; .944 before). Fitted to all seven checkpoints, principal components decode to the better networks up to a third of
//! the way (.829 against .821 at 1/6, .874 against .869 at 1/3), the VAE after that (.896 against .894 at 1/2, .920 against .908 at the end). Fork zoos differ along so many directions that nothing but their mean is learned (.948, d .69, N&P
//! 0): stay on weights there. Not for zoos of independent initialisations, which no few latents describe. A latent field may be wide (64).
use super::LatentTask;
use super::bottleneck::Bottleneck;
use super::coder_config::CoderConfig;
use super::learned::Learned;
use super::training::{Trained, TrainingConfig};
use crate::{Error, Layout, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of the variational autoencoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VaeConfig {
    /// D, latents (32; 1 to 1,024).
    pub dimension: usize,
    /// β, the weight of the KL term a latent (0.1; at least 0).
    pub beta: f64,
    /// Encoder and decoder (mlp 256 × 1).
    pub coder: CoderConfig,
    /// How they are trained.
    pub training: TrainingConfig,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self { dimension: 32, beta: 0.1, coder: CoderConfig::default(), training: TrainingConfig::default() }
    }
}

impl VaeConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        super::autoencoder::check_dimension("latent.vae.dimension", self.dimension)?;
        if !(self.beta >= 0.0 && self.beta.is_finite()) {
            return Err(Error::parameter("latent.vae.beta", "a finite number of at least 0", self.beta));
        }
        self.coder.check("latent.vae.coder")?;
        self.training.check("latent.vae.training")
    }

    fn bottleneck(&self) -> Bottleneck {
        Bottleneck::Variational { beta: self.beta }
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

#[cfg(test)]
#[path = "vae_tests.rs"]
mod tests;
