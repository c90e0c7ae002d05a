//! Meta-detectron (M15): disagreement classifiers are drawn from a flow over CDCs that adjoint matching has steered towards this query.
//!
//! A zoo of CDCs of f (those of [`super::bank`]) is brought to whitened principal components, a velocity field is fitted to it by
//! conditional flow matching from a standard Gaussian, and for a query the field is tuned (M12) with r = −ℓ_cdc, agreement on P and disagreement
//! on Q, pulled back through the projection. Of `drawn` networks of the tuned flow the `samples` that agree with f best are the ensemble.
//! A flow over ordinary trained networks would be the wrong base: they agree with f too seldom for ℓ_cdc to say anything.
//! Cost: a query is `iterations` simulations of `trajectories` networks (.25 s). Measured on UCI Heart at |Q| = 10, 10 networks, 40 draws: AUROC of
//! the count .680 ± .018 before tuning and .971 ± .005 after 40 iterations (entropy .583 and .955), of the bank .993; its networks agree with f on
//! .995 of the rows that CDCs are held to. What it took: 96 components (32 lose .03) and a strong λ; that ℓ_cdc has many rows, half of them rows
//! that the CDCs were never held to, keeps the agreement. Base networks differ by more than ±.
//! At a thousand times the bank's cost, take it to study tuning, not to guard a model.
use super::bank::{self, Cdcs};
use super::bank_config::BankConfig;
use super::cdc::{Trainer, agreements, mean_agreement};
use super::flow;
use super::members::{Members, Shared, referenced};
pub use super::meta_config::MetaConfig;
use super::meta_config::SAMPLING;
use crate::method::FlowMatching;
use crate::nn::parameters::Parameters;
use crate::reward::{InSpace, OnData, Reward, Rows};
use crate::shift::base::{Base, Sample, deviations};
use crate::shift::baselines::entropy::Reading;
use crate::shift::factory::{Factory, Needs, Parts, Prepared, Trained};
use crate::shift::reference::Reference;
use crate::shift::stored::{Store, Stored};
use crate::shift::test;
use crate::space::latent::{Autoencoder, Decoder, Pca, PcaConfig};
use crate::tune::process::Process;
use crate::tune::rivals::best;
use crate::tune::{Task, TuneOptions, TuneValidation, draw};
use crate::{Result, Streams};
use rand::RngExt;
use rayon::prelude::*;
use std::sync::Arc;
use thalweg_nets::pieces::{Pieces, here};
use thalweg_nets::progress::Silent;

/// Synthetic queries that a warm start is for.
const WARM: usize = 8;

/// The test, ready for queries.
pub struct MetaDetectron {
    shared: Shared,
    config: MetaConfig,
    pca: Pca,
    /// The flow over CDCs, which tuning is held to.
    flow: FlowMatching,
    /// Where tuning starts.
    start: FlowMatching,
    /// Rows of P in ℓ_cdc.
    source: Sample,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "meta-detectron",
    looks_at: "how far networks drawn for these rows from a tuned generator disagree with the model",
    needs: Needs::Engine,
    trains_per_query: true,
    prepare: prepared,
    trained: Some(Trained { pieces, prepare: from_networks }),
};

fn prepared(parts: &Parts, stored: Option<&Stored>, streams: &Streams) -> Prepared {
    match stored {
        None => from_networks(parts, here(&*pieces(parts, streams)?)?.concat(), streams),
        Some(stored) => {
            let (base, config) = (parts.base()?, parts.config.meta);
            Ok(Box::new(MetaDetectron::stored(base, parts.reference, config, stored, streams)?))
        }
    }
}

fn pieces<'a>(parts: &Parts<'a>, streams: &Streams) -> Result<Box<dyn Pieces + 'a>> {
    let Parts { reference, config, .. } = *parts;
    let trainer = Trainer::new(parts.base()?, reference, config.meta_cdc.0, streams)?;
    Ok(Box::new(MetaDetectron::cdcs(trainer, reference, config.bank, &config.meta, streams)?))
}

fn from_networks(parts: &Parts, zoo: Vec<f32>, streams: &Streams) -> Prepared {
    let Parts { reference, config, size, .. } = *parts;
    let of = (config.bank, zoo);
    Ok(Box::new(MetaDetectron::of(parts.base()?, reference, of, config.meta, size, streams)?))
}

/// Rows of P in ℓ_cdc: some that CDCs were held to, and as many that they were not.
fn source(reference: &Reference, config: &MetaConfig, streams: &Streams) -> Sample {
    let some = |rows: &Sample, what| rows.some(config.rows, &mut streams.child(what).rng());
    some(&reference.train, "rows").joined(&some(&reference.validation, "unseen rows"))
}

/// What the flow came to for one query.
#[derive(Clone, Debug, PartialEq)]
pub struct MetaRun {
    /// What the ensemble says of the query.
    pub reading: Reading,
    /// ℓ_cdc of the ensemble's networks, mean.
    pub loss: f64,
    /// Their mean agreement with f on each set of watched rows of P.
    pub agreement: Vec<f64>,
    /// Looks along the tuning.
    pub looks: Vec<TuneValidation>,
}

impl MetaDetectron {
    /// Trains the zoo ([`Self::zoo`]) and fits the flow.
    ///
    /// # Errors
    /// Parameters out of range, a training that diverged.
    pub fn train(
        trainer: &Trainer,
        reference: &Reference,
        bank: BankConfig,
        config: MetaConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        let zoo = Self::zoo(trainer, reference, bank, &config, streams)?;
        Self::of(trainer.base().clone(), reference, (bank, zoo), config, query, streams)
    }

    /// The zoo `[config.zoo, P]`: CDCs as those of such a bank, but so many.
    ///
    /// # Errors
    /// Parameters out of range, a training that diverged.
    pub fn zoo(
        trainer: &Trainer,
        reference: &Reference,
        bank: BankConfig,
        config: &MetaConfig,
        streams: &Streams,
    ) -> Result<Vec<f32>> {
        Ok(here(&Self::cdcs(trainer.clone(), reference, bank, config, streams)?)?.concat())
    }

    /// The trainings of the zoo.
    fn cdcs<'a>(
        trainer: Trainer,
        reference: &'a Reference,
        bank: BankConfig,
        config: &MetaConfig,
        streams: &Streams,
    ) -> Result<Cdcs<'a>> {
        config.check()?;
        bank.check()?;
        Cdcs::new(trainer, reference, BankConfig { size: config.zoo, ..bank }, streams.child("zoo"))
    }

    /// Fits the flow to a zoo of CDCs `[M, P]` that is there already; a warm start is towards queries such as those of the bank beside it.
    ///
    /// # Errors
    /// Parameters out of range; fewer CDCs than dimensions ask for.
    pub fn of(
        base: Arc<Base>,
        reference: &Reference,
        (bank, zoo): (BankConfig, Vec<f32>),
        config: MetaConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        config.check()?;
        base.network().layout().check("zoo of CDCs", &zoo)?;
        let pca = Pca::fit(&PcaConfig::of(config.dimension), &zoo, base.theta().len())?;
        let flow = flow::fitted(&pca.encode(&zoo), config.dimension, config.width, &streams.child("fit"))?;
        let start = flow::with(config.dimension, config.width, flow.parameters())?;
        let source = source(reference, &config, streams);
        let mut test = Self { shared: Shared::new(base, reference), config, pca, flow, start, source };
        if config.warm > 0 {
            let warm = streams.child("warm");
            let rows = test.reward(&synthetic(&test.shared.base, reference, bank, &warm)?)?;
            test.start = test.tuned(&rows, config.warm, 0, &warm)?.0;
        }
        referenced(test, reference, query, streams)
    }

    /// What was fitted and tuned before; the streams are those of then.
    ///
    /// # Errors
    /// Tensors that do not fit the configuration.
    fn stored(
        base: Arc<Base>,
        reference: &Reference,
        config: MetaConfig,
        stored: &Stored,
        streams: &Streams,
    ) -> Result<Self> {
        config.check()?;
        let mut pca = Pca::unfitted(&PcaConfig::of(config.dimension), base.theta().len())?;
        let projection = stored.single("projection", &[pca.parameters().len()])?;
        pca.parameters_mut().copy_from_slice(&projection);
        let read = |name: &str| -> Result<FlowMatching> {
            let mut flow = flow::untrained(config.dimension, config.width, 0, &Streams::new(0))?;
            let parameters = stored.single(name, &[flow.parameters().len()])?;
            flow.parameters_mut().copy_from_slice(&parameters);
            Ok(flow)
        };
        let (flow, start) = (read("flow")?, read("start")?);
        let source = source(reference, &config, streams);
        Ok(Self { shared: Shared::stored(base, reference, stored)?, config, pca, flow, start, source })
    }

    /// Tunes the flow for every query by `iterations`, in parallel; agreement is watched on each of `watched`, rows of P. With `validate_every` above
    /// 0, ℓ_cdc along the way is recorded.
    ///
    /// # Errors
    /// A query that does not fit, a tuning that diverged.
    pub fn run(
        &self,
        queries: &[Sample],
        watched: &[&Sample],
        iterations: u64,
        validate_every: u64,
        streams: &Streams,
    ) -> Result<Vec<MetaRun>> {
        queries.iter().try_for_each(|q| test::check(q, &self.shared.schema, true))?;
        let each = queries.par_iter().enumerate();
        each.map(|(i, q)| self.one(q, watched, iterations, validate_every, &streams.index(i as u64))).collect()
    }

    fn one(
        &self,
        query: &Sample,
        watched: &[&Sample],
        iterations: u64,
        validate_every: u64,
        streams: &Streams,
    ) -> Result<MetaRun> {
        let reward = self.reward(query)?;
        let (flow, looks) = self.tuned(&reward, iterations, validate_every, streams)?;
        let (y, thetas) = self.sampled(&flow, &streams.child("samples"))?;
        let logits = self.shared.base.logits_of_many(&thetas, query)?;
        let losses = InSpace { reward: &reward, space: &self.pca }.values(&y, streams)?;
        let agreement = watched.iter().map(|rows| mean_agreement(&self.shared.base, &thetas, rows));
        Ok(MetaRun {
            reading: Reading::new(query, logits.chunks_exact(query.logits.len())),
            loss: -losses.iter().sum::<f64>() / losses.len() as f64,
            agreement: agreement.collect::<Result<_>>()?,
            looks,
        })
    }

    /// Latents and weights of the ensemble. As Detectron does not count a CDC that has lost P, the networks that disagree with f on most rows there
    /// are left out.
    fn sampled(&self, flow: &FlowMatching, streams: &Streams) -> Result<(Vec<f32>, Vec<f32>)> {
        let y = draw(flow.field(), &self.process(), self.config.drawn, SAMPLING, streams)?;
        let thetas = self.pca.decode(&y);
        let agrees = agreements(&self.shared.base, &thetas, &self.source)?;
        let chosen = best(&agrees, self.config.samples);
        let keep = |from: &[f32]| -> Vec<f32> {
            let rows: Vec<&[f32]> = from.chunks_exact(from.len() / self.config.drawn).collect();
            chosen.iter().flat_map(|&i| rows[i]).copied().collect()
        };
        Ok((keep(&y), keep(&thetas)))
    }

    /// The flow after so many iterations of adjoint matching from where tuning starts; what it is held to is the flow that was fitted.
    fn tuned(
        &self,
        on_data: &OnData,
        iterations: u64,
        validate_every: u64,
        streams: &Streams,
    ) -> Result<(FlowMatching, Vec<TuneValidation>)> {
        let mut flow = flow::with(self.config.dimension, self.config.width, self.start.parameters())?;
        if iterations == 0 {
            return Ok((flow, Vec::new()));
        }
        let reward = InSpace { reward: on_data, space: &self.pca };
        let process = self.process();
        let config =
            MetaConfig { iterations, ..self.config }.tuning(streams.rng().random::<u64>() >> 1, validate_every);
        let looked: Option<&dyn Reward> = if validate_every > 0 { Some(&reward) } else { None };
        let task = Task { base: &self.flow, process: &process, reward: &reward, held_out: looked };
        let state = task.run(&mut flow, &config, &TuneOptions::default(), &Silent)?;
        Ok((flow, state.validations.iter().map(TuneValidation::from).collect()))
    }

    fn process(&self) -> Process<'_> {
        let d = self.config.dimension;
        Process::memoryless(vec![0.0; d], vec![1.0; d], self.config.steps)
    }

    fn reward(&self, query: &Sample) -> Result<OnData> {
        let rows = self.source.clone().joined(query);
        let disagree: Vec<bool> = (0..rows.len()).map(|i| i >= self.source.len()).collect();
        let alpha = (self.config.kappa * self.source.len() as f64 / query.len() as f64) as f32;
        let predictions = rows.predictions();
        let (_, engine) = self.shared.base.engine()?;
        OnData::disagreement("query", engine, rows.inputs, predictions, disagree, alpha, Rows::All)
    }
}

/// Rows of several synthetic queries, as members of the bank were trained against, in one.
fn synthetic(base: &Base, reference: &Reference, bank: BankConfig, streams: &Streams) -> Result<Sample> {
    let mut rng = streams.child("rows").rng();
    let spread = deviations(&reference.train);
    let mut rows = bank::synthetic(base, &reference.validation, &spread, bank, &mut rng)?;
    for _ in 1..WARM {
        rows = rows.joined(&bank::synthetic(base, &reference.validation, &spread, bank, &mut rng)?);
    }
    Ok(rows)
}

impl Members for MetaDetectron {
    /// Each is a tuning.
    const REFERENCE_QUERIES: usize = 6;
    const DRAWS: bool = true;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn shared_mut(&mut self) -> &mut Shared {
        &mut self.shared
    }

    fn readings(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<Reading>> {
        let runs = self.run(queries, &[], self.config.iterations, 0, streams)?;
        Ok(runs.into_iter().map(|run| run.reading).collect())
    }

    fn save_networks(&self, store: &mut Store) {
        let flat = |store: &mut Store, name: &str, values: &[f32]| store.single(name, &[values.len()], values);
        flat(store, "projection", self.pca.parameters());
        flat(store, "flow", self.flow.parameters());
        flat(store, "start", self.start.parameters());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::method::MetaCdc;
    use crate::shift::world;

    #[test]
    fn tuning_lowers_the_loss_on_this_query_and_keeps_agreement_on_p() {
        let world = world::two_clouds(1);
        let streams = Streams::new(5);
        let trainer = Trainer::new(world.base.clone(), &world.reference, MetaCdc::default().0, &streams).unwrap();
        let zoo = BankConfig { size: 80, ..BankConfig::default() };
        let config = MetaConfig { zoo: 80, dimension: 12, width: 48, warm: 0, ..MetaConfig::default() };
        let cdcs = MetaDetectron::zoo(&trainer, &world.reference, zoo, &config, &streams).unwrap();
        let of = |config: MetaConfig| {
            let (base, cdcs) = (world.base.clone(), (zoo, cdcs.clone()));
            MetaDetectron::of(base, &world.reference, cdcs, config, 10, &streams).unwrap()
        };
        let mut test = of(config);
        let queries = [world.far(10, 1), world.near(10, 1)];
        let held_out = &world.reference.held_out;
        let at = |iterations| test.run(&queries, &[held_out], iterations, 0, &Streams::new(2)).unwrap();
        let (untuned, tuned) = (at(0), at(40));
        assert!(tuned[0].loss < 0.8 * untuned[0].loss, "{} {}", tuned[0].loss, untuned[0].loss);
        assert!(tuned[0].agreement[0] > 0.95, "{:?}", tuned[0].agreement);
        let count = |run: &MetaRun| run.reading.rejected.iter().filter(|r| **r).count();
        assert!(count(&tuned[0]) > count(&tuned[1]) + 3, "{tuned:?}");
        // The same query has the same bytes alone.
        let alone = test.run(&queries[..1], &[held_out], 40, 0, &Streams::new(2)).unwrap().remove(0);
        assert_eq!((alone.reading, alone.loss), (tuned[0].reading.clone(), tuned[0].loss));
        // Few iterations come further from a warm start, which no query had a part in.
        let warm = of(MetaConfig { warm: 30, ..config });
        let warm = warm.run(&queries, &[], 5, 0, &Streams::new(2)).unwrap();
        assert!(warm[0].loss < at(5)[0].loss, "{} {}", warm[0].loss, at(5)[0].loss);
        assert!(MetaConfig { kappa: 0.0, ..config }.check().is_err());
        assert!(MetaConfig { steps: 1, ..config }.check().is_err());
        assert!(
            MetaConfig { drawn: config.samples - 1, ..config }.check().unwrap_err().to_string().contains("meta.drawn")
        );
        let few = MetaConfig { zoo: config.dimension, ..config }.check().unwrap_err().to_string();
        assert!(few.contains("meta.zoo"), "{few}");
        // Of many networks the ensemble is of those that agree best on the rows of ℓ_cdc; with as many drawn as kept it is all of them.
        let source = test.source.clone();
        let mut agreement = |drawn: usize| {
            test.config.drawn = drawn;
            test.run(&queries[..1], &[&source], 0, 0, &Streams::new(2)).unwrap()[0].agreement[0]
        };
        let (all, best) = (agreement(config.samples), agreement(80));
        assert!(best > all, "{best} {all}");
    }
}
