//! D3M (Nguyen, Shui, Giri et al. 2025, "Reliably Detecting Model Failures in Deployment Without Labels"): how far do networks that are as plausible on
//! P as f is disagree with f on Q?
//!
//! From a posterior over f's last layer `SAMPLES` networks are drawn once. The statistic is the greatest, over them, of the mean probability that a
//! network does not give to f's class; what is beyond the law of held-out rows is an alarm. No training at query time, and no rows of P but the held-out
//! ones. Deviates: f is the user's, so that in place of the paper's variational last layer, which is trained with the network, the posterior is
//! Laplace's about f's own weights, with Kronecker factors (Ritter, Botev, Barber 2018) and a standard Gaussian prior; the paper draws a label of each
//! network and row, here its expectation stands, which takes the noise of that draw away; and the law is that of permutations, as for all tests here.
//!
//! With φ the last hidden layer and a 1, and p f's probabilities, the precision of the last layer's weights is N A ⊗ G + 1 with A the mean of φφᵀ and G that of
//! diag(p) − ppᵀ over the N training rows, taken as (√N A + 1) ⊗ (√N G + 1). Cost: a query of n rows is n · `SAMPLES` last layers.
use crate::nn::normal;
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs};
use crate::shift::stored::{Store, Stored};
use crate::shift::test::{self, KEPT, Measured, ShiftTest, Statistic};
use crate::{Error, Result, Streams};
use faer::{Mat, Side};
use rayon::prelude::*;
use thalweg_nets::loss::softmax_rows;

/// Networks drawn, where they have no more than [`NUMBERS`] numbers together; fewer, but [`FEWEST`], of wide last layers.
const SAMPLES: usize = 200;
const NUMBERS: usize = 1 << 24;
const FEWEST: usize = 20;

/// The test.
#[derive(Clone, Debug)]
pub struct D3m {
    /// What each network adds to the last layer, `[K, C, F + 1]`.
    drawn: Vec<f32>,
    features: usize,
    /// [`Self::disagreements_of`] the rows that are kept.
    kept: Vec<f32>,
    schema: Schema,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "d3m",
    looks_at: "how far networks drawn from a posterior of the model's last layer disagree with it",
    needs: Needs::Network,
    trains_per_query: false,
    prepare: |parts, stored, streams| {
        let source = &parts.reference.train;
        Ok(Box::new(match stored {
            Some(stored) => D3m::stored(source, stored)?,
            None => D3m::new(source, streams)?,
        }))
    },
    trained: None,
};

/// (√N m + 1)^(−1/2) of a symmetric matrix m.
fn root(matrix: &Mat<f64>, rows: usize) -> Result<Mat<f64>> {
    let eigen = matrix
        .self_adjoint_eigen(Side::Lower)
        .map_err(|e| Error::parameter("factor of the posterior", "a matrix with eigenvalues", format!("{e:?}")))?;
    let size = matrix.nrows();
    let root = |k: usize| ((rows as f64).sqrt() * eigen.S()[k].max(0.0) + 1.0).powf(-0.5);
    let scaled = Mat::from_fn(size, size, |i, k| eigen.U()[(i, k)] * root(k));
    Ok(&scaled * eigen.U().transpose())
}

/// The last hidden layer of a row and a 1.
fn with_one(features: &[f32]) -> impl Iterator<Item = f32> + Clone + '_ {
    features.iter().copied().chain([1.0])
}

impl D3m {
    /// With training rows of P.
    ///
    /// # Errors
    /// A factor of the posterior that cannot be decomposed.
    pub fn new(source: &Sample, streams: &Streams) -> Result<Self> {
        let (n, c, f) = (source.len(), source.classes(), source.feature_width() + 1);
        let (mut inner, mut outer) = (Mat::<f64>::zeros(f, f), Mat::<f64>::zeros(c, c));
        let probabilities = source.probabilities();
        for (features, p) in source.features.chunks_exact(f - 1).zip(probabilities.chunks_exact(c)) {
            let features: Vec<f64> = with_one(features).map(f64::from).collect();
            for b in 0..f {
                (b..f).for_each(|a| inner[(a, b)] += features[a] * features[b] / n as f64);
            }
            for b in 0..c {
                let own = f64::from(p[b]);
                outer[(b, b)] += own / n as f64;
                (b..c).for_each(|a| outer[(a, b)] -= f64::from(p[a]) * own / n as f64);
            }
        }
        let (inner, outer) = (root(&inner, n)?, root(&outer, n)?);
        let samples = (NUMBERS / (c * f)).clamp(FEWEST, SAMPLES);
        let one = |k: usize| -> Vec<f32> {
            let mut noise = vec![0.0; c * f];
            normal::fill(&mut streams.child("drawn").index(k as u64).rng(), &mut noise);
            let noise = Mat::from_fn(c, f, |a, b| f64::from(noise[a * f + b]));
            let drawn = &outer * noise * &inner;
            (0..c).flat_map(|a| (0..f).map(move |b| (a, b))).map(|at| drawn[at] as f32).collect()
        };
        let drawn: Vec<Vec<f32>> = (0..samples).into_par_iter().map(one).collect();
        Ok(Self { drawn: drawn.concat(), features: f, kept: Vec::new(), schema: source.schema() })
    }

    /// What [`ShiftTest::save`] wrote.
    fn stored(source: &Sample, stored: &Stored) -> Result<Self> {
        let (c, features) = (source.classes(), source.feature_width() + 1);
        let drawn = stored.rows("drawn", c * features)?;
        Ok(Self { drawn, features, kept: Vec::new(), schema: source.schema() })
    }

    fn networks(&self) -> usize {
        self.drawn.len() / (self.schema.classes * self.features)
    }

    /// The probability that each network does not give to f's class, `[N, K]`.
    fn disagreements_of(&self, rows: &Sample) -> Result<Vec<f32>> {
        test::check(rows, &self.schema, false)?;
        if rows.feature_width() + 1 != self.features {
            let found = format!("[{}, {}]", rows.len(), rows.feature_width());
            return Err(Error::shape("features", format!("[N, {}]", self.features - 1), found));
        }
        let (c, predictions) = (rows.classes(), rows.predictions());
        let of = |i: usize| -> Vec<f32> {
            let (features, z) =
                (&rows.features[i * (self.features - 1)..][..self.features - 1], &rows.logits[i * c..][..c]);
            let dot = |w: &[f32]| w.iter().zip(with_one(features)).map(|(w, x)| w * x).sum::<f32>();
            let added = self.drawn.chunks_exact(self.features).zip(z.iter().cycle()).map(|(w, z)| z + dot(w));
            let p = softmax_rows(&added.collect::<Vec<_>>(), c);
            p.chunks_exact(c).map(|p| 1.0 - p[predictions[i] as usize]).collect()
        };
        Ok((0..rows.len()).into_par_iter().map(of).collect::<Vec<_>>().concat())
    }

    /// The greatest mean over rows, given by their disagreements `[K]` each.
    fn greatest<'a>(&self, rows: impl ExactSizeIterator<Item = &'a [f32]>) -> f64 {
        let (mut sums, n) = (vec![0f64; self.networks()], rows.len() as f64);
        rows.for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, d)| *sum += f64::from(*d)));
        sums.into_iter().fold(0.0, f64::max) / n
    }

    fn mean_of_row(row: &[f32]) -> f64 {
        row.iter().map(|d| f64::from(*d)).sum::<f64>() / row.len() as f64
    }
}

impl ShiftTest for D3m {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::verdict("greatest-disagreement")] }
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Measured> {
        let mut all = Measured::default();
        for query in queries {
            let each = self.disagreements_of(query)?;
            let rows = || each.chunks_exact(self.networks());
            all.values.push(self.greatest(rows()));
            if all.row_scores.is_empty() {
                all.row_scores = rows().map(Self::mean_of_row).collect();
            }
        }
        Ok(all)
    }

    fn measure_rows(&self, rows: &Sample, kept: usize, queries: &[Vec<usize>], _: &Streams) -> Result<Measured> {
        let networks = self.networks();
        let known = if kept < rows.len() && self.kept.len() == kept * networks { kept } else { 0 };
        let others = self.disagreements_of(&rows.from(known))?;
        let row = |&r: &usize| match r < known {
            true => &self.kept[r * networks..(r + 1) * networks],
            false => &others[(r - known) * networks..(r - known + 1) * networks],
        };
        let values = queries.par_iter().map(|query| self.greatest(query.iter().map(row))).collect();
        let row_scores = queries.first().map_or(Vec::new(), |q| q.iter().map(|r| Self::mean_of_row(row(r))).collect());
        Ok(Measured { values, row_scores, ..Measured::default() })
    }

    fn keep(&mut self, rows: &Sample, stored: Option<&Stored>) -> Result<()> {
        let shape = [rows.len(), self.networks()];
        let known = stored.map(|stored| stored.single_if_there(KEPT, &shape)).transpose()?.flatten();
        self.kept = known.map_or_else(|| self.disagreements_of(rows), Ok)?;
        Ok(())
    }

    fn save(&self, store: &mut Store) {
        let wide = self.schema.classes * self.features;
        store.single("drawn", &[self.networks(), wide], &self.drawn);
        if !self.kept.is_empty() {
            store.single(KEPT, &[self.kept.len() / self.networks(), self.networks()], &self.kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::world;
    use thalweg_nets::testing::normals;

    #[test]
    fn networks_are_drawn_with_the_covariance_of_the_posterior() {
        // Features x, f's logits (x, −x): A is [[mean x², mean x], [mean x, 1]] and G is g [[1, −1], [−1, 1]] with g the mean of p(1 − p).
        let n = 50;
        let x = normals(&Streams::new(1), n);
        let mut source = Sample::of_logits(x.iter().flat_map(|x| [*x, -x]).collect(), 2).unwrap();
        source.features = x.clone();
        let mean = |of: &dyn Fn(f64) -> f64| x.iter().map(|x| of(f64::from(*x))).sum::<f64>() / n as f64;
        let g = mean(&|x| (1.0 / (1.0 + (-2.0 * x).exp())) * (1.0 / (1.0 + (2.0 * x).exp())));
        let root = (n as f64).sqrt();
        let [a, b, c] = [root * mean(&|x| x * x) + 1.0, root * mean(&|x| x), root + 1.0];
        let det = a * c - b * b;
        // Of the difference of the two logits at features (x, 1): (1, −1) has the eigenvalue 2g.
        let expected = |x: f64| 2.0 / (root * 2.0 * g + 1.0) * (c * x * x - 2.0 * b * x + a) / det;
        let drawn: Vec<f32> = (0..60).flat_map(|s| D3m::new(&source, &Streams::new(s)).unwrap().drawn).collect();
        for x in [0.0, 1.0, -3.0] {
            let difference = |w: &[f32]| f64::from(w[0] - w[2]) * x + f64::from(w[1] - w[3]);
            let all: Vec<f64> = drawn.chunks_exact(4).map(difference).collect();
            let variance = all.iter().map(|d| d * d).sum::<f64>() / all.len() as f64;
            // 12,000 draws: a standard error of √(2/12,000) of the variance.
            let error = 4.0 * (2.0 / all.len() as f64).sqrt();
            assert!((variance / expected(x) - 1.0).abs() < error, "{x}: {variance} {}", expected(x));
        }
    }

    #[test]
    fn the_statistic_is_that_of_its_definition_and_kept_rows_change_nothing() {
        let world = world::two_clouds(1);
        let mut test = D3m::new(&world.reference.train, &Streams::new(2)).unwrap();
        let rows = world.near(30, 1).joined(&world.far(12, 2));
        let queries = [(30..42).collect::<Vec<_>>(), vec![3, 31, 7], (0..30).collect()];
        let once = test.measure_rows(&rows, 0, &queries, &Streams::new(0)).unwrap();
        let by_definition = |query: &[usize]| {
            let (f, features) = (rows.predictions(), rows.feature_width());
            let of = |network: &[f32]| {
                let taken = |&i: &usize| {
                    let z = |class: usize| {
                        let w = &network[class * (features + 1)..][..features + 1];
                        let own = &rows.features[i * features..][..features];
                        let added: f32 = w.iter().zip(own).map(|(w, x)| w * x).sum::<f32>() + w[features];
                        f64::from(rows.logits[2 * i + class] + added)
                    };
                    let (own, other) = (z(f[i] as usize), z(1 - f[i] as usize));
                    1.0 / (1.0 + (own - other).exp())
                };
                query.iter().map(taken).sum::<f64>() / query.len() as f64
            };
            test.drawn.chunks_exact(2 * (features + 1)).map(of).fold(0.0, f64::max)
        };
        for (query, value) in queries.iter().zip(&once.values) {
            assert!((by_definition(query) - value).abs() < 1e-4, "{value}");
        }
        assert!(once.values[0] > once.values[2] + 0.05, "networks part where f was shown nothing: {once:?}");
        test.keep(&rows.rows(&(0..30).collect::<Vec<_>>()), None).unwrap();
        assert_eq!(test.measure_rows(&rows, 30, &queries, &Streams::new(0)).unwrap(), once);
        let each: Vec<Sample> = queries.iter().map(|q| rows.rows(q)).collect();
        assert_eq!(test.measure(&each, &Streams::new(0)).unwrap(), once);
    }
}
