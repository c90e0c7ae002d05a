//! Latent spaces (M8): a weight autoencoder between standardised weights z `[P]` and latents y `[D]`, in which any method can run.
//!
//! A flow in a latent space trains on encoded checkpoints and decodes what it samples. Latents are normalised, each to mean 0 and
//! deviation 1 over the training points, and the model card tells their scale. An autoencoder bounds what a flow in it can reach: judge its
//! reconstructions by the accuracy of decoded networks, beside the samples. [`Space`] is the way from weights to a method's points and back.
//!
//! | autoencoder | what | when |
//! | --- | --- | --- |
//! | [`Pca`] | principal components, in closed form | the floor; hard to beat on zoos of some hundred runs |
//! | [`VaeConfig`] | variational, trained | where points lie along few curved directions and noise |
//! | [`DenoisingConfig`] | p-diff's, trained | tails of one run |
mod autoencoder;
mod bottleneck;
mod coder;
mod coder_build;
mod coder_config;
mod config;
mod denoising;
mod functional;
mod latents;
mod learned;
mod objective;
pub mod pca;
mod space;
mod stack;
mod tokens;
mod training;
mod trunk;
mod vae;

pub use autoencoder::{Autoencoder, Decoder, LatentTask};
pub use coder_config::{CoderConfig, StackConfig, TokensConfig};
pub use config::{LatentConfig, LatentRecord, training_items};
pub(crate) use config::{fit_pca, normalisation};
pub use denoising::DenoisingConfig;
pub use functional::{Functional, FunctionalConfig, Measure, Probes};
pub use latents::Latents;
pub use learned::Learned;
pub use pca::{Pca, PcaConfig};
pub use space::Space;
pub use training::{Trained, TrainingConfig};
pub use vae::VaeConfig;

pub use crate::train::Checkpointing;
