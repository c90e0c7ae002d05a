//! Normalisation within each image: y = γ (x − μ)/√(σ² + ε) + β, with μ and σ² of a set of the image's own numbers (groups of channels, the
//! features of one position, or all).
use crate::engine::ops::ImageNorm;
use crate::engine::vector::{Kernel, LANES, Simd, Vector};

/// Mean of a set, and 1/√(σ² + ε), lane by lane.
#[inline(always)]
fn statistics(norm: &ImageNorm, set: usize, x: &[Vector]) -> (Vector, Vector) {
    let (mut mean, mut inverse) = (Vector::ZERO, Vector::ZERO);
    let share = 1.0 / norm.len as f32;
    for at in places(norm, set) {
        for lane in 0..LANES {
            mean.0[lane] += x[at].0[lane];
        }
    }
    for value in &mut mean.0 {
        *value *= share;
    }
    for at in places(norm, set) {
        for lane in 0..LANES {
            let d = x[at].0[lane] - mean.0[lane];
            inverse.0[lane] += d * d;
        }
    }
    for value in &mut inverse.0 {
        *value = 1.0 / (*value * share + norm.eps).sqrt();
    }
    (mean, inverse)
}

/// The numbers of a set.
#[inline(always)]
fn places(norm: &ImageNorm, set: usize) -> impl Iterator<Item = usize> + use<> {
    let (first, step) = (set * norm.between, norm.step);
    (0..norm.len).map(move |e| first + e * step)
}

pub(in crate::engine) struct Forward<'a> {
    pub norm: &'a ImageNorm,
    pub theta: &'a [f32],
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Forward { norm, theta, x, y } = self;
        for set in 0..norm.sets {
            let (mean, inverse) = statistics(norm, set, x);
            for at in places(norm, set) {
                let (scale, shift) = (theta[norm.scale + at / norm.unit], theta[norm.shift + at / norm.unit]);
                for lane in 0..LANES {
                    y[at].0[lane] = scale * ((x[at].0[lane] - mean.0[lane]) * inverse.0[lane]) + shift;
                }
            }
        }
    }
}

/// Adds dL/dγ and dL/dβ of one block of images to `gradient` `[P]`, and writes dx where it is asked for.
pub(in crate::engine) struct Backward<'a> {
    pub norm: &'a ImageNorm,
    pub theta: &'a [f32],
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
    pub dx: Option<&'a mut [Vector]>,
    pub gradient: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Backward { norm, theta, x, dy, mut dx, gradient } = self;
        let share = 1.0 / norm.len as f32;
        for set in 0..norm.sets {
            let (mean, inverse) = statistics(norm, set, x);
            // Means over the set of g = γ dy and of g x̂.
            let (mut plain, mut weighted) = (Vector::ZERO, Vector::ZERO);
            for at in places(norm, set) {
                let unit = at / norm.unit;
                let scale = theta[norm.scale + unit];
                let mut along = Vector::ZERO;
                for lane in 0..LANES {
                    along.0[lane] = dy[at].0[lane] * ((x[at].0[lane] - mean.0[lane]) * inverse.0[lane]);
                    plain.0[lane] += scale * dy[at].0[lane];
                    weighted.0[lane] += scale * along.0[lane];
                }
                gradient[norm.scale + unit] += along.sum();
                gradient[norm.shift + unit] += dy[at].sum();
            }
            let Some(dx) = &mut dx else { continue };
            for at in places(norm, set) {
                let scale = theta[norm.scale + at / norm.unit];
                for lane in 0..LANES {
                    let normal = (x[at].0[lane] - mean.0[lane]) * inverse.0[lane];
                    let centred = scale * dy[at].0[lane] - share * (plain.0[lane] + normal * weighted.0[lane]);
                    dx[at].0[lane] = inverse.0[lane] * centred;
                }
            }
        }
    }
}
