//! The orthogonal factor of a matrix by Newton–Schulz iterations: X ← a X + b (XXᵀ) X + c (XXᵀ)² X from X = M/‖M‖.
//!
//! Muon's coefficients lift small singular values fast but leave all of them near 1 only; the last iterations, whose polynomial has a fixed point of third
//! order at 1, bring them there.
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// Lifting, then converging.
const ITERATIONS: [(f32, f32, f32); 8] = {
    let (lift, settle) = ((3.4445, -4.775, 2.0315), (1.875, -1.25, 0.375));
    [lift, lift, lift, lift, lift, settle, settle, settle]
};

/// U Vᵀ `[rows, columns]` of `m [rows, columns]` = U S Vᵀ, to about 1e-3 where singular values are above ‖M‖/200; zero for a zero matrix.
pub(super) fn orthogonalised(m: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let norm = m.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 {
        return vec![0.0; m.len()];
    }
    let scale = norm.recip();
    let given = MatRef::from_row_major_slice(m, rows, columns);
    let wide = rows <= columns;
    let given = if wide { given } else { given.transpose() };
    let (short, long) = (given.nrows(), given.ncols());
    let mut x = Mat::from_fn(short, long, |i, j| (f64::from(given[(i, j)]) * scale) as f32);
    let mut gram = Mat::<f32>::zeros(short, short);
    for (a, b, c) in ITERATIONS {
        matmul(gram.as_mut(), Accum::Replace, x.as_ref(), x.transpose(), 1.0, Par::Seq);
        let mut polynomial = Mat::from_fn(short, short, |i, j| b * gram[(i, j)] + if i == j { a } else { 0.0 });
        matmul(polynomial.as_mut(), Accum::Add, gram.as_ref(), gram.as_ref(), c, Par::Seq);
        let mut next = Mat::zeros(short, long);
        matmul(next.as_mut(), Accum::Replace, polynomial.as_ref(), x.as_ref(), 1.0, Par::Seq);
        x = next;
    }
    let at = |i: usize, j: usize| if wide { x[(i, j)] } else { x[(j, i)] };
    (0..m.len()).map(|k| at(k / columns, k % columns)).collect()
}
