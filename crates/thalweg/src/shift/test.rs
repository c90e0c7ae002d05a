//! [`ShiftTest`]: what all tests of shift are. A test turns a query Q into a few numbers, each larger the more Q looks shifted; null law,
//! p-values, power and files are then made once for all of them.
use super::base::Sample;
use crate::{Error, Result, Streams};

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

/// A test of shift, ready to measure queries of its size.
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
