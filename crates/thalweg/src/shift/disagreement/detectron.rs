//! Detectron (M14; Ginsberg, Liang, Krishnan, ICLR 2023): an ensemble of CDCs trained for this very query.
//!
//! In rounds: from f's weights a CDC is trained to disagree on the rows of Q that no earlier one disagreed on; those it manages are dropped.
//! It ends when no row is left, after `rounds`, after `idle` rounds without a new row, or when a CDC agrees with f on fewer than
//! 1 − `tolerance` of the validation rows of P (that CDC is not counted).
//! Cost: a query is up to `rounds` trainings on one thread (tens of milliseconds for a small network); queries run in parallel.
//! Where calibration may train once and for all, [`super::bank`] has more power, thirty times faster.
use super::cdc::{Asked, Scratch, Trainer, agreement};
use super::members::{Members, Shared, referenced};
pub use super::rounds::Rounds;
use crate::network::Inputs;
use crate::shift::base::{Base, Sample};
use crate::shift::baselines::entropy::Reading;
use crate::shift::factory::{Factory, Needs, Parts, Prepared};
use crate::shift::reference::Reference;
use crate::shift::stored::Stored;
use crate::shift::test;
use crate::{Result, Streams};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use thalweg_nets::evaluate::argmax;

/// Training rows, and validation rows, that a CDC's agreement is watched on.
const WATCHED: usize = 256;

/// The test, ready for queries.
#[derive(Clone, Debug)]
pub struct Detectron {
    trainer: Trainer,
    rounds: Rounds,
    /// Rows of P that CDCs are held to, then rows that they never see, each with f's classes.
    watched: [(Inputs, Vec<u32>); 2],
    shared: Shared,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "detectron",
    looks_at: "how far networks trained for these rows can disagree with the model on Q but not on P",
    needs: Needs::Network,
    trains_per_query: true,
    prepare: prepared,
    trained: None,
};

fn prepared(parts: &Parts, stored: Option<&Stored>, streams: &Streams) -> Prepared {
    let Parts { reference, config, size, .. } = *parts;
    let base = parts.base()?;
    let trainer = Trainer::new(base.clone(), reference, config.cdc, streams)?;
    Ok(Box::new(match stored {
        None => Detectron::new(trainer, reference, config.detectron, size, streams)?,
        Some(stored) => Detectron {
            shared: Shared::stored(base, reference, stored)?,
            ..Detectron::bare(trainer, reference, config.detectron)?
        },
    }))
}

/// What one query came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What the ensemble says of the query.
    pub reading: Reading,
    /// Members that count.
    pub members: usize,
    /// Mean agreement of the members with f on training rows and on validation rows of P; 1 without members.
    pub agreement: [f64; 2],
    /// Whether a CDC was not counted, for it had lost P.
    pub spoiled: bool,
}

impl Detectron {
    /// A test whose reference entropies come from `size` validation rows at a time.
    ///
    /// # Errors
    /// Parameters out of range, rows that do not fit.
    pub fn new(
        trainer: Trainer,
        reference: &Reference,
        rounds: Rounds,
        size: usize,
        streams: &Streams,
    ) -> Result<Self> {
        referenced(Self::bare(trainer, reference, rounds)?, reference, size, streams)
    }

    /// A test without reference entropies, for [`Self::run`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn bare(trainer: Trainer, reference: &Reference, rounds: Rounds) -> Result<Self> {
        rounds.check()?;
        let watch = |rows: &Sample| -> Result<_> {
            let rows = rows.rows(&(0..rows.len().min(WATCHED)).collect::<Vec<_>>());
            Ok((trainer.base().inputs(&rows)?, rows.predictions()))
        };
        Ok(Self {
            watched: [watch(&reference.train)?, watch(&reference.validation)?],
            shared: Shared::new(trainer.base().clone(), reference),
            trainer,
            rounds,
        })
    }

    /// The rounds of every query, in parallel over queries, as many in step with one another as networks are best computed together.
    ///
    /// # Errors
    /// A query that does not fit, a training that diverged.
    pub fn run(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<Run>> {
        queries.iter().try_for_each(|q| test::check(q, &self.shared.schema, true))?;
        let together = self.trainer.base().network().at_once();
        let parts = queries.par_chunks(together).enumerate();
        let runs = parts.map_init(Scratch::default, |scratch, (part, queries)| {
            let of = |(i, query)| Course::new(self.trainer.base(), query, &streams.index((part * together + i) as u64));
            self.some(queries.iter().enumerate().map(of).collect::<Result<_>>()?, scratch)
        });
        Ok(runs.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// The rounds of some queries, step by step together.
    fn some(&self, mut courses: Vec<Course<'_>>, scratch: &mut Scratch) -> Result<Vec<Run>> {
        let base = self.trainer.base();
        for _ in 0..self.rounds.rounds {
            let mut active: Vec<&mut Course> = courses.iter_mut().filter(|course| !course.over).collect();
            if active.is_empty() {
                break;
            }
            let rows: Vec<Sample> = active.iter().map(|course| course.query.rows(&course.left)).collect();
            let classes: Vec<Vec<u32>> = active.iter().map(|course| course.asked()).collect();
            let mut thetas = base.theta().repeat(active.len());
            let asked = active.iter_mut().zip(&rows).zip(&classes);
            let asked = asked.map(|((course, query), predictions)| Asked { query, predictions, rng: &mut course.rng });
            self.trainer.train(&mut thetas, &mut asked.collect::<Vec<_>>(), scratch)?;
            let network = base.network();
            let mut watched = |part: usize| scratch.logits(network, &thetas, &self.watched[part].0);
            let watched = [watched(0)?, watched(1)?];
            for (k, (course, theta)) in active.iter_mut().zip(thetas.chunks_exact(base.theta().len())).enumerate() {
                let agrees = [0, 1].map(|part| {
                    let expected = &self.watched[part].1;
                    let each = expected.len() * network.classes();
                    agreement(&watched[part][k * each..(k + 1) * each], expected)
                });
                if agrees[1] < 1.0 - self.rounds.tolerance {
                    (course.spoiled, course.over) = (true, true);
                    continue;
                }
                let logits = scratch.logits(network, theta, &course.inputs)?;
                course.take(agrees, logits, self.rounds.idle);
            }
        }
        Ok(courses.into_iter().map(Course::run).collect())
    }
}

/// The rounds of one query.
struct Course<'a> {
    query: &'a Sample,
    inputs: Inputs,
    predictions: Vec<u32>,
    rng: ChaCha8Rng,
    /// Rows that no member disagreed on.
    left: Vec<usize>,
    /// Logits `[N, C]` of each member.
    members: Vec<Vec<f32>>,
    agreements: Vec<[f64; 2]>,
    idle: usize,
    spoiled: bool,
    over: bool,
}

impl<'a> Course<'a> {
    fn new(base: &Base, query: &'a Sample, streams: &Streams) -> Result<Self> {
        Ok(Self {
            query,
            inputs: base.inputs(query)?,
            predictions: query.predictions(),
            rng: streams.rng(),
            left: (0..query.len()).collect(),
            members: Vec::new(),
            agreements: Vec::new(),
            idle: 0,
            spoiled: false,
            over: false,
        })
    }

    /// f's classes of the rows that are left.
    fn asked(&self) -> Vec<u32> {
        self.left.iter().map(|&row| self.predictions[row]).collect()
    }

    /// Takes in a member with its `logits [N, C]`.
    fn take(&mut self, agrees: [f64; 2], logits: Vec<f32>, most_idle: usize) {
        let (before, classes) = (self.left.len(), self.query.classes());
        let predictions = &self.predictions;
        self.left.retain(|&row| argmax(&logits[row * classes..(row + 1) * classes]) == predictions[row]);
        self.agreements.push(agrees);
        self.members.push(logits);
        self.idle = if self.left.len() == before { self.idle + 1 } else { 0 };
        self.over = self.left.is_empty() || self.idle == most_idle;
    }

    fn run(self) -> Run {
        let mean = |part: usize| match self.agreements.len() {
            0 => 1.0,
            n => self.agreements.iter().map(|a| a[part]).sum::<f64>() / n as f64,
        };
        Run {
            reading: Reading::new(self.query, self.members.iter().map(Vec::as_slice)),
            members: self.members.len(),
            agreement: [mean(0), mean(1)],
            spoiled: self.spoiled,
        }
    }
}

impl Members for Detectron {
    const DRAWS: bool = true;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn shared_mut(&mut self) -> &mut Shared {
        &mut self.shared
    }

    fn readings(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<Reading>> {
        Ok(self.run(queries, streams)?.into_iter().map(|run| run.reading).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::disagreement::cdc::CdcConfig;
    use crate::shift::test::ShiftTest;
    use crate::shift::world;

    fn detectron(world: &world::World) -> Detectron {
        let streams = Streams::new(7);
        let trainer = Trainer::new(world.base.clone(), &world.reference, CdcConfig::default(), &streams).unwrap();
        Detectron::new(trainer, &world.reference, Rounds::default(), 10, &streams).unwrap()
    }

    #[test]
    fn a_planted_shift_is_disagreed_on_and_rows_of_p_and_benign_ones_are_not() {
        let world = world::two_clouds(1);
        let test = detectron(world);
        const N: usize = 64;
        let of = |draw: &dyn Fn(u64) -> Sample| (0..N as u64).map(draw).collect::<Vec<_>>();
        let queries = [of(&|i| world.near(10, i)), of(&|i| world.far(10, i)), of(&|i| world.benign(10, i))].concat();
        let s = test.measure(&queries, &Streams::new(1)).unwrap().values;
        // Mean of statistic j over the queries of one kind; 64 of each, for benign rows are a fifth below those of P, and their errors a twentieth.
        let mean = |kind: usize, j: usize| (kind * N..(kind + 1) * N).map(|i| s[i * 5 + j]).sum::<f64>() / N as f64;
        for (j, least) in [(0, 7.0), (2, 0.3)] {
            let [near, far, benign] = [0, 1, 2].map(|kind| mean(kind, j));
            assert!(far > least && far > 10.0 * near && benign <= near, "{j}: {near} {far} {benign}");
        }
        let runs = test.run(&queries, &Streams::new(1)).unwrap();
        assert!(runs.iter().all(|r| r.agreement.iter().all(|a| *a > 0.95) && r.members <= 5));
    }

    #[test]
    fn a_query_has_the_same_numbers_in_any_company_and_on_any_threads() {
        let world = world::two_clouds(1);
        let test = detectron(world);
        let queries: Vec<Sample> = (0..6).map(|i| world.far(9, i)).collect();
        let on = |threads: usize, queries: &[Sample]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| test.measure(queries, &Streams::new(4)).unwrap().values)
        };
        let (one, two) = (on(1, &queries), on(2, &queries));
        assert_eq!(one, two);
        assert_eq!(on(2, &queries[..2]), one[..10]);
    }

    #[test]
    fn bad_queries_are_named() {
        let world = world::two_clouds(1);
        let test = detectron(world);
        let logits = Sample::of_logits(vec![0.0, 1.0], 2).unwrap();
        let said = test.measure(&[logits], &Streams::new(0)).unwrap_err().to_string();
        assert!(said.contains("logits alone"), "{said}");
        assert!(test.measure(&[Sample::default()], &Streams::new(0)).unwrap_err().to_string().contains("[0, D]"));
        assert!(Rounds { tolerance: 0.0, ..Rounds::default() }.check().is_err());
    }
}
