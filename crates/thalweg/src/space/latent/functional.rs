//! The functional term of a weight autoencoder (M8): how differently a decoded network answers probe inputs from the original.
//!
//! Weights that the network hardly feels then cost little, and those that decide its answers cost much. Gradients come from the engine (or from what
//! evaluates networks that it does not know, [`Probes`]) at the decoded weights and are pulled back through M2. Probe inputs are drawn anew each step. Cost: two logit passes and one gradient of `rows` inputs
//! a network and step, which is most of the training's time: off by default.
//!
//! | measure | for one input, logits w of the original and z of the decoded network |
//! | --- | --- |
//! | `answers` | Kullback–Leibler divergence of softmax z from softmax w: its slope by a logit is at most 1, however far z has gone |
//! | `logits` | mean over classes of (z − w)²: its slope has no bound, so that on wide networks (P = 50,000) one step too far ends the training |
use crate::network::{Inputs, Job, Network};
use crate::ranges::{self, MOST};
use crate::space::coordinates::Coordinates;
use crate::{Error, Result, Streams};
use rand::seq::index::sample;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thalweg_nets::engine::{Engine, Workspace};
use thalweg_nets::loss::{LogitLoss, softmax};
use thalweg_nets::zoo::ZooStore;

/// Training inputs that probes are drawn from, at most.
const POOL: usize = 8192;
/// Held-out inputs of a look, at least, where there are as many.
const LOOK: usize = 256;

/// How far apart two networks' answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Kullback–Leibler divergence of the class probabilities, in nats.
    Answers,
    /// Mean squared difference of the logits.
    #[default]
    Logits,
}

/// Whether and how a functional term is added.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FunctionalConfig {
    /// Weight of the term (0: none).
    pub weight: f64,
    /// Probe inputs of a step, drawn from the zoo's own training data (64; at least 1).
    pub rows: usize,
    /// What is compared (logits).
    pub measure: Measure,
}

impl Default for FunctionalConfig {
    fn default() -> Self {
        Self { weight: 0.0, rows: 64, measure: Measure::default() }
    }
}

impl FunctionalConfig {
    /// `field` names the place in errors.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn check(self, field: &str) -> Result<()> {
        if !(self.weight >= 0.0 && self.weight.is_finite()) {
            return Err(Error::parameter(format!("{field}.weight"), "a finite number of at least 0", self.weight));
        }
        ranges::check(&format!("{field}."), [("rows", self.rows as u64, 1..=MOST)])
    }

    /// The term for networks of `zoo`, by the engine on the zoo's own data, or by `probes`; none where its weight is 0.
    ///
    /// # Errors
    /// Without probes, a zoo that does not know its architecture or its data, or data that cannot be read; probes that do not fit.
    pub fn of_zoo(
        self,
        zoo: &ZooStore,
        probes: Option<&Probes>,
        coordinates: &Coordinates,
    ) -> Result<Option<Functional>> {
        if self.weight == 0.0 {
            return Ok(None);
        }
        if let Some(Probes { network, pool, held_out, .. }) = probes {
            return Functional::new(self, network.clone(), pool.clone(), held_out, coordinates.clone()).map(Some);
        }
        let (Some(architecture), Some(data)) = (zoo.architecture(), zoo.data()) else {
            let expected = "a zoo that knows its architecture and data, for a functional term, or what evaluates its networks beside it";
            return Err(Error::parameter("functional.weight", expected, self.weight));
        };
        let (engine, splits) = (Engine::new(architecture)?, data.load()?);
        let pool = splits.train.first(POOL.max(self.rows)).inputs;
        let held_out = match splits.validation.is_empty() {
            true => pool.clone(),
            false => splits.validation.first(LOOK.max(self.rows)).inputs,
        };
        Functional::new(self, Arc::new(engine), pool, &held_out, coordinates.clone()).map(Some)
    }
}

/// What evaluates networks for a functional term where the engine does not know their architecture, and on which inputs.
#[derive(Clone, Debug)]
pub struct Probes {
    /// The networks.
    pub network: Arc<dyn Network>,
    /// What tells them from all others: a fit goes on from its state only with networks of this name, and its record holds it.
    pub name: String,
    /// Inputs that probes are drawn from `[N, D]`.
    pub pool: Vec<f32>,
    /// Inputs that held-out points are looked at with `[M, D]`.
    pub held_out: Vec<f32>,
}

impl Probes {
    /// BLAKE3 of the inputs, hexadecimal.
    pub(crate) fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for values in [&self.pool, &self.held_out] {
            hasher.update(&(values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| {
                hasher.update(&value.to_le_bytes());
            });
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// The term, ready to be taken.
pub struct Functional {
    config: FunctionalConfig,
    network: Arc<dyn Network>,
    pool: Vec<f32>,   // [N, D]
    held_out: Inputs, // [M, D]
    coordinates: Coordinates,
}

impl Functional {
    /// The term with probes from the inputs `pool [N, D]` of `network`, looked at on `held_out [M, D]`, for points in `coordinates`.
    ///
    /// # Errors
    /// Inputs or coordinates that do not fit the network; no inputs.
    pub fn new(
        config: FunctionalConfig,
        network: Arc<dyn Network>,
        pool: Vec<f32>,
        held_out: &[f32],
        coordinates: Coordinates,
    ) -> Result<Self> {
        let (p, d) = (network.layout().len(), network.input_len());
        if coordinates.dimension() != p {
            return Err(Error::shape("coordinates", format!("[{p}]"), format!("[{}]", coordinates.dimension())));
        }
        for inputs in [&pool[..], held_out] {
            if inputs.is_empty() || !inputs.len().is_multiple_of(d) {
                let expected = format!("[N, {d}] with N at least 1");
                return Err(Error::shape("probe inputs", expected, format!("[{}]", inputs.len())));
            }
        }
        Ok(Self { config, held_out: network.inputs(held_out)?, network, pool, coordinates })
    }

    /// The probe of a step: `rows` different inputs of the pool, or all where there are fewer.
    ///
    /// # Errors
    /// Never: the pool was checked.
    pub(super) fn draw(&self, streams: &Streams) -> Result<Inputs> {
        let d = self.network.input_len();
        let n = self.pool.len() / d;
        let rows = sample(&mut streams.rng(), n, self.config.rows.min(n));
        let drawn: Vec<f32> = rows.into_iter().flat_map(|row| &self.pool[row * d..(row + 1) * d]).copied().collect();
        self.network.inputs(&drawn)
    }

    /// What held-out points are looked at with.
    pub(super) fn held_out(&self) -> &Inputs {
        &self.held_out
    }

    /// The weighed term of each of the points `z [B, P]` decoded as `decoded [B, P]`, on inputs `probe` `[B]`; the derivative of their mean by
    /// `decoded` is added to `d [B, P]` if given.
    ///
    /// # Errors
    /// Weights that are not finite; what the networks' evaluation says.
    pub(super) fn losses(&self, z: &[f32], decoded: &[f32], probe: &Inputs, d: Option<&mut [f32]>) -> Result<Vec<f64>> {
        let p = self.network.layout().len();
        let (mut truth, mut theta) = (z.to_vec(), decoded.to_vec());
        self.coordinates.destandardise(&mut truth);
        self.coordinates.destandardise(&mut theta);
        let wanted = self.network.logits(&truth, probe)?;
        let (rows, classes) = (z.len() / p, self.network.classes());
        let each = probe.len() * classes;
        let of = |wanted| Difference {
            wanted,
            classes,
            measure: self.config.measure,
            scale: self.config.weight / probe.len() as f64,
        };
        let Some(d) = d else {
            let found = self.network.logits(&theta, probe)?;
            let values = found.par_chunks_exact(each).zip(wanted.par_chunks_exact(each));
            return Ok(values.map(|(z, w)| of(w).rows(0, z, &mut vec![0.0; each])).collect());
        };
        let mut gradients = vec![0.0; theta.len()];
        let losses: Vec<Difference> = wanted.chunks_exact(each).map(of).collect();
        let jobs = theta.chunks_exact(p).zip(&losses).map(|(theta, loss)| Job { theta, inputs: probe, loss });
        let jobs: Vec<Job> = jobs.collect();
        let values = self.network.gradients(&jobs, &mut gradients, &mut Workspace::default())?;
        self.coordinates.pull_back(&theta, &mut gradients);
        let share = 1.0 / rows as f32;
        d.par_iter_mut().zip(&gradients).for_each(|(d, g)| *d += share * g);
        Ok(values)
    }
}

/// scale · Σ over inputs of the measure, wanted logits `[N, C]`.
struct Difference<'a> {
    wanted: &'a [f32],
    classes: usize,
    measure: Measure,
    scale: f64,
}

impl LogitLoss for Difference<'_> {
    fn rows(&self, first: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        let (c, scale) = (self.classes, self.scale as f32);
        let wanted = &self.wanted[first * c..];
        let rows = logits.chunks_exact(c).zip(wanted.chunks_exact(c)).zip(d.chunks_exact_mut(c));
        let mut total = 0.0;
        match self.measure {
            Measure::Logits => {
                for ((z, w), d) in rows {
                    for ((z, w), d) in z.iter().zip(w).zip(d) {
                        total += f64::from((z - w) * (z - w)) / c as f64;
                        *d = 2.0 * scale * (z - w) / c as f32;
                    }
                }
            }
            Measure::Answers => {
                let mut p = vec![0.0; c];
                for ((z, w), d) in rows {
                    let (log_sum_z, log_sum_w) = (softmax(z, d), softmax(w, &mut p));
                    for ((d, p), (z, w)) in d.iter_mut().zip(&p).zip(z.iter().zip(w)) {
                        let log_ratio = (f64::from(*w) - log_sum_w) - (f64::from(*z) - log_sum_z);
                        total += f64::from(*p) * log_ratio;
                        *d = scale * (*d - p);
                    }
                }
            }
        }
        self.scale * total
    }

    fn len(&self) -> Option<usize> {
        Some(self.wanted.len() / self.classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::coordinates::Standardiser;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::testing::{normals, partial};

    #[test]
    fn it_is_the_difference_of_answers_and_its_gradient_that_of_differences() {
        let engine = Arc::new(Engine::new(&Preset::Mlp { widths: vec![6] }.build([5, 1, 1], 3).unwrap()).unwrap());
        let (p, layout) = (engine.parameters(), engine.layout().clone());
        let random = |seed: u64, n: usize| normals(&Streams::new(seed), n).iter().map(|v| 0.4 * v).collect::<Vec<_>>();
        let (inputs, z, decoded, mean) = (random(1, 20 * 5), random(2, 2 * p), random(3, 2 * p), random(4, p));
        let scale: Vec<f32> = random(5, p).iter().map(|v| 1.0 + v.abs()).collect();
        let coordinates = Coordinates::from_parts(Standardiser::PerParameter, &layout, mean, scale).unwrap();
        let logits = |z: &[f32]| {
            let mut theta = z.to_vec();
            coordinates.destandardise(&mut theta);
            engine.logits_of_many(&theta, &engine.pack(&inputs).unwrap()).unwrap()
        };
        let (w, v) = (logits(&z), logits(&decoded));
        let probabilities = |z: &[f32]| {
            let total: f64 = z.iter().map(|z| f64::from(*z).exp()).sum();
            z.iter().map(|z| f64::from(*z).exp() / total).collect::<Vec<_>>()
        };
        for measure in [Measure::Logits, Measure::Answers] {
            let one = |(w, v): (&[f32], &[f32])| match measure {
                Measure::Logits => w.iter().zip(v).map(|(w, v)| f64::from(w - v).powi(2)).sum::<f64>() / 3.0,
                Measure::Answers => {
                    let (p, q) = (probabilities(w), probabilities(v));
                    p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum::<f64>()
                }
            };
            let all: Vec<f64> = w.chunks(3).zip(v.chunks(3)).map(one).collect();
            let config = FunctionalConfig { weight: 3.0, rows: 7, measure };
            let term = Functional::new(config, engine.clone(), inputs.clone(), &inputs, coordinates.clone()).unwrap();
            let mut d = vec![0.0; decoded.len()];
            let found = term.losses(&z, &decoded, term.held_out(), Some(&mut d)).unwrap();
            let again = term.losses(&z, &decoded, term.held_out(), None).unwrap();
            for (k, rows) in all.chunks(20).enumerate() {
                let truth = 3.0 * rows.iter().sum::<f64>() / 20.0;
                assert!((found[k] / truth - 1.0).abs() < 1e-4, "{measure:?} {found:?} {truth}");
                assert!((again[k] / truth - 1.0).abs() < 1e-4);
            }
            let mean = |moved: &[f32]| {
                let losses = term.losses(&z, moved, term.held_out(), None).unwrap();
                losses.iter().sum::<f64>() / 2.0
            };
            for i in (0..2 * p).step_by(7) {
                let slope = partial(&decoded, i, 2e-3, mean);
                assert!((slope - f64::from(d[i])).abs() < 3e-3 * (1.0 + slope.abs()), "{i}: {slope} {}", d[i]);
            }
            // Seven different inputs, other ones at another step.
            let (a, b) = (term.draw(&Streams::new(1)).unwrap(), term.draw(&Streams::new(2)).unwrap());
            assert_eq!((a.len(), b.len()), (7, 7));
            let of = |probe: &Inputs| term.losses(&z, &decoded, probe, None).unwrap();
            assert!(of(&a) != of(&b) && of(&a) == of(&term.draw(&Streams::new(1)).unwrap()));
        }
        let config = FunctionalConfig { weight: 1.0, ..FunctionalConfig::default() };
        assert!(Functional::new(config, engine.clone(), vec![], &inputs, coordinates.clone()).is_err());
        assert!(FunctionalConfig { weight: -1.0, ..config }.check("functional").is_err());
        assert!(FunctionalConfig { rows: 0, ..config }.check("functional").is_err());
    }
}
