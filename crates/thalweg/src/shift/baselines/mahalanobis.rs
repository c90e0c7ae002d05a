//! Mahalanobis distances (M16; Lee et al. 2018; relative: Ren et al. 2021), averaged over the query.
//!
//! `mahalanobis`: of the inputs, to the Gaussian of P's. Images are first projected onto their leading principal directions, since a covariance
//! of 784 pixels cannot be had from some hundred rows. `relative-mahalanobis`: of f's features, the distance to the nearest class's mean
//! (one covariance for all classes) less that to the Gaussian of all rows. Neither knows whether f is wrong: both fire on harmless shift.
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs, Prepared};
use crate::shift::stored::{Store, Stored};
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
    /// The means of the classes, one whitening for all.
    classes: Vec<Gaussian>,
    schema: Schema,
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
        let whitening = Gaussian::whitening(values, d, |_| 0, std::slice::from_ref(&all))?;
        let mut classes = Vec::new();
        if kind == Distance::Relative {
            let predictions = source.predictions();
            let of = |c: usize| mean((0..source.len()).filter(|&i| predictions[i] as usize == c), values, d);
            // A class that f never names stands at the mean of all.
            let means: Vec<Vec<f64>> = (0..source.classes()).map(|c| of(c).unwrap_or_else(|| all.clone())).collect();
            let shared = Gaussian::whitening(values, d, |i| predictions[i] as usize, &means)?;
            classes = means.into_iter().map(|mean| Gaussian { mean, whitening: shared.clone() }).collect();
        }
        Ok(Self { kind, whole: Gaussian { mean: all, whitening }, classes, schema: source.schema() })
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
        Ok(values(self.kind, query).chunks_exact(d).map(of).collect())
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
            Ok(Gaussian { mean: mean.to_vec(), whitening: whitening.chunks_exact(d).map(<[f64]>::to_vec).collect() })
        };
        let mut test = Self { kind, whole: read("gaussian")?, classes: Vec::new(), schema: source.schema() };
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
};

/// The same of features, relative.
pub static RELATIVE: Factory = Factory {
    name: "relative-mahalanobis",
    looks_at: "distance of the model's features from those of its classes on P",
    needs: Needs::Logits,
    trains_per_query: false,
    prepare: |parts, stored, _| Mahalanobis::prepared(Distance::Relative, &parts.reference.train, stored),
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

    fn measure_rows(&self, rows: &Sample, queries: &[Vec<usize>], _: &Streams) -> Result<Measured> {
        Ok(test::means_of_rows(&self.scores(rows)?, queries))
    }

    fn save(&self, store: &mut Store) {
        let numbers = |g: &Gaussian| [&g.mean[..], &g.whitening.concat()].concat();
        store.double("gaussian", &numbers(&self.whole));
        if let Some(first) = self.classes.first() {
            store.double("classes", &numbers(first));
            store.double("class-means", &self.classes.iter().flat_map(|g| g.mean.iter().copied()).collect::<Vec<_>>());
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
    fn relative_distance_is_blind_along_what_classes_share() {
        // Two classes apart in the first feature, each a cross along both axes: the covariance within classes and that of all rows differ in the first
        // only, so that moving rows along the second leaves the difference of the distances as it was.
        let cross = [[0.0f32, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        let at = |side: f32| cross.iter().flat_map(move |v| [6.0 * side + v[0], v[1]]);
        let rows = Sample::of_logits(at(1.0).chain(at(-1.0)).collect(), 2).unwrap();
        let labels = rows.predictions();
        assert!(labels[..5].iter().all(|&c| c == 0) && labels[5..].iter().all(|&c| c == 1));
        let test = Mahalanobis::new(Distance::Relative, &rows).unwrap();
        let of = |x: f32, y: f32| {
            let mut query = Sample::of_logits(vec![x, y], 2).unwrap();
            query.features = vec![x, y];
            test.measure(&[query], &Streams::new(0)).unwrap().values[0]
        };
        assert!((of(6.0, 0.0) - of(6.0, 5.0)).abs() < 1e-9, "{} {}", of(6.0, 0.0), of(6.0, 5.0));
        assert!(of(0.0, 0.0) > of(6.0, 0.0) + 10.0);
        let logits = Sample::of_logits(vec![1.0, 0.0, 0.0, 1.0, 2.0, 0.5], 2).unwrap();
        assert!(Mahalanobis::new(Distance::Inputs, &logits).is_err());
        assert!(Mahalanobis::new(Distance::Relative, &logits).is_ok());
    }
}
