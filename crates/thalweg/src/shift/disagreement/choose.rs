//! κ, learning rate and steps of CDCs, found on validation draws of P.
//!
//! Power is decided by them: with too little nothing is disagreed on, with too much everything is, under P as well. What can be seen without
//! a shifted row is the share of null rows that CDCs still agree on; between .75 and .95 of |Q| there is room on both sides. So candidates
//! are tried in turn until that share lies inside and hardly a CDC loses P on the way.
//! Validation rows are not those of the null law, so the choice cannot spoil p-values (and any choice that knows nothing of Q could not).
use super::cdc::{CdcConfig, Trainer};
use super::detectron::{Detectron, Rounds};
use crate::shift::base::Sample;
use crate::shift::reference::Reference;
use crate::{Result, Streams};
use serde::{Deserialize, Serialize};

/// The window for the share of null rows that are still agreed on.
pub const WINDOW: [f64; 2] = [0.75, 0.95];
/// Validation queries a trial.
const QUERIES: usize = 24;
/// Most queries with a spoiled CDC.
const SPOILED: f64 = 0.1;
/// Most trials.
const TRIALS: usize = 12;
/// Factor from one κ to the next before the window is bracketed: small enough not to jump over it.
const STEP: f64 = 2.0;

/// One trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What was tried.
    pub config: CdcConfig,
    /// Mean share of null rows still agreed on.
    pub agreed: f64,
    /// Mean agreement of CDCs with f on training rows of P, and on validation rows.
    pub agreement: [f64; 2],
    /// Share of queries with a CDC that lost P and was not counted.
    pub spoiled: f64,
}

impl Trial {
    fn inside(&self) -> bool {
        (WINDOW[0]..=WINDOW[1]).contains(&self.agreed) && self.spoiled <= SPOILED
    }

    /// Distance from the middle of the window; what loses P is further off than all else.
    fn off(&self) -> f64 {
        let lost = if self.spoiled > SPOILED { self.spoiled } else { 0.0 };
        lost + (self.agreed - 0.5 * (WINDOW[0] + WINDOW[1])).abs()
    }
}

/// The choice with all that was tried for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// What to use.
    pub config: CdcConfig,
    /// Whether its share lies in the window; otherwise it came nearest.
    pub inside: bool,
    /// In order.
    pub trials: Vec<Trial>,
}

/// Chooses κ first, by bisection on its logarithm over four decades; steps grow where even the largest κ is too mild.
///
/// # Errors
/// As [`Detectron::run`].
pub fn choose(
    start: &Trainer,
    reference: &Reference,
    rounds: Rounds,
    size: usize,
    streams: &Streams,
) -> Result<Choice> {
    let streams = streams.child("choose");
    let size = size.min(reference.validation.len());
    let queries = reference.validation_queries(size, QUERIES, &streams.child("rows"))?;
    let mut config = start.config();
    let (mut low, mut high) = (None::<f64>, None::<f64>);
    let mut trials: Vec<Trial> = Vec::new();
    for _ in 0..TRIALS {
        let trial = attempt(start, config, reference, rounds, &queries, &streams)?;
        trials.push(trial);
        if trial.inside() {
            break;
        }
        // Too mild: all is agreed on, and not because the CDCs were spoiled.
        if trial.agreed > WINDOW[1] && trial.spoiled <= SPOILED {
            low = Some(config.kappa)
        } else {
            high = Some(config.kappa)
        }
        config.kappa = match (low, high) {
            (Some(low), Some(high)) => (low * high).sqrt(),
            (Some(low), None) if low < 3.0 => low * STEP,
            (None, Some(high)) if high > 1e-5 => high / STEP,
            (Some(_), None) => {
                config.steps = config.steps * 3 / 2 + 1;
                low = None;
                start.config().kappa
            }
            _ => {
                config.steps = (config.steps * 2 / 3).max(1);
                high = None;
                start.config().kappa
            }
        };
    }
    let best = trials.iter().min_by(|a, b| a.off().total_cmp(&b.off())).expect("at least one trial");
    Ok(Choice { config: best.config, inside: best.inside(), trials })
}

fn attempt(
    start: &Trainer,
    config: CdcConfig,
    reference: &Reference,
    rounds: Rounds,
    queries: &[Sample],
    streams: &Streams,
) -> Result<Trial> {
    let test = Detectron::bare(start.with(config)?, reference, rounds)?;
    let runs = test.run(queries, &streams.child("runs"))?;
    let n: usize = queries.iter().map(Sample::len).sum();
    let rejected: usize = runs.iter().map(|r| r.reading.rejected.iter().filter(|x| **x).count()).sum();
    let agreement = [0, 1].map(|part| runs.iter().map(|r| r.agreement[part]).sum::<f64>() / runs.len() as f64);
    let spoiled = runs.iter().filter(|r| r.spoiled).count() as f64 / runs.len() as f64;
    Ok(Trial { config, agreed: 1.0 - rejected as f64 / n as f64, agreement, spoiled })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::world;

    #[test]
    fn from_any_start_the_null_share_ends_in_the_window() {
        let world = world::two_clouds(1);
        let streams = Streams::new(3);
        for kappa in [1e-4, 0.03, 3.0] {
            let config = CdcConfig { kappa, ..CdcConfig::default() };
            let trainer = Trainer::new(world.base.clone(), &world.reference, config, &streams).unwrap();
            let choice = choose(&trainer, &world.reference, Rounds::default(), 10, &streams).unwrap();
            assert!(choice.inside, "{choice:?}");
            // Seen again on other draws: within the window give or take its own error.
            let test =
                Detectron::bare(trainer.with(choice.config).unwrap(), &world.reference, Rounds::default()).unwrap();
            let queries: Vec<Sample> = (0..60).map(|i| world.near(10, 900 + i)).collect();
            let runs = test.run(&queries, &Streams::new(8)).unwrap();
            // Rows of a query share their CDCs, so the error is that of queries: of these, and of those that the choice was made on.
            let each: Vec<f64> = runs
                .iter()
                .map(|r| r.reading.rejected.iter().filter(|x| !**x).count() as f64 / r.reading.rejected.len() as f64)
                .collect();
            let agreed = each.iter().sum::<f64>() / 60.0;
            let variance = each.iter().map(|a| (a - agreed).powi(2)).sum::<f64>() / 59.0;
            let error = 3.0 * (variance * (1.0 / 60.0 + 1.0 / QUERIES as f64)).sqrt();
            assert!(error < 0.15, "{error}: nothing would be told");
            let window = WINDOW[0] - error..=WINDOW[1] + error;
            assert!(window.contains(&agreed), "{kappa}: {agreed} not in {window:?}, {choice:?}");
        }
    }
}
