//! The flow over latents of CDCs `[M, D]` from a standard Gaussian along straight lines, by conditional flow matching, without a context.
//!
//! A seventh of the latents chooses the step that is kept. Cost: `STEPS` steps of `BATCH` curves.
use crate::field::{ResidualMlp, ResidualMlpConfig};
use crate::method::{FlowMatching, Method, Scratch};
use crate::nn::normal;
use crate::nn::optimiser::AdamWConfig;
use crate::nn::parameters::Parameters;
use crate::path::Batch;
use crate::path::anchors::{Anchors, MarginalPoints};
use crate::train::{self, Learner, TrainingSchedule, Updates};
use crate::{Result, Streams};
use rand::RngExt;
use std::borrow::Cow;
use thalweg_nets::progress::Silent;

/// Steps of the fit, and between two validations.
const STEPS: u64 = 600;
const VALIDATE_EVERY: u64 = 25;
/// Curves in a batch, and in the held-out batch.
const BATCH: usize = 64;
const HELD_OUT: usize = 512;

/// An untrained field with so many numbers of context along straight lines from a standard Gaussian.
pub(in crate::shift) fn untrained(
    dimension: usize,
    width: usize,
    context: usize,
    streams: &Streams,
) -> Result<FlowMatching> {
    let field = ResidualMlpConfig { width, context, ..ResidualMlpConfig::default() };
    let field = ResidualMlp::new(dimension, &field, streams)?;
    FlowMatching::from_gaussian(Box::new(field))
}

/// The same with these parameters, which fit.
pub(in crate::shift) fn with(dimension: usize, width: usize, parameters: &[f32]) -> Result<FlowMatching> {
    let mut flow = untrained(dimension, width, 0, &Streams::new(0))?;
    flow.parameters_mut().copy_from_slice(parameters);
    Ok(flow)
}

/// The latents, and what learns from them.
struct Latents<'a> {
    train: &'a [f32],
    dimension: usize,
    judged: Batch,
    flow: FlowMatching,
    scratch: Scratch,
    streams: Streams,
}

/// `n` curves from noise to random latents.
fn curves(flow: &FlowMatching, latents: &[f32], d: usize, n: usize, streams: &Streams) -> Result<Batch> {
    let mut rng = streams.child("rows").rng();
    let rows = (0..n).map(|_| rng.random_range(0..(latents.len() / d) as u64) as usize).collect();
    let mut noise = vec![0.0; n * d];
    normal::fill(&mut rng, &mut noise);
    let start = MarginalPoints { points: Cow::Owned(noise), row_of_curve: (0..n).collect() };
    let end = MarginalPoints { points: Cow::Borrowed(latents), row_of_curve: rows };
    flow.batch(&Anchors::new(d, vec![start, end])?, None, streams)
}

impl Learner for Latents<'_> {
    fn parameters(&self) -> Vec<&[f32]> {
        vec![self.flow.parameters()]
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        vec![self.flow.parameters_mut()]
    }

    fn step(&mut self, step: u64, updates: &mut Updates<'_>) -> Result<()> {
        let streams = self.streams.child("step").index(step);
        let batch = curves(&self.flow, self.train, self.dimension, BATCH, &streams)?;
        let loss = self.flow.loss(&batch, &mut self.scratch, Some(updates.gradient));
        updates.descend(loss, self.parameters_mut())
    }

    fn held_out(&mut self, _: u64) -> Result<Option<f64>> {
        Ok(Some(self.flow.loss(&self.judged, &mut self.scratch, None)))
    }
}

/// The flow fitted to `latents [M, D]`.
pub(in crate::shift) fn fitted(latents: &[f32], d: usize, width: usize, streams: &Streams) -> Result<FlowMatching> {
    let (held_out, train) = latents.split_at(latents.len() / d / 7 * d);
    let flow = untrained(d, width, 0, &streams.child("start"))?;
    let judged = if held_out.is_empty() { train } else { held_out };
    let judged = curves(&flow, judged, d, HELD_OUT, &streams.child("held out"))?;
    let scratch = Scratch::default();
    let mut learner = Latents { train, dimension: d, judged, flow, scratch, streams: *streams };
    let optimiser = AdamWConfig { learning_rate: 2e-3, average: 0.98, ..AdamWConfig::default() };
    let schedule = TrainingSchedule::new("flow over disagreement classifiers", STEPS, VALIDATE_EVERY, &optimiser);
    let mut state = train::start(&mut learner, &schedule, None)?;
    train::run(&mut learner, &mut state, &schedule, None, &Silent)?;
    let mut flow = learner.flow;
    flow.parameters_mut().copy_from_slice(&state.best);
    Ok(flow)
}
