//! A compiled architecture: the layers as a list of operations on values with fixed places in a tape.
//!
//! Padding becomes an operation of its own (so no other kernel knows of borders), flattening none at all, and a
//! residual block one fork for each of its branches and a sum. Places grow from the first operation to the last, so that the inputs of an
//! operation always lie before its output. Layers that follow each other often are one operation: a convolution with
//! the 2 × 2 maximum and the ReLU behind it, a dense layer with its ReLU.
use super::kernels::blocks;
use super::kernels::winograd;
use super::ops::*;
use super::vector::Machine;
use crate::architecture::{Architecture, Layer, Operation, Over, Projections, Shape, Sides, shape_after};
use crate::error::Result;
use crate::layout::{Layout, Role, Slot};
use std::slice::Iter;

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// In the packed inputs.
    Input,
    /// In the tape, from this vector on.
    Tape(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub shape: Shape,
    pub place: Place,
    /// Place of its gradient.
    pub gradient: usize,
    /// Whether parameters lie before it, so that its gradient is wanted.
    pub wanted: bool,
}

impl Value {
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Operations, values and the sizes of the buffers they need.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub ops: Vec<Op>,
    pub values: Vec<Value>,
    /// The value of the logits.
    pub output: usize,
    /// Vectors in the tape and in the gradients of one block.
    pub tape: usize,
    pub choices: usize,
    pub gradients: usize,
    /// Numbers in the repacked weights.
    pub weights: usize,
    /// Numbers in the weights that only logits take.
    pub fast_weights: usize,
    /// Vectors of scratch room.
    pub scratch: usize,
    /// Channels under batch normalisation.
    pub norms: usize,
}

impl Plan {
    /// Compiles for `machine`.
    pub(super) fn new(architecture: &Architecture, layout: &Layout, machine: Machine) -> Result<Self> {
        let input = Value { shape: architecture.input(), place: Place::Input, gradient: 0, wanted: false };
        let mut plan = Plan {
            ops: Vec::new(),
            values: vec![input],
            output: 0,
            tape: 0,
            choices: 0,
            gradients: 0,
            weights: 0,
            fast_weights: 0,
            scratch: 0,
            norms: 0,
        };
        plan.output = plan.push_layers(architecture.layers(), 0, &mut layout.slots().iter(), machine)?;
        Ok(plan)
    }

    /// The operations as runs that each begin at a batch normalisation (but the first).
    pub(super) fn segments(&self) -> Vec<std::ops::Range<usize>> {
        let mut starts = vec![0];
        starts.extend((1..self.ops.len()).filter(|&i| matches!(self.ops[i].kind, Kind::Norm(_))));
        let ends = starts.iter().skip(1).copied().chain([self.ops.len()]);
        starts.iter().zip(ends).map(|(&a, b)| a..b).collect()
    }

    fn push(&mut self, kind: Kind, input: usize, shape: Shape) -> usize {
        let len: usize = shape.iter().product();
        let before = self.values[input];
        let wanted = kind.has_tensors()
            || before.wanted
            || match kind {
                Kind::Add { skip } => self.values[skip].wanted,
                _ => false,
            };
        let place = match kind {
            Kind::Fork { .. } => before.place,
            _ => Place::Tape(self.reserve(len)),
        };
        self.values.push(Value { shape, place, gradient: self.gradients, wanted });
        self.gradients += len;
        let output = self.values.len() - 1;
        self.ops.push(Op { kind, input, output });
        output
    }

    fn reserve(&mut self, vectors: usize) -> usize {
        self.tape += vectors;
        self.tape - vectors
    }

    fn push_layers(
        &mut self,
        mut layers: &[Layer],
        mut value: usize,
        slots: &mut Iter<Slot>,
        machine: Machine,
    ) -> Result<usize> {
        while let [layer, rest @ ..] = layers {
            let next = Next::of(&layer.operation, rest, machine);
            value = self.push_layer(&layer.operation, next, value, slots, machine)?;
            layers = &rest[next.layers()..];
        }
        Ok(value)
    }

    /// `value` on every side of the input, `[height, width]` of them.
    fn push_pad(&mut self, padding: [usize; 2], value: f32, input: usize) -> usize {
        let [c, h, w] = self.values[input].shape;
        match padding {
            [0, 0] => input,
            [y, x] => self.push(Kind::Pad { padding, value }, input, [c, h + 2 * y, w + 2 * x]),
        }
    }

    fn push_conv(
        &mut self,
        mut conv: Conv,
        pool: bool,
        padding: [usize; 2],
        mut value: usize,
        machine: Machine,
    ) -> usize {
        value = self.push_pad(padding, 0.0, value);
        conv.input = self.values[value].shape;
        if !conv.is_depthwise() {
            conv.forward = self.weights;
            conv.backward = self.weights + conv.weights();
            self.weights += 2 * conv.weights();
        }
        // Two columns of a block of channels are held at once, or the four of a window.
        let [outputs, oh, ow] = conv.output;
        conv.backward_block = blocks::pairs(machine.registers());
        conv.forward_block = conv.backward_block;
        self.scratch = self.scratch.max(outputs / conv.groups * conv.area());
        if !pool {
            return self.push(Kind::Conv(conv), value, conv.output);
        }
        conv.forward_block = blocks::windows(machine.registers());
        if self.values[value].wanted {
            self.scratch = self.scratch.max(outputs * oh * ow);
        }
        let choices = self.choices;
        self.choices += outputs * (oh / 2) * (ow / 2);
        let fast = winograd::pays(&conv).then_some(self.fast_weights);
        if fast.is_some() {
            self.fast_weights += winograd::weights(&conv);
            self.scratch = self.scratch.max(winograd::room(&conv));
        }
        self.push(Kind::ConvPool { conv, choices, fast }, value, [outputs, oh / 2, ow / 2])
    }

    fn push_layer(
        &mut self,
        operation: &Operation,
        next: Next,
        value: usize,
        slots: &mut Iter<Slot>,
        machine: Machine,
    ) -> Result<usize> {
        let shape = self.values[value].shape;
        let after = shape_after(operation, shape, "layer")?;
        let mut slot = |role| {
            let slot = slots.next().expect("the layout is that of the architecture");
            assert_eq!(slot.role, role, "the layout is that of the architecture");
            slot.offset
        };
        let kind = match *operation {
            Operation::Conv { .. } | Operation::Conv1d { .. } => {
                let of = operation.convolution().expect("a convolution");
                let weight = slot(Role::Weight);
                let bias = of.bias.then(|| slot(Role::Bias));
                let conv = Conv {
                    kernel: of.kernel,
                    stride: of.stride,
                    dilation: of.dilation,
                    groups: of.groups,
                    relu: next.relu,
                    ..pointwise(shape, after, weight, bias)
                };
                return Ok(self.push_conv(conv, next.pool, of.padding, value, machine));
            }
            Operation::Dense { out, bias } => {
                // Inputs transposed to [16][i], for the weight gradient.
                self.scratch = self.scratch.max(16 * shape[0].div_ceil(16));
                let weight = slot(Role::Weight);
                let bias = bias.then(|| slot(Role::Bias));
                Kind::Dense(Dense { inputs: shape[0], outputs: out, weight, bias, relu: next.relu })
            }
            Operation::Linear { bias, .. } => {
                let weight = slot(Role::Weight);
                let conv = pointwise(shape, after, weight, bias.then(|| slot(Role::Bias)));
                return Ok(self.push_conv(Conv { relu: next.relu, ..conv }, false, [0; 2], value, machine));
            }
            Operation::MaxPool { size, stride, padding } => {
                let value = self.push_pad(padding.0, f32::NEG_INFINITY, value);
                let input = self.values[value].shape;
                let (size, stride) = (size.0, stride.unwrap_or(size).0);
                return Ok(self.push(Kind::MaxPool(Window { input, output: after, size, stride }), value, after));
            }
            Operation::AvgPool { size, stride, padding, count_padding: false } if !padding.is_zero() => {
                let (size, stride, padding) = (size.0, stride.unwrap_or(size).0, padding.0);
                let cover = Cover::Windows { size, stride, padding };
                Kind::Regions(Regions { input: shape, output: after, cover })
            }
            Operation::AvgPool { size, stride, padding, .. } => {
                let value = self.push_pad(padding.0, 0.0, value);
                let input = self.values[value].shape;
                let (size, stride) = (size.0, stride.unwrap_or(size).0);
                return Ok(self.push(Kind::AvgPool(Window { input, output: after, size, stride }), value, after));
            }
            Operation::AdaptiveAvgPool { .. } => {
                Kind::Regions(Regions { input: shape, output: after, cover: Cover::Whole })
            }
            Operation::Relu => Kind::Activation(Activation::Relu),
            Operation::Relu6 => Kind::Activation(Activation::Relu6),
            Operation::LeakyRelu { slope } => Kind::Activation(Activation::LeakyRelu(slope)),
            Operation::Prelu { channels } => {
                let area = shape[1] * shape[2];
                Kind::Slopes(Slopes { weight: slot(Role::Slope), unit: if channels { area } else { shape[0] * area } })
            }
            Operation::Elu { alpha } => Kind::Activation(Activation::Elu(alpha)),
            Operation::Sigmoid => Kind::Activation(Activation::Sigmoid),
            Operation::HardSwish => Kind::Activation(Activation::HardSwish),
            Operation::Identity => return Ok(value),
            Operation::Tanh => Kind::Activation(Activation::Tanh),
            Operation::Gelu => Kind::Activation(Activation::Gelu),
            Operation::Silu => Kind::Activation(Activation::Silu),
            Operation::Softplus => Kind::Activation(Activation::Softplus),
            Operation::Dropout { p } => Kind::Dropout { p, multipliers: self.reserve(shape.iter().product()) },
            Operation::BatchNorm { eps, .. } => {
                let first = self.norms;
                self.norms += shape[0];
                Kind::Norm(Norm {
                    channels: shape[0],
                    area: shape[1] * shape[2],
                    eps,
                    scale: slot(Role::Scale),
                    shift: slot(Role::Shift),
                    mean: slot(Role::RunningMean),
                    variance: slot(Role::RunningVariance),
                    first,
                })
            }
            Operation::GroupNorm { groups, eps } => {
                let (len, unit) = (shape.iter().product::<usize>() / groups, shape[1] * shape[2]);
                let (scale, shift) = (slot(Role::Scale), slot(Role::Shift));
                Kind::ImageNorm(ImageNorm { sets: groups, len, between: len, step: 1, unit, eps, scale, shift })
            }
            Operation::LayerNorm { over, eps } => {
                let (area, all) = (shape[1] * shape[2], shape.iter().product());
                let (scale, shift) = (slot(Role::Scale), slot(Role::Shift));
                Kind::ImageNorm(match over {
                    Over::Features => {
                        ImageNorm { sets: area, len: shape[0], between: 1, step: area, unit: area, eps, scale, shift }
                    }
                    Over::All => ImageNorm { sets: 1, len: all, between: all, step: 1, unit: 1, eps, scale, shift },
                })
            }
            Operation::Residual { ref layers, ref shortcut } => {
                let branch = self.push(Kind::Fork { begins: false }, value, shape);
                let branch = self.push_layers(layers, branch, slots, machine)?;
                let skip = match shortcut.is_empty() {
                    true => value,
                    false => {
                        let beside = self.push(Kind::Fork { begins: true }, value, shape);
                        self.push_layers(shortcut, beside, slots, machine)?
                    }
                };
                return Ok(self.push(Kind::Add { skip }, branch, after));
            }
            Operation::PadChannels { before, .. } => Kind::Surround { before: before * shape[1] * shape[2] },
            Operation::Flatten | Operation::Tokens => {
                self.values[value].shape = after;
                return Ok(value);
            }
            Operation::Transpose => Kind::Transpose,
            Operation::ClassToken => Kind::FirstToken { token: slot(Role::Token) },
            Operation::PositionEmbedding => Kind::Positions { weight: slot(Role::Position) },
            Operation::SelfAttention { heads, bias, names } => {
                let [inner, offset] = match names {
                    Projections::Torch => [Role::InProjection, Role::ZeroBias],
                    Projections::Timm => [Role::Weight, Role::Bias],
                };
                let [f, _, tokens] = shape;
                let (weight, shift) = (slot(inner), bias.then(|| slot(offset)));
                let three = pointwise(shape, [3 * f, 1, tokens], weight, shift);
                let (weight, shift) = (slot(Role::Weight), bias.then(|| slot(offset)));
                let last = pointwise(shape, shape, weight, shift);
                let value = self.push_conv(three, false, [0; 2], value, machine);
                let attention = Attention { heads, width: f / heads, tokens };
                let value = self.push(Kind::Attention(attention), value, shape);
                self.reserve(attention.probabilities());
                self.scratch = self.scratch.max(tokens * tokens);
                return Ok(self.push_conv(last, false, [0; 2], value, machine));
            }
            Operation::TakeToken { index } => Kind::Take { index },
        };
        Ok(self.push(kind, value, after))
    }
}

/// A matrix product at every position, as a convolution whose places in the repacked weights are not known yet.
fn pointwise(input: Shape, output: Shape, weight: usize, bias: Option<usize>) -> Conv {
    Conv {
        input,
        output,
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        groups: 1,
        weight,
        bias,
        forward: 0,
        forward_block: 0,
        backward: 0,
        backward_block: 0,
        relu: false,
    }
}

/// What follows a layer and is done in one with it.
#[derive(Clone, Copy, Debug, Default)]
struct Next {
    pool: bool,
    relu: bool,
}

impl Next {
    fn of(operation: &Operation, rest: &[Layer], machine: Machine) -> Self {
        let is_pool = |layer: Option<&Layer>| match (operation, layer.map(|layer| &layer.operation)) {
            (
                Operation::Conv { kernel: Sides([tall, wide]), stride, dilation, groups: 1, .. },
                Some(Operation::MaxPool { size: Sides([2, 2]), stride: None | Some(Sides([2, 2])), padding }),
            ) => {
                let plain = tall == wide && stride.is_one() && dilation.is_one() && padding.is_zero();
                plain && machine.selects() && SIDES.contains(wide)
            }
            _ => false,
        };
        let is_relu = |layer: Option<&Layer>| matches!(layer, Some(Layer { operation: Operation::Relu, .. }));
        let (first, second) = (rest.first(), rest.get(1));
        match operation {
            // The maximum and the ReLU may change places.
            Operation::Conv { .. } if is_pool(first) => Next { pool: true, relu: is_relu(second) },
            Operation::Conv { .. } if is_relu(first) => Next { pool: is_pool(second), relu: true },
            Operation::Conv1d { .. } | Operation::Dense { .. } | Operation::Linear { .. } => {
                Next { pool: false, relu: is_relu(first) }
            }
            _ => Next::default(),
        }
    }

    /// Layers taken.
    fn layers(self) -> usize {
        usize::from(self.pool) + usize::from(self.relu)
    }
}
