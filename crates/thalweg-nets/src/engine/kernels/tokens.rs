//! Tokens `[f, 1, t]` put together, taken apart and turned.
use crate::engine::vector::{LANES, Vector};

/// `[a][b] → [b][a]`.
pub(in crate::engine) fn transpose(a: usize, b: usize, x: &[Vector], y: &mut [Vector]) {
    for i in 0..a {
        for j in 0..b {
            y[j * a + i] = x[i * b + j];
        }
    }
}

/// The token `[f]` before those of `x` `[f, t]`.
pub(in crate::engine) fn prepend(token: &[f32], x: &[Vector], y: &mut [Vector]) {
    let t = x.len() / token.len();
    for ((&value, x), y) in token.iter().zip(x.chunks_exact(t)).zip(y.chunks_exact_mut(t + 1)) {
        y[0] = Vector([value; LANES]);
        y[1..].copy_from_slice(x);
    }
}

/// Adds dL/dtoken to `gradient` `[f]`.
pub(in crate::engine) fn token_gradient(dy: &[Vector], gradient: &mut [f32]) {
    let t = dy.len() / gradient.len();
    for (gradient, dy) in gradient.iter_mut().zip(dy.chunks_exact(t)) {
        *gradient += dy[0].sum();
    }
}

/// dx of [`prepend`].
pub(in crate::engine) fn without_first(features: usize, dy: &[Vector], dx: &mut [Vector]) {
    let t = dx.len() / features;
    for (dy, dx) in dy.chunks_exact(t + 1).zip(dx.chunks_exact_mut(t)) {
        dx.copy_from_slice(&dy[1..]);
    }
}

/// y = x + w, x `[f, t]` and w `[t, f]`.
pub(in crate::engine) fn add_positions(features: usize, w: &[f32], x: &[Vector], y: &mut [Vector]) {
    let t = x.len() / features;
    for (i, (x, y)) in x.iter().zip(y).enumerate() {
        let w = w[i % t * features + i / t];
        y.0 = x.0.map(|v| v + w);
    }
}

/// Adds dL/dw to `gradient` `[t, f]`.
pub(in crate::engine) fn position_gradient(features: usize, dy: &[Vector], gradient: &mut [f32]) {
    let t = dy.len() / features;
    for (i, dy) in dy.iter().enumerate() {
        gradient[i % t * features + i / t] += dy.sum();
    }
}

/// Token `index` of `x` `[f, t]`.
pub(in crate::engine) fn take(index: usize, x: &[Vector], y: &mut [Vector]) {
    let t = x.len() / y.len();
    for (x, y) in x.chunks_exact(t).zip(y) {
        *y = x[index];
    }
}

/// dx of [`take`].
pub(in crate::engine) fn put(index: usize, dy: &[Vector], dx: &mut [Vector]) {
    let t = dx.len() / dy.len();
    dx.fill(Vector::ZERO);
    for (dy, dx) in dy.iter().zip(dx.chunks_exact_mut(t)) {
        dx[index] = *dy;
    }
}
