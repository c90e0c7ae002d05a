//! What follows from a zoo and a configuration before the first step of a fit: coordinates, latent space, source, marginals and
//! their times; and the data that the fit draws from them.
use super::options::{FitOptions, named};
use crate::coupling::Coupling;
use crate::method::Method;
use crate::model::FitConfig;
use crate::path::Batch;
use crate::path::curves::{self, Curves, Marginal};
use crate::path::time_grid;
use crate::space::coordinates::Coordinates;
use crate::space::latent::{Autoencoder, LatentConfig, LatentRecord, LatentTask, Space, fit_pca, training_items};
use crate::space::points::{Points, Stored};
use crate::space::source::Source;
use crate::train::Checkpointing;
use crate::{Error, Result, Streams};
use std::sync::Arc;
use thalweg_nets::memory;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{RunSplit, ZooStore};

/// What follows from zoo and configuration before the first step.
pub(crate) struct Plan {
    /// M2, by the final checkpoints of the training runs.
    pub coordinates: Coordinates,
    /// M8, by the checkpoints of the training runs that the method trains on.
    pub latent: Option<Arc<dyn Autoencoder>>,
    /// How that came out.
    pub latent_record: Option<LatentRecord>,
    /// p₀.
    pub source: Source,
    /// Marginals that the method trains on.
    pub marginals: Vec<Marginal>,
    /// Their times.
    pub times: Vec<f64>,
}

impl Plan {
    /// What follows from `zoos` with the splits of their runs: one zoo, or one a task, all of one layout and one law of starts.
    ///
    /// # Errors
    /// A configuration that does not fit the zoos, zoos that do not fit each other, a file that cannot be read, or [`crate::Error::Interrupted`] while
    /// an autoencoder is trained.
    pub fn new(
        zoos: &[(&ZooStore, &RunSplit)],
        config: &FitConfig,
        options: &FitOptions,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let (zoo, split) = zoos[0];
        let at_once = memory::rows(16 * zoo.parameters() as u64, 64);
        let chunks = zoos.iter().flat_map(|(zoo, split)| split.train.chunks(at_once).map(|runs| zoo.finals(runs)));
        let coordinates = Coordinates::fit(config.standardiser, zoo.layout(), chunks)?;
        let mut source = Source::of(config.method.source(), zoo, &coordinates, &split.train)?;
        if let Source::Gaussian { deviation } = &mut source {
            *deviation = config.method.source_deviation() as f32;
        }
        let wanted = config.method.marginals();
        let (checkpoints, marginals, times) = match (zoo.checkpoints(), wanted) {
            // Final networks only: the source is all there is before them.
            (1, 2) => (vec![0], vec![Marginal::Source, Marginal::Checkpoint(0)], vec![0.0, 1.0]),
            (k, wanted) => {
                let grid = config.time_grid.times(zoo, &split.train)?;
                let chosen = time_grid::choose(k, wanted)?;
                let times = chosen.iter().map(|&i| grid[i]).collect();
                let mut marginals: Vec<_> = chosen.iter().copied().map(Marginal::Checkpoint).collect();
                if config.method.coupling() != Coupling::Paired {
                    marginals[0] = Marginal::Source;
                }
                (chosen, marginals, times)
            }
        };
        // A Gaussian source is Gaussian in the latent space itself: then no start is ever encoded.
        let starts = marginals[0] != Marginal::Source || !matches!(source, Source::Gaussian { .. });
        let encoded = if starts || checkpoints.len() == 1 { &checkpoints[..] } else { &checkpoints[1..] };
        let fitted = config
            .latent
            .as_ref()
            .map(|latent| fit_latent(latent, config, zoos, &coordinates, encoded, options, progress))
            .transpose()?;
        let (latent, latent_record) = fitted.map(|(latent, record)| (Arc::from(latent), record)).unzip();
        Ok(Self { coordinates, latent, latent_record, source, marginals, times })
    }

    /// Where the method's points live.
    pub fn space(&self) -> Space<'_> {
        Space { coordinates: &self.coordinates, latent: self.latent.as_deref() }
    }

    /// The runs seen as curves through the marginals.
    ///
    /// # Errors
    /// A coupling that does not fit, or a file that cannot be read.
    pub fn curves<'a>(&'a self, zoo: &'a ZooStore, config: &FitConfig, split: &RunSplit) -> Result<Curves<'a>> {
        let runs = [&split.train[..], &split.validation].concat();
        let (coupling, marginals) = (config.method.coupling(), self.marginals.clone());
        let curves = Curves::new(zoo, &runs, self.space(), &self.source, coupling, marginals, curves::budget())?;
        let starts = Streams::new(config.seed).child("fit").child("starts");
        Ok(curves.with_starts(config.method.source_points(), starts))
    }

    /// One fixed batch of the held-out runs, if there are any: every validation sees the same points, so they can be compared.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn held_out(
        &self,
        curves: &Curves,
        config: &FitConfig,
        split: &RunSplit,
        method: &dyn Method,
        streams: &Streams,
    ) -> Result<Option<Batch>> {
        if split.validation.is_empty() {
            return Ok(None);
        }
        let drawn = curves.draw(&split.validation, config.validation_points, &streams.child("curves"))?;
        method.batch(&drawn, None, &streams.child("path")).map(Some)
    }
}

/// An autoencoder fitted to `checkpoints` of the training runs; those of the validation runs choose where it is trained by steps.
fn fit_latent(
    config: &LatentConfig,
    fit: &FitConfig,
    zoos: &[(&ZooStore, &RunSplit)],
    coordinates: &Coordinates,
    checkpoints: &[usize],
    options: &FitOptions,
    progress: &dyn Progress,
) -> Result<(Box<dyn Autoencoder>, LatentRecord)> {
    let ((zoo, _), streams) = (zoos[0], Streams::new(fit.seed).child("fit").child("latent"));
    let identity = latent_identity(config, fit, zoos, checkpoints, options)?;
    let kept = options.latents.as_ref().map(|folder| folder.join(format!("{}.safetensors", &identity[..16])));
    if let Some(folder) = &options.latents {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    let saving = kept.as_deref().map(|path| Checkpointing {
        path,
        identity: &identity,
        every: options.save_every,
        last: true,
        resume: true,
    });
    let stored = |runs: fn(&RunSplit) -> &[usize]| {
        let p = zoo.parameters();
        let items = zoos.iter().enumerate().flat_map(|(i, (_, split))| {
            training_items(config, p, runs(split), checkpoints)
                .into_iter()
                .map(move |(run, checkpoint)| (i, run, checkpoint))
        });
        let items = thinned(items.collect(), config.most_points(p));
        Stored::new(zoos.iter().map(|(zoo, _)| *zoo).collect(), coordinates, items)
    };
    let (training, held_out) = (stored(|split| &split.train), stored(|split| &split.validation));
    if let LatentConfig::Pca(pca) = config {
        let (autoencoder, record) = fit_pca(pca, &training, &held_out)?;
        return Ok((autoencoder, LatentRecord { checkpoints: checkpoints.to_vec(), ..record }));
    }
    let all = |points: &Stored| points.rows(0..points.count());
    let (training, held_out) = (all(&training)?, all(&held_out)?);
    let probes = options.probes.as_ref();
    let functional = config.functional().of_zoo(zoo, probes, coordinates)?;
    let (autoencoder, record) = config.fit(&LatentTask {
        layout: zoo.layout(),
        points: &training,
        held_out: &held_out,
        functional: functional.as_ref(),
        streams: &streams,
        saving,
        progress,
    })?;
    let functional_by = probes.map(|probes| probes.name.clone());
    Ok((autoencoder, LatentRecord { checkpoints: checkpoints.to_vec(), functional_by, ..record }))
}

/// Names an autoencoder: all that decides its bytes.
fn latent_identity(
    config: &LatentConfig,
    fit: &FitConfig,
    zoos: &[(&ZooStore, &RunSplit)],
    checkpoints: &[usize],
    options: &FitOptions,
) -> Result<String> {
    let ids: Vec<&str> = zoos.iter().map(|(zoo, _)| zoo.origin().id()).collect();
    let by = options.probes.as_ref().map_or("", |probes| &probes.name);
    let parts = serde_json::to_string(&(ids, config, fit.seed, &fit.split, fit.standardiser, checkpoints))
        .map_err(|e| Error::parameter("latent", "values that JSON can hold", e))?;
    Ok(named(&format!("{parts}{by}"), options.probes.as_ref()))
}

/// At most `most` of `items`, evenly chosen: zoos of many tasks have more together than an autoencoder takes.
fn thinned<T: Copy>(items: Vec<T>, most: usize) -> Vec<T> {
    let n = items.len();
    if n <= most {
        return items;
    }
    (0..most).map(|i| items[i * n / most]).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
