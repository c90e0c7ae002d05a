//! FOOF's direction (Benzing 2022): the gradient of a dense layer's weight with the second moment of the layer's inputs taken out,
//!
//! M (A + λ I)⁻¹ = (M − M Xᵀ (N λ I + X Xᵀ)⁻¹ X)/λ,  A = Xᵀ X/N,
//!
//! X `[N, i]` the inputs of the layer on the rows of a gradient, λ a share of the mean eigenvalue of A. The right side solves in N dimensions, not i.
//! In single precision λ has to be at least a hundredth of that mean.
use crate::nn::dense::{Accumulate, product, view};
use faer::linalg::solvers::Solve;
use faer::{MatRef, Side};

/// The direction `[rows, i]` of a running mean `m [rows, i]` on inputs `x [N, i]`; zero where all inputs are, or where the system cannot be solved.
pub(super) fn whitened(m: &[f32], x: &[f32], columns: usize, damping: f64) -> Vec<f32> {
    let (rows, n) = (m.len() / columns, x.len() / columns);
    let square: f64 = x.iter().map(|v| f64::from(*v).powi(2)).sum();
    if square == 0.0 || !square.is_finite() {
        return vec![0.0; m.len()];
    }
    let lambda = damping * square / (n * columns) as f64;
    let (inputs, gradient) = (view(x, n, columns), view(m, rows, columns));
    let mut gram = vec![0.0; n * n];
    product(&mut gram, Accumulate::Overwrite, inputs, inputs.transpose());
    (0..n).for_each(|i| gram[i * n + i] += (n as f64 * lambda) as f32);
    let mut pulled = vec![0.0; n * rows];
    product(&mut pulled, Accumulate::Overwrite, inputs, gradient.transpose());
    let Ok(factor) = MatRef::from_row_major_slice(&gram, n, n).llt(Side::Lower) else { return vec![0.0; m.len()] };
    let solved = factor.solve(MatRef::from_row_major_slice(&pulled, n, rows));
    let mut out = vec![0.0; m.len()];
    product(&mut out, Accumulate::Overwrite, solved.transpose(), inputs);
    out.iter_mut().zip(m).for_each(|(o, m)| *o = ((f64::from(*m) - f64::from(*o)) / lambda) as f32);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use faer::Mat;
    use thalweg_nets::testing::normals;

    /// Against the inverse in i dimensions, with fewer and with more inputs than these.
    #[test]
    fn the_damped_second_moment_is_taken_out() {
        let (rows, columns) = (3, 6);
        let m = normals(&Streams::new(1), rows * columns);
        for (n, damping) in [(4, 0.1), (40, 0.1), (40, 2.0)] {
            let x: Vec<f32> = normals(&Streams::new(n as u64), n * columns).iter().map(|v| v + 0.5).collect();
            let a = Mat::from_fn(columns, columns, |i, j| {
                (0..n).map(|k| f64::from(x[k * columns + i] * x[k * columns + j])).sum::<f64>() / n as f64
            });
            let mean = (0..columns).map(|i| a[(i, i)]).sum::<f64>() / columns as f64;
            let damped = Mat::from_fn(columns, columns, |i, j| a[(i, j)] + if i == j { damping * mean } else { 0.0 });
            let right = Mat::from_fn(columns, rows, |i, j| f64::from(m[j * columns + i]));
            let truth = damped.llt(Side::Lower).unwrap().solve(&right);
            for (k, found) in whitened(&m, &x, columns, damping).into_iter().enumerate() {
                let truth = truth[(k % columns, k / columns)];
                assert!(
                    (f64::from(found) - truth).abs() < 1e-4 * (1.0 + truth.abs()),
                    "{n} {damping} {k}: {found} {truth}"
                );
            }
        }
        assert_eq!(whitened(&m, &[0.0; 12], columns, 0.1), [0.0; 18]);
    }
}
