//! Distances in weights that no order of hidden units can hide (M20): to the nearest training run after the network's units are brought into that
//! run's order (M3).
//!
//! Aligning to every run would cost n R alignments (4 ms each for a perceptron of 128 hidden units), so a network is aligned to at most three: the
//! run nearest in weights as they are, the one nearest in what does not depend on the order (the sorted norms of each hidden layer's units), and
//! the one that answers most alike. A copy of a run, permuted or not, with noise or not, is found by one of these. The zoo's own distances are
//! taken in the same way, so that their quotients are of like with like.
use crate::coupling::distance::{Nearest, Points, by_differences, nearest_others};
use crate::space::align::match_weights;
use crate::space::symmetry::{SymmetryTable, strides};
use crate::{Result, Streams};
use rayon::prelude::*;

/// Training networks `[R, P]` that others are aligned to.
#[derive(Clone, Debug)]
pub struct AlignedNeighbourhood<'a> {
    training: &'a [f32],
    table: &'a SymmetryTable,
    sketches: Vec<f32>,
}

impl<'a> AlignedNeighbourhood<'a> {
    /// Of `training [R, P]`, whose hidden units `table` knows.
    pub fn new(training: &'a [f32], table: &'a SymmetryTable) -> Self {
        Self { training, table, sketches: sketches(table, training) }
    }

    /// The nearest training network of each of `theta [n, P]` after alignment: `raw [n]` are the nearest without it, `alike [n]` those that answer
    /// most alike. Never farther than `raw`.
    ///
    /// # Errors
    /// A slice that is no `[n, P]`, or not finite; [`crate::Error::Interrupted`].
    pub fn nearest(&self, theta: &[f32], raw: &[Nearest], alike: &[Nearest]) -> Result<Vec<Nearest>> {
        let own = sketches(self.table, theta);
        let by_sketch = match self.units() {
            0 => raw.to_vec(),
            units => Points::new(&own, &self.sketches, units)?.nearest()?,
        };
        self.least(theta, raw, [&by_sketch, alike])
    }

    /// The same of each training network among the others: leave-one-out.
    ///
    /// # Errors
    /// As [`Self::nearest`].
    pub fn nearest_others(&self, raw: &[Nearest], alike: &[Nearest]) -> Result<Vec<Nearest>> {
        let by_sketch = match self.units() {
            0 => raw.to_vec(),
            units => nearest_others(&self.sketches, units)?,
        };
        self.least(self.training, raw, [&by_sketch, alike])
    }

    fn units(&self) -> usize {
        self.table.symmetries.iter().map(|s| s.units).sum()
    }

    fn least(&self, theta: &[f32], raw: &[Nearest], candidates: [&[Nearest]; 2]) -> Result<Vec<Nearest>> {
        let p = self.table.layout().len();
        if self.table.symmetries.is_empty() {
            return Ok(raw.to_vec());
        }
        let streams = Streams::new(0).child("judge");
        let of = |(i, theta): (usize, &[f32])| {
            let mut best = raw[i];
            let mut tried = Vec::with_capacity(3);
            for index in [raw[i].index, candidates[0][i].index, candidates[1][i].index] {
                if tried.contains(&index) {
                    continue;
                }
                tried.push(index);
                let run = &self.training[index * p..(index + 1) * p];
                let mut moved = theta.to_vec();
                let order = match_weights(self.table, run, &moved, &streams.index(index as u64))?;
                self.table.permute(&mut moved, &order)?;
                let distance = by_differences(&moved, run);
                if distance < best.distance {
                    best = Nearest { index, distance };
                }
            }
            Ok(best)
        };
        theta.par_chunks_exact(p).enumerate().map(of).collect()
    }
}

/// What of `theta [n, P]` does not depend on the order of hidden units: the norms of all that moves with a unit, sorted layer by layer `[n, units]`.
fn sketches(table: &SymmetryTable, theta: &[f32]) -> Vec<f32> {
    let of = |theta: &[f32]| {
        let layer = |symmetry: &crate::space::symmetry::Symmetry| {
            let mut squares = vec![0.0f64; symmetry.units];
            for moved in &symmetry.axes {
                let slot = &table.layout().slots()[moved.slot];
                let (_, run) = strides(&slot.shape, moved);
                for (k, part) in theta[slot.range()].chunks_exact(run).enumerate() {
                    squares[k % symmetry.units] += part.iter().map(|w| f64::from(*w) * f64::from(*w)).sum::<f64>();
                }
            }
            squares.sort_by(f64::total_cmp);
            squares.into_iter().map(|s| s.sqrt() as f32).collect::<Vec<_>>()
        };
        table.symmetries.iter().flat_map(layer).collect::<Vec<f32>>()
    };
    theta.par_chunks_exact(table.layout().len().max(1)).flat_map_iter(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::seq::SliceRandom;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::testing::normals;

    fn shuffled(table: &SymmetryTable, theta: &[f32], streams: &Streams) -> Vec<f32> {
        let mut rng = streams.rng();
        let order = |units: usize| {
            let mut order: Vec<usize> = (0..units).collect();
            order.shuffle(&mut rng);
            order
        };
        let orders: Vec<Vec<usize>> = table.symmetries.iter().map(|s| s.units).map(order).collect();
        let mut moved = theta.to_vec();
        table.permute(&mut moved, &orders).unwrap();
        moved
    }

    #[test]
    fn a_permuted_copy_is_at_the_distance_of_its_noise() {
        for architecture in [
            Preset::Mlp { widths: vec![16, 12] }.build([9, 1, 1], 3).unwrap(),
            Preset::CnnS.build([1, 28, 28], 10).unwrap(),
        ] {
            let table = SymmetryTable::of(&architecture);
            let p = table.layout().len();
            let training = normals(&Streams::new(1), 6 * p);
            let noise: Vec<f32> = normals(&Streams::new(2), 6 * p).iter().map(|e| 1e-2 * e).collect();
            let noisy: Vec<f32> = training.iter().zip(&noise).map(|(w, e)| w + e).collect();
            let moved: Vec<f32> = noisy
                .chunks(p)
                .enumerate()
                .flat_map(|(i, theta)| shuffled(&table, theta, &Streams::new(3).index(i as u64)))
                .collect();
            let zoo = AlignedNeighbourhood::new(&training, &table);
            let raw = Points::new(&moved, &training, p).unwrap().nearest().unwrap();
            // By the sketch alone: what answers most alike is given as the raw nearest.
            let found = zoo.nearest(&moved, &raw, &raw).unwrap();
            for (i, (found, noise)) in found.iter().zip(noise.chunks(p)).enumerate() {
                let truth = noise.iter().map(|e| f64::from(*e).powi(2)).sum::<f64>().sqrt();
                assert!(found.index == i && (found.distance / truth - 1.0).abs() < 1e-3, "{found:?} {truth}");
                assert!(raw[i].distance > 10.0 * truth);
            }
            let others = nearest_others(&training, p).unwrap();
            let own = zoo.nearest_others(&others, &others).unwrap();
            for (i, (own, raw)) in own.iter().zip(&others).enumerate() {
                assert!(own.index != i && own.distance <= raw.distance);
            }
        }
    }

    #[test]
    fn networks_without_hidden_units_are_compared_as_they_are() {
        let table = SymmetryTable::of(&Preset::Mlp { widths: vec![] }.build([4, 1, 1], 3).unwrap());
        let training = normals(&Streams::new(1), 3 * table.layout().len());
        let raw = nearest_others(&training, table.layout().len()).unwrap();
        assert_eq!(AlignedNeighbourhood::new(&training, &table).nearest_others(&raw, &raw).unwrap(), raw);
    }
}
