//! Layers of base networks, as TOML has them.
use super::sides::Sides;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[channels, height, width]` of an activation.
pub type Shape = [usize; 3];

/// One layer. Shapes in the variants' docs are `[channels, height, width]` before → after; tokens are `[features, 1, tokens]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Operation {
    /// Two-dimensional cross-correlation, `[i, h, w] → [out, (h + 2 padding − dilation (kernel − 1) − 1)/stride + 1, …]`;
    /// weight `[out, i/groups, kernel, kernel]`. Kernel, stride, padding and dilation are one number or `[height, width]`.
    Conv {
        /// Output channels.
        out: usize,
        /// Sides of the kernel.
        kernel: Sides,
        /// Step between windows.
        #[serde(default = "Sides::one")]
        stride: Sides,
        /// Zeros added on every side.
        #[serde(default)]
        padding: Sides,
        /// Distance between neighbouring taps of the kernel.
        #[serde(default = "Sides::one", skip_serializing_if = "Sides::is_one")]
        dilation: Sides,
        /// Groups that channels are split into; each group of outputs sees its group of inputs alone (as many as channels: depthwise).
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
        /// Whether a bias `[out]` is added.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// One-dimensional cross-correlation, `[i, 1, l] → [out, 1, …]`; weight `[out, i/groups, kernel]`.
    Conv1d {
        /// Output channels.
        out: usize,
        /// Length of the kernel.
        kernel: usize,
        /// Step between windows.
        #[serde(default = "one")]
        stride: usize,
        /// Zeros added at both ends.
        #[serde(default)]
        padding: usize,
        /// Distance between neighbouring taps of the kernel.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        dilation: usize,
        /// As for a convolution.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
        /// Whether a bias `[out]` is added.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// Matrix product, `[i, 1, 1] → [out, 1, 1]`; weight `[out, i]`.
    Dense {
        /// Output features.
        out: usize,
        /// Whether a bias `[out]` is added.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// The same matrix product at every position, `[i, h, w] → [out, h, w]`; weight `[out, i]`: PyTorch's `nn.Linear` on tokens.
    Linear {
        /// Output features.
        out: usize,
        /// Whether a bias `[out]` is added.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// Maximum over windows (incomplete windows are dropped, as PyTorch does).
    MaxPool {
        /// Sides of the window: one number or `[height, width]`.
        size: Sides,
        /// Step between windows; the size by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Sides>,
        /// Places added on every side that no maximum takes; at most half of the window.
        #[serde(default, skip_serializing_if = "Sides::is_zero")]
        padding: Sides,
    },
    /// Mean over windows (incomplete windows are dropped).
    AvgPool {
        /// Sides of the window: one number or `[height, width]`.
        size: Sides,
        /// Step between windows; the size by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Sides>,
        /// Zeros added on every side; at most half of the window.
        #[serde(default, skip_serializing_if = "Sides::is_zero")]
        padding: Sides,
        /// Whether the added zeros count in the mean (PyTorch's default; ONNX's is not).
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        count_padding: bool,
    },
    /// Mean over `size` windows that cover the input, whatever its size, `[c, h, w] → [c, size, size]`; by default one: the global average pool.
    #[serde(alias = "global-avg-pool")]
    AdaptiveAvgPool {
        /// Sides of the output: one number or `[height, width]`.
        #[serde(default = "Sides::one")]
        size: Sides,
    },
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x for x > 0, slope · x below.
    LeakyRelu {
        /// Slope below zero.
        #[serde(default = "leaky_slope")]
        slope: f32,
    },
    /// x for x > 0, a x below, with a weight a: `[1]`, or `[channels]`.
    Prelu {
        /// Whether every channel has a weight of its own.
        #[serde(default)]
        channels: bool,
    },
    /// x for x > 0, alpha · (eˣ − 1) below.
    Elu {
        /// What it tends to below zero, negated.
        #[serde(default = "elu_alpha")]
        alpha: f32,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// x Φ(x), with the exact normal distribution function (PyTorch's default).
    Gelu,
    /// x σ(x).
    Silu,
    /// x min(max(x + 3, 0), 6)/6.
    HardSwish,
    /// log(1 + eˣ).
    Softplus,
    /// x.
    Identity,
    /// Zeroes each activation with probability `p` and scales the rest by 1/(1 − p); the identity in evaluation.
    Dropout {
        /// Probability of a zero.
        p: f32,
    },
    /// Batch normalisation per channel, with scale and shift; batch statistics in training, running ones in evaluation.
    BatchNorm {
        /// Added to the variance.
        #[serde(default = "norm_eps")]
        eps: f32,
        /// Share of a new batch in the running statistics.
        #[serde(default = "batch_norm_momentum")]
        momentum: f32,
    },
    /// Normalisation of every image's groups of channels, with scale and shift `[channels]`.
    GroupNorm {
        /// Groups of neighbouring channels.
        groups: usize,
        /// Added to the variance.
        #[serde(default = "norm_eps")]
        eps: f32,
    },
    /// Normalisation over the features of every position, `[features, h, w]`, with scale and shift `[features]`: PyTorch's `nn.LayerNorm` on tokens
    /// and on rows; over all of an image with scale and shift `[c, h, w]` where `over = "all"`.
    LayerNorm {
        /// What is normalised together.
        #[serde(default, skip_serializing_if = "Over::is_features")]
        over: Over,
        /// Added to the variance.
        #[serde(default = "norm_eps")]
        eps: f32,
    },
    /// shortcut(x) + layers(x), which must have one shape; without a shortcut, x + layers(x).
    Residual {
        /// The branch.
        layers: Vec<Layer>,
        /// What x goes through beside the branch, named `shortcut.0` and so on where the layers have no names: usually a strided
        /// 1 × 1 convolution with batch normalisation, or `avg-pool` of size 1 with a stride and `pad-channels` (option A of He et al. 2016).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortcut: Vec<Layer>,
    },
    /// Channels of zeros around those of the input, `[c, h, w] → [before + c + after, h, w]`.
    PadChannels {
        /// Channels before.
        #[serde(default)]
        before: usize,
        /// Channels behind.
        #[serde(default)]
        after: usize,
    },
    /// `[c, h, w] → [c·h·w, 1, 1]`, in that order.
    Flatten,
    /// `[c, h, w] → [c, 1, h·w]`: every position becomes a token of c features.
    Tokens,
    /// `[c, 1, t] → [t, 1, c]`: tokens and features change places, for layers that mix tokens.
    Transpose,
    /// A learned token before the others, `[f, 1, t] → [f, 1, t + 1]`; the tensor `[1, 1, f]` has the layer's name as it is.
    ClassToken,
    /// Adds a learned vector to every token; the tensor `[1, t, f]` has the layer's name as it is.
    PositionEmbedding,
    /// Multi-head self-attention of tokens, `[f, 1, t] → [f, 1, t]`: softmax(q kᵀ/√(f/heads)) v with q, k, v and the output linear in x.
    SelfAttention {
        /// Heads; f is a multiple of them.
        heads: usize,
        /// Whether the projections have biases.
        #[serde(default = "yes")]
        bias: bool,
        /// How the tensors are called.
        #[serde(default, skip_serializing_if = "Projections::is_torch")]
        names: Projections,
    },
    /// One token, `[f, 1, t] → [f, 1, 1]`.
    TakeToken {
        /// Which; 0 is the class token.
        #[serde(default)]
        index: usize,
    },
}

/// What a layer normalisation normalises together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// The features (channels) of one position.
    #[default]
    Features,
    /// All channels and positions of one image.
    All,
}

impl Over {
    fn is_features(&self) -> bool {
        *self == Self::Features
    }
}

/// Whose names the tensors of an attention have; their shapes are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Projections {
    /// `in_proj_weight` `[3 f, f]`, `in_proj_bias`, `out_proj.weight`, `out_proj.bias`, as `nn.MultiheadAttention` has them.
    #[default]
    Torch,
    /// `qkv.weight` `[3 f, f]`, `qkv.bias`, `proj.weight`, `proj.bias`, as timm's vision transformers have them.
    Timm,
}

impl Projections {
    fn is_torch(&self) -> bool {
        *self == Self::Torch
    }
}

/// A convolution of either number of dimensions, as one of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Output channels.
    pub out: usize,
    /// `[height, width]`.
    pub kernel: [usize; 2],
    /// `[height, width]`.
    pub stride: [usize; 2],
    /// `[height, width]`.
    pub padding: [usize; 2],
    /// `[height, width]`.
    pub dilation: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// Whether its weight has one spatial axis only.
    pub one_dimensional: bool,
}

/// The pattern of all operations that map every number alone, whatever its place, and have no tensors of their own: the one list of them, for matches
/// that stay exhaustive.
#[doc(hidden)]
#[macro_export]
macro_rules! elementwise {
    () => {
        $crate::architecture::Operation::Relu
            | $crate::architecture::Operation::Relu6
            | $crate::architecture::Operation::LeakyRelu { .. }
            | $crate::architecture::Operation::Elu { .. }
            | $crate::architecture::Operation::Tanh
            | $crate::architecture::Operation::Sigmoid
            | $crate::architecture::Operation::Gelu
            | $crate::architecture::Operation::Silu
            | $crate::architecture::Operation::HardSwish
            | $crate::architecture::Operation::Softplus
            | $crate::architecture::Operation::Identity
            | $crate::architecture::Operation::Dropout { .. }
    };
}

impl Operation {
    /// The convolution that this layer is, if it is one.
    pub fn convolution(&self) -> Option<Convolution> {
        if let Self::Conv { out, kernel, stride, padding, dilation, groups, bias } = *self {
            let [kernel, stride, padding, dilation] = [kernel.0, stride.0, padding.0, dilation.0];
            return Some(Convolution { out, kernel, stride, padding, dilation, groups, bias, one_dimensional: false });
        }
        if let Self::Conv1d { out, kernel, stride, padding, dilation, groups, bias } = *self {
            let [kernel, stride, padding, dilation] = [[1, kernel], [1, stride], [0, padding], [1, dilation]];
            return Some(Convolution { out, kernel, stride, padding, dilation, groups, bias, one_dimensional: true });
        }
        None
    }
}

/// A layer with an optional name of its own, for tensors named as a user's PyTorch module names them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Layer {
    /// Replaces the position in tensor names: `conv1` gives `conv1.weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the layer does.
    #[serde(flatten)]
    pub operation: Operation,
}

fn one() -> usize {
    1
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

fn yes() -> bool {
    true
}

fn is_yes(b: &bool) -> bool {
    *b
}

fn leaky_slope() -> f32 {
    0.01
}

fn elu_alpha() -> f32 {
    1.0
}

fn norm_eps() -> f32 {
    1e-5
}

fn batch_norm_momentum() -> f32 {
    0.1
}
