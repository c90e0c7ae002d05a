//! Principal directions of few points in many dimensions, by the Gram matrix of the centred points.
//!
//! With X `[n, P]` the centred points and u an eigenvector of X Xᵀ/(n − 1), Xᵀu/√(n − 1) is a principal direction times its deviation: without a
//! division, so small eigenvalues do no harm. Where n is small against P, as in zoos, the work is O(n² P + n³).
use crate::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};

/// The eigendecomposition of X Xᵀ/(n − 1).
pub(crate) struct Principal {
    /// X `[n, P]`.
    pub centred: Vec<f64>,
    /// Variances along the directions `[n]`, the largest first.
    pub variances: Vec<f64>,
    vectors: Mat<f64>,
}

impl Principal {
    /// Of `points [n, P]` about `mean [P]`; `what` names them in errors.
    ///
    /// # Errors
    /// Points without an eigendecomposition.
    pub fn of(what: &str, points: &[f32], mean: &[f64]) -> Result<Self> {
        let (p, n) = (mean.len(), points.len() / mean.len());
        let rows = points.chunks_exact(p);
        let centred: Vec<f64> = rows.flat_map(|row| row.iter().zip(mean).map(|(v, m)| f64::from(*v) - m)).collect();
        let x = MatRef::from_row_major_slice(&centred, n, p);
        let mut gram = Mat::<f64>::zeros(n, n);
        matmul(gram.as_mut(), Accum::Replace, x, x.transpose(), 1.0 / (n - 1) as f64, Par::Seq);
        let eigen = gram
            .self_adjoint_eigen(Side::Lower)
            .map_err(|e| Error::parameter(what, "an eigendecomposition", format!("{e:?}")))?;
        // faer sorts eigenvalues upwards.
        let variances = eigen.S().column_vector().iter().rev().map(|v| v.max(0.0)).collect();
        let vectors = eigen.U().to_owned();
        Ok(Self { centred, variances, vectors })
    }

    /// The number of u of direction `k` that belongs to point `row`.
    pub fn vector(&self, row: usize, k: usize) -> f64 {
        self.vectors[(row, self.variances.len() - 1 - k)]
    }
}
