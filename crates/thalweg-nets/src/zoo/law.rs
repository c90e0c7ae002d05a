//! [`InitialLaw`]: the law that a zoo's runs start from, so that a sampler can draw fresh starts exactly as the zoo drew its own.
use super::spec::{ZooKind, ZooSpec};
use crate::error::{Error, Result};
use crate::init::Initialisation;
use crate::layout::Layout;
use crate::streams::Streams;
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

/// A law of starts x₀ `[P]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum InitialLaw {
    /// Independent draws of an initialisation law (independent zoos; the one start of a tail).
    Kaiming(Initialisation),
    /// A centre plus normal noise of standard deviation noise · RMS(tensor) on every trained tensor (shared and fork zoos).
    AroundCentre {
        /// `[P]`.
        centre: Vec<f32>,
        /// Relative noise ν.
        noise: f64,
    },
}

impl InitialLaw {
    /// The law of the runs of `spec`; shared and fork zoos need their `centre` `[P]`.
    ///
    /// # Errors
    /// A missing centre.
    pub fn of(spec: &ZooSpec, centre: Option<Vec<f32>>) -> Result<Self> {
        match spec.kind {
            ZooKind::Independent | ZooKind::Tail { .. } => Ok(Self::Kaiming(spec.initialisation)),
            ZooKind::Shared { noise } | ZooKind::Fork { noise, .. } => match centre {
                Some(centre) => Ok(Self::AroundCentre { centre, noise }),
                None => Err(Error::parameter("centre", format!("the centre of a {} zoo", spec.kind.name()), "none")),
            },
        }
    }

    /// One draw x₀ `[P]`.
    ///
    /// # Errors
    /// A centre that does not fit `layout`.
    pub fn draw(&self, layout: &Layout, streams: &Streams) -> Result<Vec<f32>> {
        match self {
            Self::Kaiming(law) => Ok(law.draw(layout, streams)),
            Self::AroundCentre { centre, .. } => {
                let (_, deviations) = self.moments(layout)?;
                let mut rng = streams.rng();
                let draw =
                    |(c, s): (&f32, f32)| if s > 0.0 { c + s * rng.sample::<f32, _>(StandardNormal) } else { *c };
                Ok(centre.iter().zip(deviations).map(draw).collect())
            }
        }
    }

    /// Mean and standard deviation of every weight, `[P]` each.
    ///
    /// # Errors
    /// A centre that does not fit `layout`.
    pub fn moments(&self, layout: &Layout) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut deviations = vec![0.0; layout.len()];
        match self {
            Self::Kaiming(law) => {
                let mut means = vec![0.0; layout.len()];
                for (slot, (mean, deviation)) in layout.slots().iter().zip(law.moments(layout)) {
                    means[slot.range()].fill(mean);
                    deviations[slot.range()].fill(deviation);
                }
                Ok((means, deviations))
            }
            Self::AroundCentre { centre, noise } => {
                if layout.check("centre", centre)? != 1 {
                    return Err(Error::shape("centre", format!("[{}]", layout.len()), format!("[{}]", centre.len())));
                }
                for slot in layout.slots().iter().filter(|slot| slot.role.is_trained()) {
                    let squares: f64 = centre[slot.range()].iter().map(|&w| f64::from(w) * f64::from(w)).sum();
                    deviations[slot.range()].fill((noise * (squares / slot.len() as f64).sqrt()) as f32);
                }
                Ok((centre.clone(), deviations))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;

    #[test]
    fn noise_is_relative_to_each_tensor_and_leaves_running_statistics_alone() {
        let text = "input = [40]\n[[layers]]\nkind = \"dense\"\nout = 50\n[[layers]]\nkind = \"batch-norm\"\n";
        let layout = Layout::of(&Architecture::from_toml_str(text).unwrap());
        let mut centre = Initialisation::default().draw(&layout, &Streams::new(1));
        let slot = |name: &str| layout.slots().iter().find(|s| s.name == name).unwrap().range();
        centre[slot("0.bias")].iter_mut().for_each(|w| *w *= 10.0);
        let law = InitialLaw::AroundCentre { centre: centre.clone(), noise: 0.05 };
        let draws: Vec<Vec<f32>> = (0..50).map(|i| law.draw(&layout, &Streams::new(2).index(i)).unwrap()).collect();
        let rms = |x: &mut dyn Iterator<Item = f32>| {
            let (n, s) = x.fold((0.0, 0.0), |(n, s), v| (n + 1.0, s + f64::from(v).powi(2)));
            (s / f64::from(n as f32)).sqrt()
        };
        for name in ["0.weight", "0.bias", "1.weight"] {
            let r = slot(name);
            let expected = 0.05 * rms(&mut centre[r.clone()].iter().copied());
            let found = rms(&mut draws.iter().flat_map(|d| r.clone().map(|i| d[i] - centre[i])));
            assert!((found / expected - 1.0).abs() < 0.08, "{name}: {found} {expected}");
        }
        for name in ["1.bias", "1.running_mean", "1.running_var"] {
            assert_eq!(draws[7][slot(name)], centre[slot(name)], "{name}");
        }
        assert!(law.draw(&Layout::of_tensors([("a".into(), vec![3])]), &Streams::new(0)).is_err());
    }

    #[test]
    fn kaiming_moments_are_those_of_the_draws() {
        let text = "input = [3]\n[[layers]]\nkind = \"dense\"\nout = 2\n";
        let layout = Layout::of(&Architecture::from_toml_str(text).unwrap());
        let n = 4000;
        for kind in [Initialisation::KaimingNormal, Initialisation::KaimingUniform] {
            let law = InitialLaw::Kaiming(kind);
            let (mean, deviation) = law.moments(&layout).unwrap();
            let draws: Vec<Vec<f32>> = (0..n).map(|i| law.draw(&layout, &Streams::new(7).index(i)).unwrap()).collect();
            for i in 0..layout.len() {
                let column = || draws.iter().map(|draw| f64::from(draw[i]));
                let found = column().sum::<f64>() / n as f64;
                let spread = (column().map(|w| (w - found).powi(2)).sum::<f64>() / n as f64).sqrt();
                // PyTorch's default law: variance 1/(3 fan-in), of weights and of biases.
                assert!((f64::from(deviation[i]) - (1.0f64 / 9.0).sqrt()).abs() < 1e-6, "{kind:?} {}", deviation[i]);
                assert!((found - f64::from(mean[i])).abs() < 4.0 * spread / (n as f64).sqrt(), "{kind:?} {found}");
                assert!((spread / f64::from(deviation[i]) - 1.0).abs() < 0.05, "{kind:?} {spread}");
            }
        }
    }
}
