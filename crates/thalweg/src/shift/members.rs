//! [`Members`]: what tests by networks beside f have in common, wherever the networks come from: the bank, Detectron, its meta-model, a
//! deep ensemble. Each reads a query through its members; statistics, blame and the usual entropies follow here, once.
use super::base::Sample;
use super::entropy::{OF_ENSEMBLES, Reading};
use super::reference::Reference;
use super::test::{ShiftTest, Statistic};
use crate::{Result, Streams};

/// A test by networks beside f; it is a [`ShiftTest`] with the statistics [`OF_ENSEMBLES`].
pub trait Members: Send + Sync {
    /// [`ShiftTest::name`].
    const NAME: &'static str;

    /// Queries of validation rows whose entropies are the usual ones.
    const USUAL: usize = 30;

    /// What the members say of every query; query i draws from `streams.index(i)` alone.
    ///
    /// # Errors
    /// As [`ShiftTest::measure`].
    fn readings(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<Reading>>;

    /// Entropies on queries of P, which the two-sided statistic compares with.
    fn usual(&self) -> &[f64];

    /// [`ShiftTest::weights`].
    fn kept(&self) -> &[f32] {
        &[]
    }

    /// The usual entropies, from validation rows, `size` at a time in the draws of `rows`.
    ///
    /// # Errors
    /// A size of 0; as [`Self::readings`].
    fn usual_of(&self, reference: &Reference, size: usize, rows: &Streams, streams: &Streams) -> Result<Vec<f64>> {
        let readings = self.readings(&reference.validation_queries(size, Self::USUAL, rows)?, streams)?;
        Ok(readings.into_iter().flat_map(|reading| reading.entropies).collect())
    }
}

impl<M: Members> ShiftTest for M {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn statistics(&self) -> &'static [Statistic] {
        OF_ENSEMBLES
    }

    fn measure(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<f64>> {
        let readings = self.readings(queries, streams)?;
        Ok(readings.iter().flat_map(|reading| reading.statistics(self.usual())).collect())
    }

    fn blame(&self, query: &Sample, streams: &Streams) -> Result<Vec<f64>> {
        Ok(self.readings(std::slice::from_ref(query), streams)?.remove(0).doubt)
    }

    fn weights(&self) -> &[f32] {
        self.kept()
    }
}
