//! Fitting a meta-model to a zoo: configuration, data, start or resume, loop (M4, M5 and every other [`Method`]).
//!
//! Step s is a pure function of (configuration, zoo, s), and the state between steps is saved whole, so a fit that was
//! interrupted and resumed makes the same bytes as one that was not, on any number of threads. Runs, not checkpoints, are held out;
//! the averaged parameters with the least loss on held-out runs are the model: small zoos overfit after some hundred steps.
//! Cost: with defaults and 2,464 weights, 1,200 steps in well under a minute on two cores.
pub mod character;
mod need;
mod options;
mod plan;
mod residual;
pub mod tasks;

pub use character::{Character, Relation, Suited, suited};
pub use options::FitOptions;

use crate::method::{Method, Scratch};
use crate::model::{FitConfig, MetaModel, Record};
use crate::path::Batch;
use crate::path::curves::Curves;
use crate::space::latent::Decoder;
use crate::train::{self, Learner, Updates};
use crate::{Result, Streams};
use options::identity;
use plan::Plan;
use std::sync::Arc;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;

/// Curves that a closed form is solved from, at most.
const CLOSED_FORM_CURVES: usize = 4096;

/// Fits a meta-model to `zoo`; one with contexts is [`tasks::fit_tasks`]'s.
///
/// # Errors
/// A configuration that does not fit the zoo; a loss that is not finite, with step and seed; a state of another fit; files that cannot be
/// read or written; [`Error::Interrupted`](crate::Error::Interrupted), after the state was saved.
pub fn fit(zoo: &ZooStore, config: &FitConfig, options: &FitOptions, progress: &dyn Progress) -> Result<MetaModel> {
    config.check()?;
    options.check(config)?;
    if config.context.is_some() {
        return tasks::fit_tasks(std::slice::from_ref(&zoo), config, options, progress);
    }
    let config = &config.for_zoo(zoo)?;
    let split = config.split.of(zoo)?;
    need::check(zoo, config, &split)?;
    let plan = Plan::new(&[(zoo, &split)], config, options, progress)?;
    let residual = residual::noise(zoo, &split, config, plan.space(), progress)?;
    let curves = plan.curves(zoo, config, &split)?;
    let streams = Streams::new(config.seed).child("fit");
    let mut method =
        config.method.build(&plan.times, plan.space().dimension(), &config.field, &streams.child("field"))?;
    let held_out = plan.held_out(&curves, config, &split, &*method, &streams.child("validation"))?;
    let closed_form = match method.closed_form() {
        Some(solve) => {
            let (most, streams) = (split.train.len().min(CLOSED_FORM_CURVES), streams.child("closed-form"));
            let drawn = match config.method.reads_runs_in_order() {
                true => curves.in_order(&split.train[split.train.len() - most..], &streams)?,
                false => curves.draw(&split.train, most, &streams)?,
            };
            solve(&drawn.to_dense())?;
            true
        }
        None => false,
    };
    let identity = identity(&[zoo], config, options.probes.as_ref())?;
    let (runs, batch, scratch) = (&split.train[..], config.batch, Scratch::default());
    let mut learner = OneZoo { curves, runs, batch, held_out, method, streams, scratch };
    let (schedule, saving) = (config.schedule(), options.saving(&identity));
    let state = match closed_form {
        true => {
            progress.begin("fitting", 0);
            train::solved(&mut learner, &schedule)?
        }
        false => {
            let mut state = train::start(&mut learner, &schedule, saving)?;
            train::run(&mut learner, &mut state, &schedule, saving, progress)?;
            learner.method.parameters_mut().copy_from_slice(&state.best);
            state
        }
    };
    let method = learner.method;
    Ok(MetaModel {
        config: config.clone(),
        times: plan.times.clone(),
        layout: zoo.layout().clone(),
        architecture: zoo.architecture().cloned(),
        data: zoo.data().cloned(),
        template: zoo.template()?.map(Arc::new),
        record: Record::new(zoo, &split, &state, plan.latent_record.clone()),
        coordinates: plan.coordinates.clone(),
        latent: plan.latent.clone(),
        residual: residual.map(Arc::new),
        source: plan.source.clone(),
        context: None,
        method,
    })
}

/// A method that learns from the curves of one zoo.
struct OneZoo<'a> {
    curves: Curves<'a>,
    runs: &'a [usize],
    batch: usize,
    held_out: Option<Batch>,
    method: Box<dyn Method>,
    streams: Streams,
    scratch: Scratch,
}

impl Learner for OneZoo<'_> {
    fn parameters(&self) -> Vec<&[f32]> {
        vec![self.method.parameters()]
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        vec![self.method.parameters_mut()]
    }

    fn step(&mut self, step: u64, updates: &mut Updates<'_>) -> Result<()> {
        let streams = self.streams.child("step").index(step);
        let drawn = self.curves.draw(self.runs, self.batch, &streams.child("curves"))?;
        let batch = self.method.batch(&drawn, None, &streams.child("path"))?;
        let loss = self.method.loss(&batch, &mut self.scratch, Some(updates.gradient));
        updates.descend(loss, self.parameters_mut())
    }

    fn held_out(&mut self, _: u64) -> Result<Option<f64>> {
        Ok(self.held_out.as_ref().map(|batch| self.method.loss(batch, &mut self.scratch, None)))
    }
}
