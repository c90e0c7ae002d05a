//! [`Space`]: the way from weights to a method's points and back, through M2 and, where there is one, an autoencoder.
use super::super::coordinates::Coordinates;
use super::super::source::{self, FamilyLaw, Source};
use super::{Autoencoder, Decoder};
use crate::nn::normal;
use crate::{Layout, Result, Streams};

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

    /// Draw `i` of `source`: a point `[D]`. A Gaussian source is one in the space itself.
    ///
    /// # Errors
    /// A law that does not fit the layout.
    pub fn draw(&self, source: &Source, i: u64, layout: &Layout, streams: &Streams) -> Result<Vec<f32>> {
        if let (Source::Gaussian { deviation }, Some(latent)) = (source, self.latent) {
            let mut y = vec![0.0; latent.dimension()];
            source::normal_numbers(*deviation, &streams.index(i), &mut y);
            return Ok(y);
        }
        let mut z = vec![0.0; self.coordinates.dimension()];
        source.draw(i, layout, self.coordinates, streams, &mut z)?;
        Ok(self.encoded(z))
    }

    /// A draw of one family of `law`: a point `[D]`.
    pub fn draw_of_family(&self, law: &FamilyLaw, family: usize, streams: &Streams) -> Vec<f32> {
        let mut z = vec![0.0; self.coordinates.dimension()];
        law.draw_of(family, streams, &mut z);
        self.encoded(z)
    }

    /// Weights `theta [n, P]` to points and back `[n, P]`, and the mean squared error of the standardised weights.
    pub fn reconstruct(&self, theta: &[f32]) -> (Vec<f32>, f64) {
        let mut z = theta.to_vec();
        self.coordinates.standardise(&mut z);
        let Some(latent) = self.latent else { return (theta.to_vec(), 0.0) };
        let mut back = latent.decode(&latent.encode(&z));
        let error = back.iter().zip(&z).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>() / z.len() as f64;
        self.coordinates.destandardise(&mut back);
        (back, error)
    }

    /// Weights `[n, P]` drawn from what `points [n, D]` stand for: what they decode to, plus the decoder's noise where it has some, point i's from
    /// `streams[i]`.
    pub fn drawn(&self, points: &[f32], streams: &[Streams]) -> Vec<f32> {
        let deviations = self.latent.map_or(Vec::new(), |latent| latent.deviations());
        let (Some(latent), false) = (self.latent, deviations.is_empty()) else { return self.decode(points) };
        let mut z = latent.decode(points);
        for (z, streams) in z.chunks_exact_mut(deviations.len()).zip(streams) {
            let mut noise = vec![0.0; z.len()];
            normal::fill(&mut streams.rng(), &mut noise);
            z.iter_mut().zip(noise.iter().zip(&deviations)).for_each(|(z, (e, s))| *z += s * e);
        }
        self.coordinates.destandardise(&mut z);
        z
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
        self.coordinates.destandardise(&mut theta);
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
