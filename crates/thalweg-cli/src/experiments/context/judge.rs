//! One task judged: networks of every method by one support set, on the task's test rows.
use super::parameters::Contexts;
use crate::experiments::tasks::{Common, Task};
use crate::results::Row;
use crate::row;
use anyhow::{Context, Result};
use std::time::Instant;
use thalweg::Streams;
use thalweg::context::Support;
use thalweg::model::FitConfig;
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg_nets::data::Dataset;
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::init::Initialisation;
use thalweg_nets::train::{Length, Recipe, Trainer};
use thalweg_nets::zoo::{InitialLaw, ZooStore};

/// What one method has on one task with one support set.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The task.
    pub task: String,
    /// Its kind.
    pub family: String,
    /// Whether the flow has learned from it.
    pub seen: bool,
    /// Rows a class.
    pub shots: usize,
    /// Which support set.
    pub draw: u64,
    /// What made the networks.
    pub method: String,
    /// Mean test accuracy of its networks.
    pub accuracy: f64,
    /// Networks behind the mean.
    pub networks: usize,
    /// What making all of them took.
    pub seconds: f64,
    /// Optimiser steps on the support set, of one network.
    pub steps: u64,
}

impl Judged {
    /// For results.json.
    pub fn row(&self) -> Row {
        row! {
            "task" => self.task, "family" => self.family, "seen" => self.seen, "rows_a_class" => self.shots, "support_set" => self.draw,
            "method" => self.method, "accuracy_mean" => self.accuracy, "networks" => self.networks, "seconds" => self.seconds,
            "training_steps" => self.steps,
        }
    }
}

/// Everything that tasks are judged with.
pub struct Judge<'a> {
    set: &'a Contexts,
    model: &'a MetaModel,
    rivals: Vec<(String, MetaModel)>,
    engine: &'a Engine,
    common: &'a Common,
    /// Final networks of the training runs of all zoos `[n, P]`.
    finals: Vec<f32>,
    start: InitialLaw,
}

impl<'a> Judge<'a> {
    /// # Errors
    /// Zoos that cannot be read.
    pub fn new(
        set: &'a Contexts,
        model: &'a MetaModel,
        rivals: Vec<(String, MetaModel)>,
        zoos: &[ZooStore],
        fit: &FitConfig,
        engine: &'a Engine,
        common: &'a Common,
    ) -> Result<Self> {
        let mut finals = Vec::new();
        for zoo in zoos {
            finals.extend(zoo.finals(&fit.split.of(zoo)?.train)?);
        }
        let start = zoos.first().context("there is a zoo")?.initial_law()?;
        Ok(Self { set, model, rivals, engine, common, finals, start })
    }

    /// All methods on all support sets of `task`, the `index`-th.
    ///
    /// # Errors
    /// Whatever goes wrong on the way.
    pub fn task(&self, task: &Task, index: u64) -> Result<Vec<Judged>> {
        let streams = Streams::new(self.set.seed).child("judge").index(index);
        let mut all = Vec::new();
        let of = |method: &str, shots, draw, accuracy: &[f64], seconds, steps| Judged {
            task: task.name.clone(),
            family: task.family.clone(),
            seen: task.seen,
            shots,
            draw,
            method: method.into(),
            accuracy: accuracy.iter().sum::<f64>() / accuracy.len() as f64,
            networks: accuracy.len(),
            seconds,
            steps,
        };
        let unconditional =
            SampleRequest { steps: self.set.ode_steps, ..SampleRequest::new(self.set.networks, self.set.seed + index) };
        let (theta, seconds) = sampled(self.model, &unconditional)?;
        let plain = task.test.accuracies(self.engine, &theta)?;
        let (reference, seconds_reference) = self.reference(task, &streams.child("reference"))?;
        let steps = self.set.tasks.steps;
        for &shots in &self.set.shots {
            for draw in 0..self.set.draws {
                let streams = streams.child("support").index(shots as u64).index(draw);
                let rows = Support::rows(&task.data.train.labels, shots, &streams);
                let support = task.data.train.subset(&rows);
                all.push(of("unconditional flow", shots, draw, &plain, seconds, 0));
                all.push(of("trained on all rows", shots, draw, &reference, seconds_reference, steps));
                let mut spent = 0.0;
                for &guidance in &self.set.guidance {
                    let clock = Instant::now();
                    let context = Some(self.model.condition_on(&support, guidance)?);
                    let (theta, _) = sampled(self.model, &SampleRequest { context, ..unconditional.clone() })?;
                    let seconds = clock.elapsed().as_secs_f64();
                    if guidance == self.set.guidance[0] {
                        spent = seconds;
                    }
                    let accuracy = task.test.accuracies(self.engine, &theta)?;
                    let name = if guidance == 1.0 {
                        "conditional flow".into()
                    } else {
                        format!("conditional flow, guidance {guidance}")
                    };
                    all.push(of(&name, shots, draw, &accuracy, seconds, 0));
                    if guidance == self.set.guidance[0] {
                        let best = self.best(&theta, &support)?;
                        let p = self.engine.parameters();
                        let accuracy = task.test.accuracies(self.engine, &theta[best * p..(best + 1) * p])?;
                        all.push(of("conditional flow, best by support loss", shots, draw, &accuracy, seconds, 0));
                    }
                }
                for (name, rival) in &self.rivals {
                    let clock = Instant::now();
                    let context = Some(rival.condition_on(&support, 1.0)?);
                    // Diffusion takes more, smaller steps than a straight flow.
                    let steps = 100;
                    let (theta, _) = sampled(rival, &SampleRequest { context, steps, ..unconditional.clone() })?;
                    let seconds = clock.elapsed().as_secs_f64();
                    all.push(of(name, shots, draw, &task.test.accuracies(self.engine, &theta)?, seconds, 0));
                }
                let clock = Instant::now();
                let best = self.best(&self.finals, &support)?;
                let seconds = clock.elapsed().as_secs_f64();
                let p = self.engine.parameters();
                let accuracy = task.test.accuracies(self.engine, &self.finals[best * p..(best + 1) * p])?;
                all.push(of("best of all zoos by support loss", shots, draw, &accuracy, seconds, 0));
                for (name, kaiming) in
                    [("trained on the support set", true), ("common start, trained on the support set", false)]
                {
                    let (theta, steps, seconds) = self.trained(&support, kaiming, spent, &streams.child(name))?;
                    let accuracy = task.test.accuracies(self.engine, &theta)?;
                    all.push(of(name, shots, draw, &accuracy, seconds, steps));
                }
            }
        }
        Ok(all)
    }

    /// Which of `theta [n, P]` has the least loss on the support set.
    fn best(&self, theta: &[f32], support: &Dataset) -> Result<usize> {
        let x = self.engine.pack(&support.inputs)?;
        let scores = evaluate(self.engine, theta, &x, &support.labels)?;
        let least = scores.iter().enumerate().min_by(|a, b| a.1.loss.total_cmp(&b.1.loss));
        Ok(least.map_or(0, |(i, _)| i))
    }

    /// One network trained on the support set for as long as sampling took: whole-set batches of at most 64, Adam.
    fn trained(
        &self,
        support: &Dataset,
        kaiming: bool,
        seconds: f64,
        streams: &Streams,
    ) -> Result<(Vec<f32>, u64, f64)> {
        let batch = support.len().min(64);
        let recipe = Recipe {
            batch,
            learning_rate: self.set.tasks.learning_rate,
            length: Length::Steps(1),
            checkpoints: vec![1.0],
            ..Recipe::default()
        };
        let trainer = Trainer::new(self.engine, &self.common.architecture, support, support, &recipe)?;
        let law = if kaiming { &InitialLaw::Kaiming(Initialisation::default()) } else { &self.start };
        let start = law.draw(self.engine.layout(), &streams.child("start"))?;
        let clock = Instant::now();
        let mut run = trainer.begin(&start, streams)?;
        let mut steps = 0;
        while clock.elapsed().as_secs_f64() < seconds && run.diverged_at().is_none() {
            run.advance(1, |_| self.set.tasks.learning_rate, &|| false)?;
            steps += 1;
        }
        Ok((run.theta().to_vec(), steps, clock.elapsed().as_secs_f64()))
    }

    /// Accuracies of networks trained on all rows of the task as the zoos' runs are.
    fn reference(&self, task: &Task, streams: &Streams) -> Result<(Vec<f64>, f64)> {
        let set = &self.set.tasks;
        let recipe = Recipe {
            batch: task.data.train.len().min(64),
            learning_rate: set.learning_rate,
            length: Length::Steps(set.steps),
            checkpoints: vec![1.0],
            ..Recipe::default()
        };
        let (train, validation) = (&task.data.train, task.data.validation.first(64));
        let trainer = Trainer::new(self.engine, &self.common.architecture, train, &validation, &recipe)?;
        let clock = Instant::now();
        let mut theta = Vec::new();
        for i in 0..self.set.references as u64 {
            let streams = streams.index(i);
            let start = self.start.draw(self.engine.layout(), &streams.child("start"))?;
            theta.extend(trainer.train(&start, &streams, &|| false)?.theta);
        }
        Ok((task.test.accuracies(self.engine, &theta)?, clock.elapsed().as_secs_f64()))
    }
}

fn sampled(model: &MetaModel, request: &SampleRequest) -> Result<(Vec<f32>, f64)> {
    let samples = model.sample(request)?;
    Ok((samples.theta, samples.seconds))
}
