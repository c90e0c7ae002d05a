//! Rewards: what a generator of networks is steered towards (M12, M13), a value and a gradient for every network of a batch.
//!
//! | reward | what | file |
//! | --- | --- | --- |
//! | [`OnData`] | −cross-entropy, margin, −loss of constrained disagreement (M14) on data, by minibatches | `data.rs` |
//! | [`ToPoint`] | −½ weight · squared distance to a given θ | `distance.rs` |
//! | [`Diversity`] | networks of a batch repel each other | `diversity.rs` |
//! | [`WeightedSum`] | Σ wᵢ rᵢ | here |
//!
//! Rewards on data have names ([`Kind`]). A reward of one's own is one `impl Reward` (`examples/own_reward.rs`). A reward seen through a map is a reward again:
//! [`InSpace`] pulls gradients back through the standardiser (M2) and, for models in a latent space, the decoder (M8).
mod data;
mod distance;
mod diversity;
mod kind;
mod margin;
mod registry;

pub use data::OnData;
pub use distance::ToPoint;
pub use diversity::Diversity;
pub use kind::{Kind, Request, Rows};
pub use margin::Margin;

use crate::space::latent::Decoder;
use crate::{Error, Result, Streams};
use thalweg_nets::engine::LayerInputs;

/// Rewards of n points with their gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Graded {
    /// r `[n]`.
    pub values: Vec<f64>,
    /// ∇r `[n, P]`, each row at its own point.
    pub gradients: Vec<f32>,
}

/// A reward over points `[P]`; larger is better.
pub trait Reward: Send + Sync {
    /// P.
    fn dimension(&self) -> usize;

    /// In words, for model cards: name everything that decides the values.
    fn describe(&self) -> String;

    /// What tells this reward from every other: a tuning that was interrupted only goes on towards the same. Rewards on data name their numbers
    /// here, by a hash, and not only what they are called; for others the words of [`Self::describe`] do.
    fn identity(&self) -> String {
        self.describe()
    }

    /// Values `[n]` and gradients `[n, P]` at `theta [n, P]`: a pure function of the points and of `streams`, from which
    /// whatever is random in it (a minibatch) is drawn.
    ///
    /// # Errors
    /// Points that are not `[n, P]`, or not finite.
    fn grade(&self, theta: &[f32], streams: &Streams) -> Result<Graded>;

    /// Values `[n]` alone; cheaper where gradients cost.
    ///
    /// # Errors
    /// As [`Self::grade`].
    fn values(&self, theta: &[f32], streams: &Streams) -> Result<Vec<f64>> {
        Ok(self.grade(theta, streams)?.values)
    }

    /// What the dense layers of each of `theta [n, P]` multiply on the first `most` of the rows that [`Self::grade`] draws from `streams`; none for rewards that are not of networks on data.
    ///
    /// # Errors
    /// As [`Self::grade`].
    fn layer_inputs(&self, _theta: &[f32], _streams: &Streams, _most: usize) -> Result<Option<Vec<Vec<LayerInputs>>>> {
        Ok(None)
    }
}

/// BLAKE3 of numbers, bit by bit.
fn hash_of_floats(parts: &[&[f32]]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(&part.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    }
    hasher.finalize()
}

/// The number n of points `[n, P]`.
///
/// # Errors
/// Another length.
fn rows(theta: &[f32], dimension: usize) -> Result<usize> {
    if dimension == 0 || !theta.len().is_multiple_of(dimension) {
        return Err(Error::shape("points to reward", format!("[n, {dimension}]"), format!("[{}]", theta.len())));
    }
    Ok(theta.len() / dimension)
}

/// Σ wᵢ rᵢ.
pub struct WeightedSum {
    parts: Vec<(f64, Box<dyn Reward>)>,
}

impl WeightedSum {
    /// The sum of `parts` with their weights.
    ///
    /// # Errors
    /// No part, parts over points of different dimensions, or a weight that is not finite.
    pub fn new(parts: Vec<(f64, Box<dyn Reward>)>) -> Result<Self> {
        let Some((_, first)) = parts.first() else {
            return Err(Error::parameter("reward", "at least one part of a weighted sum", "none"));
        };
        let p = first.dimension();
        for (weight, part) in &parts {
            if part.dimension() != p {
                let found = format!("{} numbers for {}", part.dimension(), part.describe());
                return Err(Error::shape("reward", format!("points of {p} numbers, as the first part"), found));
            }
            if !weight.is_finite() {
                return Err(Error::parameter("reward.weight", "a finite number", weight));
            }
        }
        Ok(Self { parts })
    }
}

impl Reward for WeightedSum {
    fn dimension(&self) -> usize {
        self.parts[0].1.dimension()
    }

    fn describe(&self) -> String {
        self.parts.iter().map(|(w, r)| format!("{w} × {}", r.describe())).collect::<Vec<_>>().join(" + ")
    }

    fn identity(&self) -> String {
        self.parts.iter().map(|(w, r)| format!("{w} × {}", r.identity())).collect::<Vec<_>>().join(" + ")
    }

    fn grade(&self, theta: &[f32], streams: &Streams) -> Result<Graded> {
        let n = rows(theta, self.dimension())?;
        let mut sum = Graded { values: vec![0.0; n], gradients: vec![0.0; theta.len()] };
        for (i, (weight, part)) in self.parts.iter().enumerate() {
            let graded = part.grade(theta, &streams.index(i as u64))?;
            sum.values.iter_mut().zip(&graded.values).for_each(|(s, v)| *s += weight * v);
            sum.gradients.iter_mut().zip(&graded.gradients).for_each(|(s, g)| *s += *weight as f32 * g);
        }
        Ok(sum)
    }

    fn values(&self, theta: &[f32], streams: &Streams) -> Result<Vec<f64>> {
        let mut sum = vec![0.0; rows(theta, self.dimension())?];
        for (i, (weight, part)) in self.parts.iter().enumerate() {
            let values = part.values(theta, &streams.index(i as u64))?;
            sum.iter_mut().zip(&values).for_each(|(s, v)| *s += weight * v);
        }
        Ok(sum)
    }
}

/// A reward over weights as a reward over points that decode to them (M13): r(θ(y)), its gradient pulled back through the decoder (M8) and,
/// for the points of a method, the standardiser (M2).
pub struct InSpace<'a> {
    /// Over what points decode to.
    pub reward: &'a dyn Reward,
    /// θ(y).
    pub space: &'a dyn Decoder,
}

impl Reward for InSpace<'_> {
    fn dimension(&self) -> usize {
        self.space.dimension()
    }

    fn describe(&self) -> String {
        self.reward.describe()
    }

    /// The map is known by where it takes two points.
    fn identity(&self) -> String {
        let probes = [0.0f32, 1.0].map(|at| self.space.decode(&vec![at; self.space.dimension()]));
        format!("{} of points in {}", self.reward.identity(), hash_of_floats(&[&probes[0], &probes[1]]))
    }

    fn grade(&self, y: &[f32], streams: &Streams) -> Result<Graded> {
        rows(y, self.dimension())?;
        let theta = self.space.decode(y);
        let graded = self.reward.grade(&theta, streams)?;
        Ok(Graded { gradients: self.space.pull_back(y, &theta, graded.gradients), ..graded })
    }

    fn values(&self, y: &[f32], streams: &Streams) -> Result<Vec<f64>> {
        rows(y, self.dimension())?;
        self.reward.values(&self.space.decode(y), streams)
    }
}

#[cfg(test)]
mod tests;
