//! The two halves of a learned autoencoder (M8): maps of rows whose parameters lie in one flat vector that both share.
use super::stack::Stack;
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
        let Self::Mlp(c) = self;
        for (name, value, range) in [("width", c.width, 1..=8_192), ("blocks", c.blocks, 0..=64)] {
            if !range.contains(&value) {
                let expected = format!("{} to {}", range.start(), range.end());
                return Err(Error::parameter(format!("{field}.mlp.{name}"), expected, value));
            }
        }
        Ok(())
    }

    /// Halves between weights of `layout` and `codes` numbers from the encoder, `dimension` numbers to the decoder.
    pub(super) fn build(&self, layout: &Layout, codes: usize, dimension: usize) -> Halves {
        let (mut tensors, mut end, p) = (Vec::new(), 0, layout.len());
        let Self::Mlp(c) = self;
        let encoder = Box::new(Stack::push(&mut tensors, &mut end, "encoder", c, p, codes));
        let decoder = Box::new(Stack::push(&mut tensors, &mut end, "decoder", c, dimension, p));
        Halves { encoder, decoder, tensors, end }
    }
}
