//! Convolution without padding, of one group, `[i, h, w] → [o, oh, ow]`: forward, and the input gradient.
//!
//! A kernel holds a block of output (or input) channels of two neighbouring columns in registers. Sums run over
//! (channel, ky, kx) in that order. Where taps do not touch, [`conv_dilated`] computes one column at a time.
use super::blocks::{in_blocks, pairs};
use super::conv_dilated;
use crate::engine::ops::Conv;
use crate::engine::vector::{Kernel, Simd, Vector};

/// Columns computed at once.
const COLUMNS: usize = 2;

/// y = w ⋆ x + b for one block of images, cut at zero where the layer ends in a ReLU.
pub(in crate::engine) struct Forward<'a> {
    pub conv: &'a Conv,
    pub theta: &'a [f32],
    pub weights: &'a [f32],
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Forward { conv, theta, weights, x, y } = self;
        let weights = &weights[conv.forward..conv.forward + conv.weights()];
        in_blocks!(conv.output[0], pairs(S::REGISTERS), forward::<S>(conv, theta, weights, x, &mut *y));
    }
}

#[inline(always)]
fn forward<S: Simd, const B: usize>(
    at: usize,
    conv: &Conv,
    theta: &[f32],
    weights: &[f32],
    x: &[Vector],
    y: &mut [Vector],
) {
    if conv.is_dilated() {
        return conv_dilated::forward::<S, B>(at, conv, theta, weights, x, y);
    }
    let Conv { input: [inputs, ..], output: [_, oh, ow], stride, .. } = *conv;
    let size = inputs * conv.area();
    let weights = &weights[at * size..][..B * size];
    let mut bias = [0.0; B];
    if let Some(place) = conv.bias {
        bias.copy_from_slice(&theta[place + at..place + at + B]);
    }
    let paired = if stride[1] == 1 { ow / COLUMNS * COLUMNS } else { 0 };
    for oy in 0..oh {
        for ox in (0..paired).step_by(COLUMNS) {
            forward_tile::<S, B, COLUMNS>(at, oy, ox, conv, &bias, weights, x, y);
        }
        for ox in paired..ow {
            forward_tile::<S, B, 1>(at, oy, ox, conv, &bias, weights, x, y);
        }
    }
}

#[inline(always)]
fn forward_tile<S: Simd, const B: usize, const C: usize>(
    at: usize,
    oy: usize,
    ox: usize,
    conv: &Conv,
    bias: &[f32; B],
    weights: &[f32],
    x: &[Vector],
    y: &mut [Vector],
) {
    let Conv { input: [inputs, h, w], output: [_, oh, ow], kernel: [tall, wide], stride: [down, right], .. } = *conv;
    for part in 0..S::PARTS {
        let mut sums = [[S::splat(0.0); C]; B];
        for j in 0..B {
            sums[j] = [S::splat(bias[j]); C];
        }
        let mut taps = weights.chunks_exact(wide * B);
        for i in 0..inputs {
            for (ky, taps) in (0..tall).zip(&mut taps) {
                let from = (i * h + oy * down + ky) * w + ox * right;
                let row = &x[from..from + wide + C - 1];
                for (values, tap) in row.windows(C).zip(taps.chunks_exact(B)) {
                    let mut v = [S::splat(0.0); C];
                    for c in 0..C {
                        v[c] = S::load(&values[c], part);
                    }
                    for j in 0..B {
                        let tap = S::splat(tap[j]);
                        for c in 0..C {
                            sums[j][c] = v[c].mul_add(tap, sums[j][c]);
                        }
                    }
                }
            }
        }
        for j in 0..B {
            let row = &mut y[((at + j) * oh + oy) * ow + ox..][..C];
            for c in 0..C {
                let sum = if conv.relu { S::splat(0.0).max(sums[j][c]) } else { sums[j][c] };
                sum.store(&mut row[c], part);
            }
        }
    }
}

/// dx = wᵀ ⋆ dy for one block of images.
pub(in crate::engine) struct InputGradient<'a> {
    pub conv: &'a Conv,
    pub weights: &'a [f32],
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for InputGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let InputGradient { conv, weights, dy, dx } = self;
        let weights = &weights[conv.backward..conv.backward + conv.weights()];
        in_blocks!(conv.input[0], pairs(S::REGISTERS), input_gradient::<S>(conv, weights, dy, &mut *dx));
    }
}

/// The taps `k` of a window that reach input position `at`: first, one past the last; every `stride`-th from the first.
#[inline(always)]
fn reach(at: usize, kernel: usize, stride: usize, outputs: usize) -> (usize, usize) {
    let least = at.saturating_sub((outputs - 1) * stride);
    // The first k ≥ least with k ≡ at (mod stride).
    let first = if stride == 1 { least } else { least + (at - least) % stride };
    (first, kernel.min(at + 1))
}

#[inline(always)]
fn input_gradient<S: Simd, const B: usize>(at: usize, conv: &Conv, weights: &[f32], dy: &[Vector], dx: &mut [Vector]) {
    if conv.is_dilated() {
        return conv_dilated::input_gradient::<S, B>(at, conv, weights, dy, dx);
    }
    let Conv { input: [_, h, w], output: [outputs, _, ow], kernel: [_, wide], stride, .. } = *conv;
    let size = outputs * conv.area();
    let weights = &weights[at * size..][..B * size];
    // Columns that every tap of the kernel reaches.
    let (first, last) = if stride == [1; 2] && ow >= wide { (wide - 1, ow) } else { (0, 0) };
    let last = first + (last - first) / COLUMNS * COLUMNS;
    for iy in 0..h {
        for ix in (0..first).chain(last..w) {
            edge_tile::<S, B>(at, iy, ix, conv, weights, dy, dx);
        }
        for ix in (first..last).step_by(COLUMNS) {
            inner_tile::<S, B, COLUMNS>(at, iy, ix, conv, weights, dy, dx);
        }
    }
}

/// `C` columns from `ix` on, where no column lies near the border.
#[inline(always)]
fn inner_tile<S: Simd, const B: usize, const C: usize>(
    at: usize,
    iy: usize,
    ix: usize,
    conv: &Conv,
    weights: &[f32],
    dy: &[Vector],
    dx: &mut [Vector],
) {
    let Conv { input: [_, h, w], output: [outputs, oh, ow], kernel: [tall, wide], .. } = *conv;
    let (first_y, last_y) = reach(iy, tall, 1, oh);
    for part in 0..S::PARTS {
        let mut sums = [[S::splat(0.0); C]; B];
        for o in 0..outputs {
            for ky in first_y..last_y {
                let from = (o * oh + iy - ky) * ow + ix + 1 - wide;
                let row = &dy[from..from + wide + C - 1];
                let taps = &weights[(o * tall + ky) * wide * B..][..wide * B];
                for (values, tap) in row.windows(C).rev().zip(taps.chunks_exact(B)) {
                    let mut v = [S::splat(0.0); C];
                    for c in 0..C {
                        v[c] = S::load(&values[c], part);
                    }
                    for j in 0..B {
                        let tap = S::splat(tap[j]);
                        for c in 0..C {
                            sums[j][c] = v[c].mul_add(tap, sums[j][c]);
                        }
                    }
                }
            }
        }
        for j in 0..B {
            let row = &mut dx[((at + j) * h + iy) * w + ix..][..C];
            for c in 0..C {
                sums[j][c].store(&mut row[c], part);
            }
        }
    }
}

/// One column, any stride, taps clipped at the borders.
#[inline(always)]
fn edge_tile<S: Simd, const B: usize>(
    at: usize,
    iy: usize,
    ix: usize,
    conv: &Conv,
    weights: &[f32],
    dy: &[Vector],
    dx: &mut [Vector],
) {
    let Conv { input: [_, h, w], output: [outputs, oh, ow], kernel: [tall, wide], stride: [down, right], .. } = *conv;
    let (first_y, last_y) = reach(iy, tall, down, oh);
    let (first_x, last_x) = reach(ix, wide, right, ow);
    for part in 0..S::PARTS {
        let mut sums = [S::splat(0.0); B];
        for o in 0..outputs {
            let mut ky = first_y;
            while ky < last_y {
                let row = &dy[(o * oh + (iy - ky) / down) * ow..][..ow];
                let taps = &weights[(o * tall + ky) * wide * B..][..wide * B];
                let (mut kx, mut ox) = (first_x, if first_x < last_x { (ix - first_x) / right } else { 0 });
                while kx < last_x {
                    let d = S::load(&row[ox], part);
                    let tap = &taps[kx * B..][..B];
                    for j in 0..B {
                        sums[j] = d.mul_add(S::splat(tap[j]), sums[j]);
                    }
                    kx += right;
                    ox = ox.wrapping_sub(1);
                }
                ky += down;
            }
        }
        for j in 0..B {
            sums[j].store(&mut dx[((at + j) * h + iy) * w + ix], part);
        }
    }
}
