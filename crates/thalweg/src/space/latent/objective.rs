//! What learned autoencoders minimise (M8), a mean over the B points of a batch:
//!
//! | | encoder gives | latent | loss |
//! | --- | --- | --- | --- |
//! | variational | μ, log σ² `[2 D]` | y = μ + σ ε | ‖ẑ − z‖²/P + β KL/D, KL = ½ Σ (μ² + σ² − 1 − log σ²) |
//! | noisy (p-diff) | μ `[D]`, of z + ξ_in ε' | y = μ + ξ ε | ‖ẑ − z‖²/P + λ ½ ‖μ‖²/D |
//!
//! ε, ε' standard normal, ẑ the decoding of y. All terms are means, over P weights or D latents, so that β and λ mean the same for
//! networks of any size. With s² = β P/(2 D) the variational loss is 2 s²/P times minus the evidence bound for weights with Gaussian noise of
//! variance s² around ẑ: directions along which the points vary by less than s² are left out of the latents. The noisy one is the
//! variational one with σ fixed at ξ; without λ the encoder could outgrow the noise. A functional term may be added to both.
use super::Decoder;
use super::bottleneck::Bottleneck;
use super::functional::Functional;
use super::learned::Learned;
use crate::nn::dense::exp;
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;
use crate::{Result, Streams};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// The loss with its buffers.
pub(super) struct Objective<'a> {
    bottleneck: Bottleneck,
    functional: Option<&'a Functional>,
    tapes: [Tape; 2],
    input: Vec<f32>,   // [B, P]
    code: Vec<f32>,    // [B, codes], then the loss's derivative by it
    y: Vec<f32>,       // [B, D]
    noise: Vec<f32>,   // σ ε or ξ ε [B, D]
    decoded: Vec<f32>, // [B, P], then the loss's derivative by it
    d_y: Vec<f32>,     // [B, D]
}

impl<'a> Objective<'a> {
    pub fn new(bottleneck: Bottleneck, functional: Option<&'a Functional>) -> Self {
        let (tapes, empty) = (Default::default(), Vec::new);
        let (input, code, y, noise, decoded, d_y) = (empty(), empty(), empty(), empty(), empty(), empty());
        Self { bottleneck, functional, tapes, input, code, y, noise, decoded, d_y }
    }

    /// The loss on `z [B, P]`, and its gradient over what was in `gradient` where that is asked for. Row i draws its noise from
    /// `streams.index(i)`.
    ///
    /// # Errors
    /// Decoded weights that are not finite, where a functional term looks at them.
    pub fn loss(&mut self, net: &Learned, z: &[f32], streams: &Streams, gradient: Option<&mut [f32]>) -> Result<f64> {
        let (p, d, codes) = (net.weights(), net.dimension(), net.encoder.outputs());
        let (rows, q) = (z.len() / p, net.trained());
        self.input.resize(rows * p, 0.0);
        self.code.resize(rows * codes, 0.0);
        self.decoded.resize(rows * p, 0.0);
        for buffer in [&mut self.y, &mut self.noise, &mut self.d_y] {
            buffer.resize(rows * d, 0.0);
        }
        // All noise of a row in one go: first the latent's, so that it is the same whatever comes after.
        let draws =
            self.noise.par_chunks_exact_mut(d).zip(self.input.par_chunks_exact_mut(p)).zip(z.par_chunks_exact(p));
        draws.enumerate().for_each(|(i, ((noise, input), z))| {
            let mut rng = streams.index(i as u64).rng();
            noise.iter_mut().for_each(|e| *e = rng.sample(StandardNormal));
            input.copy_from_slice(z);
            if let Bottleneck::Noisy { input: xi, .. } = self.bottleneck
                && xi > 0.0
            {
                input.iter_mut().for_each(|x| *x += xi as f32 * rng.sample::<f32, _>(StandardNormal));
            }
        });
        let [encoder, decoder] = &mut self.tapes;
        net.encoder.forward(q, &self.input, &mut self.code, encoder);
        let prior = self.bottleneck.sample(&self.code, d, &mut self.noise, &mut self.y);
        net.decoder.forward(q, &self.y, &mut self.decoded, decoder);

        let mut pulled = vec![0.0; if self.functional.is_some() && gradient.is_some() { z.len() } else { 0 }];
        let functional = match self.functional {
            None => 0.0,
            Some(term) => term.loss(z, &self.decoded, gradient.is_some().then_some(&mut pulled[..]))?,
        };
        let squares = squared_error(&mut self.decoded, z, p);
        if let Some(gradient) = gradient {
            self.decoded.par_iter_mut().zip(&pulled).for_each(|(d, pulled)| *d += pulled);
            self.backward(net, gradient);
        }
        Ok(squares + prior + functional)
    }

    /// From the derivative in `decoded` to the parameters.
    fn backward(&mut self, net: &Learned, gradient: &mut [f32]) {
        let q = net.trained();
        let mut gradient = Gradient::Write(gradient);
        let [encoder, decoder] = &mut self.tapes;
        net.decoder.backward(q, &self.decoded, decoder, &mut gradient, Some(&mut self.d_y));
        self.bottleneck.backward(&mut self.code, net.dimension(), &self.noise, &self.d_y);
        net.encoder.backward(q, &self.code, encoder, &mut gradient, None);
    }
}

/// Mean over B and P of (ẑ − z)²; ẑ gives way to the derivative.
fn squared_error(decoded: &mut [f32], z: &[f32], p: usize) -> f64 {
    let (n, weight) = (decoded.len() as f64, 2.0 / decoded.len() as f32);
    let rows = decoded.par_chunks_exact_mut(p).zip(z.par_chunks_exact(p));
    let squares: Vec<f64> = rows
        .map(|(decoded, z)| {
            let mut total = 0.0;
            for (x, z) in decoded.iter_mut().zip(z) {
                let error = *x - z;
                total += f64::from(error * error);
                *x = weight * error;
            }
            total
        })
        .collect();
    squares.iter().sum::<f64>() / n
}

/// The largest |log σ²|: beyond it σ stays as it is.
const LARGEST: f32 = 20.0;

impl Bottleneck {
    /// y from the encoder's `code` and standard normal `noise [B, D]`, which becomes y − μ; returns the term that is not about weights.
    fn sample(self, code: &[f32], d: usize, noise: &mut [f32], y: &mut [f32]) -> f64 {
        let n = y.len() as f64;
        let rows = code.chunks_exact(self.codes(d)).zip(noise.chunks_exact_mut(d)).zip(y.chunks_exact_mut(d));
        let mut total = 0.0;
        for ((code, noise), y) in rows {
            let (mu, log_variance) = code.split_at(d);
            for (k, (e, y)) in noise.iter_mut().zip(y).enumerate() {
                let squared_mean = f64::from(mu[k]) * f64::from(mu[k]);
                match self {
                    Self::Variational { .. } => {
                        let s = log_variance[k].clamp(-LARGEST, LARGEST);
                        let variance = exp(s);
                        *e *= variance.sqrt();
                        total += 0.5 * (squared_mean + f64::from(variance) - 1.0 - f64::from(s));
                    }
                    Self::Noisy { latent, .. } => {
                        *e *= latent as f32;
                        total += 0.5 * squared_mean;
                    }
                }
                *y = mu[k] + *e;
            }
        }
        match self {
            Self::Variational { beta } => beta * total / n,
            Self::Noisy { penalty, .. } => penalty * total / n,
        }
    }

    /// Replaces `code` by the loss's derivative with respect to it; `noise` is y − μ, `d_y` the derivative by y.
    fn backward(self, code: &mut [f32], d: usize, noise: &[f32], d_y: &[f32]) {
        let n = d_y.len() as f64;
        let rows = code.chunks_exact_mut(self.codes(d)).zip(noise.chunks_exact(d)).zip(d_y.chunks_exact(d));
        for ((code, noise), d_y) in rows {
            let (mu, log_variance) = code.split_at_mut(d);
            match self {
                Self::Variational { beta } => {
                    let weight = (beta / n) as f32;
                    for (k, s) in log_variance.iter_mut().enumerate() {
                        let held = s.abs() >= LARGEST;
                        // ∂y/∂s = ½ σ ε, ∂KL/∂s = ½ (σ² − 1).
                        let slope = 0.5 * (d_y[k] * noise[k] + weight * (exp(*s) - 1.0));
                        *s = if held { 0.0 } else { slope };
                    }
                    mu.iter_mut().zip(d_y).for_each(|(mu, d)| *mu = d + weight * *mu);
                }
                Self::Noisy { penalty, .. } => {
                    let weight = (penalty / n) as f32;
                    mu.iter_mut().zip(d_y).for_each(|(mu, d)| *mu = d + weight * *mu);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "objective_tests.rs"]
pub(super) mod tests;
