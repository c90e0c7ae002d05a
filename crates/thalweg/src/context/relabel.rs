//! Tasks with their classes permuted: the same permutation of labels, of the networks' outputs, and of nothing else.
//!
//! A network whose last layer has its rows permuted is a network for the task with its labels permuted so, and where all runs start from one law
//! that does not tell classes apart (a last layer of zeros), its whole course is a course for that task. Points are standardised alike
//! over classes ([`Outputs::symmetrise`]), so that a permutation of weights is one of points.
use crate::space::coordinates::Coordinates;
use crate::{Error, Layout, Result, Streams};
use thalweg_nets::streams::shuffle;

/// Where the outputs' own weights lie.
#[derive(Clone, Debug)]
pub struct Outputs {
    classes: usize,
    /// Start and numbers a class of each tensor.
    tensors: Vec<(usize, usize)>,
}

impl Outputs {
    /// The last tensors of `layout` whose first axis are the `classes`: weight, and bias where there is one.
    ///
    /// # Errors
    /// A layout that does not end in them.
    pub fn of(layout: &Layout, classes: usize) -> Result<Self> {
        let last = layout.slots().iter().rev().take(2).take_while(|slot| slot.shape.first() == Some(&classes));
        let tensors: Vec<_> = last.map(|slot| (slot.offset, slot.len() / classes)).collect();
        match tensors.iter().any(|(_, each)| *each > 1) {
            true => Ok(Self { classes, tensors }),
            false => {
                let expected = format!("networks that end in a layer of {classes} outputs");
                Err(Error::parameter("context.relabel", expected, "another last layer"))
            }
        }
    }

    /// Moves the weights of class k to class `becomes[k]`, in every one of `points [n, P]`.
    pub fn permute(&self, points: &mut [f32], p: usize, becomes: &[usize]) {
        for point in points.chunks_exact_mut(p) {
            for &(start, each) in &self.tensors {
                let part = &mut point[start..start + each * self.classes];
                let old = part.to_vec();
                for (k, &to) in becomes.iter().enumerate() {
                    part[to * each..(to + 1) * each].copy_from_slice(&old[k * each..(k + 1) * each]);
                }
            }
        }
    }

    /// The same coordinates with one mean and one scale for what differs only in its class.
    ///
    /// # Errors
    /// None for coordinates of the layout.
    pub fn symmetrise(&self, coordinates: &Coordinates, layout: &Layout) -> Result<Coordinates> {
        let (mut mean, mut scale) = (coordinates.mean().to_vec(), coordinates.scale().to_vec());
        for &(start, each) in &self.tensors {
            for j in 0..each {
                let places: Vec<usize> = (0..self.classes).map(|k| start + k * each + j).collect();
                let n = self.classes as f32;
                let middle = places.iter().map(|&i| mean[i]).sum::<f32>() / n;
                // Variance of the mixture over classes: within, and between their means.
                let within = |i: usize| scale[i] * scale[i] + (mean[i] - middle) * (mean[i] - middle);
                let deviation = (places.iter().map(|&i| within(i)).sum::<f32>() / n).sqrt();
                places.iter().for_each(|&i| (mean[i], scale[i]) = (middle, deviation));
            }
        }
        Coordinates::from_parts(coordinates.standardiser(), layout, mean, scale)
    }
}

/// A uniform permutation of the classes, or none with probability 1 − `share`.
pub fn draw(classes: usize, share: f64, streams: &Streams) -> Option<Vec<usize>> {
    use rand::RngExt;
    let mut rng = streams.rng();
    (rng.random::<f64>() < share).then(|| {
        let mut becomes: Vec<usize> = (0..classes).collect();
        shuffle(&mut becomes, &mut rng);
        becomes
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::coordinates::Standardiser;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::engine::Engine;
    use thalweg_nets::init::Initialisation;

    #[test]
    fn permuted_networks_have_permuted_logits_in_points_as_in_weights() {
        let architecture = Preset::Digits.build([1, 8, 8], 10).unwrap();
        let engine = Engine::new(&architecture).unwrap();
        let (layout, p) = (engine.layout(), engine.parameters());
        let draw_network = |i| Initialisation::default().draw(layout, &Streams::new(i));
        let outputs = Outputs::of(layout, 10).unwrap();
        let becomes = draw(10, 1.0, &Streams::new(3)).unwrap();
        let chunk = || Ok((0..9).flat_map(draw_network).collect());
        let coordinates = Coordinates::fit(Standardiser::PerParameter, layout, [chunk()]).unwrap();
        let coordinates = outputs.symmetrise(&coordinates, layout).unwrap();
        let mut point = draw_network(20);
        coordinates.standardise(&mut point);
        outputs.permute(&mut point, p, &becomes);
        coordinates.destandardise(&mut point);
        let x = engine.pack(&(0..64).map(|i| (i as f32 * 0.3).sin()).collect::<Vec<_>>()).unwrap();
        let (a, b) =
            (engine.logits_of_many(&draw_network(20), &x).unwrap(), engine.logits_of_many(&point, &x).unwrap());
        for k in 0..10 {
            assert!((a[k] - b[becomes[k]]).abs() < 1e-4, "{k}");
        }
        assert!(draw(10, 0.0, &Streams::new(3)).is_none());
        assert!(Outputs::of(layout, 7).is_err());
    }
}
