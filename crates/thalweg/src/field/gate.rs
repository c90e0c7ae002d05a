//! The gate of time on every number of a residual field: γ(t) `[P]`, which multiplies x.
//!
//! | gate | γ(t) | numbers a weight |
//! | --- | --- | --- |
//! | full | G φ(t) + g | F + 1, 33 with the defaults |
//! | low-rank | G V φ(t) + g, V `[4, F]` | 5 |
//! | shared | V φ(t) + g, V `[1, F]`: one course in time for all | 1 |
//!
//! With a narrow stream the full gate is three quarters of a field's parameters; the others are for networks whose field would not fit into memory with
//! it. G, g and the V of a shared gate start at 0.
use crate::nn::affine::Affine;
use crate::nn::dense::{Accumulate, column_sums};
use crate::nn::elementwise;
use crate::nn::gradient::Gradient;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use thalweg_nets::Streams;

/// Which gate; see the module's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// A course in time of its own for each number.
    #[default]
    Full,
    /// A mixture of four courses for each number.
    LowRank,
    /// One course for all, and a constant for each number.
    Shared,
}

/// Courses of a low-rank gate.
const RANK: usize = 4;

impl Gate {
    /// Whether it is the gate of fields from before there was a choice.
    pub fn is_full(&self) -> bool {
        *self == Self::Full
    }

    /// Parameters for points of `dimension` and `features` of time.
    pub(super) fn numbers(self, dimension: usize, features: usize) -> usize {
        match self {
            Self::Full => dimension.saturating_mul(features + 1),
            Self::LowRank => dimension.saturating_mul(RANK + 1).saturating_add(RANK * features),
            Self::Shared => dimension.saturating_add(features),
        }
    }
}

/// A gate as ranges of flat parameters.
#[derive(Clone, Debug)]
pub(super) struct TimeGate {
    dimension: usize,
    /// V; none where it is the identity.
    time: Option<Affine>,
    /// G with g; none where G is all ones.
    weights: Option<Affine>,
    /// g, where there is no G.
    bias: Range<usize>,
}

/// V φ(t) `[C, courses]`, and the derivative with respect to it.
#[derive(Default)]
pub(super) struct Courses {
    value: Vec<f32>,
    derivative: Vec<f32>,
}

impl TimeGate {
    /// Appends the gate's tensors to those that `end` numbers precede.
    pub fn push(
        tensors: &mut Vec<(String, Vec<usize>)>,
        end: &mut usize,
        kind: Gate,
        p: usize,
        features: usize,
    ) -> Self {
        let mut gate = Self { dimension: p, time: None, weights: None, bias: 0..0 };
        match kind {
            Gate::Full => gate.weights = Some(Affine::push(tensors, end, "gate", p, features)),
            Gate::LowRank => {
                gate.time = Some(Affine::push_linear(tensors, end, "courses", RANK, features));
                gate.weights = Some(Affine::push(tensors, end, "gate", p, RANK));
            }
            Gate::Shared => {
                gate.time = Some(Affine::push_linear(tensors, end, "courses", 1, features));
                gate.bias = *end..*end + p;
                *end += p;
                tensors.push(("gate.bias".into(), vec![p]));
            }
        }
        gate
    }

    /// Draws what must not start at 0: the V of a low-rank gate, whose G does.
    pub fn draw(&self, parameters: &mut [f32], streams: &Streams) {
        if let (Some(time), Some(_)) = (&self.time, &self.weights) {
            time.draw(parameters, streams);
        }
    }

    /// γ `[C, P]` at features of time `phi [C, F]`.
    pub fn apply(&self, q: &[f32], phi: &[f32], courses: &mut Courses, gate: &mut [f32]) {
        if let Some(time) = &self.time {
            courses.value.resize(phi.len() / time.inputs * time.outputs, 0.0);
            time.apply(q, phi, Accumulate::Overwrite, &mut courses.value);
        }
        match &self.weights {
            Some(weights) => {
                let features = if self.time.is_some() { &courses.value } else { phi };
                weights.apply(q, features, Accumulate::Overwrite, gate);
                elementwise::add_bias(gate, weights.bias(q));
            }
            None => {
                let g = &q[self.bias.clone()];
                gate.par_chunks_exact_mut(self.dimension).zip(&courses.value).for_each(|(row, course)| {
                    row.iter_mut().zip(g).for_each(|(gate, g)| *gate = course + g);
                });
            }
        }
    }

    /// The part of the parameters' `gradient` that is the gate's, from `d [C, P]` at the `phi` that [`Self::apply`] was given.
    pub fn gradient(&self, q: &[f32], gradient: &mut Gradient<'_>, d: &[f32], phi: &[f32], courses: &mut Courses) {
        courses.derivative.resize(courses.value.len(), 0.0);
        match &self.weights {
            Some(weights) => {
                let features = if self.time.is_some() { &courses.value } else { phi };
                weights.gradient(gradient, d, features);
                if self.time.is_some() {
                    weights.input_gradient(q, d, Accumulate::Overwrite, &mut courses.derivative);
                }
            }
            None => {
                match gradient {
                    Gradient::Skip => {}
                    Gradient::Write(slice) => column_sums(&mut slice[self.bias.clone()], Accumulate::Overwrite, d),
                    Gradient::Add(slice) => column_sums(&mut slice[self.bias.clone()], Accumulate::Add, d),
                }
                let rows = courses.derivative.par_iter_mut().zip(d.par_chunks_exact(self.dimension));
                rows.for_each(|(sum, row)| *sum = row.iter().map(|d| f64::from(*d)).sum::<f64>() as f32);
            }
        }
        if let Some(time) = &self.time {
            time.gradient(gradient, &courses.derivative, phi);
        }
    }
}
