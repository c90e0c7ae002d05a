//! Sampling a [`MetaModel`] (M11): a pure function of (model, seed, i), so ten samples are the first ten of a hundred.
//!
//! Sample i draws its start and its noise from streams of its own, and goes through the net in a block with others that it knows nothing of:
//! every operation on a block gives a row the same bytes whatever the other rows, and however many (see [`crate::nn::dense::product`]). Blocks
//! run in parallel; the bytes do not depend on the number of threads.
use super::MetaModel;
use super::networks::{Networks, States};
use crate::context::{Conditioning, guided};
use crate::method::Transport;
use crate::ranges::{self, LONGEST};
use crate::solver::Solver;
use crate::space::latent::Decoder;
use crate::space::source::Source;
use crate::{Error, Result, Streams, interrupt};
use rayon::prelude::*;
use std::ops::Range;
use std::time::Instant;

/// Most samples that go through the net together.
const BLOCK: usize = 32;

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
        ranges::check("", [("n", request.n as u64, 1..=u64::MAX), ("steps", request.steps as u64, 1..=LONGEST)])?;
        ranges::numbers(
            "n (networks, with the states that are kept)",
            &[request.n, self.layout.len(), request.at.len() + 1],
        )?;
        let (start, space) = (Instant::now(), self.space());
        let streams = Streams::new(request.seed).child("sample");
        let source = request.source.as_ref().unwrap_or(&self.source);
        let how = Transport { solver: request.solver, steps: request.steps, at: request.at.clone() };
        let contexts = self.contexts(request.context.as_ref())?;
        let block = |first: usize| {
            interrupt::check()?;
            let rows = first..(first + BLOCK).min(request.n);
            let start = |i| space.draw(source, i as u64, &self.layout, &streams.child("source"));
            let mut z = rows.clone().map(start).collect::<Result<Vec<_>>>()?.concat();
            let noise: Vec<_> = rows.clone().map(|i| streams.child("noise").index(i as u64)).collect();
            let contexts = contexts.as_ref().map(|(c, guidance)| (c.repeat(rows.len()), *guidance));
            let solution = match &contexts {
                Some((c, g)) if *g != 1.0 => guided(&*self.method, &mut z, c, *g, &how, space.dimension()),
                contexts => self.method.transport(&mut z, contexts.as_ref().map(|(c, _)| &c[..]), &how, &noise),
            };
            let mut solution = solution.map_err(|e| in_block(e, &rows))?;
            solution.states = space.decode(&solution.states);
            let of_decoder: Vec<_> = rows.map(|i| streams.child("decoder").index(i as u64)).collect();
            Ok((space.drawn(&z, &of_decoder), solution))
        };
        let blocks: Vec<_> =
            (0..request.n.div_ceil(BLOCK)).into_par_iter().map(|b| block(b * BLOCK)).collect::<Result<_>>()?;
        let theta = blocks.iter().flat_map(|(z, _)| z).copied().collect::<Vec<f32>>();
        let state = |t: usize| blocks.iter().flat_map(move |(z, solution)| &solution.states[t * z.len()..][..z.len()]);
        let states = (0..how.at.len()).flat_map(state).copied().collect();
        self.layout.check("sampled weights", &theta)?;
        let evaluations = blocks.iter().map(|(_, solution)| solution.evaluations).max().unwrap_or(0);
        let states = States { times: how.at, theta: states };
        Ok(Samples { theta, states, evaluations, seconds: start.elapsed().as_secs_f64() })
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
