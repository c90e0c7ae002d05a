//! Optimisers tuned for a number of gradients: the rivals of every way to make networks by few of them.
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use thalweg::refine::{Ascent, Rule};
use thalweg::reward::Reward;
use thalweg::{Layout, Streams};
use thalweg_nets::Error;

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

    /// The settings of `optimiser` whose networks, by `steps` gradients from `starts [n, P]`, have the greatest mean of what the goal chooses by.
    ///
    /// # Errors
    /// No settings that end anywhere; the rewards' own.
    pub fn best(
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

/// What was chosen, in words.
pub fn settings_of(ascent: &Ascent) -> String {
    let memory = match ascent.rule {
        Rule::Adam { betas: [first, second] } => format!("β {first}, {second}"),
        Rule::Muon { momentum } | Rule::Soap { momentum } => format!("momentum {momentum}"),
        Rule::Foof { momentum, damping } => format!("momentum {momentum}, damping {damping}"),
    };
    format!("{memory}, rate {}", ascent.rate)
}
