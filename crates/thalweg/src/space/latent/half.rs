//! The two halves of a learned autoencoder (M8): maps of rows whose parameters lie in one flat vector that both share.
use super::stack::Stack;
use super::tokens;
use crate::field::{Gradient, Tape};
use crate::{Error, Layout, Result, Streams};
use serde::{Deserialize, Serialize};

/// One half: rows `[B, inputs]` to rows `[B, outputs]`, with an explicit backward pass. A row's bytes do not depend on the other rows.
pub(super) trait Half: Send + Sync {
    /// Numbers of a row out.
    fn outputs(&self) -> usize;

    /// Draws the half's part of all `parameters [Q]`; `at_rest` leaves the last layer at zero.
    fn draw(&self, parameters: &mut [f32], at_rest: bool, streams: &Streams);

    /// `x [B, inputs]` → `out [B, outputs]`; leaves on `tape` what [`Self::backward`] needs.
    fn forward(&self, parameters: &[f32], x: &[f32], out: &mut [f32], tape: &mut Tape);

    /// Pulls `d_out [B, outputs]` back to the half's part of the gradient and to the rows (`dx`, overwritten).
    fn backward(
        &self,
        parameters: &[f32],
        d_out: &[f32],
        tape: &mut Tape,
        gradient: &mut Gradient<'_>,
        dx: Option<&mut [f32]>,
    );
}

/// What encoder and decoder are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// Encoder and decoder, before their parameters are drawn.
pub(super) struct Halves {
    pub encoder: Box<dyn Half>,
    pub decoder: Box<dyn Half>,
    /// Names and shapes of all tensors so far.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// Numbers in them.
    pub end: usize,
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

    /// Halves between weights of `layout` and `codes` numbers from the encoder, `dimension` numbers to the decoder.
    pub(super) fn build(&self, layout: &Layout, codes: usize, dimension: usize) -> Halves {
        let (mut tensors, mut end, p) = (Vec::new(), 0, layout.len());
        let (encoder, decoder): (Box<dyn Half>, Box<dyn Half>) = match self {
            Self::Mlp(c) => {
                let encoder = Box::new(Stack::push(&mut tensors, &mut end, "encoder", c, p, codes));
                (encoder, Box::new(Stack::push(&mut tensors, &mut end, "decoder", c, dimension, p)))
            }
            Self::Tokens(c) => {
                let encoder = Box::new(tokens::Encoder::push(&mut tensors, &mut end, c, layout, codes));
                (encoder, Box::new(tokens::Decoder::push(&mut tensors, &mut end, c, layout, dimension)))
            }
        };
        Halves { encoder, decoder, tensors, end }
    }
}
