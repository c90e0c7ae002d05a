//! Detectron (M14; Ginsberg, Liang, Krishnan, ICLR 2023): an ensemble of CDCs trained for this very query.
//!
//! In rounds: from f's weights a CDC is trained to disagree on the rows of Q that no earlier one disagreed on; those it manages are dropped.
//! It ends when no row is left, after `rounds`, after `idle` rounds without a new row, or when a CDC agrees with f on fewer than
//! 1 − `tolerance` of the validation rows of P (that CDC is not counted).
//! Cost: a query is up to `rounds` trainings on one thread (tens of milliseconds for a small network); queries run in parallel.
//! Where calibration may train once and for all, [`super::bank`] has more power, thirty times faster.
use super::cdc::{Scratch, Trainer, agreement};
use super::members::{Members, Shared, referenced};
pub use super::rounds::Rounds;
use crate::shift::base::Sample;
use crate::shift::baselines::entropy::Reading;
use crate::shift::factory::{Factory, Needs, Parts, Prepared};
use crate::shift::reference::Reference;
use crate::shift::stored::Stored;
use crate::shift::test;
use crate::{Result, Streams};
use rayon::prelude::*;
use thalweg_nets::engine::Packed;
use thalweg_nets::evaluate::argmax;

/// Training rows, and validation rows, that a CDC's agreement is watched on.
const WATCHED: usize = 256;

/// The test, ready for queries.
#[derive(Clone, Debug)]
pub struct Detectron {
    trainer: Trainer,
    rounds: Rounds,
    /// Rows of P that CDCs are held to, then rows that they never see, each with f's classes.
    watched: [(Packed, Vec<u32>); 2],
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
            Ok((trainer.base().pack(&rows)?, rows.predictions()))
        };
        Ok(Self {
            watched: [watch(&reference.train)?, watch(&reference.validation)?],
            shared: Shared::new(trainer.base().clone(), reference),
            trainer,
            rounds,
        })
    }

    /// The rounds of every query, in parallel over queries.
    ///
    /// # Errors
    /// A query that does not fit, a training that diverged.
    pub fn run(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<Run>> {
        queries.iter().try_for_each(|q| test::check(q, &self.shared.schema, true))?;
        let each = queries.par_iter().enumerate();
        each.map_init(Scratch::default, |scratch, (i, query)| self.one(query, &streams.index(i as u64), scratch))
            .collect()
    }

    fn one(&self, query: &Sample, streams: &Streams, scratch: &mut Scratch) -> Result<Run> {
        let base = self.trainer.base();
        let (engine, packed) = (base.engine(), base.pack(query)?);
        let predictions = query.predictions();
        let mut left: Vec<usize> = (0..query.len()).collect();
        let (mut members, mut agreements, mut idle, mut spoiled) = (Vec::new(), Vec::<[f64; 2]>::new(), 0, false);
        let mut rng = streams.rng();
        let mut workspace = engine.workspace();
        let mut seen = Vec::new();
        for _ in 0..self.rounds.rounds {
            let mut theta = base.theta().to_vec();
            let asked: Vec<u32> = left.iter().map(|&r| predictions[r]).collect();
            self.trainer.train(&mut theta, &query.rows(&left), &asked, &mut rng, scratch)?;
            let agrees = self.watched.each_ref().map(|(rows, expected)| {
                seen.resize(expected.len() * engine.classes(), 0.0);
                engine.logits(&theta, rows, &mut seen, &mut workspace);
                agreement(&seen, expected)
            });
            if agrees[1] < 1.0 - self.rounds.tolerance {
                spoiled = true;
                break;
            }
            agreements.push(agrees);
            let mut logits = vec![0.0; query.logits.len()];
            engine.logits(&theta, &packed, &mut logits, &mut workspace);
            let before = left.len();
            let row = |r: usize| &logits[r * engine.classes()..(r + 1) * engine.classes()];
            left.retain(|&r| argmax(row(r)) == predictions[r]);
            members.push(logits);
            idle = if left.len() == before { idle + 1 } else { 0 };
            if left.is_empty() || idle == self.rounds.idle {
                break;
            }
        }
        let reading = Reading::new(query, members.iter().map(Vec::as_slice));
        let mean = |part: usize| match agreements.len() {
            0 => 1.0,
            n => agreements.iter().map(|a| a[part]).sum::<f64>() / n as f64,
        };
        let agreement = [mean(0), mean(1)];
        Ok(Run { reading, members: members.len(), agreement, spoiled })
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
