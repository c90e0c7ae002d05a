//! A trained weight autoencoder (M8): an encoder and a decoder with one flat vector of parameters, and the normalisation of its latents,
//! y = (μ(z) − centre)/scale over the points it was trained on, as latents of every other autoencoder here are normalised.
//!
//! What the encoder says besides μ (a VAE's log σ²) is for training only: to encode is to take the mean.
use super::bottleneck::Bottleneck;
use super::coder::Coder;
use super::coder_build::Coders;
use super::coder_config::CoderConfig;
use super::{Autoencoder, Decoder};
use crate::nn::dense;
use crate::nn::gradient::Gradient;
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::{Layout, Streams};

/// Rows that go through a half together where there are many: memory stays bounded.
const BLOCK: usize = 512;

/// See the module's text.
pub struct Learned {
    layout: Layout,
    /// Of the halves, then centre `[D]` and scales `[D]`.
    parameters: Vec<f32>,
    pub(super) encoder: Box<dyn Coder>,
    pub(super) decoder: Box<dyn Coder>,
    p: usize,
    d: usize,
    /// Where the decoder's noise stands in the parameters, where it has some: ln s over [`SPEED`] for each weight.
    noise: Option<usize>,
}

/// How much faster ln s moves than its parameter, so that it gets from its start to its end within some hundred steps.
const SPEED: f32 = 10.0;
/// What s begins at: little enough for networks to work.
const FIRST: f32 = 0.1;

impl Learned {
    /// One for this bottleneck, the first `dimension` numbers of whose encoder are μ, its decoder `noisy` or not; parameters from `streams`. An untrained one decodes
    /// everything to the mean of the finals, z = 0.
    pub(super) fn new(
        config: &CoderConfig,
        weights: &Layout,
        bottleneck: Bottleneck,
        dimension: usize,
        noisy: bool,
        streams: &Streams,
    ) -> Self {
        let Coders { encoder, decoder, mut tensors, mut end } =
            config.build(weights, bottleneck.codes(dimension), dimension);
        let (p, noise) = (weights.len(), noisy.then_some(end));
        if noisy {
            tensors.push(("decoder.noise".into(), vec![p]));
            end += p;
        }
        tensors.extend(["centre", "scales"].map(|name| (name.to_string(), vec![dimension])));
        let mut parameters = vec![0.0; end + 2 * dimension];
        encoder.draw(&mut parameters, false, &streams.child("encoder"));
        decoder.draw(&mut parameters, true, &streams.child("decoder"));
        parameters[end + dimension..].fill(1.0);
        if let Some(start) = noise {
            parameters[start..start + p].fill(FIRST.ln() / SPEED);
        }
        Self { layout: Layout::of_tensors(tensors), parameters, encoder, decoder, p, d: dimension, noise }
    }

    /// P.
    pub(super) fn weights(&self) -> usize {
        self.p
    }

    /// What training moves: all but centre and scales.
    pub(super) fn trained(&self) -> &[f32] {
        &self.parameters[..self.parameters.len() - 2 * self.d]
    }

    /// The same, to be moved.
    pub(super) fn trained_mut(&mut self) -> &mut [f32] {
        let end = self.parameters.len() - 2 * self.d;
        &mut self.parameters[..end]
    }

    /// Writes the derivative by the parameters of the decoder's noise, given that by ln s `[P]`; nothing where there is none.
    pub(super) fn write_deviation_gradient(&self, by_log: &[f32], gradient: &mut [f32]) {
        if let Some(start) = self.noise {
            gradient[start..start + self.p].iter_mut().zip(by_log).for_each(|(g, d)| *g = SPEED * d);
        }
    }

    fn centre(&self) -> &[f32] {
        let end = self.parameters.len();
        &self.parameters[end - 2 * self.d..end - self.d]
    }

    /// μ of every row of `z [n, P]`: `[n, D]`.
    fn means(&self, z: &[f32]) -> Vec<f32> {
        let (codes, mut tape, mut out) = (self.encoder.outputs(), Tape::default(), Vec::new());
        let mut means = Vec::with_capacity(z.len() / self.p * self.d);
        for block in z.chunks(BLOCK * self.p) {
            out.resize(block.len() / self.p * codes, 0.0);
            self.encoder.forward(self.trained(), block, &mut out, &mut tape);
            means.extend(out.chunks_exact(codes).flat_map(|row| &row[..self.d]));
        }
        means
    }

    /// Sets centre and scales so that the latents of `points [n, P]` have mean 0 and deviation 1; a latent that hardly varies keeps a scale
    /// of a millionth of the largest.
    pub(super) fn normalise(&mut self, points: &[f32]) {
        let (d, means) = (self.d, self.means(points));
        let n = (means.len() / d) as f64;
        let column = |k: usize| means.iter().skip(k).step_by(d).map(|&v| f64::from(v));
        let centre: Vec<f64> = (0..d).map(|k| column(k).sum::<f64>() / n).collect();
        let deviation = |k: usize| (column(k).map(|v| (v - centre[k]).powi(2)).sum::<f64>() / n).sqrt();
        let scales: Vec<f64> = (0..d).map(deviation).collect();
        let floor = scales.iter().copied().fold(0.0, f64::max).max(f64::from(f32::MIN_POSITIVE)) * 1e-6;
        let end = self.parameters.len();
        for (to, v) in self.parameters[end - 2 * d..].iter_mut().zip(centre.iter().chain(&scales)) {
            *to = *v as f32;
        }
        let floor = (floor as f32).max(1e-30);
        self.parameters[end - d..].iter_mut().for_each(|s| *s = s.max(floor));
    }

    /// centre + scale ⊙ y, row by row.
    fn restored(&self, y: &[f32]) -> Vec<f32> {
        let mut restored = y.to_vec();
        restored.chunks_exact_mut(self.d).for_each(|y| dense::multiply_add(y, self.scales(), self.centre()));
        restored
    }
}

impl Decoder for Learned {
    fn dimension(&self) -> usize {
        self.d
    }

    fn decode(&self, y: &[f32]) -> Vec<f32> {
        let (mu, mut tape) = (self.restored(y), Tape::default());
        let mut z = vec![0.0; y.len() / self.d * self.p];
        for (mu, z) in mu.chunks(BLOCK * self.d).zip(z.chunks_mut(BLOCK * self.p)) {
            self.decoder.forward(self.trained(), mu, z, &mut tape);
        }
        z
    }

    fn pull_back(&self, y: &[f32], _: &[f32], dz: Vec<f32>) -> Vec<f32> {
        let (mu, mut tape, mut z) = (self.restored(y), Tape::default(), Vec::new());
        let mut dy = vec![0.0; y.len()];
        let blocks = mu.chunks(BLOCK * self.d).zip(dz.chunks(BLOCK * self.p)).zip(dy.chunks_mut(BLOCK * self.d));
        for ((mu, dz), dy) in blocks {
            z.resize(dz.len(), 0.0);
            self.decoder.forward(self.trained(), mu, &mut z, &mut tape);
            self.decoder.backward(self.trained(), dz, &mut tape, &mut Gradient::Skip, Some(dy));
        }
        for dy in dy.chunks_exact_mut(self.d) {
            dy.iter_mut().zip(self.scales()).for_each(|(d, s)| *d *= s);
        }
        dy
    }
}

impl_parameters!(Learned);

impl Autoencoder for Learned {
    fn encode(&self, z: &[f32]) -> Vec<f32> {
        let mut y = self.means(z);
        for y in y.chunks_exact_mut(self.d) {
            for (y, (c, s)) in y.iter_mut().zip(self.centre().iter().zip(self.scales())) {
                *y = (*y - c) / s;
            }
        }
        y
    }

    fn scales(&self) -> &[f32] {
        &self.parameters[self.parameters.len() - self.d..]
    }

    fn deviations(&self) -> Vec<f32> {
        let own = self.noise.map_or(&[][..], |start| &self.parameters[start..start + self.p]);
        own.iter().map(|v| (SPEED * v).clamp(-10.0, 2.0).exp()).collect()
    }
}
