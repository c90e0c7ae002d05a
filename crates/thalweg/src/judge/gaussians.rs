//! Gaussians of a zoo's finals, and their moments: what baselines draw from.
use crate::method::{Swag, SwagConfig};
use crate::space::principal::Principal;
use crate::{Result, Streams};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// Share of the variance that the components of `pca-gaussian` hold.
const PCA_SHARE: f64 = 0.95;

/// Double to single precision.
pub(super) fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// Mean `[P]` of the rows.
pub(super) fn mean(points: &[f32], p: usize) -> Vec<f64> {
    let mut mean = vec![0.0; p];
    let n = (points.len() / p) as f64;
    points.chunks_exact(p).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v)));
    mean.iter_mut().for_each(|m| *m /= n);
    mean
}

/// Standard deviation `[P]` of the rows, with n − 1.
pub(super) fn deviation(points: &[f32], p: usize) -> Vec<f64> {
    let mean = mean(points, p);
    let mut squares = vec![0.0; p];
    for row in points.chunks_exact(p) {
        squares.iter_mut().zip(row.iter().zip(&mean)).for_each(|(s, (v, m))| *s += (f64::from(*v) - m).powi(2));
    }
    let below = (points.len() / p - 1) as f64;
    squares.into_iter().map(|s| (s / below).sqrt()).collect()
}

/// Samples of N(mean, W Wᵀ), W the leading principal directions scaled by their deviations, enough for [`PCA_SHARE`].
pub(super) fn pca_gaussian(points: &[f32], p: usize, n: usize, streams: &Streams) -> Result<Vec<f32>> {
    let runs = points.len() / p;
    let mean = mean(points, p);
    let rows = points.chunks_exact(p);
    let centred: Vec<f64> = rows.flat_map(|row| row.iter().zip(&mean).map(|(v, m)| f64::from(*v) - m)).collect();
    let principal = Principal::of_centred("training finals", &centred, runs)?;
    let values = &principal.variances;
    let total: f64 = values.iter().sum();
    let mut held = 0.0;
    let kept = 1 + values
        .iter()
        .take_while(|v| {
            held += **v;
            held < PCA_SHARE * total
        })
        .count();
    let kept = kept.min(runs - 1);
    let mut coefficients = Vec::with_capacity(n * runs);
    for i in 0..n as u64 {
        let mut rng = streams.index(i).rng();
        let z: Vec<f64> = (0..kept).map(|_| rng.sample(StandardNormal)).collect();
        let weight = |r: usize| (0..kept).map(|k| z[k] * principal.vector(r, k)).sum::<f64>();
        coefficients.extend((0..runs).map(|r| weight(r) / ((runs - 1) as f64).sqrt()));
    }
    let mut out = vec![0.0; n * p];
    out.chunks_exact_mut(p).for_each(|row| row.copy_from_slice(&mean));
    let coefficients = MatRef::from_row_major_slice(&coefficients, n, runs);
    let x = MatRef::from_row_major_slice(&centred, runs, p);
    matmul(MatMut::from_row_major_slice_mut(&mut out, n, p), Accum::Add, coefficients, x, 1.0, Par::Seq);
    Ok(narrow(&out))
}

/// Samples of the laws of SWAG, each over the checkpoints of one random run of `runs [R, each]`, `each` numbers a run.
pub(super) fn run_swag(runs: &[f32], each: usize, p: usize, n: usize, streams: &Streams) -> Result<Vec<f32>> {
    let of = |run: &[f32]| Swag::of_points(&SwagConfig::default(), run, p);
    let laws = runs.par_chunks_exact(each).map(of).collect::<Result<Vec<_>>>()?;
    let mut out = vec![0.0; n * p];
    let rows = out.par_chunks_exact_mut(p).enumerate();
    rows.for_each(|(i, out)| {
        let streams = streams.index(i as u64);
        let law = &laws[streams.child("run").rng().random_range(0..laws.len())];
        out.copy_from_slice(&law.draw(&streams));
    });
    Ok(out)
}

/// Samples of the law of SWAG, of rank 20, over the points in their order.
pub(super) fn swag(points: &[f32], p: usize, n: usize, streams: &Streams) -> Result<Vec<f32>> {
    let law = Swag::of_points(&SwagConfig::default(), points, p)?;
    let mut out = vec![0.0; n * p];
    let rows = out.par_chunks_exact_mut(p).enumerate();
    rows.for_each(|(i, out)| out.copy_from_slice(&law.draw(&streams.index(i as u64))));
    Ok(out)
}
