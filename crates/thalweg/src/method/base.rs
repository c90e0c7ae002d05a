//! [`Method`], what every method can do, and what it is given.
use crate::field::Field;
use crate::field::steps::Steps;
use crate::nn::tape::Tape;
use crate::path::Batch;
use crate::path::anchors::Anchors;
use crate::solver::{Solution, Solver};
use crate::{Error, Layout, Result, Streams};

/// Buffers that a method uses again from step to step.
#[derive(Default)]
pub struct Scratch {
    /// Activations that are kept for the backward pass.
    pub tape: Tape,
    /// Its output, then the loss's derivative with respect to it `[B, P]`.
    pub output: Vec<f32>,
    /// The loss's derivative with respect to the contexts `[B, D]`, for an encoder that learns with the method: left by [`Method::loss`] of
    /// a batch with contexts, where a gradient is asked for.
    pub d_context: Vec<f32>,
}

impl Scratch {
    /// Leaves in `d_context` what the last backward pass of `net` on `batch` comes to in its contexts, if it has some.
    pub(crate) fn pull_context(&mut self, net: &dyn Field, batch: &Batch) {
        if let Some(c) = &batch.c {
            self.d_context.resize(c.len(), 0.0);
            net.pull_context(&mut self.tape, &mut self.d_context);
        }
    }
}

/// How samples are carried from the source to the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    /// The solver.
    pub solver: Solver,
    /// Steps of equal size; a method whose number of steps is fixed by design ignores it.
    pub steps: usize,
    /// Times in [0, 1] at which states are kept.
    pub at: Vec<f64>,
}

/// A generative method over points `[P]` in standardised coordinates.
pub trait Method: Send + Sync {
    /// Names, shapes and places of the parameters' tensors.
    fn layout(&self) -> &Layout;

    /// All parameters, flat `[Q]`.
    fn parameters(&self) -> &[f32];

    /// All parameters, to be moved by an optimiser `[Q]`.
    fn parameters_mut(&mut self) -> &mut [f32];

    /// The velocity field that samples follow, where there is one: what rewards are tuned through (M12).
    fn velocity_field(&self) -> Option<&dyn Field> {
        None
    }

    /// The explicit noiseless steps of a potential that samples take, where they do: what rewards are differentiated through (M12).
    fn explicit_steps(&self) -> Option<Steps<'_>> {
        None
    }

    /// Numbers of a context that it takes, D; 0 where it takes none.
    fn context(&self) -> usize {
        self.velocity_field().map_or(0, |field| field.context())
    }

    /// Whether the method is solved at once by [`Self::solve`], without optimiser steps.
    fn closed_form(&self) -> bool {
        false
    }

    /// Solves for the parameters from curves `[A, N, P]` of the training runs.
    ///
    /// # Errors
    /// A method without closed form, or a system that cannot be solved.
    fn solve(&mut self, _curves: &[f32]) -> Result<()> {
        Err(Error::unsupported("a closed form", "a method that is trained by steps", "one with a closed form"))
    }

    /// What one step trains on, from coupled curves and their contexts `[B, D]`: a pure function of them and the stream.
    ///
    /// # Errors
    /// Curves of another shape.
    fn batch(&self, curves: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch>;

    /// The loss on a batch, and its gradient over what was in `gradient [Q]` where that is asked for.
    fn loss(&self, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64;

    /// The drift dx/dt at `x [B, P]`, `t [B]`, to `out [B, P]`: what [`Self::transport`] follows, noise aside, and what the action
    /// gap (M7) is measured on.
    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape);

    /// Carries `x [B, P]` from the source (t = 0) to the target (t = 1) in place; row i draws its noise, if any, from `streams[i]`.
    ///
    /// # Errors
    /// A transport that this method cannot do, or a state that is not finite.
    fn transport(&self, x: &mut [f32], c: Option<&[f32]>, how: &Transport, streams: &[Streams]) -> Result<Solution>;
}
