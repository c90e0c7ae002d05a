//! What encoders and decoders are made of, and their sizes.
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What encoder and decoder are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CoderConfig {
    /// Residual multilayer perceptrons over flat weights.
    Mlp(StackConfig),
    /// Transformers over layer-wise tokens.
    Tokens(TokensConfig),
}

impl Default for CoderConfig {
    fn default() -> Self {
        Self::Mlp(StackConfig::default())
    }
}

/// The size of a residual multilayer perceptron, the same for encoder and decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StackConfig {
    /// Numbers in the residual stream (256; 1 to 8,192).
    pub width: usize,
    /// Residual blocks (1; 0 to 64; none makes the map linear).
    pub blocks: usize,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self { width: 256, blocks: 1 }
    }
}

/// The size of a transformer over tokens, the same for encoder and decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TokensConfig {
    /// Numbers of a token (64; 1 to 4,096).
    pub width: usize,
    /// Blocks of attention and perceptron (2; 0 to 64).
    pub blocks: usize,
    /// Heads, which divide the width (4; at least 1).
    pub heads: usize,
    /// Hidden width of a block's perceptron over `width` (2; 1 to 16).
    pub expansion: usize,
}

impl Default for TokensConfig {
    fn default() -> Self {
        Self { width: 64, blocks: 2, heads: 4, expansion: 2 }
    }
}

impl CoderConfig {
    /// `field` names the place in errors.
    ///
    /// # Errors
    /// A size outside its range.
    pub fn check(&self, field: &str) -> Result<()> {
        let (name, sizes) = match self {
            Self::Mlp(c) => ("mlp", vec![("width", c.width, 1..=8_192), ("blocks", c.blocks, 0..=64)]),
            Self::Tokens(c) => {
                let sizes = [("width", c.width, 1..=4_096), ("blocks", c.blocks, 0..=64)];
                (
                    "tokens",
                    [&sizes[..], &[("heads", c.heads, 1..=c.width), ("expansion", c.expansion, 1..=16)]].concat(),
                )
            }
        };
        for (size, value, range) in sizes {
            if !range.contains(&value) {
                let expected = format!("{} to {}", range.start(), range.end());
                return Err(Error::parameter(format!("{field}.{name}.{size}"), expected, value));
            }
        }
        match self {
            Self::Tokens(c) if !c.width.is_multiple_of(c.heads) => {
                let expected = format!("a number that divides the width {}", c.width);
                Err(Error::parameter(format!("{field}.tokens.heads"), expected, c.heads))
            }
            _ => Ok(()),
        }
    }
}
