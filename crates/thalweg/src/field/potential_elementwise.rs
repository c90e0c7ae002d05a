//! Element-wise passes of the potential, parallel over rows. `gate` rows hold g `[P]`, then h `[P]`, of ½ Σ g x² + Σ h x.
use crate::nn::dense::{self, Accumulate, vectorised};
use crate::nn::elementwise::{Rows, sum};
use rayon::prelude::*;

/// a ← softplus(a + conditions + bias), with its derivative in `sigmoid`.
pub fn softplus(a: &mut [f32], conditions: Rows<'_>, bias: &[f32], sigmoid: &mut [f32]) {
    let n = bias.len();
    a.par_chunks_mut(n).zip(sigmoid.par_chunks_mut(n)).enumerate().for_each(|(row, (a, sigmoid))| {
        let conditions = conditions.row(row);
        vectorised(|| {
            for (((a, sigmoid), c), b) in a.iter_mut().zip(sigmoid).zip(conditions).zip(bias) {
                (*a, *sigmoid) = dense::softplus(*a + c + b);
            }
        });
    });
}

/// p = w ⊙ sigmoid, row by row.
pub fn top(w: &[f32], sigmoid: &[f32], p: &mut [f32]) {
    let n = w.len();
    p.par_chunks_mut(n).zip(sigmoid.par_chunks(n)).for_each(|(p, s)| {
        vectorised(|| p.iter_mut().zip(s).zip(w).for_each(|((p, s), w)| *p = w * s));
    });
}

/// out += gate's g ⊙ x + h.
pub fn add_linear(out: &mut [f32], gate: Rows<'_>, x: &[f32]) {
    let n = gate.row(0).len() / 2;
    out.par_chunks_mut(n).zip(x.par_chunks(n)).enumerate().for_each(|(row, (out, x))| {
        let (g, h) = gate.row(row).split_at(n);
        vectorised(|| {
            for (((out, x), g), h) in out.iter_mut().zip(x).zip(g).zip(h) {
                *out += g * x + h;
            }
        });
    });
}

fn put_number(out: &mut f32, put: Accumulate, value: f32) {
    *out = if put == Accumulate::Add { *out + value } else { value };
}

/// out = (or +=) the inner products of the rows of `a` with those of `b`.
pub fn dots(a: &[f32], b: Rows<'_>, put: Accumulate, out: &mut [f32]) {
    let n = a.len() / out.len();
    out.par_iter_mut().zip(a.par_chunks(n)).enumerate().for_each(|(row, (out, a))| {
        let b = b.row(row);
        put_number(out, put, vectorised(|| sum(a, b, |a, b| a * b)));
    });
}

/// out = (or +=) ½ Σ g x² + Σ h x, row by row.
pub fn quadratic(gate: Rows<'_>, x: &[f32], put: Accumulate, out: &mut [f32]) {
    let n = x.len() / out.len();
    out.par_iter_mut().zip(x.par_chunks(n)).enumerate().for_each(|(row, (out, x))| {
        let (g, h) = gate.row(row).split_at(n);
        let square = vectorised(|| sum(x, g, |x, g| 0.5 * g * x * x));
        put_number(out, put, square + vectorised(|| sum(x, h, |x, h| h * x)));
    });
}

/// time_tangents = φ for the first half of the rows, φ'(t) b for the second.
pub fn time_tangents(time_tangents: &mut [f32], phi: Rows<'_>, rate: Option<&[f32]>) {
    let n = phi.row(0).len();
    let (now, slopes) = time_tangents.split_at_mut(time_tangents.len() / 2);
    now.chunks_exact_mut(n).enumerate().for_each(|(row, now)| now.copy_from_slice(phi.row(row)));
    if let Some(rate) = rate {
        crate::nn::time_features::slopes(now, n, slopes);
        slopes.chunks_exact_mut(n).zip(rate).for_each(|(row, b)| row.iter_mut().for_each(|s| *s *= b));
    }
}

/// d = a w for the rows' weights a, 0 where there are none.
pub fn outer(a: Option<&[f32]>, w: &[f32], d: &mut [f32]) {
    match a {
        None => d.fill(0.0),
        Some(a) => d.par_chunks_mut(w.len()).zip(a).for_each(|(d, a)| {
            d.iter_mut().zip(w).for_each(|(d, w)| *d = a * w);
        }),
    }
}

/// q = d_a ⊙ s + p ⊙ (1 − s) ⊙ ż: the adjoint of z, since softplus' = s and p (1 − s) = d_ȧ s (1 − s).
pub fn adjoint(q: &mut [f32], d_a: &[f32], s: &[f32], p: &[f32], z_dot: &[f32]) {
    const CHUNK: usize = 4096;
    let sides = s.par_chunks(CHUNK).zip(p.par_chunks(CHUNK)).zip(z_dot.par_chunks(CHUNK));
    q.par_chunks_mut(CHUNK).zip(d_a.par_chunks(CHUNK)).zip(sides).for_each(|((q, d_a), ((s, p), z_dot))| {
        vectorised(|| {
            for ((((q, d_a), s), p), z_dot) in q.iter_mut().zip(d_a).zip(s).zip(p).zip(z_dot) {
                *q = d_a * s + p * (1.0 - s) * z_dot;
            }
        });
    });
}

/// The weights of the rows in dw = Σ_b a a_L + ȧ_L: a, then 1 for each of `tangents` rows.
pub fn row_weights(a: Option<&[f32]>, rows: usize, tangents: usize, out: &mut Vec<f32>) {
    out.clear();
    match a {
        Some(a) => out.extend_from_slice(a),
        None => out.resize(rows, 0.0),
    }
    out.resize(rows + tangents, 1.0);
}

fn weight(a: Option<&[f32]>, row: usize) -> f32 {
    a.map_or(0.0, |a| a[row])
}

/// dS/dg = a ½ x² + x ẋ and dS/dh = a x + ẋ in the first half of the rows; ½ x² and x, which the rates of g and h meet, in the second.
pub fn gate_gradient(d: &mut [f32], n: usize, x: &[f32], x_dot: &[f32], a: Option<&[f32]>) {
    let half = d.len() / 2;
    let (now, rates) = d.split_at_mut(half);
    let sides = x.par_chunks(n).zip(x_dot.par_chunks(n));
    now.par_chunks_mut(2 * n).zip(rates.par_chunks_mut(2 * n)).zip(sides).enumerate().for_each(
        |(row, ((now, rates), (x, x_dot)))| {
            let (a, (dg, dh), (sg, sh)) = (weight(a, row), now.split_at_mut(n), rates.split_at_mut(n));
            sh.copy_from_slice(x);
            vectorised(|| sg.iter_mut().zip(x).for_each(|(s, x)| *s = 0.5 * x * x));
            vectorised(|| {
                for (((dg, dh), x), x_dot) in dg.iter_mut().zip(dh).zip(x).zip(x_dot) {
                    *dg = x * (0.5 * a * x + x_dot);
                    *dh = a * x + x_dot;
                }
            });
        },
    );
}

/// dx = a (g ⊙ x + h) + g ⊙ ẋ.
pub fn gate_input_gradient(dx: &mut [f32], gate: Rows<'_>, x: &[f32], x_dot: &[f32], a: Option<&[f32]>) {
    let n = gate.row(0).len() / 2;
    dx.par_chunks_mut(n).zip(x.par_chunks(n)).zip(x_dot.par_chunks(n)).enumerate().for_each(
        |(row, ((dx, x), x_dot))| {
            let (a, (g, h)) = (weight(a, row), gate.row(row).split_at(n));
            vectorised(|| {
                for ((((dx, x), x_dot), g), h) in dx.iter_mut().zip(x).zip(x_dot).zip(g).zip(h) {
                    *dx = a * (g * x + h) + g * x_dot;
                }
            });
        },
    );
}

/// out = −out.
pub fn negate(out: &mut [f32]) {
    out.par_chunks_mut(4096).for_each(|out| out.iter_mut().for_each(|v| *v = -*v));
}
