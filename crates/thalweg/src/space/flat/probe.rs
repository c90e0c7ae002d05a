//! Networks seen through their logits on unlabelled inputs, and the derivatives of those.
use crate::{Error, Result};
use rayon::prelude::*;
use thalweg_nets::engine::{Engine, Mode};
use thalweg_nets::loss::LogitLoss;

/// A slope by the logits of one input: the k-th of those asked for has logits `[C]`, and the slope is written over `[C]`.
pub type Slope<'a> = &'a (dyn Fn(usize, &[f32], &mut [f32]) + Sync);

/// Answers of networks θ `[P]` on probe inputs, and what moves them.
pub trait Probe: Sync {
    /// Probe inputs; there may be none.
    fn probes(&self) -> usize;

    /// Logits of one input C.
    fn classes(&self) -> usize;

    /// Logits `[K, C]` of the network `theta [P]` at the K probe inputs `rows`.
    ///
    /// # Errors
    /// What the evaluation says.
    fn probe_logits(&self, theta: &[f32], rows: &[usize]) -> Result<Vec<f32>>;

    /// Sums of `Jᵀ slope` over each `group` neighbouring ones of the probe inputs `rows` `[K · group]`: `[K, P]` for the network `theta [P]`, J the derivative
    /// of its logits at one input. Slopes are numbered as the rows are.
    ///
    /// # Errors
    /// What the evaluation says.
    fn pulled_back(&self, theta: &[f32], rows: &[usize], group: usize, slope: Slope<'_>) -> Result<Vec<f32>>;
}

/// Networks of an architecture that the engine knows.
#[derive(Clone, Copy)]
pub struct ByEngine<'a> {
    /// Their engine.
    pub engine: &'a Engine,
    /// Unlabelled inputs `[N, D]`, training rows best; may be empty.
    pub inputs: &'a [f32],
}

impl Probe for ByEngine<'_> {
    fn probes(&self) -> usize {
        self.inputs.len() / self.engine.input_len().max(1)
    }

    fn classes(&self) -> usize {
        self.engine.classes()
    }

    fn probe_logits(&self, theta: &[f32], rows: &[usize]) -> Result<Vec<f32>> {
        let mut packed = self.engine.pack(&[])?;
        self.engine.pack_rows(self.inputs, rows, &mut packed)?;
        self.engine.logits_of_many(theta, &packed)
    }

    fn pulled_back(&self, theta: &[f32], rows: &[usize], group: usize, slope: Slope<'_>) -> Result<Vec<f32>> {
        let (engine, p) = (self.engine, theta.len());
        let mut pulled = vec![0.0; rows.len() / group * p];
        let groups = pulled.par_chunks_exact_mut(p.max(1)).zip(rows.par_chunks_exact(group));
        groups.enumerate().try_for_each_init(
            || (engine.workspace(), engine.pack(&[])),
            |(workspace, packed), (k, (pulled, rows))| {
                let packed = packed.as_mut().map_err(|e| Error::parameter("probe", "inputs of the engine", e))?;
                engine.pack_rows(self.inputs, rows, packed)?;
                let pull = Pull { slope, first: k * group, classes: engine.classes() };
                engine.gradient(theta, packed, Mode::Evaluate, &pull, pulled, workspace);
                Ok::<(), Error>(())
            },
        )?;
        Ok(pulled)
    }
}

/// The slopes from the `first` on as a loss.
struct Pull<'a> {
    slope: Slope<'a>,
    first: usize,
    classes: usize,
}

impl LogitLoss for Pull<'_> {
    fn rows(&self, from: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        let rows = logits.chunks_exact(self.classes).zip(d.chunks_exact_mut(self.classes));
        rows.enumerate().for_each(|(i, (logits, d))| (self.slope)(self.first + from + i, logits, d));
        0.0
    }
}
