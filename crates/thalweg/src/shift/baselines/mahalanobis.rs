//! Mahalanobis distances (M16; Lee et al. 2018; relative: Ren et al. 2021), averaged over the query.
//!
//! `mahalanobis`: of the inputs, to the Gaussian of P's. Images are first projected onto their leading principal directions, since a covariance
//! of 784 pixels cannot be had from some hundred rows. `relative-mahalanobis`: of f's features, the distance to the nearest class's mean
//! (one covariance for all classes) less that to the Gaussian of all rows. Neither knows whether f is wrong: both fire on harmless shift.
use super::whitening::{DIRECTIONS, mean, whitening};
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs, Prepared};
use crate::shift::stored::{Store, Stored};
use crate::shift::test::{self, KEPT, Measured, ShiftTest, Statistic};
use crate::{Error, Result, Streams, interrupt};
use rayon::prelude::*;

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
    whole: Gaussians,
    /// Of the classes; none for inputs.
    classes: Option<Gaussians>,
    /// Of the rows that are kept.
    kept: Vec<f64>,
    schema: Schema,
}

/// Gaussians with one whitening W `[k, D]`: the squared distance from the mean m_c is |W (x − o) − W (m_c − o)|², about one origin o for all, so that a
/// row is whitened once however many there are.
#[derive(Clone, Debug)]
struct Gaussians {
    origin: Vec<f64>,
    whitening: Vec<Vec<f64>>,
    /// m_c, `[C][D]`.
    means: Vec<Vec<f64>>,
    /// W (m_c − o), `[C][k]`.
    whitened: Vec<Vec<f64>>,
}

impl Gaussians {
    fn new(origin: Vec<f64>, whitening: Vec<Vec<f64>>, means: Vec<Vec<f64>>) -> Self {
        let mut of = Self { origin, whitening, means: Vec::new(), whitened: Vec::new() };
        of.whitened = means.iter().map(|mean| of.whiten(mean.iter().copied())).collect();
        Self { means, ..of }
    }

    fn one(mean: Vec<f64>, whitening: Vec<Vec<f64>>) -> Self {
        Self::new(mean.clone(), whitening, vec![mean])
    }

    /// W (x − o).
    fn whiten(&self, x: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
        let along = |w: &Vec<f64>| w.iter().zip(x.clone()).zip(&self.origin).map(|((w, x), o)| w * (x - o)).sum();
        self.whitening.iter().map(along).collect()
    }

    /// The squared distance from the nearest mean.
    fn squared(&self, row: &[f32]) -> f64 {
        let row = self.whiten(row.iter().map(|x| f64::from(*x)));
        let from = |mean: &Vec<f64>| row.iter().zip(mean).map(|(x, m)| (x - m).powi(2)).sum::<f64>();
        self.whitened.iter().map(from).fold(f64::INFINITY, f64::min)
    }

    /// o with W, as files have them.
    fn numbers(&self) -> Vec<f64> {
        [&self.origin[..], &self.whitening.concat()].concat()
    }
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
        let whole = whitening(values, d, |_| 0, std::slice::from_ref(&all))?;
        let mut classes = None;
        if kind == Distance::Relative {
            let predictions = source.predictions();
            let of = |c: usize| mean((0..source.len()).filter(|&i| predictions[i] as usize == c), values, d);
            // A class that f never names stands at the mean of all.
            let means: Vec<Vec<f64>> = (0..source.classes()).map(|c| of(c).unwrap_or_else(|| all.clone())).collect();
            let shared = whitening(values, d, |i| predictions[i] as usize, &means)?;
            classes = Some(Gaussians::new(all.clone(), shared, means));
        }
        Ok(Self { kind, whole: Gaussians::one(all, whole), classes, kept: Vec::new(), schema: source.schema() })
    }
}

impl Mahalanobis {
    fn scores(&self, query: &Sample) -> Result<Vec<f64>> {
        test::check(query, &self.schema, self.kind == Distance::Inputs)?;
        let d = self.whole.origin.len();
        let of = |row: &[f32]| {
            let whole = self.whole.squared(row);
            self.classes.as_ref().map_or(whole, |classes| classes.squared(row) - whole)
        };
        let rows = values(self.kind, query).par_chunks_exact(d);
        rows.map(|row| interrupt::check().map(|()| of(row))).collect()
    }

    /// What [`ShiftTest::save`] wrote.
    ///
    /// # Errors
    /// Tensors that do not fit the rows.
    fn stored(kind: Distance, source: &Sample, stored: &Stored) -> Result<Self> {
        let d = values(kind, source).len().checked_div(source.len()).unwrap_or(0);
        let (all, classes) = (d * (1 + d.min(DIRECTIONS)), source.classes());
        let read = |name: &str| -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
            let numbers = stored.doubles(name, all)?;
            let (first, whitening) = numbers.split_at(d);
            Ok((first.to_vec(), whitening.chunks_exact(d).map(<[f64]>::to_vec).collect()))
        };
        let (mean, whole) = read("gaussian")?;
        let mut of_classes = None;
        if kind == Distance::Relative {
            let ((_, shared), means) = (read("classes")?, stored.doubles("class-means", classes * d)?);
            of_classes =
                Some(Gaussians::new(mean.clone(), shared, means.chunks_exact(d).map(<[f64]>::to_vec).collect()));
        }
        let whole = Gaussians::one(mean, whole);
        Ok(Self { kind, whole, classes: of_classes, kept: Vec::new(), schema: source.schema() })
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
        store.double("gaussian", &self.whole.numbers());
        if let Some(classes) = &self.classes {
            store.double("classes", &classes.numbers());
            store.double("class-means", &classes.means.concat());
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
