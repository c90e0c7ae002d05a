//! [`FitConfig`]: everything that decides a fit, as TOML holds it.
use crate::context::ContextConfig;
use crate::coupling::Coupling;
use crate::field::equivariant::Wiring;
use crate::field::{FieldConfig, ResidualMlpConfig};
use crate::method::{CfmConfig, MethodConfig};
use crate::nn::optimiser::AdamWConfig;
use crate::path::time_grid::TimeGrid;
use crate::ranges::{self, LONGEST, MOST};
use crate::space::coordinates::Standardiser;
use crate::space::latent::LatentConfig;
use crate::train::TrainingSchedule;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use thalweg_nets::zoo::{RunSplit, Shares, ZooStore};

/// Everything that decides a fit, as TOML holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FitConfig {
    /// Seed of every random stream (0).
    pub seed: u64,
    /// Optimiser steps (1,200; 1 to 1,000,000,000).
    pub steps: u64,
    /// Curves a step (48; 1 to 1,000,000).
    pub batch: usize,
    /// Steps between two validations on the held-out runs (50; at least 1).
    pub validate_every: u64,
    /// Points that the held-out runs are judged on (256; 1 to 1,000,000).
    pub validation_points: usize,
    /// Coordinates (per-parameter).
    pub standardiser: Standardiser,
    /// The latent space that the method runs in (none: on standardised weights).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latent: Option<LatentConfig>,
    /// Noise that decoded networks hardly feel in the place of what the latent space leaves out, in units of that residual's length on held-out runs (0: none, a point
    /// decodes to one network; 1: networks as far from each other as runs are).
    #[serde(skip_serializing_if = "is_zero")]
    pub residual_noise: f64,
    /// How much of that noise networks feel: they answer otherwise on this share of the inputs on which held-out runs and their reconstructions do (0: on as few as can
    /// be; 1: on as many, so that answers too get back the spread that the latent space leaves out).
    #[serde(skip_serializing_if = "is_zero")]
    pub residual_answers: f64,
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
    /// Conditioning on support sets (none), for [`crate::fit::tasks::fit_tasks`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConfig>,
}

/// How runs are split. It has a seed of its own, so that fits of several seeds hold out the same runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
            residual_noise: 0.0,
            residual_answers: 0.0,
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
    /// ```
    /// use thalweg::FitConfig;
    /// let text = "steps = 800\n[method.mmfm]\n";
    /// let config = FitConfig::from_toml_str("fit.toml".as_ref(), text)?;
    /// assert_eq!((config.steps, config.method.name()), (800, "mmfm"));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// Unknown keys, wrong types, numbers outside their ranges: with file and key.
    pub fn from_toml_str(path: &Path, text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| {
            Error::format(path, "fit configuration", "known keys with values of their types", e.to_string().trim())
        })?;
        config.check().map_err(|e| e.in_file(path))?;
        Ok(config)
    }

    /// How long the fit is and how it moves.
    pub(crate) fn schedule(&self) -> TrainingSchedule<'_> {
        let schedule = TrainingSchedule::new("fitting", self.steps, self.validate_every, &self.optimiser);
        TrainingSchedule { seed: Some(self.seed), ..schedule }
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
        self.check_residual_noise()?;
        self.check_equivariance()?;
        self.context.as_ref().map_or(Ok(()), ContextConfig::check)?;
        self.method.check()?;
        self.field.check()?;
        if self.field.context() > 0 {
            let expected = "0: a fit with contexts sets it itself";
            return Err(Error::parameter(
                format!("field.{}.context", self.field.name()),
                expected,
                self.field.context(),
            ));
        }
        self.optimiser.check()
    }

    /// The configuration as a fit to `zoo` has it: with what its field has to know of the networks there.
    ///
    /// # Errors
    /// An equivariant field for networks whose architecture is not known or not modelled whole, or which [`Wiring::of`] refuses.
    pub fn for_zoo(&self, zoo: &ZooStore) -> Result<Self> {
        let mut config = self.clone();
        if let FieldConfig::Equivariant(field) = &mut config.field {
            let expected = "networks whose architecture is known and modelled whole, or another field";
            let unknown =
                || Error::format(zoo.dir(), "architecture, which field equivariant follows", expected, "none");
            let architecture = zoo.architecture().ok_or_else(unknown)?;
            field.wiring = Some(Wiring::of(architecture)?);
        }
        Ok(config)
    }

    /// An equivariant field is one on weights, in coordinates that treat the units of a layer alike.
    fn check_equivariance(&self) -> Result<()> {
        if !matches!(self.field, FieldConfig::Equivariant(_)) {
            return Ok(());
        }
        if let Some(latent) = &self.latent {
            let expected = "residual-mlp or mlp in a latent space: equivariant is for the weights themselves";
            return Err(Error::parameter("field", expected, format!("equivariant beside latent {}", latent.name())));
        }
        if self.standardiser == Standardiser::PerParameter {
            let expected =
                "per-tensor, global or none beside field equivariant, which treats the units of a layer alike";
            return Err(Error::parameter("standardiser", expected, "per-parameter"));
        }
        Ok(())
    }

    fn check_residual_noise(&self) -> Result<()> {
        let answers = self.residual_answers;
        if !(answers >= 0.0 && answers.is_finite()) {
            return Err(Error::parameter("residual-answers", "a finite number of at least 0", answers));
        }
        if answers > 0.0 && self.residual_noise == 0.0 {
            let expected = "0 without residual-noise, whose share it is";
            return Err(Error::parameter("residual-answers", expected, answers));
        }
        let refused = |expected: &str| Err(Error::parameter("residual-noise", expected, self.residual_noise));
        let own = matches!(&self.latent, Some(LatentConfig::Vae(vae)) if vae.noise > 0.0);
        match self.residual_noise {
            0.0 => Ok(()),
            weight if !(weight > 0.0 && weight.is_finite()) => refused("a finite number of at least 0"),
            _ if self.latent.is_none() => refused("0 without a latent space: nothing is left out there"),
            _ if own => refused("0 beside a decoder with noise of its own (latent.vae.noise)"),
            _ if self.context.is_some() => refused("0 beside contexts, whose tasks have residuals of their own"),
            _ => Ok(()),
        }
    }
}

/// Whether a setting is left out of files, so that older versions read them.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}
