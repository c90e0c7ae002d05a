//! Networks made of a zoo's runs with noise that they hardly feel ([`crate::space::flat`]): the rivals that a measure of novelty in weights alone takes for new.
//!
//! The noise has the zoo's deviation of each weight where nothing is felt, and is as long as it takes to bring its network to a given distance from the
//! nearest training run: where the network lies at distance c of its own, noise of length √(reach² − c²), since in so many dimensions it is at right angles to
//! whatever else there is. Its stiffness is the one of which [`Curvature::choose`] says that it changes answers least, on inputs without labels, or a
//! share of those by which training runs differ from the network.
//! One curvature serves all: it is measured about sixteen of the networks.
use crate::coupling::distance::Points;
use crate::space::flat::{Curvature, FlatNoise, Probe};
use crate::{Layout, Result, Streams};
use rayon::prelude::*;

/// Networks that the curvature is measured about and the stiffness chosen by, at most.
const CENTRES: usize = 16;

/// What decides the noise.
pub(super) struct Noisy<'a> {
    /// Of the networks.
    pub layout: &'a Layout,
    /// Training finals `[R, P]`.
    pub training: &'a [f32],
    /// The zoo's deviation of each weight `[P]`.
    pub deviation: &'a [f64],
    /// The distance to the nearest training run that networks are brought to.
    pub reach: f64,
    /// The share of the answers by which training runs differ from a network that the noise is to change; 0: as few as can be.
    pub felt: f64,
    /// Unlabelled inputs.
    pub probe: &'a dyn Probe,
}

impl Noisy<'_> {
    /// `centres [n, P]` with noise `[n, P]`.
    ///
    /// # Errors
    /// Centres that are not finite; fewer than two probe inputs; [`crate::Error::Interrupted`].
    pub fn about(&self, mut centres: Vec<f32>, streams: &Streams) -> Result<Vec<f32>> {
        let p = self.layout.len();
        let scale: Vec<f32> = self.deviation.iter().map(|s| *s as f32).collect();
        let near = Points::new(&centres, self.training, p)?.nearest()?;
        let lengths: Vec<f64> =
            near.iter().map(|x| (self.reach.powi(2) - x.distance.powi(2)).max(0.0).sqrt()).collect();
        let some = &centres[..CENTRES.min(lengths.len()) * p];
        let mut curvature = Curvature::about(self.layout, some, &scale, self.probe, &streams.child("sketches"))?;
        let noised = |noise: &FlatNoise, i: usize, theta: &[f32]| {
            let mut e = noise.draw(&streams.child("noise").index(i as u64));
            e.iter_mut().zip(&scale).for_each(|(e, s)| *e *= s);
            let own = e.iter().map(|e| f64::from(*e) * f64::from(*e)).sum::<f64>().sqrt();
            let factor = if own > 0.0 { (lengths[i] / own) as f32 } else { 0.0 };
            theta.iter().zip(&e).map(|(w, e)| w + factor * e).collect::<Vec<f32>>()
        };
        let chosen: Vec<&[f32]> = some.chunks_exact(p).collect();
        let runs: Vec<&[f32]> = self.training.chunks_exact(p).cycle().take(chosen.len()).collect();
        let noised_centre = |noise: &FlatNoise, i: usize| noised(noise, i, chosen[i]);
        let stiffness = curvature.choose((self.felt, &runs), &chosen, &noised_centre, self.probe)?;
        let noise = curvature.noise(stiffness);
        let each = centres.par_chunks_exact_mut(p).enumerate();
        each.for_each(|(i, theta)| theta.copy_from_slice(&noised(noise, i, theta)));
        Ok(centres)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coupling::distance::by_differences;
    use crate::judge::evaluator::ByEngine;
    use thalweg_nets::Architecture;
    use thalweg_nets::engine::Engine;
    use thalweg_nets::testing::normals;

    /// Inputs in three of twenty dimensions: a linear classifier can move freely in the others.
    #[test]
    fn noise_reaches_its_distance_and_is_not_felt() {
        let text = "input = [20, 1, 1]\n[[layers]]\nkind = \"dense\"\nout = 4\n";
        let engine = Engine::new(&Architecture::from_toml_str(text).unwrap()).unwrap();
        let p = engine.parameters();
        let training = normals(&Streams::new(1), 3 * p);
        let mut inputs = normals(&Streams::new(2), 64 * 20);
        inputs.chunks_mut(20).for_each(|row| row[3..].fill(0.0));
        let deviation: Vec<f64> = (0..p).map(|i| 0.5 + (i % 3) as f64).collect();
        let packed = engine.pack(&inputs).unwrap();
        let probe = ByEngine { engine: &engine, test: &packed, probe: &inputs };
        let noisy = Noisy {
            layout: engine.layout(),
            training: &training,
            deviation: &deviation,
            reach: 30.0,
            felt: 0.0,
            probe: &probe,
        };
        // A run, and a point at distance 10 from it.
        let mut centres = [&training[..p], &training[..p]].concat();
        centres[p] += 10.0;
        let found = noisy.about(centres.clone(), &Streams::new(3)).unwrap();
        let answers = |theta: &[f32]| engine.logits_of_many(theta, &packed).unwrap();
        for (i, (theta, centre)) in found.chunks(p).zip(centres.chunks(p)).enumerate() {
            let length = by_differences(theta, centre);
            assert!((length - [30.0, 800f64.sqrt()][i]).abs() < 1e-3, "{length}");
            let change = answers(theta).iter().zip(answers(centre)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(change < 0.3, "{change}");
            // The same length over all directions: three of the inputs are felt.
            let isotropic = normals(&Streams::new(5).index(i as u64), p);
            let own = isotropic.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let moved: Vec<f32> = centre.iter().zip(&isotropic).map(|(w, e)| w + (length / own) as f32 * e).collect();
            let change = answers(&moved).iter().zip(answers(centre)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(change > 3.0, "{change}");
        }
        let one = ByEngine { probe: &inputs[..20], ..probe };
        assert!(Noisy { probe: &one, ..noisy }.about(centres, &Streams::new(3)).is_err());
    }
}
