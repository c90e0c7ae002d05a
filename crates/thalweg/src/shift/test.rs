//! [`ShiftTest`]: what all tests of shift are. A test turns a query Q into a few numbers, each larger the more Q looks shifted; null law,
//! p-values, power and files are then made once for all of them.
use super::base::{Sample, Schema};
use super::reference::Reference;
use super::stored::{Store, Stored};
use crate::{Error, Result, Streams, interrupt};

/// One number that a test gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistic {
    /// Its name, unique within the test.
    pub name: &'static str,
    /// Whether it counts for the verdict. What also fires on benign shift is printed, not trusted.
    pub verdict: bool,
}

impl Statistic {
    /// One that counts for the verdict.
    pub const fn verdict(name: &'static str) -> Self {
        Self { name, verdict: true }
    }

    /// One that is printed only.
    pub const fn printed(name: &'static str) -> Self {
        Self { name, verdict: false }
    }
}

/// What a test says of queries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Statistics `[queries, S]`, row-major; larger means more shifted.
    pub values: Vec<f64>,
    /// How much each row of the first query looks out of place `[N]`; empty where the test cannot tell.
    pub row_scores: Vec<f64>,
    /// What [`ShiftTest::disagreements`] says of the first query, where it was found on the way; else empty.
    pub disagreements: Vec<f64>,
}

/// What the numbers of rows that are kept are called in files.
pub(super) const KEPT: &str = "kept";

/// Queries that are copied out of their rows at a time.
pub(super) const CHUNK: usize = 32;

/// A test of shift, ready to measure queries.
pub trait ShiftTest: Send + Sync {
    /// Names of its numbers, in the order of [`Self::measure`].
    fn statistics(&self) -> &'static [Statistic];

    /// Statistics of queries, and the scores of the first one's rows, all from one pass. Query i draws from `streams.index(i)` alone, so that a query
    /// has the same numbers in any company and on any number of threads.
    ///
    /// # Errors
    /// A query without rows, of another width, or without inputs where the test needs them.
    fn measure(&self, queries: &[Sample], streams: &Streams) -> Result<Measured>;

    /// The same of queries that are rows of one sample, each a list of row numbers: one pass where a test can do its work on every row once. The law
    /// of the values is that of [`Self::measure`]; where a test draws random numbers, they are others. The first `kept` rows are those that the test
    /// was last given by [`Self::keep`], or `kept` is 0; the numbers are the same either way.
    ///
    /// # Errors
    /// As [`Self::measure`].
    fn measure_rows(&self, rows: &Sample, kept: usize, queries: &[Vec<usize>], streams: &Streams) -> Result<Measured> {
        let _ = kept;
        let mut all = Measured::default();
        for (c, chunk) in queries.chunks(CHUNK).enumerate() {
            interrupt::check()?;
            let chunk: Vec<Sample> = chunk.iter().map(|q| rows.rows(q)).collect();
            let measured = self.measure(&chunk, &streams.child("chunk").index(c as u64))?;
            all.values.extend(measured.values);
            if c == 0 {
                all.row_scores = measured.row_scores;
            }
        }
        Ok(all)
    }

    /// Keeps what it says of `rows`, which every query is going to be measured among ([`Self::measure_rows`]), so that a query costs its own rows only:
    /// taken from what was `stored` where that is there, else computed. A test that has little to do for a row keeps nothing.
    ///
    /// # Errors
    /// Rows that do not fit; stored tensors that do not fit them.
    fn keep(&mut self, rows: &Sample, stored: Option<&Stored>) -> Result<()> {
        let _ = (rows, stored);
        Ok(())
    }

    /// The share of `rows` on which each of its networks names another class than f, where the networks are the same for all queries; empty where they
    /// are not, or where it has none.
    ///
    /// # Errors
    /// Rows that do not fit.
    fn disagreements(&self, rows: &Sample) -> Result<Vec<f64>> {
        let _ = rows;
        Ok(Vec::new())
    }

    /// Writes all that was trained or computed for it, so that it can be prepared again without training.
    fn save(&self, store: &mut Store) {
        let _ = store;
    }

    /// Prepares it for queries of another size, with the streams that it was prepared with: what depends on |Q| is computed anew, what was trained
    /// stays.
    ///
    /// # Errors
    /// A size of 0; as [`Self::measure`].
    fn resize(&mut self, reference: &Reference, size: usize, streams: &Streams) -> Result<()> {
        let _ = (reference, size, streams);
        Ok(())
    }
}

/// Checks one query against the rows of P that the test was made with; `inputs` where it needs them.
///
/// # Errors
/// No rows, another width or number of classes, no inputs.
pub(super) fn check(query: &Sample, schema: &Schema, inputs: bool) -> Result<()> {
    if query.is_empty() {
        return Err(Error::shape("query Q", "[N ≥ 1, D]", "[0, D]"));
    }
    if inputs && query.width() == 0 {
        return Err(Error::parameter("query Q", "inputs, which this test needs", "logits alone"));
    }
    let found = query.schema();
    let fits = found.classes == schema.classes && (!inputs || found.width == schema.width);
    let of = |s: &Schema| format!("[N, {}] with {} classes", s.width, s.classes);
    if fits { Ok(()) } else { Err(Error::shape("query Q", of(schema), of(&found))) }
}

/// Of a test whose one statistic is the mean of a number per row.
///
/// # Errors
/// Those of `scores`; interruption.
pub(super) fn means(queries: &[Sample], scores: impl Fn(&Sample) -> Result<Vec<f64>>) -> Result<Measured> {
    let mut all = Measured::default();
    for (i, query) in queries.iter().enumerate() {
        interrupt::check()?;
        let rows = scores(query)?;
        all.values.push(rows.iter().sum::<f64>() / rows.len() as f64);
        if i == 0 {
            all.row_scores = rows;
        }
    }
    Ok(all)
}

/// One number for each of `rows`, of which the first `kept` are known as `known`, or none where there are others: `scores` says the rest.
///
/// # Errors
/// Those of `scores`.
pub(super) fn completed(
    rows: &Sample,
    (kept, known): (usize, &[f64]),
    scores: impl Fn(&Sample) -> Result<Vec<f64>>,
) -> Result<Vec<f64>> {
    if kept == 0 || kept != known.len() || kept >= rows.len() {
        return scores(rows);
    }
    Ok([known, &scores(&rows.from(kept))?].concat())
}

/// The same of queries that are rows of one sample, from the number of each of its rows.
pub(super) fn means_of_rows(scores: &[f64], queries: &[Vec<usize>]) -> Measured {
    let mean = |q: &Vec<usize>| q.iter().map(|&r| scores[r]).sum::<f64>() / q.len() as f64;
    let row_scores = queries.first().map_or(Vec::new(), |q| q.iter().map(|&r| scores[r]).collect());
    Measured { values: queries.iter().map(mean).collect(), row_scores, ..Measured::default() }
}
