//! The residual multilayer perceptron as one half of an autoencoder (M8):
//! h = W_in x + b_in; a block: h ← h + W_down silu(W_up norm(h) + b_up) + b_down; out = W_out h + b_out.
//!
//! `norm` is layer normalisation without parameters (W_up and b_up have them). W_down starts at zero, so an untrained half is linear: it
//! begins as a principal-component analysis would, and bends from there. Cost: 2 B (inputs + outputs + 2 blocks width) width operations
//! forward, twice that backward.
use super::coder::Coder;
use super::coder_config::StackConfig;
use crate::Streams;
use crate::nn::affine::Affine;
use crate::nn::dense::Accumulate;
use crate::nn::elementwise::{self, Rows};
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;

/// See the module's text.
pub(super) struct Stack {
    input: Affine,
    blocks: Vec<[Affine; 2]>,
    output: Affine,
    /// What `norm` is scaled and shifted by.
    zeros: Vec<f32>,
}

/// Buffers of one batch of B rows.
#[derive(Default)]
struct Buffers {
    x: Vec<f32>, // [B, inputs]
    blocks: Vec<BlockBuffers>,
    h: Vec<f32>,    // [B, W]
    d_h: Vec<f32>,  // [B, W]
    d_up: Vec<f32>, // [B, W]
    d_a: Vec<f32>,  // [B, W]
}

#[derive(Default)]
struct BlockBuffers {
    normal: Vec<f32>,  // [B, W]
    inverse: Vec<f32>, // [B]
    a: Vec<f32>,       // [B, W]
    up: [Vec<f32>; 2], // slope of silu, and silu [B, W]
}

impl Stack {
    /// Appends the half's tensors, all named `name.…`, to those that `end` numbers precede.
    pub fn push(
        tensors: &mut Vec<(String, Vec<usize>)>,
        end: &mut usize,
        name: &str,
        config: &StackConfig,
        inputs: usize,
        outputs: usize,
    ) -> Self {
        let w = config.width;
        let mut push =
            |part: &str, outputs, inputs| Affine::push(tensors, end, &format!("{name}.{part}"), outputs, inputs);
        let input = push("input", w, inputs);
        let blocks = (0..config.blocks)
            .map(|i| [push(&format!("blocks.{i}.up"), w, w), push(&format!("blocks.{i}.down"), w, w)])
            .collect();
        Self { input, blocks, output: push("output", outputs, w), zeros: vec![0.0; w] }
    }

    fn no_modulation(&self) -> [Rows<'_>; 2] {
        [Rows::new(&self.zeros, self.zeros.len(), 0, self.zeros.len()); 2]
    }
}

impl Coder for Stack {
    fn outputs(&self) -> usize {
        self.output.outputs
    }

    fn draw(&self, parameters: &mut [f32], zero_output: bool, streams: &Streams) {
        self.input.draw(parameters, &streams.child("input"));
        for (i, [up, _]) in self.blocks.iter().enumerate() {
            up.draw(parameters, &streams.child("up").index(i as u64));
        }
        if !zero_output {
            self.output.draw(parameters, &streams.child("output"));
        }
    }

    fn forward(&self, q: &[f32], x: &[f32], out: &mut [f32], tape: &mut Tape) {
        let (w, rows) = (self.zeros.len(), x.len() / self.input.inputs);
        let b = tape.of::<Buffers>();
        b.x.resize(x.len(), 0.0);
        b.x.copy_from_slice(x);
        b.h.resize(rows * w, 0.0);
        b.blocks.resize_with(self.blocks.len(), BlockBuffers::default);
        self.input.apply(q, x, Accumulate::Overwrite, &mut b.h);
        let mut bias = self.input.bias(q);
        for ([up, down], block) in self.blocks.iter().zip(&mut b.blocks) {
            block.normal.resize(rows * w, 0.0);
            block.inverse.resize(rows, 0.0);
            block.a.resize(rows * w, 0.0);
            block.up.iter_mut().for_each(|buffer| buffer.resize(rows * w, 0.0));
            let (normal, inverse) = (&mut block.normal, &mut block.inverse);
            elementwise::normalise(&mut b.h, bias, self.no_modulation(), normal, inverse, &mut block.a);
            let [slope, after] = &mut block.up;
            up.apply(q, &block.a, Accumulate::Overwrite, slope);
            elementwise::silu(slope, up.bias(q), after);
            down.apply(q, after, Accumulate::Add, &mut b.h);
            bias = down.bias(q);
        }
        elementwise::add_bias(&mut b.h, bias);
        self.output.apply(q, &b.h, Accumulate::Overwrite, out);
        elementwise::add_bias(out, self.output.bias(q));
    }

    fn backward(&self, q: &[f32], d_out: &[f32], tape: &mut Tape, gradient: &mut Gradient<'_>, dx: Option<&mut [f32]>) {
        let b = tape.of::<Buffers>();
        for buffer in [&mut b.d_h, &mut b.d_up, &mut b.d_a] {
            buffer.resize(b.h.len(), 0.0);
        }
        self.output.gradient(gradient, d_out, &b.h);
        self.output.input_gradient(q, d_out, Accumulate::Overwrite, &mut b.d_h);
        for ([up, down], block) in self.blocks.iter().zip(&b.blocks).rev() {
            let [slope, after] = &block.up;
            down.gradient(gradient, &b.d_h, after);
            down.input_gradient(q, &b.d_h, Accumulate::Overwrite, &mut b.d_up);
            elementwise::times_into(&mut b.d_up, slope);
            up.gradient(gradient, &b.d_up, &block.a);
            up.input_gradient(q, &b.d_up, Accumulate::Overwrite, &mut b.d_a);
            let scale = self.no_modulation()[0];
            elementwise::normalise_backward(&mut b.d_a, scale, &block.normal, &block.inverse, &mut b.d_h, &mut []);
        }
        self.input.gradient(gradient, &b.d_h, &b.x);
        if let Some(dx) = dx {
            self.input.input_gradient(q, &b.d_h, Accumulate::Overwrite, dx);
        }
    }
}
