//! The operations of a compiled network and their operands: what the planner writes and the kernels read.
use crate::architecture::Shape;

/// Kernel sides that these kernels know.
pub(in crate::engine) const SIDES: [usize; 4] = [2, 3, 4, 5];

/// A point-wise function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::engine) enum Activation {
    Relu,
    LeakyRelu(f32),
    Tanh,
    Gelu,
    Silu,
    Softplus,
}

/// A convolution without padding, `[i, h, w] → [o, oh, ow]`.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Conv {
    pub input: Shape,
    pub output: Shape,
    pub kernel: usize,
    pub stride: usize,
    /// Places in θ.
    pub weight: usize,
    pub bias: Option<usize>,
    /// Places in the repacked weights, in blocks of so many output (input) channels.
    pub forward: usize,
    pub forward_block: usize,
    pub backward: usize,
    pub backward_block: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Conv {
    /// Numbers in the weight.
    pub(in crate::engine) fn weights(&self) -> usize {
        self.input[0] * self.output[0] * self.kernel * self.kernel
    }
}

/// A dense layer, `[i] → [o]`; weight `[o, i]` used where it lies in θ.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Dense {
    pub inputs: usize,
    pub outputs: usize,
    pub weight: usize,
    pub bias: Option<usize>,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// A pooling window, `[c, h, w] → [c, oh, ow]`.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Window {
    pub input: Shape,
    pub output: Shape,
    pub size: usize,
    pub stride: usize,
}

/// A batch normalisation of `channels` of `area` numbers each.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Norm {
    pub channels: usize,
    pub area: usize,
    pub eps: f32,
    /// Places in θ.
    pub scale: usize,
    pub shift: usize,
    pub mean: usize,
    pub variance: usize,
    /// Place of the first channel among the channels of all batch normalisations.
    pub first: usize,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Kind {
    Conv(Conv),
    /// A convolution and the maximum over 2 × 2 windows; where the maxima lie is kept from this place on.
    ConvPool {
        conv: Conv,
        choices: usize,
        /// Place of the weights that logits take instead, where fewer multiplications pay.
        fast: Option<usize>,
    },
    Dense(Dense),
    MaxPool(Window),
    AvgPool(Window),
    Activation(Activation),
    /// Multipliers (0 or 1/(1 − p)) are kept at this place in the tape.
    Dropout {
        p: f32,
        multipliers: usize,
    },
    Norm(Norm),
    /// Zeros on every side.
    Pad(usize),
    /// The same values under a second gradient: the branch of a residual block begins.
    Fork,
    /// Branch plus the value `skip`.
    Add {
        skip: usize,
    },
}

#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Op {
    pub kind: Kind,
    pub input: usize,
    pub output: usize,
}
