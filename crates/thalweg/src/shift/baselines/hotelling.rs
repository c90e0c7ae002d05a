//! Hotelling's T² of the inputs (Hotelling 1931): the squared Mahalanobis distance of the query's mean from that of P.
//!
//! Where [`super::mahalanobis`] asks whether single rows lie far out, this asks whether all of them have moved the same way, however little each: a gain of
//! a tenth in all channels, a sensor that stands still within its range. Fires on harmless shift too.
use super::whitening::{DIRECTIONS, mean, whitening};
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs, Prepared};
use crate::shift::stored::{Store, Stored};
use crate::shift::test::{self, KEPT, Measured, ShiftTest, Statistic};
use crate::{Error, Result, Streams, interrupt};
use rayon::prelude::*;

/// The test.
#[derive(Clone, Debug)]
pub struct Hotelling {
    /// m.
    mean: Vec<f64>,
    /// W, `[k ≤ DIRECTIONS, D]`.
    whitening: Vec<Vec<f64>>,
    /// W (x − m) of the rows that are kept, `[N, k]`.
    kept: Vec<f64>,
    schema: Schema,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "hotelling",
    looks_at: "mean of the inputs, by their covariance on P",
    needs: Needs::Inputs,
    trains_per_query: false,
    prepare: |parts, stored, _| prepared(&parts.reference.train, stored),
    trained: None,
};

fn prepared(source: &Sample, stored: Option<&Stored>) -> Prepared {
    let Some(stored) = stored else { return Ok(Box::new(Hotelling::new(source)?)) };
    let d = source.width();
    let whitening = stored.doubles("whitening", d * d.min(DIRECTIONS))?.chunks_exact(d).map(<[f64]>::to_vec).collect();
    let schema = source.schema();
    Ok(Box::new(Hotelling { mean: stored.doubles("mean", d)?, whitening, kept: Vec::new(), schema }))
}

impl Hotelling {
    /// With training rows of P.
    ///
    /// # Errors
    /// Rows without inputs; a covariance that cannot be decomposed.
    pub fn new(source: &Sample) -> Result<Self> {
        let d = source.width();
        let Some(mean) = mean(0..source.len(), &source.inputs, d).filter(|_| d > 0) else {
            return Err(Error::parameter("hotelling", "rows with inputs", "logits alone"));
        };
        let whitening = whitening(&source.inputs, d, |_| 0, std::slice::from_ref(&mean))?;
        Ok(Self { mean, whitening, kept: Vec::new(), schema: source.schema() })
    }

    /// W (x − m) of each of `rows`, `[N, k]`.
    fn whitened(&self, rows: &Sample) -> Result<Vec<f64>> {
        test::check(rows, &self.schema, true)?;
        let of_row = |row: &[f32]| -> Result<Vec<f64>> {
            interrupt::check()?;
            let centred: Vec<f64> = row.iter().zip(&self.mean).map(|(x, m)| f64::from(*x) - m).collect();
            let along = |w: &Vec<f64>| w.iter().zip(&centred).map(|(w, x)| w * x).sum();
            Ok(self.whitening.iter().map(along).collect())
        };
        let each: Vec<Vec<f64>> = rows.inputs.par_chunks_exact(self.mean.len()).map(of_row).collect::<Result<_>>()?;
        Ok(each.concat())
    }

    /// |mean of W (x − m)|² over some of the rows `whitened [N, k]`.
    fn squared(&self, whitened: &[f64], query: &[usize]) -> f64 {
        let k = self.whitening.len();
        let mut sum = vec![0.0; k];
        for &row in query {
            sum.iter_mut().zip(&whitened[row * k..(row + 1) * k]).for_each(|(sum, x)| *sum += x);
        }
        sum.iter().map(|sum| (sum / query.len() as f64).powi(2)).sum()
    }
}

impl ShiftTest for Hotelling {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("t2")] }
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Measured> {
        let of = |query: &Sample| Ok(self.squared(&self.whitened(query)?, &(0..query.len()).collect::<Vec<_>>()));
        Ok(Measured { values: queries.iter().map(of).collect::<Result<_>>()?, ..Measured::default() })
    }

    fn measure_rows(&self, rows: &Sample, kept: usize, queries: &[Vec<usize>], _: &Streams) -> Result<Measured> {
        let is_kept = kept > 0 && kept < rows.len() && self.kept.len() == kept * self.whitening.len();
        let whitened = match is_kept {
            true => [&self.kept[..], &self.whitened(&rows.from(kept))?].concat(),
            false => self.whitened(rows)?,
        };
        let values = queries.iter().map(|query| self.squared(&whitened, query)).collect();
        Ok(Measured { values, ..Measured::default() })
    }

    fn keep(&mut self, rows: &Sample, stored: Option<&Stored>) -> Result<()> {
        let numbers = rows.len() * self.whitening.len();
        let known = stored.map(|stored| stored.doubles_if_there(KEPT, numbers)).transpose()?.flatten();
        self.kept = known.map_or_else(|| self.whitened(rows), Ok)?;
        Ok(())
    }

    fn save(&self, store: &mut Store) {
        store.double("mean", &self.mean);
        store.double("whitening", &self.whitening.concat());
        if !self.kept.is_empty() {
            store.double(KEPT, &self.kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mahalanobis::{Distance, Mahalanobis};
    use super::*;
    use thalweg_nets::testing::normals;

    /// Rows of two features that go together about (4, 10), times a gain.
    fn rows(n: usize, gain: f32, seed: u64) -> Sample {
        let noise = normals(&Streams::new(seed), 2 * n);
        let inputs = noise.chunks(2).flat_map(|e| [gain * (4.0 + e[0]), gain * (10.0 + 2.0 * e[0] + 0.2 * e[1])]);
        Sample::of_rows(inputs.collect(), vec![0.0; 2 * n], 2).unwrap()
    }

    #[test]
    fn it_is_that_of_its_definition() {
        let (source, query) = (rows(400, 1.0, 1), rows(7, 1.3, 2));
        let of =
            |rows: &Sample, k: usize| rows.inputs.iter().skip(k).step_by(2).map(|x| f64::from(*x)).collect::<Vec<_>>();
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let [a, b] = [0, 1].map(|k| of(&source, k));
        let m = [mean(&a), mean(&b)];
        let product = |x: &[f64], y: &[f64], [mx, my]: [f64; 2]| {
            x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / x.len() as f64
        };
        let (aa, ab, bb) = (product(&a, &a, [m[0]; 2]), product(&a, &b, m), product(&b, &b, [m[1]; 2]));
        let [u, v] = [0, 1].map(|k| mean(&of(&query, k)) - m[k]);
        let expected = (bb * u * u - 2.0 * ab * u * v + aa * v * v) / (aa * bb - ab * ab);
        let test = Hotelling::new(&source).unwrap();
        let found = test.measure(std::slice::from_ref(&query), &Streams::new(0)).unwrap().values;
        assert!((found[0] / expected - 1.0).abs() < 1e-6, "{found:?} {expected}");
        // The same of rows of one sample, whether some are kept or not.
        let all = source.clone().joined(&query);
        let queries = [(400..407).collect::<Vec<_>>(), vec![3, 5, 402]];
        let mut keeping = test.clone();
        keeping.keep(&source, None).unwrap();
        let [anew, kept] = [(&test, 0), (&keeping, 400)]
            .map(|(test, kept)| test.measure_rows(&all, kept, &queries, &Streams::new(0)).unwrap().values);
        assert!((anew[0] - found[0]).abs() < 1e-9 && anew == kept, "{anew:?} {kept:?}");
        assert!(Hotelling::new(&Sample::of_logits(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap()).is_err());
    }

    #[test]
    fn it_sees_rows_that_move_together_by_little_each() {
        // All values greater by .07: a third of a deviation of each feature, .7 of what is left of one beside the other.
        let (source, held_out) = (rows(400, 1.0, 1), rows(200, 1.0, 2));
        let (hotelling, plain) =
            (Hotelling::new(&source).unwrap(), Mahalanobis::new(Distance::Inputs, &source).unwrap());
        let tests: [&dyn ShiftTest; 2] = [&hotelling, &plain];
        let alarms = tests.map(|test| {
            let alarms = |i: u64| {
                let all = held_out.clone().joined(&rows(20, 1.07, 10 + i));
                let queries = crate::shift::law::permutation::redraws(200, 20, 99, &Streams::new(i)).unwrap();
                let values = test.measure_rows(&all, 0, &queries, &Streams::new(0)).unwrap().values;
                values.iter().filter(|v| **v >= values[0]).count() <= 5
            };
            (0..50).filter(|i| alarms(*i)).count()
        });
        assert!(alarms[0] > alarms[1] + 12, "{alarms:?}");
    }
}
