//! The fit of [`super::conditional`]: a velocity field over latents of CDCs `[M, D]` and the encoder of their queries, learned together (M10, M15).
//!
//! A step takes `PAIRS` pairs of the six sevenths that are learned from, a random half or more of each query's rows, and `CURVES` noises to each
//! latent; the first seventh, its queries whole, chooses the step. Not for pairs whose latents say nothing of their queries.
use super::conditional_config::ConditionalConfig;
use super::flow;
use crate::context::{ContextConfig, Encoder, Grouped, Joint, Support};
use crate::method::{FlowMatching, Method};
use crate::nn::normal;
use crate::nn::optimiser::AdamWConfig;
use crate::path::anchors::{Anchors, MarginalPoints};
use crate::shift::base::{Sample, Schema};
use crate::train::{self, Learner, TrainingSchedule, Updates};
use crate::{Result, Streams};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::borrow::Cow;
use thalweg_nets::progress::Silent;
use thalweg_nets::streams::shuffle;

/// Pairs a step of the fit, and curves to each.
const PAIRS: usize = 32;
const CURVES: usize = 4;
/// Curves of the held-out batch, about; steps between two validations on it.
const HELD_OUT: usize = 512;
const VALIDATE_EVERY: u64 = 25;

/// `n` random rows of a query, or all of it, with f's classes as their labels.
pub(in crate::shift) fn support(query: &Sample, n: usize, rng: &mut ChaCha8Rng) -> Result<Support> {
    if n >= query.len() {
        return Support::new(&query.inputs, &query.predictions());
    }
    let mut order: Vec<usize> = (0..query.len()).collect();
    shuffle(&mut order, rng);
    let part = query.rows(&order[..n]);
    Support::new(&part.inputs, &part.predictions())
}

/// The pairs, and what learns from them.
struct Pairs<'a> {
    latents: &'a [f32],
    dimension: usize,
    queries: &'a [Sample],
    /// The first pairs choose the step, the others are learned from.
    held: usize,
    drop: f64,
    judged: Grouped,
    joint: Joint,
    streams: Streams,
}

/// `curves` from noise to the latents of each of `pairs`.
fn grouped(
    method: &dyn Method,
    (latents, d): (&[f32], usize),
    pairs: &[usize],
    curves: usize,
    supports: Vec<Support>,
    streams: &Streams,
) -> Result<Grouped> {
    let n = pairs.len() * curves;
    let mut noise = vec![0.0; n * d];
    normal::fill(&mut streams.child("noise").rng(), &mut noise);
    let start = MarginalPoints { points: Cow::Owned(noise), row_of_curve: (0..n).collect() };
    let row_of_curve = pairs.iter().flat_map(|&pair| std::iter::repeat_n(pair, curves)).collect();
    let end = MarginalPoints { points: Cow::Borrowed(latents), row_of_curve };
    let batch = method.batch(&Anchors::new(d, vec![start, end])?, None, streams)?;
    Ok(Grouped { batch, supports, sizes: vec![curves; pairs.len()] })
}

impl Learner for Pairs<'_> {
    fn parameters(&self) -> Vec<&[f32]> {
        self.joint.parameters()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        self.joint.parameters_mut()
    }

    fn step(&mut self, step: u64, updates: &mut Updates<'_>) -> Result<()> {
        let streams = self.streams.child("step").index(step);
        let mut rng = streams.child("pairs").rng();
        let pair = |rng: &mut ChaCha8Rng| rng.random_range(self.held as u64..self.queries.len() as u64) as usize;
        let pairs: Vec<usize> = (0..PAIRS).map(|_| pair(&mut rng)).collect();
        let supports = pairs.iter().map(|&m| {
            let all = self.queries[m].len();
            let n = rng.random_range(all.div_ceil(2) as u64..=all as u64) as usize;
            support(&self.queries[m], n, &mut rng)
        });
        let supports = supports.collect::<Result<Vec<_>>>()?;
        let dropped: Vec<bool> = pairs.iter().map(|_| rng.random::<f64>() < self.drop).collect();
        let of = (self.latents, self.dimension);
        let mut groups = grouped(self.joint.method(), of, &pairs, CURVES, supports, &streams)?;
        let loss = self.joint.gradient(&mut groups, &dropped, updates.gradient)?;
        updates.descend(loss, self.joint.parameters_mut())
    }

    fn held_out(&mut self, _: u64) -> Result<Option<f64>> {
        Ok((self.held > 0).then(|| self.joint.loss(&mut self.judged)))
    }
}

/// Field and encoder before training, of inputs `[width]` in so many classes.
pub(in crate::shift) fn untrained(
    schema: Schema,
    config: &ConditionalConfig,
    streams: &Streams,
) -> Result<(FlowMatching, Encoder)> {
    let of = ContextConfig {
        hidden: vec![64],
        width: 32,
        global_width: config.pooled,
        class_width: config.each,
        ..ContextConfig::default()
    };
    let encoder = Encoder::new(schema.width, schema.classes, &of, &streams.child("encoder"))?;
    let flow = flow::untrained(config.dimension, config.width, encoder.dimension(), &streams.child("field"))?;
    Ok((flow, encoder))
}

/// Field and encoder, fitted to `latents [M, D]` and their queries.
pub(in crate::shift) fn fitted(
    latents: &[f32],
    queries: &[Sample],
    config: &ConditionalConfig,
    streams: &Streams,
) -> Result<(Box<dyn Method>, Encoder)> {
    let (flow, encoder) = untrained(queries[0].schema(), config, streams)?;
    let held = queries.len() / 7;
    let judged: Vec<usize> = (0..held.max(1)).collect();
    let supports = queries[..judged.len()].iter().map(|q| Support::new(&q.inputs, &q.predictions()));
    let (supports, curves) = (supports.collect::<Result<Vec<_>>>()?, HELD_OUT.div_ceil(judged.len()));
    let of = (latents, config.dimension);
    let judged = grouped(&flow, of, &judged, curves, supports, &streams.child("held out"))?;
    let mut learner = Pairs {
        latents,
        dimension: config.dimension,
        queries,
        held,
        drop: config.drop,
        judged,
        joint: Joint::new(Box::new(flow), encoder),
        streams: *streams,
    };
    let optimiser = AdamWConfig { learning_rate: config.learning_rate, average: 0.98, ..AdamWConfig::default() };
    let what = "generator of disagreement classifiers (conditional)";
    let schedule = TrainingSchedule::new(what, config.steps, VALIDATE_EVERY, &optimiser);
    let mut state = train::start(&mut learner, &schedule, None)?;
    train::run(&mut learner, &mut state, &schedule, None, &Silent)?;
    Ok(learner.joint.finish(&state.best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::EncoderBuffers;
    use crate::method::Transport;
    use crate::shift::base::Base;
    use crate::solver::Solver;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::engine::Engine;
    use thalweg_nets::testing::moments;

    /// Queries lie about −1 or 1, and the latent is that side and an independent number: samples must have the side of their own query.
    #[test]
    fn samples_have_the_side_of_their_query() {
        let mut rng = Streams::new(1).rng();
        let (mut queries, mut latents) = (Vec::new(), Vec::new());
        for i in 0..140 {
            let side = if i % 2 == 0 { 1.0 } else { -1.0 };
            let mut noise = [0f32; 17];
            normal::fill(&mut rng, &mut noise);
            let rows: Vec<f32> = noise[..16].iter().map(|z| side + 0.3 * z).collect();
            queries.push(query(&rows));
            latents.extend([side, noise[16]]);
        }
        let config = ConditionalConfig { dimension: 2, width: 32, steps: 400, ..ConditionalConfig::default() };
        let (flow, encoder) = fitted(&latents, &queries, &config, &Streams::new(2)).unwrap();
        for side in [1.0, -1.0] {
            let rows = [0.9, 1.2, 1.0, 0.7, 1.1, 1.3, 0.8, 1.0].map(|x| side * x);
            let support = support(&query(&rows), 8, &mut rng).unwrap();
            let c = encoder.forward(&[support], &mut EncoderBuffers::default()).repeat(2000);
            let mut y = vec![0.0; 4000];
            normal::fill(&mut rng, &mut y);
            let how = Transport { solver: Solver::Euler, steps: 20, at: Vec::new() };
            flow.transport(&mut y, Some(&c), &how, &[]).unwrap();
            let right = y.chunks_exact(2).filter(|y| (y[0] - side).abs() < 0.5).count();
            assert!(right > 1800, "{side}: {right} of 2000");
            // The other number is standard normal, learned from the 60 pairs of this side that no step was chosen by.
            let (mean, covariance) = moments(&y, 2);
            let [of_mean, of_variance] = [(1.0 / 60.0f64).sqrt(), (2.0 / 60.0f64).sqrt()];
            assert!(mean[1].abs() < 3.0 * of_mean, "{side}: {mean:?}");
            assert!((covariance[3] - 1.0).abs() < 3.0 * of_variance, "{side}: {covariance:?}");
        }
    }

    /// Rows of one number, of which a network without weights says class 0.
    fn query(rows: &[f32]) -> Sample {
        let net = Preset::Mlp { widths: vec![1] }.build([1, 1, 1], 2).unwrap();
        let p = Engine::new(&net).unwrap().parameters();
        Base::new(&net, vec![0.0; p]).unwrap().sample(rows).unwrap()
    }
}
