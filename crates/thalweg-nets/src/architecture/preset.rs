//! The architectures that the program knows by name.
use super::{Architecture, Layer, Operation, Shape};
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The architectures that the program knows by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "preset", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Preset {
    /// conv c→8 5×5, pool, conv 8→6 5×5, pool, conv 6→4 2×2, dense 36→20→C on 28×28: 2,464 weights for one channel, 2,864 for three.
    CnnS,
    /// conv c→16→32→15 3×3 with pools, dense 60→20→C on 32×32: 10,853 weights for three channels.
    CnnM,
    /// Dense layers of the given widths with ReLU between.
    Mlp {
        /// Hidden widths, from the input on.
        widths: Vec<usize>,
    },
    /// conv 1→6 3×3, pool, dense 54→16→C on 8×8: 1,110 weights for ten classes.
    Digits,
}

impl Preset {
    /// The architecture for inputs of `input` shape and `classes` outputs.
    ///
    /// # Errors
    /// Where the layers do not fit the input (cnn-s needs at least 26×26 and so on).
    pub fn build(&self, input: Shape, classes: usize) -> Result<Architecture> {
        let conv = |out, kernel| Operation::Conv { out, kernel, stride: 1, padding: 0, bias: true };
        let pool = || Operation::MaxPool { size: 2, stride: None };
        let dense = |out| Operation::Dense { out, bias: true };
        use Operation::{Flatten, Relu};
        let (name, operations) = match self {
            Preset::CnnS => (
                "cnn-s",
                vec![
                    conv(8, 5),
                    pool(),
                    Relu,
                    conv(6, 5),
                    pool(),
                    Relu,
                    conv(4, 2),
                    Relu,
                    Flatten,
                    dense(20),
                    Relu,
                    dense(classes),
                ],
            ),
            Preset::CnnM => (
                "cnn-m",
                vec![
                    conv(16, 3),
                    pool(),
                    Relu,
                    conv(32, 3),
                    pool(),
                    Relu,
                    conv(15, 3),
                    pool(),
                    Relu,
                    Flatten,
                    dense(20),
                    Relu,
                    dense(classes),
                ],
            ),
            Preset::Digits => ("digits", vec![conv(6, 3), pool(), Relu, Flatten, dense(16), Relu, dense(classes)]),
            Preset::Mlp { widths } => {
                let mut operations = vec![Flatten];
                for &width in widths {
                    operations.extend([dense(width), Relu]);
                }
                operations.push(dense(classes));
                ("mlp", operations)
            }
        };
        let layers = operations.into_iter().map(|operation| Layer { name: None, operation }).collect();
        Architecture::new(name, input, layers)
    }

    /// The preset called `name`; `widths` are the hidden layers of an `mlp`.
    ///
    /// # Errors
    /// For an unknown name.
    pub fn named(name: &str, widths: &[usize]) -> Result<Self> {
        match name {
            "cnn-s" => Ok(Preset::CnnS),
            "cnn-m" => Ok(Preset::CnnM),
            "digits" => Ok(Preset::Digits),
            "mlp" => Ok(Preset::Mlp { widths: widths.to_vec() }),
            other => Err(Error::parameter("arch", "cnn-s, cnn-m, mlp, digits or the path of a TOML file", other)),
        }
    }
}
