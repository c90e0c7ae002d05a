//! [`MethodConfig`]: which method, with its parameters. The only place that knows all of them.
use super::base::Method;
use super::{ActionConfig, CfmConfig, DdpmConfig, JkoConfig, KdeConfig, MmfmConfig};
use crate::coupling::Coupling;
use crate::field::FieldConfig;
use crate::space::source::SourceKind;
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};

/// A method and its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum MethodConfig {
    /// Conditional flow matching (M4).
    Cfm(CfmConfig),
    /// Multi-marginal flow matching (M5).
    Mmfm(MmfmConfig),
    /// JKO steps of a learned potential (M6).
    Jko(JkoConfig),
    /// Action matching (M7).
    Action(ActionConfig),
    /// Denoising diffusion (M9).
    Ddpm(DdpmConfig),
    /// Kernel density around trained networks, SANE's sampling (M9).
    Kde(KdeConfig),
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self::Cfm(CfmConfig::default())
    }
}

impl MethodConfig {
    /// The methods' names, as `--method` takes them.
    pub const NAMES: [&str; 6] = ["cfm", "mmfm", "jko", "action", "ddpm", "kde"];

    /// The method of this name with its defaults.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "cfm" => Self::Cfm(CfmConfig::default()),
            "mmfm" => Self::Mmfm(MmfmConfig::default()),
            "jko" => Self::Jko(JkoConfig::default()),
            "action" => Self::Action(ActionConfig::default()),
            "ddpm" => Self::Ddpm(DdpmConfig::default()),
            "kde" => Self::Kde(KdeConfig::default()),
            other => return Err(Error::parameter("method", Self::NAMES.join(", "), other)),
        })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cfm(_) => "cfm",
            Self::Mmfm(_) => "mmfm",
            Self::Jko(_) => "jko",
            Self::Action(_) => "action",
            Self::Ddpm(_) => "ddpm",
            Self::Kde(_) => "kde",
        }
    }

    /// # Errors
    /// A number outside its range, or a source that does not fit the coupling.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Cfm(c) => c.width.check("method.cfm.width").and_then(|()| c.time_law.check("method.cfm.time-law"))?,
            Self::Mmfm(c) => c.check()?,
            Self::Jko(c) => c.check()?,
            Self::Action(c) => c.check()?,
            Self::Ddpm(c) => c.check()?,
            Self::Kde(c) => c.check()?,
        }
        match (self.coupling(), self.source()) {
            (Coupling::Paired, SourceKind::KaimingUniform | SourceKind::KaimingNormal | SourceKind::Gaussian) => {
                let expected = "zoo or recorded with the paired coupling, which trains on recorded starts";
                Err(Error::parameter(
                    format!("method.{}.source", self.name()),
                    expected,
                    format!("{:?}", self.source()),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Marginals of a curve, ends included.
    pub fn marginals(&self) -> usize {
        match self {
            Self::Cfm(_) | Self::Kde(_) => 2,
            Self::Mmfm(c) => c.marginals + 2,
            Self::Jko(c) => c.steps + 1,
            Self::Action(c) => c.marginals + 2,
            Self::Ddpm(_) => 2,
        }
    }

    /// The method with no more marginals than runs of so many `checkpoints` have.
    #[must_use]
    pub fn within(mut self, checkpoints: usize) -> Self {
        let between = checkpoints.saturating_sub(2);
        match &mut self {
            Self::Mmfm(c) => c.marginals = c.marginals.min(between),
            Self::Jko(c) => c.steps = c.steps.min(between + 1),
            Self::Action(c) => c.marginals = c.marginals.min(between),
            Self::Cfm(_) | Self::Ddpm(_) | Self::Kde(_) => {}
        }
        self
    }

    /// How marginals are joined to curves.
    pub fn coupling(&self) -> Coupling {
        match self {
            Self::Cfm(c) => c.coupling,
            Self::Mmfm(c) => c.coupling,
            Self::Jko(c) => c.coupling,
            Self::Action(c) => c.coupling,
            Self::Ddpm(_) => Coupling::Independent,
            Self::Kde(_) => Coupling::Independent,
        }
    }

    /// What it starts from.
    pub fn source(&self) -> SourceKind {
        match self {
            Self::Cfm(c) => c.source,
            Self::Mmfm(c) => c.source,
            Self::Jko(c) => c.source,
            Self::Action(c) => c.source,
            Self::Ddpm(_) => SourceKind::Gaussian,
            Self::Kde(_) => SourceKind::Gaussian,
        }
    }

    /// The method over points `[dimension]` with marginals at `times`, its net's first parameters drawn from `streams`. Methods with a
    /// potential have its sizes among their own parameters; `field` is the net of the others.
    ///
    /// # Errors
    /// A number outside its range, or times that do not fit.
    pub fn build(
        &self,
        times: &[f64],
        dimension: usize,
        field: &FieldConfig,
        streams: &Streams,
    ) -> Result<Box<dyn Method>> {
        self.check()?;
        Ok(match self {
            Self::Cfm(c) => Box::new(c.build(times, field.build(dimension, streams)?)?),
            Self::Mmfm(c) => Box::new(c.build(times, field.build(dimension, streams)?)?),
            Self::Jko(c) => Box::new(c.build(times, dimension, streams)?),
            Self::Action(c) => Box::new(c.build(times, dimension, streams)?),
            Self::Ddpm(c) => Box::new(c.build(field.build(dimension, streams)?)?),
            Self::Kde(c) => Box::new(c.build(times, dimension)?),
        })
    }
}
