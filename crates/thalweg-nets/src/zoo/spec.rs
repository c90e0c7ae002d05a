//! [`ZooSpec`]: everything that decides the bytes of a zoo, as its `zoo.toml` holds it.
//!
//! A run is a pure function of (spec, run index): its streams are `Streams::new(seed).child("zoo").index(run)`, with the
//! children `start`, `order` and `dropout`. So there is no seed per run beside the index.
use crate::architecture::Architecture;
use crate::data::DataRecord;
use crate::data::DataSpec;
use crate::error::{Error, Result};
use crate::init::Initialisation;
use crate::layout::Layout;
use crate::memory;
use crate::streams::Streams;
use crate::train::Recipe;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Most runs of a zoo.
const MOST_RUNS: usize = 1_000_000_000;

/// How the runs of a zoo are related (book/src/results.md shows how much depends on it).
///
/// *Relative noise* ν: every trained tensor of the start is the centre's tensor plus independent normal noise of standard
/// deviation ν · RMS(tensor); running statistics of batch normalisation are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ZooKind {
    /// Every run starts at its own draw of the initialisation law.
    #[default]
    Independent,
    /// Every run starts at one common draw plus relative noise, and sees the data in its own order.
    Shared {
        /// ν ≥ 0.
        #[serde(default = "noise")]
        noise: f64,
    },
    /// One trunk run takes `steps` steps at the constant learning rate of the recipe; every run starts there plus
    /// relative noise with a fresh optimiser, and sees the data in its own order for the whole length of the recipe.
    Fork {
        /// ν ≥ 0.
        #[serde(default = "noise")]
        noise: f64,
        /// Steps of the trunk, at least 1.
        #[serde(default = "fork_steps")]
        steps: u64,
    },
    /// Iterates of a single run (p-diff's zoos): after the whole length of the recipe as warm-up, one network every
    /// `every` steps at the constant learning rate. Each iterate is a run of its own with the one checkpoint `[1.0]`
    /// (K = 1, as no iterate has a start of its own): `runs` counts iterates.
    Tail {
        /// Steps between iterates, at least 1.
        #[serde(default = "tail_every")]
        every: u64,
    },
}

impl ZooKind {
    /// The kinds' names, as `--kind` takes them.
    pub const NAMES: [&str; 4] = ["independent", "shared", "fork", "tail"];

    /// The kind of this name with its defaults: noise .05, a trunk of 200 steps, every iterate.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "independent" => Ok(Self::Independent),
            "shared" => Ok(Self::Shared { noise: noise() }),
            "fork" => Ok(Self::Fork { noise: noise(), steps: fork_steps() }),
            "tail" => Ok(Self::Tail { every: tail_every() }),
            other => Err(Error::parameter("kind", Self::NAMES.join(", "), other)),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Independent => "independent",
            Self::Shared { .. } => "shared",
            Self::Fork { .. } => "fork",
            Self::Tail { .. } => "tail",
        }
    }

    /// Whether all runs start around one network.
    pub fn has_centre(&self) -> bool {
        matches!(self, Self::Shared { .. } | Self::Fork { .. })
    }
}

/// A zoo to be trained, or that was trained.
///
/// | field | default | what |
/// | --- | --- | --- |
/// | `name` | "" | what the user calls it |
/// | `runs` | | R ≥ 1 |
/// | `seed` | 0 | of every random stream |
/// | `shard` | 64 | runs in one file |
/// | `kind` | `"independent"` | or `{ shared = { noise } }`, `{ fork = { noise, steps } }`, `{ tail = { every } }` |
/// | `initialisation` | `kaiming-uniform` | the law of initial weights |
/// | `centre` | a draw | shared zoos only: a safetensors file of one network by tensor names, around which all runs start |
/// | `data`, `recipe`, `architecture` | | tables of their own |
/// | `record` | | filled in when the zoo is made; where given, data must be the same |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZooSpec {
    /// What the user calls it.
    #[serde(default)]
    pub name: String,
    /// R.
    pub runs: usize,
    /// Seed of every random stream.
    #[serde(default)]
    pub seed: u64,
    /// Runs in one shard.
    #[serde(default = "shard")]
    pub shard: usize,
    /// How the runs are related.
    #[serde(default)]
    pub kind: ZooKind,
    /// The law of initial weights.
    #[serde(default)]
    pub initialisation: Initialisation,
    /// The network around which the runs of a shared zoo start, in the place of a draw: zoos of many tasks then share one start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centre: Option<PathBuf>,
    /// What is trained on.
    pub data: DataSpec,
    /// How.
    #[serde(default)]
    pub recipe: Recipe,
    /// What is trained.
    pub architecture: Architecture,
    /// What was found when the zoo was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
}

impl ZooSpec {
    /// A zoo with defaults for all that is not given; a tail keeps only final networks.
    pub fn new(architecture: Architecture, data: DataSpec, kind: ZooKind, runs: usize) -> Self {
        let mut recipe = Recipe::default();
        if matches!(kind, ZooKind::Tail { .. }) {
            recipe.checkpoints = vec![1.0];
        }
        let (name, initialisation) = (String::new(), Initialisation::default());
        Self {
            name,
            runs,
            seed: 0,
            shard: shard(),
            kind,
            initialisation,
            centre: None,
            data,
            recipe,
            architecture,
            record: None,
        }
    }

    /// Reads and checks the TOML form, from `path` for the errors.
    ///
    /// # Errors
    /// Unknown or missing keys, values outside their ranges: with file, key and line.
    pub fn from_toml_str(path: &Path, text: &str) -> Result<Self> {
        let spec: Self = toml::from_str(text).map_err(|e| {
            Error::format(path, "zoo specification", "known keys with values of their types", e.to_string().trim())
        })?;
        spec.check().map_err(|e| e.in_file(path))?;
        Ok(spec)
    }

    /// Reads a specification file.
    ///
    /// # Errors
    /// As [`Self::from_toml_str`], or a file that cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_toml_str(path, &std::fs::read_to_string(path).map_err(Error::io("read", path))?)
    }

    /// The TOML form, which [`Self::read`] reads back to an equal value.
    ///
    /// # Errors
    /// A number that TOML cannot hold (a seed above 2⁶³ − 1).
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::parameter("zoo specification", "values that TOML can hold", e))
    }

    /// Checks every range that can be checked without data.
    ///
    /// # Errors
    /// Names the parameter.
    pub fn check(&self) -> Result<()> {
        self.recipe.check()?;
        self.data.check()?;
        for (field, value, most) in [("runs", self.runs, MOST_RUNS), ("shard", self.shard, MOST_RUNS)] {
            if !(1..=most).contains(&value) {
                return Err(Error::parameter(field, format!("at least 1, at most {most}"), value));
            }
        }
        let sizes = [self.shard.min(self.runs), self.recipe.checkpoints.len(), Layout::of(&self.architecture).len()];
        let bytes = sizes.iter().try_fold(4u64, |n, &size| n.checked_mul(size as u64));
        memory::check("shard (its runs with all checkpoints)", bytes)?;
        if self.seed > i64::MAX as u64 {
            return Err(Error::parameter("seed", "at most 2^63 - 1 (what TOML holds)", self.seed));
        }
        if let (Some(centre), false) = (&self.centre, matches!(self.kind, ZooKind::Shared { .. })) {
            let expected = format!("none (it belongs to shared zoos, and this is {})", self.kind.name());
            return Err(Error::parameter("centre", expected, centre.display()));
        }
        match self.kind {
            ZooKind::Shared { noise } | ZooKind::Fork { noise, .. } if !(noise >= 0.0 && noise.is_finite()) => {
                let field = format!("kind.{}.noise", self.kind.name());
                Err(Error::parameter(field, "a finite number of at least 0", noise))
            }
            ZooKind::Fork { steps: 0, .. } => Err(Error::parameter("kind.fork.steps", "at least 1", 0)),
            ZooKind::Tail { every: 0 } => Err(Error::parameter("kind.tail.every", "at least 1", 0)),
            ZooKind::Tail { .. } if self.recipe.checkpoints[..] != [1.0] => Err(Error::parameter(
                "recipe.checkpoints",
                "[1.0] for a tail zoo, whose runs are single iterates",
                format!("{:?}", self.recipe.checkpoints),
            )),
            _ => Ok(()),
        }
    }

    /// The random streams of run `run`.
    pub fn streams(&self, run: usize) -> Streams {
        Streams::new(self.seed).child("zoo").index(run as u64)
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.runs.div_ceil(self.shard)
    }
}

fn noise() -> f64 {
    0.05
}
fn fork_steps() -> u64 {
    200
}
fn tail_every() -> u64 {
    1
}
fn shard() -> usize {
    64
}

/// What a zoo was made from, beside its specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Names the zoo; every shard carries it.
    pub id: String,
    /// Version of Thalweg that made it.
    pub version: String,
    /// The data that it was trained on.
    pub data: DataRecord,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Preset;
    use crate::train::{Length, Optimiser, Schedule};

    fn spec(kind: ZooKind) -> ZooSpec {
        ZooSpec::new(Preset::Digits.build([1, 8, 8], 10).unwrap(), DataSpec::named("digits"), kind, 20)
    }

    #[test]
    fn toml_round_trips_every_kind() {
        for name in ZooKind::NAMES {
            let mut spec = spec(ZooKind::named(name).unwrap());
            spec.recipe.optimiser = Optimiser::adamw();
            spec.recipe.schedule = Schedule::one_cycle();
            spec.recipe.length = Length::Steps(70);
            let text = spec.to_toml().unwrap();
            assert_eq!(ZooSpec::from_toml_str(Path::new("zoo.toml"), &text).unwrap(), spec, "{text}");
            assert_eq!(spec.kind.name(), name);
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_file_and_key_at_every_depth() {
        let text = spec(ZooKind::named("fork").unwrap()).to_toml().unwrap();
        for (from, to) in [
            ("seed = ", "sede = "),
            ("batch = ", "bacth = "),
            ("noise = ", "nosie = "),
            ("name = \"digits\"\nseed", "name = \"digits\"\nsead"),
        ] {
            let wrong = text.replacen(from, to, 1);
            assert_ne!(wrong, text, "{text}");
            let message = ZooSpec::from_toml_str(Path::new("some/zoo.toml"), &wrong).unwrap_err().to_string();
            let key = to.split([' ', '\n']).find(|w| !text.contains(w)).unwrap_or(to);
            assert!(message.contains("some/zoo.toml") && message.contains(key), "{message}");
        }
    }
}
