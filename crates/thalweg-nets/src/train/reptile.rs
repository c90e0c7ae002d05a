//! A common start of the runs on many tasks, meta-learned by Reptile (Nichol, Achiam & Schulman 2018): some steps on one task, then a part of the way
//! there, task after task. Zoos of many tasks whose runs start around one network are what a conditional flow learns from.
//!
//! It costs `rounds` · tasks · `inner` steps of training, one after the other. Where runs start from fresh draws, as those of a single zoo do, there
//! is nothing to share and no use for it.
use super::recipe::Recipe;
use super::trainer::Trainer;
use crate::architecture::Architecture;
use crate::data::Dataset;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::streams::{Streams, shuffle};
use std::ops::Range;

/// How the start is learned.
///
/// | field | range |
/// | --- | --- |
/// | `rounds` | passes over the tasks; with 0 the start stays where it is |
/// | `inner` | steps on a task in each of them, ≥ 1 |
/// | `outer` | share of the way there that is gone afterwards, in (0, 1] |
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reptile {
    /// Passes over the tasks.
    pub rounds: usize,
    /// Steps on a task in each of them.
    pub inner: u64,
    /// What share of the way is gone afterwards.
    pub outer: f32,
}

/// The rows of one task.
#[derive(Clone, Debug)]
pub struct Task {
    /// To train on.
    pub train: Dataset,
    /// To evaluate on; any few rows will do.
    pub validation: Dataset,
}

impl Reptile {
    /// Moves the weights `moving` of `start [P]` so that training on any of `tasks` by `recipe` goes fast from there; the others (a head that is to
    /// tell nothing apart) stay. The order of the tasks and of their rows is drawn from `streams`. Runs that diverge move nothing.
    ///
    /// # Errors
    /// Tasks or a recipe that do not fit the network; [`Error::Interrupted`].
    #[allow(clippy::too_many_arguments, reason = "what runs of a network take")]
    pub fn learn(
        &self,
        start: &mut [f32],
        moving: Range<usize>,
        (engine, architecture): (&Engine, &Architecture),
        tasks: &[Task],
        recipe: &Recipe,
        streams: &Streams,
        progress: &dyn Progress,
    ) -> Result<()> {
        progress.begin("common start", (self.rounds * tasks.len()) as u64);
        for round in 0..self.rounds {
            let streams = streams.child("round").index(round as u64);
            let mut order: Vec<usize> = (0..tasks.len()).collect();
            shuffle(&mut order, &mut streams.rng());
            for task in order {
                if progress.interrupted() {
                    return Err(Error::Interrupted);
                }
                let Task { train, validation } = &tasks[task];
                let trainer = Trainer::new(engine, architecture, train, validation, recipe)?;
                let mut run = trainer.begin(start, &streams.index(task as u64))?;
                run.advance(self.inner, |_| recipe.learning_rate, &|| false)?;
                if run.diverged_at().is_none() {
                    let there = &run.theta()[moving.clone()];
                    let here = &mut start[moving.clone()];
                    here.iter_mut().zip(there).for_each(|(here, there)| *here += self.outer * (there - *here));
                }
                progress.advance(1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Preset;
    use crate::data::DataSpec;
    use crate::init::Initialisation;
    use crate::progress::Silent;
    use crate::train::Length;

    #[test]
    fn with_one_task_and_the_whole_way_the_start_is_a_run_of_that_task() {
        let data = DataSpec { train: Some(60), ..DataSpec::named("digits") }.load().unwrap();
        let architecture = Preset::Mlp { widths: vec![5] }.build(data.train.shape, 10).unwrap();
        let engine = Engine::new(&architecture).unwrap();
        let recipe = Recipe { batch: 20, length: Length::Steps(4), checkpoints: vec![1.0], ..Recipe::default() };
        let task = Task { train: data.train, validation: data.validation.first(8) };
        let streams = Streams::new(3);
        let start = Initialisation::default().draw(engine.layout(), &streams.child("start"));
        let learned = |reptile: Reptile, moving: Range<usize>| {
            let mut start = start.clone();
            let of = (&engine, &architecture);
            let tasks = std::slice::from_ref(&task);
            reptile.learn(&mut start, moving, of, tasks, &recipe, &streams, &Silent).unwrap();
            start
        };
        let whole = 0..start.len();
        let once = Reptile { rounds: 1, inner: 4, outer: 1.0 };
        let trainer = Trainer::new(&engine, &architecture, &task.train, &task.validation, &recipe).unwrap();
        let mut run = trainer.begin(&start, &streams.child("round").index(0).index(0)).unwrap();
        run.advance(4, |_| recipe.learning_rate, &|| false).unwrap();
        let (full, half) = (learned(once, whole.clone()), learned(Reptile { outer: 0.5, ..once }, whole.clone()));
        for (i, there) in run.theta().iter().enumerate() {
            assert!((full[i] - there).abs() < 1e-6 && (half[i] - 0.5 * (start[i] + there)).abs() < 1e-6, "weight {i}");
        }
        let head = learned(once, 0..start.len() - 50);
        assert_eq!(head[start.len() - 50..], start[start.len() - 50..], "what does not move stays");
        assert_eq!(head[..start.len() - 50], full[..start.len() - 50]);
        assert_eq!(learned(Reptile { rounds: 0, ..once }, whole), start);
    }
}
