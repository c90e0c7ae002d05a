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
pub enum Accumulate {
    /// The old numbers are overwritten without being read.
    Overwrite,
    /// The result is added.
    Add,
}

/// Columns of one block: every row of `left` meets them while they stay in the first-level cache. Measured: 64 beats 96 to 288
/// on all shapes of the fields, at 95 % of the machine's peak, whichever side is transposed.
const BLOCK_COLUMNS: usize = 64;
/// Rows of one block, so that tall products spread over many threads.
const BLOCK_ROWS: usize = 1024;

/// `out [m, n]` = (or +=) `left [m, k]` · `right [k, n]`. A row of the result has the same bytes whatever the other rows of `left`,
/// and however many.
pub fn product(out: &mut [f32], put: Accumulate, left: View<'_>, right: View<'_>) {
    assert_eq!(out.len(), left.nrows() * right.ncols(), "output of a product has the wrong size");
    blocks(MatMut::from_row_major_slice_mut(out, left.nrows(), right.ncols()), put, left, right);
}

/// Rows of one block of [`outer`].
const TALL: usize = 4096;

/// `out [m, n]` = (or +=) `left [rows, m]`ᵀ · `right [rows, n]`: the sums over rows of products of two tall matrices, as gradients of weights are. Blocks of
/// rows are summed in parallel and added from the first to the last.
pub fn outer(out: &mut [f32], put: Accumulate, left: &[f32], right: &[f32], rows: usize) {
    let (m, n) = (left.len() / rows, right.len() / rows);
    let of = |out: &mut [f32], put, left: &[f32], right: &[f32]| {
        let rows = left.len() / m;
        product(out, put, view(left, rows, m).transpose(), view(right, rows, n));
    };
    if rows < 2 * TALL {
        return of(out, put, left, right);
    }
    let ((left, more), (right, beside)) = (left.split_at(TALL * m), right.split_at(TALL * n));
    let blocks = more.par_chunks(TALL * m).zip(beside.par_chunks(TALL * n));
    let sums = blocks.map(|(left, right)| {
        let mut sum = vec![0.0; m * n];
        of(&mut sum, Accumulate::Overwrite, left, right);
        sum
    });
    let (sums, ()) = rayon::join(|| sums.collect::<Vec<_>>(), || of(out, put, left, right));
    sums.iter().for_each(|sum| out.iter_mut().zip(sum).for_each(|(out, sum)| *out += sum));
}

/// `out` = (or +=) `scale` · `left` · `right` on this thread, for small products within a task of their own; any strides.
pub fn sequential(out: MatMut<'_, f32>, put: Accumulate, left: View<'_>, right: View<'_>, scale: f32) {
    matmul(out, if put == Accumulate::Add { Accum::Add } else { Accum::Replace }, left, right, scale, Par::Seq);
}

/// Products of this many multiplications or fewer, and single rows, meet other kernels of faer's, with another order of summation.
const SMALL: usize = 16 * 16 * 16;

/// One block's product; where it has so few rows that it would meet another kernel than in company, it is given company.
fn block(mut out: MatMut<'_, f32>, put: Accumulate, left: View<'_>, right: View<'_>) {
    let (m, n, k) = (left.nrows(), right.ncols(), left.ncols());
    let least = (SMALL / (n * k).max(1) + 1).max(2);
    let beta = if put == Accumulate::Add { Accum::Add } else { Accum::Replace };
    if m >= least {
        return matmul(out, beta, left, right, 1.0, Par::Seq);
    }
    let (mut rows, mut both) = (vec![0.0; least * k], vec![0.0; least * n]);
    MatMut::from_row_major_slice_mut(&mut rows[..m * k], m, k).copy_from(left);
    MatMut::from_row_major_slice_mut(&mut both[..m * n], m, n).copy_from(out.as_ref());
    matmul(MatMut::from_row_major_slice_mut(&mut both, least, n), beta, view(&rows, least, k), right, 1.0, Par::Seq);
    out.copy_from(view(&both[..m * n], m, n));
}

fn blocks(out: MatMut<'_, f32>, put: Accumulate, left: View<'_>, right: View<'_>) {
    let (m, n) = (left.nrows(), right.ncols());
    if n > BLOCK_COLUMNS {
        let middle = n.div_ceil(BLOCK_COLUMNS) / 2 * BLOCK_COLUMNS;
        let (a, b) = out.split_at_col_mut(middle);
        let (ra, rb) = right.split_at_col(middle);
        rayon::join(|| blocks(a, put, left, ra), || blocks(b, put, left, rb));
    } else if m > BLOCK_ROWS {
        let middle = m.div_ceil(BLOCK_ROWS) / 2 * BLOCK_ROWS;
        let (a, b) = out.split_at_row_mut(middle);
        let (la, lb) = left.split_at_row(middle);
        rayon::join(|| blocks(a, put, la, right), || blocks(b, put, lb, right));
    } else {
        block(out, put, left, right);
    }
}

/// `out [n]` = (or +=) the sums over the rows of `matrix [rows, n]`, taken from the first row to the last.
pub fn column_sums(out: &mut [f32], put: Accumulate, matrix: &[f32]) {
    const COLUMNS: usize = 256;
    let n = out.len();
    out.par_chunks_mut(COLUMNS).enumerate().for_each(|(i, sums)| {
        vectorised(|| {
            if put == Accumulate::Overwrite {
                sums.fill(0.0);
            }
            for row in matrix.chunks_exact(n) {
                sums.iter_mut().zip(&row[i * COLUMNS..]).for_each(|(sum, x)| *sum += x);
            }
        });
    });
}

/// Runs `work` compiled for the widest vectors of this machine. Plain loops inside round alike on every instruction set,
/// since the compiler never fuses a multiplication with an addition by itself.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// x = x ⊙ factor + term, each rounded once. The fused operation has to be compiled for this machine: elsewhere `f32::mul_add` is a call of a
/// library's function for every number, 40 times as slow (`tests/floors` finds such places).
pub fn multiply_add(x: &mut [f32], factor: &[f32], term: &[f32]) {
    vectorised(|| {
        for ((x, a), b) in x.iter_mut().zip(factor).zip(term) {
            *x = x.mul_add(*a, *b);
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

/// silu(x) = x · sigmoid(x), and its derivative.
#[inline(always)]
pub fn silu(x: f32) -> (f32, f32) {
    let s = sigmoid(x);
    (x * s, s + x * s * (1.0 - s))
}

/// softplus(x) = ln(1 + e^x), and its derivative sigmoid(x).
#[inline(always)]
pub fn softplus(x: f32) -> (f32, f32) {
    // With u = e^−|x| in (0, 1]: ln(1 + u) = 2 artanh(s), s = u / (2 + u) ≤ 1/3; the series is cut at s¹⁵ / 15 < 1e-8.
    let u = exp(-x.abs());
    let s = u / (2.0 + u);
    let r = s * s;
    let series =
        1.0 + r * (1.0 / 3.0 + r * (0.2 + r * (1.0 / 7.0 + r * (1.0 / 9.0 + r * (1.0 / 11.0 + r * (1.0 / 13.0))))));
    let sigmoid = (if x < 0.0 { u } else { 1.0 }) / (1.0 + u);
    (x.max(0.0) + 2.0 * s * series, sigmoid)
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
        for (m, n, k) in [(1, 1, 1), (3, 700, 5), (300, 200, 100), (64, 1030, 130), (2100, 70, 9)] {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let mut out = vec![2.0; m * n];
            product(&mut out, Accumulate::Add, view(&a, m, k), view(&b, k, n));
            for (i, j) in [(0, 0), (m - 1, n - 1), (m / 2, n / 3)] {
                let truth = 2.0 + (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum::<f64>();
                assert!((f64::from(out[i * n + j]) - truth).abs() < 1e-4);
            }
            let mut transposed = vec![f32::NAN; m * n];
            let bt: Vec<f32> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
            product(&mut transposed, Accumulate::Overwrite, view(&a, m, k), view(&bt, n, k).transpose());
            assert!(out.iter().zip(&transposed).all(|(x, y)| (x - y - 2.0).abs() < 1e-4));
        }
    }

    #[test]
    fn outer_products_of_tall_matrices_are_the_sums_over_all_rows() {
        for rows in [3, 4096, 8192, 9001] {
            let (a, b) = (random(rows * 5, 1), random(rows * 3, 2));
            let mut out = vec![2.0; 15];
            outer(&mut out, Accumulate::Add, &a, &b, rows);
            for (i, found) in out.iter().enumerate() {
                let truth =
                    2.0 + (0..rows).map(|l| f64::from(a[l * 5 + i / 3]) * f64::from(b[l * 3 + i % 3])).sum::<f64>();
                assert!((f64::from(*found) - truth).abs() < 1e-4 * (1.0 + truth.abs()), "{rows} rows: {found} {truth}");
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bytes_in_any_company() {
        // Large and small, with a last block of one column, and where a product as a whole is smaller than a kernel likes.
        for (n, k) in [(200, 600), (6, 96), (12, 49), (2, 3), (65, 30), (1, 50), (5, 1)] {
            let rows = if n == 200 { 300 } else { 1100 };
            let (a, b, old) = (random(rows * k, 1), random(k * n, 2), random(rows * n, 3));
            let run = |m: usize| {
                let mut out = old[..m * n].to_vec();
                product(&mut out, Accumulate::Add, view(&a[..m * k], m, k), view(&b, n, k).transpose());
                out
            };
            let all = run(rows);
            for m in [1, 2, 3, 7, 16, 33, 64, 255, rows.min(1025)] {
                assert!(run(m) == all[..m * n], "{n} {k}: {m}");
            }
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
            let found = silu(x);
            assert!((f64::from(found.0) - f(f64::from(x))).abs() < 1e-6 * (1.0 + f64::from(x.abs())));
            assert!((f64::from(found.1) - slope).abs() < 1e-6);
            let (found, exact) = (softplus(x), f64::from(x).exp());
            assert!((f64::from(found.0) / exact.ln_1p() - 1.0).abs() < 4e-7, "softplus({x})");
            assert!((f64::from(found.1) * (1.0 + exact) / exact - 1.0).abs() < 4e-7, "sigmoid({x})");
        }
    }

    #[test]
    fn column_sums_cover_every_column() {
        let matrix = random(3 * 1100, 3);
        let mut sums = vec![1.0; 1100];
        column_sums(&mut sums, Accumulate::Add, &matrix);
        for j in [0, 511, 512, 1099] {
            assert!((sums[j] - 1.0 - matrix[j] - matrix[1100 + j] - matrix[2200 + j]).abs() < 1e-6);
        }
    }
}
