//! Fitting a meta-model to a zoo: configuration, data, start or resume, loop (M4, M5 and every other [`Method`]).
//!
//! Step s is a pure function of (configuration, zoo, s), and the state between steps is saved whole, so a fit that was
//! interrupted and resumed makes the same bytes as one that was not, on any number of threads. Runs, not checkpoints, are held out;
//! the averaged parameters with the least loss on held-out runs are the model: small zoos overfit after some hundred steps.
//! Cost: with defaults and 2,464 weights, 1,200 steps in well under a minute on two cores.
mod plan;
mod tasks;
use crate::context::ContextConfig;
use crate::space::coordinates::Standardiser;
use crate::coupling::Coupling;
use crate::path::curves::Curves;
use crate::field::ResidualMlpConfig;
use crate::train::{self, Course, Learner, Saving};
use crate::space::latent::{Decoder, LatentConfig};
use crate::method::{CfmConfig, FieldConfig, Method, MethodConfig, Scratch};
use crate::model::{MetaModel, Record};
use crate::nn::optimiser::AdamWConfig;
use crate::path::Batch;
use crate::fit::plan::Plan;
use crate::ranges::{self, LONGEST, MOST};
use crate::path::time_grid::TimeGrid;
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{RunSplit, Shares, ZooStore};

/// Everything that decides a fit, as TOML holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FitConfig {
    /// Seed of every random stream (0).
    pub seed: u64,
    /// Optimiser steps (1,200; 1 to 1,000,000,000).
    pub steps: u64,
    /// Curves a step (48; 1 to 1,000,000).
    pub batch: usize,
    /// Steps between two looks at the held-out runs (50; at least 1).
    pub validate_every: u64,
    /// Points that the held-out runs are judged on (256; 1 to 1,000,000).
    pub validation_points: usize,
    /// Coordinates (per-parameter).
    pub standardiser: Standardiser,
    /// The latent space that the method runs in (none: on standardised weights).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latent: Option<LatentConfig>,
    /// Where checkpoints lie in time (uniform).
    pub time_grid: TimeGrid,
    /// Which runs are held out (a tenth to choose on, a tenth to report on, seed 0).
    pub split: Split,
    /// The method (cfm).
    pub method: MethodConfig,
    /// Its net (residual-mlp 4 × 2).
    pub field: FieldConfig,
    /// The optimiser (AdamW, 5e-3, cosine, average .995).
    pub optimiser: AdamWConfig,
    /// Conditioning on support sets (none), for [`crate::context::fit_tasks`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConfig>,
}

/// How runs are split. It has a seed of its own, so that fits of several seeds hold out the same runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Split {
    /// Share of the runs to choose on (0.1; 0 for none: the last averaged parameters are then kept).
    pub validation: f64,
    /// Share of the runs that nothing sees before the report (0.1).
    pub test: f64,
    /// Seed of the split (0).
    pub seed: u64,
}

impl Default for Split {
    fn default() -> Self {
        let Shares { validation, test } = Shares::default();
        Self { validation, test, seed: 0 }
    }
}

impl Split {
    /// The runs of each part of `zoo`.
    ///
    /// # Errors
    /// Shares outside their range, or no run left to learn from.
    pub fn of(self, zoo: &ZooStore) -> Result<RunSplit> {
        zoo.split(Shares { validation: self.validation, test: self.test }, self.seed)
    }
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            steps: 1200,
            batch: 48,
            validate_every: 50,
            validation_points: 256,
            standardiser: Standardiser::default(),
            latent: None,
            time_grid: TimeGrid::default(),
            split: Split::default(),
            method: MethodConfig::default(),
            field: FieldConfig::default(),
            optimiser: AdamWConfig::default(),
            context: None,
        }
    }
}

impl FitConfig {
    /// Defaults of a fit with contexts: a wider field than one zoo wants, since it holds the networks of all tasks, and ends drawn independently of
    /// starts within a task. Over 54 tasks of 10 runs the paired coupling told runs apart and sent fresh starts astray: accuracy of samples on
    /// seen tasks .60 ± .11, where the independent coupling had .71 ± .10 (.82 ± .09 with this learning rate and no `relabel`).
    pub fn for_tasks() -> Self {
        let field = ResidualMlpConfig { width: 64, embedding: 256, ..ResidualMlpConfig::default() };
        Self {
            steps: 1500,
            batch: 64,
            validate_every: 100,
            validation_points: 512,
            method: MethodConfig::Cfm(CfmConfig { coupling: Coupling::Independent, ..CfmConfig::default() }),
            field: FieldConfig::ResidualMlp(field),
            optimiser: AdamWConfig { learning_rate: 2e-3, ..AdamWConfig::default() },
            context: Some(ContextConfig::default()),
            ..Self::default()
        }
    }

    /// Reads and checks the TOML form, from `path` for the errors.
    ///
    /// # Errors
    /// Unknown keys, wrong types, numbers outside their ranges: with file and key.
    pub fn from_toml_str(path: &Path, text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| {
            Error::format(path, "fit configuration", "known keys with values of their types", e.to_string().trim())
        })?;
        match config.check() {
            Err(Error::Parameter { field, expected, found }) => Err(Error::format(path, field, expected, found)),
            checked => checked.map(|()| config),
        }
    }

    /// How long the fit is and how it moves.
    pub(crate) fn course(&self) -> Course<'_> {
        Course {
            what: "fitting",
            seed: Some(self.seed),
            steps: self.steps,
            validate_every: self.validate_every,
            optimiser: &self.optimiser,
        }
    }

    /// Checks that curves in points of `dimension` fit into memory.
    ///
    /// # Errors
    /// A batch, or points to judge on, of too many bytes.
    pub(crate) fn check_memory(&self, dimension: usize) -> Result<()> {
        let of_a_curve = dimension.saturating_mul(self.method.marginals());
        ranges::numbers("batch (its curves)", &[self.batch, of_a_curve])?;
        ranges::numbers("validation-points (their curves)", &[self.validation_points, of_a_curve])
    }

    /// # Errors
    /// A number outside its range, or choices that do not fit together.
    pub fn check(&self) -> Result<()> {
        ranges::check(
            "",
            [
                ("steps", self.steps, 1..=LONGEST),
                ("batch", self.batch as u64, 1..=MOST),
                ("validate-every", self.validate_every, 1..=LONGEST),
                ("validation-points", self.validation_points as u64, 1..=MOST),
            ],
        )?;
        for (field, seed) in [("seed", self.seed), ("split.seed", self.split.seed)] {
            if seed > i64::MAX as u64 {
                return Err(Error::parameter(field, "at most 2^63 - 1 (what TOML holds)", seed));
            }
        }
        self.latent.as_ref().map_or(Ok(()), LatentConfig::check)?;
        self.context.as_ref().map_or(Ok(()), ContextConfig::check)?;
        self.method.check()?;
        self.field.check()?;
        self.optimiser.check()
    }
}

/// How a fit is run; nothing here changes its bytes.
#[derive(Clone, Debug, Default)]
pub struct FitOptions {
    /// Where the state between steps is kept; nowhere if not given.
    pub state: Option<PathBuf>,
    /// Steps between two savings of the state; 0 for on interruption only.
    pub save_every: u64,
    /// Go on from the state where there is one.
    pub resume: bool,
    /// The folder where trained autoencoders are kept, each under a name of its own, and taken from by every fit that would train the same one;
    /// nowhere if not given.
    pub latents: Option<PathBuf>,
}

impl FitOptions {
    /// Where the state of the fit called `identity` is kept.
    pub(crate) fn saving<'a>(&'a self, identity: &'a str) -> Option<Saving<'a>> {
        let path = self.state.as_deref()?;
        Some(Saving { path, identity, every: self.save_every, last: false, resume: self.resume })
    }
}

/// Curves that a closed form is solved from, at most.
const CLOSED_FORM_CURVES: usize = 4096;

/// Fits a meta-model to `zoo`; one with contexts is [`crate::context::fit_tasks`]'s.
///
/// # Errors
/// A configuration that does not fit the zoo; a loss that is not finite, with step and seed; a state of another fit; files that cannot be
/// read or written; [`Error::Interrupted`], after the state was saved.
pub fn fit(zoo: &ZooStore, config: &FitConfig, options: &FitOptions, progress: &dyn Progress) -> Result<MetaModel> {
    config.check()?;
    if config.context.is_some() {
        return crate::context::fit_tasks(std::slice::from_ref(&zoo), config, options, progress);
    }
    config.check_memory(zoo.parameters())?;
    let split = config.split.of(zoo)?;
    let plan = Plan::new(&[(zoo, &split)], config, options, progress)?;
    let curves = plan.curves(zoo, config, &split)?;
    let streams = Streams::new(config.seed).child("fit");
    let mut method =
        config.method.build(&plan.times, plan.space().dimension(), &config.field, &streams.child("field"))?;
    let held_out = plan.held_out(&curves, config, &split, &*method, &streams.child("validation"))?;
    let closed_form = method.closed_form();
    if closed_form {
        let most = split.train.len().min(CLOSED_FORM_CURVES);
        method.solve(&curves.draw(&split.train, most, &streams.child("closed-form"))?.to_dense())?;
    }
    let identity = identity(&[zoo], config)?;
    let (runs, batch, scratch) = (&split.train[..], config.batch, Scratch::default());
    let mut learner = OneZoo { curves, runs, batch, held_out, method, streams, scratch };
    let options = &FitOptions { resume: options.resume && !closed_form, ..options.clone() };
    let (course, saving) = (config.course(), options.saving(&identity));
    let mut state = fit_loop::start(&mut learner, &course, saving)?;
    if closed_form {
        let clock = Instant::now();
        progress.begin("fitting", 0);
        fit_loop::look(&mut learner, &mut state, 0, &course)?;
        state.seconds = clock.elapsed().as_secs_f64();
    } else {
        fit_loop::run(&mut learner, &mut state, &course, saving, progress)?;
    }
    let mut method = learner.method;
    method.parameters_mut().copy_from_slice(&state.best);
    Ok(MetaModel {
        config: config.clone(),
        times: plan.times.clone(),
        layout: zoo.layout().clone(),
        architecture: zoo.architecture().cloned(),
        data: zoo.data().cloned(),
        record: Record::new(zoo, &split, &state, plan.latent_record.clone()),
        coordinates: plan.coordinates.clone(),
        latent: plan.latent.clone(),
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
    fn parameters(&self) -> &[f32] {
        self.method.parameters()
    }

    fn parameters_mut(&mut self) -> &mut [f32] {
        self.method.parameters_mut()
    }

    fn gradient(&mut self, step: u64, gradient: &mut [f32]) -> Result<f64> {
        let streams = self.streams.child("step").index(step);
        let drawn = self.curves.draw(self.runs, self.batch, &streams.child("curves"))?;
        let batch = self.method.batch(&drawn, None, &streams.child("path"))?;
        Ok(self.method.loss(&batch, &mut self.scratch, Some(gradient)))
    }

    fn held_out(&mut self) -> Result<Option<f64>> {
        Ok(self.held_out.as_ref().map(|batch| self.method.loss(batch, &mut self.scratch, None)))
    }
}

/// Names a fit: a state may only go on with the fit that it belongs to.
pub(crate) fn identity(zoos: &[&ZooStore], config: &FitConfig) -> Result<String> {
    let text =
        toml::to_string(config).map_err(|e| Error::parameter("fit configuration", "values that TOML can hold", e))?;
    let ids: String = zoos.iter().map(|zoo| format!("{}\n", zoo.origin().id())).collect();
    Ok(blake3::hash(format!("{ids}{text}").as_bytes()).to_hex().to_string())
}
