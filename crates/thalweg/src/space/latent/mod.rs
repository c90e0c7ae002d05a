//! Latent spaces (M8): a weight autoencoder between standardised weights z `[P]` and latents y `[D]`, in which any method can run.
//!
//! A flow in a latent space trains on encoded checkpoints and decodes what it samples. Latents are normalised, each to mean 0 and
//! deviation 1 over the training points, and the model card tells their scale. An autoencoder bounds what a flow in it can reach: judge its
//! reconstructions by the accuracy of decoded networks, beside the samples. [`Space`] is the way from weights to a method's points and back.
//!
//! | autoencoder | what | when |
//! | --- | --- | --- |
//! | [`Pca`] | principal components, in closed form | the floor; hard to beat on zoos of some hundred runs |
//! | [`VaeConfig`] | variational, trained | where points lie along few curved directions and noise |
//! | [`DenoisingConfig`] | p-diff's, trained | tails of one run |
mod denoising;
mod functional;
mod half;
mod learned;
mod objective;
pub mod pca;
mod stack;
mod tokens;
mod training;
mod trunk;
mod vae;

pub use denoising::DenoisingConfig;
pub use functional::{Functional, FunctionalConfig};
pub use half::{CoderConfig, StackConfig, TokensConfig};
pub use learned::Learned;
pub use pca::{Pca, PcaConfig};
pub use training::{Trained, TrainingConfig};
pub use vae::VaeConfig;

pub use crate::train::Saving;

use super::coordinates::Coordinates;
use super::source::Source;
use crate::{Error, Layout, Result, Streams};
use crate::nn::normal;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;

/// The way from points to what they stand for, with its derivative. A row's bytes do not depend on the other rows.
pub trait Decoder: Send + Sync {
    /// D, numbers of a point.
    fn dimension(&self) -> usize;

    /// What `points [n, D]` stand for, `[n, P]`.
    fn decode(&self, points: &[f32]) -> Vec<f32>;

    /// Pulls `gradients [n, P]`, the derivative of a scalar with respect to `decoded [n, P]`, back to the `points [n, D]` that were decoded: `[n, D]`.
    fn pull_back(&self, points: &[f32], decoded: &[f32], gradients: Vec<f32>) -> Vec<f32>;
}

/// A weight autoencoder; it decodes to standardised weights.
pub trait Autoencoder: Decoder {
    /// Latents `[n, D]` of standardised weights `z [n, P]`.
    fn encode(&self, z: &[f32]) -> Vec<f32>;

    /// Standard deviations that latents had before they were normalised `[D]`.
    fn scales(&self) -> &[f32];

    /// Names, shapes and places of the parameters.
    fn layout(&self) -> &Layout;

    /// All parameters, as they are saved.
    fn parameters(&self) -> &[f32];

    /// All parameters, to be read back.
    fn parameters_mut(&mut self) -> &mut [f32];
}

/// Which autoencoder, and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LatentConfig {
    /// Principal components.
    Pca(PcaConfig),
    /// A variational autoencoder.
    Vae(VaeConfig),
    /// A denoising autoencoder.
    Denoising(DenoisingConfig),
}

/// What an autoencoder is fitted to.
#[derive(Clone, Copy)]
pub struct LatentTask<'a> {
    /// Of the networks, P numbers in all.
    pub layout: &'a Layout,
    /// Standardised weights `[n, P]` to learn from.
    pub points: &'a [f32],
    /// Standardised weights `[m, P]` of runs that only choose; may be empty.
    pub held_out: &'a [f32],
    /// The functional term, where the configuration asks for one.
    pub functional: Option<&'a Functional>,
    /// Of all that is random in the fit.
    pub streams: &'a Streams,
    /// Where the state of a training is kept.
    pub saving: Option<Saving<'a>>,
    /// Who watches.
    pub progress: &'a dyn Progress,
}

/// How an autoencoder came out, as `model.toml` holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LatentRecord {
    /// Checkpoints of the training runs that it was fitted to; empty where that is not known.
    pub checkpoints: Vec<usize>,
    /// Points that it was fitted to.
    pub points: usize,
    /// Mean squared error of their reconstruction, in standardised weights (1: no better than the mean of the finals is on finals).
    pub error: f64,
    /// The same for held-out points; none where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_held_out: Option<f64>,
    /// The step whose averaged parameters were kept; 0 for a closed form.
    pub best_step: u64,
    /// Held-out loss there; none for a closed form, and where nothing was held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_loss: Option<f64>,
    /// Wall time in seconds; kept beside the model, not in it.
    #[serde(skip)]
    pub seconds: f64,
}

impl LatentConfig {
    /// # Errors
    /// A size outside its range.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Pca(c) => c.check(),
            Self::Vae(c) => c.check(),
            Self::Denoising(c) => c.check(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pca(_) => "pca",
            Self::Vae(_) => "vae",
            Self::Denoising(_) => "denoising",
        }
    }

    /// D.
    pub fn dimension(&self) -> usize {
        match self {
            Self::Pca(c) => c.dimension,
            Self::Vae(c) => c.dimension,
            Self::Denoising(c) => c.dimension,
        }
    }

    /// The most points of `p` numbers that a fit takes: what a closed form can solve, or what memory is set aside for.
    pub(crate) fn most_points(&self, p: usize) -> usize {
        match self {
            Self::Pca(_) => 1024,
            Self::Vae(_) | Self::Denoising(_) => (TRAINING_BYTES / (p * size_of::<f32>())).max(1),
        }
    }

    /// The functional term that is asked for.
    pub fn functional(&self) -> FunctionalConfig {
        match self {
            Self::Pca(_) => FunctionalConfig::default(),
            Self::Vae(c) => c.training.functional,
            Self::Denoising(c) => c.training.functional,
        }
    }

    /// Fits the autoencoder.
    ///
    /// # Errors
    /// Fewer points than dimensions ask for, points that span less, a loss that is not finite, [`Error::Interrupted`].
    pub fn fit(&self, task: &LatentTask) -> Result<(Box<dyn Autoencoder>, LatentRecord)> {
        let (clock, p) = (Instant::now(), task.layout.len());
        let (autoencoder, trained): (Box<dyn Autoencoder>, _) = match self {
            Self::Pca(c) => {
                let pca = Pca::fit(c, task.points, p)?;
                (Box::new(pca), Trained { best_step: 0, best_loss: None, seconds: clock.elapsed().as_secs_f64() })
            }
            Self::Vae(c) => c.fit(task).map(|(net, trained)| (Box::new(net) as _, trained))?,
            Self::Denoising(c) => c.fit(task).map(|(net, trained)| (Box::new(net) as _, trained))?,
        };
        let record = LatentRecord {
            checkpoints: Vec::new(),
            points: task.points.len() / p,
            error: squared_error(&*autoencoder, task.points, p),
            error_held_out: (!task.held_out.is_empty()).then(|| squared_error(&*autoencoder, task.held_out, p)),
            best_step: trained.best_step,
            best_loss: trained.best_loss,
            seconds: trained.seconds,
        };
        if !matches!(self, Self::Pca(_)) {
            let range = |f: fn(f32, f32) -> f32, from| autoencoder.scales().iter().copied().fold(from, f);
            task.progress.note(&format!(
                "{}: step {} kept, mean squared error {:.3}{}, latents normalised from deviations of {:.3} to {:.3}",
                self.name(),
                record.best_step,
                record.error,
                record.error_held_out.map_or(String::new(), |e| format!(" ({e:.3} on held-out runs)")),
                range(f32::min, f32::INFINITY),
                range(f32::max, 0.0)
            ));
        }
        Ok((autoencoder, record))
    }

    /// An autoencoder of this shape for networks of `layout` whose parameters are still to be read.
    ///
    /// # Errors
    /// A size outside its range.
    pub fn unfitted(&self, layout: &Layout) -> Result<Box<dyn Autoencoder>> {
        let streams = Streams::new(0);
        Ok(match self {
            Self::Pca(c) => Box::new(Pca::unfitted(c, layout.len())?),
            Self::Vae(c) => Box::new(c.untrained(layout, &streams)?),
            Self::Denoising(c) => Box::new(c.untrained(layout, &streams)?),
        })
    }
}

/// Standardised weights `[n, P]` that an autoencoder is fitted to: `checkpoints` of `runs`, all of them, or of as many runs, evenly chosen, as
/// it takes points.
///
/// # Errors
/// A run or checkpoint beyond the zoo, or a file that cannot be read.
pub fn training_points(
    config: &LatentConfig,
    zoo: &ZooStore,
    coordinates: &Coordinates,
    runs: &[usize],
    checkpoints: &[usize],
) -> Result<Vec<f32>> {
    let most = (config.most_points(zoo.parameters()) / checkpoints.len().max(1)).max(1).min(runs.len());
    let chosen = (0..most).map(|i| runs[i * runs.len() / most]);
    let items: Vec<_> = chosen.flat_map(|run| checkpoints.iter().map(move |&checkpoint| (run, checkpoint))).collect();
    let mut points = vec![0.0; items.len() * zoo.parameters()];
    zoo.gather(&items, &mut points)?;
    coordinates.standardise(&mut points);
    Ok(points)
}

/// Bytes of points that a training holds.
const TRAINING_BYTES: usize = 256 << 20;

/// Mean squared error of the reconstruction of `points [n, P]`.
fn squared_error(autoencoder: &dyn Autoencoder, points: &[f32], p: usize) -> f64 {
    let mut total = 0.0;
    for block in points.chunks(256 * p) {
        let back = autoencoder.decode(&autoencoder.encode(block));
        total += back.iter().zip(block).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>();
    }
    total / points.len() as f64
}

/// Checks D; `field` is its name in the error.
fn check_dimension(field: &str, dimension: usize) -> Result<()> {
    match dimension {
        1..=1_024 => Ok(()),
        other => Err(Error::parameter(field, "1 to 1,024", other)),
    }
}

/// Where a method's points live: standardised weights, or latents of them.
#[derive(Clone, Copy)]
pub struct Space<'a> {
    /// M2.
    pub coordinates: &'a Coordinates,
    /// M8, where the method runs in a latent space.
    pub latent: Option<&'a dyn Autoencoder>,
}

impl Space<'_> {
    /// Points `[n, D]` of weights `theta [n, P]`.
    pub fn points(&self, mut theta: Vec<f32>) -> Vec<f32> {
        self.coordinates.standardise(&mut theta);
        self.encoded(theta)
    }

    /// Draw `i` of `source`: a point `[D]`. A Gaussian source is standard in the space itself.
    ///
    /// # Errors
    /// A law that does not fit the layout.
    pub fn draw(&self, source: &Source, i: u64, layout: &Layout, streams: &Streams) -> Result<Vec<f32>> {
        if let (Source::Gaussian, Some(latent)) = (source, self.latent) {
            let mut y = vec![0.0; latent.dimension()];
            normal::fill(&mut streams.index(i).rng(), &mut y);
            return Ok(y);
        }
        let mut z = vec![0.0; self.coordinates.dimension()];
        source.draw(i, layout, self.coordinates, streams, &mut z)?;
        Ok(self.encoded(z))
    }

    /// Weights `theta [n, P]` to points and back `[n, P]`, and the mean squared error of the standardised weights.
    pub fn reconstruct(&self, theta: &[f32]) -> (Vec<f32>, f64) {
        let mut z = theta.to_vec();
        self.coordinates.standardise(&mut z);
        let Some(latent) = self.latent else { return (theta.to_vec(), 0.0) };
        let mut back = latent.decode(&latent.encode(&z));
        let error = back.iter().zip(&z).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>() / z.len() as f64;
        self.coordinates.restore(&mut back);
        (back, error)
    }

    fn encoded(&self, z: Vec<f32>) -> Vec<f32> {
        match self.latent {
            Some(latent) => latent.encode(&z),
            None => z,
        }
    }
}

/// Points decode to weights θ, through M8 and M2.
impl Decoder for Space<'_> {
    fn dimension(&self) -> usize {
        self.latent.map_or(self.coordinates.dimension(), |latent| latent.dimension())
    }

    fn decode(&self, points: &[f32]) -> Vec<f32> {
        let mut theta = self.latent.map_or_else(|| points.to_vec(), |latent| latent.decode(points));
        self.coordinates.restore(&mut theta);
        theta
    }

    fn pull_back(&self, points: &[f32], theta: &[f32], mut gradients: Vec<f32>) -> Vec<f32> {
        self.coordinates.pull_back(theta, &mut gradients);
        match self.latent {
            Some(latent) => {
                let mut z = theta.to_vec();
                self.coordinates.standardise(&mut z);
                latent.pull_back(points, &z, gradients)
            }
            None => gradients,
        }
    }
}

/// Checks that `points` are `[n, P]` with n at least `least`.
fn check_points(points: &[f32], p: usize, least: usize) -> Result<usize> {
    if p == 0 || !points.len().is_multiple_of(p) || points.len() / p < least {
        let expected = format!("[n, {p}] with n at least {least}");
        return Err(Error::shape("points to fit an autoencoder to", expected, format!("[{}]", points.len())));
    }
    Ok(points.len() / p)
}
