//! Maximum mean discrepancy (M16; Gretton et al. 2012) with a Gaussian kernel of median width, in inputs or in f's features.
//!
//! The unbiased estimate against a fixed set of rows of P; its part that does not involve the query is the same for all queries and left
//! out. Features are those of f, the deep kernel that costs nothing; [`super::deep_kernel`] trains one for the query.
//! Two-sided: fires on any difference. Cost: |Q| times `SOURCE` distances.
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs};
use crate::shift::stored::{Store, Stored};
use crate::shift::test::{self, KEPT, Measured, ShiftTest, Statistic};
use crate::{Error, Result, Streams, interrupt};
use rayon::prelude::*;

/// Rows of P that a query is compared with.
const SOURCE: usize = 256;

/// Rows of a query of which all pairs are taken.
const PAIRED: usize = 256;

/// Distances that are summed side by side.
const AT_ONCE: usize = 8;

/// Where distances are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Inputs.
    Inputs,
    /// f's last hidden layer.
    Features,
}

impl Space {
    fn of(self, rows: &Sample) -> &[f32] {
        if self == Space::Inputs { &rows.inputs } else { &rows.features }
    }
}

/// The test.
#[derive(Clone, Debug)]
pub struct Mmd {
    space: Space,
    source: Vec<f32>,
    wide: usize,
    /// 1/(2σ²), σ² half the median squared distance under P.
    rate: f64,
    /// [`Self::across`] of the rows that are kept.
    kept: Vec<f64>,
    schema: Schema,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "mmd",
    looks_at: "distribution of the inputs",
    needs: Needs::Inputs,
    trains_per_query: false,
    prepare: |parts, _, _| Ok(Box::new(Mmd::new(Space::Inputs, &parts.reference.train)?)),
    trained: None,
};

/// The same of features.
pub static OF_FEATURES: Factory = Factory {
    name: "feature-mmd",
    looks_at: "distribution of the model's features",
    needs: Needs::Logits,
    trains_per_query: false,
    prepare: |parts, _, _| Ok(Box::new(Mmd::new(Space::Features, &parts.reference.train)?)),
    trained: None,
};

impl Mmd {
    /// With the first rows of `source`.
    ///
    /// # Errors
    /// Fewer than two rows; rows without inputs where those are asked for; rows that are all the same.
    pub fn new(space: Space, source: &Sample) -> Result<Self> {
        let few = source.rows(&(0..source.len().min(SOURCE)).collect::<Vec<_>>());
        let values = space.of(&few).to_vec();
        let wide = values.len() / few.len();
        if wide == 0 {
            return Err(Error::parameter("mmd", "rows with inputs", "logits alone"));
        }
        let median = median("mmd", &values, wide)?;
        Ok(Self { space, wide, rate: 1.0 / median, kept: Vec::new(), schema: source.schema(), source: values })
    }

    fn of(&self, query: &Sample) -> Result<f64> {
        test::check(query, &self.schema, self.space == Space::Inputs)?;
        let rows: Vec<&[f32]> = self.space.of(query).chunks_exact(self.wide).collect();
        let n = rows.len() as f64;
        let within: f64 = (1..rows.len()).map(|i| (0..i).map(|j| self.kernel(rows[i], rows[j])).sum::<f64>()).sum();
        let across: f64 = rows.iter().map(|r| self.across(r)).sum();
        let within = if rows.len() > 1 { 2.0 * within / (n * (n - 1.0)) } else { 0.0 };
        Ok(within - 2.0 * across / n)
    }

    /// [`Self::across`] of every row.
    fn all_across(&self, rows: &Sample) -> Result<Vec<f64>> {
        test::check(rows, &self.schema, self.space == Space::Inputs)?;
        Ok(self.space.of(rows).par_chunks_exact(self.wide).map(|row| self.across(row)).collect())
    }

    fn kernel(&self, a: &[f32], b: &[f32]) -> f64 {
        (-self.rate * squared(a, b)).exp()
    }

    /// The kernels of a row with up to [`AT_ONCE`] others, each as [`Self::kernel`]: sums that do not wait for one another.
    fn kernels(&self, row: &[f32], others: &[&[f32]]) -> impl Iterator<Item = f64> + use<> {
        let of: [&[f32]; AT_ONCE] = std::array::from_fn(|k| &others[k.min(others.len() - 1)][..row.len()]);
        let mut sums = [0f64; AT_ONCE];
        for (j, a) in row.iter().enumerate() {
            sums.iter_mut().zip(&of).for_each(|(sum, b)| *sum += f64::from(a - b[j]).powi(2));
        }
        let rate = self.rate;
        sums.into_iter().map(move |squared| (-rate * squared).exp())
    }

    /// Mean kernel of a row with those of P.
    fn across(&self, row: &[f32]) -> f64 {
        self.source.chunks_exact(self.wide).map(|p| self.kernel(row, p)).sum::<f64>()
            / (self.source.len() / self.wide) as f64
    }
}

/// The median squared distance of the rows `[N, wide]` of P, for `test`.
///
/// # Errors
/// Fewer than two rows; rows that are all the same.
pub(in crate::shift) fn median(test: &str, values: &[f32], wide: usize) -> Result<f64> {
    let rows: Vec<&[f32]> = values.chunks_exact(wide).collect();
    if rows.len() < 2 {
        return Err(Error::shape("rows of P", "[N ≥ 2, D]", format!("[{}, {wide}]", rows.len())));
    }
    let mut distances: Vec<f64> =
        (1..rows.len()).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| squared(rows[i], rows[j])).collect();
    distances.sort_by(f64::total_cmp);
    let median = distances[distances.len() / 2];
    if median <= 0.0 {
        return Err(Error::parameter(test, "rows of P that differ", "half of all pairs equal"));
    }
    Ok(median)
}

/// ‖a − b‖².
pub(in crate::shift) fn squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

impl ShiftTest for Mmd {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("mmd")] }
    }

    /// The part within a query is its mean over all pairs, or, in a query of more than `PAIRED` rows, over the pairs of each row with the `PAIRED / 2`
    /// that come after it: unbiased too, in time linear in the rows.
    fn measure_rows(&self, rows: &Sample, kept: usize, queries: &[Vec<usize>], _: &Streams) -> Result<Measured> {
        test::check(rows, &self.schema, self.space == Space::Inputs)?;
        let each: Vec<&[f32]> = self.space.of(rows).chunks_exact(self.wide).collect();
        let across = test::completed(rows, (kept, &self.kept), |rows| self.all_across(rows))?;
        let of = |query: &Vec<usize>| {
            let n = query.len();
            let after = if n > PAIRED { PAIRED / 2 } else { n / 2 };
            let (mut within, mut pairs) = (0.0, 0.0);
            for i in 0..n {
                // Round the circle each pair comes once, but for those half way round in an even number of rows.
                let last = if 2 * after == n && i >= after { after - 1 } else { after };
                let others: Vec<&[f32]> = ((i + 1)..=(i + last)).map(|j| each[query[j % n]]).collect();
                others.chunks(AT_ONCE).for_each(|some| {
                    self.kernels(each[query[i]], some).take(some.len()).for_each(|kernel| within += kernel);
                });
                pairs += last as f64;
            }
            let within = if pairs > 0.0 { within / pairs } else { 0.0 };
            within - 2.0 * query.iter().map(|&r| across[r]).sum::<f64>() / n as f64
        };
        let of = |query| interrupt::check().map(|()| of(query));
        Ok(Measured { values: queries.par_iter().map(of).collect::<Result<_>>()?, ..Measured::default() })
    }

    fn keep(&mut self, rows: &Sample, stored: Option<&Stored>) -> Result<()> {
        let known = stored.map(|stored| stored.doubles_if_there(KEPT, rows.len())).transpose()?.flatten();
        self.kept = known.map_or_else(|| self.all_across(rows), Ok)?;
        Ok(())
    }

    fn save(&self, store: &mut Store) {
        if !self.kept.is_empty() {
            store.double(KEPT, &self.kept);
        }
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Measured> {
        let of = |q| interrupt::check().and_then(|()| self.of(q));
        Ok(Measured { values: queries.par_iter().map(of).collect::<Result<_>>()?, ..Measured::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::reference::draws;
    use crate::shift::world;

    #[test]
    fn the_unbiased_estimate_averages_to_that_of_p() {
        // E of the statistic over queries of P is −E k(x, x') under P, up to the fixed rows: so its mean over many small queries
        // equals that over few large ones, and shifted queries lie above.
        let world = world::two_clouds(1);
        let test = Mmd::new(Space::Inputs, &world.reference.train).unwrap();
        let mean = |n: usize, count: u64| {
            let (all, streams) = (world.near(4000, 1), Streams::new(n as u64));
            let rows = |i: u64| draws(4000, n, 1, &streams.index(i)).unwrap().0.remove(0);
            let queries: Vec<Sample> = (0..count).map(|i| all.rows(&rows(i))).collect();
            test.measure(&queries, &Streams::new(0)).unwrap().values.iter().sum::<f64>() / count as f64
        };
        let (small, large) = (mean(5, 400), mean(200, 10));
        assert!((small - large).abs() < 0.02, "{small} {large}");
        let far = test.measure(&[world.far(20, 1)], &Streams::new(0)).unwrap().values[0];
        assert!(far > large + 0.3, "{far} {large}");
    }

    #[test]
    fn rows_of_a_sample_have_the_numbers_of_a_query() {
        let world = world::two_clouds(1);
        let test = Mmd::new(Space::Inputs, &world.reference.train).unwrap();
        let rows = world.near(600, 3);
        let queries: Vec<Vec<usize>> =
            [1, 2, 3, 10, 11, 256].iter().map(|&n| (0..n).map(|i| (i * 7 + n) % 600).collect()).collect();
        let each: Vec<Sample> = queries.iter().map(|q| rows.rows(q)).collect();
        let (slow, fast) = (
            test.measure(&each, &Streams::new(0)).unwrap().values,
            test.measure_rows(&rows, 0, &queries, &Streams::new(0)).unwrap(),
        );
        assert!(slow.iter().zip(&fast.values).all(|(a, b)| (a - b).abs() < 1e-9), "{slow:?} {fast:?}");
        // Where only some of the pairs are taken, nearly.
        let all = vec![(0..600).collect::<Vec<_>>()];
        let (whole, some) =
            (test.of(&rows).unwrap(), test.measure_rows(&rows, 0, &all, &Streams::new(0)).unwrap().values[0]);
        assert!((whole - some).abs() < 0.01, "{whole} {some}");
    }

    #[test]
    fn rows_that_cannot_be_used_are_named() {
        let same = Sample::of_logits(vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0], 2).unwrap();
        assert!(Mmd::new(Space::Features, &same).unwrap_err().to_string().contains("differ"));
        assert!(Mmd::new(Space::Inputs, &same).is_err());
    }
}
