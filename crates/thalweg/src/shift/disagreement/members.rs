//! [`Members`]: what tests by networks beside f have in common, wherever the networks come from: the bank, Detectron, its meta-model, a
//! deep ensemble. Each reads a query through its members; statistics, blame and the usual entropies follow here, once.
use crate::shift::base::Sample;
use crate::shift::baselines::entropy::{Answers, OF_ENSEMBLES, Reading};
use crate::shift::reference::Reference;
use crate::shift::test::{CHUNK, Measured, ShiftTest, Statistic};
use crate::{Result, Streams};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::disagreement::subset;
    use thalweg_nets::testing::normals;

    /// Five networks that turn the first logit by a wave of their own; a query takes `taken` of them.
    struct Toy {
        usual: Vec<f64>,
        taken: usize,
        at_once: bool,
    }

    fn answers(rows: &Sample) -> Vec<f32> {
        let turned = |m: usize, z: &[f32]| [z[0] + 1.5 * (3.0 * z[1] + m as f32).cos(), z[1]];
        (0..5).flat_map(|m| rows.logits.chunks(2).flat_map(move |z| turned(m, z))).collect()
    }

    impl Members for Toy {
        const NAME: &'static str = "toy";

        fn readings(&self, queries: &[Sample], _: &Streams) -> Result<Vec<Reading>> {
            Ok(queries.iter().map(|query| subset::covering(&answers(query), query, self.taken)).collect())
        }

        fn usual(&self) -> &[f64] {
            &self.usual
        }

        fn fixed(&self, rows: &Sample) -> Result<Option<(Vec<f32>, usize)>> {
            Ok(self.at_once.then(|| (answers(rows), self.taken)))
        }
    }

    fn rows(n: usize, seed: u64) -> Sample {
        Sample::of_logits(normals(&Streams::new(seed), 2 * n), 2).unwrap()
    }

    #[test]
    fn networks_that_are_the_same_for_every_query_are_read_once_and_say_the_same() {
        let all = rows(60, 1);
        let queries: Vec<Vec<usize>> =
            (0..CHUNK + 9).map(|q| (0..8).map(|i| (q * 13 + i * 7) % 60).collect()).collect();
        let copies: Vec<Sample> = queries.iter().map(|query| all.rows(query)).collect();
        for taken in [2, 5] {
            let toy = |at_once| Toy { usual: vec![0.1, 0.3, 0.5], taken, at_once };
            let of = |toy: Toy| toy.measure_rows(&all, &queries, &Streams::new(0)).unwrap();
            let (once, each) = (of(toy(true)), of(toy(false)));
            let singly = toy(false).measure(&copies, &Streams::new(0)).unwrap();
            assert_eq!(once.values.len(), queries.len() * OF_ENSEMBLES.len());
            assert!(once.values.iter().zip(&singly).all(|(a, b)| (a - b).abs() < 1e-5), "{taken}");
            assert_eq!(each.values, singly);
            assert_eq!(each.blame, toy(false).blame(&copies[0], &Streams::new(0)).unwrap());
            assert!(once.blame.iter().zip(&each.blame).all(|(a, b)| (a - b).abs() < 1e-5));
            // By the definition, of the rows that any of all networks names another class on.
            if taken == 5 {
                let logits = answers(&copies[0]);
                let other = |i: usize| {
                    let z = |m: usize| &logits[(m * 8 + i) * 2..][..2];
                    let f = copies[0].logits[2 * i + 1] > copies[0].logits[2 * i];
                    (0..5).any(|m| (z(m)[1] > z(m)[0]) != f)
                };
                assert_eq!(singly[0].floor() as usize, (0..8).filter(|&i| other(i)).count());
            }
        }
    }

    #[test]
    fn usual_entropies_are_those_of_queries_of_validation_rows() {
        let (train, validation, held) = (rows(30, 1), rows(40, 2), rows(50, 3));
        let reference = Reference::new(train, validation.clone(), held).unwrap();
        let toy = Toy { usual: Vec::new(), taken: 5, at_once: false };
        let usual = toy.usual_of(&reference, 6, &Streams::new(1), &Streams::new(2)).unwrap();
        assert_eq!(usual.len(), Toy::USUAL * 6);
        let one = |i: usize| toy.readings(&[validation.rows(&[i])], &Streams::new(0)).unwrap().remove(0).entropies[0];
        let known: Vec<f64> = (0..40).map(one).collect();
        assert!(usual.iter().all(|e| known.iter().any(|k| (k - e).abs() < 1e-5)), "rows of the validation part");
        assert!(toy.usual_of(&reference, 0, &Streams::new(1), &Streams::new(2)).is_err());
    }
}
