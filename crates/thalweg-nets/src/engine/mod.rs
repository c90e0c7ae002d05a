//! The CPU engine: logits of small networks, and their gradients from any dL/dlogits, for many θ at once.
//!
//! Base networks are small and many, and that is where all the time goes: training zoos, judging samples, gradients of
//! rewards. So activations lie as `[channel][row][column][16 images]`: sixteen images are the lanes of a vector, and
//! every layer is a loop of lane-wide multiply–adds over register blocks of channels. The values of one block of
//! sixteen images stay in the second-level cache; models, and for a single model chunks of blocks, run in parallel.
//!
//! - [`vector`]: the lanes, and the choice of instruction set at run time; `x86`: registers.
//! - `plan`: a compiled architecture; `run`: its passes, `forward` and `backward`.
//! - `kernels`: one computation each; `blocks`: what they hold in registers.
//! - `winograd`: convolution and pool with fewer multiplications, for logits only; they differ in the last bits from
//!   those within a gradient.
//! - `many`: many models in parallel; `layer_inputs`: what dense layers multiply.
//!
//! Sums run in a fixed order over fixed chunks ([`CHUNK`] blocks), so results have the same bytes on any number of
//! threads. Batch normalisation with batch statistics needs whole-batch passes and keeps all blocks' values.
//!
//! ```
//! use thalweg_nets::architecture::Preset;
//! use thalweg_nets::engine::{Engine, Mode};
//! use thalweg_nets::loss::CrossEntropy;
//! let engine = Engine::new(&Preset::Mlp { widths: vec![4] }.build([2, 1, 1], 2)?)?;
//! let (inputs, labels) = ([0.5, -1.0, 2.0, 0.0, 1.0, 1.0], [0, 1, 1]);
//! let theta = vec![0.1; engine.parameters()];
//! let mut gradient = vec![0.0; engine.parameters()];
//! let x = engine.pack(&inputs)?;
//! let loss = CrossEntropy::new(&labels, 2, 0.0)?;
//! let value = engine.gradient(&theta, &x, Mode::Evaluate, &loss, &mut gradient, &mut engine.workspace());
//! assert!((value - 2f64.ln()).abs() < 1e-6); // equal weights give equal logits
//! # Ok::<(), thalweg_nets::Error>(())
//! ```
mod backward;
pub mod buffers;
mod forward;
mod kernels;
mod layer_inputs;
mod machine;
mod many;
mod ops;
mod packed;
mod plan;
mod run;
#[cfg(test)]
mod tests;
pub mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use buffers::LayerInputs;
pub use packed::Packed;
pub use vector::Instructions;

use crate::architecture::Architecture;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::loss::LogitLoss;
use crate::streams::Streams;
use plan::Plan;
use run::{Buffers, Phase, Prepared, Runner};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vector::Machine;

/// Blocks whose gradients are summed before they join those of other blocks: 8 · 16 = 128 images.
pub const CHUNK: usize = 8;

/// How dropout and batch normalisation behave.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// Dropout is the identity, batch normalisation uses the running statistics.
    Evaluate,
    /// Dropout draws from the given streams (a fresh child for every step), batch normalisation uses batch statistics.
    Train {
        /// Streams of the multipliers.
        dropout: Streams,
    },
}

impl Mode {
    /// The mode of model `m` of many: its own dropout streams.
    fn of_model(self, m: usize) -> Self {
        match self {
            Mode::Evaluate => Mode::Evaluate,
            Mode::Train { dropout } => Mode::Train { dropout: dropout.index(m as u64) },
        }
    }
}

/// A compiled architecture. Shared by all threads; each thread owns a [`Workspace`].
#[derive(Clone, Debug)]
pub struct Engine {
    plan: Plan,
    layout: Layout,
    machine: Machine,
    input_len: usize,
    classes: usize,
    evaluated: Arc<AtomicU64>,
}

/// Buffers of one thread, reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    prepared: Prepared,
    buffers: Buffers,
    partial: Vec<f32>,
}

impl Engine {
    /// Compiles `architecture` for the fastest instruction set of this machine.
    ///
    /// # Errors
    /// None for a checked architecture; kept for layers that an engine may not know.
    pub fn new(architecture: &Architecture) -> Result<Self> {
        Self::with_instructions(architecture, Instructions::best())
    }

    /// Compiles for a given instruction set.
    ///
    /// # Errors
    /// Where this machine lacks the set.
    pub fn with_instructions(architecture: &Architecture, instructions: Instructions) -> Result<Self> {
        let machine = Machine::new(instructions).ok_or_else(|| {
            let found = format!("{instructions:?}, which this machine lacks");
            Error::parameter("instructions", "a set that this machine has", found)
        })?;
        let layout = Layout::of(architecture);
        let plan = Plan::new(architecture, &layout, machine)?;
        let (input_len, classes) = (architecture.input_len(), architecture.classes());
        Ok(Engine { plan, layout, machine, input_len, classes, evaluated: Arc::default() })
    }

    /// Where each tensor lies in θ.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// P.
    pub fn parameters(&self) -> usize {
        self.layout.len()
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// D: numbers in one input.
    pub fn input_len(&self) -> usize {
        self.input_len
    }

    /// The instruction set in use.
    pub fn instructions(&self) -> Instructions {
        self.machine.instructions()
    }

    /// Networks whose logits this engine and its clones have computed, a network as often as it was evaluated.
    pub fn evaluated(&self) -> u64 {
        self.evaluated.load(Ordering::Relaxed)
    }

    /// Packs inputs `[N, D]`.
    ///
    /// # Errors
    /// A length that is no multiple of D.
    pub fn pack(&self, inputs: &[f32]) -> Result<Packed> {
        let n = Packed::rows_of(self.input_len, inputs)?;
        let mut packed = Packed::empty(self.input_len);
        packed.fill(self.machine, n, |i| &inputs[i * self.input_len..]);
        Ok(packed)
    }

    /// Replaces `packed` by the given `rows` of inputs `[N, D]`, keeping its buffer.
    ///
    /// # Errors
    /// A length that is no multiple of D, a row beyond N, or a buffer made for other inputs.
    pub fn pack_rows(&self, inputs: &[f32], rows: &[usize], packed: &mut Packed) -> Result<()> {
        let n = Packed::rows_of(self.input_len, inputs)?;
        if packed.input_len() != self.input_len {
            return Err(Error::shape(
                "packed",
                format!("[n, {}]", self.input_len),
                format!("[n, {}]", packed.input_len()),
            ));
        }
        if let Some(row) = rows.iter().find(|&&row| row >= n) {
            return Err(Error::parameter("rows", format!("indices below {n}"), row));
        }
        packed.fill(self.machine, rows.len(), |i| &inputs[rows[i] * self.input_len..]);
        Ok(())
    }

    /// Buffers for one thread.
    pub fn workspace(&self) -> Workspace {
        Workspace::default()
    }

    fn runner<'a>(&'a self, theta: &'a [f32], x: &'a Packed, mode: Mode) -> Runner<'a> {
        let phase = match mode {
            Mode::Evaluate => Phase { dropout: None, batch: None },
            Mode::Train { dropout } => Phase { dropout: Some(dropout), batch: Some(x.len()) },
        };
        Runner { plan: &self.plan, machine: self.machine, theta, x, phase }
    }

    /// Whether a gradient in `mode` needs whole-batch passes.
    fn needs_whole_batch(&self, mode: Mode) -> bool {
        matches!(mode, Mode::Train { .. }) && self.plan.norms > 0
    }

    /// Logits `[N, C]` of one θ `[P]` in evaluation, on this thread.
    ///
    /// # Panics
    /// Where a slice has another length.
    pub fn logits(&self, theta: &[f32], x: &Packed, out: &mut [f32], workspace: &mut Workspace) {
        assert_eq!(theta.len(), self.parameters(), "theta must be [P]");
        assert_eq!(x.input_len(), self.input_len, "the inputs must be packed for this engine");
        assert_eq!(out.len(), x.len() * self.classes, "out must be [N, C]");
        self.evaluated.fetch_add(1, Ordering::Relaxed);
        workspace.prepared.prepare_for_logits(&self.plan, theta);
        let runner = self.runner(theta, x, Mode::Evaluate);
        runner.logits(&workspace.prepared, 0..x.blocks(), out, &mut workspace.buffers);
    }

    /// Gradient `[P]` of `loss` at one θ `[P]`, on this thread; returns the loss. The slots of running statistics
    /// receive the batch's mean and unbiased variance in [`Mode::Train`] (for the caller to average in), 0 otherwise.
    ///
    /// # Panics
    /// Where a slice has another length.
    pub fn gradient(
        &self,
        theta: &[f32],
        x: &Packed,
        mode: Mode,
        loss: &dyn LogitLoss,
        gradient: &mut [f32],
        workspace: &mut Workspace,
    ) -> f64 {
        assert_eq!(theta.len(), self.parameters(), "theta must be [P]");
        assert_eq!(gradient.len(), self.parameters(), "gradient must be [P]");
        assert_eq!(x.input_len(), self.input_len, "the inputs must be packed for this engine");
        gradient.fill(0.0);
        let Workspace { prepared, buffers, partial } = workspace;
        prepared.prepare(&self.plan, theta);
        let runner = self.runner(theta, x, mode);
        if self.needs_whole_batch(mode) {
            return runner.gradient_of_batch(prepared, loss, gradient, buffers);
        }
        if x.blocks() <= CHUNK {
            return runner.gradient(prepared, 0..x.blocks(), loss, gradient, buffers);
        }
        partial.resize(self.parameters(), 0.0);
        let mut total = 0.0;
        for chunk in chunks(x) {
            partial.fill(0.0);
            total += runner.gradient(prepared, chunk, loss, partial, buffers);
            add(gradient, partial);
        }
        total
    }
}

/// The chunks of blocks of `x`, in order.
fn chunks(x: &Packed) -> impl Iterator<Item = std::ops::Range<usize>> {
    let blocks = x.blocks();
    (0..blocks).step_by(CHUNK).map(move |a| a..(a + CHUNK).min(blocks))
}

fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
