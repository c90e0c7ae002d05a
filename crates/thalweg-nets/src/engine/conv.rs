//! Convolution without padding, `[i, h, w] → [o, oh, ow]`: forward, weight gradient, input gradient.
//!
//! Every kernel holds a block of up to eight output (or input) channels of one position in registers. Sums run over
//! (channel, ky, kx) in that order.
use super::plan::Conv;
use super::vector::{Kernel, Simd, Vector};

/// Channels held in registers at once.
const BLOCK: usize = 8;

/// Splits `n` channels into blocks of at most [`BLOCK`], as equal as can be: calls `$f::<$S, B>(at, …)` for each.
macro_rules! in_blocks {
    ($n:expr, $f:ident::<$S:ident>($($argument:expr),* $(,)?)) => {{
        let n = $n;
        let blocks = n.div_ceil(BLOCK);
        let mut at = 0;
        for block in 0..blocks {
            let size = (n - at).div_ceil(blocks - block);
            match size {
                1 => $f::<$S, 1>(at, $($argument),*),
                2 => $f::<$S, 2>(at, $($argument),*),
                3 => $f::<$S, 3>(at, $($argument),*),
                4 => $f::<$S, 4>(at, $($argument),*),
                5 => $f::<$S, 5>(at, $($argument),*),
                6 => $f::<$S, 6>(at, $($argument),*),
                7 => $f::<$S, 7>(at, $($argument),*),
                _ => $f::<$S, 8>(at, $($argument),*),
            }
            at += size;
        }
    }};
}
pub(super) use in_blocks;

/// Copies weights `[o, i, ky, kx]` to `[i][ky][kx][o]`, and to `[o][ky][kx][i]` for the input gradient.
pub(super) fn repack(conv: &Conv, theta: &[f32], weights: &mut [f32]) {
    let ([inputs, ..], [outputs, ..], area) = (conv.input, conv.output, conv.kernel * conv.kernel);
    let size = outputs * inputs * area;
    let from = &theta[conv.weight..conv.weight + size];
    for o in 0..outputs {
        for i in 0..inputs {
            for k in 0..area {
                let value = from[(o * inputs + i) * area + k];
                weights[conv.forward + (i * area + k) * outputs + o] = value;
                weights[conv.backward + (o * area + k) * inputs + i] = value;
            }
        }
    }
}

/// y = w ⋆ x + b for one block of images.
pub(super) struct Forward<'a> {
    pub conv: &'a Conv,
    pub theta: &'a [f32],
    pub weights: &'a [f32],
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let [inputs, ..] = self.conv.input;
        let [outputs, ..] = self.conv.output;
        let size = outputs * inputs * self.conv.kernel * self.conv.kernel;
        let weights = &self.weights[self.conv.forward..self.conv.forward + size];
        in_blocks!(outputs, forward::<S>(self.conv, self.theta, weights, self.x, &mut *self.y));
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
    let Conv { input: [inputs, h, w], output: [outputs, oh, ow], kernel, stride, .. } = *conv;
    let mut bias = [0.0; B];
    if let Some(place) = conv.bias {
        bias.copy_from_slice(&theta[place + at..place + at + B]);
    }
    for oy in 0..oh {
        for ox in 0..ow {
            for part in 0..S::PARTS {
                let mut sums = [S::splat(0.0); B];
                for j in 0..B {
                    sums[j] = S::splat(bias[j]);
                }
                for i in 0..inputs {
                    for ky in 0..kernel {
                        let from = (i * h + oy * stride + ky) * w + ox * stride;
                        let row = &x[from..from + kernel];
                        let taps = &weights[(i * kernel + ky) * kernel * outputs..][..kernel * outputs];
                        for (value, tap) in row.iter().zip(taps.chunks_exact(outputs)) {
                            let value = S::load(value, part);
                            let tap = &tap[at..at + B];
                            for j in 0..B {
                                sums[j] = value.mul_add(S::splat(tap[j]), sums[j]);
                            }
                        }
                    }
                }
                for j in 0..B {
                    sums[j].store(&mut y[((at + j) * oh + oy) * ow + ox], part);
                }
            }
        }
    }
}

/// Adds dL/dw and dL/db of one block of images to `gradient` `[P]`.
pub(super) struct WeightGradient<'a> {
    pub conv: &'a Conv,
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
    pub gradient: &'a mut [f32],
}

impl Kernel for WeightGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let [outputs, oh, ow] = self.conv.output;
        if let Some(place) = self.conv.bias {
            for o in 0..outputs {
                let mut sum = Vector::ZERO;
                for d in &self.dy[o * oh * ow..(o + 1) * oh * ow] {
                    for lane in 0..16 {
                        sum.0[lane] += d.0[lane];
                    }
                }
                self.gradient[place + o] += sum.sum();
            }
        }
        in_blocks!(outputs, weight_gradient::<S>(self.conv, self.x, self.dy, &mut *self.gradient));
    }
}

#[inline(always)]
fn weight_gradient<S: Simd, const B: usize>(at: usize, conv: &Conv, x: &[Vector], dy: &[Vector], gradient: &mut [f32]) {
    let Conv { input: [inputs, h, w], output: [_, oh, ow], kernel, stride, .. } = *conv;
    for i in 0..inputs {
        for ky in 0..kernel {
            for kx in 0..kernel {
                let mut totals = [Vector::ZERO; B];
                for part in 0..S::PARTS {
                    let mut sums = [S::splat(0.0); B];
                    for oy in 0..oh {
                        let row = &x[(i * h + oy * stride + ky) * w + kx..];
                        for ox in 0..ow {
                            let value = S::load(&row[ox * stride], part);
                            for j in 0..B {
                                let d = S::load(&dy[((at + j) * oh + oy) * ow + ox], part);
                                sums[j] = value.mul_add(d, sums[j]);
                            }
                        }
                    }
                    for j in 0..B {
                        sums[j].store(&mut totals[j], part);
                    }
                }
                for j in 0..B {
                    let place = (((at + j) * inputs + i) * kernel + ky) * kernel + kx;
                    gradient[conv.weight + place] += totals[j].sum();
                }
            }
        }
    }
}

/// dx = wᵀ ⋆ dy for one block of images.
pub(super) struct InputGradient<'a> {
    pub conv: &'a Conv,
    pub weights: &'a [f32],
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for InputGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let [inputs, ..] = self.conv.input;
        let [outputs, ..] = self.conv.output;
        let size = outputs * inputs * self.conv.kernel * self.conv.kernel;
        let weights = &self.weights[self.conv.backward..self.conv.backward + size];
        in_blocks!(inputs, input_gradient::<S>(self.conv, weights, self.dy, &mut *self.dx));
    }
}

/// The taps `k` of a window that reach input position `at`: first, one past the last; every `stride`-th from the first.
#[inline(always)]
fn reach(at: usize, kernel: usize, stride: usize, outputs: usize) -> (usize, usize) {
    let least = at.saturating_sub((outputs - 1) * stride);
    // The first k ≥ least with k ≡ at (mod stride).
    let first = least + (at - least) % stride;
    (first, kernel.min(at + 1))
}

#[inline(always)]
fn input_gradient<S: Simd, const B: usize>(at: usize, conv: &Conv, weights: &[f32], dy: &[Vector], dx: &mut [Vector]) {
    let Conv { input: [inputs, h, w], output: [outputs, oh, ow], kernel, stride, .. } = *conv;
    for iy in 0..h {
        let (first_y, last_y) = reach(iy, kernel, stride, oh);
        for ix in 0..w {
            let (first_x, last_x) = reach(ix, kernel, stride, ow);
            for part in 0..S::PARTS {
                let mut sums = [S::splat(0.0); B];
                for o in 0..outputs {
                    let mut ky = first_y;
                    while ky < last_y {
                        let row = &dy[(o * oh + (iy - ky) / stride) * ow..][..ow];
                        let taps = &weights[(o * kernel + ky) * kernel * inputs..][..kernel * inputs];
                        let mut kx = first_x;
                        while kx < last_x {
                            let d = S::load(&row[(ix - kx) / stride], part);
                            let tap = &taps[kx * inputs + at..][..B];
                            for j in 0..B {
                                sums[j] = d.mul_add(S::splat(tap[j]), sums[j]);
                            }
                            kx += stride;
                        }
                        ky += stride;
                    }
                }
                for j in 0..B {
                    sums[j].store(&mut dx[((at + j) * h + iy) * w + ix], part);
                }
            }
        }
    }
}
