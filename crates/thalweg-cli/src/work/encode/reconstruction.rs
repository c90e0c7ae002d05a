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
use anyhow::Result;
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
    let pca = PcaConfig::of(config.dimension());
    let split = model.config.split.of(zoo)?;
    let items = training_items(&LatentConfig::Pca(pca.clone()), zoo.parameters(), &split.train, &record.checkpoints);
    let items = items.into_iter().map(|(run, checkpoint)| (0, run, checkpoint)).collect();
    match Pca::fit_to(&pca, &Stored::new(vec![zoo], &model.coordinates, items)) {
        Ok(pca) => Ok(Some(pca)),
        Err(Error::Parameter { .. } | Error::Shape { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// What networks are judged by: their engine and test rows.
type Rows = (Engine, Labelled);

/// The test rows of a model's networks; none where it does not know what they are, or what they are for.
///
/// # Errors
/// Data that cannot be had.
fn test_rows(model: &MetaModel, session: &Session) -> Result<Option<Rows>> {
    let (Some(home), Some(architecture)) = (&model.data, &model.architecture) else { return Ok(None) };
    let engine = Engine::new(architecture)?;
    let test = Labelled::new(&engine, data::load(home, &session.progress)?.test)?;
    Ok(Some((engine, test)))
}

/// Errors of the networks of `parts` that are encoded and decoded again, by `latent` and by principal components; and their test accuracies before and after,
/// where the model knows what its networks are and are for.
///
/// # Errors
/// Data that cannot be had; Ctrl-C.
pub fn judged(
    model: &MetaModel,
    latent: &dyn Autoencoder,
    pca: Option<&Pca>,
    parts: &[Part],
    session: &Session,
) -> Result<(Table, Vec<Row>)> {
    let name = model.config.latent.as_ref().map_or("", LatentConfig::name);
    let mut rows = Vec::new();
    let judge = test_rows(model, session)?;
    let mut columns = vec!["networks", "time"];
    columns.extend(judge.as_ref().map(|_| ["original", "decoded"]).into_iter().flatten());
    columns.push("error");
    if pca.is_some() {
        columns.extend(judge.as_ref().map(|_| "decoded by PCA"));
        columns.push("error of PCA");
    }
    let mut table = Table::new(&columns);
    table.note = format!(
        "{} before and after {name} with {} latents{}. Error: mean squared error of standardised weights (1: that of the mean of the finals, at the end).{}",
        if judge.is_some() { "Test accuracies of networks" } else { "Networks" },
        latent.dimension(),
        if pca.is_some() { ", and as many principal components of the same points" } else { "" },
        match judge {
            Some(_) => " ± is one standard error over networks.",
            None => " Their accuracies are not known: the model knows no architecture or no data.",
        },
    );
    session.progress.begin("judging", parts.len() as u64);
    for part in parts {
        if session.progress.interrupted() {
            return Err(Error::Interrupted.into());
        }
        let accuracy = |theta: &[f32]| -> Result<Option<(f64, f64)>> {
            let of = |(engine, test): &Rows| Ok(mean_sem(&test.accuracies(engine, theta)?));
            judge.as_ref().map(of).transpose()
        };
        let n = part.theta.len() / model.layout.len();
        let mut cells = vec![part.name.clone().into(), Cell::Number(part.time, 2)];
        let mut row = row! { "networks" => part.name, "time" => part.time, "n" => n };
        if let Some(original) = accuracy(&part.theta)? {
            cells.push(Cell::Estimate(original.0, original.1, 4));
            row.extend(row! { "accuracy_original" => original.0 });
        }
        for (who, autoencoder) in [(name, Some(latent)), ("pca", pca.map(|pca| pca as &dyn Autoencoder))] {
            let Some(autoencoder) = autoencoder else { continue };
            let space = Space { coordinates: &model.coordinates, latent: Some(autoencoder) };
            let (decoded, error) = space.reconstruct(&part.theta);
            if let Some(found) = accuracy(&decoded)? {
                cells.push(Cell::Estimate(found.0, found.1, 4));
                row.extend(row! { format!("accuracy_{who}") => found.0, format!("accuracy_{who}_sem") => found.1 });
            }
            cells.push(Cell::Number(error, 3));
            row.extend(row! { format!("error_{who}") => error });
        }
        let weight = if part.name.ends_with("seen") { Weight::Strong } else { Weight::Plain };
        table.push(weight, cells);
        rows.push(row);
        session.progress.advance(1);
    }
    session.progress.end();
    Ok((table, rows))
}
