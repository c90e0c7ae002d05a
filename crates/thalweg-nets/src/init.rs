//! Laws of initial weights: Kaiming uniform as PyTorch's layers use it, and the normal law of equal variances
//! (section 3 of book/src/mathematics.md; He et al. 2015). Batch-norm scales start at 1, shifts at 0, running statistics at (0, 1).
use crate::layout::{Layout, Role};
use crate::streams::Streams;
use rand::RngExt;
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An initialisation law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Initialisation {
    /// Weights and biases U(−b, b) with b = 1/√fan_in: PyTorch's default, since a = √5 makes √(6/((1 + a²) fan_in)) = 1/√fan_in.
    #[default]
    KaimingUniform,
    /// Normal with the same variances 1/(3 fan_in).
    KaimingNormal,
}

impl Initialisation {
    /// One draw θ `[P]`.
    pub fn draw(self, layout: &Layout, streams: &Streams) -> Vec<f32> {
        let mut rng = streams.rng();
        let mut theta = vec![0.0; layout.len()];
        for (slot, (mean, deviation)) in layout.slots().iter().zip(moments(layout)) {
            for value in &mut theta[slot.range()] {
                *value = mean;
                if deviation > 0.0 {
                    *value += deviation
                        * match self {
                            Self::KaimingUniform => 3f32.sqrt() * (2.0 * rng.random::<f32>() - 1.0),
                            Self::KaimingNormal => rng.sample::<f32, _>(StandardNormal),
                        };
                }
            }
        }
        theta
    }
}

/// Mean and standard deviation of each tensor under both laws, in slot order.
pub fn moments(layout: &Layout) -> impl Iterator<Item = (f32, f32)> + '_ {
    layout.slots().iter().map(|slot| match slot.role {
        Role::Weight | Role::Bias => (0.0, (3.0 * slot.fan_in as f32).sqrt().recip()),
        Role::Scale | Role::RunningVariance => (1.0, 0.0),
        Role::Shift | Role::RunningMean | Role::Unknown => (0.0, 0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Preset;

    #[test]
    fn draws_have_the_stated_moments_and_bounds() {
        let layout = Layout::of(&Preset::Mlp { widths: vec![64] }.build([100, 1, 1], 10).unwrap());
        for law in [Initialisation::KaimingUniform, Initialisation::KaimingNormal] {
            let theta = law.draw(&layout, &Streams::new(7));
            let weights = &theta[..6400];
            let mean = weights.iter().sum::<f32>() / 6400.0;
            let variance = weights.iter().map(|w| w * w).sum::<f32>() / 6400.0;
            assert!(mean.abs() < 4.0 * (1.0f32 / 300.0 / 6400.0).sqrt(), "{mean}");
            assert!((variance * 300.0 - 1.0).abs() < 0.1, "{variance}");
            if law == Initialisation::KaimingUniform {
                assert!(weights.iter().all(|w| w.abs() <= 0.1));
            }
        }
    }
}
