//! [`Members`]: what tests by networks beside f have in common, wherever the networks come from: the bank, Detectron, its meta-model, a
//! deep ensemble. Each reads a query through its members; statistics, row scores and reference entropies follow here, once.
use super::answered::{self, Answered, MOST};
use super::cdc::agreement;
use crate::shift::base::{Base, Sample, Schema};
use crate::shift::baselines::entropy::{OF_ENSEMBLES, Reading, in_order};
use crate::shift::reference::Reference;
use crate::shift::stored::{Store, Stored};
use crate::shift::test::{self, CHUNK, KEPT, Measured, ShiftTest, Statistic};
use crate::{Result, Streams, interrupt};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// What all tests by networks beside f hold.
#[derive(Clone, Debug)]
pub struct Shared {
    /// f.
    pub base: Arc<Base>,
    /// What queries look like.
    pub schema: Schema,
    /// Entropies on queries of validation rows, which the two-sided statistic compares with.
    pub reference_entropies: Vec<f64>,
    /// What networks that are the same for every query say of the rows that are kept.
    pub kept: Option<Kept>,
}

impl Shared {
    /// Without reference entropies.
    pub fn new(base: Arc<Base>, reference: &Reference) -> Self {
        Self { base, schema: reference.validation.schema(), reference_entropies: Vec::new(), kept: None }
    }

    /// With those that were stored.
    ///
    /// # Errors
    /// None are.
    pub fn stored(base: Arc<Base>, reference: &Reference, stored: &Stored) -> Result<Self> {
        Ok(Self { reference_entropies: stored.double(ENTROPIES)?, ..Self::new(base, reference) })
    }

    /// Logits `[M, N, C]` of networks `thetas [M, P]` on a query, on the calling thread.
    ///
    /// # Errors
    /// A query that does not fit.
    pub fn logits(&self, thetas: &[f32], query: &Sample) -> Result<Vec<f32>> {
        test::check(query, &self.schema, true)?;
        self.base.logits_of(thetas, query)
    }

    /// The same of some of the networks on many rows, in parallel over networks.
    ///
    /// # Errors
    /// Rows that do not fit.
    pub fn logits_of_many(&self, thetas: &[f32], networks: Range<usize>, rows: &Sample) -> Result<Vec<f32>> {
        test::check(rows, &self.schema, true)?;
        let p = self.base.theta().len();
        self.base.logits_of_many(&thetas[networks.start * p..networks.end * p], rows)
    }
}

/// What networks that are the same for every query say of rows that are kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// `[M, N, C]`, as a file has them; empty where these are too many.
    logits: Vec<f32>,
    shape: [usize; 3],
    answered: Answered,
}

/// What the reference entropies are called in files.
const ENTROPIES: &str = "reference-entropies";
/// What is kept of many classes.
const DROPS: &str = "kept-drops";
const DIFFERS: &str = "kept-differs";

/// A test by networks beside f; it is a [`ShiftTest`] with the statistics [`OF_ENSEMBLES`].
pub trait Members: Send + Sync {
    /// Queries of validation rows that give the reference entropies.
    const REFERENCE_QUERIES: usize = 30;

    /// Whether reading a query draws random numbers.
    const DRAWS: bool;

    /// What all such tests hold.
    fn shared(&self) -> &Shared;

    /// The same, to be changed.
    fn shared_mut(&mut self) -> &mut Shared;

    /// What the members say of every query; query i draws from `streams.index(i)` alone.
    ///
    /// # Errors
    /// As [`ShiftTest::measure`].
    fn readings(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<Reading>>;

    /// How many networks are the same for every query, and how many of them a query takes (as the bank takes them); none where a query has networks of
    /// its own.
    fn fixed(&self) -> Option<[usize; 2]> {
        None
    }

    /// Logits `[M, N, C]` of some of them on `rows`.
    ///
    /// # Errors
    /// Rows that do not fit.
    fn logits(&self, networks: Range<usize>, rows: &Sample) -> Result<Vec<f32>> {
        let _ = (networks, rows);
        Ok(Vec::new())
    }

    /// What is kept of rows of so many classes that not all probabilities are: as it was stored, else computed.
    ///
    /// # Errors
    /// Rows that do not fit; stored tensors that do not fit them.
    fn compact(&self, rows: &Sample, [networks, taken]: [usize; 2], stored: Option<&Stored>) -> Result<Answered> {
        let known = |name| {
            let shape = [rows.len(), networks];
            stored.map(|stored| stored.single_if_there(name, &shape)).transpose().map(Option::flatten)
        };
        match (known(DROPS)?, known(DIFFERS)?) {
            (Some(drops), Some(differs)) => Answered::of_compact(rows, [networks, taken], (drops, &differs)),
            _ => Answered::new(rows, [networks, taken], |block| self.logits(block, rows)),
        }
    }

    /// [`ShiftTest::save`], but for the reference entropies.
    fn save_networks(&self, store: &mut Store) {
        let _ = store;
    }
}

/// The test with reference entropies from validation rows, `size` at a time.
///
/// # Errors
/// A size of 0; as [`Members::readings`].
pub fn referenced<M: Members>(mut test: M, reference: &Reference, size: usize, streams: &Streams) -> Result<M> {
    test.resize(reference, size, streams)?;
    Ok(test)
}

/// Adds readings of queries to what was measured so far; reference entropies are in order.
fn add(all: &mut Measured, readings: Vec<Reading>, reference_entropies: &[f64]) {
    let first = all.values.is_empty();
    all.values.extend(readings.iter().flat_map(|reading| reading.statistics(reference_entropies)));
    if let (true, Some(reading)) = (first, readings.into_iter().next()) {
        all.row_scores = reading.disagreement;
    }
}

impl<M: Members> ShiftTest for M {
    fn statistics(&self) -> &'static [Statistic] {
        OF_ENSEMBLES
    }

    fn measure(&self, queries: &[Sample], streams: &Streams) -> Result<Measured> {
        let (mut all, entropies) = (Measured::default(), in_order(&self.shared().reference_entropies));
        add(&mut all, self.readings(queries, streams)?, &entropies);
        Ok(all)
    }

    fn measure_rows(&self, rows: &Sample, kept: usize, queries: &[Vec<usize>], streams: &Streams) -> Result<Measured> {
        let known = self.shared().kept.as_ref().map(|known| &known.answered);
        let known = known.filter(|known| kept < rows.len() && known.len() == kept);
        let others = match self.fixed() {
            Some(networks) => {
                let others = rows.from(known.map_or(0, Answered::len));
                Some(Answered::new(&others, networks, |block| self.logits(block, &others))?)
            }
            None => None,
        };
        let pieces = others.as_ref().map(|others| known.into_iter().chain([others]).collect::<Vec<_>>());
        let (mut all, entropies) = (Measured::default(), in_order(&self.shared().reference_entropies));
        if let (Some(pieces), Some(first)) = (&pieces, queries.first()) {
            let read = |query: &Vec<usize>| {
                interrupt::check()?;
                answered::read(pieces, query, |network| self.logits(network..network + 1, &rows.rows(query)))
            };
            let values = queries.par_iter().map(|query| Ok(read(query)?.statistics(&entropies)));
            all.values = values.collect::<Result<Vec<_>>>()?.concat();
            all.row_scores = read(first)?.disagreement;
            all.disagreements = answered::disagreements(pieces, first);
            return Ok(all);
        }
        for (c, chunk) in queries.chunks(CHUNK).enumerate() {
            interrupt::check()?;
            let samples: Vec<Sample> = chunk.iter().map(|q| rows.rows(q)).collect();
            add(&mut all, self.readings(&samples, &streams.child("chunk").index(c as u64))?, &entropies);
        }
        Ok(all)
    }

    fn keep(&mut self, rows: &Sample, stored: Option<&Stored>) -> Result<()> {
        self.shared_mut().kept = None;
        let Some([networks, taken]) = self.fixed() else { return Ok(()) };
        let shape = [networks, rows.len(), rows.classes()];
        let counts = [networks, taken];
        let (logits, answered) = match shape.iter().product::<usize>() <= MOST {
            true => {
                let known = stored.map(|stored| stored.single_if_there(KEPT, &shape)).transpose()?.flatten();
                let logits = known.map_or_else(|| self.logits(0..networks, rows), Ok)?;
                let answered = Answered::of_logits(rows, counts, &logits);
                (logits, answered)
            }
            false => (Vec::new(), self.compact(rows, counts, stored)?),
        };
        self.shared_mut().kept = Some(Kept { logits, shape, answered });
        Ok(())
    }

    fn disagreements(&self, rows: &Sample) -> Result<Vec<f64>> {
        let Some([networks, _]) = self.fixed() else { return Ok(Vec::new()) };
        let (predictions, wide) = (rows.predictions(), rows.logits.len());
        let mut all = Vec::with_capacity(networks);
        for block in answered::blocks(networks, wide) {
            let logits = self.logits(block, rows)?;
            all.par_extend(logits.par_chunks_exact(wide).map(|logits| 1.0 - agreement(logits, &predictions)));
        }
        Ok(all)
    }

    fn save(&self, store: &mut Store) {
        self.save_networks(store);
        store.double(ENTROPIES, &self.shared().reference_entropies);
        if let Some(kept) = &self.shared().kept {
            match kept.answered.compact() {
                Some((drops, differs)) => {
                    let shape = [kept.shape[1], kept.shape[0]];
                    store.single(DROPS, &shape, drops);
                    store.single(DIFFERS, &shape, &differs);
                }
                None => store.single(KEPT, &kept.shape, &kept.logits),
            }
        }
    }

    fn resize(&mut self, reference: &Reference, size: usize, streams: &Streams) -> Result<()> {
        let streams = streams.child("usual");
        let rows = if M::DRAWS { streams.child("rows") } else { streams };
        let queries = reference.validation_queries(size, M::REFERENCE_QUERIES, &rows)?;
        let readings = self.readings(&queries, &streams)?;
        self.shared_mut().reference_entropies = readings.into_iter().flat_map(|reading| reading.entropies).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::disagreement::subset;
    use crate::shift::world;
    use thalweg_nets::testing::normals;

    /// Five networks that turn the first logit by a wave of their own; a query takes `taken` of them.
    struct Toy {
        shared: Shared,
        taken: usize,
        at_once: bool,
    }

    fn toy(reference_entropies: Vec<f64>, taken: usize, at_once: bool) -> Toy {
        let schema = rows(1, 0).schema();
        let shared = Shared { base: world::two_clouds(1).base.clone(), schema, reference_entropies, kept: None };
        Toy { shared, taken, at_once }
    }

    fn answers(rows: &Sample) -> Vec<f32> {
        let turned = |m: usize, z: &[f32]| [z[0] + 1.5 * (3.0 * z[1] + m as f32).cos(), z[1]];
        (0..5).flat_map(|m| rows.logits.chunks(2).flat_map(move |z| turned(m, z))).collect()
    }

    impl Members for Toy {
        const DRAWS: bool = false;

        fn shared(&self) -> &Shared {
            &self.shared
        }

        fn shared_mut(&mut self) -> &mut Shared {
            &mut self.shared
        }

        fn readings(&self, queries: &[Sample], _: &Streams) -> Result<Vec<Reading>> {
            Ok(queries.iter().map(|query| subset::covering(&answers(query), query, self.taken)).collect())
        }

        fn fixed(&self) -> Option<[usize; 2]> {
            self.at_once.then_some([5, self.taken])
        }

        fn logits(&self, networks: Range<usize>, rows: &Sample) -> Result<Vec<f32>> {
            let wide = rows.logits.len();
            Ok(answers(rows)[networks.start * wide..networks.end * wide].to_vec())
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
            let toy = |at_once| toy(vec![0.1, 0.3, 0.5], taken, at_once);
            let of = |toy: Toy| toy.measure_rows(&all, 0, &queries, &Streams::new(0)).unwrap();
            let (once, each) = (of(toy(true)), of(toy(false)));
            let singly = toy(false).measure(&copies, &Streams::new(0)).unwrap();
            assert_eq!(once.values.len(), queries.len() * OF_ENSEMBLES.len());
            assert!(once.values.iter().zip(&singly.values).all(|(a, b)| (a - b).abs() < 1e-5), "{taken}");
            assert_eq!(each, singly);
            assert!(once.row_scores.iter().zip(&each.row_scores).all(|(a, b)| (a - b).abs() < 1e-5));
            // By the definition, of the rows that any of all networks names another class on.
            if taken == 5 {
                let logits = answers(&copies[0]);
                let other = |i: usize| {
                    let z = |m: usize| &logits[(m * 8 + i) * 2..][..2];
                    let f = copies[0].logits[2 * i + 1] > copies[0].logits[2 * i];
                    (0..5).any(|m| (z(m)[1] > z(m)[0]) != f)
                };
                assert_eq!(singly.values[0].floor() as usize, (0..8).filter(|&i| other(i)).count());
            }
        }
    }

    #[test]
    fn reference_entropies_are_those_of_queries_of_validation_rows() {
        let (train, validation, held_out) = (rows(30, 1), rows(40, 2), rows(50, 3));
        let reference = Reference::new(train, validation.clone(), held_out).unwrap();
        let toy = referenced(toy(Vec::new(), 5, false), &reference, 6, &Streams::new(1)).unwrap();
        let entropies = &toy.shared.reference_entropies;
        assert_eq!(entropies.len(), Toy::REFERENCE_QUERIES * 6);
        let one = |i: usize| toy.readings(&[validation.rows(&[i])], &Streams::new(0)).unwrap().remove(0).entropies[0];
        let known: Vec<f64> = (0..40).map(one).collect();
        assert!(entropies.iter().all(|e| known.iter().any(|k| (k - e).abs() < 1e-5)), "rows of the validation part");
        assert!(referenced(super::tests::toy(Vec::new(), 5, false), &reference, 0, &Streams::new(1)).is_err());
    }
}
