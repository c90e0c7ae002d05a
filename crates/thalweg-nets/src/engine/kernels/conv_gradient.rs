//! Weight and bias gradients of a convolution of one group: sums over all positions and lanes.
//!
//! The sums over positions stay in registers, a row of taps for a block of output channels; lanes are summed once at
//! the end, sixteen weights at a time.
use super::blocks::in_blocks;
use crate::engine::ops::Conv;
use crate::engine::vector::{self, Kernel, LANES, Simd, Vector};

/// Adds dL/dw and dL/db of one block of images to `gradient` `[P]`.
pub(in crate::engine) struct WeightGradient<'a> {
    pub conv: &'a Conv,
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
    /// Room for the taps of one input channel, `[o][ky][kx]`.
    pub scratch: &'a mut [Vector],
    pub gradient: &'a mut [f32],
}

impl Kernel for WeightGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let WeightGradient { conv, x, dy, scratch, gradient } = self;
        bias_gradient::<S>(conv, dy, gradient);
        let [outputs, ..] = conv.output;
        let sums = &mut scratch[..outputs * conv.area()];
        // Neighbouring taps of a row read neighbouring inputs, where none are left out between.
        let row = if conv.dilation[1] == 1 { conv.kernel[1] } else { 1 };
        for i in 0..conv.input[0] {
            match row {
                3 => in_blocks!(outputs, taps(S::REGISTERS, 3), rows::<S, 3>(i, conv, x, dy, &mut *sums)),
                5 => in_blocks!(outputs, taps(S::REGISTERS, 5), rows::<S, 5>(i, conv, x, dy, &mut *sums)),
                _ => in_blocks!(outputs, 8, rows::<S, 1>(i, conv, x, dy, &mut *sums)),
            }
            join::<S>(i, conv, sums, gradient);
        }
    }
}

/// Channels of which a row of so many taps fits into the registers.
const fn taps(registers: usize, side: usize) -> usize {
    (registers - registers / 4) / (side + 1)
}

/// Sums `K` taps at a time for `B` output channels and input channel `i`. `K` divides the kernel's width.
#[inline(always)]
fn rows<S: Simd, const K: usize, const B: usize>(
    at: usize,
    i: usize,
    conv: &Conv,
    x: &[Vector],
    dy: &[Vector],
    sums: &mut [Vector],
) {
    let Conv { input: [_, h, w], output: [_, oh, ow], kernel: [tall, wide], stride: [down, right], .. } = *conv;
    let [dilated_y, dilated_x] = conv.dilation;
    for ky in 0..tall {
        for kx in (0..wide).step_by(K) {
            for part in 0..S::PARTS {
                let mut taps = [[S::splat(0.0); K]; B];
                for oy in 0..oh {
                    let from = (i * h + oy * down + ky * dilated_y) * w + kx * dilated_x;
                    let row = &x[from..from + (ow - 1) * right + K];
                    let mut ds: [&[Vector]; B] = [&[]; B];
                    for j in 0..B {
                        ds[j] = &dy[((at + j) * oh + oy) * ow..][..ow];
                    }
                    for ox in 0..ow {
                        let values = &row[ox * right..][..K];
                        let mut d = [S::splat(0.0); B];
                        for j in 0..B {
                            d[j] = S::load(&ds[j][ox], part);
                        }
                        for k in 0..K {
                            let value = S::load(&values[k], part);
                            for j in 0..B {
                                taps[j][k] = value.mul_add(d[j], taps[j][k]);
                            }
                        }
                    }
                }
                for j in 0..B {
                    let to = &mut sums[((at + j) * tall + ky) * wide + kx..][..K];
                    for k in 0..K {
                        taps[j][k].store(&mut to[k], part);
                    }
                }
            }
        }
    }
}

/// Adds the sums of positions to dL/db.
#[inline(always)]
pub(in crate::engine) fn bias_gradient<S: Simd>(conv: &Conv, dy: &[Vector], gradient: &mut [f32]) {
    let Some(place) = conv.bias else { return };
    let [outputs, ..] = conv.output;
    for (gradient, dy) in gradient[place..place + outputs].iter_mut().zip(dy.chunks_exact(dy.len() / outputs)) {
        let mut total = Vector::ZERO;
        for part in 0..S::PARTS {
            let mut sum = S::splat(0.0);
            for d in dy {
                sum = sum.add(S::load(d, part));
            }
            sum.store(&mut total, part);
        }
        *gradient += total.sum();
    }
}

/// Sums the lanes of `sums` `[o][ky][kx]` and adds them to the weights' gradients of input channel `i`.
#[inline(always)]
pub(in crate::engine) fn join<S: Simd>(i: usize, conv: &Conv, sums: &[Vector], gradient: &mut [f32]) {
    let area = conv.area();
    let stride = conv.input[0] * area;
    let gradient = &mut gradient[conv.weight + i * area..conv.weight + conv.weights()];
    let (mut row, mut k) = (0, 0);
    for sums in sums.chunks(LANES) {
        let mut rows = [Vector::ZERO; LANES];
        rows[..sums.len()].copy_from_slice(sums);
        let totals = vector::sums::<S>(&mut rows);
        for &total in &totals.0[..sums.len()] {
            gradient[row + k] += total;
            k += 1;
            if k == area {
                (row, k) = (row + stride, 0);
            }
        }
    }
}
