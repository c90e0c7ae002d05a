//! Sampling a [`MetaModel`] (M11): a pure function of (model, seed, i), so ten samples are the first ten of a hundred.
//!
//! Sample i draws its start and its noise from streams of its own, and goes through the net in a block with others that it knows nothing of:
//! every operation on a block gives a row the same bytes whatever the other rows, and however many (see `nn::dense::product`). Blocks
//! run in parallel; the bytes do not depend on the number of threads. Networks are handed on block by block ([`MetaModel::sample_into`]), so that no
//! more of them are in memory than are in the making.
use super::MetaModel;
use super::networks::{Networks, States};
use crate::context::{Conditioning, guided};
use crate::method::Transport;
use crate::ranges::{self, LONGEST, MOST};
use crate::solver::{Solution, Solver};
use crate::space::latent::Decoder;
use crate::space::source::Source;
use crate::{Error, Result, Streams, interrupt};
use rayon::prelude::*;
use std::ops::Range;
use std::time::Instant;
use thalweg_nets::memory;

/// Most samples that go through the net together.
const BLOCK: usize = 32;

/// Most blocks in the making, on however many threads.
const BLOCKS: usize = 16;

/// Numbers in memory for each weight of a network in the making: its point, the solver's and the field's buffers, and what it is decoded to.
const IN_MAKING: usize = 12;

/// Takes the next sampled networks: their numbers, weights `[m, P]`, and the states that were kept `[T, m, P]`.
pub type Sink<'a> = dyn FnMut(Range<usize>, &[f32], &[f32]) -> Result<()> + 'a;

/// What sampling took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    /// Evaluations of the net for a network (the most that any block of networks took).
    pub evaluations: usize,
    /// Wall time in seconds, that of what takes the networks included.
    pub seconds: f64,
}

/// What to sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRequest {
    /// Number of networks, at least 1.
    pub n: usize,
    /// Seed.
    pub seed: u64,
    /// Solver.
    pub solver: Solver,
    /// Steps from source to target.
    pub steps: usize,
    /// Times in [0, 1] at which states are kept.
    pub at: Vec<f64>,
    /// A source in the place of the model's own.
    pub source: Option<Source>,
    /// The context to sample for (none: the unconditional law, which is all that a model without contexts has).
    pub context: Option<Conditioning>,
}

impl SampleRequest {
    /// `n` networks by 100 Euler steps, nothing kept on the way.
    pub fn new(n: usize, seed: u64) -> Self {
        Self { n, seed, solver: Solver::Euler, steps: 100, at: Vec::new(), source: None, context: None }
    }

    /// Checks the numbers that need no model, before a file for the samples is begun.
    ///
    /// # Errors
    /// n or steps out of range.
    pub fn check(&self) -> Result<()> {
        ranges::check("", [("n", self.n as u64, 1..=MOST), ("steps", self.steps as u64, 1..=LONGEST)])
    }
}

/// Sampled networks.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Their weights, `[n, P]`.
    pub theta: Vec<f32>,
    /// The states that were kept, as weights; without the noise of a decoder that has some.
    pub states: States,
    /// Evaluations of the net for a network (the most that any block of networks took).
    pub evaluations: usize,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl MetaModel {
    /// Draws networks.
    ///
    /// # Errors
    /// n = 0, or networks beyond the memory; a solver that the method cannot use, times outside [0, 1], a source that does not fit, a state that is not finite, or
    /// [`Error::Interrupted`].
    pub fn sample(&self, request: &SampleRequest) -> Result<Samples> {
        let (n, p) = (request.n, self.layout.len());
        ranges::numbers("n (networks, with the states that are kept)", &[n, p, request.at.len() + 1])?;
        let (mut theta, mut states) = (Vec::with_capacity(n * p), vec![0.0; request.at.len() * n * p]);
        let done = self.sample_into(request, &mut |rows, some, kept| {
            theta.extend_from_slice(some);
            for (t, kept) in kept.chunks_exact(rows.len() * p).enumerate() {
                states[(t * n + rows.start) * p..][..kept.len()].copy_from_slice(kept);
            }
            Ok(())
        })?;
        let states = States { times: request.at.clone(), theta: states };
        Ok(Samples { theta, states, evaluations: done.evaluations, seconds: done.seconds })
    }

    /// Draws networks and hands them on in their order, some at a time: memory is that of the model and of the networks in the making.
    ///
    /// # Errors
    /// As [`Self::sample`], but for their number; the sink's own.
    pub fn sample_into(&self, request: &SampleRequest, sink: &mut Sink<'_>) -> Result<Sampled> {
        request.check()?;
        let (start, p) = (Instant::now(), self.layout.len());
        let how = Transport { solver: request.solver, steps: request.steps, at: request.at.clone() };
        let contexts = self.contexts(request.context.as_ref())?;
        let kept = (p as u64).saturating_mul((IN_MAKING + 2 * request.at.len()) as u64);
        let wide = kept.saturating_add(self.config.field.numbers_at_work() as u64).saturating_mul(4);
        let (rows, blocks) = (memory::rows(wide, BLOCK), (2 * rayon::current_num_threads()).min(BLOCKS));
        let firsts: Vec<usize> = (0..request.n).step_by(rows).collect();
        let mut evaluations = 0;
        for some in firsts.chunks(blocks) {
            let of = |&first: &usize| {
                let rows = first..(first + rows).min(request.n);
                self.block(rows.clone(), request, contexts.as_ref(), &how)
                    .map(|(theta, solution)| (rows, theta, solution))
            };
            for (rows, theta, solution) in some.par_iter().map(of).collect::<Result<Vec<_>>>()? {
                self.layout.check("sampled weights", &theta)?;
                evaluations = evaluations.max(solution.evaluations);
                sink(rows, &theta, &solution.states)?;
            }
        }
        Ok(Sampled { evaluations, seconds: start.elapsed().as_secs_f64() })
    }

    /// The samples `rows` of a request, which go through the net together: their weights, and the solution with its states as weights.
    fn block(
        &self,
        rows: Range<usize>,
        request: &SampleRequest,
        contexts: Option<&(Vec<f32>, f64)>,
        how: &Transport,
    ) -> Result<(Vec<f32>, Solution)> {
        interrupt::check()?;
        let (space, streams) = (self.space(), Streams::new(request.seed).child("sample"));
        let source = request.source.as_ref().unwrap_or(&self.source);
        let start = |i| space.draw(source, i as u64, &self.layout, &streams.child("source"));
        let mut z = rows.clone().map(start).collect::<Result<Vec<_>>>()?.concat();
        let noise: Vec<_> = rows.clone().map(|i| streams.child("noise").index(i as u64)).collect();
        let contexts = contexts.map(|(c, guidance)| (c.repeat(rows.len()), *guidance));
        let solution = match &contexts {
            Some((c, g)) if *g != 1.0 => guided(&*self.method, &mut z, c, *g, how, space.dimension()),
            contexts => self.method.transport(&mut z, contexts.as_ref().map(|(c, _)| &c[..]), how, &noise),
        };
        let mut solution = solution.map_err(|e| in_block(e, &rows))?;
        solution.states = space.decode(&solution.states);
        let of_decoder: Vec<_> = rows.map(|i| streams.child("decoder").index(i as u64)).collect();
        let mut theta = space.drawn(&z, &of_decoder);
        if let Some(residual) = &self.residual {
            let scale = self.coordinates.scale();
            let networks = theta.chunks_exact_mut(self.layout.len()).zip(&of_decoder);
            networks.for_each(|(theta, streams)| residual.add(scale, &streams.child("residual"), theta));
        }
        Ok((theta, solution))
    }

    /// Networks `theta [n, P]` of this model's with what it knows of them.
    pub fn networks(&self, theta: Vec<f32>) -> Networks {
        let (architecture, data) = (self.architecture.clone(), self.data.clone());
        Networks { theta, parameters: self.layout.len(), architecture, data, split: Some(self.config.split) }
    }
}

impl MetaModel {
    /// What networks are sampled for: their context `[D]`, and the guidance.
    fn contexts(&self, asked: Option<&Conditioning>) -> Result<Option<(Vec<f32>, f64)>> {
        let nothing =
            || Conditioning { c: vec![0.0; self.context.as_ref().map_or(0, |c| c.encoder.dimension())], guidance: 1.0 };
        match (&self.context, asked) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Error::contexts("context", true)),
            (Some(context), asked) => {
                let Conditioning { c, guidance } = asked.cloned().unwrap_or_else(nothing);
                let d = context.encoder.dimension();
                if c.len() != d || c.iter().any(|c| !c.is_finite()) {
                    return Err(Error::shape("context", format!("[{d}], finite"), format!("[{}]", c.len())));
                }
                if !guidance.is_finite() {
                    return Err(Error::parameter("guidance", "a finite number", guidance));
                }
                Ok(Some((c, guidance)))
            }
        }
    }
}

/// Says which samples a failed block held.
fn in_block(e: Error, rows: &Range<usize>) -> Error {
    match e {
        Error::NotFinite { what, place, value } => {
            let place = format!("{place}, of samples {} to {}", rows.start, rows.end - 1);
            Error::NotFinite { what, place, value }
        }
        other => other,
    }
}
