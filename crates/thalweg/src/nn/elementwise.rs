//! Element-wise passes over activations `[B, N]`: each fuses what happens between two products, and runs in parallel over rows.
use super::dense::{self, vectorised};
use rayon::prelude::*;
use statrs::function::erf;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// Added to variances, so that a constant row is divided by something.
const EPSILON: f32 = 1e-5;

/// Rows of numbers that belong to the rows of a batch: one each, or a single one that all share.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    all: &'a [f32],
    stride: usize,
    start: usize,
    length: usize,
}

impl<'a> Rows<'a> {
    /// Numbers `start .. start + length` of each row of `all [B or 1, stride]`.
    pub fn new(all: &'a [f32], stride: usize, start: usize, length: usize) -> Self {
        Self { all, stride, start, length }
    }

    /// The numbers that belong to row `row` of the batch.
    pub fn row(self, row: usize) -> &'a [f32] {
        let row = if self.all.len() == self.stride { 0 } else { row };
        &self.all[row * self.stride + self.start..][..self.length]
    }
}

/// y += bias, row by row.
pub fn add_bias(y: &mut [f32], bias: &[f32]) {
    y.par_chunks_mut(bias.len()).for_each(|row| {
        vectorised(|| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
    });
}

/// out = silu(z + bias); z gives way to the slope there, which is all that the backward pass wants of it.
pub fn silu(z: &mut [f32], bias: &[f32], out: &mut [f32]) {
    let n = bias.len();
    z.par_chunks_mut(n).zip(out.par_chunks_mut(n)).for_each(|(z, out)| {
        vectorised(|| {
            for ((z, out), b) in z.iter_mut().zip(out).zip(bias) {
                (*out, *z) = dense::silu(*z + b);
            }
        });
    });
}

/// out = gelu(z) = z Φ(z), Φ the standard normal distribution function; z gives way to the slope Φ(z) + z φ(z) there.
pub fn gelu(z: &mut [f32], out: &mut [f32]) {
    let of = |z: &mut [f32], out: &mut [f32]| {
        for (z, out) in z.iter_mut().zip(out) {
            let x = f64::from(*z);
            let below = 0.5 * erf::erfc(-x * FRAC_1_SQRT_2);
            let density = (-0.5 * x * x).exp() * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI * 0.5;
            (*out, *z) = ((x * below) as f32, (below + x * density) as f32);
        }
    };
    z.par_chunks_mut(CHUNK).zip(out.par_chunks_mut(CHUNK)).for_each(|(z, out)| of(z, out));
}

/// Numbers in one task of the passes that know no rows.
const CHUNK: usize = 4096;

/// a ⊙= b.
pub fn times_into(a: &mut [f32], b: &[f32]) {
    a.par_chunks_mut(CHUNK).zip(b.par_chunks(CHUNK)).for_each(|(a, b)| {
        vectorised(|| a.iter_mut().zip(b).for_each(|(a, b)| *a *= b));
    });
}

/// out = a ⊙ b.
pub fn times(a: &[f32], b: &[f32], out: &mut [f32]) {
    out.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).zip(b.par_chunks(CHUNK)).for_each(|((out, a), b)| {
        vectorised(|| out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a * b));
    });
}

/// out = gate ⊙ x.
pub fn times_rows(gate: Rows<'_>, x: &[f32], out: &mut [f32]) {
    let n = gate.length;
    out.par_chunks_mut(n).zip(x.par_chunks(n)).enumerate().for_each(|(row, (out, x))| {
        let gate = gate.row(row);
        vectorised(|| out.iter_mut().zip(x).zip(gate).for_each(|((out, x), g)| *out = g * x));
    });
}

/// out += bias + gate ⊙ x.
pub fn add_gated(out: &mut [f32], bias: &[f32], gate: Rows<'_>, x: &[f32]) {
    let n = bias.len();
    out.par_chunks_mut(n).zip(x.par_chunks(n)).enumerate().for_each(|(row, (out, x))| {
        let gate = gate.row(row);
        vectorised(|| {
            for (((out, b), g), x) in out.iter_mut().zip(bias).zip(gate).zip(x) {
                *out += b + g * x;
            }
        });
    });
}

/// h += bias; normal = (h − mean h) · inverse with inverse = 1 / deviation h; a = normal ⊙ (1 + scale) + shift.
pub fn normalise(
    h: &mut [f32],
    bias: &[f32],
    [scale, shift]: [Rows<'_>; 2],
    normal: &mut [f32],
    inverse: &mut [f32],
    a: &mut [f32],
) {
    let n = bias.len();
    let rows = h.par_chunks_mut(n).zip(normal.par_chunks_mut(n)).zip(inverse).zip(a.par_chunks_mut(n)).enumerate();
    rows.for_each(|(row, (((h, normal), inverse), a))| {
        let (scale, shift) = (scale.row(row), shift.row(row));
        // Short closures one by one: a long one is not inlined into the code for wide vectors.
        vectorised(|| h.iter_mut().zip(bias).for_each(|(h, b)| *h += b));
        let mean = vectorised(|| sum(h, h, |h, _| h)) / n as f32;
        let variance = vectorised(|| sum(h, h, |h, _| (h - mean) * (h - mean))) / n as f32;
        *inverse = (variance + EPSILON).sqrt().recip();
        let inverse = *inverse;
        vectorised(|| {
            for ((((h, normal), a), scale), shift) in h.iter().zip(normal).zip(a).zip(scale).zip(shift) {
                *normal = (h - mean) * inverse;
                *a = *normal * (1.0 + scale) + shift;
            }
        });
    });
}

/// Pulls `d_a` back through [`normalise`], adding to `d_h`; leaves the derivatives of scale and shift in columns `start ..` of
/// `d_modulation [B, stride]` if that is not empty. `d_a` is used up.
pub fn normalise_backward(
    d_a: &mut [f32],
    scale: Rows<'_>,
    normal: &[f32],
    inverse: &[f32],
    d_h: &mut [f32],
    d_modulation: &mut [f32],
) {
    let n = scale.length;
    if !d_modulation.is_empty() {
        let rows = d_modulation.par_chunks_mut(scale.stride).zip(d_a.par_chunks(n)).zip(normal.par_chunks(n));
        rows.for_each(|((all, d_a), normal)| {
            let (d_scale, d_shift) = all[scale.start..][..2 * n].split_at_mut(n);
            d_shift.copy_from_slice(d_a);
            vectorised(|| d_scale.iter_mut().zip(d_a).zip(normal).for_each(|((d_scale, d), x)| *d_scale = d * x));
        });
    }
    let rows = d_a.par_chunks_mut(n).zip(normal.par_chunks(n)).zip(inverse).zip(d_h.par_chunks_mut(n)).enumerate();
    rows.for_each(|(row, (((d_a, normal), inverse), d_h))| {
        let scale = scale.row(row);
        vectorised(|| d_a.iter_mut().zip(scale).for_each(|(d, scale)| *d *= 1.0 + scale));
        let mean = vectorised(|| sum(d_a, d_a, |d, _| d)) / n as f32;
        let along = vectorised(|| sum(d_a, normal, |d, x| d * x)) / n as f32;
        vectorised(|| {
            for ((d_h, d), x) in d_h.iter_mut().zip(&*d_a).zip(normal) {
                *d_h += inverse * (d - mean - x * along);
            }
        });
    });
}

/// Adds all rows of `matrix [B, n]` into its first.
pub fn fold_rows(matrix: &mut [f32], n: usize) {
    let (first, others) = matrix.split_at_mut(n);
    for row in others.chunks_exact(n) {
        vectorised(|| first.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
    }
}

/// Σ f(aᵢ, bᵢ) in sixteen interleaved lanes, so that it becomes vector code and has one order.
#[inline(always)]
pub fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; 16];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..16 {
            lanes[i] += f(a[i], b[i]);
        }
    }
    a_rest.iter().zip(b_rest).enumerate().for_each(|(i, (a, b))| lanes[i] += f(*a, *b));
    lanes.iter().sum()
}
