//! Convolution of stride 1 followed by a maximum over 2 × 2 windows, in one: `[i, h, w] → [o, oh/2, ow/2]`.
//!
//! Forward, the four outputs of a window are computed in registers and only their maximum is written, with two bits a
//! lane that say where it lay. Backward, only that one of the four receives a gradient; so for every window the inputs
//! beneath it are selected first, and one multiply–add a tap takes the place of four: selections cost half as much.
use super::blocks::{in_blocks, windows};
use super::conv_gradient::{bias_gradient, join};
use crate::engine::ops::Conv;
use crate::engine::vector::{Kernel, Simd, Vector};

/// Where in its window each lane's maximum lay: bits of the right column, bits of the lower row.
pub(in crate::engine) type Choice = [u16; 2];

/// Vectors of input that a pass over the weights' sums may run through: what the first-level cache holds well.
const STRIP: usize = 320;

/// y = max over windows of (w ⋆ x + b), cut at zero where the layer ends in a ReLU, and where the maxima lay.
pub(in crate::engine) struct Forward<'a> {
    pub conv: &'a Conv,
    pub theta: &'a [f32],
    pub weights: &'a [f32],
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
    pub choices: &'a mut [Choice],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Forward { conv, theta, weights, x, y, choices } = self;
        let weights = &weights[conv.forward..conv.forward + conv.weights()];
        if const { S::SELECTS } {
            in_blocks!(
                conv.output[0],
                windows(S::REGISTERS),
                forward::<S>(conv, theta, weights, x, &mut *y, &mut *choices)
            );
        }
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
    choices: &mut [Choice],
) {
    let Conv { input: [inputs, h, w], output: [_, oh, ow], .. } = *conv;
    let kernel = conv.side();
    let (ph, pw) = (oh / 2, ow / 2);
    let weights = &weights[at * inputs * kernel * kernel..][..B * inputs * kernel * kernel];
    let mut bias = [0.0; B];
    if let Some(place) = conv.bias {
        bias.copy_from_slice(&theta[place + at..place + at + B]);
    }
    for py in 0..ph {
        for px in 0..pw {
            let mut choice = [[0; 2]; B];
            for part in 0..S::PARTS {
                let mut sums = [[S::splat(0.0); 4]; B];
                for j in 0..B {
                    sums[j] = [S::splat(bias[j]); 4];
                }
                let mut taps = weights.chunks_exact(kernel * B);
                for i in 0..inputs {
                    for (ky, taps) in (0..kernel).zip(&mut taps) {
                        let from = (i * h + 2 * py + ky) * w + 2 * px;
                        let (above, below) = (&x[from..from + kernel + 1], &x[from + w..from + w + kernel + 1]);
                        for ((above, below), tap) in above.windows(2).zip(below.windows(2)).zip(taps.chunks_exact(B)) {
                            let values = [&above[0], &above[1], &below[0], &below[1]];
                            let mut splat = [S::splat(0.0); B];
                            for j in 0..B {
                                splat[j] = S::splat(tap[j]);
                            }
                            for c in 0..4 {
                                let value = S::load(values[c], part);
                                for j in 0..B {
                                    sums[j][c] = value.mul_add(splat[j], sums[j][c]);
                                }
                            }
                        }
                    }
                }
                for j in 0..B {
                    let [a, b, c, d] = sums[j];
                    let (above, below) = (b.max(a), d.max(c));
                    let (right_above, right_below) = (S::bits(b.above(a), part), S::bits(d.above(c), part));
                    let down = S::bits(below.above(above), part);
                    choice[j][0] |= (down & right_below) | (!down & right_above);
                    choice[j][1] |= down;
                    let most = below.max(above);
                    let most = if conv.relu { S::splat(0.0).max(most) } else { most };
                    most.store(&mut y[((at + j) * ph + py) * pw + px], part);
                }
            }
            for j in 0..B {
                choices[((at + j) * ph + py) * pw + px] = choice[j];
            }
        }
    }
}

/// Adds dL/dw and dL/db of one block of images to `gradient` `[P]`, given the gradient `dy` of the maxima.
pub(in crate::engine) struct WeightGradient<'a> {
    pub conv: &'a Conv,
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
    pub choices: &'a [Choice],
    /// Room for the taps of one input channel, `[o][ky][kx]`.
    pub scratch: &'a mut [Vector],
    pub gradient: &'a mut [f32],
}

impl Kernel for WeightGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let WeightGradient { conv, x, dy, choices, scratch, gradient } = self;
        bias_gradient::<S>(conv, dy, gradient);
        let sums = &mut scratch[..conv.output[0] * conv.area()];
        for i in 0..conv.input[0] {
            if const { S::SELECTS } {
                match conv.side() {
                    2 => taps::<S, 2>(i, conv, x, dy, choices, sums),
                    3 => taps::<S, 3>(i, conv, x, dy, choices, sums),
                    4 => taps::<S, 4>(i, conv, x, dy, choices, sums),
                    _ => taps::<S, 5>(i, conv, x, dy, choices, sums),
                }
            }
            join::<S>(i, conv, sums, gradient);
        }
    }
}

/// Rows of `side` taps whose sums, with the row before and the row at hand, fit into the registers.
const fn rows(registers: usize, side: usize) -> usize {
    let room = if registers == 32 { 24 } else { 10 };
    let rows = room / side - 1;
    if rows < side { rows } else { side }
}

/// The sums of input channel `i`, some rows of taps at a time, in strips of windows that stay in the nearest cache.
#[inline(always)]
fn taps<S: Simd, const K: usize>(
    i: usize,
    conv: &Conv,
    x: &[Vector],
    dy: &[Vector],
    choices: &[Choice],
    sums: &mut [Vector],
) {
    let Conv { input: [_, _, w], output: [outputs, oh, _], .. } = *conv;
    let ph = oh / 2;
    let strip = ((STRIP / w).saturating_sub(K - 1) / 2).max(1);
    let whole = ph <= strip;
    if !whole {
        sums.fill(Vector::ZERO);
    }
    for first in (0..ph).step_by(strip) {
        let windows = first..(first + strip).min(ph);
        for (o, sums) in sums.chunks_exact_mut(K * K).enumerate().take(outputs) {
            let mut ky = 0;
            while ky < K {
                let (windows, most) = (windows.clone(), const { rows(S::REGISTERS, K) });
                match most.min(K - ky) {
                    1 => strip_taps::<S, K, 1>(ky, i, o, windows, whole, conv, x, dy, choices, sums),
                    2 => {
                        if const { rows(S::REGISTERS, K) >= 2 } {
                            strip_taps::<S, K, 2>(ky, i, o, windows, whole, conv, x, dy, choices, sums);
                        }
                    }
                    3 => {
                        if const { rows(S::REGISTERS, K) >= 3 } {
                            strip_taps::<S, K, 3>(ky, i, o, windows, whole, conv, x, dy, choices, sums);
                        }
                    }
                    _ => {
                        if const { rows(S::REGISTERS, K) >= 4 } {
                            strip_taps::<S, K, 4>(ky, i, o, windows, whole, conv, x, dy, choices, sums);
                        }
                    }
                }
                ky += most;
            }
        }
    }
}

#[inline(always)]
fn strip_taps<S: Simd, const K: usize, const R: usize>(
    ky: usize,
    i: usize,
    o: usize,
    windows: std::ops::Range<usize>,
    fresh: bool,
    conv: &Conv,
    x: &[Vector],
    dy: &[Vector],
    choices: &[Choice],
    sums: &mut [Vector],
) {
    let Conv { input: [_, h, w], output: [_, oh, ow], .. } = *conv;
    let (ph, pw) = (oh / 2, ow / 2);
    let sums = &mut sums[ky * K..][..R * K];
    for part in 0..S::PARTS {
        let mut taps = [[S::splat(0.0); K]; R];
        if !fresh {
            for (k, sum) in sums.iter().enumerate() {
                taps[k / K][k % K] = S::load(sum, part);
            }
        }
        for py in windows.clone() {
            let at = (o * ph + py) * pw;
            let (ds, choices) = (&dy[at..at + pw], &choices[at..at + pw]);
            let from = (i * h + 2 * py + ky) * w;
            let mut rows: [&[Vector]; 5] = [&[]; 5];
            for r in 0..=R {
                rows[r] = &x[from + r * w..][..2 * pw + K - 1];
            }
            for px in 0..pw {
                let d = S::load(&ds[px], part);
                let (right, down) = (S::mask(choices[px][0], part), S::mask(choices[px][1], part));
                let mut above = [S::splat(0.0); K];
                for r in 0..=R {
                    let row = &rows[r][2 * px..][..K + 1];
                    for k in 0..K {
                        let here = S::select(right, S::load(&row[k + 1], part), S::load(&row[k], part));
                        if r > 0 {
                            let value = S::select(down, here, above[k]);
                            taps[r - 1][k] = value.mul_add(d, taps[r - 1][k]);
                        }
                        above[k] = here;
                    }
                }
            }
        }
        for (k, sum) in sums.iter_mut().enumerate() {
            taps[k / K][k % K].store(sum, part);
        }
    }
}

/// Lays the gradient of the maxima out over the outputs of the convolution, zeros elsewhere.
pub(in crate::engine) struct Spread<'a> {
    pub conv: &'a Conv,
    pub dy: &'a [Vector],
    pub choices: &'a [Choice],
    pub full: &'a mut [Vector],
}

impl Kernel for Spread<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Spread { conv, dy, choices, full } = self;
        let [outputs, oh, ow] = conv.output;
        let (ph, pw) = (oh / 2, ow / 2);
        if oh % 2 + ow % 2 > 0 {
            full.fill(Vector::ZERO);
        }
        let zero = S::splat(0.0);
        for o in 0..outputs {
            for py in 0..ph {
                let at = (o * ph + py) * pw;
                let (above, below) = full[(o * oh + 2 * py) * ow..][..2 * ow].split_at_mut(ow);
                let pairs = above.chunks_exact_mut(2).zip(below.chunks_exact_mut(2));
                for ((d, choice), (above, below)) in dy[at..at + pw].iter().zip(&choices[at..at + pw]).zip(pairs) {
                    for part in 0..S::PARTS {
                        let d = S::load(d, part);
                        let (right, down) = (S::mask(choice[0], part), S::mask(choice[1], part));
                        let (up, low) = (S::select(down, zero, d), S::select(down, d, zero));
                        S::select(right, zero, up).store(&mut above[0], part);
                        S::select(right, up, zero).store(&mut above[1], part);
                        S::select(right, zero, low).store(&mut below[0], part);
                        S::select(right, low, zero).store(&mut below[1], part);
                    }
                }
            }
        }
    }
}
