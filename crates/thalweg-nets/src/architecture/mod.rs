//! Base networks as data: an input shape and a sequence of layers, read from TOML or taken from a preset.
//!
//! Activations are `[channels, height, width]`; a row of features is `[features, 1, 1]`, a sequence `[channels, 1, length]`
//! (`input = [channels, length]`), tokens are `[features, 1, tokens]`. A checked [`Architecture`]
//! knows the shape after every layer. Layers are named as PyTorch's `nn.Sequential` would name them (`0`, `1`, …,
//! nested by `.`), or by their own `name`.
//!
//! ```
//! use thalweg_nets::architecture::Architecture;
//! let net = Architecture::from_toml_str("input = [1, 8, 8]\n[[layers]]\nkind = \"flatten\"\n[[layers]]\nkind = \"dense\"\nout = 10\n").unwrap();
//! assert_eq!(net.classes(), 10);
//! ```
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

mod layer;
mod preset;
mod shape;
mod sides;
mod size;
mod tensors;

pub use layer::{Convolution, Layer, Operation, Over, Projections, Shape};
pub use preset::Preset;
pub use shape::shape_after;
use shape::shape_after_all;
pub use sides::Sides;
pub use tensors::{Role, Tensor, each_tensor, name_of, shortcut_name, tensors};

/// A checked base-network architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Architecture {
    name: String,
    input: Shape,
    layers: Vec<Layer>,
    output: Shape,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    /// What it is called (nothing).
    #[serde(default)]
    name: String,
    /// Shape of an input: `[channels, height, width]`, `[channels, length]` or `[features]`.
    input: Vec<usize>,
    /// The layers in order.
    layers: Vec<Layer>,
}

impl Architecture {
    /// Checks that the layers fit together and remembers the output shape.
    ///
    /// # Errors
    /// Names the first layer that does not fit, with the shape that reaches it; weights or activations beyond this machine's memory; two tensors of one name.
    pub fn new(name: impl Into<String>, input: Shape, layers: Vec<Layer>) -> Result<Self> {
        if input.contains(&0) {
            return Err(Error::parameter("input", "sizes of at least 1", format!("{input:?}")));
        }
        let output = shape_after_all(&layers, input, "layers")?;
        size::check(&layers, input)?;
        tensors::check_names(&layers, input)?;
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

impl TryFrom<Unchecked> for Architecture {
    type Error = Error;
    fn try_from(u: Unchecked) -> Result<Self> {
        let input = match u.input[..] {
            [features] => [features, 1, 1],
            [c, length] => [c, 1, length],
            [c, h, w] => [c, h, w],
            _ => {
                return Err(Error::parameter(
                    "input",
                    "[features], [channels, length] or [channels, height, width]",
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
