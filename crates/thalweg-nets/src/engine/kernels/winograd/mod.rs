//! Convolution of stride 1 and a maximum over 2 × 2 windows with fewer multiplications, for logits only:
//! `[i, h, w] → [o, oh/2, ow/2]`, kernels of side 3 and 5.
//!
//! Correlating a row with a kernel is the transpose of a product of polynomials, and a product is known by its values
//! at as many points as it has coefficients (Toom–Cook; Winograd's F(4, K)). For four neighbouring outputs these are
//! n = K + 3 points: 0, ±1, ±2, for K = 5 also ±1/2, and ∞. The columns of the inputs are taken to the points once for
//! all output channels, the weights once a network, sums over (channel, ky) run at the points, and four outputs are put
//! together from n sums. That is n/4K of the multiplications: 0.4 for K = 5, 0.5 for K = 3. Only where [`pays`] says
//! so; with few channels or narrow images it does not.
//!
//! Training takes the direct kernels of `conv_pool`: gradients need the places of the maxima, and weights would have to
//! be transformed at every step. So logits in evaluation and those within a gradient differ in the last bits (in the
//! tests by less than 10⁻⁶ of their norm; outputs are within 1.1 · 10⁻⁶ of the largest from f64). Sums run in one order
//! for every instruction set, and lanes never meet.
use crate::engine::ops::Conv;
use crate::engine::vector::{Kernel, Simd, Vector};

#[cfg(test)]
mod tests;

/// Neighbouring outputs of a row that are computed together: two windows.
const QUAD: usize = 4;

/// The points are 0, ± some of these, ∞.
const ROOTS: [f32; 3] = [1.0, 2.0, 0.5];

/// Pairs ± of points for a kernel of side `k`.
const fn pairs(k: usize) -> usize {
    k.div_ceil(2)
}

/// Points for a kernel of side `k`.
const fn points(k: usize) -> usize {
    QUAD + k - 1
}

/// Coefficients of Π (x − p²) over the first `pairs` roots p but `without`, exact in f32; the leading one is 1.
const fn product(pairs: usize, without: usize) -> [f32; QUAD] {
    let mut c = [1.0, 0.0, 0.0, 0.0];
    let (mut pair, mut degree) = (0, 0);
    while pair < pairs {
        if pair != without {
            let square = ROOTS[pair] * ROOTS[pair];
            degree += 1;
            let mut k = degree;
            while k > 0 {
                c[k] = c[k - 1] - square * c[k];
                k -= 1;
            }
            c[0] *= -square;
        }
        pair += 1;
    }
    c
}

/// Whether this way is expected to take clearly fewer operations than the direct kernel.
pub(in crate::engine) fn pays(conv: &Conv) -> bool {
    let Conv { input: [inputs, ..], output: [outputs, oh, ow], kernel: [_, k], stride, .. } = *conv;
    if stride != [1; 2] || ![3, 5].contains(&k) {
        return false;
    }
    let (ph, pw, n) = (oh / 2, ow / 2, points(k));
    // Stores count double; sixteen operations put four outputs together.
    let transform = 5 * n * inputs * (2 * ph + k - 1);
    let fast = pw.div_ceil(2) * (transform + outputs * 2 * ph * (n * k * inputs + 16));
    10 * fast < 9 * 4 * ph * pw * k * k * inputs * outputs
}

/// Numbers in the transformed weights.
pub(in crate::engine) fn weights(conv: &Conv) -> usize {
    conv.input[0] * conv.output[0] * conv.side() * points(conv.side())
}

/// Vectors of room that a pass needs: the columns of two windows at the points.
pub(in crate::engine) fn room(conv: &Conv) -> usize {
    points(conv.side()) * conv.input[0] * rows(conv)
}

/// Rows of input that the windows reach.
fn rows(conv: &Conv) -> usize {
    conv.output[1] / 2 * 2 + conv.side() - 1
}

/// Takes the weights `[o, i, ky, kx]` of θ to the points, in f64: `[o][point][i][ky]`.
pub(in crate::engine) fn transform_weights(conv: &Conv, theta: &[f32], to: &mut [f32]) {
    let Conv { input: [inputs, ..], output: [outputs, ..], kernel: [_, k], .. } = *conv;
    let n = points(k);
    let mut finite = vec![0.0];
    finite.extend(ROOTS[..pairs(k)].iter().flat_map(|&p| [f64::from(p), -f64::from(p)]));
    // The denominators of Lagrange's interpolation go with the weights.
    let scale = |t: usize| -> f64 { (0..n - 1).filter(|&s| s != t).map(|s| finite[t] - finite[s]).product() };
    let scales: Vec<f64> = (0..n - 1).map(scale).collect();
    let from = &theta[conv.weight..conv.weight + conv.weights()];
    for (row, taps) in from.chunks_exact(k).enumerate() {
        let (o, i, ky) = (row / (inputs * k), row / k % inputs, row % k);
        let at = |t: usize| ((o * n + t) * inputs + i) * k + ky;
        for (t, p) in finite.iter().enumerate() {
            let value = taps.iter().rev().fold(0.0, |sum, &tap| sum * p + f64::from(tap));
            to[at(t)] = (value / scales[t]) as f32;
        }
        to[at(n - 1)] = taps[k - 1];
    }
    debug_assert_eq!(from.len(), outputs * inputs * k * k);
}

/// y = max over windows of (w ⋆ x + b), cut at zero where the layer ends in a ReLU.
pub(in crate::engine) struct Forward<'a> {
    pub conv: &'a Conv,
    pub theta: &'a [f32],
    /// As [`transform_weights`] leaves them.
    pub weights: &'a [f32],
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
    /// At least [`room`] vectors.
    pub room: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        if const { S::SELECTS } {
            if self.conv.side() == 3 {
                forward::<S, 3, { pairs(3) }, { points(3) }>(self);
            } else {
                forward::<S, 5, { pairs(5) }, { points(5) }>(self);
            }
        }
    }
}

#[inline(always)]
fn forward<S: Simd, const K: usize, const H: usize, const N: usize>(forward: Forward) {
    let Forward { conv, theta, weights, x, y, room } = forward;
    let Conv { input: [inputs, ..], output: [outputs, oh, ow], relu, .. } = *conv;
    let (ph, pw) = (oh / 2, ow / 2);
    let rows = rows(conv);
    let room = &mut room[..N * inputs * rows];
    for px in (0..pw).step_by(2) {
        transform::<S, H, N>(conv, 2 * px, rows, x, room);
        for o in 0..outputs {
            let weights = &weights[o * N * inputs * K..][..N * inputs * K];
            let bias = conv.bias.map_or(0.0, |place| theta[place + o]);
            let channel = Channel { room, weights, inputs, rows, bias, relu };
            let y = &mut y[o * ph * pw..][..ph * pw];
            let mut py = 0;
            while py + 1 < ph {
                windows::<S, K, H, N, 4>(channel, py, px, pw, &mut y[py * pw..]);
                py += 2;
            }
            if py < ph {
                windows::<S, K, H, N, 2>(channel, py, px, pw, &mut y[py * pw..]);
            }
        }
    }
}

/// Takes the N columns from `left` on to the points, row by row: `[point][i][row]`. Columns beyond the image are zeros.
#[inline(always)]
fn transform<S: Simd, const H: usize, const N: usize>(
    conv: &Conv,
    left: usize,
    rows: usize,
    x: &[Vector],
    room: &mut [Vector],
) {
    let [inputs, h, w] = conv.input;
    let all = const { product(H, H) };
    let without = const { [product(H, 0), product(H, 1), product(H, 2)] };
    let step = inputs * rows;
    for i in 0..inputs {
        for row in 0..rows {
            let from = &x[(i * h + row) * w..][..w][left..];
            let to = &mut room[i * rows + row..];
            for part in 0..S::PARTS {
                let mut d = [S::splat(0.0); N];
                for c in 0..N {
                    if c < from.len() {
                        d[c] = S::load(&from[c], part);
                    }
                }
                // Π (x² − p²) for the points 0 and ∞; x (x ± p) Π' (x² − q²) for ±p, in its even and odd powers.
                every_second(&d, 0, &all, H).store(&mut to[0], part);
                every_second(&d, 1, &all, H).store(&mut to[(N - 1) * step], part);
                for pair in 0..H {
                    let even = every_second(&d, 2, &without[pair], H - 1);
                    let odd = every_second(&d, 1, &without[pair], H - 1);
                    let p = ROOTS[pair];
                    odd.mul_add(S::splat(p), even).store(&mut to[(1 + 2 * pair) * step], part);
                    odd.mul_add(S::splat(-p), even).store(&mut to[(2 + 2 * pair) * step], part);
                }
            }
        }
    }
}

/// Σ c_k d[first + 2 k] up to the `degree`, whose c is 1.
#[inline(always)]
fn every_second<S: Simd, const N: usize>(d: &[S; N], first: usize, c: &[f32; QUAD], degree: usize) -> S {
    let mut sum = d[first + 2 * degree];
    for k in (0..degree).rev() {
        sum = d[first + 2 * k].mul_add(S::splat(c[k]), sum);
    }
    sum
}

/// What one output channel reads: columns `[point][i][row]`, weights `[point][i][ky]`.
#[derive(Clone, Copy)]
struct Channel<'a> {
    room: &'a [Vector],
    weights: &'a [f32],
    inputs: usize,
    rows: usize,
    bias: f32,
    relu: bool,
}

/// Four outputs of R rows, and the maxima of their windows, from row `py` and column `px` of the maxima on.
#[inline(always)]
fn windows<S: Simd, const K: usize, const H: usize, const N: usize, const R: usize>(
    channel: Channel,
    py: usize,
    px: usize,
    pw: usize,
    y: &mut [Vector],
) {
    for part in 0..S::PARTS {
        // Output j is Σ p^j m(p): the point 0 reaches the first only, ∞ the last only.
        let [first, last] = sums::<S, K, R>(channel, [0, N - 1], 2 * py, part);
        let [mut a, mut b, mut c, mut d] = [first, first, last, last];
        for pair in 0..H {
            let [plus, minus] = sums::<S, K, R>(channel, [1 + 2 * pair, 2 + 2 * pair], 2 * py, part);
            let p = ROOTS[pair];
            for r in 0..R {
                let (even, odd) = (plus[r].add(minus[r]), plus[r].sub(minus[r]));
                a[r] = a[r].add(even);
                if pair == 0 {
                    b[r] = odd;
                    c[r] = even;
                    d[r] = d[r].add(odd);
                } else {
                    b[r] = odd.mul_add(S::splat(p), b[r]);
                    c[r] = even.mul_add(S::splat(p * p), c[r]);
                    d[r] = odd.mul_add(S::splat(p * p * p), d[r]);
                }
            }
        }
        for r in 0..R / 2 {
            let (above, below) = (2 * r, 2 * r + 1);
            let left = a[above].max(b[above]).max(a[below].max(b[below]));
            finish(channel, left).store(&mut y[r * pw + px], part);
            if px + 1 < pw {
                let right = c[above].max(d[above]).max(c[below].max(d[below]));
                finish(channel, right).store(&mut y[r * pw + px + 1], part);
            }
        }
    }
}

#[inline(always)]
fn finish<S: Simd>(channel: Channel, most: S) -> S {
    let y = most.add(S::splat(channel.bias));
    if channel.relu { S::splat(0.0).max(y) } else { y }
}

/// The sums over (channel, ky) at two points, for R rows from `row` on.
#[inline(always)]
fn sums<S: Simd, const K: usize, const R: usize>(
    channel: Channel,
    points: [usize; 2],
    row: usize,
    part: usize,
) -> [[S; R]; 2] {
    let Channel { room, weights, inputs, rows, .. } = channel;
    let mut sums = [[S::splat(0.0); R]; 2];
    for i in 0..inputs {
        for (point, sums) in points.iter().zip(&mut sums) {
            let column = &room[(point * inputs + i) * rows + row..][..R + K - 1];
            let taps = &weights[(point * inputs + i) * K..][..K];
            let mut splat = [S::splat(0.0); K];
            for k in 0..K {
                splat[k] = S::splat(taps[k]);
            }
            for r in 0..R + K - 1 {
                let value = S::load(&column[r], part);
                for k in 0..K {
                    if k <= r && r - k < R {
                        sums[r - k] = value.mul_add(splat[k], sums[r - k]);
                    }
                }
            }
        }
    }
    sums
}
