//! One block of the set transformer (Lee et al. 2019; layer norm before, Xiong et al. 2020) over tokens `[S, C, W]`:
//! z ← z + attention(norm(z)), z ← z + W_down silu(W_up norm(z) + b_up) + b_down, with keys of absent tokens masked.
use crate::nn::affine::Affine;
use crate::nn::attention::{Attention, AttentionBuffers};
use crate::nn::dense::{Accumulate, column_sums};
use crate::nn::elementwise::{self, Rows};
use crate::nn::gradient::Gradient;
use crate::{Result, Streams};
use std::ops::Range;

/// Layer normalisation with gain 1 + s and shift: s and shift `[2, W]` as a place within flat parameters.
#[derive(Clone, Debug)]
pub struct Norm {
    place: Range<usize>,
}

/// What a norm leaves.
#[derive(Default)]
pub struct NormBuffers {
    normal: Vec<f32>,
    inverse: Vec<f32>,
    /// The result `[rows, W]`, then its derivative.
    pub a: Vec<f32>,
    d_modulation: Vec<f32>,
}

impl Norm {
    /// Appends `NAME [2, W]`; it starts at zeros, plain normalisation.
    pub fn push(tensors: &mut Vec<(String, Vec<usize>)>, end: &mut usize, name: &str, width: usize) -> Self {
        let place = *end..*end + 2 * width;
        *end = place.end;
        tensors.push((name.to_owned(), vec![2, width]));
        Self { place }
    }

    fn rows<'a>(&self, parameters: &'a [f32]) -> [Rows<'a>; 2] {
        let (all, w) = (&parameters[self.place.clone()], self.place.len() / 2);
        [0, w].map(|start| Rows::new(all, 2 * w, start, w))
    }

    /// norm(z) to `b.a`, for `z [rows, W]`.
    pub fn forward(&self, parameters: &[f32], z: &mut [f32], b: &mut NormBuffers) {
        let w = self.place.len() / 2;
        b.normal.resize(z.len(), 0.0);
        b.inverse.resize(z.len() / w, 0.0);
        b.a.resize(z.len(), 0.0);
        let nothing = vec![0.0; w];
        elementwise::normalise(z, &nothing, self.rows(parameters), &mut b.normal, &mut b.inverse, &mut b.a);
    }

    /// Pulls the derivative in `b.a` back, adding it to `dz`.
    pub fn backward(&self, parameters: &[f32], b: &mut NormBuffers, dz: &mut [f32], gradient: &mut Gradient<'_>) {
        let scale = self.rows(parameters)[0];
        b.d_modulation.resize(2 * dz.len(), 0.0);
        elementwise::normalise_backward(&mut b.a, scale, &b.normal, &b.inverse, dz, &mut b.d_modulation);
        match gradient {
            Gradient::Skip => {}
            Gradient::Write(slice) => {
                column_sums(&mut slice[self.place.clone()], Accumulate::Overwrite, &b.d_modulation)
            }
            Gradient::Add(slice) => column_sums(&mut slice[self.place.clone()], Accumulate::Add, &b.d_modulation),
        }
    }
}

/// The block's places within flat parameters.
#[derive(Clone, Debug)]
pub struct Block {
    norms: [Norm; 2],
    attention: Attention,
    up: Affine,
    down: Affine,
}

/// What a block leaves.
#[derive(Default)]
pub struct BlockBuffers {
    norms: [NormBuffers; 2],
    attention: AttentionBuffers,
    /// Attention's result, then scratch `[rows, W]`.
    mixed: Vec<f32>,
    /// Slope of silu, and silu `[rows, 2W]`.
    up: [Vec<f32>; 2],
    d_up: Vec<f32>,
}

impl Block {
    /// Appends the block's tensors.
    ///
    /// # Errors
    /// A width that heads do not divide.
    pub fn push(
        tensors: &mut Vec<(String, Vec<usize>)>,
        end: &mut usize,
        name: &str,
        width: usize,
        heads: usize,
    ) -> Result<Self> {
        let first = Norm::push(tensors, end, &format!("{name}.norm-1"), width);
        let attention = Attention::push(tensors, end, &format!("{name}.attention"), [width; 2], heads)?;
        let second = Norm::push(tensors, end, &format!("{name}.norm-2"), width);
        let up = Affine::push(tensors, end, &format!("{name}.up"), 2 * width, width);
        let down = Affine::push(tensors, end, &format!("{name}.down"), width, 2 * width);
        Ok(Self { norms: [first, second], attention, up, down })
    }

    /// Draws all but the norms.
    pub fn draw(&self, parameters: &mut [f32], streams: &Streams) {
        self.attention.draw(parameters, &streams.child("attention"));
        self.up.draw(parameters, &streams.child("up"));
        self.down.draw(parameters, &streams.child("down"));
    }

    /// z `[S, C, W]` to its next value, in place; `mask [S, C]`.
    pub fn forward(&self, parameters: &[f32], sets: usize, z: &mut [f32], mask: &[bool], b: &mut BlockBuffers) {
        self.norms[0].forward(parameters, z, &mut b.norms[0]);
        b.mixed.resize(z.len(), 0.0);
        self.attention.forward(parameters, sets, &b.norms[0].a, None, Some(mask), &mut b.mixed, &mut b.attention);
        z.iter_mut().zip(&b.mixed).for_each(|(z, m)| *z += m);
        self.norms[1].forward(parameters, z, &mut b.norms[1]);
        let [slope, after] = &mut b.up;
        slope.resize(2 * z.len(), 0.0);
        after.resize(2 * z.len(), 0.0);
        self.up.apply(parameters, &b.norms[1].a, Accumulate::Overwrite, slope);
        elementwise::silu(slope, self.up.bias(parameters), after);
        self.down.apply(parameters, after, Accumulate::Add, z);
        elementwise::add_bias(z, self.down.bias(parameters));
    }

    /// dz of the result to dz of what went in, in place.
    pub fn backward(&self, parameters: &[f32], dz: &mut [f32], b: &mut BlockBuffers, gradient: &mut Gradient<'_>) {
        let [slope, after] = &b.up;
        self.down.gradient(gradient, dz, after);
        b.d_up.resize(2 * dz.len(), 0.0);
        self.down.input_gradient(parameters, dz, Accumulate::Overwrite, &mut b.d_up);
        elementwise::times_into(&mut b.d_up, slope);
        self.up.gradient(gradient, &b.d_up, &b.norms[1].a);
        self.up.input_gradient(parameters, &b.d_up, Accumulate::Overwrite, &mut b.norms[1].a);
        self.norms[1].backward(parameters, &mut b.norms[1], dz, gradient);
        self.attention.backward(parameters, dz, &mut b.attention, gradient, Some(&mut b.norms[0].a), None);
        self.norms[0].backward(parameters, &mut b.norms[0], dz, gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::testing::{gradient_error, normals, partial};

    const SETS: usize = 2;
    const CLASSES: usize = 3;
    const WIDTH: usize = 4;
    const MASK: [bool; 6] = [true, true, true, true, false, true];

    /// A block away from the zeros of its start.
    fn block() -> (Block, Vec<f32>) {
        let (mut tensors, mut end) = (Vec::new(), 0);
        let block = Block::push(&mut tensors, &mut end, "b", WIDTH, 2).unwrap();
        assert_eq!(end, tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>());
        let mut parameters = vec![0.0; end];
        block.draw(&mut parameters, &Streams::new(1));
        parameters.iter_mut().zip(normals(&Streams::new(2), end)).for_each(|(p, z)| *p += 0.2 * z);
        (block, parameters)
    }

    fn run(block: &Block, parameters: &[f32], z: &[f32], b: &mut BlockBuffers) -> Vec<f32> {
        let mut z = z.to_vec();
        block.forward(parameters, SETS, &mut z, &MASK, b);
        z
    }

    #[test]
    fn gradients_agree_with_differences() {
        let (block, parameters) = block();
        let n = SETS * CLASSES * WIDTH;
        let (z, w) = (normals(&Streams::new(3), n), normals(&Streams::new(4), n));
        let scalar = |parameters: &[f32], z: &[f32]| -> f64 {
            let out = run(&block, parameters, z, &mut BlockBuffers::default());
            out.iter().zip(&w).map(|(a, b)| f64::from(a * b)).sum()
        };
        let mut b = BlockBuffers::default();
        run(&block, &parameters, &z, &mut b);
        let (mut dz, mut gradient) = (w.clone(), vec![f32::NAN; parameters.len()]);
        block.backward(&parameters, &mut dz, &mut b, &mut Gradient::Write(&mut gradient));
        assert!(gradient_error(&parameters, &gradient, 1e-3, |q| scalar(q, &z)) < 1e-2);
        for i in 0..n {
            let truth = partial(&z, i, 1e-2, |z| scalar(&parameters, z));
            assert!((truth - f64::from(dz[i])).abs() < 1e-2 * (1.0 + truth.abs()), "{i}: {} {truth}", dz[i]);
        }
    }

    #[test]
    fn absent_tokens_and_other_sets_are_not_looked_at() {
        let (block, parameters) = block();
        let z = normals(&Streams::new(3), SETS * CLASSES * WIDTH);
        let before = run(&block, &parameters, &z, &mut BlockBuffers::default());
        let changed = |token: usize| {
            let mut z = z.clone();
            z[token * WIDTH] += 1.0;
            let after = run(&block, &parameters, &z, &mut BlockBuffers::default());
            let moved = |t: usize| before[t * WIDTH..(t + 1) * WIDTH] != after[t * WIDTH..(t + 1) * WIDTH];
            (0..6).filter(|&t| moved(t)).collect::<Vec<_>>()
        };
        assert_eq!(changed(4), [4], "a token that is not there is nobody's key");
        assert_eq!(changed(0), [0, 1, 2], "all of its own set, none of the other");
        assert_eq!(changed(5), [3, 4, 5]);
    }
}
