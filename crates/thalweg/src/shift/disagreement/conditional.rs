//! Disagreement classifiers drawn from a generator that is conditioned on the query (M15 amortised, with the encoder of M10).
//!
//! The bank ([`super::bank`]) leaves pairs: a synthetic query Q_m `[rows, D]` and the CDC θ_m `[P]` that was trained against it. θ_m is brought to
//! whitened principal components, and a velocity field with the context c = Enc({(x, f(x)) : x ∈ Q_m}) is fitted to them by conditional flow
//! matching from a standard Gaussian; encoder and field learn together, each time from a random part of Q_m's rows, at times without the context
//! (so that guidance is possible), and a seventh of the pairs chooses the step. A query is encoded, `samples` networks are drawn in 20 Euler steps,
//! decoded, and `members` of them taken as the bank takes its own. Where a query has more rows than the synthetic ones, each sample's context
//! is that of so many random rows: contexts stay like those of training, and the samples are for different rows.
//!
//! Kept are the CDCs alone; the synthetic queries are drawn again from the bank's streams, so weights that come from other streams
//! would be paired with rows that they have nothing to do with. Rows go to the encoder as f sees them.
//! Cost: the bank's trainings and `steps` steps of the fit once (seconds); a query is 20 evaluations of the field for `samples` rows and a pass of
//! `samples` networks. Measured on UCI Heart at |Q| = 10, Switzerland and Long Beach, two base networks, 60 draws: AUROC of the combined statistics .910
//! (.818 at 32 components, .858 at 128; .846 without the context, and guidance of 2.5 is worse than none), of the bank .973. Not where the bank holds fewer than some hundred CDCs: the encoder has no more examples than that.
use super::bank::{self, BankConfig};
use super::cdc::Trainer;
use super::conditional_config::ConditionalConfig;
use super::members::Members;
use super::pairs::{fitted, support};
use super::subset;
use crate::context::{Encoder, EncoderBuffers, Support, guided};
use crate::method::{Method, Transport};
use crate::nn::normal;
use crate::shift::base::{Base, Sample, deviations};
use crate::shift::baselines::entropy::Reading;
use crate::shift::reference::Reference;
use crate::shift::test;
use crate::solver::Solver;
use crate::space::latent::{Autoencoder, Decoder, Pca, PcaConfig};
use crate::{Error, Result, Streams};
use rayon::prelude::*;
use std::sync::Arc;

/// Euler steps of the samples.
const SAMPLING: usize = 20;

/// The test, ready for queries.
pub struct Conditional {
    base: Arc<Base>,
    config: ConditionalConfig,
    /// Rows of a synthetic query.
    rows: usize,
    /// The zoo of CDCs, `[M, P]`.
    zoo: Vec<f32>,
    pca: Pca,
    flow: Box<dyn Method>,
    encoder: Encoder,
    like: Sample,
    usual: Vec<f64>,
}

impl Conditional {
    /// Trains the zoo and fits the generator.
    ///
    /// # Errors
    /// Parameters out of range, a training that diverged.
    pub fn train(
        trainer: &Trainer,
        reference: &Reference,
        made: BankConfig,
        config: ConditionalConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        config.check()?;
        made.check()?;
        let zoo = bank::cdcs(trainer, reference, made, &streams.child("zoo"))?;
        Self::of(trainer.base().clone(), reference, (made, zoo), config, query, streams)
    }

    /// Fits the generator to a zoo of CDCs `[M, P]` that [`Self::train`] trained on the same streams, by the configuration beside it.
    ///
    /// # Errors
    /// Parameters out of range; weights that are not `[M, P]`; fewer CDCs than dimensions ask for.
    pub fn of(
        base: Arc<Base>,
        reference: &Reference,
        (made, zoo): (BankConfig, Vec<f32>),
        config: ConditionalConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        config.check()?;
        made.check()?;
        let held = base.engine().layout().check("zoo of CDCs", &zoo)?;
        if held != made.size {
            return Err(Error::shape("zoo of CDCs", format!("[{}, P]", made.size), format!("[{held}, P]")));
        }
        let spread = deviations(&reference.train);
        let queries: Vec<Sample> = (0..held)
            .into_par_iter()
            .map(|m| Ok(bank::query_of(m, &base, reference, &spread, made, &streams.child("zoo"))?.0))
            .collect::<Result<_>>()?;
        let pca = Pca::fit(&PcaConfig { dimension: config.dimension }, &zoo, base.theta().len())?;
        let latents = pca.encode(&zoo);
        let (flow, encoder) = fitted(&latents, &queries, &config, &streams.child("fit"))?;
        let like = reference.validation.rows(&[0]);
        let mut test = Self { base, config, rows: made.rows, zoo, pca, flow, encoder, like, usual: Vec::new() };
        let streams = streams.child("usual");
        test.usual = test.usual_of(reference, query, &streams.child("rows"), &streams)?;
        Ok(test)
    }

    /// Networks `[samples, P]` drawn for this query.
    ///
    /// # Errors
    /// A query that does not fit, a state that is not finite.
    pub fn draw(&self, query: &Sample, streams: &Streams) -> Result<Vec<f32>> {
        test::check(query, &self.like, true)?;
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
    const NAME: &'static str = "conditional";

    fn readings(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<Reading>> {
        let each = queries.par_iter().enumerate();
        each.map(|(i, query)| {
            let thetas = self.draw(query, &streams.index(i as u64))?;
            Ok(subset::covering(&self.base.logits_of(&thetas, query)?, query, self.config.members))
        })
        .collect()
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
    use crate::shift::method::BankCdc;
    use crate::shift::test::ShiftTest;
    use crate::shift::world;

    #[test]
    fn networks_are_drawn_for_this_query() {
        let world = world::two_clouds(1);
        let streams = Streams::new(5);
        let trainer = Trainer::new(world.base.clone(), &world.reference, BankCdc::default().0, &streams).unwrap();
        let made = BankConfig { size: 160, ..BankConfig::default() };
        let config = ConditionalConfig { dimension: 12, width: 48, ..ConditionalConfig::default() };
        let test = Conditional::train(&trainer, &world.reference, made, config, 10, &streams).unwrap();
        let queries: Vec<Sample> =
            (0..10).map(|i| world.near(10, i)).chain((0..10).map(|i| world.far(10, i))).collect();
        let s = test.measure(&queries, &Streams::new(2)).unwrap();
        let wide = s.len() / queries.len();
        let count = |from: usize| (from..from + 10).map(|i| s[i * wide]).sum::<f64>() / 10.0;
        assert!(count(10) > count(0) + 3.0, "{s:?}");
        assert_eq!(s[..wide], test.measure(&queries[..1], &Streams::new(2)).unwrap());
        // What is drawn for far rows disagrees on them, more than what is drawn for near rows or for rows as far on the other side.
        let far = world.far(30, 50);
        let other: Vec<f32> = far.inputs.chunks_exact(2).flat_map(|x| [x[0], -x[1]]).collect();
        let other = world.base.sample(&other).unwrap();
        let doubt = |of: &Sample, on: &Sample| {
            let thetas = test.draw(of, &Streams::new(9)).unwrap();
            let logits = world.base.logits_of(&thetas, on).unwrap();
            let reading = Reading::new(on, logits.chunks_exact(on.logits.len()));
            reading.doubt.iter().sum::<f64>() / on.len() as f64
        };
        let near = world.near(30, 50);
        let doubts = [doubt(&far, &far), doubt(&near, &far), doubt(&other, &far), doubt(&far, &near)];
        assert!(
            doubts[0] > 1.2 * doubts[1] && doubts[0] > 1.2 * doubts[2] && doubts[0] > 2.0 * doubts[3],
            "{doubts:?}"
        );
        let kept = (made, test.kept().to_vec());
        let again = Conditional::of(world.base.clone(), &world.reference, kept, config, 10, &streams).unwrap();
        assert_eq!(again.measure(&queries, &Streams::new(2)).unwrap(), s);
        let few = (made, world.base.theta().to_vec());
        let few = Conditional::of(world.base.clone(), &world.reference, few, config, 10, &streams);
        assert!(few.err().is_some_and(|e| e.to_string().contains("[160, P]")));
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
