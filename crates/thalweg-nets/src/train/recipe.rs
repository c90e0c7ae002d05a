//! How a run is trained: optimiser, schedule, length, batch, and when checkpoints are taken. Part of every `zoo.toml`.
use super::optimiser::Optimiser;
use super::schedule::Schedule;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Length {
    /// Passes over the training rows; fractions are rounded to whole steps.
    Epochs(f64),
    /// Mini-batches.
    Steps(u64),
}

/// Steps of a run at least, where the user has said nothing of its length.
pub const LEAST_STEPS: u64 = 1_000;

/// A checked-on-use description of one training run.
///
/// | field | default | range |
/// | --- | --- | --- |
/// | `optimiser` | Adam(.9, .999, 1e-8) | `{ sgd = { momentum, nesterov } }`, `{ adam = { betas, epsilon } }`, `{ adamw = … }` |
/// | `learning-rate` | 1e-3 | > 0 |
/// | `schedule` | `constant` | `constant`, `cosine`, `{ one-cycle = { rise, start_divisor, final_divisor } }` |
/// | `weight-decay` | 0 | ≥ 0; in the gradient, but for AdamW |
/// | `batch` | 64 | 1 … training rows |
/// | `length` | `{ epochs = 4 }` | `{ epochs = E }` or `{ steps = T }` |
/// | `label-smoothing` | 0 | [0, 1) |
/// | `checkpoints` | 0, 1/6, …, 1 | rising shares of the run from 0 to 1; or `[1.0]`: only the final network |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Recipe {
    /// The rule of a step.
    pub optimiser: Optimiser,
    /// η, the peak of the schedule.
    #[serde(alias = "learning_rate")]
    pub learning_rate: f64,
    /// How η moves over the run.
    pub schedule: Schedule,
    /// λ of the L2 penalty ½ λ‖θ‖² (of the shrinkage 1 − η λ for AdamW).
    #[serde(alias = "weight_decay")]
    pub weight_decay: f64,
    /// Rows in a mini-batch.
    pub batch: usize,
    /// How long the run is.
    pub length: Length,
    /// Share of the target spread evenly over all classes.
    #[serde(alias = "label_smoothing")]
    pub label_smoothing: f32,
    /// When θ is recorded, as shares of the run: `[K]`.
    pub checkpoints: Vec<f64>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            optimiser: Optimiser::default(),
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            batch: 64,
            length: Length::Epochs(4.0),
            label_smoothing: 0.0,
            checkpoints: evenly(7),
        }
    }
}

/// `k` equally spaced checkpoints from 0 to 1; for one, the end.
pub fn evenly(k: usize) -> Vec<f64> {
    match k {
        1 => vec![1.0],
        _ => (0..k).map(|i| i as f64 / (k - 1) as f64).collect(),
    }
}

impl Recipe {
    /// Checks all that can be checked without data.
    ///
    /// # Errors
    /// Names the parameter under `recipe`.
    pub fn check(&self) -> Result<()> {
        self.optimiser.check()?;
        self.schedule.check()?;
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let refuse = |field: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(Error::parameter(format!("recipe.{field}"), expected, found))
        };
        if !positive(self.learning_rate) {
            return refuse("learning-rate", "a finite number above 0", &self.learning_rate);
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return refuse("weight-decay", "a finite number of at least 0", &self.weight_decay);
        }
        if self.batch == 0 {
            return refuse("batch", "at least one row", &0);
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return refuse("label-smoothing", "a number in [0, 1)", &self.label_smoothing);
        }
        match self.length {
            Length::Epochs(epochs) if !positive(epochs) => {
                return refuse("length.epochs", "a finite number above 0", &epochs);
            }
            Length::Steps(0) => return refuse("length.steps", "at least one step", &0),
            _ => {}
        }
        let c = &self.checkpoints;
        let rising = c.windows(2).all(|w| w[0] < w[1]);
        let whole = c[..] == [1.0] || (c.first() == Some(&0.0) && c.last() == Some(&1.0));
        if !(rising && whole) {
            let expected = "rising shares from 0 (the initialisation) to 1 (the end), or [1.0] alone";
            return refuse("checkpoints", expected, &format!("{c:?}"));
        }
        Ok(())
    }

    /// T: steps of a run on `rows` training rows.
    ///
    /// # Errors
    /// A batch larger than the data.
    pub fn steps(&self, rows: usize) -> Result<u64> {
        if self.batch > rows {
            return Err(Error::parameter("recipe.batch", format!("at most the {rows} training rows"), self.batch));
        }
        Ok(match self.length {
            Length::Steps(steps) => steps,
            Length::Epochs(epochs) => ((epochs * rows.div_ceil(self.batch) as f64).round() as u64).max(1),
        })
    }

    /// Gives what the user has not said of a recipe made of defaults what suits `rows` training rows: a `batch` that they can fill, and a `length` of
    /// at least [`LEAST_STEPS`], for a few passes over a small table leave networks at chance. Returns the steps of a run.
    ///
    /// # Errors
    /// A batch that was said and is larger than the data.
    pub fn suit(&mut self, rows: usize, length: bool, batch: bool) -> Result<u64> {
        if batch {
            self.batch = self.batch.min(rows.max(1));
        }
        if length && self.steps(rows)? < LEAST_STEPS {
            self.length = Length::Steps(LEAST_STEPS);
        }
        self.steps(rows)
    }

    /// The steps after which checkpoints are taken, `[K]`, of a run of `steps` steps.
    ///
    /// # Errors
    /// Where two checkpoints would fall on one step.
    pub fn checkpoint_steps(&self, steps: u64) -> Result<Vec<u64>> {
        let at: Vec<u64> = self.checkpoints.iter().map(|share| (share * steps as f64).round() as u64).collect();
        match at.windows(2).position(|w| w[0] == w[1]) {
            None => Ok(at),
            Some(i) => Err(Error::parameter(
                "recipe.checkpoints",
                format!("checkpoints at different steps of a run of {steps} steps"),
                format!("{} and {}, both at step {}", self.checkpoints[i], self.checkpoints[i + 1], at[i]),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_round_trip_defaults_and_unknown_keys() {
        let recipe = Recipe {
            optimiser: Optimiser::sgd(0.9),
            schedule: Schedule::one_cycle(),
            length: Length::Steps(400),
            ..Recipe::default()
        };
        assert_eq!(toml::from_str::<Recipe>(&toml::to_string(&recipe).unwrap()).unwrap(), recipe);
        assert_eq!(toml::from_str::<Recipe>("").unwrap(), Recipe::default());
        let text = "optimiser = { adamw = {} }\nschedule = { one-cycle = {} }\nlength = { epochs = 2 }";
        let recipe: Recipe = toml::from_str(text).unwrap();
        assert_eq!(recipe.optimiser, Optimiser::adamw());
        assert_eq!((recipe.schedule, recipe.length), (Schedule::one_cycle(), Length::Epochs(2.0)));
        for (wrong, key) in [
            ("bacth = 3", "bacth"),
            ("optimiser = { sgd = { moment = 0.5 } }", "moment"),
            ("schedule = { one-cycle = { raise = 0.5 } }", "raise"),
            ("length = { epoch = 3 }", "epoch"),
        ] {
            let message = toml::from_str::<Recipe>(wrong).unwrap_err().to_string();
            assert!(message.contains(key) && message.contains("line 1"), "{message}");
        }
    }

    #[test]
    fn lengths_and_checkpoints_fall_on_whole_steps() {
        let recipe = Recipe { length: Length::Epochs(2.0), batch: 64, ..Recipe::default() };
        assert_eq!(recipe.steps(1000).unwrap(), 32);
        assert_eq!(recipe.checkpoint_steps(600).unwrap(), [0, 100, 200, 300, 400, 500, 600]);
        assert_eq!(evenly(1), [1.0]);
        let suited = |rows, length, batch| {
            let mut recipe = Recipe { batch: 64, ..Recipe::default() };
            recipe.suit(rows, length, batch).map(|steps| (steps, recipe.batch)).ok()
        };
        assert_eq!(suited(36, true, true), Some((1_000, 36)));
        assert_eq!(suited(182, false, true), Some((12, 64)));
        assert_eq!(suited(36, true, false), None);
        assert_eq!(suited(55_000, true, true), Some((4 * 860, 64)));
        let message = recipe.checkpoint_steps(4).unwrap_err().to_string();
        assert!(message.contains("recipe.checkpoints") && message.contains("4 steps"), "{message}");
        assert!(recipe.steps(63).unwrap_err().to_string().contains("63 training rows"));
    }
}
