//! Networks by few gradients: by steps whose coefficients are trained (M24), and by optimisers tuned for the number of gradients.
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use thalweg::refine::{Ascent, Refiner, Rule, TrainingConfig, train};
use thalweg::reward::Reward;
use thalweg::{Layout, Streams};
use thalweg_nets::Error;

/// Networks of one way at one price.
pub struct Made {
    /// What makes them of their starts; empty for the starts themselves.
    pub way: &'static str,
    /// Gradients of one network.
    pub gradients: usize,
    /// Weights `[n, P]`.
    pub theta: Vec<f32>,
    /// Of one network.
    pub milliseconds: f64,
    /// What was chosen, or trained on, and the seconds that it took.
    pub chosen: String,
    pub seconds: f64,
}

/// Draws starts `[n, P]`.
type Draw<'a> = dyn Fn(&Streams) -> thalweg::Result<Vec<f32>> + 'a;

/// What trained steps are called.
pub const TRAINED: &str = "trained steps";

/// How coefficients are trained.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Training {
    iterations: usize,
    pairs: usize,
    /// Starts an iteration.
    pub starts: usize,
    /// Root mean square of a step of every direction, to begin with.
    first: f64,
    deviation: f64,
    learning_rate: f64,
}

impl Training {
    /// # Errors
    /// No starts, or numbers that [`TrainingConfig::check`] refuses.
    pub fn check(&self) -> Result<()> {
        if self.starts == 0 {
            bail!("training.starts: expected at least 1");
        }
        Ok(self.config().check()?)
    }

    /// Networks by `gradients` steps from `starts [n, P]`, the coefficients trained on the reward `home` from starts that `draw` draws; with the streams of the training and
    /// of the steps.
    ///
    /// # Errors
    /// As [`train`] and [`Refiner::refine`].
    pub fn made(
        &self,
        goal: &Goal,
        (home, draw): (&dyn Reward, &Draw),
        starts: &[f32],
        gradients: usize,
        [training, steps]: [&Streams; 2],
    ) -> Result<Made> {
        let clock = Instant::now();
        let mut refiner = Refiner::new(goal.layout, gradients, self.first)?;
        train(&mut refiner, &self.config(), draw, home, training)?;
        let seconds = clock.elapsed().as_secs_f64();
        let (theta, milliseconds) =
            timed(starts.len() / goal.layout.len(), || Ok(refiner.refine(starts, goal.reward, steps)?))?;
        Ok(Made { way: TRAINED, gradients, theta, milliseconds, chosen: String::new(), seconds })
    }

    fn config(&self) -> TrainingConfig {
        let Self { iterations, pairs, deviation, learning_rate, .. } = *self;
        TrainingConfig { iterations, pairs, deviation, learning_rate }
    }
}

/// What optimisers are tuned over.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tuning {
    /// Networks that settings are tuned with.
    pub networks: usize,
    /// Adam's memories to choose from.
    betas: Vec<[f32; 2]>,
    /// Those of Muon, SOAP and FOOF.
    momenta: Vec<f32>,
    /// FOOF's dampings to choose from.
    dampings: Vec<f64>,
    rates: Vec<f64>,
}

/// A task: what is ascended, a batch at a time, and what settings are chosen by.
pub struct Goal<'a> {
    pub layout: &'a Layout,
    pub reward: &'a dyn Reward,
    pub chooses: &'a dyn Reward,
}

/// An optimiser's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Optimiser {
    Adam,
    Muon,
    #[serde(rename = "SOAP")]
    Soap,
    #[serde(rename = "FOOF")]
    Foof,
}

impl Optimiser {
    pub fn name(self) -> &'static str {
        match self {
            Self::Adam => "Adam",
            Self::Muon => "Muon",
            Self::Soap => "SOAP",
            Self::Foof => "FOOF",
        }
    }
}

impl Tuning {
    /// # Errors
    /// An empty list.
    pub fn check(&self) -> Result<()> {
        let lists = [self.betas.len(), self.momenta.len(), self.dampings.len(), self.rates.len(), self.networks];
        anyhow::ensure!(
            !lists.contains(&0),
            "tuning: expected networks of at least 1, and some betas, momenta, dampings and rates"
        );
        Ok(())
    }

    /// Networks by `gradients` of `optimiser` from `starts [n, P]`, tuned from the starts `tune`; with the streams of the tuning and of the steps.
    ///
    /// # Errors
    /// As [`Self::best`] and [`Ascent::run`].
    pub fn made(
        &self,
        optimiser: Optimiser,
        goal: &Goal,
        tune: &[f32],
        starts: &[f32],
        gradients: usize,
        [tuning, steps]: [&Streams; 2],
    ) -> Result<Made> {
        let clock = Instant::now();
        let ascent = self.best(optimiser, goal, tune, gradients, tuning)?;
        let seconds = clock.elapsed().as_secs_f64();
        let (theta, milliseconds) = timed(starts.len() / goal.layout.len(), || {
            Ok(ascent.run(goal.layout, starts, gradients, goal.reward, steps)?)
        })?;
        let chosen = settings_of(&ascent);
        Ok(Made { way: optimiser.name(), gradients, theta, milliseconds, chosen, seconds })
    }

    /// The settings of `optimiser` whose networks, by `steps` gradients from `starts [n, P]`, have the greatest mean of what the goal chooses by.
    ///
    /// # Errors
    /// No settings that end anywhere; the rewards' own.
    fn best(
        &self,
        optimiser: Optimiser,
        goal: &Goal,
        starts: &[f32],
        steps: usize,
        streams: &Streams,
    ) -> Result<Ascent> {
        let rules: Vec<Rule> = match optimiser {
            Optimiser::Adam => self.betas.iter().map(|&betas| Rule::Adam { betas }).collect(),
            Optimiser::Muon => self.momenta.iter().map(|&momentum| Rule::Muon { momentum }).collect(),
            Optimiser::Soap => self.momenta.iter().map(|&momentum| Rule::Soap { momentum }).collect(),
            Optimiser::Foof => {
                let each = |momentum: f32| self.dampings.iter().map(move |&damping| Rule::Foof { momentum, damping });
                self.momenta.iter().flat_map(|&momentum| each(momentum)).collect()
            }
        };
        let mut best: Option<(f64, Ascent)> = None;
        for (rule, &rate) in rules.iter().flat_map(|rule| self.rates.iter().map(move |rate| (*rule, rate))) {
            let ascent = Ascent { rule, rate };
            let end = ascent.run(goal.layout, starts, steps, goal.reward, &streams.child("steps"));
            let values = match end.and_then(|theta| goal.chooses.values(&theta, streams)) {
                Ok(values) => values,
                // What diverges is no candidate.
                Err(Error::NotFinite { .. }) => continue,
                Err(other) => return Err(other.into()),
            };
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            if best.is_none_or(|(most, _)| mean > most) {
                best = Some((mean, ascent));
            }
        }
        let nowhere = || format!("{}: no rate of {:?} ends anywhere", optimiser.name(), self.rates);
        best.map(|(_, ascent)| ascent).with_context(nowhere)
    }
}

/// What `make` makes, and milliseconds for each of `n` networks.
pub fn timed(n: usize, make: impl Fn() -> Result<Vec<f32>>) -> Result<(Vec<f32>, f64)> {
    let clock = Instant::now();
    let theta = make()?;
    Ok((theta, 1e3 * clock.elapsed().as_secs_f64() / n as f64))
}

/// What was chosen, in words.
fn settings_of(ascent: &Ascent) -> String {
    let memory = match ascent.rule {
        Rule::Adam { betas: [first, second] } => format!("β {first}, {second}"),
        Rule::Muon { momentum } | Rule::Soap { momentum } => format!("momentum {momentum}"),
        Rule::Foof { momentum, damping } => format!("momentum {momentum}, damping {damping}"),
    };
    format!("{memory}, rate {}", ascent.rate)
}
