//! The way from the inputs to the logits: every operation writes its value onto the tape.
use super::buffers::{Prepared, Tape};
use super::kernels::{
    attention, conv, conv_pool, dense, depthwise, image_norm, norm, pointwise, pool, regions, slopes, tokens, winograd,
};
use super::ops::{Conv, Kind};
use super::plan::Place;
use super::run::{Block, Runner};
use super::vector::{LANES, Vector};
use std::ops::Range;

impl Runner<'_> {
    /// With `room`, for logits only: nothing is kept for a way back.
    pub(super) fn forward(
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
            if matches!(op.kind, Kind::Fork { .. }) {
                continue;
            }
            let (before, after) = tape.values.split_at_mut(at);
            let (y, after) = after.split_at_mut(output.len());
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
            let (x, input) = (self.value(op.input, block.x, before), plan.values[op.input].shape);
            match &op.kind {
                Kind::Conv(conv) => self.conv_forward(conv, &prepared.weights, x, y),
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
                Kind::Regions(regions) => machine.run(regions::Forward { regions, x, y }),
                Kind::Slopes(slopes) => machine.run(slopes::Forward { slopes, theta, x, y }),
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
                Kind::ImageNorm(norm) => machine.run(image_norm::Forward { norm, theta, x, y }),
                Kind::Attention(attention) => {
                    let probabilities = &mut after[..attention.probabilities()];
                    machine.run(attention::Forward { attention, x, y, probabilities });
                }
                Kind::Pad { padding, value } => pool::pad(plan.values[op.input].shape, *padding, *value, x, y),
                Kind::Surround { before } => {
                    y.fill(Vector::ZERO);
                    y[*before..*before + x.len()].copy_from_slice(x);
                }
                Kind::Transpose => tokens::transpose(input[0], input[2], x, y),
                Kind::FirstToken { token } => tokens::prepend(&theta[*token..*token + input[0]], x, y),
                Kind::Positions { weight } => tokens::add_positions(input[0], &theta[*weight..*weight + x.len()], x, y),
                Kind::Take { index } => tokens::take(*index, x, y),
                Kind::Fork { .. } => {}
                Kind::Add { skip } => {
                    machine.run(pointwise::Add { x, y: self.value(*skip, block.x, before), z: y });
                }
            }
        }
    }

    fn conv_forward(&self, conv: &Conv, weights: &[f32], x: &[Vector], y: &mut [Vector]) {
        let (machine, theta) = (self.machine, self.theta);
        if conv.is_depthwise() {
            return machine.run(depthwise::Forward { conv, theta, x, y });
        }
        conv.each_group(x, y, |conv, x, y| machine.run(conv::Forward { conv, theta, weights, x, y }));
    }
}
