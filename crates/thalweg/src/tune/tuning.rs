//! An iteration of a tuning, as the loop of every training takes it: a simulation, and updates of the method by what it says.
use super::direct::{self, Unrolled};
use super::drawn::{not_tunable, sampled};
use super::process::{self, Process};
use super::regression;
use super::trajectory::{self, Simulation, Terminal, Trajectories};
use crate::field::Field;
use crate::field::Steps;
use crate::method::Method;
use crate::metric::summary::mean;
use crate::model::TuneConfig;
use crate::reward::Reward;
use crate::tensors::{TensorReader, TensorWriter};
use crate::train::{Learner, Updates};
use crate::{Error, Result, Streams};
use std::collections::VecDeque;

/// A tuning in the coordinates of its fields, knowing neither networks nor files: latents fit in as well.
pub struct Task<'a> {
    /// With v₀.
    pub base: &'a dyn Method,
    /// The process.
    pub process: &'a Process<'a>,
    /// r over the fields' coordinates.
    pub reward: &'a dyn Reward,
    /// What chooses the iteration.
    pub held_out: Option<&'a dyn Reward>,
}

/// A method under tuning.
pub(super) struct Tuning<'a> {
    task: &'a Task<'a>,
    method: &'a mut dyn Method,
    config: &'a TuneConfig,
    estimator: Estimator<'a>,
    /// Trajectories for reuse, newest last.
    buffer: VecDeque<Trajectories>,
    streams: Streams,
    simulation: trajectory::Buffers,
    regression: regression::Scratch,
    unrolled: direct::Buffers,
}

/// Where the gradient comes from.
#[derive(Clone, Copy)]
enum Estimator<'a> {
    /// Adjoint matching of a velocity field.
    Adjoints(&'a dyn Field),
    /// Differentiation through explicit steps.
    Steps(Steps<'a>),
}

impl<'a> Tuning<'a> {
    /// # Errors
    /// A base with neither velocity field nor explicit steps.
    pub fn new(task: &'a Task<'a>, method: &'a mut dyn Method, config: &'a TuneConfig) -> Result<Self> {
        let field = task.base.velocity_field().map(Estimator::Adjoints);
        Ok(Self {
            estimator: field.or(task.base.explicit_steps().map(Estimator::Steps)).ok_or_else(not_tunable)?,
            task,
            method,
            config,
            buffer: VecDeque::new(),
            streams: Streams::new(config.seed).child("tune"),
            simulation: Default::default(),
            regression: Default::default(),
            unrolled: Default::default(),
        })
    }

    /// One iteration of adjoint matching. It changes nothing before its simulation is through.
    fn match_adjoints(&mut self, base: &dyn Field, streams: &Streams, updates: &mut Updates<'_>) -> Result<()> {
        let (task, config) = (self.task, self.config);
        let simulation = Simulation {
            base,
            tuned: field_of(self.method)?,
            process: task.process,
            reward: task.reward,
            strength: config.strength,
            clip: config.reward_clip,
        };
        let grid = process::grid(config.steps, &streams.child("grid"));
        let (made, ends) = simulation.run(grid, config.trajectories, streams, &mut self.simulation)?;
        note(updates, &ends);
        if self.buffer.len() == config.buffer {
            self.buffer.pop_front();
        }
        self.buffer.push_back(made);
        for update in 0..config.updates {
            let streams = streams.child("update").index(update);
            let made = &self.buffer[regression::entry(self.buffer.len(), update, &streams.child("entry"))];
            let terms = regression::terms(config.steps, &streams.child("terms"));
            let (field, scratch) = (field_of(self.method)?, &mut self.regression);
            let loss =
                regression::loss(field, task.process, made, &terms, config.term_clip, scratch, updates.gradient)?;
            if !loss.is_finite() {
                let what = "the regression loss of a tuning".to_string();
                return Err(Error::NotFinite { what, place: format!("update {update}"), value: loss });
            }
            updates.update(vec![self.method.parameters_mut()])?;
        }
        Ok(())
    }

    /// One iteration of direct differentiation: every update with a simulation of its own.
    fn differentiate(&mut self, base: Steps, streams: &Streams, updates: &mut Updates<'_>) -> Result<()> {
        for update in 0..self.config.updates {
            let unrolled = Unrolled {
                base,
                tuned: self.method.explicit_steps().ok_or_else(not_tunable)?,
                process: self.task.process,
                reward: self.task.reward,
                strength: self.config.strength,
                clip: self.config.reward_clip,
            };
            let streams = streams.child("update").index(update);
            let ends = unrolled.run(self.config.trajectories, &streams, &mut self.unrolled, updates.gradient)?;
            note(updates, &ends);
            updates.update(vec![self.method.parameters_mut()])?;
        }
        Ok(())
    }
}

impl Learner for Tuning<'_> {
    fn parameters(&self) -> Vec<&[f32]> {
        vec![self.method.parameters()]
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        vec![self.method.parameters_mut()]
    }

    fn step(&mut self, step: u64, updates: &mut Updates<'_>) -> Result<()> {
        let streams = self.streams.child("iteration").index(step);
        let iterated = match self.estimator {
            Estimator::Adjoints(base) => self.match_adjoints(base, &streams, updates),
            Estimator::Steps(base) => {
                let before = (updates.snapshot(), self.method.parameters().to_vec());
                let iterated = self.differentiate(base, &streams, updates);
                if let Err(Error::Interrupted) = iterated {
                    updates.restore(before.0);
                    self.method.parameters_mut().copy_from_slice(&before.1);
                }
                iterated
            }
        };
        iterated.map_err(|e| match e {
            Error::NotFinite { what, place, value } => {
                let place = format!("iteration {} of seed {}, {place}", step + 1, self.config.seed);
                Error::NotFinite { what, place, value }
            }
            other => other,
        })
    }

    /// Mean reward of sampled networks, from starts that are the same at every validation.
    fn held_out(&mut self, _: u64) -> Result<Option<f64>> {
        let Some(reward) = self.task.held_out else { return Ok(None) };
        let (config, streams) = (self.config, self.streams.child("look"));
        let z = sampled(self.method, self.task.process, config.validation_samples, config.validation_steps, &streams)?;
        Ok(Some(mean(&reward.values(&z, &streams.child("reward"))?)))
    }

    fn save(&self, state: &mut TensorWriter) {
        for (i, made) in self.buffer.iter().enumerate() {
            state.double(format!("buffer.{i}.grid"), &[made.grid.len()], &made.grid);
            for (name, slice) in PARTS.into_iter().zip([&made.x, &made.base, &made.adjoint]) {
                state.single(format!("buffer.{i}.{name}"), &[slice.len()], slice);
            }
        }
        state.word("buffer", self.buffer.len());
    }

    fn load(&mut self, state: &TensorReader<'_>) -> Result<()> {
        let p = self.task.reward.dimension();
        for i in 0..state.number("buffer")? as usize {
            let grid = state.double(&format!("buffer.{i}.grid"))?;
            let size = grid.len().saturating_sub(1) * self.config.trajectories * p;
            let [x, base, adjoint] = PARTS.map(|name| state.single(&format!("buffer.{i}.{name}"), &[size]));
            self.buffer.push_back(Trajectories { grid, x: x?, base: base?, adjoint: adjoint? });
        }
        Ok(())
    }
}

/// The numbers of a buffer's entry, as they are saved.
const PARTS: [&str; 3] = ["x", "base", "adjoint"];

/// The field of a method that can be tuned.
fn field_of(method: &dyn Method) -> Result<&dyn Field> {
    method.velocity_field().ok_or_else(not_tunable)
}

fn note(updates: &mut Updates<'_>, ends: &Terminal) {
    updates.note(mean(&ends.rewards), Some(mean(&ends.distances)));
}
