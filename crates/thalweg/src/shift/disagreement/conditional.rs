//! Disagreement classifiers drawn from a generator that is conditioned on the query (M15 amortised, with the encoder of M10).
//!
//! The bank ([`super::bank`]) leaves pairs: a synthetic query Q_m `[rows, D]` and the CDC θ_m `[P]` that was trained against it. θ_m is brought to
//! whitened principal components, and a velocity field with the context c = Enc({(x, f(x)) : x ∈ Q_m}) is fitted to them by conditional flow
//! matching from a standard Gaussian; encoder and field learn together, each time from a random part of Q_m's rows, at times without the context
//! (so that guidance is possible), and a seventh of the pairs chooses the step. A query is encoded, `samples` networks are drawn in 20 Euler steps,
//! decoded, and `members` of them taken as the bank takes its own. Where a query has more rows than the synthetic ones, each sample's context
//! is that of so many random rows: contexts stay like those of training, and the samples are for different rows.
//!
//! A calibration keeps the fitted field and encoder; the CDCs are needed for the fit alone. Rows go to the encoder as f sees them.
//! Cost: the bank's trainings and `steps` steps of the fit once (seconds); a query is 20 evaluations of the field for `samples` rows and a pass of
//! `samples` networks. Measured on UCI Heart at |Q| = 10, Switzerland and Long Beach, two base networks, 60 draws: AUROC of the combined statistics .910
//! (.818 at 32 components, .858 at 128; .846 without the context, and guidance of 2.5 is worse than none), of the bank .973. Not where the bank holds fewer than some hundred CDCs: the encoder has no more examples than that.
use super::bank::{self, Cdcs};
use super::bank_config::BankConfig;
use super::cdc::Trainer;
use super::conditional_config::ConditionalConfig;
use super::members::{Members, Shared, referenced};
use super::pairs::{fitted, support, untrained};
use super::subset;
use crate::context::{Encoder, EncoderBuffers, Support, guided};
use crate::method::{Method, Transport};
use crate::nn::normal;
use crate::nn::parameters::Parameters;
use crate::shift::base::{Base, Sample, deviations};
use crate::shift::baselines::entropy::Reading;
use crate::shift::factory::{Factory, Needs, Parts, Prepared, Trained};
use crate::shift::reference::Reference;
use crate::shift::stored::{Store, Stored};
use crate::shift::test;
use crate::solver::Solver;
use crate::space::latent::{Autoencoder, Decoder, Pca, PcaConfig};
use crate::{Result, Streams};
use rayon::prelude::*;
use std::sync::Arc;
use thalweg_nets::pieces::{Pieces, here};

/// Euler steps of the samples.
const SAMPLING: usize = 20;

/// The test, ready for queries.
pub struct Conditional {
    shared: Shared,
    config: ConditionalConfig,
    /// Rows of a synthetic query.
    rows: usize,
    pca: Pca,
    flow: Box<dyn Method>,
    encoder: Encoder,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "conditional",
    looks_at: "how far networks drawn for these rows from a generator disagree with the model",
    needs: Needs::Network,
    trains_per_query: false,
    prepare: prepared,
    trained: Some(Trained { pieces, prepare: from_networks }),
};

fn prepared(parts: &Parts, stored: Option<&Stored>, streams: &Streams) -> Prepared {
    match stored {
        None => from_networks(parts, here(&*pieces(parts, streams)?)?.concat(), streams),
        Some(stored) => {
            let of = (parts.config.bank, parts.config.conditional);
            Ok(Box::new(Conditional::stored(parts.base()?, parts.reference, of, stored)?))
        }
    }
}

fn pieces<'a>(parts: &Parts<'a>, streams: &Streams) -> Result<Box<dyn Pieces + 'a>> {
    let Parts { reference, config, .. } = *parts;
    config.conditional.check()?;
    config.bank.check()?;
    let trainer = Trainer::new(parts.base()?, reference, config.bank_cdc.0, streams)?;
    Ok(Box::new(Cdcs::new(trainer, reference, config.bank, streams.child("zoo"))?))
}

fn from_networks(parts: &Parts, zoo: Vec<f32>, streams: &Streams) -> Prepared {
    let Parts { reference, config, size, .. } = *parts;
    let of = (config.bank, zoo);
    Ok(Box::new(Conditional::of(&parts.base()?, reference, of, config.conditional, size, streams)?))
}

impl Conditional {
    /// Trains the zoo and fits the generator.
    ///
    /// # Errors
    /// Parameters out of range, a training that diverged.
    pub fn train(
        trainer: &Trainer,
        reference: &Reference,
        bank: BankConfig,
        config: ConditionalConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        config.check()?;
        bank.check()?;
        let zoo = bank::cdcs(trainer, reference, bank, &streams.child("zoo"))?;
        Self::of(trainer.base(), reference, (bank, zoo), config, query, streams)
    }

    /// Fits the generator to a zoo of CDCs `[M, P]` that is there already, each of its own synthetic query of the bank.
    fn of(
        base: &Arc<Base>,
        reference: &Reference,
        (bank, zoo): (BankConfig, Vec<f32>),
        config: ConditionalConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        let spread = deviations(&reference.train);
        let queries: Vec<Sample> = (0..bank.size)
            .into_par_iter()
            .map(|m| Ok(bank::query_of(m, base, reference, &spread, bank, &streams.child("zoo"))?.0))
            .collect::<Result<_>>()?;
        let pca = Pca::fit(&PcaConfig::of(config.dimension), &zoo, base.theta().len())?;
        let (flow, encoder) = fitted(&pca.encode(&zoo), &queries, &config, &streams.child("fit"))?;
        let shared = Shared::new(base.clone(), reference);
        referenced(Self { shared, config, rows: bank.rows, pca, flow, encoder }, reference, query, streams)
    }

    /// What was fitted before.
    ///
    /// # Errors
    /// Tensors that do not fit the configuration.
    fn stored(
        base: Arc<Base>,
        reference: &Reference,
        (bank, config): (BankConfig, ConditionalConfig),
        stored: &Stored,
    ) -> Result<Self> {
        config.check()?;
        bank.check()?;
        let shared = Shared::stored(base, reference, stored)?;
        let mut pca = Pca::unfitted(&PcaConfig::of(config.dimension), shared.base.theta().len())?;
        let (mut flow, mut encoder) = untrained(shared.schema, &config, &Streams::new(0))?;
        let fill = |name: &str, parameters: &mut [f32]| -> Result<()> {
            parameters.copy_from_slice(&stored.single(name, &[parameters.len()])?);
            Ok(())
        };
        fill("projection", pca.parameters_mut())?;
        fill("flow", flow.parameters_mut())?;
        fill("encoder", encoder.parameters_mut())?;
        Ok(Self { shared, config, rows: bank.rows, pca, flow: Box::new(flow), encoder })
    }

    /// Networks `[samples, P]` drawn for this query.
    ///
    /// # Errors
    /// A query that does not fit, a state that is not finite.
    pub fn draw(&self, query: &Sample, streams: &Streams) -> Result<Vec<f32>> {
        test::check(query, &self.shared.schema, true)?;
        let (n, d) = (self.config.samples, self.config.dimension);
        let mut rng = streams.child("rows").rng();
        let c = match query.len() <= self.rows {
            true => self.encode(&[support(query, query.len(), &mut rng)?]).repeat(n),
            false => {
                let parts = (0..n).map(|_| support(query, self.rows, &mut rng));
                self.encode(&parts.collect::<Result<Vec<_>>>()?)
            }
        };
        let mut y = vec![0.0; n * d];
        normal::fill(&mut streams.child("noise").rng(), &mut y);
        let how = Transport { solver: Solver::Euler, steps: SAMPLING, at: Vec::new() };
        match self.config.guidance == 1.0 {
            true => self.flow.transport(&mut y, Some(&c), &how, &[])?,
            false => guided(&*self.flow, &mut y, &c, self.config.guidance, &how, d)?,
        };
        Ok(self.pca.decode(&y))
    }

    fn encode(&self, supports: &[Support]) -> Vec<f32> {
        self.encoder.forward(supports, &mut EncoderBuffers::default()).to_vec()
    }
}

impl Members for Conditional {
    const DRAWS: bool = true;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn shared_mut(&mut self) -> &mut Shared {
        &mut self.shared
    }

    fn readings(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<Reading>> {
        let each = queries.par_iter().enumerate();
        each.map(|(i, query)| {
            let thetas = self.draw(query, &streams.index(i as u64))?;
            Ok(subset::covering(&self.shared.logits(&thetas, query)?, query, self.config.members))
        })
        .collect()
    }

    fn save_networks(&self, store: &mut Store) {
        let flat = |store: &mut Store, name: &str, values: &[f32]| store.single(name, &[values.len()], values);
        flat(store, "projection", self.pca.parameters());
        flat(store, "flow", self.flow.parameters());
        flat(store, "encoder", self.encoder.parameters());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::method::BankCdc;
    use crate::shift::test::ShiftTest;
    use crate::shift::world;

    #[test]
    fn networks_are_drawn_for_this_query() {
        let world = world::two_clouds(1);
        let streams = Streams::new(5);
        let trainer = Trainer::new(world.base.clone(), &world.reference, BankCdc::default().0, &streams).unwrap();
        let bank = BankConfig { size: 160, ..BankConfig::default() };
        let config = ConditionalConfig { dimension: 12, width: 48, ..ConditionalConfig::default() };
        let test = Conditional::train(&trainer, &world.reference, bank, config, 10, &streams).unwrap();
        let queries: Vec<Sample> =
            (0..10).map(|i| world.near(10, i)).chain((0..10).map(|i| world.far(10, i))).collect();
        let s = test.measure(&queries, &Streams::new(2)).unwrap().values;
        let wide = s.len() / queries.len();
        let count = |from: usize| (from..from + 10).map(|i| s[i * wide]).sum::<f64>() / 10.0;
        assert!(count(10) > count(0) + 3.0, "{s:?}");
        assert_eq!(s[..wide], test.measure(&queries[..1], &Streams::new(2)).unwrap().values);
        // What is drawn for far rows disagrees on them more than what is drawn for near rows, or for rows as far on the other side, and more than it
        // does on near rows: in every one of twelve, which by chance is one time in 4,096.
        let disagreement = |of: &Sample, on: &Sample, i: u64| {
            let thetas = test.draw(of, &Streams::new(9).index(i)).unwrap();
            let logits = world.base.logits_of(&thetas, on).unwrap();
            let reading = Reading::new(on, logits.chunks_exact(on.logits.len()));
            reading.disagreement.iter().sum::<f64>() / on.len() as f64
        };
        for i in 0..12 {
            let (near, far) = (world.near(30, 50 + i), world.far(30, 50 + i));
            let other: Vec<f32> = far.inputs.chunks_exact(2).flat_map(|x| [x[0], -x[1]]).collect();
            let other = world.base.sample(&other).unwrap();
            let own = disagreement(&far, &far, i);
            let others = [disagreement(&near, &far, i), disagreement(&other, &far, i), disagreement(&far, &near, i)];
            assert!(others.iter().all(|disagreement| own > *disagreement), "{i}: {own} {others:?}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let of = ConditionalConfig::default();
        let said = |config: ConditionalConfig| config.check().unwrap_err().to_string();
        assert!(said(ConditionalConfig { members: 21, ..of }).contains("conditional.members"));
        assert!(said(ConditionalConfig { steps: 0, ..of }).contains("conditional.steps"));
        assert!(said(ConditionalConfig { drop: 1.0, ..of }).contains("conditional.drop"));
        assert!(said(ConditionalConfig { guidance: -1.0, ..of }).contains("conditional.guidance"));
        assert!(said(ConditionalConfig { learning_rate: f64::NAN, ..of }).contains("conditional.learning-rate"));
    }
}
