//! Sources p₀: the laws that sampling starts from (section 3 of book/src/mathematics.md).
//!
//! A draw is a pure function of its stream. The default is the zoo's own initialisation law, drawn afresh.
use super::coordinates::Coordinates;
use crate::nn::normal;
use crate::{Error, Layout, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thalweg_nets::init::Initialisation;
use thalweg_nets::zoo::{InitialLaw, ZooStore};

/// Which source a fit asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The law that the zoo's runs started from: Kaiming for independent zoos, centre plus noise for shared and fork zoos.
    #[default]
    Zoo,
    /// Kaiming uniform, PyTorch's default.
    KaimingUniform,
    /// The normal law of the same variances.
    KaimingNormal,
    /// Standard Gaussian in standardised coordinates.
    Gaussian,
    /// Recorded initialisations of training runs: a memorisation probe, never a result.
    Recorded,
}

/// A source that can be drawn from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A law of weights.
    Weights(InitialLaw),
    /// Standard Gaussian in standardised coordinates.
    Gaussian,
    /// Draw i is network i modulo m of these `[m, P]`: a memorisation probe.
    Recorded(Vec<f32>),
}

impl Source {
    /// The source of this kind for `zoo`; `runs` are those whose starts `Recorded` takes.
    ///
    /// # Errors
    /// A zoo whose law is not known, or that recorded no starts.
    pub fn of(kind: SourceKind, zoo: &ZooStore, runs: &[usize]) -> Result<Self> {
        Ok(match kind {
            SourceKind::Zoo => Self::Weights(zoo.initial_law()?),
            SourceKind::KaimingUniform => Self::Weights(InitialLaw::Kaiming(Initialisation::KaimingUniform)),
            SourceKind::KaimingNormal => Self::Weights(InitialLaw::Kaiming(Initialisation::KaimingNormal)),
            SourceKind::Gaussian => Self::Gaussian,
            SourceKind::Recorded => Self::recorded(zoo, runs)?,
        })
    }

    /// The recorded initialisations of `runs`.
    ///
    /// # Errors
    /// No run, or a zoo that keeps final networks only.
    pub fn recorded(zoo: &ZooStore, runs: &[usize]) -> Result<Self> {
        if runs.is_empty() || zoo.checkpoints() < 2 {
            return Err(Error::parameter("source", "runs that recorded their starts, for recorded", "none"));
        }
        let items: Vec<_> = runs.iter().map(|&run| (run, 0)).collect();
        let mut theta = vec![0.0; items.len() * zoo.parameters()];
        zoo.gather(&items, &mut theta)?;
        Ok(Self::Recorded(theta))
    }

    /// In words, for a model card.
    pub fn describe(&self) -> String {
        match self {
            Self::Gaussian => "standard Gaussian in standardised coordinates".into(),
            Self::Weights(InitialLaw::Kaiming(law)) => format!("fresh draws of {law:?}"),
            Self::Weights(InitialLaw::AroundCentre { noise, .. }) => {
                format!("fresh draws around the zoo's centre, relative noise {noise}")
            }
            Self::Recorded(theta) => {
                format!("{} recorded numbers of training initialisations (a memorisation probe)", theta.len())
            }
        }
    }

    /// Whether samples from here say something about memorisation only.
    pub fn is_probe(&self) -> bool {
        matches!(self, Self::Recorded(_))
    }

    /// Draw `i` of the family `streams`, in standardised coordinates, to `z [P]`.
    ///
    /// # Errors
    /// A law that does not fit the layout.
    pub fn draw(
        &self,
        i: u64,
        layout: &Layout,
        coordinates: &Coordinates,
        streams: &Streams,
        z: &mut [f32],
    ) -> Result<()> {
        let streams = streams.index(i);
        match self {
            Self::Gaussian => {
                normal::fill(&mut streams.rng(), z);
            }
            Self::Weights(law) => {
                z.copy_from_slice(&law.draw(layout, &streams)?);
                coordinates.standardise(z);
            }
            Self::Recorded(theta) => {
                let (p, m) = (z.len(), theta.len() / z.len());
                if m == 0 || theta.len() != m * p {
                    return Err(Error::shape("recorded source", format!("[m, {p}]"), format!("[{}]", theta.len())));
                }
                let row = (i % m as u64) as usize;
                z.copy_from_slice(&theta[row * p..(row + 1) * p]);
                coordinates.standardise(z);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::coordinates::Standardiser;

    #[test]
    fn draws_depend_on_stream_and_index_alone_and_have_their_law() {
        let layout = Layout::of_tensors([("w".to_string(), vec![3])]);
        let coordinates =
            Coordinates::from_parts(Standardiser::PerParameter, &layout, vec![1.0, -2.0, 0.5], vec![2.0, 0.1, 1.0])
                .unwrap();
        let law = InitialLaw::AroundCentre { centre: vec![3.0, -2.0, 0.5], noise: 0.0 };
        let recorded = Source::Recorded(vec![1.0, -2.0, 0.5, 3.0, -1.9, 1.5]);
        let draw = |source: &Source, seed, i| {
            let mut z = vec![0.0; 3];
            source.draw(i, &layout, &coordinates, &Streams::new(seed), &mut z).unwrap();
            z
        };
        assert_eq!(draw(&Source::Weights(law), 1, 0), [1.0, 0.0, 0.0]);
        assert_eq!(draw(&recorded, 1, 0), [0.0, 0.0, 0.0]);
        assert!((draw(&recorded, 9, 3)[1] - 1.0).abs() < 1e-5, "row 3 mod 2, whatever the seed");
        assert_eq!(draw(&Source::Gaussian, 1, 5), draw(&Source::Gaussian, 1, 5));
        assert_ne!(draw(&Source::Gaussian, 1, 5), draw(&Source::Gaussian, 1, 6));
        let z: Vec<f32> = (0..3000).flat_map(|i| draw(&Source::Gaussian, 2, i)).collect();
        let (mean, square) = (z.iter().sum::<f32>() / 9e3, z.iter().map(|z| z * z).sum::<f32>() / 9e3);
        assert!(mean.abs() < 0.04 && (square - 1.0).abs() < 0.06, "{mean} {square}");
        assert!(recorded.is_probe() && !Source::Gaussian.is_probe());
    }
}
