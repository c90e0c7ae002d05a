//! Convolution with dilation, without padding, of one group, `[i, h, w] → [o, oh, ow]`: forward, and the input gradient.
//! One column at a time for a block of channels; forward, sums run over (channel, ky, kx) in that order, backward over (ky, kx, channel).
use crate::engine::ops::Conv;
use crate::engine::vector::{Simd, Vector};

/// What [`super::conv::Forward`] computes, for `B` output channels from `at` on.
#[inline(always)]
pub(super) fn forward<S: Simd, const B: usize>(
    at: usize,
    conv: &Conv,
    theta: &[f32],
    weights: &[f32],
    x: &[Vector],
    y: &mut [Vector],
) {
    let Conv { input: [inputs, h, w], output: [_, oh, ow], kernel: [tall, wide], stride, dilation, .. } = *conv;
    let size = inputs * conv.area();
    let weights = &weights[at * size..][..B * size];
    for place in 0..oh * ow {
        let (top, left) = (place / ow * stride[0], place % ow * stride[1]);
        for part in 0..S::PARTS {
            let mut sums = [S::splat(0.0); B];
            if let Some(bias) = conv.bias {
                for j in 0..B {
                    sums[j] = S::splat(theta[bias + at + j]);
                }
            }
            let mut taps = weights.chunks_exact(B);
            for i in 0..inputs {
                for ky in 0..tall {
                    let row = &x[(i * h + top + ky * dilation[0]) * w + left..][..(wide - 1) * dilation[1] + 1];
                    for (value, tap) in row.iter().step_by(dilation[1]).zip(&mut taps) {
                        let value = S::load(value, part);
                        for j in 0..B {
                            sums[j] = value.mul_add(S::splat(tap[j]), sums[j]);
                        }
                    }
                }
            }
            for j in 0..B {
                let sum = if conv.relu { S::splat(0.0).max(sums[j]) } else { sums[j] };
                sum.store(&mut y[(at + j) * oh * ow + place], part);
            }
        }
    }
}

/// The output that reads input `at` through tap `k`, if there is one.
#[inline(always)]
fn reader(at: usize, k: usize, dilation: usize, stride: usize, outputs: usize) -> Option<usize> {
    let from = at.checked_sub(k * dilation)?;
    (from.is_multiple_of(stride) && from / stride < outputs).then_some(from / stride)
}

/// What [`super::conv::InputGradient`] computes, for `B` input channels from `at` on.
#[inline(always)]
pub(super) fn input_gradient<S: Simd, const B: usize>(
    at: usize,
    conv: &Conv,
    weights: &[f32],
    dy: &[Vector],
    dx: &mut [Vector],
) {
    let Conv { input: [_, h, w], output: [outputs, oh, ow], kernel: [tall, wide], stride, dilation, .. } = *conv;
    let size = outputs * conv.area();
    let weights = &weights[at * size..][..B * size];
    for place in 0..h * w {
        let (iy, ix) = (place / w, place % w);
        for part in 0..S::PARTS {
            let mut sums = [S::splat(0.0); B];
            for ky in 0..tall {
                let Some(oy) = reader(iy, ky, dilation[0], stride[0], oh) else { continue };
                for kx in 0..wide {
                    let Some(ox) = reader(ix, kx, dilation[1], stride[1], ow) else { continue };
                    for o in 0..outputs {
                        let d = S::load(&dy[(o * oh + oy) * ow + ox], part);
                        let tap = &weights[((o * tall + ky) * wide + kx) * B..][..B];
                        for j in 0..B {
                            sums[j] = d.mul_add(S::splat(tap[j]), sums[j]);
                        }
                    }
                }
            }
            for j in 0..B {
                sums[j].store(&mut dx[(at + j) * h * w + place], part);
            }
        }
    }
}
