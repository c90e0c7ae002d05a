//! [`LatentConfig`]: which autoencoder, with its parameters; its fit and the record of that. The only place that knows all of them.
use super::super::coordinates::Coordinates;
use super::functional::FunctionalConfig;
use super::training::Trained;
use super::{Autoencoder, DenoisingConfig, LatentTask, Pca, PcaConfig, VaeConfig};
use crate::{Layout, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use thalweg_nets::zoo::ZooStore;

/// Which autoencoder, and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LatentConfig {
    /// Principal components.
    Pca(PcaConfig),
    /// A variational autoencoder.
    Vae(VaeConfig),
    /// A denoising autoencoder.
    Denoising(DenoisingConfig),
}

/// How an autoencoder came out, as `model.toml` holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
pub(super) fn squared_error(autoencoder: &dyn Autoencoder, points: &[f32], p: usize) -> f64 {
    let mut total = 0.0;
    for block in points.chunks(256 * p) {
        let back = autoencoder.decode(&autoencoder.encode(block));
        total += back.iter().zip(block).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>();
    }
    total / points.len() as f64
}
