//! Dense algebra of the fields: matrix products in fixed blocks over the threads, column sums, and the smooth activations.
//!
//! Products run single-threaded on blocks whose bounds depend on the shapes alone, and every number of the result is
//! computed by one block, so the bytes do not depend on the number of threads. All matrices are row-major.
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// A read-only row-major matrix, or the transpose of one.
pub type View<'a> = MatRef<'a, f32>;

/// The matrix `[rows, columns]` whose numbers are `data`.
pub fn view(data: &[f32], rows: usize, columns: usize) -> View<'_> {
    MatRef::from_row_major_slice(data, rows, columns)
}

/// Whether a result replaces what stands in its place or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The old numbers are overwritten without being read.
    Replace,
    /// The result is added.
    Add,
}

/// Multiply–adds of one block: large enough to hide the cost of a task, small enough to spread over many threads.
const BLOCK_WORK: usize = 1 << 22;
/// Block bounds are multiples of this, so that kernels meet ragged edges at the matrix's end only.
const BLOCK_STEP: usize = 64;

/// `out [m, n]` = (or +=) `left [m, k]` · `right [k, n]`.
pub fn product(out: &mut [f32], put: Put, left: View<'_>, right: View<'_>) {
    assert_eq!(out.len(), left.nrows() * right.ncols(), "output of a product has the wrong size");
    blocks(MatMut::from_row_major_slice_mut(out, left.nrows(), right.ncols()), put, left, right);
}

fn blocks(out: MatMut<'_, f32>, put: Put, left: View<'_>, right: View<'_>) {
    let (m, n, k) = (left.nrows(), right.ncols(), left.ncols());
    let longer = m.max(n);
    if m * n * k <= BLOCK_WORK || longer < 2 * BLOCK_STEP {
        let beta = if put == Put::Add { Accum::Add } else { Accum::Replace };
        return matmul(out, beta, left, right, 1.0, Par::Seq);
    }
    let middle = (longer / 2).next_multiple_of(BLOCK_STEP);
    if n >= m {
        let (a, b) = out.split_at_col_mut(middle);
        let (ra, rb) = right.split_at_col(middle);
        rayon::join(|| blocks(a, put, left, ra), || blocks(b, put, left, rb));
    } else {
        let (a, b) = out.split_at_row_mut(middle);
        let (la, lb) = left.split_at_row(middle);
        rayon::join(|| blocks(a, put, la, right), || blocks(b, put, lb, right));
    }
}

/// `out [n]` = (or +=) the sums over the rows of `matrix [rows, n]`, taken from the first row to the last.
pub fn column_sums(out: &mut [f32], put: Put, matrix: &[f32]) {
    let n = out.len();
    out.par_chunks_mut(512).enumerate().for_each(|(i, sums)| {
        if put == Put::Replace {
            sums.fill(0.0);
        }
        for row in matrix.chunks_exact(n) {
            for (sum, x) in sums.iter_mut().zip(&row[i * 512..]) {
                *sum += x;
            }
        }
    });
}

/// exp(x) to 2 units in the last place, without branches so that loops over it become vector code; 0 below −87.3, capped above 88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // x = n ln 2 + r with |r| ≤ ln 2 / 2: the sum with 1.5 · 2²³ rounds to the nearest integer.
    const MAGIC: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let tail = 1.666_666_5e-1 + r * (4.166_579_6e-2 + r * (8.333_452e-3 + r * (1.398_199_9e-3 + r * 1.987_569_1e-4)));
    let mantissa = 1.0 + r + r * r * (0.5 + r * tail);
    f32::from_bits(mantissa.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// 1 / (1 + e^−x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// x · sigmoid(x).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

/// The derivative of [`silu`].
#[inline(always)]
pub fn silu_slope(x: f32) -> f32 {
    let s = sigmoid(x);
    s + x * s * (1.0 - s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use thalweg_nets::Streams;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Streams::new(seed).rng();
        (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn products_equal_the_sums_that_define_them() {
        for (m, n, k) in [(1, 1, 1), (3, 700, 5), (300, 200, 100), (64, 1030, 130)] {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let mut out = vec![2.0; m * n];
            product(&mut out, Put::Add, view(&a, m, k), view(&b, k, n));
            for (i, j) in [(0, 0), (m - 1, n - 1), (m / 2, n / 3)] {
                let truth = 2.0 + (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum::<f64>();
                assert!((f64::from(out[i * n + j]) - truth).abs() < 1e-4);
            }
            let mut transposed = vec![f32::NAN; m * n];
            let bt: Vec<f32> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
            product(&mut transposed, Put::Replace, view(&a, m, k), view(&bt, n, k).transpose());
            assert!(out.iter().zip(&transposed).all(|(x, y)| (x - y - 2.0).abs() < 1e-4));
        }
    }

    #[test]
    fn activations_are_accurate() {
        for i in -9000..=8800 {
            let x = i as f32 * 0.01;
            let truth = f64::from(x).exp();
            if x > -87.0 {
                assert!((f64::from(exp(x)) / truth - 1.0).abs() < 3e-7, "exp({x})");
            }
            let (step, x) = (1e-3, x * 0.2);
            let f = |x: f64| x / (1.0 + (-x).exp());
            let slope = (f(f64::from(x) + step) - f(f64::from(x) - step)) / (2.0 * step);
            assert!((f64::from(silu(x)) - f(f64::from(x))).abs() < 1e-6 * (1.0 + f64::from(x.abs())));
            assert!((f64::from(silu_slope(x)) - slope).abs() < 1e-6);
        }
    }

    #[test]
    fn column_sums_cover_every_column() {
        let matrix = random(3 * 1100, 3);
        let mut sums = vec![1.0; 1100];
        column_sums(&mut sums, Put::Add, &matrix);
        for j in [0, 511, 512, 1099] {
            assert!((sums[j] - 1.0 - matrix[j] - matrix[1100 + j] - matrix[2200 + j]).abs() < 1e-6);
        }
    }
}
