//! Mahalanobis distances (M16; Lee et al. 2018; relative: Ren et al. 2021), averaged over the query.
//!
//! `mahalanobis`: of the inputs, to the Gaussian of P's. Images are first projected onto their leading principal directions, since a covariance
//! of 784 pixels cannot be had from some hundred rows. `relative-mahalanobis`: of f's features, the distance to the nearest class's mean
//! (one covariance for all classes) less that to the Gaussian of all rows. Neither knows whether f is wrong: both fire on harmless shift.
use crate::nn::normal;
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs, Prepared};
use crate::shift::stored::{Store, Stored};
use crate::shift::test::{self, KEPT, Measured, ShiftTest, Statistic};
use crate::{Error, Result, Streams, interrupt};
use faer::linalg::matmul::matmul;
use faer::linalg::solvers::SelfAdjointEigen;
use faer::{Accum, Mat, Par, Side};
use rayon::prelude::*;
use std::sync::Arc;

/// Directions kept of wide rows.
const DIRECTIONS: usize = 64;

/// Width from which on leading directions are found without the covariance.
const WIDE: usize = 512;
/// Directions beyond those asked for, and passes over the rows, of that.
const SPARE: usize = 16;
const PASSES: usize = 4;
/// Rows that are taken at a time then.
const BLOCK: usize = 256;

/// Where distances are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// Inputs, one Gaussian.
    Inputs,
    /// Features, classes against the whole.
    Relative,
}

/// The test.
#[derive(Clone, Debug)]
pub struct Mahalanobis {
    kind: Distance,
    whole: Gaussian,
    /// The means of the classes, one whitening for all.
    classes: Vec<Gaussian>,
    /// Of the rows that are kept.
    kept: Vec<f64>,
    schema: Schema,
}

/// Mean, and a whitening `[k, D]` so that the squared distance is |W (x − m)|².
#[derive(Clone, Debug)]
struct Gaussian {
    mean: Vec<f64>,
    whitening: Arc<Vec<Vec<f64>>>,
}

impl Gaussian {
    /// Of rows `[N, D]` about their means `[N]` → which mean.
    fn whitening(
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

    fn squared(&self, row: &[f32]) -> f64 {
        let along =
            |w: &Vec<f64>| w.iter().zip(row).zip(&self.mean).map(|((w, x), m)| w * (f64::from(*x) - m)).sum::<f64>();
        self.whitening.iter().map(|w| along(w).powi(2)).sum()
    }
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

fn mean(rows: impl Iterator<Item = usize>, values: &[f32], d: usize) -> Option<Vec<f64>> {
    let (mut sum, mut n) = (vec![0.0; d], 0);
    for i in rows {
        n += 1;
        sum.iter_mut().zip(&values[i * d..(i + 1) * d]).for_each(|(s, v)| *s += f64::from(*v));
    }
    (n > 0).then(|| sum.iter().map(|s| s / f64::from(n)).collect())
}

impl Mahalanobis {
    /// With training rows of P.
    ///
    /// # Errors
    /// Rows without inputs where those are asked for; a covariance that cannot be decomposed.
    pub fn new(kind: Distance, source: &Sample) -> Result<Self> {
        let values = values(kind, source);
        let d = values.len().checked_div(source.len()).unwrap_or(0);
        let Some(all) = mean(0..source.len(), values, d).filter(|_| d > 0) else {
            return Err(Error::parameter("mahalanobis", "rows with inputs", "logits alone"));
        };
        let whitening = Arc::new(Gaussian::whitening(values, d, |_| 0, std::slice::from_ref(&all))?);
        let mut classes = Vec::new();
        if kind == Distance::Relative {
            let predictions = source.predictions();
            let of = |c: usize| mean((0..source.len()).filter(|&i| predictions[i] as usize == c), values, d);
            // A class that f never names stands at the mean of all.
            let means: Vec<Vec<f64>> = (0..source.classes()).map(|c| of(c).unwrap_or_else(|| all.clone())).collect();
            let shared = Arc::new(Gaussian::whitening(values, d, |i| predictions[i] as usize, &means)?);
            classes = means.into_iter().map(|mean| Gaussian { mean, whitening: shared.clone() }).collect();
        }
        Ok(Self { kind, whole: Gaussian { mean: all, whitening }, classes, kept: Vec::new(), schema: source.schema() })
    }
}

impl Mahalanobis {
    fn scores(&self, query: &Sample) -> Result<Vec<f64>> {
        test::check(query, &self.schema, self.kind == Distance::Inputs)?;
        let d = self.whole.mean.len();
        let of = |row: &[f32]| {
            let nearest = self.classes.iter().map(|g| g.squared(row)).fold(f64::INFINITY, f64::min);
            let whole = self.whole.squared(row);
            if self.classes.is_empty() { whole } else { nearest - whole }
        };
        Ok(values(self.kind, query).par_chunks_exact(d).map(of).collect())
    }

    /// What [`ShiftTest::save`] wrote.
    ///
    /// # Errors
    /// Tensors that do not fit the rows.
    fn stored(kind: Distance, source: &Sample, stored: &Stored) -> Result<Self> {
        let d = values(kind, source).len().checked_div(source.len()).unwrap_or(0);
        let (all, classes) = (d * (1 + d.min(DIRECTIONS)), source.classes());
        let read = |name: &str| -> Result<Gaussian> {
            let numbers = stored.doubles(name, all)?;
            let (mean, whitening) = numbers.split_at(d);
            let whitening = Arc::new(whitening.chunks_exact(d).map(<[f64]>::to_vec).collect());
            Ok(Gaussian { mean: mean.to_vec(), whitening })
        };
        let mut test =
            Self { kind, whole: read("gaussian")?, classes: Vec::new(), kept: Vec::new(), schema: source.schema() };
        if kind == Distance::Relative {
            let (shared, means) = (read("classes")?, stored.doubles("class-means", classes * d)?);
            let of = |mean: &[f64]| Gaussian { mean: mean.to_vec(), whitening: shared.whitening.clone() };
            test.classes = means.chunks_exact(d).map(of).collect();
        }
        Ok(test)
    }

    fn prepared(kind: Distance, source: &Sample, stored: Option<&Stored>) -> Prepared {
        Ok(Box::new(match stored {
            Some(stored) => Self::stored(kind, source, stored)?,
            None => Self::new(kind, source)?,
        }))
    }
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "mahalanobis",
    looks_at: "distance of the inputs from those of P",
    needs: Needs::Inputs,
    trains_per_query: false,
    prepare: |parts, stored, _| Mahalanobis::prepared(Distance::Inputs, &parts.reference.train, stored),
    trained: None,
};

/// The same of features, relative.
pub static RELATIVE: Factory = Factory {
    name: "relative-mahalanobis",
    looks_at: "distance of the model's features from those of its classes on P",
    needs: Needs::Logits,
    trains_per_query: false,
    prepare: |parts, stored, _| Mahalanobis::prepared(Distance::Relative, &parts.reference.train, stored),
    trained: None,
};

fn values(kind: Distance, rows: &Sample) -> &[f32] {
    if kind == Distance::Inputs { &rows.inputs } else { &rows.features }
}

impl ShiftTest for Mahalanobis {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("distance")] }
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Measured> {
        test::means(queries, |query| self.scores(query))
    }

    fn measure_rows(&self, rows: &Sample, kept: usize, queries: &[Vec<usize>], _: &Streams) -> Result<Measured> {
        let scores = test::completed(rows, (kept, &self.kept), |rows| self.scores(rows))?;
        Ok(test::means_of_rows(&scores, queries))
    }

    fn keep(&mut self, rows: &Sample, stored: Option<&Stored>) -> Result<()> {
        let known = stored.map(|stored| stored.doubles_if_there(KEPT, rows.len())).transpose()?.flatten();
        self.kept = known.map_or_else(|| self.scores(rows), Ok)?;
        Ok(())
    }

    fn save(&self, store: &mut Store) {
        let numbers = |g: &Gaussian| [&g.mean[..], &g.whitening.concat()].concat();
        store.double("gaussian", &numbers(&self.whole));
        if let Some(first) = self.classes.first() {
            store.double("classes", &numbers(first));
            store.double("class-means", &self.classes.iter().flat_map(|g| g.mean.iter().copied()).collect::<Vec<_>>());
        }
        if !self.kept.is_empty() {
            store.double(KEPT, &self.kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::world;

    #[test]
    fn distances_under_p_average_to_the_dimension() {
        // Mean of (x − m)ᵀ S⁻¹ (x − m) over the rows that gave m and S is exactly D.
        let world = world::two_clouds(1);
        let source = &world.reference.train;
        let test = Mahalanobis::new(Distance::Inputs, source).unwrap();
        let s = test.measure(&[source.clone(), world.far(20, 1)], &Streams::new(0)).unwrap().values;
        assert!((s[0] - 2.0).abs() < 1e-6 && s[1] > 10.0, "{s:?}");
    }

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

    /// Inverse of a symmetric 2 × 2 matrix [xx, xy, yy].
    fn inverse([a, b, c]: [f64; 3]) -> [f64; 3] {
        let det = a * c - b * b;
        [c / det, -b / det, a / det]
    }

    /// uᵀ M v.
    fn product(u: [f64; 2], [a, b, c]: [f64; 3], v: [f64; 2]) -> f64 {
        u[0] * (a * v[0] + b * v[1]) + u[1] * (b * v[0] + c * v[1])
    }

    #[test]
    fn relative_distance_is_that_of_its_definition_and_blind_along_what_classes_share() {
        // Two classes of logits about ±(2, −2), both with one slanted spread; the inputs are the logits.
        let noise = thalweg_nets::testing::normals(&Streams::new(3), 600);
        let side = |i: usize| if i.is_multiple_of(2) { 2.0 } else { -2.0 };
        let row = |i: usize| [side(i) + 0.5 * noise[2 * i], -side(i) + 0.3 * noise[2 * i] + 0.4 * noise[2 * i + 1]];
        let mut source = Sample::of_logits((0..300).flat_map(row).collect(), 2).unwrap();
        source.inputs = source.logits.clone();
        let rows: Vec<[f64; 2]> = source.logits.chunks(2).map(|z| [f64::from(z[0]), f64::from(z[1])]).collect();
        assert!(rows.iter().enumerate().all(|(i, z)| (z[0] > z[1]) == (i % 2 == 0)), "f tells the classes apart");
        // Means and covariances by their definitions.
        let mean = |of: &[[f64; 2]]| [0, 1].map(|k| of.iter().map(|z| z[k]).sum::<f64>() / of.len() as f64);
        let class = |c: usize| rows.iter().skip(c).step_by(2).copied().collect::<Vec<_>>();
        let (all, means) = (mean(&rows), [mean(&class(0)), mean(&class(1))]);
        let covariance = |centre: &dyn Fn(usize) -> [f64; 2]| {
            let mut sum = [0.0; 3];
            for (i, z) in rows.iter().enumerate() {
                let d = [z[0] - centre(i)[0], z[1] - centre(i)[1]];
                sum = [sum[0] + d[0] * d[0], sum[1] + d[0] * d[1], sum[2] + d[1] * d[1]];
            }
            sum.map(|s| s / rows.len() as f64)
        };
        let (whole, within) = (inverse(covariance(&|_| all)), inverse(covariance(&|i| means[i % 2])));
        let squared =
            |z: [f64; 2], m: [f64; 2], by| product([z[0] - m[0], z[1] - m[1]], by, [z[0] - m[0], z[1] - m[1]]);
        let relative =
            |z| means.map(|m| squared(z, m, within)).into_iter().fold(f64::INFINITY, f64::min) - squared(z, all, whole);
        // W⁻¹Δ turned by a right angle: all of the covariance is W plus a multiple of ΔΔᵀ, so along it the whole and the classes agree.
        let [a, b, c] = within;
        let delta = [0, 1].map(|k| means[1][k] - means[0][k]);
        let shared = [-(b * delta[0] + c * delta[1]), a * delta[0] + b * delta[1]];
        let long = (shared[0] * shared[0] + shared[1] * shared[1]).sqrt();
        let moved = |along: [f64; 2]| {
            let each = source.logits.chunks(2).flat_map(|z| [z[0] + along[0] as f32, z[1] + along[1] as f32]);
            let mut moved = Sample::of_logits(each.collect(), 2).unwrap();
            moved.inputs = moved.logits.clone();
            moved
        };
        let [relatively, plainly] =
            [Distance::Relative, Distance::Inputs].map(|kind| Mahalanobis::new(kind, &source).unwrap());
        let away = moved(shared.map(|s| 5.0 * s / long));
        for query in [&source, &away, &moved([3.0, -1.0])] {
            let found = [&relatively, &plainly]
                .map(|test| test.measure(std::slice::from_ref(query), &Streams::new(0)).unwrap().row_scores);
            for (i, z) in query.logits.chunks(2).map(|z| [f64::from(z[0]), f64::from(z[1])]).enumerate() {
                let expected = [relative(z), squared(z, all, whole)];
                assert!((0..2).all(|k| (found[k][i] - expected[k]).abs() < 1e-6 * (1.0 + expected[k].abs())), "{i}");
            }
        }
        let both = |test: &Mahalanobis| test.measure(&[source.clone(), away.clone()], &Streams::new(0)).unwrap().values;
        let (blind, sees) = (both(&relatively), both(&plainly));
        assert!((blind[0] - blind[1]).abs() < 1e-4 && sees[1] > 5.0 * sees[0], "{blind:?} {sees:?}");
        let logits = Sample::of_logits(vec![1.0, 0.0, 0.0, 1.0, 2.0, 0.5], 2).unwrap();
        assert!(Mahalanobis::new(Distance::Inputs, &logits).is_err());
        assert!(Mahalanobis::new(Distance::Relative, &logits).is_ok());
    }
}
