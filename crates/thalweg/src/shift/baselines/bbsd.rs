//! Black-box shift detection (M16; Lipton, Wang, Smola 2018; Rabanser et al. 2019): are f's outputs distributed as under P?
//!
//! Two statistics: the greatest Kolmogorov–Smirnov distance over the classes' probabilities (all have the same sizes, so the greatest
//! distance is the least Bonferroni-corrected p-value), and χ² of the predicted classes against those under P. Both are two-sided: they fire
//! on benign shift and on shifted label shares. Needs logits only.
use super::entropy::ks_distance;
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs};
use crate::shift::stored::Stored;
use crate::shift::test::{self, Measured, ShiftTest, Statistic};
use crate::{Result, Streams, interrupt};
use rayon::prelude::*;

/// The test.
#[derive(Clone, Debug)]
pub struct Bbsd {
    /// Probabilities of each class under P, `[C][N]`, sorted.
    source: Vec<Vec<f64>>,
    /// Shares of predicted classes under P, each at least that of half a row.
    shares: Vec<f64>,
    /// [`Self::places`] of the rows that are kept.
    kept: Vec<Vec<Place>>,
    schema: Schema,
}

/// How many of P's sorted probabilities lie below a row's, in the upper half, and how many at most there: one number, which is sorted fast.
type Place = u64;

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "bbsd",
    looks_at: "predicted classes and their probabilities",
    needs: Needs::Logits,
    trains_per_query: false,
    prepare: |parts, _, _| Ok(Box::new(Bbsd::new(&parts.reference.validation))),
    trained: None,
};

impl Bbsd {
    /// With validation rows of P.
    pub fn new(source: &Sample) -> Self {
        let c = source.classes();
        let mut counts = vec![0.5; c];
        source.predictions().iter().for_each(|&p| counts[p as usize] += 1.0);
        let total: f64 = counts.iter().sum();
        let mut sorted = columns(source);
        sorted.iter_mut().for_each(|column| column.sort_by(f64::total_cmp));
        Self {
            source: sorted,
            shares: counts.iter().map(|n| n / total).collect(),
            kept: Vec::new(),
            schema: source.schema(),
        }
    }

    fn of(&self, query: &Sample) -> Result<[f64; 2]> {
        test::check(query, &self.schema, false)?;
        let mut furthest: f64 = 0.0;
        for (q, source) in columns(query).iter().zip(&self.source) {
            furthest = furthest.max(ks_distance(q, source));
        }
        Ok([furthest, self.chi_squared(query.predictions().into_iter())])
    }

    /// For each class `[C]` and row `[N]`.
    fn places(&self, rows: &Sample) -> Result<Vec<Vec<Place>>> {
        test::check(rows, &self.schema, false)?;
        let of_class = |(source, column): (&Vec<f64>, Vec<f64>)| {
            let of = |v: &f64| {
                let [below, upto] = [source.partition_point(|p| p < v), source.partition_point(|p| p <= v)];
                ((below as Place) << 32) | upto as Place
            };
            column.iter().map(of).collect()
        };
        Ok(self.source.par_iter().zip(columns(rows)).map(of_class).collect())
    }

    fn chi_squared(&self, predictions: impl ExactSizeIterator<Item = u32>) -> f64 {
        let rows = predictions.len() as f64;
        let mut counts = vec![0usize; self.shares.len()];
        predictions.for_each(|p| counts[p as usize] += 1);
        let expected = self.shares.iter().map(|s| s * rows);
        counts.iter().zip(expected).map(|(&n, e)| (n as f64 - e) * (n as f64 - e) / e).sum()
    }
}

/// [`ks_distance`] of a query to `n_p` sorted values, from each value's place among them: how many lie below, and how many at most there. Values that
/// lie between the same two of P may be taken together, for the distance is greatest at the first or the last of them.
fn distance(places: &mut [Place], n_p: f64) -> f64 {
    places.sort_unstable();
    let (n, mut furthest, mut before) = (places.len() as f64, 0f64, 0);
    for same in places.chunk_by(|a, b| a == b) {
        let [below, upto] = [same[0] >> 32, same[0] & u64::from(u32::MAX)].map(|count| count as f64 / n_p);
        let after = before + same.len();
        furthest = furthest.max(below - before as f64 / n).max(after as f64 / n - upto);
        before = after;
    }
    furthest
}

fn columns(rows: &Sample) -> Vec<Vec<f64>> {
    let (p, c) = (rows.probabilities(), rows.classes());
    (0..c).map(|k| p.iter().skip(k).step_by(c).map(|v| f64::from(*v)).collect()).collect()
}

impl ShiftTest for Bbsd {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("ks"), Statistic::printed("chi2")] }
    }

    fn keep(&mut self, rows: &Sample, _: Option<&Stored>) -> Result<()> {
        self.kept = self.places(rows)?;
        Ok(())
    }

    fn measure_rows(&self, rows: &Sample, kept: usize, queries: &[Vec<usize>], _: &Streams) -> Result<Measured> {
        test::check(rows, &self.schema, false)?;
        let known = if kept < rows.len() && self.kept.first().is_some_and(|c| c.len() == kept) { kept } else { 0 };
        let (others, predictions) = (self.places(&rows.from(known))?, rows.predictions());
        let n_p = self.source[0].len() as f64;
        let of = |query: &Vec<usize>| {
            let place = |c: usize, r: usize| if r < known { self.kept[c][r] } else { others[c][r - known] };
            let mut places = vec![0; query.len()];
            let furthest = (0..others.len()).map(|c| {
                places.iter_mut().zip(query).for_each(|(at, &r)| *at = place(c, r));
                distance(&mut places, n_p)
            });
            [furthest.fold(0.0, f64::max), self.chi_squared(query.iter().map(|&r| predictions[r]))]
        };
        let of = |query| interrupt::check().map(|()| of(query));
        let values: Vec<[f64; 2]> = queries.par_iter().map(of).collect::<Result<_>>()?;
        Ok(Measured { values: values.concat(), ..Measured::default() })
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Measured> {
        let each: Vec<[f64; 2]> =
            queries.par_iter().map(|q| interrupt::check().and_then(|()| self.of(q))).collect::<Result<_>>()?;
        Ok(Measured { values: each.concat(), ..Measured::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_statistics_by_hand() {
        // P: classes 0 and 1, three rows each.
        let source =
            Sample::of_logits([[2.0, 0.0]; 3].iter().chain(&[[0.0, 2.0]; 3]).flatten().copied().collect(), 2).unwrap();
        let test = Bbsd::new(&source);
        let one_sided = Sample::of_logits(vec![2.0, 0.0, 2.0, 0.0], 2).unwrap();
        let s = test.measure(&[source.clone(), one_sided], &Streams::new(0)).unwrap().values;
        assert!(s[0] < 1e-12 && s[1] < 1e-12, "{s:?}");
        // Any query has the same numbers as rows of a larger sample; values between those of P and equal to them.
        let mixed =
            Sample::of_logits((0..60).map(|i| (i * 7 % 13) as f32 / 3.0 - 2.0).chain([2.0, 0.0]).collect(), 2).unwrap();
        let queries = [vec![30, 1, 5, 8, 13], vec![2], (0..31).collect::<Vec<_>>(), vec![30, 29, 28, 4]];
        let each: Vec<Sample> = queries.iter().map(|q| mixed.rows(q)).collect();
        let (slow, fast) = (
            test.measure(&each, &Streams::new(0)).unwrap().values,
            test.measure_rows(&mixed, 0, &queries, &Streams::new(0)).unwrap(),
        );
        assert!(slow.iter().zip(&fast.values).all(|(a, b)| (a - b).abs() < 1e-12), "{slow:?} {fast:?}");
        // Half of P lies below every row of the query; χ² = (2 − 1)²/1 + (0 − 1)²/1.
        assert!((s[2] - 0.5).abs() < 1e-12 && (s[3] - 2.0).abs() < 1e-12, "{s:?}");
    }
}
