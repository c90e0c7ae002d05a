//! The trivial generators that every table carries (METHODS.md, section 14), since they beat many published ones.
//!
//! Each is a pure function of the zoo's training finals `[R, P]` and a stream. None needs a gradient; most need no model
//! at all. A method that does not beat them in accuracy *and* in novelty has shown nothing.
//!
//! | name | networks | what it shows |
//! | --- | --- | --- |
//! | `mean` | 1 | the mean of all training finals |
//! | `soup-m` | n | means of m random training finals without repetition (m = 16, or R/2 for smaller zoos) |
//! | `interpolation` | n | (1 − λ) θ_i + λ θ_j, a random pair i ≠ j, λ ~ U(0, 1) |
//! | `noise-l` | n | a random training final + noise; the noise is Gaussian with the zoo's deviation per weight, scaled to mean square length (l · leave-one-out median)², so its d is about l |
//! | `diagonal-gaussian` | n | N(mean, diag(variance)) of the finals |
//! | `pca-gaussian` | n | the Gaussian of the leading principal components that hold 95 % of the variance |
//! | `mean-move` | n | a fresh initialisation + (mean final − mean initialisation): the zoo's mean move |
//!
//! Running variances of batch normalisation are cut at 0 from below: a Gaussian does not know that they are squares.
use crate::metric::distance::count;
use crate::{Error, Layout, Result, Streams};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use thalweg_nets::layout::Role;

/// Share of the variance that the components of `pca-gaussian` hold.
const PCA_SHARE: f64 = 0.95;

/// How the zoo's runs began: what `mean-move` needs.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Mean recorded initialisation `[P]` of the training runs.
    pub mean: &'a [f32],
    /// Draws a fresh initialisation `[P]` from the zoo's own law.
    pub draw: &'a (dyn Fn(&Streams) -> Result<Vec<f32>> + Sync),
}

/// What baselines are made from.
#[derive(Clone, Copy)]
pub struct Finals<'a> {
    /// Names and places of the weights.
    pub layout: &'a Layout,
    /// Training finals `[R, P]`, R ≥ 2.
    pub training: &'a [f32],
    /// Their leave-one-out median, the unit of d ([`Neighbourhood::median`](crate::metric::novelty::Neighbourhood::median)).
    pub median: f64,
    /// How the runs began, where that is known.
    pub start: Option<Start<'a>>,
}

/// A trivial generator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// The mean of all training finals: one network.
    Mean,
    /// Means of random training finals.
    Soup {
        /// Networks in a soup.
        members: usize,
    },
    /// A random point between two random training finals.
    Interpolation,
    /// A training final plus noise.
    Noise {
        /// Length of the noise in units of the leave-one-out median.
        level: f64,
    },
    /// A Gaussian of independent weights.
    DiagonalGaussian,
    /// A Gaussian of principal components.
    PcaGaussian,
    /// A fresh initialisation plus the mean move.
    MeanMove,
}

impl Baseline {
    /// The baselines of a table for a zoo of `runs` training runs; `mean-move` where the `start` is known. Noise at 0.25
    /// is nearly a copy, at 1.1 it counts as novel.
    pub fn table(runs: usize, start: bool) -> Vec<Self> {
        let mut all = vec![
            Self::Mean,
            Self::Soup { members: 16.min(runs / 2).max(1) },
            Self::Interpolation,
            Self::Noise { level: 0.25 },
            Self::Noise { level: 1.1 },
            Self::DiagonalGaussian,
            Self::PcaGaussian,
        ];
        all.extend(start.then_some(Self::MeanMove));
        all
    }

    /// Its name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Mean => "mean".into(),
            Self::Soup { members } => format!("soup-{members}"),
            Self::Interpolation => "interpolation".into(),
            Self::Noise { level } => format!("noise-{level}"),
            Self::DiagonalGaussian => "diagonal-gaussian".into(),
            Self::PcaGaussian => "pca-gaussian".into(),
            Self::MeanMove => "mean-move".into(),
        }
    }

    /// Draws networks `[n, P]`; [`Self::Mean`] gives one, whatever n.
    ///
    /// # Errors
    /// Finals that are no `[R, P]` with R ≥ 2 or not finite, n = 0, a parameter outside its range, an unknown start.
    pub fn sample(&self, zoo: &Finals<'_>, n: usize, streams: &Streams) -> Result<Vec<f32>> {
        let p = zoo.layout.len();
        let runs = count("training finals", zoo.training, p)?;
        if runs < 2 || n == 0 {
            return Err(Error::parameter(
                "baseline",
                "at least 2 training runs and 1 network",
                format!("{runs} and {n}"),
            ));
        }
        let streams = streams.child(&self.name());
        let mut theta = match *self {
            Self::Mean => narrow(&mean(zoo.training, p)),
            Self::Soup { members } => {
                if members == 0 || members > runs {
                    return Err(Error::parameter("soup", format!("1 to {runs} members"), members));
                }
                each(n, &streams, |streams| {
                    let mut order: Vec<usize> = (0..runs).collect();
                    let (chosen, _) = order.partial_shuffle(&mut streams.rng(), members);
                    let rows: Vec<f32> = chosen.iter().flat_map(|&i| row(zoo, i)).copied().collect();
                    Ok(narrow(&mean(&rows, p)))
                })?
            }
            Self::Interpolation => each(n, &streams, |streams| {
                let mut rng = streams.rng();
                let (i, step) = (rng.random_range(0..runs), rng.random_range(1..runs));
                let share: f32 = rng.random();
                let ends = row(zoo, i).iter().zip(row(zoo, (i + step) % runs));
                Ok(ends.map(|(a, b)| a + share * (b - a)).collect())
            })?,
            Self::Noise { level } => {
                if !(level > 0.0 && level.is_finite()) {
                    return Err(Error::parameter("noise level", "a number above 0", level));
                }
                let deviation = deviation(zoo.training, p);
                let length = deviation.iter().map(|s| s * s).sum::<f64>().sqrt();
                if length == 0.0 {
                    return Err(Error::parameter("training finals", "networks that differ", "copies of each other"));
                }
                let scale = level * zoo.median / length;
                each(n, &streams, |streams| {
                    let mut rng = streams.rng();
                    let chosen = rng.random_range(0..runs);
                    let noisy = |(w, s): (&f32, &f64)| {
                        (f64::from(*w) + scale * s * rng.sample::<f64, _>(StandardNormal)) as f32
                    };
                    Ok(row(zoo, chosen).iter().zip(&deviation).map(noisy).collect())
                })?
            }
            Self::DiagonalGaussian => {
                let (mean, deviation) = (mean(zoo.training, p), deviation(zoo.training, p));
                each(n, &streams, |streams| {
                    let mut rng = streams.rng();
                    let draw = |(m, s): (&f64, &f64)| (m + s * rng.sample::<f64, _>(StandardNormal)) as f32;
                    Ok(mean.iter().zip(&deviation).map(draw).collect())
                })?
            }
            Self::PcaGaussian => pca_gaussian(zoo.training, p, n, &streams)?,
            Self::MeanMove => {
                let start = zoo
                    .start
                    .ok_or_else(|| Error::parameter("mean-move", "a zoo whose initialisation is known", "none"))?;
                if start.mean.len() != p {
                    return Err(Error::shape(
                        "mean initialisation",
                        format!("[{p}]"),
                        format!("[{}]", start.mean.len()),
                    ));
                }
                let last = mean(zoo.training, p);
                each(n, &streams, |streams| {
                    let fresh = (start.draw)(streams)?;
                    if fresh.len() != p {
                        return Err(Error::shape(
                            "fresh initialisation",
                            format!("[{p}]"),
                            format!("[{}]", fresh.len()),
                        ));
                    }
                    let moves = last.iter().zip(start.mean).map(|(last, first)| last - f64::from(*first));
                    Ok(fresh.iter().zip(moves).map(|(x, m)| (f64::from(*x) + m) as f32).collect())
                })?
            }
        };
        for slot in zoo.layout.slots().iter().filter(|slot| slot.role == Role::RunningVariance) {
            theta.chunks_exact_mut(p).flat_map(|theta| &mut theta[slot.range()]).for_each(|v| *v = v.max(0.0));
        }
        Ok(theta)
    }
}

fn row<'a>(zoo: &Finals<'a>, i: usize) -> &'a [f32] {
    let p = zoo.layout.len();
    &zoo.training[i * p..(i + 1) * p]
}

/// `n` networks in parallel, the i-th from stream `index(i)`.
fn each(n: usize, streams: &Streams, draw: impl Fn(&Streams) -> Result<Vec<f32>> + Sync) -> Result<Vec<f32>> {
    let parts: Vec<Vec<f32>> = (0..n as u64).into_par_iter().map(|i| draw(&streams.index(i))).collect::<Result<_>>()?;
    Ok(parts.concat())
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// Mean `[P]` of the rows.
fn mean(points: &[f32], p: usize) -> Vec<f64> {
    let mut mean = vec![0.0; p];
    let n = (points.len() / p) as f64;
    points.chunks_exact(p).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v)));
    mean.iter_mut().for_each(|m| *m /= n);
    mean
}

/// Standard deviation `[P]` of the rows, with n − 1.
fn deviation(points: &[f32], p: usize) -> Vec<f64> {
    let mean = mean(points, p);
    let mut squares = vec![0.0; p];
    for row in points.chunks_exact(p) {
        squares.iter_mut().zip(row.iter().zip(&mean)).for_each(|(s, (v, m))| *s += (f64::from(*v) - m).powi(2));
    }
    let below = (points.len() / p - 1) as f64;
    squares.into_iter().map(|s| (s / below).sqrt()).collect()
}

/// Samples of N(mean, W Wᵀ), W the leading principal directions scaled by their deviations, enough for [`PCA_SHARE`].
///
/// With X the centred finals, the eigenvectors u of the Gram matrix X Xᵀ/(R − 1) give the scaled directions Xᵀu/√(R − 1)
/// without a division, so small eigenvalues do no harm; R is small against P in a zoo, and the work is O(R²P + R³).
fn pca_gaussian(points: &[f32], p: usize, n: usize, streams: &Streams) -> Result<Vec<f32>> {
    let runs = points.len() / p;
    let mean = mean(points, p);
    let centred: Vec<f64> =
        points.chunks_exact(p).flat_map(|row| row.iter().zip(&mean).map(|(v, m)| f64::from(*v) - m)).collect();
    let x = MatRef::from_row_major_slice(&centred, runs, p);
    let mut gram = Mat::<f64>::zeros(runs, runs);
    matmul(gram.as_mut(), Accum::Replace, x, x.transpose(), 1.0 / (runs - 1) as f64, Par::Seq);
    let eigen = gram
        .self_adjoint_eigen(Side::Lower)
        .map_err(|e| Error::parameter("training finals", "an eigendecomposition", format!("{e:?}")))?;
    // faer sorts eigenvalues upwards.
    let values: Vec<f64> = eigen.S().column_vector().iter().rev().map(|v| v.max(0.0)).collect();
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
        let weight = |r: usize| (0..kept).map(|k| z[k] * eigen.U()[(r, runs - 1 - k)]).sum::<f64>();
        coefficients.extend((0..runs).map(|r| weight(r) / ((runs - 1) as f64).sqrt()));
    }
    let mut out = vec![0.0; n * p];
    out.chunks_exact_mut(p).for_each(|row| row.copy_from_slice(&mean));
    let coefficients = MatRef::from_row_major_slice(&coefficients, n, runs);
    matmul(MatMut::from_row_major_slice_mut(&mut out, n, p), Accum::Add, coefficients, x, 1.0, Par::Seq);
    Ok(narrow(&out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::distance::by_differences;
    use crate::metric::novelty::Neighbourhood;
    use crate::metric::wasserstein::spread;

    /// Finals whose covariance is known: three strong directions and one weak, in P = 50.
    fn zoo(runs: usize) -> (Layout, Vec<f32>) {
        let layout = Layout::of_tensors([("a".into(), vec![7, 7]), ("b".into(), vec![1])]);
        let mut rng = Streams::new(1).rng();
        let mut points = vec![1.0f32; runs * 50];
        for row in points.chunks_exact_mut(50) {
            for (j, scale) in [(0, 3.0f32), (1, 2.0), (2, 1.0), (3, 0.01)] {
                row[j] += scale * rng.sample::<f32, _>(StandardNormal);
            }
        }
        (layout, points)
    }

    fn draw(baseline: Baseline, layout: &Layout, training: &[f32], n: usize) -> Vec<f32> {
        let median = Neighbourhood::new(training, layout.len()).unwrap().median();
        baseline.sample(&Finals { layout, training, median, start: None }, n, &Streams::new(2)).unwrap()
    }

    #[test]
    fn gaussians_have_the_moments_of_the_zoo() {
        for runs in [30, 300] {
            let (layout, points) = zoo(runs);
            for baseline in [Baseline::DiagonalGaussian, Baseline::PcaGaussian] {
                let samples = draw(baseline, &layout, &points, 20_000);
                let (m, m0, s, s0) =
                    (mean(&samples, 50), mean(&points, 50), deviation(&samples, 50), deviation(&points, 50));
                for j in 0..3 {
                    assert!((m[j] - m0[j]).abs() < 5.0 * s0[j] / 20_000f64.sqrt(), "{baseline:?} mean {j}");
                    assert!((s[j] / s0[j] - 1.0).abs() < 0.03, "{baseline:?} deviation {j}: {} {}", s[j], s0[j]);
                }
                assert!(samples.chunks(50).all(|row| row[4..].iter().all(|v| (v - 1.0).abs() < 1e-5)));
                // 9 + 4 + 1 hold the variance: the weak direction is no component, though a diagonal keeps it.
                assert_eq!(s[3] < 0.5 * s0[3], baseline == Baseline::PcaGaussian, "{} {}", s[3], s0[3]);
            }
        }
    }

    #[test]
    fn the_pca_gaussian_keeps_correlations() {
        let layout = Layout::of_tensors([("a".into(), vec![2])]);
        let points: Vec<f32> = (0..20).flat_map(|i| [i as f32, 2.0 * i as f32 + 1.0]).collect();
        let samples = draw(Baseline::PcaGaussian, &layout, &points, 100);
        assert!(samples.chunks(2).all(|x| (x[1] - 2.0 * x[0] - 1.0).abs() < 1e-4));
    }

    #[test]
    fn means_soups_and_interpolations_lie_where_they_should() {
        let (layout, points) = zoo(40);
        let middle = narrow(&mean(&points, 50));
        assert_eq!(draw(Baseline::Mean, &layout, &points, 9), middle);
        assert_eq!(draw(Baseline::Soup { members: 40 }, &layout, &points, 1).len(), 50);
        let whole = draw(Baseline::Soup { members: 40 }, &layout, &points, 1);
        assert!(by_differences(&whole, &middle) < 1e-5);
        // A mean of m of R without repetition has variance (1/m)(1 − m/R) of one.
        let soups = draw(Baseline::Soup { members: 16 }, &layout, &points, 4_000);
        let ratio = spread(&soups, 50).unwrap() / spread(&points, 50).unwrap();
        assert!((ratio / ((1.0 - 16.0 / 40.0) / 16.0f64).sqrt() - 1.0).abs() < 0.05, "{ratio}");
        // Each interpolation lies on the segment of one pair: the two distances sum to the pair's.
        for x in draw(Baseline::Interpolation, &layout, &points, 20).chunks(50) {
            let on_segment =
                |a: &[f32], b: &[f32]| by_differences(a, x) + by_differences(x, b) - by_differences(a, b) < 1e-5;
            let pairs =
                points.chunks(50).enumerate().flat_map(|(i, a)| points.chunks(50).skip(i + 1).map(move |b| (a, b)));
            assert_eq!(pairs.filter(|(a, b)| on_segment(a, b)).count(), 1);
        }
    }

    #[test]
    fn noise_has_the_stated_length() {
        let (layout, points) = zoo(40);
        let zoo = Neighbourhood::new(&points, 50).unwrap();
        let noisy = draw(Baseline::Noise { level: 0.01 }, &layout, &points, 2_000);
        let d = zoo.relative(&zoo.nearest(&noisy).unwrap());
        let rms = (d.iter().map(|d| d * d).sum::<f64>() / 2_000.0).sqrt();
        assert!((rms / 0.01 - 1.0).abs() < 0.05, "{rms}");
    }

    #[test]
    fn the_mean_move_moves_fresh_draws() {
        let (layout, points) = zoo(10);
        let draw = |streams: &Streams| Ok((0..50).map(|i| i as f32 + streams.rng().random::<f32>()).collect());
        let first = vec![2.0; 50];
        let start = Some(Start { mean: &first, draw: &draw });
        let finals = Finals { layout: &layout, training: &points, median: 1.0, start };
        let moved = Baseline::MeanMove.sample(&finals, 3, &Streams::new(3)).unwrap();
        let last = mean(&points, 50);
        for (i, x) in moved.chunks(50).enumerate() {
            let fresh = draw(&Streams::new(3).child("mean-move").index(i as u64)).unwrap();
            assert!((0..50).all(|j| (f64::from(x[j] - fresh[j]) - (last[j] - 2.0)).abs() < 1e-4));
        }
        assert!(Baseline::MeanMove.sample(&Finals { start: None, ..finals }, 3, &Streams::new(3)).is_err());
    }

    #[test]
    fn seeds_decide_and_threads_do_not() {
        let (layout, points) = zoo(40);
        for baseline in Baseline::table(40, false) {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| draw(baseline, &layout, &points, 7))
            };
            assert_eq!(run(1), run(3), "{baseline:?}");
        }
        let names: std::collections::HashSet<String> = Baseline::table(40, true).iter().map(Baseline::name).collect();
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn running_variances_stay_variances() {
        let text = "input = [1, 1, 1]\n[[layers]]\nkind = \"batch-norm\"\n";
        let layout = Layout::of(&thalweg_nets::Architecture::from_toml_str(text).unwrap());
        let variance = layout.slots().iter().find(|s| s.role == Role::RunningVariance).unwrap().offset;
        let mut points = vec![1.0; 2 * layout.len()];
        points[variance] = 0.0;
        let samples = draw(Baseline::DiagonalGaussian, &layout, &points, 100);
        let column: Vec<f32> = samples.chunks(layout.len()).map(|x| x[variance]).collect();
        assert!(column.iter().all(|v| *v >= 0.0) && column.contains(&0.0));
    }
}
