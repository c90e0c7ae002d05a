//! Mahalanobis distances (M16; Lee et al. 2018; relative: Ren et al. 2021), averaged over the query.
//!
//! `mahalanobis`: of the inputs, to the Gaussian of P's. Images are first projected onto their leading principal directions, since a covariance
//! of 784 pixels cannot be had from some hundred rows. `relative-mahalanobis`: of f's features, the distance to the nearest class's mean
//! (one covariance for all classes) less that to the Gaussian of all rows. Neither knows whether f is wrong: both fire on harmless shift.
use crate::shift::base::Sample;
use crate::shift::test::{self, Measured, ShiftTest, Statistic};
use crate::{Error, Result, Streams};
use faer::{Mat, Side};

/// Directions kept of wide rows.
const DIRECTIONS: usize = 64;

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
    /// Means of the classes in whitened coordinates of their common covariance.
    classes: Vec<Gaussian>,
    like: Sample,
}

/// Mean, and a whitening `[k, D]` so that the squared distance is |W (x − m)|².
#[derive(Clone, Debug)]
struct Gaussian {
    mean: Vec<f64>,
    whitening: Vec<Vec<f64>>,
}

impl Gaussian {
    /// Of rows `[N, D]` about their means `[N]` → which mean.
    fn whitening(
        rows: &[f32],
        d: usize,
        mean_of: impl Fn(usize) -> usize,
        means: &[Vec<f64>],
    ) -> Result<Vec<Vec<f64>>> {
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
        let eigen = covariance
            .self_adjoint_eigen(Side::Lower)
            .map_err(|e| Error::parameter("covariance of P", "a matrix with eigenvalues", format!("{e:?}")))?;
        let trace: f64 = (0..d).map(|j| covariance[(j, j)]).sum();
        let floor = 1e-4 * trace / d as f64 + f64::MIN_POSITIVE;
        // faer sorts upwards.
        let kept = (0..d).rev().take(DIRECTIONS);
        let row = |k: usize| {
            let scale = eigen.S()[k].max(floor).sqrt().recip();
            (0..d).map(|j| scale * eigen.U()[(j, k)]).collect()
        };
        Ok(kept.map(row).collect())
    }

    fn squared(&self, row: &[f32]) -> f64 {
        let along =
            |w: &Vec<f64>| w.iter().zip(row).zip(&self.mean).map(|((w, x), m)| w * (f64::from(*x) - m)).sum::<f64>();
        self.whitening.iter().map(|w| along(w).powi(2)).sum()
    }
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
    /// With training rows as home.
    ///
    /// # Errors
    /// Rows without inputs where those are asked for; a covariance that cannot be decomposed.
    pub fn new(kind: Distance, home: &Sample) -> Result<Self> {
        let values = values(kind, home);
        let d = values.len().checked_div(home.len()).unwrap_or(0);
        let Some(all) = mean(0..home.len(), values, d).filter(|_| d > 0) else {
            return Err(Error::parameter("mahalanobis", "rows with inputs", "logits alone"));
        };
        let whitening = Gaussian::whitening(values, d, |_| 0, std::slice::from_ref(&all))?;
        let mut classes = Vec::new();
        if kind == Distance::Relative {
            let predictions = home.predictions();
            let of = |c: usize| mean((0..home.len()).filter(|&i| predictions[i] as usize == c), values, d);
            // A class that f never names stands at the mean of all.
            let means: Vec<Vec<f64>> = (0..home.classes()).map(|c| of(c).unwrap_or_else(|| all.clone())).collect();
            let shared = Gaussian::whitening(values, d, |i| predictions[i] as usize, &means)?;
            classes = means.into_iter().map(|mean| Gaussian { mean, whitening: shared.clone() }).collect();
        }
        Ok(Self { kind, whole: Gaussian { mean: all, whitening }, classes, like: home.rows(&[0]) })
    }
}

fn values(kind: Distance, rows: &Sample) -> &[f32] {
    if kind == Distance::Inputs { &rows.inputs } else { &rows.features }
}

impl ShiftTest for Mahalanobis {
    fn name(&self) -> &'static str {
        if self.kind == Distance::Inputs { "mahalanobis" } else { "relative-mahalanobis" }
    }

    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("distance")] }
    }

    fn measure(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<f64>> {
        let each = queries.iter().map(|q| {
            let rows = self.blame(q, streams)?;
            Ok(rows.iter().sum::<f64>() / rows.len() as f64)
        });
        each.collect()
    }

    fn measure_rows(&self, rows: &Sample, queries: &[Vec<usize>], streams: &Streams) -> Result<Measured> {
        Ok(test::means(&self.blame(rows, streams)?, queries))
    }

    fn blame(&self, query: &Sample, _: &Streams) -> Result<Vec<f64>> {
        test::check(query, &self.like, self.kind == Distance::Inputs)?;
        let d = self.whole.mean.len();
        let of = |row: &[f32]| {
            let nearest = self.classes.iter().map(|g| g.squared(row)).fold(f64::INFINITY, f64::min);
            let whole = self.whole.squared(row);
            if self.classes.is_empty() { whole } else { nearest - whole }
        };
        Ok(values(self.kind, query).chunks_exact(d).map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::world;

    #[test]
    fn distances_at_home_average_to_the_dimension() {
        // Mean of (x − m)ᵀ S⁻¹ (x − m) over the rows that gave m and S is exactly D.
        let world = world::two_clouds(1);
        let home = &world.reference.train;
        let test = Mahalanobis::new(Distance::Inputs, home).unwrap();
        let s = test.measure(&[home.clone(), world.far(20, 1)], &Streams::new(0)).unwrap();
        assert!((s[0] - 2.0).abs() < 1e-6 && s[1] > 10.0, "{s:?}");
    }

    #[test]
    fn relative_distance_is_shift_free_along_what_classes_share() {
        let world = world::two_clouds(1);
        let test = Mahalanobis::new(Distance::Relative, &world.reference.train).unwrap();
        let at_home = test.measure(std::slice::from_ref(&world.reference.held), &Streams::new(0)).unwrap()[0];
        let blame = test.blame(&world.reference.held, &Streams::new(0)).unwrap();
        assert!((blame.iter().sum::<f64>() / blame.len() as f64 - at_home).abs() < 1e-9);
        let logits = Sample::of_logits(vec![1.0, 0.0, 0.0, 1.0, 2.0, 0.5], 2).unwrap();
        assert!(Mahalanobis::new(Distance::Inputs, &logits).is_err());
        assert!(Mahalanobis::new(Distance::Relative, &logits).is_ok());
    }
}
