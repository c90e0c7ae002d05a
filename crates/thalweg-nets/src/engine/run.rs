//! Runs a plan on blocks of sixteen images: `forward` onto a tape, `backward` from dL/dlogits.
use super::buffers::Tape;
pub(super) use super::buffers::{Buffers, Prepared};
use super::ops::{Kind, Op};
use super::packed::Packed;
use super::plan::{Place, Plan};
use super::vector::{LANES, Machine, Vector};
use crate::loss::LogitLoss;
use crate::streams::Streams;
use std::ops::Range;

/// How layers that know the difference behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    /// Dropout draws, in training.
    pub dropout: Option<Streams>,
    /// Images in the batch, where batch normalisation uses batch statistics.
    pub batch: Option<usize>,
}

/// One block of images.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub x: &'a [Vector],
    pub index: usize,
    pub count: usize,
}

/// Block number `index` of `x`.
pub(super) fn block(x: &Packed, index: usize) -> Block<'_> {
    Block { x: x.block(index), index, count: x.count(index) }
}

/// One network on one set of inputs.
#[derive(Clone, Copy)]
pub(super) struct Runner<'a> {
    pub plan: &'a Plan,
    pub machine: Machine,
    pub theta: &'a [f32],
    pub x: &'a Packed,
    pub phase: Phase,
}

impl Runner<'_> {
    /// Logits of `blocks` to `out` `[images in the blocks, C]`.
    pub(super) fn logits(&self, prepared: &Prepared, blocks: Range<usize>, out: &mut [f32], buffers: &mut Buffers) {
        buffers.resize(self.plan, 1);
        let classes = self.plan.values[self.plan.output].len();
        for (b, rows) in blocks.zip(out.chunks_mut(LANES * classes)) {
            let block = block(self.x, b);
            let Buffers { tapes, scratch, .. } = &mut *buffers;
            self.forward(0..self.plan.ops.len(), block, prepared, &mut tapes[0], Some(scratch));
            self.read_logits(block, &buffers.tapes[0].values, rows);
        }
    }

    /// Adds the gradient of the loss on `blocks` to `gradient` `[P]`; returns the loss. Needs no batch statistics.
    pub(super) fn gradient(
        &self,
        prepared: &mut Prepared,
        blocks: Range<usize>,
        loss: &dyn LogitLoss,
        gradient: &mut [f32],
        buffers: &mut Buffers,
    ) -> f64 {
        buffers.resize(self.plan, 1);
        let ops = 0..self.plan.ops.len();
        let mut total = 0.0;
        for b in blocks {
            let block = block(self.x, b);
            let Buffers { tapes, scratch, logits, dlogits } = &mut *buffers;
            self.forward(ops.clone(), block, prepared, &mut tapes[0], None);
            total += self.start_backward(block, loss, &mut tapes[0], logits, dlogits);
            self.backward(ops.clone(), block, prepared, &mut tapes[0], scratch, gradient);
        }
        for op in &self.plan.ops {
            if let Kind::Norm(norm) = &op.kind {
                prepared.statistics.finish(norm, gradient);
            }
        }
        prepared.statistics.resize(self.plan.norms);
        total
    }

    /// As [`Self::gradient`] for all blocks, with batch statistics: one pass over the blocks a segment.
    pub(super) fn gradient_of_batch(
        &self,
        prepared: &mut Prepared,
        loss: &dyn LogitLoss,
        gradient: &mut [f32],
        buffers: &mut Buffers,
    ) -> f64 {
        let (plan, n, segments) = (self.plan, self.x.blocks(), self.plan.segments());
        buffers.resize(plan, n);
        let Buffers { tapes, scratch, logits, dlogits } = &mut *buffers;
        let tapes = &mut tapes[..n];
        for segment in &segments {
            if let Some(Op { kind: Kind::Norm(norm), input, .. }) = plan.ops.get(segment.start) {
                let blocks = tapes.iter().enumerate();
                let blocks =
                    blocks.map(|(b, tape)| (self.value(*input, self.x.block(b), &tape.values), self.x.count(b)));
                prepared.statistics.measure(norm, self.x.len(), blocks, gradient);
            }
            for (b, tape) in tapes.iter_mut().enumerate() {
                self.forward(segment.clone(), block(self.x, b), prepared, tape, None);
            }
        }
        let mut total = 0.0;
        for (b, tape) in tapes.iter_mut().enumerate() {
            total += self.start_backward(block(self.x, b), loss, tape, logits, dlogits);
        }
        // The gradient through a batch normalisation waits until its sums over all blocks are known.
        let mut waiting = plan.ops.len();
        for segment in segments.iter().rev() {
            let starts_at_norm = matches!(plan.ops.get(segment.start), Some(Op { kind: Kind::Norm(_), .. }));
            let first = segment.start + usize::from(starts_at_norm);
            for (b, tape) in tapes.iter_mut().enumerate() {
                let block = block(self.x, b);
                if waiting < plan.ops.len() {
                    self.norm_backward(&plan.ops[waiting], block, prepared, tape);
                }
                self.backward(first..segment.end, block, prepared, tape, scratch, gradient);
                if starts_at_norm {
                    self.norm_sums(&plan.ops[segment.start], block, prepared, tape);
                }
            }
            if let Some(Op { kind: Kind::Norm(norm), .. }) = plan.ops.get(segment.start) {
                prepared.statistics.finish(norm, gradient);
            }
            waiting = if starts_at_norm { segment.start } else { plan.ops.len() };
        }
        total
    }

    /// The numbers of a value.
    pub(super) fn value<'a>(&self, value: usize, x: &'a [Vector], values: &'a [Vector]) -> &'a [Vector] {
        let value = &self.plan.values[value];
        match value.place {
            Place::Input => x,
            Place::Tape(at) => &values[at..at + value.len()],
        }
    }

    fn read_logits(&self, block: Block, values: &[Vector], rows: &mut [f32]) {
        let logits = self.value(self.plan.output, block.x, values);
        for (c, logit) in logits.iter().enumerate() {
            for (row, &value) in rows.chunks_exact_mut(logits.len()).zip(&logit.0) {
                row[c] = value;
            }
        }
    }

    /// Loss of the block, and its gradient as the gradient of the output value.
    fn start_backward(
        &self,
        block: Block,
        loss: &dyn LogitLoss,
        tape: &mut Tape,
        logits: &mut [f32],
        dlogits: &mut [f32],
    ) -> f64 {
        let output = &self.plan.values[self.plan.output];
        let classes = output.len();
        let (logits, dlogits) = (&mut logits[..block.count * classes], &mut dlogits[..block.count * classes]);
        self.read_logits(block, &tape.values, logits);
        let value = loss.rows(block.index * LANES, logits, dlogits);
        if output.wanted {
            // Lanes without an image stay zero, and with them everything that flows back from them.
            let gradient = &mut tape.gradients[output.gradient..output.gradient + classes];
            gradient.fill(Vector::ZERO);
            for (lane, row) in dlogits.chunks_exact(classes).enumerate() {
                for (vector, &d) in gradient.iter_mut().zip(row) {
                    vector.0[lane] = d;
                }
            }
        }
        value
    }
}
