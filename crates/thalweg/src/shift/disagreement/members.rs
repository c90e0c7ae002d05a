//! [`Members`]: what tests by networks beside f have in common, wherever the networks come from: the bank, Detectron, its meta-model, a
//! deep ensemble. Each reads a query through its members; statistics, blame and the usual entropies follow here, once.
use crate::shift::base::Sample;
use crate::shift::baselines::entropy::{Answers, OF_ENSEMBLES, Reading};
use crate::shift::reference::Reference;
use crate::shift::test::{CHUNK, Measured, ShiftTest, Statistic};
use crate::{Result, Streams, interrupt};
use rayon::prelude::*;

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

    /// Logits `[M, N, C]` on `rows` of networks that are the same for every query, and how many of them a query takes (as the bank takes them);
    /// none where a query has networks of its own.
    ///
    /// # Errors
    /// Rows that do not fit.
    fn fixed(&self, rows: &Sample) -> Result<Option<(Vec<f32>, usize)>> {
        let _ = rows;
        Ok(None)
    }

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

/// Networks on rows that many queries are made of.
struct Many {
    own: Vec<f32>,
    predictions: Vec<u32>,
    classes: usize,
    answers: Vec<Answers>,
    /// Probability that each network takes from f's class, `[M][N]`; empty where a query takes all networks.
    taken: Vec<Vec<f32>>,
    members: usize,
}

impl Many {
    /// From logits `[M, N, C]`, of which a query takes `members`.
    fn new(rows: &Sample, logits: &[f32], members: usize) -> Self {
        let (own, predictions, classes) = (rows.probabilities(), rows.predictions(), rows.classes());
        let answers: Vec<Answers> =
            logits.par_chunks_exact(rows.logits.len()).map(|logits| Answers::new(logits, classes)).collect();
        let taken = match members < answers.len() {
            true => answers.par_iter().map(|a| super::subset::taken(&own, &predictions, a)).collect(),
            false => Vec::new(),
        };
        Self { own, predictions, classes, answers, taken, members }
    }

    fn read(&self, rows: &[usize]) -> Reading {
        let chosen: Vec<usize> = match self.taken.is_empty() {
            true => (0..self.answers.len()).collect(),
            false => {
                let taken: Vec<Vec<f32>> =
                    self.taken.iter().map(|member| rows.iter().map(|&r| member[r]).collect()).collect();
                super::subset::greedy(&taken, self.members)
            }
        };
        let members = chosen.iter().map(|&m| &self.answers[m]);
        Reading::of_rows(rows, (&self.own, &self.predictions), self.classes, members)
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

    fn measure_rows(&self, rows: &Sample, queries: &[Vec<usize>], streams: &Streams) -> Result<Measured> {
        let fixed = self.fixed(rows)?;
        let many = fixed.map(|(logits, taken)| Many::new(rows, &logits, taken));
        let readings = |first: usize, queries: &[Vec<usize>]| match &many {
            Some(many) => Ok(queries.par_iter().map(|query| many.read(query)).collect()),
            None => {
                let samples: Vec<Sample> = queries.iter().map(|q| rows.rows(q)).collect();
                self.readings(&samples, &streams.child("chunk").index(first as u64))
            }
        };
        let mut all = Measured::default();
        for (c, chunk) in queries.chunks(CHUNK).enumerate() {
            interrupt::check()?;
            let readings: Vec<Reading> = readings(c, chunk)?;
            all.values.extend(readings.iter().flat_map(|reading| reading.statistics(self.usual())));
            if let (0, Some(first)) = (c, readings.into_iter().next()) {
                all.blame = first.doubt;
            }
        }
        Ok(all)
    }

    fn blame(&self, query: &Sample, streams: &Streams) -> Result<Vec<f64>> {
        Ok(self.readings(std::slice::from_ref(query), streams)?.remove(0).doubt)
    }

    fn weights(&self) -> &[f32] {
        self.kept()
    }
}
