//! [`Origin`]: where a zoo came from, as its `zoo.toml` says.
use super::shard::Frame;
use super::spec::ZooSpec;
use crate::architecture::Architecture;
use crate::checksum;
use crate::data::DataSpec;
use crate::error::{Artefact, Error, Result};
use crate::files::content_of;
use crate::init::Initialisation;
use crate::layout::{Layout, Role, Slot};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where a zoo came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Trained here.
    Trained(Box<ZooSpec>),
    /// Foreign checkpoints.
    Imported(Box<Imported>),
    /// Another zoo, moved.
    Derived(Box<Derived>),
}

/// A `zoo.toml` that is no plain [`ZooSpec`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    imported: Option<Imported>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    derived: Option<Derived>,
}

impl Origin {
    /// Reads the `zoo.toml` of folder `dir`.
    ///
    /// # Errors
    /// No such file, or one that is no zoo's: with file, key and line; one that was changed since it was written.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = toml_of(dir);
        let text = fs::read_to_string(&path).map_err(|e| match dir.is_dir() && !path.exists() {
            // A folder of something else: the path is not the fault.
            true => Error::not_this(dir, Artefact::Zoo, "a folder with a zoo.toml", content_of(dir)),
            false => Error::io("read", if dir.exists() && !dir.is_dir() { dir } else { &path })(e),
        })?;
        let holds = |key: &str| text.parse::<toml::Table>().is_ok_and(|table| table.contains_key(key));
        if !holds("imported") && !holds("derived") {
            let spec = ZooSpec::from_toml_str(&path, &text)?;
            return checksum::check_text(&path, &text).map(|()| Self::Trained(Box::new(spec)));
        }
        let file: OtherFile = toml::from_str(&text).map_err(|e| {
            Error::format(
                &path,
                "imported or derived zoo",
                "known keys with values of their types",
                e.to_string().trim(),
            )
        })?;
        let origin = match (file.imported, file.derived) {
            (Some(imported), None) => Self::Imported(Box::new(imported)),
            (None, Some(derived)) => Self::Derived(Box::new(derived)),
            _ => return Err(Error::format(&path, "zoo", "imported or derived", "both")),
        };
        origin.check(&path)?;
        checksum::check_text(&path, &text)?;
        Ok(origin)
    }

    /// Checks what a hand could have spoilt in the `zoo.toml` at `path`.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        match self {
            Self::Trained(spec) => spec.check(),
            Self::Imported(imported) => imported.check(path),
            Self::Derived(derived) => derived.check(path),
        }
    }

    /// The zoo that all of its runs come from in the end: trained or imported.
    pub fn root(&self) -> &Self {
        match self {
            Self::Derived(derived) => derived.of.root(),
            other => other,
        }
    }

    /// What the user calls it.
    pub fn name(&self) -> &str {
        match self.root() {
            Self::Trained(spec) => &spec.name,
            Self::Imported(imported) => &imported.name,
            Self::Derived(_) => "",
        }
    }

    /// What it names itself by; empty for a specification that nothing was made from yet.
    pub fn id(&self) -> &str {
        match self {
            Self::Trained(spec) => spec.record.as_ref().map_or("", |record| &record.id),
            Self::Imported(imported) => &imported.id,
            Self::Derived(derived) => &derived.id,
        }
    }

    /// The specification that its runs were trained by, where they were trained here.
    pub fn spec(&self) -> Option<&ZooSpec> {
        match self.root() {
            Self::Trained(spec) => Some(spec),
            _ => None,
        }
    }

    /// The law that runs started from, where no specification says it.
    pub(super) fn initialisation(&self) -> Option<Initialisation> {
        match self.root() {
            Self::Imported(imported) => imported.initialisation,
            _ => None,
        }
    }

    /// The architecture whose tensors θ holds, all of them, where it is known.
    pub fn architecture(&self) -> Option<&Architecture> {
        self.whole_architecture().filter(|_| !self.is_part())
    }

    /// The architecture of the whole networks, of which θ may be a part, where it is known.
    pub fn whole_architecture(&self) -> Option<&Architecture> {
        match self.root() {
            Self::Trained(spec) => Some(&spec.architecture),
            Self::Imported(imported) => imported.architecture.as_ref(),
            Self::Derived(_) => None,
        }
    }

    /// Whether θ is known to hold only a part of an architecture's tensors.
    pub fn is_part(&self) -> bool {
        matches!(self.root(), Self::Imported(imported) if imported.is_part())
    }

    /// BLAKE3 of the zoo's template, where it has one.
    pub(super) fn template(&self) -> Option<&str> {
        match self.root() {
            Self::Imported(imported) => imported.template.as_deref(),
            _ => None,
        }
    }

    /// The data, where known.
    pub fn data(&self) -> Option<&DataSpec> {
        match self {
            Self::Trained(spec) => Some(&spec.data),
            Self::Imported(imported) => imported.data.as_ref(),
            Self::Derived(derived) => derived.of.data(),
        }
    }

    /// The data, where known, tied to what was found when the networks were trained or scored on them.
    pub fn bound_data(&self) -> Option<DataSpec> {
        let spec = self.data()?;
        match self.spec().and_then(|spec| spec.record.as_ref()) {
            Some(record) => Some(DataSpec { record: Some(Box::new(record.data.clone())), ..spec.clone() }),
            None => Some(spec.clone()),
        }
    }

    /// When checkpoints were taken, `[K]`.
    pub fn times(&self) -> &[f64] {
        match self {
            Self::Trained(spec) => &spec.recipe.checkpoints,
            Self::Imported(imported) => &imported.times,
            Self::Derived(derived) => derived.of.times(),
        }
    }

    /// How it was made, in words.
    pub(super) fn made(&self) -> &'static str {
        match self {
            Self::Trained(_) => "a trained one",
            Self::Imported(_) => "an imported one",
            Self::Derived(_) => "a derived one",
        }
    }

    /// The text of `zoo.toml`.
    pub(super) fn to_toml(&self) -> Result<String> {
        let file = match self {
            Self::Trained(spec) => return spec.to_toml(),
            Self::Imported(imported) => OtherFile { imported: Some((**imported).clone()), derived: None },
            Self::Derived(derived) => OtherFile { imported: None, derived: Some((**derived).clone()) },
        };
        toml::to_string(&file).map_err(|e| Error::parameter("zoo.toml", "values that TOML can hold", e))
    }

    /// What the zoo's shards have in common.
    pub(super) fn frame(&self, dir: &Path) -> Result<Frame> {
        match self {
            Self::Trained(spec) => {
                let unmade = || Error::format(toml_of(dir), "record", "the record of a zoo that was made", "none");
                Ok(Frame {
                    id: spec.record.as_ref().ok_or_else(unmade)?.id.clone(),
                    runs: spec.runs,
                    shard: spec.shard,
                    checkpoints: spec.recipe.checkpoints.len(),
                    layout: Layout::of(&spec.architecture),
                    scored: true,
                    shared: false,
                })
            }
            Self::Imported(imported) => Ok(imported.frame()),
            Self::Derived(derived) => derived.frame(dir),
        }
    }
}

/// What the `zoo.toml` of an imported zoo says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// What the user calls it.
    pub name: String,
    /// Names the zoo; every shard carries it.
    pub id: String,
    /// Version of Thalweg that imported it.
    pub version: String,
    /// The folder that it was imported from.
    pub source: PathBuf,
    /// R.
    pub runs: usize,
    /// Runs in one shard.
    pub shard: usize,
    /// When checkpoints were taken, `[K]`.
    pub times: Vec<f64>,
    /// Whether losses and accuracies are known.
    pub scored: bool,
    /// The law that the runs started from, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialisation: Option<Initialisation>,
    /// The data that the networks are for, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSpec>,
    /// The architecture, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// BLAKE3 of `template.safetensors`, which says what the file of a network looks like; none in zoos of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The tensors in order; with an architecture, those of its tensors that are modelled.
    pub tensors: Vec<Named>,
}

/// A tensor's name and shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name in the checkpoints.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it is, where no architecture says it and its numbers do: only running variances are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

impl Imported {
    /// Checks what a hand could have spoilt in the `zoo.toml` at `path`.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        check_times(&self.times, self.times.len()).map_err(|_| {
            Error::format(path, "imported.times", "rising times from 0 to 1, or [1.0]", format!("{:?}", self.times))
        })?;
        let product = |shape: &[usize]| shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
        let sizes = self.tensors.iter().map(|t| product(&t.shape)).try_fold(0usize, |n, size| n.checked_add(size?));
        let Some(parameters) = sizes else {
            return Err(Error::format(path, "imported.tensors", "sizes below 2^64", "larger ones"));
        };
        for (field, value) in [("runs", self.runs), ("shard", self.shard), ("tensors", parameters)] {
            if value == 0 {
                return Err(Error::format(path, format!("imported.{field}"), "at least 1", 0));
            }
        }
        match &self.architecture {
            Some(architecture) if !among(&self.tensors, &Layout::of(architecture)) => {
                Err(Error::format(path, "imported.tensors", "tensors of its architecture, in their order", "others"))
            }
            Some(_) if self.is_part() && self.template.is_none() => {
                let expected = "all tensors of its architecture, or a template with the others";
                Err(Error::format(path, "imported.tensors", expected, "a part of them without a template"))
            }
            _ => Ok(()),
        }
    }

    /// Whether only a part of the architecture's tensors is modelled, the rest frozen.
    pub fn is_part(&self) -> bool {
        self.architecture.as_ref().is_some_and(|a| Layout::of(a).slots().len() > self.tensors.len())
    }

    /// Where the modelled tensors lie in θ; with an architecture they also have its roles.
    fn layout(&self) -> Layout {
        let plain = Layout::of_tensors(self.tensors.iter().map(|t| (t.name.clone(), t.shape.clone())));
        if let Some(architecture) = &self.architecture {
            let whole = Layout::of(architecture);
            let modelled: HashSet<&str> = self.tensors.iter().map(|t| t.name.as_str()).collect();
            let slots = whole.slots().iter().filter(|slot| modelled.contains(slot.name.as_str()));
            return Layout::of_slots(slots.cloned());
        }
        let slots = plain.slots().iter().zip(&self.tensors);
        Layout::of_slots(slots.map(|(slot, t)| Slot { role: t.role.unwrap_or(slot.role), ..slot.clone() }))
    }

    pub(super) fn frame(&self) -> Frame {
        Frame {
            id: self.id.clone(),
            runs: self.runs,
            shard: self.shard,
            checkpoints: self.times.len(),
            layout: self.layout(),
            scored: self.scored,
            shared: false,
        }
    }
}

pub(super) fn check_times(times: &[f64], k: usize) -> Result<()> {
    let rising = times.windows(2).all(|w| w[0] < w[1]);
    let whole = times == [1.0] || (times.first() == Some(&0.0) && times.last() == Some(&1.0));
    if rising && whole && times.len() == k {
        return Ok(());
    }
    let expected = format!("{k} rising times from 0 to 1 (for one checkpoint [1.0])");
    Err(Error::parameter("times", expected, format!("{times:?}")))
}

/// What the `zoo.toml` of a derived zoo says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// Names the zoo; every shard carries it.
    pub id: String,
    /// Version of Thalweg that made it.
    pub version: String,
    /// What was done, in words.
    pub how: String,
    /// That zoo's own description.
    pub of: Origin,
}

impl Derived {
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        match self.id.is_empty() {
            true => Err(Error::format(path, "derived.id", "the zoo's id", "nothing")),
            false => self.of.check(path),
        }
    }

    /// The source's, with an id of its own.
    pub(super) fn frame(&self, dir: &Path) -> Result<Frame> {
        Ok(Frame { id: self.id.clone(), ..self.of.frame(dir)? })
    }
}

/// The `zoo.toml` of `dir`.
pub(super) fn toml_of(dir: &Path) -> PathBuf {
    dir.join("zoo.toml")
}

/// Whether `tensors` are tensors of `layout`, in its order.
fn among(tensors: &[Named], layout: &Layout) -> bool {
    let mut slots = layout.slots().iter();
    tensors.iter().all(|t| slots.any(|slot| slot.name == t.name && slot.shape == t.shape))
}
