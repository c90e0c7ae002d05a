//! What becomes of networks that are encoded and decoded again.
//!
//! A reconstruction is judged by the accuracy of the decoded networks at every checkpoint, not by its error alone, on runs that the
//! autoencoder was trained on and on runs that it never saw, beside principal components of as many dimensions fitted to the same points.
use super::Part;
use crate::data;
use crate::report::figures::mean_sem;
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::study::Labelled;
use crate::table::{Cell, Table, Weight};
use anyhow::{Context, Result};
use thalweg::model::MetaModel;
use thalweg::space::latent::{Autoencoder, LatentConfig, Pca, PcaConfig, Space, training_items};
use thalweg::space::points::Stored;
use thalweg_nets::Error;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;

/// Principal components of the points that the model's autoencoder was fitted to; none where it is that itself, or where there are too
/// few points for as many dimensions.
///
/// # Errors
/// A zoo that cannot be read.
pub fn components(model: &MetaModel, zoo: &ZooStore) -> Result<Option<Pca>> {
    let (Some(config), Some(record)) = (&model.config.latent, &model.record.latent) else { return Ok(None) };
    if matches!(config, LatentConfig::Pca(_)) {
        return Ok(None);
    }
    let pca = PcaConfig { dimension: config.dimension() };
    let split = model.config.split.of(zoo)?;
    let items = training_items(&LatentConfig::Pca(pca.clone()), zoo.parameters(), &split.train, &record.checkpoints);
    let items = items.into_iter().map(|(run, checkpoint)| (0, run, checkpoint)).collect();
    match Pca::fit_to(&pca, &Stored::new(vec![zoo], &model.coordinates, items)) {
        Ok(pca) => Ok(Some(pca)),
        Err(Error::Parameter { .. } | Error::Shape { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// Test accuracies of the networks of `parts` before and after they are encoded and decoded, by `latent` and by principal components.
///
/// # Errors
/// A model that does not know what its networks are and are for; data that cannot be had; Ctrl-C.
pub fn judged(
    model: &MetaModel,
    latent: &dyn Autoencoder,
    pca: Option<&Pca>,
    parts: &[Part],
    session: &Session,
) -> Result<(Table, Vec<Row>)> {
    let name = model.config.latent.as_ref().map_or("", LatentConfig::name);
    let mut rows = Vec::new();
    let home = model.data.as_ref().context("the model does not say what its networks are for")?;
    let architecture = model.architecture.as_ref().context("the model does not say what its networks are")?;
    let engine = Engine::new(architecture)?;
    let test = Labelled::new(&engine, data::load(home, &session.progress)?.test)?;
    let mut columns = vec!["networks", "time", "original", "decoded", "error"];
    if pca.is_some() {
        columns.extend(["decoded by PCA", "error of PCA"]);
    }
    let mut table = Table::new(&columns);
    table.note = format!(
        "Test accuracies of networks before and after {name} with {} latents{}; ± is one standard error over networks. Error: mean squared \
         error of standardised weights (1: that of the mean of the finals, at the end).",
        latent.dimension(),
        if pca.is_some() { ", and as many principal components of the same points" } else { "" },
    );
    session.progress.begin("judging", parts.len() as u64);
    for part in parts {
        if session.progress.interrupted() {
            return Err(Error::Interrupted.into());
        }
        let accuracy = |theta: &[f32]| -> Result<(f64, f64)> { Ok(mean_sem(&test.accuracies(&engine, theta)?)) };
        let n = part.theta.len() / model.layout.len();
        let original = accuracy(&part.theta)?;
        let mut cells =
            vec![part.name.clone().into(), Cell::Number(part.time, 2), Cell::Estimate(original.0, original.1, 4)];
        let mut row =
            row! { "networks" => part.name, "time" => part.time, "n" => n, "accuracy_original" => original.0 };
        for (who, autoencoder) in [(name, Some(latent)), ("pca", pca.map(|pca| pca as &dyn Autoencoder))] {
            let Some(autoencoder) = autoencoder else { continue };
            let space = Space { coordinates: &model.coordinates, latent: Some(autoencoder) };
            let (decoded, error) = space.reconstruct(&part.theta);
            let found = accuracy(&decoded)?;
            cells.extend([Cell::Estimate(found.0, found.1, 4), Cell::Number(error, 3)]);
            row.extend(row! {
                format!("accuracy_{who}") => found.0, format!("accuracy_{who}_sem") => found.1, format!("error_{who}") => error,
            });
        }
        let weight = if part.name.ends_with("seen") { Weight::Strong } else { Weight::Plain };
        table.push(weight, cells);
        rows.push(row);
        session.progress.advance(1);
    }
    session.progress.end();
    Ok((table, rows))
}
