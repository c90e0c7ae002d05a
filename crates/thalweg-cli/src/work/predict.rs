//! What networks answer to rows of data: logits and probabilities of each, and the mean of the probabilities.
use super::networks::{Known, Stream};
use crate::npz::NpzWriter;
use crate::session::Session;
use crate::study::Labelled;
use anyhow::{Context, Result};
use std::path::Path;
use thalweg::metric::calibration::{Calibration, Ensemble, probabilities};
use thalweg_nets::Error;
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::argmax;
use thalweg_nets::progress::Progress;

/// Which numbers of each network are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kept {
    /// Logits of each network
    Logits,
    /// Probabilities of each network
    Probabilities,
    /// Only the mean probabilities
    Ensemble,
}

/// What came of it.
pub struct Predicted {
    /// Of each network, in order.
    pub accuracy: Vec<f64>,
    /// Of all of them together.
    pub ensemble: Calibration,
}

/// Writes what the `networks` answer to `rows`, whose classes have `names` where they have some, to the archive `path`: `kept` of each network
/// `[n, rows, C]`, `ensemble` `[rows, C]`, `labels` `[rows]`, `classes` `[C]`. Blocks of networks are read, asked and written one after the other.
///
/// # Errors
/// Networks that cannot be read or do not fit, logits that are not finite, a file that cannot be written, Ctrl-C.
pub fn write(
    networks: &mut Stream,
    known: &Known,
    rows: &Labelled,
    names: &[String],
    kept: Kept,
    path: &Path,
    session: &Session,
) -> Result<Predicted> {
    let architecture = known.architecture.as_ref().context("networks of an unknown architecture")?;
    let engine = Engine::new(architecture)?;
    let (n, count, classes) = (networks.len(), rows.labels.len(), engine.classes());
    let mut archive = NpzWriter::create(path)?;
    let name = match kept {
        Kept::Logits => Some("logits"),
        Kept::Probabilities => Some("probabilities"),
        Kept::Ensemble => None,
    };
    if let Some(name) = name {
        archive.array(name, "<f4", 4, &[n, count, classes])?;
    }
    let mut ensemble = Ensemble::new(count, classes)?;
    let mut accuracy = Vec::with_capacity(n);
    session.progress.begin("predicting", n as u64);
    while let Some(theta) = networks.block()? {
        if session.progress.interrupted() {
            return Err(Error::Interrupted.into());
        }
        let logits = engine.logits_of_many(&theta, &rows.inputs)?;
        for own in logits.chunks_exact(count * classes) {
            ensemble.add(own)?;
            let hits = own.chunks_exact(classes).zip(&rows.labels).filter(|(z, label)| argmax(z) == **label).count();
            accuracy.push(hits as f64 / count as f64);
            match kept {
                Kept::Logits => archive.singles(own)?,
                Kept::Probabilities => {
                    let all = own.chunks_exact(classes).flat_map(probabilities).map(|p| p as f32);
                    archive.singles(&all.collect::<Vec<_>>())?;
                }
                Kept::Ensemble => {}
            }
            session.progress.advance(1);
        }
    }
    session.progress.end();
    archive.doubles("ensemble", &[count, classes], &ensemble.probabilities()?)?;
    archive.integers("labels", &rows.labels)?;
    if names.len() == classes {
        archive.words("classes", names)?;
    }
    archive.finish()?;
    Ok(Predicted { accuracy, ensemble: ensemble.judge(&rows.labels)? })
}
