//! Activation functions and dropout, lane by lane.
//!
//! The transcendental functions are branch-free polynomials in plain arithmetic, which the compiler vectorises under
//! any instruction set; tests hold them to f64 references.
use crate::engine::ops::Activation;
use crate::engine::vector::{Kernel, LANES, Simd, Vector};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

/// y = f(x).
pub(in crate::engine) struct Forward<'a> {
    pub activation: Activation,
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Forward { activation, x, y } = self;
        match activation {
            // Written so that a NaN passes.
            Activation::Relu => each(x, y, |v| if v <= 0.0 { 0.0 } else { v }),
            Activation::LeakyRelu(slope) => each(x, y, |v| if v <= 0.0 { slope * v } else { v }),
            Activation::Relu6 => each(x, y, |v| v.clamp(0.0, 6.0)),
            Activation::Elu(alpha) => each(x, y, |v| if v <= 0.0 { alpha * exp_m1(v) } else { v }),
            Activation::Tanh => each(x, y, tanh),
            Activation::Sigmoid => each(x, y, sigmoid),
            Activation::HardSwish => each(x, y, |v| v * ((v + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0))),
            Activation::Gelu => each(x, y, |v| v * normal_distribution(v)),
            Activation::Silu => each(x, y, |v| v * sigmoid(v)),
            Activation::Softplus => each(x, y, softplus),
        }
    }
}

/// dx = f′(x) dy.
pub(in crate::engine) struct Backward<'a> {
    pub activation: Activation,
    pub x: &'a [Vector],
    pub y: &'a [Vector],
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Backward { activation, x, y, dy, dx } = self;
        match activation {
            Activation::Relu => each_gradient(x, dy, dx, |v| if v <= 0.0 { 0.0 } else { 1.0 }),
            Activation::LeakyRelu(slope) => each_gradient(x, dy, dx, |v| if v <= 0.0 { slope } else { 1.0 }),
            Activation::Relu6 => each_gradient(x, dy, dx, |v| if v <= 0.0 || v >= 6.0 { 0.0 } else { 1.0 }),
            Activation::Elu(alpha) => each_gradient(x, dy, dx, |v| if v <= 0.0 { alpha * exp(v) } else { 1.0 }),
            Activation::Tanh => each_gradient(y, dy, dx, |v| 1.0 - v * v),
            Activation::Sigmoid => each_gradient(y, dy, dx, |v| v * (1.0 - v)),
            Activation::HardSwish => each_gradient(x, dy, dx, |v| {
                if v <= -3.0 {
                    0.0
                } else if v >= 3.0 {
                    1.0
                } else {
                    v * (1.0 / 3.0) + 0.5
                }
            }),
            Activation::Gelu => each_gradient(x, dy, dx, |v| normal_distribution(v) + v * normal_density(v)),
            Activation::Silu => each_gradient(x, dy, dx, |v| {
                let s = sigmoid(v);
                s * (1.0 + v * (1.0 - s))
            }),
            Activation::Softplus => each_gradient(x, dy, dx, sigmoid),
        }
    }
}

#[inline(always)]
fn each(x: &[Vector], y: &mut [Vector], f: impl Fn(f32) -> f32) {
    for (x, y) in x.iter().zip(y) {
        for lane in 0..LANES {
            y.0[lane] = f(x.0[lane]);
        }
    }
}

#[inline(always)]
fn each_gradient(at: &[Vector], dy: &[Vector], dx: &mut [Vector], slope: impl Fn(f32) -> f32) {
    for ((at, dy), dx) in at.iter().zip(dy).zip(dx) {
        for lane in 0..LANES {
            dx.0[lane] = dy.0[lane] * slope(at.0[lane]);
        }
    }
}

/// z = x · y, lane by lane: dropout forward and backward.
pub(in crate::engine) struct Multiply<'a> {
    pub x: &'a [Vector],
    pub y: &'a [Vector],
    pub z: &'a mut [Vector],
}

impl Kernel for Multiply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((x, y), z) in self.x.iter().zip(self.y).zip(self.z) {
            for lane in 0..LANES {
                z.0[lane] = x.0[lane] * y.0[lane];
            }
        }
    }
}

/// z = x + y, lane by lane: the end of a residual block.
pub(in crate::engine) struct Add<'a> {
    pub x: &'a [Vector],
    pub y: &'a [Vector],
    pub z: &'a mut [Vector],
}

impl Kernel for Add<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((x, y), z) in self.x.iter().zip(self.y).zip(self.z) {
            for lane in 0..LANES {
                z.0[lane] = x.0[lane] + y.0[lane];
            }
        }
    }
}

/// dy = 0 where y is not above 0: back through a ReLU whose outputs are y.
pub(in crate::engine) struct Cut<'a> {
    pub y: &'a [Vector],
    pub dy: &'a mut [Vector],
}

impl Kernel for Cut<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let zero = S::splat(0.0);
        for (y, dy) in self.y.iter().zip(self.dy) {
            for part in 0..S::PARTS {
                S::select(S::load(y, part).above(zero), S::load(dy, part), zero).store(dy, part);
            }
        }
    }
}

/// to += x, lane by lane: two gradients meet at the fork of a residual block.
pub(in crate::engine) struct Accumulate<'a> {
    pub x: &'a [Vector],
    pub to: &'a mut [Vector],
}

impl Kernel for Accumulate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (x, to) in self.x.iter().zip(self.to) {
            for lane in 0..LANES {
                to.0[lane] += x.0[lane];
            }
        }
    }
}

/// Draws dropout multipliers: 0 with probability `p`, else 1/(1 − p).
pub(in crate::engine) fn draw_multipliers(p: f32, rng: &mut ChaCha8Rng, multipliers: &mut [Vector]) {
    let keep = 1.0 / (1.0 - p);
    let threshold = (f64::from(p) * 4_294_967_296.0) as u64;
    for vector in multipliers {
        for value in &mut vector.0 {
            *value = if u64::from(rng.next_u32()) < threshold { 0.0 } else { keep };
        }
    }
}

/// eˣ to a few units in the last place; 0 below −87, capped above 88.
#[inline(always)]
pub(in crate::engine) fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2²³ rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.3);
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    // ln 2 in two parts, so that the remainder is exact.
    let r = (x - n * (355.0 / 512.0)) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        p = p * r + c;
    }
    let scale = f32::from_bits((rounded.to_bits() << 23).wrapping_add(0x3f80_0000));
    (p * r * r + r + 1.0) * scale
}

/// eˣ − 1 for x ≤ 0: its series near 0, where the difference would lose what it is.
#[inline(always)]
fn exp_m1(x: f32) -> f32 {
    let mut p = 1.0 / 5_040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0] {
        p = p * x + c;
    }
    let far = exp(x) - 1.0;
    if x > -0.5 { p * x } else { far }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// log(1 + eˣ) = max(x, 0) + log(1 + u) with u = e^−|x|, and log(1 + u) = 2 artanh(u/(2 + u)).
#[inline(always)]
fn softplus(x: f32) -> f32 {
    let u = exp(-x.abs());
    let s = u / (2.0 + u);
    let q = s * s;
    let mut p = 1.0 / 15.0;
    for c in [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0] {
        p = p * q + c;
    }
    let positive = if x <= 0.0 { 0.0 } else { x };
    positive + 2.0 * s * p
}

/// A rational approximation of tanh on ±7.9, where it rounds to ±1.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let x = x.clamp(-7.905_311, 7.905_311);
    let q = x * x;
    let mut p = -2.760_768_5e-16;
    for c in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3] {
        p = p * q + c;
    }
    let mut d = 1.198_258_4e-6;
    for c in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
        d = d * q + c;
    }
    x * p / d
}

/// Φ(x), by a rational approximation of the error function on ±3.74.
#[inline(always)]
fn normal_distribution(x: f32) -> f32 {
    let z = (x * FRAC_1_SQRT_2).clamp(-3.743_921_2, 3.743_921_2);
    let q = z * z;
    let mut p = 2.290_506_6e-4;
    for c in [3.408_291e-3, 5.095_569_6e-2, 1.852_083_2e-1, FRAC_2_SQRT_PI] {
        p = p * q + c;
    }
    let mut d = -1.179_160_3e-7;
    for c in [2.354_796_6e-5, 1.017_962_5e-3, 1.407_047e-2, 1.109_850_5e-1, 4.974_692_5e-1, 1.0] {
        d = d * q + c;
    }
    0.5 + 0.5 * (z * p / d)
}

#[inline(always)]
fn normal_density(x: f32) -> f32 {
    0.398_942_3 * exp(-0.5 * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::vector::{Instructions, Machine};

    /// Φ by integrating its density from 0 with Simpson's rule in f64.
    fn reference_distribution(x: f64) -> f64 {
        let n = 2_000;
        let f = |t: f64| (-0.5 * t * t).exp() / std::f64::consts::TAU.sqrt();
        let h = x / f64::from(n);
        let inner: f64 = (1..n).map(|i| f(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        0.5 + h / 3.0 * (f(0.0) + inner + f(x))
    }

    #[test]
    fn functions_agree_with_f64() {
        let mut worst = [0.0f64; 5];
        for i in -12_000..=12_000 {
            let x = i as f32 * 1e-3;
            let t = f64::from(x);
            let relative = |found: f32, truth: f64| ((f64::from(found) - truth) / truth.abs().max(1e-30)).abs();
            worst[0] = worst[0].max(relative(exp(x), t.exp()));
            worst[1] = worst[1].max(relative(softplus(x), t.exp().ln_1p()));
            worst[2] = worst[2].max(if i == 0 { 0.0 } else { relative(tanh(x), t.tanh()) });
            worst[4] = worst[4].max(if i >= 0 { 0.0 } else { relative(exp_m1(x), t.exp_m1()) });
            if i % 10 == 0 {
                worst[3] = worst[3].max((f64::from(normal_distribution(x)) - reference_distribution(t)).abs());
            }
        }
        assert!(worst[0] < 3e-7 && worst[1] < 6e-7 && worst[2] < 6e-7 && worst[3] < 2e-7, "{worst:?}");
        assert!(worst[4] < 4e-7, "{worst:?}");
        assert_eq!((exp(-200.0) < 1e-37, exp(88.0).is_finite(), tanh(50.0)), (true, true, tanh(8.0)));
    }

    #[test]
    fn activations_have_the_slopes_of_their_values() {
        use Activation::{Elu, Gelu, HardSwish, LeakyRelu, Relu, Relu6, Sigmoid, Silu, Softplus, Tanh};
        let machine = Machine::new(Instructions::best()).unwrap();
        let (x, h) = (|i: i32| i as f32 / 64.0 + 1.0 / 256.0, 1.0 / 1024.0);
        let points: Vec<Vector> = (-512..512).map(|i| Vector([x(i); LANES])).collect();
        let at = |activation: Activation, shift: f32| {
            let moved: Vec<Vector> = points.iter().map(|v| Vector(v.0.map(|v| v + shift))).collect();
            let mut y = vec![Vector::ZERO; points.len()];
            machine.run(Forward { activation, x: &moved, y: &mut y });
            y
        };
        for activation in [Relu, Relu6, LeakyRelu(0.2), Elu(0.7), Tanh, Sigmoid, Gelu, Silu, HardSwish, Softplus] {
            let (y, up, down) = (at(activation, 0.0), at(activation, h), at(activation, -h));
            let (dy, mut dx) = (vec![Vector([2.0; LANES]); points.len()], vec![Vector::ZERO; points.len()]);
            machine.run(Backward { activation, x: &points, y: &y, dy: &dy, dx: &mut dx });
            for (i, point) in points.iter().enumerate() {
                let slope = (up[i].0[3] - down[i].0[3]) / (2.0 * h);
                let gap = (dx[i].0[3] / 2.0 - slope).abs();
                assert!(gap < 2e-3, "{activation:?} at {}: {} for {slope}", point.0[3], dx[i].0[3] / 2.0);
            }
        }
    }

    #[test]
    fn a_nan_is_never_hidden() {
        for f in [exp, exp_m1, sigmoid, softplus, tanh, normal_distribution] {
            assert!(f(f32::NAN).is_nan());
        }
    }
}
