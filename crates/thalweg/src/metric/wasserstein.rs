//! Distance between two laws of weights from samples (M19): exact W₁ (and W₂), its sampling floor, a spread ratio and an unbiased
//! energy distance. A table carries all four, since W₁ alone rewards shrinkage: copies of a marginal's mean score *below* a true sample.
//!
//! Samples are `[n, P]`. W₁ of two samples of one size is the least mean Euclidean distance over all pairings
//! (an assignment, O(n³ + n²P)); it depends on n, so generated and floor are always measured at the same n. At n = 1,000
//! and P = 2,464 it takes a fraction of a second; above some thousands use subsamples, as [`compare`] does.
use super::summary::{Better, Summary};
use crate::coupling::distance::{Points, count};
use crate::coupling::jonker_volgenant::{assign, total};
use crate::{Error, Result, Streams};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Exact W₁ between samples `a [n, P]` and `b [n, P]`, Euclidean cost.
///
/// # Errors
/// Samples that are no `[n, P]`, not finite, or of different sizes.
pub fn wasserstein_1(a: &[f32], b: &[f32], p: usize) -> Result<f64> {
    transported(a, b, p, |distance| distance)
}

/// Exact W₂ between samples `a [n, P]` and `b [n, P]`: the root of the least mean squared Euclidean distance over all pairings.
///
/// # Errors
/// As [`wasserstein_1`].
pub fn wasserstein_2(a: &[f32], b: &[f32], p: usize) -> Result<f64> {
    transported(a, b, p, |distance| distance * distance).map(f64::sqrt)
}

/// The least mean cost over all pairings, where a pair at distance d costs `cost(d)`.
fn transported(a: &[f32], b: &[f32], p: usize, cost: impl Fn(f64) -> f64) -> Result<f64> {
    let (n, m) = (count("first sample", a, p)?, count("second sample", b, p)?);
    if n != m {
        return Err(Error::shape("second sample", format!("[{n}, {p}], the size of the first"), format!("[{m}, {p}]")));
    }
    let mut costs = Points::new(a, b, p)?.all()?;
    costs.iter_mut().for_each(|value| *value = cost(*value));
    Ok(total(&costs, &assign(&costs, n)?) / n as f64)
}

/// Spread of a sample `[n, P]`: the root of its total variance, √(Σ_j Var_j) with n − 1.
///
/// # Errors
/// A sample that is no `[n, P]` with n ≥ 2, or not finite.
pub fn spread(sample: &[f32], p: usize) -> Result<f64> {
    let n = count("sample", sample, p)?;
    if n < 2 {
        return Err(Error::shape("sample", format!("[n, {p}] with n at least 2"), format!("[{n}, {p}]")));
    }
    let mut mean = vec![0.0f64; p];
    for row in sample.chunks_exact(p) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / n as f64);
    }
    let square = |row: &[f32]| row.iter().zip(&mean).map(|(v, m)| (f64::from(*v) - m).powi(2)).sum::<f64>();
    Ok((sample.chunks_exact(p).map(square).sum::<f64>() / (n - 1) as f64).sqrt())
}

/// Unbiased energy distance 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖ of samples `a [n, P]` and `b [m, P]` (Székely and Rizzo
/// 2013), pairs of a point with itself left out. Zero in the mean for equal laws, so a single value may be negative.
///
/// # Errors
/// Samples that are no `[n, P]` with n ≥ 2, or not finite.
pub fn energy_distance(a: &[f32], b: &[f32], p: usize) -> Result<f64> {
    let (n, m) = (count("first sample", a, p)?, count("second sample", b, p)?);
    if n < 2 || m < 2 {
        return Err(Error::shape(
            "samples",
            format!("[n, {p}] with n at least 2"),
            format!("[{n}, {p}] and [{m}, {p}]"),
        ));
    }
    let mean = |a, b, pairs: usize| Ok::<_, Error>(Points::new(a, b, p)?.sum()? / pairs as f64);
    Ok(2.0 * mean(a, b, n * m)? - mean(a, a, n * (n - 1))? - mean(b, b, m * (m - 1))?)
}

/// How close generated weights come to a reference sample of one marginal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Size of the samples that W₁ is taken between.
    pub n: usize,
    /// W₁ from generated to reference, over the repeats.
    pub wasserstein: Summary,
    /// W₁ between two disjoint reference samples: what a perfect generator scores.
    pub floor: Summary,
    /// Mean difference of the two and its error, paired within repeats.
    pub excess: Summary,
    /// Spread of all generated over spread of all reference points; below 1 where the generator shrinks.
    pub spread_ratio: f64,
    /// Unbiased energy distance between all generated and all reference points.
    pub energy: f64,
}

/// Compares `generated [g, P]` with `reference [r, P]` over `repeats` draws of three samples of size n = min(g, ⌊r/2⌋):
/// generated G, reference A, and reference B disjoint from A. W₁(G, A) stands beside the floor W₁(B, A).
///
/// The draws share points, so the standard errors describe the resampling, not new generated sets: over seeds of the
/// generator, average several comparisons.
///
/// # Errors
/// Samples that are no `[n, P]`, not finite, or of fewer than two points (four for the reference); no repeat; a reference without spread.
pub fn compare(
    generated: &[f32],
    reference: &[f32],
    p: usize,
    repeats: usize,
    streams: &Streams,
) -> Result<Comparison> {
    let (g, r) = (count("generated", generated, p)?, count("reference", reference, p)?);
    let n = g.min(r / 2);
    if n < 2 {
        let found = format!("[{g}, {p}] and [{r}, {p}]");
        return Err(Error::shape("generated and reference", "at least 2 and 4 points", found));
    }
    if repeats == 0 {
        return Err(Error::parameter("repeats", "at least 1", 0));
    }
    let reference_spread = spread(reference, p)?;
    if reference_spread == 0.0 {
        return Err(Error::parameter("reference", "points that differ", "one point repeated"));
    }
    let pairs: Vec<(f64, f64)> = (0..repeats as u64)
        .into_par_iter()
        .map(|i| {
            let streams = streams.index(i);
            let chosen = rows(generated, p, &choose(g, n, &streams.child("generated")));
            let (a, b) = disjoint(reference, p, n, &streams.child("reference"))?;
            Ok((wasserstein_1(&chosen, &a, p)?, wasserstein_1(&b, &a, p)?))
        })
        .collect::<Result<_>>()?;
    let summary = |what, f: &dyn Fn(&(f64, f64)) -> f64| {
        Summary::of(what, &pairs.iter().map(f).collect::<Vec<_>>(), Better::Lower)
    };
    Ok(Comparison {
        n,
        wasserstein: summary("W₁", &|x| x.0)?,
        floor: summary("floor", &|x| x.1)?,
        excess: summary("W₁ above the floor", &|x| x.0 - x.1)?,
        spread_ratio: spread(generated, p)? / reference_spread,
        energy: energy_distance(generated, reference, p)?,
    })
}

/// Two disjoint random samples `[n, P]` of `reference [r, P]`: the halves between which the sampling floor is measured.
///
/// # Errors
/// A reference that is no `[r, P]` with r ≥ 2 n, or not finite.
pub fn disjoint(reference: &[f32], p: usize, n: usize, streams: &Streams) -> Result<(Vec<f32>, Vec<f32>)> {
    let r = count("reference", reference, p)?;
    if n == 0 || r < 2 * n {
        return Err(Error::shape(
            "reference",
            format!("[r, {p}] with r at least {}", 2 * n.max(1)),
            format!("[{r}, {p}]"),
        ));
    }
    let chosen = choose(r, 2 * n, streams);
    Ok((rows(reference, p, &chosen[..n]), rows(reference, p, &chosen[n..])))
}

/// `k` different indices below `n`, in random order.
fn choose(n: usize, k: usize, streams: &Streams) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.partial_shuffle(&mut streams.rng(), k).0.to_vec()
}

fn rows(points: &[f32], p: usize, chosen: &[usize]) -> Vec<f32> {
    chosen.iter().flat_map(|&i| &points[i * p..(i + 1) * p]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coupling::distance::by_differences;
    use thalweg_nets::testing::normals;

    fn gaussian(n: usize, mean: f32, streams: &Streams) -> Vec<f32> {
        normals(streams, n).into_iter().map(|z| mean + z).collect()
    }

    /// The least sum of distances to the power of `order`, over all ways to pair rows from `row` on.
    fn brute(a: &[f32], b: &[f32], p: usize, order: i32, row: usize, used: u32) -> f64 {
        let n = a.len() / p;
        if row == n {
            return 0.0;
        }
        let distance = |j: usize| by_differences(&a[row * p..][..p], &b[j * p..][..p]);
        let rest = |j: usize| distance(j).powi(order) + brute(a, b, p, order, row + 1, used | 1 << j);
        (0..n).filter(|j| used & 1 << j == 0).map(rest).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn no_pairing_is_shorter() {
        for n in 1..=7 {
            let streams = Streams::new(n as u64);
            let (a, b) = (gaussian(n * 3, 0.0, &streams.child("a")), gaussian(n * 3, 0.5, &streams.child("b")));
            let least = |order| brute(&a, &b, 3, order, 0, 0) / n as f64;
            assert!((wasserstein_1(&a, &b, 3).unwrap() - least(1)).abs() < 1e-6);
            assert!((wasserstein_2(&a, &b, 3).unwrap() - least(2).sqrt()).abs() < 1e-6);
        }
    }

    #[test]
    fn a_translated_sample_is_as_far_as_the_translation() {
        let (n, p) = (200, 40);
        let a = gaussian(n * p, 0.0, &Streams::new(1));
        let b: Vec<f32> = a.iter().enumerate().map(|(i, v)| v + [3.0, -4.0][i % 2]).collect();
        let order: Vec<usize> = (0..n).map(|i| (i * 7) % n).collect();
        // Each pair of coordinates moves by (3, −4), so the whole point moves by 5 √(P/2); Jensen: nothing is shorter.
        let found = wasserstein_1(&a, &rows(&b, p, &order), p).unwrap();
        assert!((found - 5.0 * (p as f64 / 2.0).sqrt()).abs() < 1e-5, "{found}");
        assert_eq!(wasserstein_1(&a, &rows(&a, p, &order), p).unwrap(), 0.0);
    }

    #[test]
    fn on_a_line_sorted_points_are_paired() {
        let (mut a, mut b) = (gaussian(333, 0.0, &Streams::new(2)), gaussian(333, 1.0, &Streams::new(3)));
        let found = wasserstein_1(&a, &b, 1).unwrap();
        a.sort_by(f32::total_cmp);
        b.sort_by(f32::total_cmp);
        let sorted = a.iter().zip(&b).map(|(x, y)| f64::from((x - y).abs())).sum::<f64>() / 333.0;
        assert!((found - sorted).abs() < 1e-6, "{found} {sorted}");
    }

    #[test]
    fn the_energy_distance_is_unbiased() {
        // Many small samples, where the biased form would be off by far: 2/√π/n·2 = 0.45 at n = 5.
        let mean_of = |shift: f32, p: usize| {
            let draw = |i: u64| {
                let s = Streams::new(4).index(i);
                energy_distance(&gaussian(5 * p, 0.0, &s.child("x")), &gaussian(7 * p, shift, &s.child("y")), p)
                    .unwrap()
            };
            Summary::of("energy", &(0..4_000).map(draw).collect::<Vec<_>>(), Better::Lower).unwrap()
        };
        for p in [1, 10] {
            let same = mean_of(0.0, p);
            assert!(same.mean.abs() < 4.0 * same.sem, "{same:?}");
        }
        // N(0, 1) and N(1, 1): X − Y ~ N(−1, 2), whose mean modulus is (2/√π) e^{−1/4} + erf(1/2) = 1.39927…; 2·that − 4/√π.
        let apart = mean_of(1.0, 1);
        let pi_root = std::f64::consts::PI.sqrt();
        let truth = 2.0 * (2.0 / pi_root * (-0.25f64).exp() + 0.520_499_877_813_046_5) - 4.0 / pi_root;
        assert!((apart.mean - truth).abs() < 4.0 * apart.sem, "{apart:?} {truth}");
    }

    #[test]
    fn the_comparison_tells_shrinkage_from_truth() {
        let p = 50;
        let (reference, true_sample) =
            (gaussian(200 * p, 0.0, &Streams::new(5)), gaussian(100 * p, 0.0, &Streams::new(6)));
        let shrunk: Vec<f32> = true_sample.iter().map(|v| 0.2 * v).collect();
        let fair = compare(&true_sample, &reference, p, 4, &Streams::new(7)).unwrap();
        assert_eq!(fair.n, 100);
        assert!((fair.wasserstein.mean / fair.floor.mean - 1.0).abs() < 0.02, "{fair:?}");
        assert!((fair.spread_ratio - 1.0).abs() < 0.05 && fair.energy.abs() < 0.05, "{fair:?}");
        let small = compare(&shrunk, &reference, p, 4, &Streams::new(7)).unwrap();
        assert!(small.excess.mean < 0.0, "W₁ alone is fooled: {small:?}");
        assert!((small.spread_ratio - 0.2).abs() < 0.02 && small.energy > 1.0, "{small:?}");
        assert_eq!(small, compare(&shrunk, &reference, p, 4, &Streams::new(7)).unwrap());
    }

    #[test]
    fn disjoint_samples_are_disjoint() {
        let reference: Vec<f32> = (0..21).map(|i| i as f32).collect();
        let (a, b) = disjoint(&reference, 1, 10, &Streams::new(8)).unwrap();
        let mut all = [a, b].concat();
        all.sort_by(f32::total_cmp);
        all.dedup();
        assert_eq!(all.len(), 20);
        assert!(disjoint(&reference, 1, 11, &Streams::new(8)).is_err());
    }

    #[test]
    fn bad_samples_are_refused() {
        assert!(wasserstein_1(&[0.0; 4], &[0.0; 6], 2).unwrap_err().to_string().contains("size of the first"));
        assert!(energy_distance(&[0.0; 2], &[0.0; 4], 2).is_err());
        assert!(spread(&[0.0; 2], 2).is_err());
        assert!(compare(&[0.0; 4], &[1.0; 8], 2, 0, &Streams::new(0)).is_err());
        assert!(compare(&[0.0; 4], &[1.0; 8], 2, 1, &Streams::new(0)).unwrap_err().to_string().contains("differ"));
    }
}
