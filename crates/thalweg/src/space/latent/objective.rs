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
//!
//! A decoder with noise is a law: z = ẑ + s ε'', with a deviation s for every weight. It adds κ times the Gaussian likelihood, κ/2 (‖(ẑ − z)/s‖² + Σ ln s²)/P,
//! and the functional term is taken at ẑ + s ε'': weights that the network does not feel get the spread that the latents leave out, and those that it feels keep still.
use super::bottleneck::Bottleneck;
use super::functional::Functional;
use super::learned::Learned;
use super::{Autoencoder, Decoder};
use crate::network::Inputs;
use crate::nn::dense::exp;
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;
use crate::{Result, Streams};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// How many times the median of its kind a term of one held-out point counts at most: a point that the encoder sees as far out has a KL term beside
/// which all others vanish, and would alone decide which step is kept.
const OUTLIER: f64 = 10.0;

/// The loss with its buffers.
pub(super) struct Objective<'a> {
    bottleneck: Bottleneck,
    noise_weight: f64,
    functional: Option<&'a Functional>,
    tapes: [Tape; 2],
    input: Vec<f32>,   // [B, P]
    code: Vec<f32>,    // [B, codes], then the loss's derivative by it
    y: Vec<f32>,       // [B, D]
    noise: Vec<f32>,   // σ ε or ξ ε [B, D]
    decoded: Vec<f32>, // [B, P], then the loss's derivative by it
    d_y: Vec<f32>,     // [B, D]
    spread: Vec<f32>,  // s ε'' [B, P], of decoders with noise
}

/// The parts of the loss, one number a point.
struct Terms {
    squares: Vec<f64>,
    prior: Vec<f64>,
    likelihood: Vec<f64>,
    functional: Vec<f64>,
}

impl Terms {
    fn all(&self) -> [&[f64]; 4] {
        [&self.squares, &self.prior, &self.likelihood, &self.functional]
    }
}

impl<'a> Objective<'a> {
    /// `noise_weight` is κ, of decoders that have noise.
    pub fn new(bottleneck: Bottleneck, noise_weight: f64, functional: Option<&'a Functional>) -> Self {
        let (tapes, empty) = (Default::default(), Vec::new);
        let (input, code, y, noise, decoded) = (empty(), empty(), empty(), empty(), empty());
        let (d_y, spread) = (empty(), empty());
        Self { bottleneck, noise_weight, functional, tapes, input, code, y, noise, decoded, d_y, spread }
    }

    /// The loss on `z [B, P]`, and its gradient over what was in `gradient` where that is asked for. Row i draws its noise from
    /// `streams.index(i)`, and the probe of a functional term comes from `streams.child("probe")`.
    ///
    /// # Errors
    /// Decoded weights that are not finite, where a functional term looks at them.
    pub fn loss(&mut self, net: &Learned, z: &[f32], streams: &Streams, gradient: Option<&mut [f32]>) -> Result<f64> {
        let probe = self.functional.map(|term| term.draw(&streams.child("probe"))).transpose()?;
        let terms = self.terms(net, z, streams, probe.as_ref(), gradient)?;
        Ok(terms.all().into_iter().map(mean).sum())
    }

    /// The loss on held-out points `z [B, P]`, by the functional term's held-out inputs; no term of a point counts more than [`OUTLIER`] times
    /// the median of its kind.
    ///
    /// # Errors
    /// As [`Self::loss`].
    pub fn look(&mut self, net: &Learned, z: &[f32], streams: &Streams) -> Result<f64> {
        let probe = self.functional.map(Functional::held_out);
        let terms = self.terms(net, z, streams, probe, None)?;
        let bounded = |terms: &[f64]| {
            let mut sorted = terms.to_vec();
            sorted.sort_by(f64::total_cmp);
            match sorted.get(sorted.len() / 2) {
                Some(&median) if median > 0.0 => {
                    mean(&terms.iter().map(|t| t.min(OUTLIER * median)).collect::<Vec<f64>>())
                }
                _ => mean(terms),
            }
        };
        Ok(terms.all().into_iter().map(bounded).sum())
    }

    fn terms(
        &mut self,
        net: &Learned,
        z: &[f32],
        streams: &Streams,
        probe: Option<&Inputs>,
        gradient: Option<&mut [f32]>,
    ) -> Result<Terms> {
        let q = net.trained();
        let deviations = net.deviations();
        self.draw(net, z, streams, &deviations);
        let [encoder, decoder] = &mut self.tapes;
        net.encoder.forward(q, &self.input, &mut self.code, encoder);
        let prior = self.bottleneck.sample(&self.code, net.dimension(), &mut self.noise, &mut self.y);
        net.decoder.forward(q, &self.y, &mut self.decoded, decoder);

        let mut pulled = vec![0.0; if self.functional.is_some() && gradient.is_some() { z.len() } else { 0 }];
        let functional = match (self.functional, probe) {
            (Some(term), Some(probe)) => {
                // Without noise in the decoder nothing is added.
                let mut noisy = self.decoded.clone();
                noisy.par_iter_mut().zip(&self.spread).for_each(|(x, e)| *x += e);
                term.losses(z, &noisy, probe, gradient.is_some().then_some(&mut pulled[..]))?
            }
            _ => Vec::new(),
        };
        let (likelihood, d_deviations) = match deviations.is_empty() {
            true => (Vec::new(), Vec::new()),
            false => self.likelihood(z, &deviations, &pulled),
        };
        let squares = squared_error(&mut self.decoded, z, net.weights(), self.noise_weight, &deviations);
        if let Some(gradient) = gradient {
            self.decoded.par_iter_mut().zip(&pulled).for_each(|(d, pulled)| *d += pulled);
            self.backward(net, gradient);
            net.write_deviation_gradient(&d_deviations, gradient);
        }
        Ok(Terms { squares, prior, likelihood, functional })
    }

    /// Fills `input` and the noises of each row. All noise of a row in one go: first the latent's, so that it is the same whatever comes after.
    fn draw(&mut self, net: &Learned, z: &[f32], streams: &Streams, deviations: &[f32]) {
        let (p, d, codes) = (net.weights(), net.dimension(), net.encoder.outputs());
        let rows = z.len() / p;
        self.input.resize(rows * p, 0.0);
        self.code.resize(rows * codes, 0.0);
        self.decoded.resize(rows * p, 0.0);
        for buffer in [&mut self.y, &mut self.noise, &mut self.d_y] {
            buffer.resize(rows * d, 0.0);
        }
        let wide = if deviations.is_empty() { 0 } else { p };
        self.spread.resize(rows * wide, 0.0);
        let mut spread: Vec<&mut [f32]> = self.spread.chunks_exact_mut(wide.max(1)).collect();
        spread.resize_with(rows, Default::default);
        let draws = self.noise.par_chunks_exact_mut(d).zip(self.input.par_chunks_exact_mut(p)).zip(spread);
        draws.zip(z.par_chunks_exact(p)).enumerate().for_each(|(i, (((noise, input), spread), z))| {
            let mut rng = streams.index(i as u64).rng();
            noise.iter_mut().for_each(|e| *e = rng.sample(StandardNormal));
            input.copy_from_slice(z);
            if let Bottleneck::Noisy { input: xi, .. } = self.bottleneck
                && xi > 0.0
            {
                input.iter_mut().for_each(|x| *x += xi as f32 * rng.sample::<f32, _>(StandardNormal));
            }
            spread.iter_mut().zip(deviations).for_each(|(e, s)| *e = s * rng.sample::<f32, _>(StandardNormal));
        });
    }

    /// κ/2 (r²/s² + ln s²) of each row, a mean over weights, and its derivative and that of the functional term (`pulled [B, P]`) by ln s `[P]`.
    fn likelihood(&self, z: &[f32], deviations: &[f32], pulled: &[f32]) -> (Vec<f64>, Vec<f32>) {
        let (p, n, weight) = (deviations.len(), z.len() as f64, self.noise_weight);
        let (decoded, spread) = (&self.decoded[..], &self.spread[..]);
        let entropy = deviations.iter().map(|s| 2.0 * f64::from(s.ln())).sum::<f64>();
        let row = |(x, z): (&[f32], &[f32])| {
            let squares = x.iter().zip(z).zip(deviations).map(|((x, z), s)| f64::from((x - z) / s).powi(2));
            0.5 * weight * (squares.sum::<f64>() + entropy) / p as f64
        };
        let likelihood = decoded.par_chunks_exact(p).zip(z.par_chunks_exact(p)).map(row).collect();
        let column = |j: usize| {
            let at = |v: &[f32], b: usize| f64::from(v[b * p + j]);
            let s = f64::from(deviations[j]);
            let squares = |b| ((at(decoded, b) - at(z, b)) / s).powi(2);
            let felt = |b| if pulled.is_empty() { 0.0 } else { at(pulled, b) * at(spread, b) };
            (0..z.len() / p).map(|b| weight / n * (1.0 - squares(b)) + felt(b)).sum::<f64>() as f32
        };
        (likelihood, (0..p).into_par_iter().map(column).collect())
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

fn mean(terms: &[f64]) -> f64 {
    if terms.is_empty() { 0.0 } else { terms.iter().sum::<f64>() / terms.len() as f64 }
}

/// Mean over P of (ẑ − z)² of each row; ẑ gives way to the derivative of the rows' mean, and of κ r²/(2 s²) where there are deviations s.
fn squared_error(decoded: &mut [f32], z: &[f32], p: usize, noise_weight: f64, deviations: &[f32]) -> Vec<f64> {
    let weight = 2.0 / decoded.len() as f32;
    let extra = noise_weight as f32 / decoded.len() as f32;
    let rows = decoded.par_chunks_exact_mut(p).zip(z.par_chunks_exact(p));
    rows.map(|(decoded, z)| {
        let mut total = 0.0;
        for (j, (x, z)) in decoded.iter_mut().zip(z).enumerate() {
            let error = *x - z;
            total += f64::from(error * error);
            *x = weight * error + deviations.get(j).map_or(0.0, |s| extra * error / (s * s));
        }
        total / p as f64
    })
    .collect()
}

/// The largest |log σ²|: beyond it σ stays as it is.
const LARGEST: f32 = 20.0;

impl Bottleneck {
    /// y from the encoder's `code` and standard normal `noise [B, D]`, which becomes y − μ; returns the term that is not about weights, of each row.
    fn sample(self, code: &[f32], d: usize, noise: &mut [f32], y: &mut [f32]) -> Vec<f64> {
        let rows = code.chunks_exact(self.codes(d)).zip(noise.chunks_exact_mut(d)).zip(y.chunks_exact_mut(d));
        let row = |((code, noise), y): ((&[f32], &mut [f32]), &mut [f32])| {
            let mut total = 0.0;
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
            match self {
                Self::Variational { beta } => beta * total / d as f64,
                Self::Noisy { penalty, .. } => penalty * total / d as f64,
            }
        };
        rows.map(row).collect()
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
