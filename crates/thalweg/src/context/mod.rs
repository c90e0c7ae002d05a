//! Conditioning on context data (M10): a few labelled rows of a task in, a law over networks for that task out.
//!
//! A [`Support`] set goes through the [`Encoder`] to a context c `[D]`, trained jointly with the velocity field ([`fit_tasks`](crate::fit_tasks)) over many zoos, one a
//! task, all of one architecture. Contexts are dropped (c = 0) at random in training, so the same field is also the unconditional one, and samples
//! may be guided: v_g = v_∅ + g (v_c − v_∅).
//!
//! What makes it work is in the zoos: runs of all tasks must start from one law around one network, or the tasks' networks have nothing in common
//! that a field could interpolate. Where that network's last layer is zero, tasks may also be shown with their classes permuted
//! (`context.relabel`), which teaches the field what a label is. Not for zoos of independent initialisations.
mod block;
mod body;
mod centre;
pub(crate) mod config;
pub(crate) mod encoder;
pub(crate) mod extractor;
mod guidance;
pub(crate) mod joint;
mod onnx;
mod onnx_wire;
pub(crate) mod pool;
pub(crate) mod relabel;
pub(crate) mod support;

pub use body::Body;
pub use config::{ContextConfig, Features};
pub use encoder::{Encoder, EncoderBuffers};
pub use extractor::Extractor;
pub(crate) use extractor::ONNX;
pub(crate) use guidance::guided;
pub(crate) use joint::{Grouped, Joint};
pub use onnx::Onnx;
pub use pool::Pool;
pub use support::Support;

use crate::Result;
use thalweg_nets::data::Dataset;

/// What a conditional model knows beside its field.
#[derive(Debug)]
pub struct Context {
    /// From support sets to contexts.
    pub encoder: Encoder,
    /// What rows go through before the encoder.
    pub extractor: Extractor,
}

/// A context to sample for.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditioning {
    /// c `[D]`.
    pub c: Vec<f32>,
    /// g: 1 for the conditional law as it was learned, 0 for the unconditional one, above 1 to overdo the difference.
    pub guidance: f64,
}

impl Context {
    /// The support set of labelled rows, as the encoder takes them.
    ///
    /// # Errors
    /// Rows or labels that do not fit.
    pub fn support(&self, rows: &Dataset) -> Result<Support> {
        let support = Support::new(&self.extractor.of(rows)?, &rows.labels)?;
        self.encoder.check(&support)?;
        Ok(support)
    }

    /// The context `[D]` of a support set that [`Self::support`] made.
    pub fn encode(&self, support: &Support) -> Vec<f32> {
        self.encoder.forward(std::slice::from_ref(support), &mut EncoderBuffers::default()).to_vec()
    }
}
