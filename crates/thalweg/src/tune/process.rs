//! The controlled processes of adjoint matching (M12): dX = [c v(X, t) − (X − m₀)/(t + h)] dt + σ(t) s dB.
//!
//! | process | c | pull to m₀ | σ² | s | exact for |
//! | --- | --- | --- | --- | --- | --- |
//! | memoryless | 2 | 1/(t + h) | 2 (1 − t + h)/(t + h) | deviations of the source | Gaussian sources, independent coupling |
//! | general | 1 | none | noise² (1 − t + h) | 1 | nothing: see [`Control::General`] |
//!
//! h is one step of the mean size. Memoryless means that X₀ and X₁ are independent, so that no value of the start is left out when
//! X₁ is tilted; the source's covariance S = diag(s²) cancels from the drift (E[x₁|x] = x + (1 − t) v, and the score is
//! −S⁻¹ (x − m₀ − t v)/(1 − t)). Coordinates of variance 0 get no noise and no control.
use crate::coupling::Coupling;
use crate::method::MethodConfig;
use crate::model::{Control, TuneConfig};
use crate::path::Width;
use crate::space::latent::{Decoder, Space};
use crate::space::source::Source;
use crate::{Error, Layout, Result, Streams};
use rand::RngExt;
use rand_distr::StandardNormal;
use thalweg_nets::init::Initialisation;
use thalweg_nets::zoo::InitialLaw;

/// Noise of the general process where none is asked for.
const NOISE: f64 = 0.3;

/// What starts are drawn from, as points of the method.
#[derive(Clone)]
pub enum Start<'a> {
    /// N(mean, diag(deviation²)), `[P]` each.
    Normal {
        /// m₀.
        mean: Vec<f32>,
        /// s.
        deviation: Vec<f32>,
    },
    /// Draws of a source.
    Source(&'a Source, &'a Layout, Space<'a>),
}

impl Start<'_> {
    /// Draw `i` of the family `streams` to `z [P]`.
    ///
    /// # Errors
    /// A source that does not fit.
    pub fn draw(&self, i: u64, streams: &Streams, z: &mut [f32]) -> Result<()> {
        match self {
            Self::Normal { mean, deviation } => {
                let mut rng = streams.index(i).rng();
                for ((z, m), s) in z.iter_mut().zip(mean).zip(deviation) {
                    *z = m + s * rng.sample::<f32, _>(StandardNormal);
                }
                Ok(())
            }
            Self::Source(source, layout, space) => {
                z.copy_from_slice(&space.draw(source, i, layout, streams)?);
                Ok(())
            }
        }
    }
}

/// Mean and deviations of a source as points of the method; none where it is not (close to) Gaussian with a diagonal covariance.
fn normal(source: &Source, layout: &Layout, space: Space) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
    let law = match (source, space.latent) {
        (Source::Gaussian { deviation }, _) => {
            return Ok(Some((vec![0.0; space.dimension()], vec![*deviation; space.dimension()])));
        }
        (Source::Weights(law), None) => law,
        // Encoding mixes weights: their covariance is no longer diagonal.
        (Source::Weights(_), Some(_)) | (Source::Recorded(_) | Source::Families(_), _) => return Ok(None),
    };
    let (mut mean, mut deviation) = law.moments(layout)?;
    // Running variances are standardised through their logarithm; every law starts them at a constant, so they have no deviation.
    space.coordinates.standardise(&mut mean);
    deviation.iter_mut().zip(space.coordinates.scale()).for_each(|(d, s)| *d /= s);
    Ok(Some((mean, deviation)))
}

/// One process with its starts.
#[derive(Clone)]
pub struct Process<'a> {
    /// Where it starts.
    pub start: Start<'a>,
    /// The noise of the general process; none for the memoryless one.
    noise: Option<f64>,
    /// s² `[P]`, or empty for 1.
    variance: Vec<f32>,
    offset: f64,
}

/// The numbers of one step from t of size d.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// c: how much of the drift the velocity is.
    pub velocity: f32,
    /// 1/(t + h), the pull to m₀.
    pub reversion: f32,
    /// σ(t).
    pub sigma: f32,
    /// d.
    pub step: f32,
}

impl<'a> Process<'a> {
    /// The memoryless process from N(mean, diag(deviation²)), `[P]` each, in `steps` steps.
    pub fn memoryless(mean: Vec<f32>, deviation: Vec<f32>, steps: usize) -> Self {
        let variance = deviation.iter().map(|s| s * s).collect();
        Self { start: Start::Normal { mean, deviation }, noise: None, variance, offset: 1.0 / steps as f64 }
    }

    /// The general process.
    pub fn general(start: Start<'a>, noise: f64, steps: usize) -> Self {
        Self { start, noise: Some(noise), variance: Vec::new(), offset: 1.0 / steps as f64 }
    }

    /// The process that `config` asks for, for a model of this method and source.
    ///
    /// # Errors
    /// The memoryless process for a model that it is wrong for.
    pub fn of(
        config: &TuneConfig,
        method: &MethodConfig,
        source: &'a Source,
        layout: &'a Layout,
        space: Space<'a>,
    ) -> Result<Self> {
        let straight = matches!(
            method,
            MethodConfig::Cfm(c) if c.coupling == Coupling::Independent && c.width == (Width::Constant { sigma: 0.0 })
        );
        let normal = normal(source, layout, space)?.filter(|_| straight);
        let start = || Start::Source(source, layout, space);
        match (config.control, normal) {
            (Control::Auto | Control::Memoryless, Some((mean, deviation))) => {
                Ok(Self::memoryless(mean, deviation, config.steps))
            }
            (Control::Auto, None) => Ok(Self::general(start(), NOISE, config.steps)),
            (Control::General { noise }, _) => Ok(Self::general(start(), noise, config.steps)),
            (Control::Memoryless, None) => {
                let expected = "a model of cfm with method.cfm.coupling = independent, method.cfm.width = 0 and method.cfm.source = gaussian; \
                     control = general takes every other";
                Err(Error::unsupported(
                    "memoryless control",
                    format!("{} from {}", method.name(), source.describe()),
                    expected,
                ))
            }
        }
    }

    /// In words, with the bias that remains.
    pub fn describe(&self, source: &Source) -> String {
        match (self.noise, source) {
            (Some(noise), _) => format!(
                "general control with noise {noise}: the law is tilted given its starts, not as a whole, and sampled without \
                 the noise"
            ),
            (
                None,
                Source::Weights(InitialLaw::Kaiming(Initialisation::KaimingUniform | Initialisation::HeUniform)),
            ) => "memoryless, with the uniform source replaced by the normal law of its variances while tuning".into(),
            (None, _) => "memoryless: exact up to discretisation and fit".into(),
        }
    }

    /// The coefficients at `t` for a step of size `d`.
    pub fn at(&self, t: f64, d: f64) -> Coefficients {
        let h = self.offset;
        let (velocity, reversion, square) = match self.noise {
            Some(noise) => (1.0, 0.0, noise * noise * (1.0 - t + h)),
            None => (2.0, 1.0 / (t + h), 2.0 * (1.0 - t + h) / (t + h)),
        };
        Coefficients { velocity, reversion: reversion as f32, sigma: square.sqrt() as f32, step: d as f32 }
    }

    /// m₀ of coordinate `i`.
    pub fn mean(&self, i: usize) -> f32 {
        match &self.start {
            Start::Normal { mean, .. } if self.noise.is_none() => mean[i],
            _ => 0.0,
        }
    }

    /// s² of coordinate `i`.
    pub fn variance(&self, i: usize) -> f32 {
        self.variance.get(i).copied().unwrap_or(1.0)
    }
}

/// The times of an iteration: 0, then `steps` − 1 times at unit share of the mean step, shifted together by a random part of a
/// step, then 1. The shift lets the field be trained at every time, not on one grid between whose points it is free.
pub fn grid(steps: usize, streams: &Streams) -> Vec<f64> {
    let shift = streams.rng().random::<f64>() - 0.5;
    let inner = (1..steps).map(|k| (k as f64 + shift) / steps as f64);
    [0.0].into_iter().chain(inner).chain([1.0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::CfmConfig;
    use crate::space::coordinates::{Coordinates, Standardiser};
    use crate::space::source::SourceKind;
    use thalweg_nets::Architecture;

    /// A network with batch normalisation, and coordinates of it.
    fn setting() -> (Layout, Coordinates) {
        let net = "input = [1, 4, 4]\nlayers = [{ kind = \"conv\", out = 3, kernel = 2 }, { kind = \"batch-norm\" }, { kind = \"flatten\" }, { kind = \"dense\", out = 2 }]";
        let layout = Layout::of(&Architecture::from_toml_str(net).unwrap());
        let mut rng = Streams::new(1).rng();
        let p = layout.len();
        let (mean, scale) =
            ((0..p).map(|_| rng.random::<f32>()).collect(), (0..p).map(|_| 0.5 + rng.random::<f32>()).collect());
        let coordinates = Coordinates::from_parts(Standardiser::PerParameter, &layout, mean, scale).unwrap();
        (layout, coordinates)
    }

    /// The process, and what its noise is.
    fn process(coupling: Coupling, source: &Source, control: Control) -> Result<(Process<'static>, Option<f64>)> {
        let (layout, coordinates) = setting();
        let method = MethodConfig::Cfm(CfmConfig { coupling, source: SourceKind::Zoo, ..CfmConfig::default() });
        let config = TuneConfig { control, ..TuneConfig::default() };
        let space = Space { coordinates: &coordinates, latent: None };
        let made = Process::of(&config, &method, source, &layout, space)?;
        let start = match &made.start {
            Start::Normal { mean, deviation } => (mean.clone(), deviation.clone()),
            Start::Source(..) => (vec![], vec![]),
        };
        Ok((Process::memoryless(start.0, start.1, config.steps), made.noise))
    }

    #[test]
    fn starts_of_the_memoryless_process_are_those_of_the_source() {
        let (layout, coordinates) = setting();
        let centre: Vec<f32> = (0..layout.len()).map(|i| 0.2 + (i as f32).cos().abs()).collect();
        for law in [
            InitialLaw::Kaiming(Initialisation::KaimingNormal),
            InitialLaw::AroundCentre { centre: centre.clone(), noise: 0.3 },
        ] {
            let source = Source::Weights(law);
            let process = process(Coupling::Independent, &source, Control::Auto).unwrap().0;
            let (n, p) = (4000, layout.len());
            let draw = |f: &dyn Fn(u64, &mut [f32])| {
                let mut z = vec![0.0; n * p];
                z.chunks_exact_mut(p).enumerate().for_each(|(i, z)| f(i as u64, z));
                z
            };
            let ours = draw(&|i, z| process.start.draw(i, &Streams::new(1), z).unwrap());
            let theirs = draw(&|i, z| source.draw(i, &layout, &coordinates, &Streams::new(2), z).unwrap());
            for i in 0..p {
                let moments = |z: &[f32]| {
                    let column = || z.iter().skip(i).step_by(p).map(|v| f64::from(*v));
                    let mean = column().sum::<f64>() / n as f64;
                    (mean, (column().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt())
                };
                let ((a, s), (b, r)) = (moments(&ours), moments(&theirs));
                assert!((a - b).abs() < 0.1 * r + 1e-4 && (s - r).abs() < 0.06 * r + 1e-5, "{i}: {a} {s}, {b} {r}");
                assert!((f64::from(process.variance(i)).sqrt() - r).abs() < 0.06 * r + 1e-5);
            }
        }
    }

    #[test]
    fn the_memoryless_process_is_refused_where_it_is_wrong() {
        let message = process(Coupling::Paired, &Source::STANDARD, Control::Memoryless).err().unwrap().to_string();
        assert!(message.contains("coupling = independent"), "{message}");
        let paired = process(Coupling::Paired, &Source::STANDARD, Control::Auto).unwrap();
        assert_eq!(paired.1, Some(NOISE));
        let (layout, _) = setting();
        let recorded = Source::Recorded(vec![0.0; layout.len()]);
        assert!(process(Coupling::Independent, &recorded, Control::Memoryless).is_err());
        assert!(process(Coupling::Independent, &Source::STANDARD, Control::Auto).unwrap().1.is_none());
    }

    #[test]
    fn grids_are_shifted_but_whole() {
        for seed in 0..50 {
            let times = grid(10, &Streams::new(seed));
            assert_eq!((times.len(), times[0], times[10]), (11, 0.0, 1.0));
            assert!(times.windows(2).all(|w| w[1] - w[0] > 0.049 && w[1] - w[0] < 0.151), "{times:?}");
        }
    }
}
