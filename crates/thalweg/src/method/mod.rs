//! Methods: what each trains on and how it steps, one file each behind one trait, so that `fit` and `sample` know no method by name.
//!
//! To add one: a file with its parameters (`check`, `build`) and an `impl Method`, and one arm in each `match` below. A method
//! gets curves (points of the marginals it names, coupled as it asks) and owns whatever net it trains behind flat parameters,
//! be it a velocity field, a potential or a denoiser. `transport` may be an ODE, an SDE or explicit steps.
pub mod action;
pub mod cfm;
pub mod ddpm;
pub mod jko;
mod jko_features;
pub mod kde;
pub mod mmfm;

pub use action::{ActionConfig, ActionMatching};
pub use cfm::{CfmConfig, FlowMatching};
pub use ddpm::{Ddpm, DdpmConfig};
pub use jko::{Jko, JkoConfig};
pub use kde::{Kde, KdeConfig};
pub use mmfm::MmfmConfig;

use crate::anchors::Anchors;
use crate::coupling::Coupling;
use crate::field::{Field, ResidualMlp, ResidualMlpConfig, Tape};
use crate::path::Batch;
use crate::solver::{Solution, Solver};
use crate::source::SourceKind;
use crate::tune::direct::Steps;
use crate::{Error, Layout, Result, Streams};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Buffers that a method uses again from step to step.
#[derive(Default)]
pub struct Scratch {
    /// Of the net.
    pub tape: Tape,
    /// Its output, then the loss's derivative with respect to it `[B, P]`.
    pub output: Vec<f32>,
    /// The loss's derivative with respect to the contexts `[B, D]`, for an encoder that learns with the method: left by [`Method::loss`] of
    /// a batch with contexts, where a gradient is asked for.
    pub d_context: Vec<f32>,
}

impl Scratch {
    /// Leaves in `d_context` what the last backward pass of `net` on `batch` comes to in its contexts, if it has some.
    pub(crate) fn pull_context(&mut self, net: &dyn Field, batch: &Batch) {
        if let Some(c) = &batch.c {
            self.d_context.resize(c.len(), 0.0);
            net.pull_context(&mut self.tape, &mut self.d_context);
        }
    }
}

/// How samples are carried from the source to the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    /// The solver.
    pub solver: Solver,
    /// Steps of equal size; a method whose number of steps is fixed by design ignores it.
    pub steps: usize,
    /// Times in [0, 1] at which states are kept.
    pub at: Vec<f64>,
}

/// A generative method over points `[P]` in standardised coordinates.
pub trait Method: Send + Sync {
    /// Names, shapes and places of the parameters' tensors.
    fn layout(&self) -> &Layout;

    /// All parameters, flat `[Q]`.
    fn parameters(&self) -> &[f32];

    /// All parameters, to be moved by an optimiser `[Q]`.
    fn parameters_mut(&mut self) -> &mut [f32];

    /// The velocity field that samples follow, where there is one: what rewards are tuned through (M12).
    fn velocity_field(&self) -> Option<&dyn Field> {
        None
    }

    /// The explicit noiseless steps of a potential that samples take, where they do: what rewards are differentiated through (M12).
    fn explicit_steps(&self) -> Option<Steps<'_>> {
        None
    }

    /// Numbers of a context that it takes, D; 0 where it takes none.
    fn context(&self) -> usize {
        self.velocity_field().map_or(0, |field| field.context())
    }

    /// Whether the method is solved at once by [`Self::solve`], without optimiser steps.
    fn closed_form(&self) -> bool {
        false
    }

    /// Solves for the parameters from curves `[A, N, P]` of the training runs.
    ///
    /// # Errors
    /// A method without closed form, or a system that cannot be solved.
    fn solve(&mut self, _curves: &[f32]) -> Result<()> {
        Err(Error::parameter("method", "one with a closed form", "one that is trained by steps"))
    }

    /// What one step trains on, from coupled curves and their contexts `[B, D]`: a pure function of them and the stream.
    ///
    /// # Errors
    /// Curves of another shape.
    fn batch(&self, curves: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch>;

    /// The loss on a batch, and its gradient over what was in `gradient [Q]` where that is asked for.
    fn loss(&self, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64;

    /// The drift dx/dt at `x [B, P]`, `t [B]`, to `out [B, P]`: what [`Self::transport`] follows, noise aside, and what the action
    /// gap (M7) is measured on.
    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape);

    /// Carries `x [B, P]` from the source (t = 0) to the target (t = 1) in place; row i draws its noise, if any, from `streams[i]`.
    ///
    /// # Errors
    /// A transport that this method cannot do, or a state that is not finite.
    fn transport(&self, x: &mut [f32], c: Option<&[f32]>, how: &Transport, streams: &[Streams]) -> Result<Solution>;
}

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

/// Moves a field to another device, with its parameters.
pub type Place = dyn Fn(&dyn Field) -> Result<Box<dyn Field>> + Send + Sync;

/// Where this process's fields live; on the CPU, by our own code, where nothing is set.
static PLACE: OnceLock<Box<Place>> = OnceLock::new();

/// From now on the fields of this process are moved by `place` when they are made: a choice for the whole process, like its thread pool.
/// Potentials (NM-JKO, action matching), autoencoders and encoders of contexts stay on the CPU. Bytes are those of the device.
///
/// # Errors
/// Where the choice was made before.
pub fn place_fields(place: Box<Place>) -> Result<()> {
    PLACE.set(place).map_err(|_| Error::parameter("device", "one choice a process", "a second one"))
}

/// A net of a meta-model and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FieldConfig {
    /// The residual multilayer perceptron.
    ResidualMlp(ResidualMlpConfig),
}

impl Default for FieldConfig {
    /// Narrow, since zoos are small, with the learning rate of 5e-3 that a narrow field needs to reach its optimum in 1,200 steps (at 1e-3 it
    /// stops short, and short of the zoo's spread). On a fork zoo of 250 MNIST runs (125 trained on) widths 2, 8, 32 of NM-CFM end at
    /// held-out losses .469, .472, .506 and spread ratios .96, .93, .84; a wide field tells training runs apart and draws fresh
    /// starts towards their mean. With 800 runs trained on width 32 is best. Choose anew for large zoos, by held-out loss.
    fn default() -> Self {
        Self::ResidualMlp(ResidualMlpConfig { width: 4, ..ResidualMlpConfig::default() })
    }
}

impl FieldConfig {
    /// # Errors
    /// A size outside its range.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::ResidualMlp(c) => c.check(),
        }
    }

    /// The same net for contexts `[context]`.
    #[must_use]
    pub fn with_context(&self, context: usize) -> Self {
        match self {
            Self::ResidualMlp(c) => Self::ResidualMlp(ResidualMlpConfig { context, ..c.clone() }),
        }
    }

    /// The field over points `[dimension]`.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn build(&self, dimension: usize, streams: &Streams) -> Result<Box<dyn Field>> {
        match self {
            Self::ResidualMlp(c) => {
                let field = ResidualMlp::new(dimension, c, streams)?;
                match PLACE.get() {
                    Some(place) => place(&field),
                    None => Ok(Box::new(field)),
                }
            }
        }
    }
}
