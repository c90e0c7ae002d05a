//! Sources p₀: the laws that sampling starts from (section 3 of book/src/mathematics.md).
//!
//! A draw is a pure function of its stream. The default is the zoo's own initialisation law, drawn afresh.
use super::coordinates::Coordinates;
use super::families::Families;
use crate::nn::normal;
use crate::{Error, Layout, Result, Streams};
use rand::RngExt;
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
    /// Gaussian in standardised coordinates; standard, unless the method says otherwise.
    Gaussian,
    /// A Gaussian for each family of final networks, around its mean: what keeps a flow from filling the space between families.
    Families,
    /// Recorded initialisations of training runs: a memorisation probe, never a result.
    Recorded,
}

/// A source that can be drawn from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A law of weights.
    Weights(InitialLaw),
    /// N(0, deviation² I) in standardised coordinates, or in a latent space itself.
    Gaussian {
        /// Standard deviation of every number.
        deviation: f32,
    },
    /// A mixture of Gaussians of one diagonal covariance, in standardised coordinates.
    Families(FamilyLaw),
    /// Draw i is network i modulo m of these `[m, P]`: a memorisation probe.
    Recorded(Vec<f32>),
}

/// A mixture of Gaussians of one diagonal covariance, in standardised coordinates.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyLaw {
    /// Share of each family `[k]`; they sum to 1.
    pub shares: Vec<f64>,
    /// Means `[k, P]`.
    pub means: Vec<f32>,
    /// Standard deviation of every number about the mean of its family `[P]`.
    pub deviations: Vec<f32>,
}

impl FamilyLaw {
    /// Of the final networks of `runs`, at most [`POINTS`] of them, evenly chosen.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn of(zoo: &ZooStore, coordinates: &Coordinates, runs: &[usize]) -> Result<Self> {
        let p = zoo.parameters();
        let mut z = zoo.finals(&evenly(runs, POINTS))?;
        coordinates.standardise(&mut z);
        let families = Families::of(&z, p)?;
        let n = families.of_point.len();
        let mut sums = vec![0.0f64; families.count() * p];
        for (row, &family) in z.chunks_exact(p).zip(&families.of_point) {
            let share = 1.0 / families.sizes[family] as f64;
            sums[family * p..][..p].iter_mut().zip(row).for_each(|(sum, v)| *sum += share * f64::from(*v));
        }
        let mut squares = vec![0.0f64; p];
        for (row, &family) in z.chunks_exact(p).zip(&families.of_point) {
            let means = &sums[family * p..][..p];
            squares.iter_mut().zip(row.iter().zip(means)).for_each(|(s, (v, m))| *s += (f64::from(*v) - m).powi(2));
        }
        let below = n.saturating_sub(families.count()).max(1) as f64;
        Ok(Self {
            shares: families.sizes.iter().map(|&size| size as f64 / n as f64).collect(),
            means: sums.iter().map(|v| *v as f32).collect(),
            deviations: squares.iter().map(|s| (s / below).sqrt() as f32).collect(),
        })
    }

    /// A draw of `family` to `z [P]`.
    pub(crate) fn draw_of(&self, family: usize, streams: &Streams, z: &mut [f32]) {
        normal::fill(&mut streams.rng(), z);
        let means = &self.means[family * z.len()..][..z.len()];
        z.iter_mut().zip(means.iter().zip(&self.deviations)).for_each(|(z, (m, s))| *z = m + s * *z);
    }

    /// Which family a uniform number in [0, 1) chooses.
    fn chosen(&self, u: f64) -> usize {
        let mut left = u;
        let within = self.shares.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        within.unwrap_or(self.shares.len() - 1)
    }
}

/// Networks that families are told from, at most.
pub(crate) const POINTS: usize = 400;

/// At most `most` of `all`, evenly chosen.
pub(crate) fn evenly(all: &[usize], most: usize) -> Vec<usize> {
    let n = all.len();
    if n <= most {
        return all.to_vec();
    }
    (0..most).map(|i| all[i * n / most]).collect()
}

impl Source {
    /// The standard Gaussian.
    pub const STANDARD: Self = Self::Gaussian { deviation: 1.0 };

    /// The source of this kind for `zoo`, whose final networks are standardised by `coordinates`; `runs` are those whose starts `Recorded` takes and
    /// whose final networks tell the `Families`.
    ///
    /// # Errors
    /// A zoo whose law is not known, or that recorded no starts.
    pub fn of(kind: SourceKind, zoo: &ZooStore, coordinates: &Coordinates, runs: &[usize]) -> Result<Self> {
        match kind {
            SourceKind::Families => Ok(Self::Families(FamilyLaw::of(zoo, coordinates, runs)?)),
            SourceKind::Recorded => Self::recorded(zoo, runs),
            law => Self::law(law, zoo),
        }
    }

    /// The source of this kind where it is a law that no final network tells.
    ///
    /// # Errors
    /// A zoo whose law is not known; a kind that is read from recorded networks.
    pub(crate) fn law(kind: SourceKind, zoo: &ZooStore) -> Result<Self> {
        Ok(match kind {
            SourceKind::Zoo => Self::Weights(zoo.initial_law()?),
            SourceKind::KaimingUniform => Self::Weights(InitialLaw::Kaiming(Initialisation::KaimingUniform)),
            SourceKind::KaimingNormal => Self::Weights(InitialLaw::Kaiming(Initialisation::KaimingNormal)),
            SourceKind::Gaussian => Self::STANDARD,
            recorded => {
                return Err(Error::parameter("source", "a law, for fits with contexts", format!("{recorded:?}")));
            }
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
            Self::Gaussian { deviation: 1.0 } => "standard Gaussian in standardised coordinates".into(),
            Self::Gaussian { deviation } => {
                format!("Gaussian of standard deviation {deviation} in standardised coordinates")
            }
            Self::Weights(InitialLaw::Kaiming(law)) => format!("fresh draws of {law:?}"),
            Self::Weights(InitialLaw::AroundCentre { noise, .. }) => {
                format!("fresh draws around the zoo's centre, relative noise {noise}")
            }
            Self::Families(law) => {
                let shares: Vec<_> = law.shares.iter().map(|share| format!("{:.0} %", 100.0 * share)).collect();
                format!("a Gaussian for each family of final networks ({})", shares.join(", "))
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
            Self::Gaussian { deviation } => normal_numbers(*deviation, &streams, z),
            Self::Families(law) => {
                if law.deviations.len() != z.len() {
                    let found = format!("[{}]", law.deviations.len());
                    return Err(Error::shape("source of families", format!("[{}]", z.len()), found));
                }
                let family = law.chosen(streams.child("family").rng().random());
                law.draw_of(family, &streams, z);
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

/// Draws `z` from N(0, deviation² I).
pub(crate) fn normal_numbers(deviation: f32, streams: &Streams, z: &mut [f32]) {
    normal::fill(&mut streams.rng(), z);
    if deviation != 1.0 {
        z.iter_mut().for_each(|z| *z *= deviation);
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
        assert_eq!(draw(&Source::STANDARD, 1, 5), draw(&Source::STANDARD, 1, 5));
        assert_ne!(draw(&Source::STANDARD, 1, 5), draw(&Source::STANDARD, 1, 6));
        let z: Vec<f32> = (0..3000).flat_map(|i| draw(&Source::STANDARD, 2, i)).collect();
        let (mean, square) = (z.iter().sum::<f32>() / 9e3, z.iter().map(|z| z * z).sum::<f32>() / 9e3);
        assert!(mean.abs() < 0.04 && (square - 1.0).abs() < 0.06, "{mean} {square}");
        let narrow = draw(&Source::Gaussian { deviation: 0.25 }, 1, 5);
        let standard = draw(&Source::STANDARD, 1, 5);
        assert!(narrow.iter().zip(&standard).all(|(narrow, z)| *narrow == 0.25 * z));
        assert!(recorded.is_probe() && !Source::STANDARD.is_probe());
    }
}
