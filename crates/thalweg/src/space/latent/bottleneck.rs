//! What makes the latents of a learned autoencoder a code and not a copy.

/// What makes latents a code and not a copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bottleneck {
    /// A VAE's.
    Variational {
        /// β.
        beta: f64,
    },
    /// A denoising autoencoder's.
    Noisy {
        /// ξ_in.
        input: f64,
        /// ξ.
        latent: f64,
        /// λ.
        penalty: f64,
    },
}

impl Bottleneck {
    /// Numbers that the encoder gives for D latents.
    pub fn codes(self, dimension: usize) -> usize {
        match self {
            Self::Variational { .. } => 2 * dimension,
            Self::Noisy { .. } => dimension,
        }
    }
}
