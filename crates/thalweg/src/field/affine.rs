//! The affine layer y = x Wᵀ + b as ranges of flat parameters: W `[out, in]`, b `[out]`, as PyTorch lays them.
use super::Gradient;
use crate::dense::{Put, column_sums, product, view};
use rand::RngExt;
use std::ops::Range;
use thalweg_nets::Streams;

/// Where one layer's weight and bias lie within the parameters.
#[derive(Clone, Debug)]
pub struct Affine {
    /// Numbers in.
    pub inputs: usize,
    /// Numbers out.
    pub outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Affine {
    /// Appends the layer's two tensors to the list of named tensors that `end` numbers precede.
    pub fn push(
        tensors: &mut Vec<(String, Vec<usize>)>,
        end: &mut usize,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Self {
        let weight = *end..*end + outputs * inputs;
        let bias = weight.end..weight.end + outputs;
        *end = bias.end;
        tensors.push((format!("{name}.weight"), vec![outputs, inputs]));
        tensors.push((format!("{name}.bias"), vec![outputs]));
        Self { inputs, outputs, weight, bias }
    }

    /// Draws weight and bias from U(−1/√in, 1/√in), PyTorch's default.
    pub fn draw(&self, parameters: &mut [f32], streams: &Streams) {
        let mut rng = streams.rng();
        let bound = (self.inputs as f32).sqrt().recip();
        for value in &mut parameters[self.weight.start..self.bias.end] {
            *value = bound * (2.0 * rng.random::<f32>() - 1.0);
        }
    }

    /// b `[out]`, which callers add in the pass that they make over y anyway.
    pub fn bias<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        &parameters[self.bias.clone()]
    }

    /// `y [B, out]` = (or +=) x Wᵀ, without the bias.
    pub fn apply(&self, parameters: &[f32], x: &[f32], put: Put, y: &mut [f32]) {
        let w = view(&parameters[self.weight.clone()], self.outputs, self.inputs);
        product(y, put, view(x, x.len() / self.inputs, self.inputs), w.transpose());
    }

    /// `dx [B, in]` = (or +=) dy W.
    pub fn pull(&self, parameters: &[f32], dy: &[f32], put: Put, dx: &mut [f32]) {
        let w = view(&parameters[self.weight.clone()], self.outputs, self.inputs);
        product(dx, put, view(dy, dy.len() / self.outputs, self.outputs), w);
    }

    /// dyᵀ x and the column sums of dy, left in the layer's part of `gradient`.
    pub fn gradient(&self, gradient: &mut Gradient<'_>, dy: &[f32], x: &[f32]) {
        let (slice, put) = match gradient {
            Gradient::Skip => return,
            Gradient::Write(slice) => (slice, Put::Replace),
            Gradient::Add(slice) => (slice, Put::Add),
        };
        let rows = x.len() / self.inputs;
        let left = view(dy, rows, self.outputs).transpose();
        product(&mut slice[self.weight.clone()], put, left, view(x, rows, self.inputs));
        column_sums(&mut slice[self.bias.clone()], put, dy);
    }
}
