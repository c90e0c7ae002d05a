//! Variational autoencoder of weights (M8; Kingma & Welling 2014, with the weight β of Higgins et al. 2017).
//!
//! Loss = mean squared error of standardised weights + β KL to N(0, I), each a mean (see `objective`); to encode is to take the posterior's mean.
//! β decides how much of a zoo is taken for noise: on zoos of some hundred runs, whose finals differ along nearly as many directions as
//! there are runs, most of it is. What is left out, decoded networks do not have: they lie nearer to each other than trained ones do, and
//! are often *better* than the mean for it, but never as far from the zoo as a new run. Read d and N&P beside the accuracy. Not for zoos of
//! independent initialisations, which no few latents describe.
use super::LatentTask;
use super::half::CoderConfig;
use super::learned::Learned;
use super::objective::Bottleneck;
use super::training::{Trained, TrainingConfig, train};
use crate::{Error, Layout, Result, Streams};
use serde::{Deserialize, Serialize};

/// Parameters of the variational autoencoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
        super::check_dimension("latent.vae.dimension", self.dimension)?;
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
        let mut net = self.untrained(task.layout, &task.streams.child("net"))?;
        let trained = train(&mut net, self.bottleneck(), &self.training, task)?;
        Ok((net, trained))
    }

    /// One with parameters from `streams`.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn untrained(&self, layout: &Layout, streams: &Streams) -> Result<Learned> {
        self.check()?;
        let codes = self.bottleneck().codes(self.dimension);
        Ok(Learned::new(&self.coder, layout, codes, self.dimension, streams))
    }
}

#[cfg(test)]
#[path = "vae_tests.rs"]
mod tests;
