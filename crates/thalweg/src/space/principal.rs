//! Principal directions of few points in many dimensions, by the Gram matrix of the centred points.
//!
//! With X `[n, P]` the centred points and u an eigenvector of X Xᵀ/(n − 1), Xᵀu/√(n − 1) is a principal direction times its deviation: without a
//! division, so small eigenvalues do no harm. Where n is small against P, as in zoos, the work is O(n² P + n³).
//!
//! The points come in blocks of columns: memory is a block and n², whatever P. Their numbers are single, all sums double. Blocks are as wide as n
//! alone says, so the bytes do not depend on the machine.
use super::points::Points;
use crate::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use std::ops::Range;

/// The eigendecomposition of X Xᵀ/(n − 1).
pub(crate) struct Principal {
    /// Variances along the directions `[n]`, the largest first.
    pub variances: Vec<f64>,
    vectors: Mat<f64>,
}

/// Numbers of a block of columns of all points.
pub(crate) const BLOCK: usize = 1 << 22;

/// Blocks of columns for `n` points of `p` numbers.
pub(crate) fn blocks(n: usize, p: usize) -> impl Iterator<Item = Range<usize>> {
    let wide = (BLOCK / n.max(1)).max(1024);
    (0..p).step_by(wide).map(move |first| first..(first + wide).min(p))
}

/// The numbers `columns` of all points about their mean, `[n, columns]`, and that mean.
pub(crate) fn centred(points: &dyn Points, columns: Range<usize>) -> Result<(Vec<f64>, Vec<f64>)> {
    crate::interrupt::check()?;
    let (n, wide) = (points.count(), columns.len());
    let block = points.columns(columns)?;
    let mut mean = vec![0.0f64; wide];
    for row in block.chunks_exact(wide) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / n as f64);
    }
    let about = |row: &[f32]| row.iter().zip(&mean).map(|(v, m)| f64::from(*v) - m).collect::<Vec<_>>();
    let mut out = Vec::with_capacity(block.len());
    block.chunks_exact(wide).for_each(|row| out.extend(about(row)));
    Ok((out, mean))
}

impl Principal {
    /// Of `points` about their mean; `what` names them in errors.
    ///
    /// # Errors
    /// Points without an eigendecomposition; a file that cannot be read; [`Error::Interrupted`].
    pub fn of(what: &str, points: &dyn Points) -> Result<Self> {
        let n = points.count();
        let mut gram = Mat::<f64>::zeros(n, n);
        for columns in blocks(n, points.dimension()) {
            add_gram(&mut gram, &centred(points, columns)?.0);
        }
        Self::of_gram(what, &gram)
    }

    /// Of points that are centred and in memory, `[n, P]`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_centred(what: &str, centred: &[f64], n: usize) -> Result<Self> {
        let mut gram = Mat::<f64>::zeros(n, n);
        add_gram(&mut gram, centred);
        Self::of_gram(what, &gram)
    }

    fn of_gram(what: &str, gram: &Mat<f64>) -> Result<Self> {
        let eigen = gram
            .self_adjoint_eigen(Side::Lower)
            .map_err(|e| Error::parameter(what, "an eigendecomposition", format!("{e:?}")))?;
        // faer sorts eigenvalues upwards.
        let variances = eigen.S().column_vector().iter().rev().map(|v| v.max(0.0)).collect();
        let vectors = eigen.U().to_owned();
        Ok(Self { variances, vectors })
    }

    /// The number of u of direction `k` that belongs to point `row`.
    pub fn vector(&self, row: usize, k: usize) -> f64 {
        self.vectors[(row, self.variances.len() - 1 - k)]
    }

    /// The sign of direction `k` that makes its largest number of u positive, the first of equals: a fixed one, where an eigenvector has none.
    pub fn sign(&self, k: usize) -> f64 {
        let column = (0..self.variances.len()).map(|row| self.vector(row, k));
        let largest = column.reduce(|a, b| if b.abs() > a.abs() { b } else { a }).unwrap_or(1.0);
        if largest < 0.0 { -1.0 } else { 1.0 }
    }
}

/// Adds x xᵀ/(n − 1) of a block of columns `x [n, columns]`.
fn add_gram(gram: &mut Mat<f64>, x: &[f64]) {
    let n = gram.nrows();
    let x = MatRef::from_row_major_slice(x, n, x.len() / n);
    matmul(gram.as_mut(), Accum::Add, x, x.transpose(), 1.0 / (n - 1) as f64, Par::Seq);
}
