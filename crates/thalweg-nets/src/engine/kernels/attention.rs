//! Attention of every head: softmax(qᵀ k/√d) v, each image by itself. Queries, keys and values are `[d, t]` a head.
//!
//! Two products do it all, forward and backward: [`mix`] gives sums over features or tokens with neighbouring tokens side by side,
//! [`project`] sums over tokens for every feature.
use super::blocks::in_blocks;
use super::pointwise::exp;
use crate::engine::ops::Attention;
use crate::engine::vector::{Kernel, LANES, Simd, Vector};

/// Sums held in registers at once.
const BLOCK: usize = 8;

/// out[u] = Σ_k weights[k · step] · rows[k · t + u] over `n` k, for all t tokens u.
#[inline(always)]
fn mix<S: Simd>(n: usize, step: usize, weights: &[Vector], rows: &[Vector], out: &mut [Vector]) {
    in_blocks!(out.len(), BLOCK, mix_block::<S>(n, step, weights, rows, &mut *out));
}

#[inline(always)]
fn mix_block<S: Simd, const B: usize>(
    at: usize,
    n: usize,
    step: usize,
    weights: &[Vector],
    rows: &[Vector],
    out: &mut [Vector],
) {
    let t = out.len();
    for part in 0..S::PARTS {
        let mut sums = [S::splat(0.0); B];
        for k in 0..n {
            let weight = S::load(&weights[k * step], part);
            let row = &rows[k * t + at..][..B];
            for j in 0..B {
                sums[j] = weight.mul_add(S::load(&row[j], part), sums[j]);
            }
        }
        for j in 0..B {
            sums[j].store(&mut out[at + j], part);
        }
    }
}

/// out[k · t] = Σ_u weights[u] · rows[k · t + u] over the t tokens u, for every k of the rows.
#[inline(always)]
fn project<S: Simd>(weights: &[Vector], rows: &[Vector], out: &mut [Vector]) {
    let width = rows.len() / weights.len();
    in_blocks!(width, BLOCK, project_block::<S>(weights, rows, &mut *out));
}

#[inline(always)]
fn project_block<S: Simd, const B: usize>(at: usize, weights: &[Vector], rows: &[Vector], out: &mut [Vector]) {
    let t = weights.len();
    let rows = &rows[at * t..][..B * t];
    for part in 0..S::PARTS {
        let mut sums = [S::splat(0.0); B];
        for u in 0..t {
            let weight = S::load(&weights[u], part);
            for j in 0..B {
                sums[j] = weight.mul_add(S::load(&rows[j * t + u], part), sums[j]);
            }
        }
        for j in 0..B {
            sums[j].store(&mut out[(at + j) * t], part);
        }
    }
}

/// Scores `[t]` to probabilities, lane by lane.
#[inline(always)]
fn softmax(scale: f32, scores: &mut [Vector]) {
    let mut most = [f32::NEG_INFINITY; LANES];
    for score in scores.iter_mut() {
        for lane in 0..LANES {
            score.0[lane] *= scale;
            most[lane] = most[lane].max(score.0[lane]);
        }
    }
    let mut sum = [0.0; LANES];
    for score in scores.iter_mut() {
        for lane in 0..LANES {
            score.0[lane] = exp(score.0[lane] - most[lane]);
            sum[lane] += score.0[lane];
        }
    }
    for score in scores {
        for lane in 0..LANES {
            score.0[lane] /= sum[lane];
        }
    }
}

/// The three parts of `[3 f, t]`.
#[inline(always)]
fn thirds(x: &[Vector]) -> [&[Vector]; 3] {
    let third = x.len() / 3;
    [&x[..third], &x[third..2 * third], &x[2 * third..]]
}

/// y `[f, t]` and the probabilities `[heads, t, t]` of queries, keys and values x `[3 f, t]`.
pub(in crate::engine) struct Forward<'a> {
    pub attention: &'a Attention,
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
    pub probabilities: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Attention { width, tokens, .. } = *self.attention;
        let (size, scale) = (width * tokens, (width as f32).sqrt().recip());
        let [q, k, v] = thirds(self.x).map(|part| part.chunks_exact(size));
        let outputs = self.y.chunks_exact_mut(size).zip(self.probabilities.chunks_exact_mut(tokens * tokens));
        for (((q, k), v), (y, probabilities)) in q.zip(k).zip(v).zip(outputs) {
            for (t, row) in probabilities.chunks_exact_mut(tokens).enumerate() {
                mix::<S>(width, tokens, &q[t..], k, row);
                softmax(scale, row);
                project::<S>(row, v, &mut y[t..]);
            }
        }
    }
}

/// dx `[3 f, t]` of dy `[f, t]`.
pub(in crate::engine) struct Backward<'a> {
    pub attention: &'a Attention,
    pub x: &'a [Vector],
    pub probabilities: &'a [Vector],
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
    /// Room for the gradients of one head's scores, `[t, t]`.
    pub scratch: &'a mut [Vector],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Attention { heads, width, tokens } = *self.attention;
        let (size, scale) = (width * tokens, (width as f32).sqrt().recip());
        let [q, k, v] = thirds(self.x);
        let third = self.dx.len() / 3;
        let (dq, rest) = self.dx.split_at_mut(third);
        let (dk, dv) = rest.split_at_mut(third);
        let ds = &mut self.scratch[..tokens * tokens];
        for head in 0..heads {
            let own = head * size..(head + 1) * size;
            let (q, k, v, dy) = (&q[own.clone()], &k[own.clone()], &v[own.clone()], &self.dy[own.clone()]);
            let (dq, dk, dv) = (&mut dq[own.clone()], &mut dk[own.clone()], &mut dv[own]);
            let probabilities = &self.probabilities[head * tokens * tokens..][..tokens * tokens];
            for (t, (ds, p)) in ds.chunks_exact_mut(tokens).zip(probabilities.chunks_exact(tokens)).enumerate() {
                mix::<S>(width, tokens, &dy[t..], v, ds);
                through_softmax(scale, p, ds);
                project::<S>(ds, k, &mut dq[t..]);
            }
            for (((q, dy), dk), dv) in q
                .chunks_exact(tokens)
                .zip(dy.chunks_exact(tokens))
                .zip(dk.chunks_exact_mut(tokens))
                .zip(dv.chunks_exact_mut(tokens))
            {
                mix::<S>(tokens, 1, q, ds, dk);
                mix::<S>(tokens, 1, dy, probabilities, dv);
            }
        }
    }
}

/// Gradients `[t]` of probabilities `p` to those of the scores before the scale.
#[inline(always)]
fn through_softmax(scale: f32, p: &[Vector], d: &mut [Vector]) {
    let mut mean = [0.0; LANES];
    for (p, d) in p.iter().zip(d.iter()) {
        for lane in 0..LANES {
            mean[lane] += p.0[lane] * d.0[lane];
        }
    }
    for (p, d) in p.iter().zip(d) {
        for lane in 0..LANES {
            d.0[lane] = scale * p.0[lane] * (d.0[lane] - mean[lane]);
        }
    }
}
