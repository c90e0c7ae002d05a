//! The blocks of the transformer over weight tokens (M8), pre-norm: h ← h + attention(norm(h)), h ← h + W_down silu(W_up norm(h) + b_up) + b_down.
//!
//! h is `[B, N, W]`: N tokens of width W for each of B networks. `norm` is layer normalisation of a token, without parameters. W_down
//! starts at zero. Cost a block and network: 2 N W² (4 + 2 expansion) + 4 N² W operations forward, twice that backward.
use super::coder_config::TokensConfig;
use crate::Streams;
use crate::nn::affine::Affine;
use crate::nn::attention::{Attention, AttentionBuffers};
use crate::nn::dense::Accumulate;
use crate::nn::elementwise::{self, Rows};
use crate::nn::gradient::Gradient;
use rayon::prelude::*;

/// See the module's text.
pub(super) struct Trunk {
    blocks: Vec<(Attention, [Affine; 2])>,
    zeros: Vec<f32>,
}

/// Buffers of one batch.
#[derive(Default)]
pub(super) struct TrunkBuffers {
    blocks: Vec<BlockBuffers>,
    out: Vec<f32>,  // [B, N, W]
    d_a: Vec<f32>,  // [B, N, W]
    d_up: Vec<f32>, // [B, N, W · expansion]
}

#[derive(Default)]
struct BlockBuffers {
    attention: AttentionBuffers,
    norms: [Norm; 2],
    up: [Vec<f32>; 2], // slope of silu, and silu [B, N, W · expansion]
}

/// norm(h) twice, as `passes` gives it and as the layer after it takes it, and 1 / deviation.
#[derive(Default)]
struct Norm {
    normal: Vec<f32>,  // [B, N, W]
    inverse: Vec<f32>, // [B, N]
    a: Vec<f32>,       // [B, N, W]
}

impl Norm {
    fn take(&mut self, h: &mut [f32], zeros: &[f32]) {
        self.normal.resize(h.len(), 0.0);
        self.inverse.resize(h.len() / zeros.len(), 0.0);
        self.a.resize(h.len(), 0.0);
        elementwise::normalise(h, zeros, no_modulation(zeros), &mut self.normal, &mut self.inverse, &mut self.a);
    }

    fn backward(&self, d_a: &mut [f32], d_h: &mut [f32], zeros: &[f32]) {
        elementwise::normalise_backward(d_a, no_modulation(zeros)[0], &self.normal, &self.inverse, d_h, &mut []);
    }
}

fn no_modulation(zeros: &[f32]) -> [Rows<'_>; 2] {
    [Rows::new(zeros, zeros.len(), 0, zeros.len()); 2]
}

impl Trunk {
    /// Appends the blocks' tensors, named `name.blocks.…`, to those that `end` numbers precede.
    pub fn push(tensors: &mut Vec<(String, Vec<usize>)>, end: &mut usize, name: &str, config: &TokensConfig) -> Self {
        let w = config.width;
        let blocks = (0..config.blocks)
            .map(|i| {
                let name = format!("{name}.blocks.{i}");
                let attention = Attention::push(tensors, end, &format!("{name}.attention"), [w, w], config.heads)
                    .expect("a checked configuration has heads that divide its width");
                let hidden = w * config.expansion;
                let up = Affine::push(tensors, end, &format!("{name}.up"), hidden, w);
                (attention, [up, Affine::push(tensors, end, &format!("{name}.down"), w, hidden)])
            })
            .collect();
        Self { blocks, zeros: vec![0.0; w] }
    }

    /// Draws the blocks' parameters.
    pub fn draw(&self, parameters: &mut [f32], streams: &Streams) {
        for (i, (attention, [up, _])) in self.blocks.iter().enumerate() {
            let streams = streams.index(i as u64);
            attention.draw(parameters, &streams.child("attention"));
            up.draw(parameters, &streams.child("up"));
        }
    }

    /// Carries `h [B, N, W]` of `items` B through the blocks, in place.
    pub fn forward(&self, q: &[f32], items: usize, h: &mut [f32], b: &mut TrunkBuffers) {
        b.blocks.resize_with(self.blocks.len(), BlockBuffers::default);
        b.out.resize(h.len(), 0.0);
        for ((attention, [up, down]), block) in self.blocks.iter().zip(&mut b.blocks) {
            let [first, second] = &mut block.norms;
            first.take(h, &self.zeros);
            attention.forward(q, items, &first.a, None, None, &mut b.out, &mut block.attention);
            h.par_iter_mut().zip(&b.out).for_each(|(h, o)| *h += o);
            second.take(h, &self.zeros);
            let [slope, after] = &mut block.up;
            slope.resize(h.len() / up.inputs * up.outputs, 0.0);
            after.resize(slope.len(), 0.0);
            up.apply(q, &second.a, Accumulate::Overwrite, slope);
            elementwise::silu(slope, up.bias(q), after);
            down.apply(q, after, Accumulate::Add, h);
            elementwise::add_bias(h, down.bias(q));
        }
    }

    /// Pulls `d_h [B, N, W]` back through the blocks, in place.
    pub fn backward(&self, q: &[f32], d_h: &mut [f32], gradient: &mut Gradient<'_>, b: &mut TrunkBuffers) {
        b.d_a.resize(d_h.len(), 0.0);
        for ((attention, [up, down]), block) in self.blocks.iter().zip(&mut b.blocks).rev() {
            let [first, second] = &block.norms;
            let [slope, after] = &block.up;
            b.d_up.resize(slope.len(), 0.0);
            down.gradient(gradient, d_h, after);
            down.input_gradient(q, d_h, Accumulate::Overwrite, &mut b.d_up);
            elementwise::times_into(&mut b.d_up, slope);
            up.gradient(gradient, &b.d_up, &second.a);
            up.input_gradient(q, &b.d_up, Accumulate::Overwrite, &mut b.d_a);
            second.backward(&mut b.d_a, d_h, &self.zeros);
            attention.backward(q, d_h, &mut block.attention, gradient, Some(&mut b.d_a), None);
            first.backward(&mut b.d_a, d_h, &self.zeros);
        }
    }
}
