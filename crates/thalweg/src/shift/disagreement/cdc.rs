//! Training one constrained disagreement classifier (M14; Ginsberg, Liang, Krishnan 2023).
//!
//! From given weights (f's own, as a rule), Adam on  mean over a batch of P of CE(g(x), f(x))  +  κ · mean over the rows of Q of
//! ℓ_dce(g(x), f(x)),  ℓ_dce = logsumexp(z) − Σ_{c ≠ f(x)} z_c/(C − 1). Deviates: book/src/mathematics.md weighs sums over one joint batch by α; with n_P and
//! n_Q rows there that is κ = α n_Q/n_P, up to a factor that Adam does not see. κ does not change meaning when rows of Q are dropped.
//!
//! Running statistics of batch normalisation stay f's, and dropout is off: g differs from f by what it was asked only.
//! Cost: `steps` gradients on batch + |Q| rows. A trainer is shared by hundreds of runs, each on one thread; batches of P are packed once. Several CDCs can
//! be trained in step with one another, as networks that are not the engine's are computed best; each is what it would be alone.
use crate::network::{Inputs, Job, Network};
use crate::nn::normal;
use crate::ranges::{self, LONGEST};
use crate::shift::base::{Base, Sample, deviations};
use crate::shift::reference::Reference;
use crate::train::descend;
use crate::{Error, Result, Streams};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thalweg_nets::engine::Workspace;
use thalweg_nets::evaluate::argmax;
use thalweg_nets::loss::{CrossEntropy, Disagreement, LogitLoss, SoftCrossEntropy};
use thalweg_nets::train::optimiser::{Optimiser, Stepper};

/// Most packed batches of P, where they have no more than so many numbers together, and how many there are at least.
const BATCHES: usize = 64;
const NUMBERS: usize = 1 << 24;
const FEWEST: usize = 8;

/// How a CDC is trained.
///
/// | field | default | range |
/// | --- | --- | --- |
/// | `kappa` | 0.004 | > 0: weight of disagreement on Q against agreement on P |
/// | `learning-rate` | 0.02 | > 0, of Adam |
/// | `steps` | 120 | ≥ 1 |
/// | `batch` | 512 | ≥ 1 rows of P a step; all of P where it has no more |
/// | `agree` | probabilities | what g is held to on P ([`Agree`]) |
/// | `jitter` | 0.3 | ≥ 0: Gaussian noise on rows of P, in deviations of each feature; f itself says what to agree to there |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CdcConfig {
    /// κ.
    pub kappa: f64,
    /// Adam's learning rate.
    #[serde(alias = "learning_rate")]
    pub learning_rate: f64,
    /// Steps.
    pub steps: usize,
    /// Rows of P in a step.
    pub batch: usize,
    /// What g is held to on P.
    pub agree: Agree,
    /// Noise on rows of P: g is held to f in a neighbourhood, so that it cannot part from f between the rows it is trained on.
    pub jitter: f64,
}

/// What a CDC is held to on P.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Agree {
    /// f's class, as in the paper: also sharpens f, which moves its boundary without being asked to.
    Class,
    /// f's probabilities: at f's own weights the gradient is 0, so what moves g is Q alone.
    #[default]
    Probabilities,
}

impl Default for CdcConfig {
    fn default() -> Self {
        Self { kappa: 0.004, learning_rate: 0.02, steps: 120, batch: 512, agree: Agree::default(), jitter: 0.3 }
    }
}

impl CdcConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the parameter under `cdc`.
    pub fn check(&self) -> Result<()> {
        for (field, value) in [("kappa", self.kappa), ("learning-rate", self.learning_rate)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::parameter(format!("cdc.{field}"), "a finite number above 0", value));
            }
        }
        if !(self.jitter >= 0.0 && self.jitter.is_finite()) {
            return Err(Error::parameter("cdc.jitter", "a finite number of at least 0", self.jitter));
        }
        ranges::check("cdc.", [("steps", self.steps as u64, 1..=LONGEST), ("batch", self.batch as u64, 1..=LONGEST)])
    }
}

/// What all CDCs of one f share.
#[derive(Clone, Debug)]
pub struct Trainer {
    base: Arc<Base>,
    config: CdcConfig,
    /// Rows of P with f's classes and probabilities.
    batches: Vec<(Inputs, Vec<u32>, Vec<f32>)>,
    stepper: Stepper,
    /// Places in θ that no gradient moves.
    still: Vec<std::ops::Range<usize>>,
}

impl Trainer {
    /// Packs batches of the training part of P.
    ///
    /// # Errors
    /// Parameters out of range, rows without inputs or of another width.
    pub fn new(base: Arc<Base>, reference: &Reference, config: CdcConfig, streams: &Streams) -> Result<Self> {
        config.check()?;
        let train = &reference.train;
        let mut rng = streams.child("batches").rng();
        let all = config.batch >= train.len();
        let most = (NUMBERS / (config.batch.min(train.len()) * train.width()).max(1)).clamp(FEWEST, BATCHES);
        let count = match (config.jitter > 0.0, all) {
            (true, _) => most,
            (false, true) => 1,
            (false, false) => most.min(train.len().div_ceil(config.batch) * 4),
        };
        let spread = (config.jitter > 0.0).then(|| deviations(train));
        let batch = |rng: &mut ChaCha8Rng| -> Result<_> {
            let mut rows = train.some(config.batch, rng);
            if let Some(spread) = &spread {
                let mut noise = vec![0.0; rows.inputs.len()];
                normal::fill(rng, &mut noise);
                let moved = rows.inputs.iter().zip(&noise).enumerate();
                let moved = moved.map(|(i, (x, e))| x + config.jitter as f32 * spread[i % spread.len()] * e);
                rows = base.sample(&moved.collect::<Vec<f32>>())?;
            }
            Ok((base.inputs(&rows)?, rows.predictions(), rows.probabilities()))
        };
        let batches = (0..count).map(|_| batch(&mut rng)).collect::<Result<_>>()?;
        let layout = base.network().layout();
        let stepper = match base.architecture() {
            Some(architecture) => Stepper::new(Optimiser::default(), 0.0, architecture),
            // What is not trained has the gradient 0, which moves nothing.
            None => Stepper::of_numbers(Optimiser::default(), 0.0, layout.len()),
        };
        let still = layout.slots().iter().filter(|s| !s.role.is_trained()).map(|s| s.range()).collect();
        Ok(Self { base, config, batches, stepper, still })
    }

    /// The same trainer with another κ, learning rate or number of steps; batches stay as they are.
    ///
    /// # Errors
    /// Parameters out of range.
    pub fn with(&self, config: CdcConfig) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config: CdcConfig { batch: self.config.batch, jitter: self.config.jitter, ..config },
            ..self.clone()
        })
    }

    /// The parameters in force.
    pub fn config(&self) -> CdcConfig {
        self.config
    }

    /// f.
    pub fn base(&self) -> &Arc<Base> {
        &self.base
    }

    /// Trains CDCs from `thetas [n, P]`, in place, each as it is asked.
    ///
    /// # Errors
    /// A query of another width, weights that left the finite numbers.
    pub fn train(&self, thetas: &mut [f32], asked: &mut [Asked<'_>], scratch: &mut Scratch) -> Result<()> {
        let (network, p) = (self.base.network(), self.base.theta().len());
        let inputs = asked.iter().map(|asked| self.base.inputs(asked.query)).collect::<Result<Vec<_>>>()?;
        let all: Vec<Vec<bool>> = asked.iter().map(|asked| vec![true; asked.predictions.len()]).collect();
        let disagree = asked
            .iter()
            .zip(&all)
            .map(|(asked, all)| Disagreement::new(asked.predictions, all, self.config.kappa as f32, network.classes()));
        let disagree = disagree.collect::<Result<Vec<_>>>()?;
        let mut stepper = self.stepper.repeated(p, asked.len());
        let Scratch { of_query, workspace } = scratch;
        of_query.resize(thetas.len(), 0.0);
        let trained =
            descend(thetas, &mut stepper, (self.config.steps, self.config.learning_rate), |_, thetas, gradient| {
                let agree = asked.iter_mut().map(|asked| self.agree(asked.rng)).collect::<Result<Vec<_>>>()?;
                let on_p = thetas.chunks_exact(p).zip(&agree);
                let on_p = on_p.map(|(theta, (inputs, loss))| Job { theta, inputs, loss: &**loss });
                network.gradients(&on_p.collect::<Vec<_>>(), gradient, workspace)?;
                let on_q = thetas.chunks_exact(p).zip(&inputs).zip(&disagree);
                let on_q = on_q.map(|((theta, inputs), loss)| Job { theta, inputs, loss });
                network.gradients(&on_q.collect::<Vec<_>>(), of_query, workspace)?;
                gradient.iter_mut().zip(&*of_query).for_each(|(g, q)| *g += q);
                // The stepper averages these places towards what stands in the gradient.
                for (gradient, theta) in gradient.chunks_exact_mut(p).zip(thetas.chunks_exact(p)) {
                    for range in &self.still {
                        gradient[range.clone()].copy_from_slice(&theta[range.clone()]);
                    }
                }
                Ok(())
            });
        trained.map_err(|error| match error {
            Error::NotFinite { place, value, .. } => Error::NotFinite {
                what: "weight of a disagreement classifier".into(),
                place: format!("{place} (cdc.kappa {}, cdc.learning-rate)", self.config.kappa),
                value,
            },
            other => other,
        })
    }

    /// One of the batches of P, and the loss there.
    fn agree(&self, rng: &mut ChaCha8Rng) -> Result<(&Inputs, Box<dyn LogitLoss + '_>)> {
        let at = if self.batches.len() == 1 { 0 } else { rng.random_range(0..self.batches.len() as u64) as usize };
        let ((inputs, labels, targets), classes) = (&self.batches[at], self.base.network().classes());
        let loss: Box<dyn LogitLoss> = match self.config.agree {
            Agree::Class => Box::new(CrossEntropy::new(labels, classes, 0.0)?),
            Agree::Probabilities => Box::new(SoftCrossEntropy::new(targets, classes)?),
        };
        Ok((inputs, loss))
    }
}

/// What a CDC is asked: to part from f, which names the classes `predictions` there, on all rows of a query; and what its training draws from.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The rows.
    pub query: &'a Sample,
    /// f's class of each.
    pub predictions: &'a [u32],
    /// Chooses the batches of P.
    pub rng: &'a mut ChaCha8Rng,
}

/// Buffers of one thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    of_query: Vec<f32>,
    workspace: Workspace,
}

impl Scratch {
    /// Logits `[n, N, C]` of networks `thetas [n, P]`, on the calling thread.
    pub(super) fn logits(&mut self, network: &dyn Network, thetas: &[f32], inputs: &Inputs) -> Result<Vec<f32>> {
        network.logits_here(thetas, inputs, &mut self.workspace)
    }
}

/// The share of rows on which logits `[N, C]` name the class in `predictions` `[N]`.
pub fn agreement(logits: &[f32], predictions: &[u32]) -> f64 {
    let classes = logits.len().checked_div(predictions.len()).unwrap_or(1).max(1);
    let same = logits.chunks_exact(classes).zip(predictions).filter(|(z, p)| argmax(z) == **p).count();
    same as f64 / predictions.len().max(1) as f64
}

/// Agreement with f of each of the networks `thetas [M, P]` on `rows`.
///
/// # Errors
/// Rows of another width.
pub fn agreements(base: &Base, thetas: &[f32], rows: &Sample) -> Result<Vec<f64>> {
    let (logits, expected) = (base.logits_of_many(thetas, rows)?, rows.predictions());
    Ok(logits.chunks_exact(rows.logits.len()).map(|logits| agreement(logits, &expected)).collect())
}

/// Mean agreement with f of networks `thetas [M, P]` on `rows`.
///
/// # Errors
/// Rows of another width.
pub fn mean_agreement(base: &Base, thetas: &[f32], rows: &Sample) -> Result<f64> {
    let each = agreements(base, thetas, rows)?;
    Ok(each.iter().sum::<f64>() / each.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::world;

    fn train(trainer: &Trainer, theta: &mut [f32], query: &Sample, seed: u64) -> Result<()> {
        let (predictions, mut rng) = (query.predictions(), Streams::new(seed).rng());
        let mut asked = [Asked { query, predictions: &predictions, rng: &mut rng }];
        trainer.train(theta, &mut asked, &mut Scratch::default())
    }

    fn loss(trainer: &Trainer, world: &world::World, theta: &[f32], query: &Sample) -> f64 {
        // The two means by their definitions, in f64.
        let mean = |sample: &Sample, disagree: bool| {
            let logits = trainer.base.logits_of_many(theta, sample).unwrap();
            let each = logits.chunks_exact(2).zip(sample.predictions()).map(|(z, p)| {
                let lse = (f64::from(z[0]).exp() + f64::from(z[1]).exp()).ln();
                lse - f64::from(z[if disagree { 1 - p } else { p } as usize])
            });
            each.sum::<f64>() / sample.len() as f64
        };
        mean(&world.reference.train, false) + trainer.config.kappa * mean(query, true)
    }

    #[test]
    fn training_lowers_the_objective_and_keeps_agreement_on_p() {
        let world = world::two_clouds(1);
        let config = CdcConfig { batch: 10_000, kappa: 0.05, agree: Agree::Class, jitter: 0.0, ..CdcConfig::default() };
        let trainer = Trainer::new(world.base.clone(), &world.reference, config, &Streams::new(0)).unwrap();
        let query = world.far(20, 3);
        let mut theta = world.base.theta().to_vec();
        let before = loss(&trainer, world, &theta, &query);
        train(&trainer, &mut theta, &query, 1).unwrap();
        assert!(loss(&trainer, world, &theta, &query) < before);
        let of = |sample: &Sample| {
            let logits = world.base.logits_of_many(&theta, sample).unwrap();
            agreement(&logits, &sample.predictions())
        };
        assert!(of(&world.reference.held_out) > 0.97, "{}", of(&world.reference.held_out));
        assert!(of(&query) < 0.5, "{}", of(&query));
    }

    #[test]
    fn one_plain_step_goes_along_the_finite_difference() {
        // Adam's first step is η times the sign of the gradient: compare signs where the difference quotient is clear.
        let world = world::two_clouds(2);
        let config =
            CdcConfig { batch: 10_000, kappa: 0.5, steps: 1, learning_rate: 1e-3, agree: Agree::Class, jitter: 0.0 };
        let trainer = Trainer::new(world.base.clone(), &world.reference, config, &Streams::new(0)).unwrap();
        let query = world.far(12, 4);
        let start = world.base.theta().to_vec();
        let mut theta = start.clone();
        train(&trainer, &mut theta, &query, 1).unwrap();
        let mut seen = 0;
        for i in 0..start.len() {
            let at = |d: f32| {
                let mut moved = start.clone();
                moved[i] += d;
                loss(&trainer, world, &moved, &query)
            };
            let slope = (at(2e-3) - at(-2e-3)) / 4e-3;
            if slope.abs() > 1e-2 {
                seen += 1;
                assert!(f64::from(theta[i] - start[i]) * slope < 0.0, "{i}: {slope}");
            }
        }
        assert!(seen > 10, "{seen}");
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let said = |c: CdcConfig| c.check().unwrap_err().to_string();
        assert!(said(CdcConfig { kappa: 0.0, ..CdcConfig::default() }).contains("cdc.kappa"));
        assert!(said(CdcConfig { learning_rate: f64::NAN, ..CdcConfig::default() }).contains("cdc.learning-rate"));
        assert!(said(CdcConfig { steps: 0, ..CdcConfig::default() }).contains("cdc.steps"));
        assert!(said(CdcConfig { jitter: -1.0, ..CdcConfig::default() }).contains("cdc.jitter"));
        let world = world::two_clouds(1);
        let wild = CdcConfig { learning_rate: 1e38, ..CdcConfig::default() };
        let trainer = Trainer::new(world.base.clone(), &world.reference, wild, &Streams::new(0)).unwrap();
        let query = world.far(5, 3);
        let mut theta = world.base.theta().to_vec();
        let end = train(&trainer, &mut theta, &query, 1);
        assert!(end.unwrap_err().to_string().contains("cdc.learning-rate"));
    }
}
