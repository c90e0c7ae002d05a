//! Depthwise convolution: every channel by itself, `[c, h, w] → [c, oh, ow]`, without padding; any stride and dilation.
use crate::engine::ops::Conv;
use crate::engine::vector::{Kernel, Simd, Vector};

/// Columns computed at once: what hides the latency of a multiply–add.
const COLUMNS: usize = 8;

/// Calls `f(index of the first input of the tap's row, index in the kernel)` for every tap of output row `oy`.
#[inline(always)]
fn each_tap(conv: &Conv, oy: usize, mut f: impl FnMut(usize, usize)) {
    let Conv { input: [_, _, w], kernel: [tall, wide], stride, dilation, .. } = *conv;
    for ky in 0..tall {
        for kx in 0..wide {
            f((oy * stride[0] + ky * dilation[0]) * w + kx * dilation[1], ky * wide + kx);
        }
    }
}

/// Calls `$f::<$S, columns>($argument, …, ox)` over a row of `$n` outputs, eight columns at a time and the rest one by one.
macro_rules! in_columns {
    ($n:expr, $f:ident::<$S:ident>($($argument:expr),*)) => {{
        let whole = $n / COLUMNS * COLUMNS;
        for ox in (0..whole).step_by(COLUMNS) {
            $f::<$S, COLUMNS>($($argument,)* ox);
        }
        for ox in whole..$n {
            $f::<$S, 1>($($argument,)* ox);
        }
    }};
}

/// y = w ⋆ x + b for one block of images, cut at zero where the layer ends in a ReLU.
pub(in crate::engine) struct Forward<'a> {
    pub conv: &'a Conv,
    pub theta: &'a [f32],
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Forward { conv, theta, x, y } = self;
        let Conv { input: [_, h, w], output: [_, oh, ow], .. } = *conv;
        for (c, (x, y)) in x.chunks_exact(h * w).zip(y.chunks_exact_mut(oh * ow)).enumerate() {
            let taps = &theta[conv.weight + c * conv.area()..][..conv.area()];
            let bias = conv.bias.map_or(0.0, |place| theta[place + c]);
            for (oy, y) in y.chunks_exact_mut(ow).enumerate() {
                in_columns!(ow, forward::<S>(conv, oy, taps, bias, x, &mut *y));
            }
        }
    }
}

#[inline(always)]
fn forward<S: Simd, const C: usize>(
    conv: &Conv,
    oy: usize,
    taps: &[f32],
    bias: f32,
    x: &[Vector],
    y: &mut [Vector],
    ox: usize,
) {
    let right = conv.stride[1];
    for part in 0..S::PARTS {
        let mut sums = [S::splat(bias); C];
        each_tap(conv, oy, |row, k| {
            let (values, tap) = (&x[row + ox * right..][..(C - 1) * right + 1], S::splat(taps[k]));
            for c in 0..C {
                sums[c] = S::load(&values[c * right], part).mul_add(tap, sums[c]);
            }
        });
        for c in 0..C {
            let sum = if conv.relu { S::splat(0.0).max(sums[c]) } else { sums[c] };
            sum.store(&mut y[ox + c], part);
        }
    }
}

/// Adds dL/dw of one block of images to `gradient` `[P]`.
pub(in crate::engine) struct WeightGradient<'a> {
    pub conv: &'a Conv,
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
    pub gradient: &'a mut [f32],
}

impl Kernel for WeightGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let WeightGradient { conv, x, dy, gradient } = self;
        let Conv { input: [_, h, w], output: [_, oh, ow], .. } = *conv;
        for (c, (x, dy)) in x.chunks_exact(h * w).zip(dy.chunks_exact(oh * ow)).enumerate() {
            let mut total = Vector::ZERO;
            for k in 0..conv.area() {
                for part in 0..S::PARTS {
                    tap::<S>(conv, k, x, dy, part).store(&mut total, part);
                }
                gradient[conv.weight + c * conv.area() + k] += total.sum();
            }
            if let Some(place) = conv.bias {
                for part in 0..S::PARTS {
                    let sum = dy.iter().fold(S::splat(0.0), |sum, d| sum.add(S::load(d, part)));
                    sum.store(&mut total, part);
                }
                gradient[place + c] += total.sum();
            }
        }
    }
}

/// Σ over positions of dy times the input under tap `k`, in four sums that are joined at the end.
#[inline(always)]
fn tap<S: Simd>(conv: &Conv, k: usize, x: &[Vector], dy: &[Vector], part: usize) -> S {
    let Conv { input: [_, _, w], output: [_, _, ow], kernel: [_, wide], stride: [down, right], dilation, .. } = *conv;
    let from = k / wide * dilation[0] * w + k % wide * dilation[1];
    let mut sums = [S::splat(0.0); 4];
    for (oy, dy) in dy.chunks_exact(ow).enumerate() {
        let row = &x[from + oy * down * w..][..(ow - 1) * right + 1];
        for (ox, d) in dy.iter().enumerate() {
            sums[ox % 4] = S::load(&row[ox * right], part).mul_add(S::load(d, part), sums[ox % 4]);
        }
    }
    sums[0].add(sums[1]).add(sums[2].add(sums[3]))
}

/// dx = wᵀ ⋆ dy for one block of images.
pub(in crate::engine) struct InputGradient<'a> {
    pub conv: &'a Conv,
    pub theta: &'a [f32],
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for InputGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let InputGradient { conv, theta, dy, dx } = self;
        let Conv { input: [_, h, w], output: [_, oh, ow], stride: [_, right], .. } = *conv;
        dx.fill(Vector::ZERO);
        for (c, (dy, dx)) in dy.chunks_exact(oh * ow).zip(dx.chunks_exact_mut(h * w)).enumerate() {
            let taps = &theta[conv.weight + c * conv.area()..][..conv.area()];
            for (oy, dy) in dy.chunks_exact(ow).enumerate() {
                each_tap(conv, oy, |row, k| {
                    let (tap, dx) = (S::splat(taps[k]), &mut dx[row..row + (ow - 1) * right + 1]);
                    for (d, dx) in dy.iter().zip(dx.iter_mut().step_by(right)) {
                        for part in 0..S::PARTS {
                            S::load(d, part).mul_add(tap, S::load(dx, part)).store(dx, part);
                        }
                    }
                });
            }
        }
    }
}
