//! Laws of initial weights: Kaiming uniform as PyTorch's layers use it, the normal law of equal variances, and He's own law with biases of zero
//! (section 3 of book/src/mathematics.md; He et al. 2015). Scales of normalisations start at 1, shifts at 0, running statistics at (0, 1), slopes of
//! `prelu` at 1/4; the input projections of an attention follow Glorot and Bengio 2010 and its biases start at 0, all as PyTorch has them. Learned
//! positions are N(0, 0.02²) under all laws and class tokens start at 0, as in torchvision's vision transformers.
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
    /// Weights and biases U(−b, b) with b = 1/√fan_in: PyTorch's default, since a = √5 makes √(6/((1 + a²) fan_in)) = 1/√fan_in (in a convolution
    /// of g groups the fan-in is that of one group).
    #[default]
    KaimingUniform,
    /// Normal with the same variances 1/(3 fan_in).
    KaimingNormal,
    /// Weights U(−b, b) with b = √(6/fan_in), biases 0: `torch.nn.init.kaiming_uniform_(weight, nonlinearity="relu")` (He et al. 2015).
    HeUniform,
}

impl Initialisation {
    /// One draw θ `[P]`.
    pub fn draw(self, layout: &Layout, streams: &Streams) -> Vec<f32> {
        let mut rng = streams.rng();
        let mut theta = vec![0.0; layout.len()];
        for (slot, (mean, deviation)) in layout.slots().iter().zip(self.moments(layout)) {
            for value in &mut theta[slot.range()] {
                *value = mean;
                if deviation > 0.0 {
                    *value += deviation
                        * match self {
                            Self::KaimingUniform | Self::HeUniform if slot.role != Role::Position => {
                                3f32.sqrt() * (2.0 * rng.random::<f32>() - 1.0)
                            }
                            _ => rng.sample::<f32, _>(StandardNormal),
                        };
                }
            }
        }
        theta
    }

    /// Mean and standard deviation of each tensor, in slot order.
    pub fn moments(self, layout: &Layout) -> impl Iterator<Item = (f32, f32)> + '_ {
        let he = self == Self::HeUniform;
        layout.slots().iter().map(move |slot| match slot.role {
            Role::Weight if he => (0.0, (2.0 / slot.fan_in as f32).sqrt()),
            Role::Bias if he => (0.0, 0.0),
            Role::Weight | Role::Bias => (0.0, (3.0 * slot.fan_in as f32).sqrt().recip()),
            // Glorot's law for the three projections as one matrix: variance 2/(rows + columns).
            Role::InProjection => (0.0, (2.0 / (slot.shape[0] + slot.shape[1]) as f32).sqrt()),
            Role::Position => (0.0, POSITIONS),
            Role::Slope => (0.25, 0.0),
            Role::Scale | Role::RunningVariance => (1.0, 0.0),
            Role::Shift | Role::RunningMean | Role::ZeroBias | Role::Token | Role::Unknown => (0.0, 0.0),
        })
    }
}

/// Standard deviation of learned positions, as in Dosovitskiy et al. 2021 and torchvision.
const POSITIONS: f32 = 0.02;

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

    /// √6/√fan_in, He's bound for layers before a ReLU, and biases that start at nothing.
    #[test]
    fn hes_law_has_twice_the_variance_of_a_layers_mean_square_and_no_biases() {
        let layout = Layout::of(&Preset::Mlp { widths: vec![64] }.build([96, 1, 1], 10).unwrap());
        let theta = Initialisation::HeUniform.draw(&layout, &Streams::new(7));
        let weights = &theta[..64 * 96];
        let largest = weights.iter().fold(0f32, |a, w| a.max(w.abs()));
        assert!(largest <= 0.25 && largest > 0.2495, "√(6/96) is a quarter: {largest}");
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
        assert!((variance * 48.0 - 1.0).abs() < 0.05, "{variance}");
        for slot in layout.slots().iter().filter(|slot| slot.name.ends_with("bias")) {
            assert!(theta[slot.range()].iter().all(|b| *b == 0.0));
        }
    }

    /// PyTorch's own laws of its layers, by their closed forms: bounds of uniform ones are √3 deviations.
    #[test]
    fn every_kind_of_tensor_starts_as_in_pytorch() {
        let text = r#"
            input = [8, 4, 16]
            layers = [
              { kind = "conv", name = "grouped", out = 64, kernel = [3, 5], groups = 4 },
              { kind = "prelu", name = "slope" }, { kind = "group-norm", name = "norm", groups = 2 }, { kind = "tokens" },
              { kind = "class-token", name = "token" }, { kind = "position-embedding", name = "positions" },
              { kind = "self-attention", name = "attention", heads = 4 },
              { kind = "self-attention", name = "timm", heads = 4, names = "timm" },
              { kind = "transpose" }, { kind = "linear", name = "linear", out = 50 }, { kind = "flatten" }, { kind = "dense", out = 2 } ]
        "#;
        let layout = Layout::of(&crate::architecture::Architecture::from_toml_str(text).unwrap());
        let uniform = |bound: f64| (0.0, bound / 3f64.sqrt(), bound);
        let constant = |value: f64| (value, 0.0, value);
        // Mean, deviation and greatest size under the uniform law.
        let laws = [
            // 1/√fan_in with a fan-in of 2 channels of 3 × 5.
            ("grouped.weight", uniform(30f64.sqrt().recip())),
            ("grouped.bias", uniform(30f64.sqrt().recip())),
            ("slope.weight", constant(0.25)),
            ("norm.weight", constant(1.0)),
            ("norm.bias", constant(0.0)),
            ("token", constant(0.0)),
            ("positions", (0.0, 0.02, 0.2)),
            // Glorot: √(6/(64 + 192)).
            ("attention.in_proj_weight", uniform((6f64 / 256.0).sqrt())),
            ("attention.in_proj_bias", constant(0.0)),
            ("attention.out_proj.weight", uniform(0.125)),
            ("attention.out_proj.bias", constant(0.0)),
            ("timm.qkv.weight", uniform(0.125)),
            ("timm.qkv.bias", uniform(0.125)),
            ("timm.proj.weight", uniform(0.125)),
            ("linear.weight", uniform(25f64.sqrt().recip())),
        ];
        let moments: Vec<(f32, f32)> = Initialisation::KaimingUniform.moments(&layout).collect();
        for law in [Initialisation::KaimingUniform, Initialisation::KaimingNormal] {
            let theta = law.draw(&layout, &Streams::new(3));
            for (name, (mean, deviation, most)) in laws {
                let at = layout.slots().iter().position(|slot| slot.name == name).unwrap();
                let values: Vec<f64> = theta[layout.slots()[at].range()].iter().map(|v| f64::from(*v)).collect();
                let n = values.len() as f64;
                let found = values.iter().sum::<f64>() / n;
                let spread = (values.iter().map(|v| (v - found).powi(2)).sum::<f64>() / n).sqrt();
                assert!((found - mean).abs() <= 4.0 * deviation / n.sqrt(), "{name}: mean {found}");
                assert!((spread - deviation).abs() <= 4.0 * deviation / (2.0 * n).sqrt(), "{name}: {spread}");
                if law == Initialisation::KaimingUniform {
                    assert!(values.iter().all(|v| v.abs() <= most * (1.0 + 1e-6)), "{name}");
                }
                let said = (f64::from(moments[at].0), f64::from(moments[at].1));
                assert!((said.0 - mean).abs() < 1e-6 && (said.1 - deviation).abs() < 1e-6, "{name}: {said:?}");
            }
        }
    }
}
