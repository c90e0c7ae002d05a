//! The amortised test (M15's cheapest form, beyond the paper): a bank of CDCs trained once, of which a query takes those that fit.
//!
//! Each member is a CDC of f against a **synthetic shift**: validation rows of P, moved by a common random offset and, per row, by half as
//! much again; real shifts often move few features far, so each is moved with a probability drawn per shift. Rows of features need that; for images the rows as they are suffice (`offset = 0`). For a query, `members` of the bank are
//! taken greedily so that they take the most probability from f's classes, then the ensemble statistics are those of [`crate::shift::baselines::entropy`]. No training
//! happens at query time; the null law goes through the same choice, so choosing by the query costs no validity.
//! Cost: `size` trainings once; a query is one pass of `size` networks over its rows (about a millisecond for a small network).
use super::bank_config::BankConfig;
use super::cdc::{Asked, Scratch, Trainer};
use super::members::{Members, Shared, referenced};
use super::subset::covering;
use crate::ranges;
use crate::shift::base::{Base, Sample, deviations};
use crate::shift::baselines::entropy::Reading;
use crate::shift::factory::{Factory, Needs, Parts, Prepared, Trained};
use crate::shift::reference::Reference;
use crate::shift::stored::{Store, Stored};
use crate::{Error, Result, Streams};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use thalweg_nets::pieces::{Pieces, here};

/// Least expected share of features that a synthetic shift moves.
const FEWEST: f32 = 0.1;

/// The test, ready for queries.
#[derive(Clone, Debug)]
pub struct Bank {
    shared: Shared,
    config: BankConfig,
    /// `[size, P]`.
    thetas: Vec<f32>,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "bank",
    looks_at: "how far networks that agree with the model on P can disagree with it on Q",
    needs: Needs::Network,
    trains_per_query: false,
    prepare: prepared,
    trained: Some(Trained { pieces, prepare: from_networks }),
};

fn prepared(parts: &Parts, stored: Option<&Stored>, streams: &Streams) -> Prepared {
    let Some(stored) = stored else {
        return from_networks(parts, here(&*pieces(parts, streams)?)?.concat(), streams);
    };
    let Parts { reference, config, .. } = *parts;
    let base = parts.base()?;
    let thetas = stored.single("networks", &[config.bank.size, base.theta().len()])?;
    config.bank.check()?;
    Ok(Box::new(Bank { shared: Shared::stored(base, reference, stored)?, config: config.bank, thetas }))
}

fn pieces<'a>(parts: &Parts<'a>, streams: &Streams) -> Result<Box<dyn Pieces + 'a>> {
    let Parts { reference, config, .. } = *parts;
    config.bank.check()?;
    let trainer = Trainer::new(parts.base()?, reference, config.bank_cdc.0, streams)?;
    Ok(Box::new(Cdcs::new(trainer, reference, config.bank, *streams)?))
}

fn from_networks(parts: &Parts, thetas: Vec<f32>, streams: &Streams) -> Prepared {
    Ok(Box::new(Bank::of(parts.base()?, parts.reference, parts.config.bank, thetas, parts.size, streams)?))
}

impl Bank {
    /// Trains the bank, in parallel over its members.
    ///
    /// # Errors
    /// Parameters out of range, a training that diverged.
    pub fn train(
        trainer: &Trainer,
        reference: &Reference,
        config: BankConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        config.check()?;
        let thetas = cdcs(trainer, reference, config, streams)?;
        Self::of(trainer.base().clone(), reference, config, thetas, query, streams)
    }

    /// A bank of CDCs `[size, P]` that are there already (from a file, or drawn from a meta-model); reference entropies come from
    /// validation rows, `query` at a time.
    ///
    /// # Errors
    /// Weights that are not `[size, P]`.
    pub fn of(
        base: Arc<Base>,
        reference: &Reference,
        config: BankConfig,
        thetas: Vec<f32>,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        config.check()?;
        let found = base.network().layout().check("bank", &thetas)?;
        if found != config.size {
            return Err(Error::shape("bank", format!("[{}, P]", config.size), format!("[{found}, P]")));
        }
        referenced(Self { shared: Shared::new(base, reference), config, thetas }, reference, query, streams)
    }

    /// Its networks, `[size, P]`.
    pub fn networks(&self) -> &[f32] {
        &self.thetas
    }

    /// What the members chosen for this query say of it.
    ///
    /// # Errors
    /// A query that does not fit.
    pub fn read(&self, query: &Sample) -> Result<Reading> {
        Ok(covering(&self.shared.logits(&self.thetas, query)?, query, self.config.members))
    }
}

/// `config.size` CDCs `[size, P]`, each against its own synthetic query, in parallel.
///
/// # Errors
/// A training that diverged.
pub(in crate::shift) fn cdcs(
    trainer: &Trainer,
    reference: &Reference,
    config: BankConfig,
    streams: &Streams,
) -> Result<Vec<f32>> {
    Ok(here(&Cdcs::new(trainer.clone(), reference, config, *streams)?)?.concat())
}

/// The training of CDCs, each against its own synthetic query.
pub(in crate::shift) struct Cdcs<'a> {
    trainer: Trainer,
    reference: &'a Reference,
    config: BankConfig,
    /// Deviation of each feature.
    spread: Vec<f32>,
    streams: Streams,
}

impl<'a> Cdcs<'a> {
    /// Of `config.size` CDCs.
    ///
    /// # Errors
    /// More numbers than a machine holds.
    pub(in crate::shift) fn new(
        trainer: Trainer,
        reference: &'a Reference,
        config: BankConfig,
        streams: Streams,
    ) -> Result<Self> {
        let what = "disagreement classifiers (bank.size, meta.zoo)";
        ranges::numbers(what, &[config.size, trainer.base().theta().len()])?;
        Ok(Self { trainer, reference, config, spread: deviations(&reference.train), streams })
    }
}

/// A piece is as many of them as the networks are best computed together: one by the engine.
impl Pieces for Cdcs<'_> {
    fn count(&self) -> usize {
        self.config.size.div_ceil(self.trainer.base().network().at_once())
    }

    fn make(&self, piece: usize) -> Result<Vec<f32>> {
        let (base, n) = (self.trainer.base(), self.trainer.base().network().at_once());
        let members = piece * n..((piece + 1) * n).min(self.config.size);
        let query = |m| query_of(m, base, self.reference, &self.spread, self.config, &self.streams);
        let mut queries = members.map(query).collect::<Result<Vec<_>>>()?;
        let predictions: Vec<Vec<u32>> = queries.iter().map(|(query, _)| query.predictions()).collect();
        let asked = queries.iter_mut().zip(&predictions);
        let mut asked: Vec<Asked> =
            asked.map(|((query, rng), predictions)| Asked { query, predictions, rng }).collect();
        let mut thetas = base.theta().repeat(asked.len());
        self.trainer.train(&mut thetas, &mut asked, &mut Scratch::default())?;
        Ok(thetas)
    }
}

/// The synthetic query that member `m` is trained against, and the generator that its training goes on with.
pub(in crate::shift) fn query_of(
    m: usize,
    base: &Base,
    reference: &Reference,
    spread: &[f32],
    config: BankConfig,
    streams: &Streams,
) -> Result<(Sample, ChaCha8Rng)> {
    let mut rng = streams.child("member").index(m as u64).rng();
    Ok((synthetic(base, &reference.validation, spread, config, &mut rng)?, rng))
}

/// Rows of P moved away: a common offset of up to `offset` deviations in some features, and half of it per row in all.
pub(in crate::shift) fn synthetic(
    base: &Base,
    rows: &Sample,
    spread: &[f32],
    config: BankConfig,
    rng: &mut ChaCha8Rng,
) -> Result<Sample> {
    let d = rows.width();
    let chosen: Vec<usize> = (0..config.rows).map(|_| rng.random_range(0..rows.len() as u64) as usize).collect();
    let mut inputs = rows.rows(&chosen).inputs;
    if config.offset > 0.0 {
        let strength = config.offset as f32 * rng.random::<f32>();
        let share = FEWEST + (1.0 - FEWEST) * rng.random::<f32>();
        let mut offset = || match rng.random::<f32>() < share {
            true => strength * rng.sample::<f32, _>(StandardNormal) / share.sqrt(),
            false => 0.0,
        };
        let common: Vec<f32> = (0..d).map(|_| offset()).collect();
        for row in inputs.chunks_exact_mut(d) {
            for j in 0..d {
                row[j] += spread[j] * (common[j] + 0.5 * strength * rng.sample::<f32, _>(StandardNormal));
            }
        }
    }
    base.sample(&inputs)
}

impl Members for Bank {
    const DRAWS: bool = false;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn shared_mut(&mut self) -> &mut Shared {
        &mut self.shared
    }

    fn readings(&self, queries: &[Sample], _: &Streams) -> Result<Vec<Reading>> {
        queries.par_iter().map(|query| self.read(query)).collect()
    }

    fn fixed(&self) -> Option<[usize; 2]> {
        Some([self.config.size, self.config.members])
    }

    fn logits(&self, networks: Range<usize>, rows: &Sample) -> Result<Vec<f32>> {
        self.shared.logits_of_many(&self.thetas, networks, rows)
    }

    fn save_networks(&self, store: &mut Store) {
        store.single("networks", &[self.config.size, self.shared.base.theta().len()], &self.thetas);
    }
}

#[cfg(test)]
mod tests {
    use super::super::subset::cover;
    use super::*;
    use crate::shift::disagreement::cdc::CdcConfig;
    use crate::shift::test::ShiftTest;
    use crate::shift::world;

    #[test]
    fn greedy_cover_by_hand() {
        // Four members over three rows of which f says class 0: flips {0,1}, {1,2}, {2}, {}.
        let (f, g) = ([4.0, 0.0], [0.0, 4.0]);
        let all = [g, g, f, f, g, g, f, f, g, f, f, f].concat();
        let query = Sample::of_logits([f, f, f].concat(), 2).unwrap();
        assert_eq!(cover(&all, &query, 2), [0, 1]);
        assert_eq!(cover(&all, &query, 9).len(), 4);
        // A sure flip of one row is worth more than two by a hair.
        let hair = [0.0, 0.1];
        let query = Sample::of_logits([[0.1, 0.0], [0.1, 0.0], f].concat(), 2).unwrap();
        assert_eq!(cover(&[hair, hair, f, [0.1, 0.0], [0.1, 0.0], g].concat(), &query, 1), [1]);
    }

    #[test]
    fn planted_shifts_are_found_and_benign_ones_are_not() {
        let world = world::two_clouds(1);
        let streams = Streams::new(7);
        let config = BankConfig { size: 60, ..BankConfig::default() };
        let cdc = CdcConfig { steps: 100, ..CdcConfig::default() };
        let trainer = Trainer::new(world.base.clone(), &world.reference, cdc, &streams).unwrap();
        let bank = Bank::train(&trainer, &world.reference, config, 10, &streams).unwrap();
        let of = |i: u64, kind: usize| [world.near(10, i), world.far(10, i), world.benign(10, i)][kind].clone();
        let s: Vec<Vec<f64>> = (0..3)
            .map(|kind| bank.measure(&(0..10).map(|i| of(i, kind)).collect::<Vec<_>>(), &streams).unwrap().values)
            .collect();
        let mean = |kind: usize, j: usize| (0..10).map(|i| s[kind][i * 5 + j]).sum::<f64>() / 10.0;
        assert!(mean(1, 0) > mean(0, 0) + 3.0 && mean(2, 0) <= mean(0, 0), "{s:?}");
        assert!(mean(1, 2) > 1.5 * mean(0, 2) && mean(2, 2) <= mean(0, 2), "{s:?}");
        let again =
            Bank::of(world.base.clone(), &world.reference, config, bank.networks().to_vec(), 10, &streams).unwrap();
        assert_eq!(again.measure(&[of(3, 1)], &streams).unwrap().values, s[1][15..20]);
        assert!(Bank::of(world.base.clone(), &world.reference, config, vec![0.0; 5], 10, &streams).is_err());
        assert!(BankConfig { members: 0, ..config }.check().is_err());
    }
}
