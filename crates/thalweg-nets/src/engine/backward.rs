//! The way back from dL/dlogits: gradients of values, and of weights into flat θ.
use super::buffers::{Prepared, Tape};
use super::kernels::{
    attention, conv, conv_gradient, conv_pool, dense, depthwise, image_norm, norm, pointwise, pool, regions, slopes,
    tokens,
};
use super::ops::{Conv, Dense, Kind, Op};
use super::plan::{Place, Value};
use super::run::{Block, Runner};
use super::vector::Vector;
use std::ops::Range;

impl Runner<'_> {
    pub(super) fn backward(
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
                Kind::Conv(conv) => self.conv_weights(conv, x, dy, scratch, gradient),
                Kind::ConvPool { conv, choices: place, .. } => {
                    let choices = &choices[*place..*place + output.len()];
                    machine.run(conv_pool::WeightGradient { conv, x, dy, choices, scratch, gradient });
                }
                Kind::Dense(dense) => machine.run(dense::WeightGradient { dense, x, dy, scratch, gradient }),
                Kind::Slopes(slopes) => machine.run(slopes::WeightGradient { slopes, x, dy, gradient }),
                Kind::ImageNorm(norm) => {
                    let dx = input.wanted.then(|| &mut before[input.gradient..input.gradient + input.len()]);
                    machine.run(image_norm::Backward { norm, theta, x, dy, dx, gradient });
                }
                Kind::FirstToken { token } => {
                    tokens::token_gradient(dy, &mut gradient[*token..*token + input.shape[0]]);
                }
                Kind::Positions { weight } => {
                    tokens::position_gradient(input.shape[0], dy, &mut gradient[*weight..*weight + input.len()]);
                }
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
                Kind::Conv(conv) => self.conv_inputs(conv, &prepared.weights, dy, dx),
                Kind::ConvPool { conv, choices: place, .. } => {
                    let choices = &choices[*place..*place + output.len()];
                    let full = &mut scratch[..conv.output.iter().product()];
                    machine.run(conv_pool::Spread { conv, dy, choices, full });
                    machine.run(conv::InputGradient { conv, weights: &prepared.weights, dy: full, dx });
                }
                Kind::Dense(dense) => machine.run(dense::InputGradient { dense, theta, dy, dx }),
                Kind::MaxPool(window) => machine.run(pool::MaxBackward { window, x, y, dy, dx }),
                Kind::AvgPool(window) => machine.run(pool::MeanBackward { window, dy, dx }),
                Kind::Regions(regions) => machine.run(regions::Backward { regions, dy, dx }),
                Kind::Slopes(slopes) => machine.run(slopes::InputGradient { slopes, theta, x, dy, dx }),
                Kind::Activation(activation) => {
                    machine.run(pointwise::Backward { activation: *activation, x, y, dy, dx });
                }
                Kind::Dropout { multipliers, .. } => {
                    let factors = &values[*multipliers..multipliers + output.len()];
                    machine.run(pointwise::Multiply { x: dy, y: factors, z: dx });
                }
                Kind::Attention(attention) => {
                    let Place::Tape(at) = output.place else { continue };
                    let probabilities = &values[at + output.len()..][..attention.probabilities()];
                    machine.run(attention::Backward { attention, x, probabilities, dy, dx, scratch });
                }
                Kind::Pad { padding, .. } => pool::crop(input.shape, *padding, dy, dx),
                Kind::Surround { before } => dx.copy_from_slice(&dy[*before..*before + input.len()]),
                Kind::Transpose => tokens::transpose(input.shape[2], input.shape[0], dy, dx),
                Kind::FirstToken { .. } => tokens::without_first(input.shape[0], dy, dx),
                Kind::Take { index } => tokens::put(*index, dy, dx),
                // The sum at the end of the residual block, or its shortcut, has already put its share into dx.
                Kind::Fork { begins: false } => machine.run(pointwise::Accumulate { x: dy, to: dx }),
                Kind::Fork { begins: true } | Kind::Add { .. } | Kind::Positions { .. } => dx.copy_from_slice(dy),
                Kind::Norm(_) | Kind::ImageNorm(_) => {}
            }
        }
    }

    pub(super) fn norm_sums(&self, op: &Op, block: Block, prepared: &mut Prepared, tape: &Tape) {
        let Kind::Norm(norm) = &op.kind else { return };
        let output = &self.plan.values[op.output];
        let dy = &tape.gradients[output.gradient..output.gradient + output.len()];
        let x = self.value(op.input, block.x, &tape.values);
        self.machine.run(norm::Sums { norm, statistics: &mut prepared.statistics, x, dy });
    }

    pub(super) fn norm_backward(&self, op: &Op, block: Block, prepared: &Prepared, tape: &mut Tape) {
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

    fn conv_weights(&self, conv: &Conv, x: &[Vector], dy: &mut [Vector], scratch: &mut [Vector], gradient: &mut [f32]) {
        let machine = self.machine;
        if conv.is_depthwise() {
            return machine.run(depthwise::WeightGradient { conv, x, dy, gradient });
        }
        conv.each_group(x, dy, |conv, x, dy| {
            machine.run(conv_gradient::WeightGradient {
                conv,
                x,
                dy,
                scratch: &mut *scratch,
                gradient: &mut *gradient,
            });
        });
    }

    fn conv_inputs(&self, conv: &Conv, weights: &[f32], dy: &[Vector], dx: &mut [Vector]) {
        let (machine, theta) = (self.machine, self.theta);
        if conv.is_depthwise() {
            return machine.run(depthwise::InputGradient { conv, theta, dy, dx });
        }
        conv.each_group(dy, dx, |conv, dy, dx| machine.run(conv::InputGradient { conv, weights, dy, dx }));
    }
}

/// The gradients before that of `output`, and its own.
fn split<'a>(gradients: &'a mut [Vector], output: &Value) -> (&'a mut [Vector], &'a mut [Vector]) {
    let (before, after) = gradients.split_at_mut(output.gradient);
    (before, &mut after[..output.len()])
}
