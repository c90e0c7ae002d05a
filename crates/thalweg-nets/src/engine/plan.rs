//! A compiled architecture: the layers as a list of operations on values with fixed places in a tape.
//!
//! Padding becomes an operation of its own (so no other kernel knows of borders), flattening none at all, and a
//! residual block a fork and a sum. Places grow from the first operation to the last, so that the inputs of an
//! operation always lie before its output. Layers that follow each other often are one operation: a convolution with
//! the 2 × 2 maximum and the ReLU behind it, a dense layer with its ReLU.
use super::kernels::blocks;
use super::kernels::winograd;
use super::ops::*;
use super::vector::Machine;
use crate::architecture::{Architecture, Layer, Operation, Shape, shape_after};
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
        let trained = matches!(kind, Kind::Conv(_) | Kind::ConvPool { .. } | Kind::Dense(_) | Kind::Norm(_));
        let before = self.values[input];
        let wanted = trained
            || before.wanted
            || match kind {
                Kind::Add { skip } => self.values[skip].wanted,
                _ => false,
            };
        let place = match kind {
            Kind::Fork => before.place,
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

    fn push_conv(&mut self, mut conv: Conv, pool: bool, padding: usize, mut value: usize, machine: Machine) -> usize {
        let [c, h, w] = self.values[value].shape;
        if padding > 0 {
            value = self.push(Kind::Pad(padding), value, [c, h + 2 * padding, w + 2 * padding]);
        }
        conv.input = self.values[value].shape;
        conv.forward = self.weights;
        conv.backward = self.weights + conv.weights();
        self.weights += 2 * conv.weights();
        // Two columns of a block of channels are held at once, or the four of a window.
        let [outputs, oh, ow] = conv.output;
        conv.backward_block = blocks::pairs(machine.registers());
        conv.forward_block = conv.backward_block;
        self.scratch = self.scratch.max(outputs * conv.kernel * conv.kernel);
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
            Operation::Conv { kernel, stride, padding, bias, .. } => {
                let conv = Conv {
                    input: shape,
                    output: after,
                    kernel,
                    stride,
                    weight: slot(Role::Weight),
                    bias: bias.then(|| slot(Role::Bias)),
                    forward: 0,
                    forward_block: 0,
                    backward: 0,
                    backward_block: 0,
                    relu: next.relu,
                };
                return Ok(self.push_conv(conv, next.pool, padding, value, machine));
            }
            Operation::Dense { out, bias } => {
                // Inputs transposed to [16][i], for the weight gradient.
                self.scratch = self.scratch.max(16 * shape[0].div_ceil(16));
                let weight = slot(Role::Weight);
                let bias = bias.then(|| slot(Role::Bias));
                Kind::Dense(Dense { inputs: shape[0], outputs: out, weight, bias, relu: next.relu })
            }
            Operation::MaxPool { size, stride } => {
                Kind::MaxPool(Window { input: shape, output: after, size, stride: stride.unwrap_or(size) })
            }
            Operation::AvgPool { size, stride } => {
                Kind::AvgPool(Window { input: shape, output: after, size, stride: stride.unwrap_or(size) })
            }
            Operation::Relu => Kind::Activation(Activation::Relu),
            Operation::LeakyRelu { slope } => Kind::Activation(Activation::LeakyRelu(slope)),
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
            Operation::Residual { ref layers } => {
                let branch = self.push(Kind::Fork, value, shape);
                let branch = self.push_layers(layers, branch, slots, machine)?;
                return Ok(self.push(Kind::Add { skip: value }, branch, after));
            }
            Operation::Flatten => {
                self.values[value].shape = after;
                return Ok(value);
            }
        };
        Ok(self.push(kind, value, after))
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
                Operation::Conv { stride: 1, kernel, .. },
                Some(Operation::MaxPool { size: 2, stride: None | Some(2) }),
            ) => machine.selects() && SIDES.contains(kernel),
            _ => false,
        };
        let is_relu = |layer: Option<&Layer>| matches!(layer, Some(Layer { operation: Operation::Relu, .. }));
        let (first, second) = (rest.first(), rest.get(1));
        match operation {
            // The maximum and the ReLU may change places.
            Operation::Conv { .. } if is_pool(first) => Next { pool: true, relu: is_relu(second) },
            Operation::Conv { .. } if is_relu(first) => Next { pool: is_pool(second), relu: true },
            Operation::Dense { .. } => Next { pool: false, relu: is_relu(first) },
            _ => Next::default(),
        }
    }

    /// Layers taken.
    fn layers(self) -> usize {
        usize::from(self.pool) + usize::from(self.relu)
    }
}
