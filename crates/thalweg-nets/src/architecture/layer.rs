//! Layers and the shapes that they make.
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[channels, height, width]` of an activation.
pub type Shape = [usize; 3];

/// One layer. Shapes in the variants' docs are `[channels, height, width]` before → after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Operation {
    /// Two-dimensional cross-correlation, `[i, h, w] → [out, (h + 2 padding − kernel)/stride + 1, …]`; weight `[out, i, kernel, kernel]`.
    Conv {
        /// Output channels.
        out: usize,
        /// Side of the square kernel.
        kernel: usize,
        /// Step between windows.
        #[serde(default = "one")]
        stride: usize,
        /// Zeros added on every side.
        #[serde(default)]
        padding: usize,
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
    /// Maximum over square windows (no padding; incomplete windows are dropped, as PyTorch does).
    MaxPool {
        /// Side of the window.
        size: usize,
        /// Step between windows; the size by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<usize>,
    },
    /// Mean over square windows (no padding; incomplete windows are dropped).
    AvgPool {
        /// Side of the window.
        size: usize,
        /// Step between windows; the size by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<usize>,
    },
    /// max(x, 0).
    Relu,
    /// x for x > 0, slope · x below.
    LeakyRelu {
        /// Slope below zero.
        #[serde(default = "leaky_slope")]
        slope: f32,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// x Φ(x), with the exact normal distribution function (PyTorch's default).
    Gelu,
    /// x σ(x).
    Silu,
    /// log(1 + eˣ).
    Softplus,
    /// Zeroes each activation with probability `p` and scales the rest by 1/(1 − p); the identity in evaluation.
    Dropout {
        /// Probability of a zero.
        p: f32,
    },
    /// Batch normalisation per channel, with scale and shift; batch statistics in training, running ones in evaluation.
    BatchNorm {
        /// Added to the variance.
        #[serde(default = "batch_norm_eps")]
        eps: f32,
        /// Share of a new batch in the running statistics.
        #[serde(default = "batch_norm_momentum")]
        momentum: f32,
    },
    /// x + layers(x); the inner layers must keep the shape.
    Residual {
        /// The branch.
        layers: Vec<Layer>,
    },
    /// `[c, h, w] → [c·h·w, 1, 1]`, in that order.
    Flatten,
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

/// The shape after `layer`, or an error at `place` where it does not fit.
pub fn shape_after(operation: &Operation, [c, h, w]: Shape, place: &str) -> Result<Shape> {
    let unfit = |expected: &str| Err(Error::parameter(place, expected, format!("input [{c}, {h}, {w}]")));
    let windows = |size: usize, stride: usize, padding: usize| {
        let fit = |n: usize| Some(padding.checked_mul(2)?.checked_add(n)?.checked_sub(size)? / stride + 1);
        Some((fit(h)?, fit(w)?))
    };
    match *operation {
        Operation::Conv { out, kernel, stride, padding, .. } => {
            if out == 0 || kernel == 0 || stride == 0 || padding >= kernel {
                return Err(Error::parameter(
                    place,
                    "out, kernel and stride of at least 1, padding below kernel",
                    format!("out {out}, kernel {kernel}, stride {stride}, padding {padding}"),
                ));
            }
            match windows(kernel, stride, padding) {
                Some((h, w)) => Ok([out, h, w]),
                None => unfit(&format!("an input of at least the kernel {kernel}")),
            }
        }
        Operation::Dense { out, .. } => match (out, h, w) {
            (0, ..) => Err(Error::parameter(place, "out of at least 1", 0)),
            (_, 1, 1) => Ok([out, 1, 1]),
            _ => unfit("a flat input [features, 1, 1] (put a flatten layer before)"),
        },
        Operation::MaxPool { size, stride } | Operation::AvgPool { size, stride } => {
            let stride = stride.unwrap_or(size);
            if size == 0 || stride == 0 {
                return Err(Error::parameter(
                    place,
                    "size and stride of at least 1",
                    format!("size {size}, stride {stride}"),
                ));
            }
            match windows(size, stride, 0) {
                Some((h, w)) => Ok([c, h, w]),
                None => unfit(&format!("an input of at least the window {size}")),
            }
        }
        Operation::Dropout { p } if !(0.0..1.0).contains(&p) => Err(Error::parameter(place, "p in [0, 1)", p)),
        Operation::BatchNorm { eps, momentum } if !(eps > 0.0 && momentum > 0.0 && momentum <= 1.0) => {
            Err(Error::parameter(place, "eps > 0 and momentum in (0, 1]", format!("eps {eps}, momentum {momentum}")))
        }
        Operation::LeakyRelu { slope } if !slope.is_finite() => Err(Error::parameter(place, "a finite slope", slope)),
        Operation::Residual { ref layers } => {
            let after = shape_after_all(layers, [c, h, w], place)?;
            if after == [c, h, w] {
                Ok(after)
            } else {
                unfit(&format!("a branch that keeps the shape, but it gives {after:?}"))
            }
        }
        Operation::Flatten => match c.checked_mul(h).and_then(|n| n.checked_mul(w)) {
            Some(features) => Ok([features, 1, 1]),
            None => unfit("fewer than 2^64 features"),
        },
        Operation::Relu
        | Operation::LeakyRelu { .. }
        | Operation::Tanh
        | Operation::Gelu
        | Operation::Silu
        | Operation::Softplus
        | Operation::Dropout { .. }
        | Operation::BatchNorm { .. } => Ok([c, h, w]),
    }
}

pub(super) fn shape_after_all(layers: &[Layer], input: Shape, place: &str) -> Result<Shape> {
    if layers.is_empty() {
        return Err(Error::parameter(place, "at least one layer", "none"));
    }
    layers
        .iter()
        .enumerate()
        .try_fold(input, |shape, (i, layer)| shape_after(&layer.operation, shape, &format!("{place}[{i}]")))
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn leaky_slope() -> f32 {
    0.01
}

fn batch_norm_eps() -> f32 {
    1e-5
}

fn batch_norm_momentum() -> f32 {
    0.1
}
