//! What evaluates networks under judgement: the [engine](ByEngine), or code of the caller's for architectures that it does not know.
use crate::space::flat::{self, Probe, Slope};
use crate::{Layout, Result};
use thalweg_nets::engine::{Engine, Packed};

/// Answers of networks θ `[P]` on the test inputs, and on probe inputs, for the baselines of noise that networks hardly feel; without probe inputs these are left
/// out.
pub trait Evaluator: Probe {
    /// Names and places of the weights.
    fn layout(&self) -> &Layout;

    /// Test inputs N.
    fn rows(&self) -> usize;

    /// Logits `[n, N, C]` of networks `theta [n, P]` on the test inputs.
    ///
    /// # Errors
    /// A slice that is no `[n, P]`; what the evaluation says.
    fn logits(&self, theta: &[f32]) -> Result<Vec<f32>>;
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

    fn logits(&self, theta: &[f32]) -> Result<Vec<f32>> {
        self.engine.logits_of_many(theta, self.test)
    }
}

impl ByEngine<'_> {
    fn on_probe(&self) -> flat::ByEngine<'_> {
        flat::ByEngine { engine: self.engine, inputs: self.probe }
    }
}

impl Probe for ByEngine<'_> {
    fn probes(&self) -> usize {
        self.on_probe().probes()
    }

    fn classes(&self) -> usize {
        self.engine.classes()
    }

    fn probe_logits(&self, theta: &[f32], rows: &[usize]) -> Result<Vec<f32>> {
        self.on_probe().probe_logits(theta, rows)
    }

    fn pulled_back(&self, theta: &[f32], rows: &[usize], group: usize, slope: Slope<'_>) -> Result<Vec<f32>> {
        self.on_probe().pulled_back(theta, rows, group, slope)
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
