//! The operations of a compiled network and their operands: what the planner writes and the kernels read.
use super::vector::Vector;
use crate::architecture::Shape;

/// Kernel sides that the kernels of fused pools know.
pub(in crate::engine) const SIDES: [usize; 4] = [2, 3, 4, 5];

/// A point-wise function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::engine) enum Activation {
    Relu,
    Relu6,
    LeakyRelu(f32),
    Elu(f32),
    Tanh,
    Sigmoid,
    Gelu,
    Silu,
    HardSwish,
    Softplus,
}

/// A convolution without padding, `[i, h, w] → [o, oh, ow]`. Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Conv {
    pub input: Shape,
    pub output: Shape,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
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
        self.input[0] / self.groups * self.output[0] * self.area()
    }

    /// Taps of the kernel.
    pub(in crate::engine) fn area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The side of a square kernel.
    pub(in crate::engine) fn side(&self) -> usize {
        self.kernel[1]
    }

    /// Whether there are inputs between those that neighbouring taps read.
    pub(in crate::engine) fn is_dilated(&self) -> bool {
        self.dilation != [1; 2]
    }

    /// Whether every channel is a group of its own, before and behind.
    pub(in crate::engine) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.input[0] && self.groups == self.output[0]
    }

    /// Group `g` as a convolution by itself.
    pub(in crate::engine) fn group(&self, g: usize) -> Conv {
        let ([i, h, w], [o, oh, ow]) = (self.input, self.output);
        let (inputs, outputs, own) = (i / self.groups, o / self.groups, self.weights() / self.groups);
        Conv {
            input: [inputs, h, w],
            output: [outputs, oh, ow],
            groups: 1,
            weight: self.weight + g * own,
            bias: self.bias.map(|place| place + g * outputs),
            forward: self.forward + g * own,
            backward: self.backward + g * own,
            ..*self
        }
    }

    /// Calls `f(group, x, y)` for every group with its part of inputs and outputs.
    pub(in crate::engine) fn each_group(
        &self,
        x: &[Vector],
        y: &mut [Vector],
        mut f: impl FnMut(&Conv, &[Vector], &mut [Vector]),
    ) {
        if self.groups == 1 {
            return f(self, x, y);
        }
        let parts = x.chunks_exact(x.len() / self.groups).zip(y.chunks_exact_mut(y.len() / self.groups));
        for (g, (x, y)) in parts.enumerate() {
            f(&self.group(g), x, y);
        }
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

/// A pooling window, `[c, h, w] → [c, oh, ow]`; pairs are `[height, width]`.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Window {
    pub input: Shape,
    pub output: Shape,
    pub size: [usize; 2],
    pub stride: [usize; 2],
}

/// Rectangles of an image, `[c, h, w] → [c, oh, ow]`.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Regions {
    pub input: Shape,
    pub output: Shape,
    pub cover: Cover,
}

/// How rectangles lie.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Cover {
    /// They cover the image, each by an equal share rounded outwards.
    Whole,
    /// Windows over a padded image, of which only what lies in the image counts.
    Windows { size: [usize; 2], stride: [usize; 2], padding: [usize; 2] },
}

impl Regions {
    /// First and one past the last input of output `at` along an axis (0: height, 1: width).
    pub(in crate::engine) fn range(&self, axis: usize, at: usize) -> (usize, usize) {
        let (n, outputs) = (self.input[axis + 1], self.output[axis + 1]);
        match self.cover {
            Cover::Whole => (at * n / outputs, ((at + 1) * n).div_ceil(outputs)),
            Cover::Windows { size, stride, padding } => {
                let from = at * stride[axis];
                let end = (from + size[axis]).saturating_sub(padding[axis]).min(n);
                (from.saturating_sub(padding[axis]).min(end), end)
            }
        }
    }
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

/// A normalisation of `sets` of `len` numbers within each image: set s holds the numbers s · between + e · step.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct ImageNorm {
    pub sets: usize,
    pub len: usize,
    pub between: usize,
    pub step: usize,
    /// Neighbouring numbers that share a scale and a shift.
    pub unit: usize,
    pub eps: f32,
    /// Places in θ.
    pub scale: usize,
    pub shift: usize,
}

/// A slope below zero for every `unit` of numbers.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Slopes {
    /// Place in θ.
    pub weight: usize,
    pub unit: usize,
}

/// Attention of `tokens` tokens, given queries, keys and values one behind the other: `[3 f, 1, t] → [f, 1, t]`.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Attention {
    pub heads: usize,
    /// Features of one head.
    pub width: usize,
    pub tokens: usize,
}

impl Attention {
    /// Probabilities `[heads, t, t]`, which lie behind the output in the tape.
    pub(in crate::engine) fn probabilities(&self) -> usize {
        self.heads * self.tokens * self.tokens
    }
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
    /// The mean of every rectangle.
    Regions(Regions),
    Activation(Activation),
    /// x for x > 0, θ x below.
    Slopes(Slopes),
    /// Multipliers (0 or 1/(1 − p)) are kept at this place in the tape.
    Dropout {
        p: f32,
        multipliers: usize,
    },
    Norm(Norm),
    ImageNorm(ImageNorm),
    Attention(Attention),
    /// A value on every side, `[height, width]` of them.
    Pad {
        padding: [usize; 2],
        value: f32,
    },
    /// So many numbers of zero before the input, and the rest of the output behind it.
    Surround {
        before: usize,
    },
    /// Channels and positions change places.
    Transpose,
    /// θ from this place on as the first token.
    FirstToken {
        token: usize,
    },
    /// Plus θ `[t, f]` from this place on.
    Positions {
        weight: usize,
    },
    /// One position of every channel.
    Take {
        index: usize,
    },
    /// The same values under a second gradient: a branch of a residual block begins. The gradient of the last branch begins that of the
    /// values before the block; those of the others are added, and so is that of a block without a shortcut, whose sum began it.
    Fork {
        begins: bool,
    },
    /// Branch plus the value `skip`.
    Add {
        skip: usize,
    },
}

impl Kind {
    /// Whether it has weights, or running statistics.
    pub(in crate::engine) fn has_tensors(&self) -> bool {
        match self {
            Self::Conv(_)
            | Self::ConvPool { .. }
            | Self::Dense(_)
            | Self::Slopes(_)
            | Self::Norm(_)
            | Self::ImageNorm(_)
            | Self::FirstToken { .. }
            | Self::Positions { .. } => true,
            Self::MaxPool(_)
            | Self::AvgPool(_)
            | Self::Regions(_)
            | Self::Activation(_)
            | Self::Dropout { .. }
            | Self::Attention(_)
            | Self::Pad { .. }
            | Self::Surround { .. }
            | Self::Transpose
            | Self::Take { .. }
            | Self::Fork { .. }
            | Self::Add { .. } => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Op {
    pub kind: Kind,
    pub input: usize,
    pub output: usize,
}
