//! [`Method`], what every method can do, and what it is given.
use crate::field::Field;
use crate::field::Steps;
use crate::nn::parameters::Parameters;
use crate::nn::tape::Tape;
use crate::path::Batch;
use crate::path::anchors::Anchors;
use crate::solver::{Integration, Solution, Solver};
use crate::{Result, Streams};

/// Buffers that a method uses again from step to step.
#[derive(Default)]
pub struct Scratch {
    /// Activations that are kept for the backward pass.
    pub tape: Tape,
    /// Its output, then the loss's derivative with respect to it `[B, P]`.
    pub output: Vec<f32>,
    /// The loss's derivative with respect to the contexts `[B, D]`, for an encoder that learns with the method: left by [`Method::loss`] of
    /// a batch with contexts, where a gradient is asked for and the method's net has one.
    pub context_gradient: Option<Vec<f32>>,
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

impl Transport {
    /// The integration from the source to the target.
    pub(crate) fn integration(&self) -> Integration {
        Integration { solver: self.solver, steps: self.steps, span: [0.0, 1.0], at: self.at.clone() }
    }
}

/// Solves for a method's parameters from curves `[A, N, P]` of the training runs; an error where the system cannot be solved.
pub type ClosedForm<'a> = Box<dyn FnOnce(&[f32]) -> Result<()> + 'a>;

/// A generative method over points `[P]` in standardised coordinates.
pub trait Method: Parameters + Send + Sync {
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

    /// The closed form that its parameters have, where they have one: it is solved at once, without optimiser steps.
    fn closed_form(&mut self) -> Option<ClosedForm<'_>> {
        None
    }

    /// Makes room for what a file holds, by the shapes of its tensors: for methods that have as many parameters as they found points.
    fn shaped(&mut self, shape: &dyn Fn(&str) -> Option<Vec<usize>>) {
        let _ = shape;
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
