//! What networks are made from by few gradients: samples of flows, trivial rivals, fresh starts.
use super::place::{Place, Prices};
use crate::experiments::experiment::Run;
use crate::experiments::flows::Named;
use crate::experiments::made::{self, folder, model_dir};
use anyhow::Result;
use rand::RngExt;
use rand::seq::SliceRandom;
use thalweg::Streams;
use thalweg::model::sample::SampleRequest;
use thalweg_nets::zoo::ZooStore;

/// Draws networks `[n, P]`.
type Draw<'a> = Box<dyn Fn(usize, &Streams) -> Result<Vec<f32>> + Sync + 'a>;

/// A law that networks are drawn from.
pub(super) struct Start<'a> {
    pub name: String,
    /// Whether these are untrained networks.
    pub fresh: bool,
    /// Seconds that its fit took; 0 where there is none.
    pub seconds: f64,
    draw: Draw<'a>,
}

impl Start<'_> {
    /// Networks `[n, P]`.
    ///
    /// # Errors
    /// The sampler's own.
    pub fn draw(&self, n: usize, streams: &Streams) -> Result<Vec<f32>> {
        (self.draw)(n, streams)
    }
}

/// The library's error in one of the program, or its words.
pub(super) fn as_library(error: anyhow::Error) -> thalweg::Error {
    error.downcast().unwrap_or_else(|e| thalweg::Error::parameter("starts", "networks", format!("{e:#}")))
}

/// Every start: the flows of `set`, a training run, a soup of sixteen of them, fresh starts.
///
/// # Errors
/// Fits' own.
pub(super) fn all<'a>(set: &'a Prices, run: &Run, data: &str, place: &'a Place) -> Result<Vec<Start<'a>>> {
    let mut all = Vec::new();
    for (methods, zoo, kind) in
        [(&set.aligned, &place.study.zoo, "joint"), (&set.unaligned, &place.unaligned, "as-they-are")]
    {
        for method in methods {
            all.push(flow(set, run, &folder(data, kind), zoo, method)?);
        }
    }
    let (training, p) = (&place.study.runs.training, place.study.parameters());
    let runs: Vec<&[f32]> = training.chunks_exact(p).collect();
    let most = runs.len().min(16);
    for (name, members) in [("a training run", 1), (&*format!("a mean of {most} runs"), most)] {
        all.push(soups(name, runs.clone(), members));
    }
    let (law, layout) = (place.unaligned.initial_law()?, place.study.engine.layout());
    let fresh = move |n: usize, streams: &Streams| -> Result<Vec<f32>> {
        let each = (0..n as u64).map(|i| law.draw(layout, &streams.index(i)));
        Ok(each.collect::<thalweg_nets::Result<Vec<_>>>()?.concat())
    };
    all.push(Start { name: "a fresh start".into(), fresh: true, seconds: 0.0, draw: Box::new(fresh) });
    Ok(all)
}

fn flow<'a>(set: &Prices, run: &Run, name: &str, zoo: &ZooStore, method: &Named) -> Result<Start<'a>> {
    let config = method.config(&set.fit, set.seed)?;
    let model = made::fitted(run, zoo, &config, &model_dir(run, name, &method.name, 0))?;
    let seconds = model.record.seconds;
    let draw = move |n: usize, streams: &Streams| {
        // A seed of its own for every stream.
        let seed = streams.rng().random_range(0..1u64 << 62);
        Ok(model.sample(&SampleRequest::new(n, seed))?.theta)
    };
    Ok(Start { name: method.name.clone(), fresh: false, seconds, draw: Box::new(draw) })
}

/// Means of so many random `runs`.
fn soups<'a>(name: &str, runs: Vec<&'a [f32]>, members: usize) -> Start<'a> {
    let draw = move |n: usize, streams: &Streams| {
        let one = |i: u64| {
            let mut order: Vec<usize> = (0..runs.len()).collect();
            let (chosen, _) = order.partial_shuffle(&mut streams.index(i).rng(), members);
            made::mean(chosen.iter().map(|&run| runs[run]), runs[0].len())
        };
        Ok((0..n as u64).flat_map(one).collect())
    };
    Start { name: name.to_owned(), fresh: false, seconds: 0.0, draw: Box::new(draw) }
}
