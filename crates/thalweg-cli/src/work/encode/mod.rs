//! Networks and zoos encoded to the latents of a model.
pub mod reconstruction;

use super::networks;
use crate::session::Session;
use anyhow::Result;
use std::path::Path;
use thalweg::model::MetaModel;
use thalweg_nets::Error;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;

/// Networks of one row of the table.
pub struct Part {
    /// What they are called.
    pub name: String,
    /// When along their runs they are; NaN where that is not known.
    pub time: f64,
    /// Their weights `[n, P]`.
    pub theta: Vec<f32>,
}

/// Encoded networks.
pub struct Encoded {
    /// Of the latents: `[n, D]`, or `[runs, checkpoints, D]`.
    pub shape: Vec<usize>,
    /// Their latents, row by row.
    pub values: Vec<f32>,
    /// Networks to judge what is decoded by.
    pub parts: Vec<Part>,
}

/// Encodes the networks of a file.
///
/// # Errors
/// Networks of another size than the model's.
pub fn of_networks(path: &Path, model: &MetaModel, session: &Session) -> Result<Encoded> {
    let networks = networks::read(path, model.architecture.as_ref(), session)?;
    let p = model.layout.len();
    if networks.parameters != p {
        return Err(Error::format(path, "networks", format!("{p} weights each"), networks.parameters).into());
    }
    let values = model.space().points(networks.theta.clone());
    let shape = vec![networks.len(), values.len() / networks.len().max(1)];
    let part = Part { name: "networks".into(), time: f64::NAN, theta: networks.theta };
    Ok(Encoded { shape, values, parts: vec![part] })
}

/// Encodes all runs of a zoo that did not fail; for judging, so many runs of those trained on and of those never seen, at every checkpoint.
///
/// # Errors
/// A zoo that cannot be read, Ctrl-C.
pub fn of_runs(zoo: &ZooStore, model: &MetaModel, most: usize, session: &Session) -> Result<Encoded> {
    let (finished, k) = (zoo.finished_runs(), zoo.checkpoints());
    session.progress.begin("encoding", finished.len() as u64);
    let mut latents = Vec::new();
    for &run in &finished {
        if session.progress.interrupted() {
            return Err(Error::Interrupted.into());
        }
        latents.extend(model.space().points(zoo.trajectory(run)?));
        session.progress.advance(1);
    }
    session.progress.end();
    let split = model.config.split.of(zoo)?;
    let mut parts = Vec::new();
    for (name, runs) in [("runs trained on", &split.train), ("runs never seen", &split.test)] {
        let runs = &runs[..most.min(runs.len())];
        if runs.is_empty() {
            continue;
        }
        for (checkpoint, &time) in zoo.times().iter().enumerate() {
            let items: Vec<_> = runs.iter().map(|&run| (run, checkpoint)).collect();
            let mut theta = vec![0.0; items.len() * zoo.parameters()];
            zoo.gather(&items, &mut theta)?;
            parts.push(Part { name: name.into(), time, theta });
        }
    }
    let d = latents.len() / (finished.len() * k).max(1);
    Ok(Encoded { shape: vec![finished.len(), k, d], values: latents, parts })
}
