//! Runs a plan on blocks of sixteen images: forward onto a tape, backward from dL/dlogits.
use super::buffers::Tape;
pub(super) use super::buffers::{Buffers, Prepared};
use super::kernels::{conv, conv_gradient, conv_pool, dense, norm, pointwise, pool, winograd};
use super::ops::{Conv, Dense, Kind, Op};
use super::packed::Packed;
use super::plan::{Place, Plan, Value};
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
struct Block<'a> {
    x: &'a [Vector],
    index: usize,
    count: usize,
}

fn block(x: &Packed, index: usize) -> Block<'_> {
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
    fn value<'a>(&self, value: usize, x: &'a [Vector], values: &'a [Vector]) -> &'a [Vector] {
        let value = &self.plan.values[value];
        match value.place {
            Place::Input => x,
            Place::Tape(at) => &values[at..at + value.len()],
        }
    }

    /// With `room`, for logits only: nothing is kept for a way back.
    fn forward(
        &self,
        ops: Range<usize>,
        block: Block,
        prepared: &Prepared,
        tape: &mut Tape,
        mut room: Option<&mut [Vector]>,
    ) {
        let Runner { plan, machine, theta, .. } = *self;
        for op in &plan.ops[ops] {
            let output = &plan.values[op.output];
            let Place::Tape(at) = output.place else { continue };
            if matches!(op.kind, Kind::Fork) {
                continue;
            }
            let (before, after) = tape.values.split_at_mut(at);
            let y = &mut after[..output.len()];
            if let Kind::Dropout { p, multipliers } = op.kind {
                let multipliers = &mut before[multipliers..multipliers + output.len()];
                match self.phase.dropout {
                    Some(streams) => {
                        let mut rng = streams.index(op.output as u64).index(block.index as u64).rng();
                        pointwise::draw_multipliers(p, &mut rng, multipliers);
                    }
                    None => multipliers.fill(Vector([1.0; LANES])),
                }
            }
            let x = self.value(op.input, block.x, before);
            match &op.kind {
                Kind::Conv(conv) => machine.run(conv::Forward { conv, theta, weights: &prepared.weights, x, y }),
                Kind::ConvPool { conv, choices, fast } => {
                    if let (Some(at), Some(room)) = (*fast, room.as_deref_mut()) {
                        machine.run(winograd::Forward { conv, theta, weights: &prepared.fast[at..], x, y, room });
                        continue;
                    }
                    let choices = &mut tape.choices[*choices..*choices + output.len()];
                    machine.run(conv_pool::Forward { conv, theta, weights: &prepared.weights, x, y, choices });
                }
                Kind::Dense(dense) => machine.run(dense::Forward { dense, theta, x, y }),
                Kind::MaxPool(window) => machine.run(pool::MaxForward { window, x, y }),
                Kind::AvgPool(window) => machine.run(pool::MeanForward { window, x, y }),
                Kind::Activation(activation) => {
                    machine.run(pointwise::Forward { activation: *activation, x, y });
                }
                Kind::Dropout { multipliers, .. } => {
                    let factors = &before[*multipliers..multipliers + output.len()];
                    machine.run(pointwise::Multiply { x, y: factors, z: y });
                }
                Kind::Norm(norm) => {
                    machine.run(norm::Forward { norm, statistics: &prepared.statistics, theta, x, y });
                }
                Kind::Pad(padding) => pool::pad(plan.values[op.input].shape, *padding, x, y),
                Kind::Fork => {}
                Kind::Add { skip } => {
                    machine.run(pointwise::Add { x, y: self.value(*skip, block.x, before), z: y });
                }
            }
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

    fn backward(
        &self,
        ops: Range<usize>,
        block: Block,
        prepared: &mut Prepared,
        tape: &mut Tape,
        scratch: &mut [Vector],
        gradient: &mut [f32],
    ) {
        let Runner { plan, machine, theta, .. } = *self;
        for op in plan.ops[ops].iter().rev() {
            let (input, output) = (&plan.values[op.input], &plan.values[op.output]);
            if !output.wanted {
                continue;
            }
            if matches!(op.kind, Kind::Norm(_)) {
                self.norm_sums(op, block, prepared, tape);
                self.norm_backward(op, block, prepared, tape);
                continue;
            }
            let Tape { values, choices, gradients } = &mut *tape;
            let (before, dy) = split(gradients, output);
            let (x, y) = (self.value(op.input, block.x, values), self.value(op.output, block.x, values));
            if let Kind::Conv(Conv { relu: true, .. })
            | Kind::ConvPool { conv: Conv { relu: true, .. }, .. }
            | Kind::Dense(Dense { relu: true, .. }) = op.kind
            {
                machine.run(pointwise::Cut { y, dy });
            }
            match &op.kind {
                Kind::Conv(conv) => machine.run(conv_gradient::WeightGradient { conv, x, dy, scratch, gradient }),
                Kind::ConvPool { conv, choices: place, .. } => {
                    let choices = &choices[*place..*place + output.len()];
                    machine.run(conv_pool::WeightGradient { conv, x, dy, choices, scratch, gradient });
                }
                Kind::Dense(dense) => machine.run(dense::WeightGradient { dense, x, dy, scratch, gradient }),
                Kind::Add { skip } => {
                    let skip = &plan.values[*skip];
                    if skip.wanted {
                        before[skip.gradient..skip.gradient + skip.len()].copy_from_slice(dy);
                    }
                }
                _ => {}
            }
            if !input.wanted {
                continue;
            }
            let dx = &mut before[input.gradient..input.gradient + input.len()];
            match &op.kind {
                Kind::Conv(conv) => machine.run(conv::InputGradient { conv, weights: &prepared.weights, dy, dx }),
                Kind::ConvPool { conv, choices: place, .. } => {
                    let choices = &choices[*place..*place + output.len()];
                    let full = &mut scratch[..conv.output.iter().product()];
                    machine.run(conv_pool::Spread { conv, dy, choices, full });
                    machine.run(conv::InputGradient { conv, weights: &prepared.weights, dy: full, dx });
                }
                Kind::Dense(dense) => machine.run(dense::InputGradient { dense, theta, dy, dx }),
                Kind::MaxPool(window) => machine.run(pool::MaxBackward { window, x, y, dy, dx }),
                Kind::AvgPool(window) => machine.run(pool::MeanBackward { window, dy, dx }),
                Kind::Activation(activation) => {
                    machine.run(pointwise::Backward { activation: *activation, x, y, dy, dx });
                }
                Kind::Dropout { multipliers, .. } => {
                    let factors = &values[*multipliers..multipliers + output.len()];
                    machine.run(pointwise::Multiply { x: dy, y: factors, z: dx });
                }
                Kind::Pad(padding) => pool::crop(input.shape, *padding, dy, dx),
                // The sum at the end of the residual block has already put its share into dx.
                Kind::Fork => machine.run(pointwise::Accumulate { x: dy, to: dx }),
                Kind::Add { .. } => dx.copy_from_slice(dy),
                Kind::Norm(_) => {}
            }
        }
    }

    fn norm_sums(&self, op: &Op, block: Block, prepared: &mut Prepared, tape: &Tape) {
        let Kind::Norm(norm) = &op.kind else { return };
        let output = &self.plan.values[op.output];
        let dy = &tape.gradients[output.gradient..output.gradient + output.len()];
        let x = self.value(op.input, block.x, &tape.values);
        self.machine.run(norm::Sums { norm, statistics: &mut prepared.statistics, x, dy });
    }

    fn norm_backward(&self, op: &Op, block: Block, prepared: &Prepared, tape: &mut Tape) {
        let Kind::Norm(norm) = &op.kind else { return };
        let input = &self.plan.values[op.input];
        if input.wanted {
            let (before, dy) = split(&mut tape.gradients, &self.plan.values[op.output]);
            let dx = &mut before[input.gradient..input.gradient + input.len()];
            let x = self.value(op.input, block.x, &tape.values);
            let (statistics, batch, count) = (&prepared.statistics, self.phase.batch, block.count);
            self.machine.run(norm::Backward { norm, statistics, theta: self.theta, batch, count, x, dy, dx });
        }
    }
}

/// The gradients before that of `output`, and its own.
fn split<'a>(gradients: &'a mut [Vector], output: &Value) -> (&'a mut [Vector], &'a mut [Vector]) {
    let (before, after) = gradients.split_at_mut(output.gradient);
    (before, &mut after[..output.len()])
}
