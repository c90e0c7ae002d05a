//! [`ShiftTest`]: what all tests of shift are. A test turns a query Q into a few numbers, each larger the more Q looks shifted; null law,
//! p-values, power and files are then made once for all of them.
use super::base::Sample;
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

/// What a test says of many queries made of the same rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Statistics `[queries, S]`.
    pub values: Vec<f64>,
    /// [`ShiftTest::blame`] of the first query, in its order; empty where the test cannot tell.
    pub blame: Vec<f64>,
}

/// Queries that are copied out of their rows at a time.
pub(super) const CHUNK: usize = 32;

/// A test of shift, ready to measure queries.
pub trait ShiftTest: Send + Sync {
    /// What it is called in tables and files.
    fn name(&self) -> &'static str;

    /// Names of its numbers, in the order of [`Self::measure`].
    fn statistics(&self) -> &'static [Statistic];

    /// Statistics `[queries, S]`, row-major; larger means more shifted. Query i draws from `streams.index(i)` alone, so that a query has the
    /// same numbers in any company and on any number of threads.
    ///
    /// # Errors
    /// A query without rows, of another width, or without inputs where the test needs them.
    fn measure(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<f64>>;

    /// How much each row of a query looks out of place `[N]`, where the test can tell; empty where it cannot.
    ///
    /// # Errors
    /// As [`Self::measure`].
    fn blame(&self, query: &Sample, streams: &Streams) -> Result<Vec<f64>> {
        let _ = (query, streams);
        Ok(Vec::new())
    }

    /// Statistics of queries that are rows of one sample, each a list of row numbers, and [`Self::blame`] of the first of them: one pass where a
    /// test can do its work on every row once. The law of the values is that of [`Self::measure`]; where a test draws random numbers, they are
    /// others.
    ///
    /// # Errors
    /// As [`Self::measure`].
    fn measure_rows(&self, rows: &Sample, queries: &[Vec<usize>], streams: &Streams) -> Result<Measured> {
        let mut values = Vec::new();
        for (c, chunk) in queries.chunks(CHUNK).enumerate() {
            interrupt::check()?;
            let chunk: Vec<Sample> = chunk.iter().map(|q| rows.rows(q)).collect();
            values.extend(self.measure(&chunk, &streams.child("chunk").index(c as u64))?);
        }
        let blame = match queries.first() {
            Some(first) => self.blame(&rows.rows(first), streams)?,
            None => Vec::new(),
        };
        Ok(Measured { values, blame })
    }

    /// Weights that took long to train, `[n, P]`, to be kept in the calibration file; empty where there are none.
    fn weights(&self) -> &[f32] {
        &[]
    }
}

/// Checks one query against the reference rows that the test was made with; `inputs` where it needs them.
///
/// # Errors
/// No rows, another width or number of classes, no inputs.
pub(super) fn check(query: &Sample, like: &Sample, inputs: bool) -> Result<()> {
    if query.is_empty() {
        return Err(Error::shape("query Q", "[N ≥ 1, D]", "[0, D]"));
    }
    if inputs && query.width() == 0 {
        return Err(Error::parameter("query Q", "inputs, which this test needs", "logits alone"));
    }
    let of = |s: &Sample| format!("[N, {}] with {} classes", s.width(), s.classes());
    let fits = query.classes() == like.classes() && (!inputs || query.width() == like.width());
    if fits { Ok(()) } else { Err(Error::shape("query Q", of(like), of(query))) }
}

/// The means of a number per row over queries of these rows, and the numbers of the first query's rows.
pub(super) fn means(of_rows: &[f64], queries: &[Vec<usize>]) -> Measured {
    let mean = |q: &Vec<usize>| q.iter().map(|&r| of_rows[r]).sum::<f64>() / q.len() as f64;
    let blame = queries.first().map_or(Vec::new(), |q| q.iter().map(|&r| of_rows[r]).collect());
    Measured { values: queries.iter().map(mean).collect(), blame }
}
