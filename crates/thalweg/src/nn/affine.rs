//! The affine layer y = x Wᵀ + b as ranges of flat parameters: W `[out, in]`, b `[out]` or none, as PyTorch lays them.
use super::dense::{Accumulate, column_sums, outer, product, view};
use super::gradient::Gradient;
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
        let mut layer = Self::push_linear(tensors, end, name, outputs, inputs);
        layer.bias.end += outputs;
        *end = layer.bias.end;
        tensors.push((format!("{name}.bias"), vec![outputs]));
        layer
    }

    /// The same for a layer without bias.
    pub fn push_linear(
        tensors: &mut Vec<(String, Vec<usize>)>,
        end: &mut usize,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Self {
        let weight = *end..*end + outputs * inputs;
        *end = weight.end;
        tensors.push((format!("{name}.weight"), vec![outputs, inputs]));
        Self { inputs, outputs, bias: weight.end..weight.end, weight }
    }

    /// Draws weight and bias from U(−1/√in, 1/√in), PyTorch's default.
    pub fn draw(&self, parameters: &mut [f32], streams: &Streams) {
        let mut rng = streams.rng();
        let bound = (self.inputs as f32).sqrt().recip();
        for value in &mut parameters[self.weight.start..self.bias.end] {
            *value = bound * (2.0 * rng.random::<f32>() - 1.0);
        }
    }

    /// Sets weight and bias of the outputs that `chosen` names to zero.
    pub fn clear_outputs(&self, parameters: &mut [f32], chosen: impl Fn(usize) -> bool) {
        for output in (0..self.outputs).filter(|&output| chosen(output)) {
            parameters[self.weight.clone()][output * self.inputs..][..self.inputs].fill(0.0);
            if let Some(bias) = parameters[self.bias.clone()].get_mut(output) {
                *bias = 0.0;
            }
        }
    }

    /// b `[out]`, which callers add in the pass that they make over y anyway.
    pub fn bias<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        &parameters[self.bias.clone()]
    }

    /// W `[out, in]`.
    pub fn weight<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        &parameters[self.weight.clone()]
    }

    /// `y [B, out]` = (or +=) x Wᵀ, without the bias.
    pub fn apply(&self, parameters: &[f32], x: &[f32], put: Accumulate, y: &mut [f32]) {
        let w = view(self.weight(parameters), self.outputs, self.inputs);
        product(y, put, view(x, x.len() / self.inputs, self.inputs), w.transpose());
    }

    /// `dx [B, in]` = (or +=) dy W.
    pub fn input_gradient(&self, parameters: &[f32], dy: &[f32], put: Accumulate, dx: &mut [f32]) {
        let w = view(self.weight(parameters), self.outputs, self.inputs);
        product(dx, put, view(dy, dy.len() / self.outputs, self.outputs), w);
    }

    /// dyᵀ x and the column sums of dy, left in the layer's part of `gradient`.
    pub fn gradient(&self, gradient: &mut Gradient<'_>, dy: &[f32], x: &[f32]) {
        self.gradient_with_tangents(gradient, dy, x, x.len() / self.inputs);
    }

    /// The same where the rows from `primal` on belong to tangents ẏ = ẋ Wᵀ, which do not feel the bias.
    pub fn gradient_with_tangents(&self, gradient: &mut Gradient<'_>, dy: &[f32], x: &[f32], primal: usize) {
        let (slice, put) = match gradient {
            Gradient::Skip => return,
            Gradient::Write(slice) => (slice, Accumulate::Overwrite),
            Gradient::Add(slice) => (slice, Accumulate::Add),
        };
        let rows = x.len() / self.inputs;
        outer(&mut slice[self.weight.clone()], put, dy, x, rows);
        if !self.bias.is_empty() {
            column_sums(&mut slice[self.bias.clone()], put, &dy[..primal * self.outputs]);
        }
    }
}
