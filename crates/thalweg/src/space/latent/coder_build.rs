//! Makes the encoder and the decoder that a [`CoderConfig`] asks for.
use super::coder::Coder;
use super::coder_config::CoderConfig;
use super::stack::Stack;
use super::tokens;
use crate::Layout;

/// Encoder and decoder, before their parameters are drawn.
pub(super) struct Coders {
    pub encoder: Box<dyn Coder>,
    pub decoder: Box<dyn Coder>,
    /// Names and shapes of all tensors so far.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// Numbers in them.
    pub end: usize,
}

impl CoderConfig {
    /// Coders between weights of `layout` and `codes` numbers from the encoder, `dimension` numbers to the decoder.
    pub(super) fn build(&self, layout: &Layout, codes: usize, dimension: usize) -> Coders {
        let (mut tensors, mut end, p) = (Vec::new(), 0, layout.len());
        let (encoder, decoder): (Box<dyn Coder>, Box<dyn Coder>) = match self {
            Self::Mlp(c) => {
                let encoder = Box::new(Stack::push(&mut tensors, &mut end, "encoder", c, p, codes));
                (encoder, Box::new(Stack::push(&mut tensors, &mut end, "decoder", c, dimension, p)))
            }
            Self::Tokens(c) => {
                let encoder = Box::new(tokens::Encoder::push(&mut tensors, &mut end, c, layout, codes));
                (encoder, Box::new(tokens::Decoder::push(&mut tensors, &mut end, c, layout, dimension)))
            }
        };
        Coders { encoder, decoder, tensors, end }
    }
}
