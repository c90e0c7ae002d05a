//! Which net a velocity field is, its sizes, and the device that it lives on.
use super::{Equivariant, EquivariantConfig, Field, Mlp, MlpConfig, ResidualMlp, ResidualMlpConfig};
use crate::{Error, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Moves a field to another device, with its parameters.
pub type Place = dyn Fn(&dyn Field) -> Result<Box<dyn Field>> + Send + Sync;

/// Where this process's fields live; on the CPU, by our own code, where nothing is set.
static PLACE: OnceLock<Box<Place>> = OnceLock::new();

/// From now on the fields of this process are moved by `place` when they are made: a choice for the whole process, like its thread pool.
/// Potentials (NM-JKO, action matching), autoencoders and encoders of contexts stay on the CPU; every field but residual-mlp is refused. Bytes are those of the device.
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
    /// Messages along the base network's own graph, equivariant to permutations of its hidden units (M23); not in a latent space.
    Equivariant(EquivariantConfig),
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
            Self::Equivariant(c) => c.check(),
        }
    }

    /// Its name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ResidualMlp(_) => "residual-mlp",
            Self::Mlp(_) => "mlp",
            Self::Equivariant(_) => "equivariant",
        }
    }

    /// The same net for contexts `[context]`.
    #[must_use]
    pub fn with_context(&self, context: usize) -> Self {
        match self {
            Self::ResidualMlp(c) => Self::ResidualMlp(ResidualMlpConfig { context, ..c.clone() }),
            Self::Mlp(c) => Self::Mlp(MlpConfig { context, ..c.clone() }),
            Self::Equivariant(c) => Self::Equivariant(EquivariantConfig { context, ..c.clone() }),
        }
    }

    /// Parameters of the field over points `[dimension]`, told before it is built.
    pub fn numbers(&self, dimension: usize) -> usize {
        match self {
            Self::ResidualMlp(c) => c.numbers(dimension),
            Self::Mlp(c) => c.numbers(dimension),
            Self::Equivariant(c) => c.numbers(),
        }
    }

    /// Numbers that the field holds for each row at work, beside the row's own.
    pub fn numbers_at_work(&self) -> usize {
        match self {
            Self::ResidualMlp(_) | Self::Mlp(_) => 0,
            Self::Equivariant(c) => c.numbers_at_work(),
        }
    }

    /// Numbers of a context that is set by hand.
    pub fn context(&self) -> usize {
        match self {
            Self::ResidualMlp(c) => c.context,
            Self::Mlp(c) => c.context,
            Self::Equivariant(c) => c.context,
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
            Self::Mlp(_) | Self::Equivariant(_) if PLACE.get().is_some() => {
                let field = format!("field {}", self.name());
                Err(Error::unsupported("another device", field, "the CPU, or field residual-mlp"))
            }
            Self::Mlp(c) => Ok(Box::new(Mlp::new(dimension, c, streams)?)),
            Self::Equivariant(c) => Ok(Box::new(Equivariant::new(dimension, c, streams)?)),
        }
    }
}
