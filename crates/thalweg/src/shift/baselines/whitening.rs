//! Whitening of rows by the leading directions of their covariance about one or several means.
//!
//! A covariance of 784 pixels cannot be had from some hundred rows: of wide rows the leading directions alone are taken, without forming it.
use crate::nn::normal;
use crate::{Error, Result, Streams, interrupt};
use faer::linalg::matmul::matmul;
use faer::linalg::solvers::SelfAdjointEigen;
use faer::{Accum, Mat, Par, Side};

/// Directions kept of wide rows.
pub const DIRECTIONS: usize = 64;

/// Width from which on leading directions are found without the covariance.
const WIDE: usize = 512;
/// Directions beyond those asked for, and passes over the rows, of that.
const SPARE: usize = 16;
const PASSES: usize = 4;
/// Rows that are taken at a time then.
const BLOCK: usize = 256;

/// The mean `[D]` of some of the rows of `values [N, D]`; none of none.
pub fn mean(rows: impl Iterator<Item = usize>, values: &[f32], d: usize) -> Option<Vec<f64>> {
    let (mut sum, mut n) = (vec![0.0; d], 0);
    for i in rows {
        n += 1;
        sum.iter_mut().zip(&values[i * d..(i + 1) * d]).for_each(|(s, v)| *s += f64::from(*v));
    }
    (n > 0).then(|| sum.iter().map(|s| s / f64::from(n)).collect())
}

/// W `[k ≤ DIRECTIONS, D]` of rows `[N, D]` about their means `[N]` → which mean: |W (x − m)|² is a squared distance.
///
/// # Errors
/// A covariance that cannot be decomposed; interruption.
pub fn whitening(
    rows: &[f32],
    d: usize,
    mean_of: impl Fn(usize) -> usize,
    means: &[Vec<f64>],
) -> Result<Vec<Vec<f64>>> {
    let (trace, directions) = match d > WIDE {
        true => leading(rows, d, mean_of, means)?,
        false => of_covariance(rows, d, mean_of, means)?,
    };
    let floor = 1e-4 * trace / d as f64 + f64::MIN_POSITIVE;
    let scaled = |(variance, along): (f64, Vec<f64>)| {
        let scale = variance.max(floor).sqrt().recip();
        along.into_iter().map(|u| scale * u).collect()
    };
    Ok(directions.into_iter().map(scaled).collect())
}

/// The trace of a covariance, and its leading directions `[D]` with the variances along them.
type Directions = (f64, Vec<(f64, Vec<f64>)>);

/// Of the covariance of rows `[N, D]` about their means, by all of its eigenvectors.
fn of_covariance(rows: &[f32], d: usize, mean_of: impl Fn(usize) -> usize, means: &[Vec<f64>]) -> Result<Directions> {
    let n = rows.len() / d;
    let mut covariance = Mat::<f64>::zeros(d, d);
    let mut centred = vec![0.0; d];
    for (i, row) in rows.chunks_exact(d).enumerate() {
        let mean = &means[mean_of(i)];
        (0..d).for_each(|j| centred[j] = f64::from(row[j]) - mean[j]);
        for a in 0..d {
            for b in 0..=a {
                covariance[(a, b)] += centred[a] * centred[b] / n as f64;
            }
        }
    }
    let eigen = decomposed(&covariance)?;
    let trace = (0..d).map(|j| covariance[(j, j)]).sum();
    // faer sorts upwards.
    let of = |k: usize| (eigen.S()[k], (0..d).map(|j| eigen.U()[(j, k)]).collect());
    Ok((trace, (0..d).rev().take(DIRECTIONS).map(of).collect()))
}

/// The same of wide rows, by subspace iteration from random directions (Halko, Martinsson, Tropp 2011): the D × D covariance is never formed. Memory is
/// that of some hundred vectors `[D]`; the work is that of `2 · PASSES · (DIRECTIONS + SPARE)` products with the rows.
fn leading(rows: &[f32], d: usize, mean_of: impl Fn(usize) -> usize, means: &[Vec<f64>]) -> Result<Directions> {
    let (n, k) = (rows.len() / d, (DIRECTIONS + SPARE).min(d));
    let mut start = vec![0.0; d * k];
    normal::fill(&mut Streams::new(0).child("mahalanobis").rng(), &mut start);
    let mut basis = Mat::from_fn(d, k, |j, c| f64::from(start[c * d + j]));
    let (mut trace, mut image) = (0.0, Mat::<f64>::zeros(d, k));
    for pass in 0..PASSES {
        basis = basis.qr().compute_thin_Q();
        image.as_mut().fill(0.0);
        for (first, block) in rows.chunks(BLOCK * d).enumerate() {
            interrupt::check()?;
            let centred = |i: usize, j: usize| f64::from(block[i * d + j]) - means[mean_of(first * BLOCK + i)][j];
            // Rows are the columns here, so that each is contiguous.
            let block = Mat::from_fn(d, block.len() / d, |j, i| centred(i, j));
            if pass == 0 {
                trace += block.as_ref().squared_norm_l2() / n as f64;
            }
            let along = block.transpose() * &basis;
            matmul(image.as_mut(), Accum::Add, block.as_ref(), along.as_ref(), 1.0 / n as f64, Par::Seq);
        }
        if pass + 1 < PASSES {
            std::mem::swap(&mut basis, &mut image);
        }
    }
    let small = basis.transpose() * &image;
    let eigen = decomposed(&small)?;
    let turned = &basis * eigen.U();
    let of = |c: usize| (eigen.S()[c], (0..d).map(|j| turned[(j, c)]).collect());
    Ok((trace, (0..k).rev().take(DIRECTIONS).map(of).collect()))
}

fn decomposed(symmetric: &Mat<f64>) -> Result<SelfAdjointEigen<f64>> {
    let failed = |e| Error::parameter("covariance of P", "a matrix with eigenvalues", format!("{e:?}"));
    symmetric.self_adjoint_eigen(Side::Lower).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_directions_of_wide_rows_are_those_of_the_covariance() {
        // Two directions that stand out of noise, in as many dimensions as the covariance is still formed for.
        let (n, d) = (300, 120);
        let noise = thalweg_nets::testing::normals(&Streams::new(5), n * (d + 2));
        let row = |i: usize| {
            let (a, b) = (noise[n * d + 2 * i], noise[n * d + 2 * i + 1]);
            (0..d).map(move |j| (i % 2) as f32 + if j % 2 == 0 { 3.0 * a } else { 2.0 * b })
        };
        let rows: Vec<f32> = (0..n).flat_map(row).zip(&noise).map(|(v, e)| v + 0.3 * e).collect();
        let means: Vec<Vec<f64>> = [0, 1].map(|c| mean((0..n).filter(|i| i % 2 == c), &rows, d).unwrap()).to_vec();
        let both = [of_covariance(&rows, d, |i| i % 2, &means).unwrap(), leading(&rows, d, |i| i % 2, &means).unwrap()];
        let [(trace, exact), (other, found)] = &both;
        assert!((trace - other).abs() < 1e-9 * trace && found.len() == DIRECTIONS, "{trace} {other}");
        for k in 0..2 {
            assert!((exact[k].0 - found[k].0).abs() < 1e-6 * exact[k].0, "{} {}", exact[k].0, found[k].0);
            let along: f64 = exact[k].1.iter().zip(&found[k].1).map(|(a, b)| a * b).sum();
            assert!((along.abs() - 1.0).abs() < 1e-6, "{along}");
        }
        let unit = |u: &Vec<f64>| u.iter().map(|v| v * v).sum::<f64>();
        assert!(found.iter().all(|(variance, u)| *variance > 0.0 && (unit(u) - 1.0).abs() < 1e-9));
        let captured = |of: &[(f64, Vec<f64>)]| of.iter().map(|(variance, _)| variance).sum::<f64>();
        assert!(captured(found) <= captured(exact) * (1.0 + 1e-9) && captured(found) > 0.97 * captured(exact));
    }
}
