//! Element-wise passes over activations `[B, N]`: each fuses what happens between two products, parallel over fixed blocks of rows.
use crate::dense;
use rayon::prelude::*;

/// Added to variances, so that a constant row is divided by something.
const EPSILON: f32 = 1e-5;

/// Scale and shift of block `index` within modulations `[B, blocks, 2, width]`.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// All modulations.
    pub all: &'a [f32],
    /// The block.
    pub index: usize,
    /// The width of the residual stream.
    pub width: usize,
}

impl<'a> Part<'a> {
    fn row(self, row: usize, rows: usize) -> (&'a [f32], &'a [f32]) {
        let stride = self.all.len() / rows;
        self.all[row * stride + self.index * 2 * self.width..][..2 * self.width].split_at(self.width)
    }
}

/// y += bias, row by row.
pub fn add_bias(y: &mut [f32], bias: &[f32]) {
    y.par_chunks_mut(bias.len()).for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
}

/// before += bias; after = silu(before).
pub fn silu(before: &mut [f32], bias: &[f32], after: &mut [f32]) {
    let n = bias.len();
    before.par_chunks_mut(n).zip(after.par_chunks_mut(n)).for_each(|(before, after)| {
        for ((z, s), b) in before.iter_mut().zip(after).zip(bias) {
            *z += b;
            *s = dense::silu(*z);
        }
    });
}

/// d ⊙= silu'(before).
pub fn times_silu_slope(d: &mut [f32], before: &[f32]) {
    d.par_chunks_mut(4096).zip(before.par_chunks(4096)).for_each(|(d, before)| {
        d.iter_mut().zip(before).for_each(|(d, z)| *d *= dense::silu_slope(*z));
    });
}

/// out = a ⊙ b.
pub fn times(a: &[f32], b: &[f32], out: &mut [f32]) {
    out.par_chunks_mut(4096).zip(a.par_chunks(4096)).zip(b.par_chunks(4096)).for_each(|((out, a), b)| {
        out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a * b);
    });
}

/// out += bias + gate ⊙ x.
pub fn add_gated(out: &mut [f32], bias: &[f32], gate: &[f32], x: &[f32]) {
    let n = bias.len();
    out.par_chunks_mut(n).zip(gate.par_chunks(n)).zip(x.par_chunks(n)).for_each(|((out, gate), x)| {
        for (((out, b), g), x) in out.iter_mut().zip(bias).zip(gate).zip(x) {
            *out += b + g * x;
        }
    });
}

/// h += bias; normal = (h − mean h) / deviation h and scale = 1 / deviation, row by row.
pub fn normalise(h: &mut [f32], bias: &[f32], normal: &mut [f32], scale: &mut [f32]) {
    let n = bias.len();
    h.par_chunks_mut(n).zip(normal.par_chunks_mut(n)).zip(scale).for_each(|((h, normal), scale)| {
        h.iter_mut().zip(bias).for_each(|(h, b)| *h += b);
        let mean = sum(h.iter().copied(), n) / n as f32;
        let variance = sum(h.iter().map(|h| (h - mean) * (h - mean)), n) / n as f32;
        *scale = (variance + EPSILON).sqrt().recip();
        normal.iter_mut().zip(&*h).for_each(|(normal, h)| *normal = (h - mean) * *scale);
    });
}

/// a = normal ⊙ (1 + scale) + shift.
pub fn modulate(normal: &[f32], part: Part<'_>, a: &mut [f32]) {
    let (n, rows) = (part.width, normal.len() / part.width);
    a.par_chunks_mut(n).zip(normal.par_chunks(n)).enumerate().for_each(|(row, (a, normal))| {
        let (scale, shift) = part.row(row, rows);
        for (((a, x), scale), shift) in a.iter_mut().zip(normal).zip(scale).zip(shift) {
            *a = x * (1.0 + scale) + shift;
        }
    });
}

/// The gradients of [`modulate`] with respect to scale and shift of block `index`.
pub fn modulation_gradient(d_a: &[f32], normal: &[f32], all: &mut [f32], index: usize, width: usize) {
    let stride = all.len() * width / d_a.len();
    all.par_chunks_mut(stride).zip(d_a.par_chunks(width)).zip(normal.par_chunks(width)).for_each(
        |((all, d_a), normal)| {
            let (scale, shift) = all[index * 2 * width..][..2 * width].split_at_mut(width);
            for (((scale, shift), d), x) in scale.iter_mut().zip(shift).zip(d_a).zip(normal) {
                *scale = d * x;
                *shift = *d;
            }
        },
    );
}

/// Pulls `d_a` back through [`modulate`] and [`normalise`], adding to `d_h`. `d_a` is used up.
pub fn normalise_backward(d_a: &mut [f32], part: Part<'_>, normal: &[f32], scale: &[f32], d_h: &mut [f32]) {
    let (n, rows) = (part.width, scale.len());
    let rows_of = d_a.par_chunks_mut(n).zip(normal.par_chunks(n)).zip(scale).zip(d_h.par_chunks_mut(n)).enumerate();
    rows_of.for_each(|(row, (((d_a, normal), scale), d_h))| {
        d_a.iter_mut().zip(part.row(row, rows).0).for_each(|(d, scale)| *d *= 1.0 + scale);
        let mean = sum(d_a.iter().copied(), n) / n as f32;
        let along = sum(d_a.iter().zip(normal).map(|(d, x)| d * x), n) / n as f32;
        for ((d_h, d), x) in d_h.iter_mut().zip(&*d_a).zip(normal) {
            *d_h += scale * (d - mean - x * along);
        }
    });
}

/// A sum in sixteen interleaved lanes, so that it becomes vector code.
fn sum(values: impl Iterator<Item = f32>, _n: usize) -> f32 {
    let mut lanes = [0.0; 16];
    for (i, value) in values.enumerate() {
        lanes[i % 16] += value;
    }
    lanes.iter().sum()
}
