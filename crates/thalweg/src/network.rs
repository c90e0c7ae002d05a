//! Base networks of one shape as functions of their weights, whoever computes them: the [engine](Engine), or code of the caller's for architectures that
//! it does not know (a module of PyTorch, say). What is trained on answers of networks is trained by either: functional terms of autoencoders (M8),
//! disagreement classifiers (M14).
use crate::{Layout, Result};
use rayon::prelude::*;
use std::fmt::Debug;
use thalweg_nets::engine::{Engine, Mode, Packed, Workspace};
use thalweg_nets::loss::LogitLoss;

/// Inputs `[N, D]` as networks take them ([`Network::inputs`]).
#[derive(Clone, Debug)]
pub enum Inputs {
    /// In the engine's order.
    Packed(Packed),
    /// As they are, row after row.
    Plain {
        /// `[N, D]`.
        values: Vec<f32>,
        /// N.
        len: usize,
    },
}

impl Inputs {
    /// N.
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.len(),
            Self::Plain { len, .. } => *len,
        }
    }

    /// Whether there is no input.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A loss of one network's logits.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Its weights `[P]`.
    pub theta: &'a [f32],
    /// Its inputs, N of them.
    pub inputs: &'a Inputs,
    /// The loss of logits `[N, C]`.
    pub loss: &'a dyn LogitLoss,
}

/// Base networks of one shape, in evaluation (no dropout, running statistics as they are in θ).
///
/// The rows of a call are independent of one another, and so are its networks: in whatever company, a network has the same answers but for the last bits.
pub trait Network: Debug + Send + Sync {
    /// Names and places of the weights.
    fn layout(&self) -> &Layout;

    /// Numbers in one input, D.
    fn input_len(&self) -> usize;

    /// Logits of one input, C.
    fn classes(&self) -> usize;

    /// How many networks are best computed together: 1 where each is computed on the calling thread as fast alone.
    fn at_once(&self) -> usize;

    /// Inputs `[N, D]` to be used often.
    ///
    /// # Errors
    /// A length that is no multiple of D.
    fn inputs(&self, values: &[f32]) -> Result<Inputs>;

    /// Logits `[n, N, C]` of networks `thetas [n, P]`, on as many threads as are of use.
    ///
    /// # Errors
    /// What is no `[n, P]`, or not finite; what the evaluation says; interruption.
    fn logits(&self, thetas: &[f32], inputs: &Inputs) -> Result<Vec<f32>>;

    /// The same on the calling thread.
    ///
    /// # Errors
    /// As [`Self::logits`].
    fn logits_here(&self, thetas: &[f32], inputs: &Inputs, workspace: &mut Workspace) -> Result<Vec<f32>> {
        let _ = workspace;
        self.logits(thetas, inputs)
    }

    /// The loss of every job, and its gradient by the job's weights over what was in `gradients [n, P]`; 0 for weights that are not trained. A single job
    /// is done on the calling thread.
    ///
    /// # Errors
    /// As [`Self::logits`].
    fn gradients(&self, jobs: &[Job<'_>], gradients: &mut [f32], workspace: &mut Workspace) -> Result<Vec<f64>>;
}

impl Network for Engine {
    fn layout(&self) -> &Layout {
        Engine::layout(self)
    }

    fn input_len(&self) -> usize {
        Engine::input_len(self)
    }

    fn classes(&self) -> usize {
        Engine::classes(self)
    }

    fn at_once(&self) -> usize {
        1
    }

    fn inputs(&self, values: &[f32]) -> Result<Inputs> {
        self.pack(values).map(Inputs::Packed)
    }

    fn logits(&self, thetas: &[f32], inputs: &Inputs) -> Result<Vec<f32>> {
        with_packed(self, inputs, |packed| self.logits_of_many(thetas, packed))
    }

    fn logits_here(&self, thetas: &[f32], inputs: &Inputs, workspace: &mut Workspace) -> Result<Vec<f32>> {
        with_packed(self, inputs, |packed| {
            let (p, each) = (self.parameters(), packed.len() * Engine::classes(self));
            let mut all = vec![0.0; thetas.len() / p * each];
            for (theta, logits) in thetas.chunks_exact(p).zip(all.chunks_exact_mut(each)) {
                Engine::logits(self, theta, packed, logits, workspace);
            }
            Ok(all)
        })
    }

    fn gradients(&self, jobs: &[Job<'_>], gradients: &mut [f32], workspace: &mut Workspace) -> Result<Vec<f64>> {
        let one = |job: &Job<'_>, gradient: &mut [f32], workspace: &mut Workspace| {
            with_packed(self, job.inputs, |packed| {
                Ok(self.gradient(job.theta, packed, Mode::Evaluate, job.loss, gradient, workspace))
            })
        };
        if let [job] = jobs {
            return Ok(vec![one(job, gradients, workspace)?]);
        }
        let each = jobs.par_iter().zip(gradients.par_chunks_exact_mut(self.parameters()));
        each.map_init(Workspace::default, |workspace, (job, gradient)| one(job, gradient, workspace)).collect()
    }
}

fn with_packed<T>(engine: &Engine, inputs: &Inputs, work: impl FnOnce(&Packed) -> Result<T>) -> Result<T> {
    match inputs {
        Inputs::Packed(packed) => work(packed),
        Inputs::Plain { values, .. } => work(&engine.pack(values)?),
    }
}
