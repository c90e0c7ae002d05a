//! Which net a velocity field is, its sizes, and the device that it lives on.
use super::{Field, Mlp, MlpConfig, ResidualMlp, ResidualMlpConfig};
use crate::{Error, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Moves a field to another device, with its parameters.
pub type Place = dyn Fn(&dyn Field) -> Result<Box<dyn Field>> + Send + Sync;

/// Where this process's fields live; on the CPU, by our own code, where nothing is set.
static PLACE: OnceLock<Box<Place>> = OnceLock::new();

/// From now on the fields of this process are moved by `place` when they are made: a choice for the whole process, like its thread pool.
/// Potentials (NM-JKO, action matching), autoencoders and encoders of contexts stay on the CPU; plain multilayer perceptrons are refused. Bytes are those of the device.
///
/// # Errors
/// Where the choice was made before.
pub fn place_fields(place: Box<Place>) -> Result<()> {
    PLACE.set(place).map_err(|_| Error::parameter("device", "one choice a process", "a second one"))
}

/// A net of a meta-model and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FieldConfig {
    /// The residual multilayer perceptron.
    ResidualMlp(ResidualMlpConfig),
    /// The plain multilayer perceptron, DeepWeightFlow's field.
    Mlp(MlpConfig),
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
            Self::Mlp(c) => c.check(),
        }
    }

    /// The same net for contexts `[context]`.
    #[must_use]
    pub fn with_context(&self, context: usize) -> Self {
        match self {
            Self::ResidualMlp(c) => Self::ResidualMlp(ResidualMlpConfig { context, ..c.clone() }),
            Self::Mlp(c) => Self::Mlp(MlpConfig { context, ..c.clone() }),
        }
    }

    /// Parameters of the field over points `[dimension]`, told before it is built.
    pub fn numbers(&self, dimension: usize) -> usize {
        match self {
            Self::ResidualMlp(c) => c.numbers(dimension),
            Self::Mlp(c) => c.numbers(dimension),
        }
    }

    /// The field over points `[dimension]`.
    ///
    /// # Errors
    /// As [`Self::check`]; a net that cannot live where the process has its fields.
    pub fn build(&self, dimension: usize, streams: &Streams) -> Result<Box<dyn Field>> {
        match self {
            Self::ResidualMlp(c) => {
                let field = ResidualMlp::new(dimension, c, streams)?;
                match PLACE.get() {
                    Some(place) => place(&field),
                    None => Ok(Box::new(field)),
                }
            }
            Self::Mlp(_) if PLACE.get().is_some() => {
                Err(Error::unsupported("another device", "field mlp", "the CPU, or field residual-mlp"))
            }
            Self::Mlp(c) => Ok(Box::new(Mlp::new(dimension, c, streams)?)),
        }
    }
}
