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
use super::bank::{self, BankConfig};
use super::cdc::{Trainer, agreements, mean_agreement};
use super::members::Members;
pub use super::meta_config::MetaConfig;
use super::meta_config::SAMPLING;
use crate::field::{ResidualMlp, ResidualMlpConfig};
use crate::method::{FlowMatching, Method, Scratch};
use crate::nn::normal;
use crate::nn::optimiser::AdamWConfig;
use crate::nn::parameters::Parameters;
use crate::path::Batch;
use crate::path::anchors::{Anchors, MarginalPoints};
use crate::reward::{InSpace, OnData, Reward, Rows};
use crate::shift::base::{Base, Sample, deviations};
use crate::shift::baselines::entropy::Reading;
use crate::shift::reference::Reference;
use crate::shift::test;
use crate::space::latent::{Autoencoder, Decoder, Pca, PcaConfig};
use crate::train::{self, Learner, TrainingSchedule, Updates};
use crate::tune::process::Process;
use crate::tune::rivals::best;
use crate::tune::{Task, TuneOptions, TuneValidation, draw};
use crate::{Result, Streams};
use rand::RngExt;
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;
use thalweg_nets::progress::Silent;

/// Steps of the flow's fit, and between two looks at its held-out loss.
const FIT: [u64; 2] = [600, 25];
/// Curves in a batch of the fit, and in its held-out batch.
const BATCH: [usize; 2] = [64, 512];
/// Synthetic queries that a warm start is for.
const WARM: usize = 8;

/// The test, ready for queries.
pub struct MetaDetectron {
    base: Arc<Base>,
    config: MetaConfig,
    /// The zoo of CDCs, `[M, P]`.
    zoo: Vec<f32>,
    pca: Pca,
    /// The flow over CDCs, which tuning is held to.
    flow: FlowMatching,
    /// Where tuning starts.
    start: FlowMatching,
    /// Rows of P in ℓ_cdc.
    home: Sample,
    like: Sample,
    usual: Vec<f64>,
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
        like: BankConfig,
        config: MetaConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        let zoo = Self::zoo(trainer, reference, like, &config, streams)?;
        Self::of(trainer.base().clone(), reference, (like, zoo), config, query, streams)
    }

    /// The zoo `[config.zoo, P]`: CDCs as those of a bank of `like`, but so many.
    ///
    /// # Errors
    /// Parameters out of range, a training that diverged.
    pub fn zoo(
        trainer: &Trainer,
        reference: &Reference,
        like: BankConfig,
        config: &MetaConfig,
        streams: &Streams,
    ) -> Result<Vec<f32>> {
        config.check()?;
        like.check()?;
        bank::cdcs(trainer, reference, BankConfig { size: config.zoo, ..like }, &streams.child("zoo"))
    }

    /// Fits the flow to a zoo of CDCs `[M, P]` that is there already; a warm start is towards queries such as those of the bank beside it.
    ///
    /// # Errors
    /// Parameters out of range; fewer CDCs than dimensions ask for.
    pub fn of(
        base: Arc<Base>,
        reference: &Reference,
        (made, zoo): (BankConfig, Vec<f32>),
        config: MetaConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        config.check()?;
        base.engine().layout().check("zoo of CDCs", &zoo)?;
        let pca = Pca::fit(&PcaConfig { dimension: config.dimension }, &zoo, base.theta().len())?;
        let flow = fitted(&pca.encode(&zoo), &config, &streams.child("fit"))?;
        let (train, validation) = (&reference.train, &reference.validation);
        let some = |rows: &Sample, what| rows.some(config.rows, &mut streams.child(what).rng());
        let home = some(train, "rows").joined(&some(validation, "unseen rows"));
        let like = validation.rows(&[0]);
        let start = duplicate(&flow, &config)?;
        let mut test = Self { base, config, zoo, pca, flow, start, home, like, usual: Vec::new() };
        if config.warm > 0 {
            let warm = streams.child("warm");
            let rows = test.reward(&synthetic(&test.base, reference, made, &warm)?)?;
            test.start = test.tuned(&rows, config.warm, 0, &warm)?.0;
        }
        let streams = streams.child("usual");
        test.usual = test.usual_of(reference, query, &streams.child("rows"), &streams)?;
        Ok(test)
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
        queries.iter().try_for_each(|q| test::check(q, &self.like, true))?;
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
        let logits = self.base.engine().logits_of_many(&thetas, &self.base.pack(query)?)?;
        let losses = InSpace { reward: &reward, space: &self.pca }.values(&y, streams)?;
        let agreement = watched.iter().map(|rows| mean_agreement(&self.base, &thetas, rows));
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
        let agrees = agreements(&self.base, &thetas, &self.home)?;
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
        let mut flow = duplicate(&self.start, &self.config)?;
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
        let rows = self.home.clone().joined(query);
        let disagree: Vec<bool> = (0..rows.len()).map(|i| i >= self.home.len()).collect();
        let alpha = (self.config.kappa * self.home.len() as f64 / query.len() as f64) as f32;
        let predictions = rows.predictions();
        let engine = self.base.engine();
        OnData::disagreement("query", engine, rows.inputs, predictions, disagree, alpha, Rows::All)
    }
}

/// Rows of several synthetic queries, as members of the bank were trained against, in one.
fn synthetic(base: &Base, reference: &Reference, made: BankConfig, streams: &Streams) -> Result<Sample> {
    let mut rng = streams.child("rows").rng();
    let spread = deviations(&reference.train);
    let mut rows = bank::synthetic(base, &reference.validation, &spread, made, &mut rng)?;
    for _ in 1..WARM {
        rows = rows.joined(&bank::synthetic(base, &reference.validation, &spread, made, &mut rng)?);
    }
    Ok(rows)
}

/// An untrained flow of the configuration.
fn blank(config: &MetaConfig, streams: &Streams) -> Result<FlowMatching> {
    let field = ResidualMlpConfig { width: config.width, ..ResidualMlpConfig::default() };
    let field = ResidualMlp::new(config.dimension, &field, streams)?;
    FlowMatching::from_gaussian(Box::new(field))
}

fn duplicate(flow: &FlowMatching, config: &MetaConfig) -> Result<FlowMatching> {
    let mut copy = blank(config, &Streams::new(0))?;
    copy.parameters_mut().copy_from_slice(flow.parameters());
    Ok(copy)
}

/// A flow that learns from latents, by conditional flow matching from a standard Gaussian.
struct Latents<'a> {
    flow: FlowMatching,
    /// `[M, D]`.
    train: &'a [f32],
    judged: Batch,
    streams: Streams,
    scratch: Scratch,
}

/// `n` curves from noise to random ones of `latents [M, D]`.
fn curves(flow: &FlowMatching, latents: &[f32], n: usize, streams: &Streams) -> Result<Batch> {
    let d = flow.field().dimension();
    let mut rng = streams.child("rows").rng();
    let rows = (0..n).map(|_| rng.random_range(0..(latents.len() / d) as u64) as usize).collect();
    let mut noise = vec![0.0; n * d];
    normal::fill(&mut rng, &mut noise);
    let start = MarginalPoints { points: Cow::Owned(noise), row_of_curve: (0..n).collect() };
    let end = MarginalPoints { points: Cow::Borrowed(latents), row_of_curve: rows };
    flow.batch(&Anchors::new(d, vec![start, end])?, None, streams)
}

impl Learner for Latents<'_> {
    fn parameters(&self) -> Vec<&[f32]> {
        vec![self.flow.parameters()]
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        vec![self.flow.parameters_mut()]
    }

    fn step(&mut self, step: u64, updates: &mut Updates<'_>) -> Result<()> {
        let batch = curves(&self.flow, self.train, BATCH[0], &self.streams.child("step").index(step))?;
        let loss = self.flow.loss(&batch, &mut self.scratch, Some(updates.gradient));
        updates.descend(loss, self.parameters_mut())
    }

    fn held_out(&mut self, _: u64) -> Result<Option<f64>> {
        Ok(Some(self.flow.loss(&self.judged, &mut self.scratch, None)))
    }
}

/// The flow fitted to `latents [M, D]`; a seventh of them chooses the step that is kept.
fn fitted(latents: &[f32], config: &MetaConfig, streams: &Streams) -> Result<FlowMatching> {
    let d = config.dimension;
    let (held, train) = latents.split_at(latents.len() / d / 7 * d);
    let flow = blank(config, &streams.child("start"))?;
    let judged = curves(&flow, if held.is_empty() { train } else { held }, BATCH[1], &streams.child("held out"))?;
    let mut learner = Latents { flow, train, judged, streams: *streams, scratch: Scratch::default() };
    let optimiser = AdamWConfig { learning_rate: 2e-3, average: 0.98, ..AdamWConfig::default() };
    let schedule = TrainingSchedule::new("flow over disagreement classifiers", FIT[0], FIT[1], &optimiser);
    let mut state = train::start(&mut learner, &schedule, None)?;
    train::run(&mut learner, &mut state, &schedule, None, &Silent)?;
    learner.flow.parameters_mut().copy_from_slice(&state.best);
    Ok(learner.flow)
}

impl Members for MetaDetectron {
    const NAME: &'static str = "meta-detectron";
    /// Each is a tuning.
    const USUAL: usize = 6;

    fn readings(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<Reading>> {
        let runs = self.run(queries, &[], self.config.iterations, 0, streams)?;
        Ok(runs.into_iter().map(|run| run.reading).collect())
    }

    fn usual(&self) -> &[f64] {
        &self.usual
    }

    fn kept(&self) -> &[f32] {
        &self.zoo
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::method::MetaCdc;
    use crate::shift::world;

    #[test]
    fn tuning_lowers_the_loss_on_this_query_and_keeps_agreement_at_home() {
        let world = world::two_clouds(1);
        let streams = Streams::new(5);
        let trainer = Trainer::new(world.base.clone(), &world.reference, MetaCdc::default().0, &streams).unwrap();
        let zoo = BankConfig { size: 80, ..BankConfig::default() };
        let config = MetaConfig { zoo: 80, dimension: 12, width: 48, warm: 0, ..MetaConfig::default() };
        let mut test = MetaDetectron::train(&trainer, &world.reference, zoo, config, 10, &streams).unwrap();
        let queries = [world.far(10, 1), world.near(10, 1)];
        let held = &world.reference.held;
        let at = |iterations| test.run(&queries, &[held], iterations, 0, &Streams::new(2)).unwrap();
        let (untuned, tuned) = (at(0), at(40));
        assert!(tuned[0].loss < 0.8 * untuned[0].loss, "{} {}", tuned[0].loss, untuned[0].loss);
        assert!(tuned[0].agreement[0] > 0.95, "{:?}", tuned[0].agreement);
        let count = |run: &MetaRun| run.reading.rejected.iter().filter(|r| **r).count();
        assert!(count(&tuned[0]) > count(&tuned[1]) + 3, "{tuned:?}");
        // The same query has the same bytes alone.
        let alone = test.run(&queries[..1], &[held], 40, 0, &Streams::new(2)).unwrap().remove(0);
        assert_eq!((alone.reading, alone.loss), (tuned[0].reading.clone(), tuned[0].loss));
        // Few iterations come further from a warm start, which no query had a part in.
        let (base, kept) = (world.base.clone(), (zoo, test.kept().to_vec()));
        let warmed = MetaConfig { warm: 30, ..config };
        let warm = MetaDetectron::of(base, &world.reference, kept, warmed, 10, &streams).unwrap();
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
        let home = test.home.clone();
        let mut agreement = |drawn: usize| {
            test.config.drawn = drawn;
            test.run(&queries[..1], &[&home], 0, 0, &Streams::new(2)).unwrap()[0].agreement[0]
        };
        let (all, best) = (agreement(config.samples), agreement(80));
        assert!(best > all, "{best} {all}");
    }
}
