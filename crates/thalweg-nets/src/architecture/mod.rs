//! Base networks as data: an input shape and a sequence of layers, read from TOML or taken from a preset.
//!
//! Activations are `[channels, height, width]`; a row of features is `[features, 1, 1]`. A checked [`Architecture`]
//! knows the shape after every layer. Layers are named as PyTorch's `nn.Sequential` would name them (`0`, `1`, …,
//! nested by `.`), or by their own `name`.
//!
//! ```
//! use thalweg_nets::architecture::Architecture;
//! let net = Architecture::from_toml_str("input = [1, 8, 8]\n[[layers]]\nkind = \"flatten\"\n[[layers]]\nkind = \"dense\"\nout = 10\n").unwrap();
//! assert_eq!(net.classes(), 10);
//! ```
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

mod preset;
mod size;

pub use preset::Preset;

/// `[channels, height, width]` of an activation.
pub type Shape = [usize; 3];

/// One layer. Shapes in the variants' docs are `[channels, height, width]` before → after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Replaces the position in tensor names: `conv1` gives `conv1.weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the layer does.
    #[serde(flatten)]
    pub operation: Operation,
}

/// A checked base-network architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Architecture {
    name: String,
    input: Shape,
    layers: Vec<Layer>,
    output: Shape,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    #[serde(default)]
    name: String,
    input: Vec<usize>,
    layers: Vec<Layer>,
}

impl Architecture {
    /// Checks that the layers fit together and remembers the output shape.
    ///
    /// # Errors
    /// Names the first layer that does not fit, with the shape that reaches it; weights or activations beyond this machine's memory.
    pub fn new(name: impl Into<String>, input: Shape, layers: Vec<Layer>) -> Result<Self> {
        if input.contains(&0) {
            return Err(Error::parameter("input", "sizes of at least 1", format!("{input:?}")));
        }
        let output = shape_after_all(&layers, input, "layers")?;
        size::check(&layers, input)?;
        if output[1] != 1 || output[2] != 1 {
            return Err(Error::parameter("layers", "logits [classes, 1, 1] at the end", format!("{output:?}")));
        }
        Ok(Self { name: name.into(), input, layers, output })
    }

    /// Reads the TOML form.
    ///
    /// # Errors
    /// Unknown keys, missing fields, layers that do not fit: with the position in the text.
    pub fn from_toml_str(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| Error::parameter("architecture", "a valid architecture", e.to_string().trim()))
    }

    /// Reads an architecture file.
    ///
    /// # Errors
    /// As [`Self::from_toml_str`], naming the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        toml::from_str(&text)
            .map_err(|e| Error::format(path, "architecture", "a valid architecture in TOML", e.to_string().trim()))
    }

    /// What the user called it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `[channels, height, width]` of one input.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Numbers in one input: channels · height · width.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Number of logits C.
    pub fn classes(&self) -> usize {
        self.output[0]
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
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
        _ => Ok([c, h, w]),
    }
}

fn shape_after_all(layers: &[Layer], input: Shape, place: &str) -> Result<Shape> {
    if layers.is_empty() {
        return Err(Error::parameter(place, "at least one layer", "none"));
    }
    layers
        .iter()
        .enumerate()
        .try_fold(input, |shape, (i, layer)| shape_after(&layer.operation, shape, &format!("{place}[{i}]")))
}

impl TryFrom<Unchecked> for Architecture {
    type Error = Error;
    fn try_from(u: Unchecked) -> Result<Self> {
        let input = match u.input[..] {
            [features] => [features, 1, 1],
            [c, h, w] => [c, h, w],
            _ => {
                return Err(Error::parameter(
                    "input",
                    "[features] or [channels, height, width]",
                    format!("{:?}", u.input),
                ));
            }
        };
        Architecture::new(u.name, input, u.layers)
    }
}

impl From<Architecture> for Unchecked {
    fn from(a: Architecture) -> Self {
        let input = if a.input[1..] == [1, 1] { vec![a.input[0]] } else { a.input.to_vec() };
        Unchecked { name: a.name, input, layers: a.layers }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_round_trip_keeps_everything() {
        for preset in [Preset::CnnS, Preset::Mlp { widths: vec![16, 8] }] {
            let a = preset.build([1, 28, 28], 10).unwrap();
            let b = Architecture::from_toml_str(&toml::to_string(&a).unwrap()).unwrap();
            assert_eq!(a, b);
        }
    }

    #[test]
    fn errors_name_the_layer() {
        let text = "input = [1, 4, 4]\n[[layers]]\nkind = \"conv\"\nout = 2\nkernel = 5\n";
        let message = Architecture::from_toml_str(text).unwrap_err().to_string();
        assert!(message.contains("layers[0]") && message.contains("kernel 5"), "{message}");
        let unknown = "input = [4]\n[[layers]]\nkind = \"dense\"\nout = 2\nwidth = 3\n";
        let message = Architecture::from_toml_str(unknown).unwrap_err().to_string();
        assert!(message.contains("width"), "{message}");
    }
}
