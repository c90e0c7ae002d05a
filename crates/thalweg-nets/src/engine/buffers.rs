//! Weights as the kernels read them, and the memory of a run.
use super::kernels::conv_pool::Choice;
use super::kernels::norm::Statistics;
use super::kernels::{blocks, winograd};
use super::ops::Kind;
use super::plan::Plan;
use super::vector::{LANES, Vector};

/// Weights of one θ in the order in which the kernels read them, and statistics of its batch normalisations.
#[derive(Clone, Debug, Default)]
pub(super) struct Prepared {
    pub(super) weights: Vec<f32>,
    /// For logits only.
    pub(super) fast: Vec<f32>,
    pub(super) statistics: Statistics,
}

impl Prepared {
    /// Repacks `theta` `[P]` for gradients.
    pub(super) fn prepare(&mut self, plan: &Plan, theta: &[f32]) {
        self.repack(plan, theta, false);
    }

    /// Repacks `theta` `[P]` for [`Runner::logits`] only.
    pub(super) fn prepare_for_logits(&mut self, plan: &Plan, theta: &[f32]) {
        self.fast.resize(plan.fast_weights, 0.0);
        self.repack(plan, theta, true);
    }

    pub(super) fn repack(&mut self, plan: &Plan, theta: &[f32], only_logits: bool) {
        self.weights.resize(plan.weights, 0.0);
        self.statistics.resize(plan.norms);
        for op in &plan.ops {
            match &op.kind {
                Kind::ConvPool { conv, fast: Some(at), .. } if only_logits => {
                    winograd::transform_weights(conv, theta, &mut self.fast[*at..]);
                }
                Kind::Conv(conv) if conv.is_depthwise() => {}
                Kind::Conv(conv) | Kind::ConvPool { conv, .. } => {
                    for g in 0..conv.groups {
                        blocks::repack(&conv.group(g), theta, &mut self.weights);
                    }
                }
                Kind::Norm(norm) => self.statistics.take_running(norm, theta),
                _ => {}
            }
        }
    }
}

/// What a pass over one block of images leaves behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Tape {
    pub(super) values: Vec<Vector>,
    pub(super) choices: Vec<Choice>,
    pub(super) gradients: Vec<Vector>,
}

/// The inputs of one dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerInputs {
    /// Where its weight begins in θ.
    pub weight: usize,
    /// Inputs `[N, i]`, a row for every row of the batch.
    pub rows: Vec<f32>,
}

/// Buffers of one thread: one tape, or under batch statistics one for every block.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    pub(super) tapes: Vec<Tape>,
    pub(super) scratch: Vec<Vector>,
    pub(super) logits: Vec<f32>,
    pub(super) dlogits: Vec<f32>,
}

impl Buffers {
    pub(super) fn resize(&mut self, plan: &Plan, blocks: usize) {
        if self.tapes.len() < blocks {
            self.tapes.resize_with(blocks, Tape::default);
        }
        for tape in &mut self.tapes[..blocks] {
            tape.values.resize(plan.tape, Vector::ZERO);
            tape.choices.resize(plan.choices, [0; 2]);
            tape.gradients.resize(plan.gradients, Vector::ZERO);
        }
        self.scratch.resize(plan.scratch, Vector::ZERO);
        let rows = LANES * plan.values[plan.output].len();
        self.logits.resize(rows, 0.0);
        self.dlogits.resize(rows, 0.0);
    }
}
