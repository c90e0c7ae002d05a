//! What evaluates networks under judgement: the [engine](ByEngine), or code of the caller's for architectures that it does not know.
use crate::{Error, Layout, Result};
use rayon::prelude::*;
use thalweg_nets::engine::{Engine, Mode, Packed};
use thalweg_nets::loss::LogitLoss;

/// A slope by the logits of one input: the k-th of those asked for has logits `[C]`, and the slope is written over `[C]`.
pub type Slope<'a> = &'a (dyn Fn(usize, &[f32], &mut [f32]) + Sync);

/// Answers of networks θ `[P]` on the test inputs and, for the baselines of noise that networks hardly feel, derivatives on probe inputs.
pub trait Evaluator: Sync {
    /// Names and places of the weights.
    fn layout(&self) -> &Layout;

    /// Test inputs N.
    fn rows(&self) -> usize;

    /// Logits of one input C.
    fn classes(&self) -> usize;

    /// Logits `[n, N, C]` of networks `theta [n, P]` on the test inputs.
    ///
    /// # Errors
    /// A slice that is no `[n, P]`; what the evaluation says.
    fn logits(&self, theta: &[f32]) -> Result<Vec<f32>>;

    /// Probe inputs; without any, baselines that need derivatives are left out.
    fn probes(&self) -> usize;

    /// `Jᵀ slope` `[K, P]` for the network `theta [P]` at each of the K probe inputs `rows` by itself, J the derivative of its logits there.
    ///
    /// # Errors
    /// What the evaluation says.
    fn pulled_back(&self, theta: &[f32], rows: &[usize], slope: Slope<'_>) -> Result<Vec<f32>>;
}

/// Networks of an architecture that the engine knows.
#[derive(Clone, Copy)]
pub struct ByEngine<'a> {
    /// Their engine.
    pub engine: &'a Engine,
    /// Test inputs `[N, D]`, packed by the engine.
    pub test: &'a Packed,
    /// Unlabelled inputs `[M, D]`, training rows best; may be empty.
    pub probe: &'a [f32],
}

impl Evaluator for ByEngine<'_> {
    fn layout(&self) -> &Layout {
        self.engine.layout()
    }

    fn rows(&self) -> usize {
        self.test.len()
    }

    fn classes(&self) -> usize {
        self.engine.classes()
    }

    fn logits(&self, theta: &[f32]) -> Result<Vec<f32>> {
        self.engine.logits_of_many(theta, self.test)
    }

    fn probes(&self) -> usize {
        self.probe.len() / self.engine.input_len().max(1)
    }

    fn pulled_back(&self, theta: &[f32], rows: &[usize], slope: Slope<'_>) -> Result<Vec<f32>> {
        let (engine, p) = (self.engine, theta.len());
        let mut pulled = vec![0.0; rows.len() * p];
        pulled.par_chunks_exact_mut(p.max(1)).zip(rows).enumerate().try_for_each_init(
            || (engine.workspace(), engine.pack(&[])),
            |(workspace, packed), (k, (pulled, row))| {
                let packed = packed.as_mut().map_err(|e| Error::parameter("probe", "inputs of the engine", e))?;
                engine.pack_rows(self.probe, &[*row], packed)?;
                engine.gradient(theta, packed, Mode::Evaluate, &Pull { slope, k }, pulled, workspace);
                Ok::<(), Error>(())
            },
        )?;
        Ok(pulled)
    }
}

/// The slope at the k-th input as a loss of one row.
struct Pull<'a> {
    slope: Slope<'a>,
    k: usize,
}

impl LogitLoss for Pull<'_> {
    fn rows(&self, _: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        (self.slope)(self.k, logits, d);
        0.0
    }
}

/// An [`Evaluator`]: the engine's by value, any other by reference.
#[derive(Clone, Copy)]
pub enum Evaluation<'a> {
    /// By the engine.
    Engine(ByEngine<'a>),
    /// By the caller.
    Other(&'a dyn Evaluator),
}

impl Evaluation<'_> {
    /// What evaluates.
    pub fn evaluator(&self) -> &dyn Evaluator {
        match self {
            Self::Engine(engine) => engine,
            Self::Other(other) => *other,
        }
    }
}
