//! [`LatentConfig`]: which autoencoder, with its parameters; its fit and the record of that. The only place that knows all of them.
use super::super::points::{Held, Points};
use super::functional::FunctionalConfig;
use super::{Autoencoder, DenoisingConfig, LatentTask, Pca, PcaConfig, VaeConfig};
use crate::{Layout, Result, Streams, interrupt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use thalweg_nets::memory;

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
    /// What evaluated networks for the functional term, where that was not the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub functional_by: Option<String>,
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
    /// Fewer points than dimensions ask for, points that span less, a loss that is not finite, [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn fit(&self, task: &LatentTask) -> Result<(Box<dyn Autoencoder>, LatentRecord)> {
        let p = task.layout.len();
        let [points, held_out] = [task.points, task.held_out].map(|points| Held::new(points, p));
        let (points, held_out) = (points?, held_out?);
        let (autoencoder, trained): (Box<dyn Autoencoder>, _) = match self {
            Self::Pca(c) => return fit_pca(c, &points, &held_out),
            Self::Vae(c) => c.fit(task).map(|(net, trained)| (Box::new(net) as _, trained))?,
            Self::Denoising(c) => c.fit(task).map(|(net, trained)| (Box::new(net) as _, trained))?,
        };
        let record = LatentRecord {
            checkpoints: Vec::new(),
            points: task.points.len() / p,
            error: squared_error(&*autoencoder, &points)?.unwrap_or(0.0),
            error_held_out: squared_error(&*autoencoder, &held_out)?,
            best_step: trained.best_step,
            best_loss: trained.best_loss,
            functional_by: None,
            seconds: trained.seconds,
        };
        task.progress.note(&format!(
            "{}: step {} kept, mean squared error {:.3}{}, latents {}",
            self.name(),
            record.best_step,
            record.error,
            record.error_held_out.map_or(String::new(), |e| format!(" ({e:.3} on held-out runs)")),
            normalisation(&*autoencoder)
        ));
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

/// What latents were divided by, in words.
pub(crate) fn normalisation(autoencoder: &dyn Autoencoder) -> String {
    let scales = autoencoder.scales().iter().copied();
    let [smallest, largest] = [scales.clone().fold(f32::INFINITY, f32::min), scales.fold(0.0, f32::max)];
    match smallest == 1.0 && largest == 1.0 {
        true => "not normalised".to_owned(),
        false => format!("normalised from deviations of {smallest:.3} to {largest:.3}"),
    }
}

/// Principal components of `points`, wherever they lie, and how they came out on them and on `held_out`.
///
/// # Errors
/// As [`Pca::fit_to`].
pub(crate) fn fit_pca(
    config: &PcaConfig,
    points: &dyn Points,
    held_out: &dyn Points,
) -> Result<(Box<dyn Autoencoder>, LatentRecord)> {
    let clock = Instant::now();
    let pca = Pca::fit_to(config, points)?;
    let seconds = clock.elapsed().as_secs_f64();
    let record = LatentRecord {
        points: points.count(),
        error: squared_error(&pca, points)?.unwrap_or(0.0),
        error_held_out: squared_error(&pca, held_out)?,
        seconds,
        ..LatentRecord::default()
    };
    Ok((Box::new(pca), record))
}

/// The networks (run, checkpoint) that an autoencoder of networks of `p` weights is fitted to: `checkpoints` of `runs`, all of them, or of as many
/// runs, evenly chosen, as it takes points.
pub fn training_items(config: &LatentConfig, p: usize, runs: &[usize], checkpoints: &[usize]) -> Vec<(usize, usize)> {
    let most = (config.most_points(p) / checkpoints.len().max(1)).max(1).min(runs.len());
    let chosen = (0..most).map(|i| runs[i * runs.len() / most]);
    chosen.flat_map(|run| checkpoints.iter().map(move |&checkpoint| (run, checkpoint))).collect()
}

/// Bytes of points that a training holds.
const TRAINING_BYTES: usize = 256 << 20;

/// Mean squared error of the reconstruction of `points`; none where there are none.
pub(super) fn squared_error(autoencoder: &dyn Autoencoder, points: &dyn Points) -> Result<Option<f64>> {
    /// Points whose errors are summed before they are added to those of others.
    const SUMMED: usize = 256;
    let (n, p) = (points.count(), points.dimension());
    let at_once = memory::rows(64 * p as u64, SUMMED);
    let mut total = 0.0;
    for first in (0..n).step_by(SUMMED) {
        let (end, mut sum) = ((first + SUMMED).min(n), 0.0);
        for first in (first..end).step_by(at_once) {
            interrupt::check()?;
            let block = points.rows(first..(first + at_once).min(end))?;
            let back = autoencoder.decode(&autoencoder.encode(&block));
            sum = back.iter().zip(&block).fold(sum, |sum, (a, b)| sum + f64::from((a - b) * (a - b)));
        }
        total += sum;
    }
    Ok((n > 0).then(|| total / (n as f64 * p as f64)))
}
