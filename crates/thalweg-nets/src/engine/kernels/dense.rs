//! Dense layers, `[i] → [o]`, weight `[o, i]` used where it lies in θ: forward, weight gradient, input gradient.
use super::blocks::in_blocks;
use crate::engine::ops::Dense;
use crate::engine::vector::{Kernel, LANES, Simd, Vector};

/// Outputs (or inputs) held in registers at once.
const BLOCK: usize = 8;

/// y = W x + b for one block of images, cut at zero where the layer ends in a ReLU.
pub(in crate::engine) struct Forward<'a> {
    pub dense: &'a Dense,
    pub theta: &'a [f32],
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        in_blocks!(self.dense.outputs, BLOCK, forward::<S>(self.dense, self.theta, self.x, &mut *self.y));
    }
}

#[inline(always)]
fn forward<S: Simd, const B: usize>(at: usize, dense: &Dense, theta: &[f32], x: &[Vector], y: &mut [Vector]) {
    let n = dense.inputs;
    let rows: [&[f32]; B] = std::array::from_fn(|j| &theta[dense.weight + (at + j) * n..][..n]);
    let x = &x[..n];
    for part in 0..S::PARTS {
        let mut sums = [S::splat(0.0); B];
        if let Some(place) = dense.bias {
            for j in 0..B {
                sums[j] = S::splat(theta[place + at + j]);
            }
        }
        for i in 0..n {
            let value = S::load(&x[i], part);
            for j in 0..B {
                sums[j] = value.mul_add(S::splat(rows[j][i]), sums[j]);
            }
        }
        for j in 0..B {
            let sum = if dense.relu { S::splat(0.0).max(sums[j]) } else { sums[j] };
            sum.store(&mut y[at + j], part);
        }
    }
}

/// Adds dL/dW = dy xᵀ and dL/db of one block of images to `gradient` `[P]`. The inputs are transposed, so that the
/// lanes of the products are neighbouring weights and no sum across lanes is needed.
pub(in crate::engine) struct WeightGradient<'a> {
    pub dense: &'a Dense,
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
    /// Room for `[ceil(i/16)][16 images]`.
    pub scratch: &'a mut [Vector],
    pub gradient: &'a mut [f32],
}

impl Kernel for WeightGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let n = self.dense.inputs;
        if let Some(place) = self.dense.bias {
            for o in 0..self.dense.outputs {
                self.gradient[place + o] += self.dy[o].sum();
            }
        }
        let tiles = n.div_ceil(LANES);
        for tile in 0..tiles {
            let rows = &self.x[tile * LANES..n.min((tile + 1) * LANES)];
            let mut square = [Vector::ZERO; LANES];
            square[..rows.len()].copy_from_slice(rows);
            S::transpose(&mut square);
            self.scratch[tile * LANES..(tile + 1) * LANES].copy_from_slice(&square);
        }
        in_blocks!(
            self.dense.outputs,
            BLOCK,
            weight_gradient::<S>(self.dense, &self.scratch[..tiles * LANES], self.dy, &mut *self.gradient)
        );
    }
}

#[inline(always)]
fn weight_gradient<S: Simd, const B: usize>(
    at: usize,
    dense: &Dense,
    tiles: &[Vector],
    dy: &[Vector],
    gradient: &mut [f32],
) {
    let n = dense.inputs;
    let dy = &dy[at..at + B];
    for (t, tile) in tiles.chunks_exact(LANES).enumerate() {
        let mut totals = [Vector::ZERO; B];
        for part in 0..S::PARTS {
            let mut sums = [S::splat(0.0); B];
            for image in 0..LANES {
                let value = S::load(&tile[image], part);
                for j in 0..B {
                    sums[j] = value.mul_add(S::splat(dy[j].0[image]), sums[j]);
                }
            }
            for j in 0..B {
                sums[j].store(&mut totals[j], part);
            }
        }
        let len = (n - t * LANES).min(LANES);
        for j in 0..B {
            let row = &mut gradient[dense.weight + (at + j) * n + t * LANES..][..len];
            for (g, &total) in row.iter_mut().zip(&totals[j].0) {
                *g += total;
            }
        }
    }
}

/// dx = Wᵀ dy for one block of images.
pub(in crate::engine) struct InputGradient<'a> {
    pub dense: &'a Dense,
    pub theta: &'a [f32],
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for InputGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        in_blocks!(self.dense.inputs, BLOCK, input_gradient::<S>(self.dense, self.theta, self.dy, &mut *self.dx));
    }
}

#[inline(always)]
fn input_gradient<S: Simd, const B: usize>(at: usize, dense: &Dense, theta: &[f32], dy: &[Vector], dx: &mut [Vector]) {
    let n = dense.inputs;
    let weights = &theta[dense.weight..dense.weight + n * dense.outputs];
    for part in 0..S::PARTS {
        let mut sums = [S::splat(0.0); B];
        for (d, row) in dy.iter().zip(weights.chunks_exact(n)) {
            let d = S::load(d, part);
            let row = &row[at..at + B];
            for j in 0..B {
                sums[j] = d.mul_add(S::splat(row[j]), sums[j]);
            }
        }
        for j in 0..B {
            sums[j].store(&mut dx[at + j], part);
        }
    }
}
