//! [`import`]: foreign safetensors checkpoints of one shape made a zoo.
//!
//! The source folder holds one sub-folder a run with one file a checkpoint, or files directly: then each is a run of one
//! checkpoint. Names are sorted as people count (`step-2` before `step-10`). Tensors may have any names; integer
//! tensors (`num_batches_tracked`) are passed over, floats of any width become f32. Every file is checked against the first.
use super::folder::{self, Existing, Origin};
use super::header::Header;
use super::shard::{Frame, Shard};
use super::store::ZooStore;
use crate::architecture::Architecture;
use crate::data::DataSpec;
use crate::engine::{Engine, Packed};
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::init::Initialisation;
use crate::layout::{Layout, is_float};
use crate::progress::Progress;
use crate::train::{evenly, fits};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

/// What is known of the checkpoints beside their numbers.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// What the user calls the zoo.
    pub name: String,
    /// The architecture; its layout is then required of every file, and kept. Else the first file gives the layout.
    pub architecture: Option<Architecture>,
    /// The data that the networks are for: with the architecture, every checkpoint is scored on its validation rows.
    pub data: Option<DataSpec>,
    /// The law that the runs started from.
    pub initialisation: Option<Initialisation>,
    /// When checkpoints were taken, `[K]`, rising from 0 to 1 (or `[1.0]`); equally spaced where not given.
    pub times: Option<Vec<f64>>,
    /// Replace a zoo that is there already.
    pub force: bool,
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
    /// The tensors in order.
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
            Some(architecture) if !same_tensors(&Layout::of(architecture), &self.layout()) => {
                Err(Error::format(path, "imported.tensors", "the tensors of its architecture", "others"))
            }
            _ => Ok(()),
        }
    }

    fn layout(&self) -> Layout {
        Layout::of_tensors(self.tensors.iter().map(|t| (t.name.clone(), t.shape.clone())))
    }

    pub(super) fn frame(&self) -> Frame {
        Frame {
            id: self.id.clone(),
            runs: self.runs,
            shard: self.shard,
            checkpoints: self.times.len(),
            // With an architecture tensors also have roles.
            layout: self.architecture.as_ref().map_or_else(|| self.layout(), Layout::of),
            scored: self.scored,
        }
    }
}

fn same_tensors(a: &Layout, b: &Layout) -> bool {
    let names = |l: &Layout| l.slots().iter().map(|s| (s.name.clone(), s.shape.clone())).collect::<Vec<_>>();
    names(a) == names(b)
}

/// Imports the checkpoints under `source` as a zoo in the folder `out` and opens it.
///
/// # Errors
/// No checkpoint; files beside sub-folders; runs of different lengths; a file that lies, lacks a tensor, has one more, or one of
/// another shape, or a number that is not finite: each named with file and tensor. `out` as for
/// [`train_zoo`](super::train_zoo). [`Error::Interrupted`].
pub fn import(source: &Path, out: &Path, options: &ImportOptions, progress: &dyn Progress) -> Result<ZooStore> {
    let runs = find(source)?;
    let k = runs[0].1.len();
    if let Some((run, files)) = runs.iter().find(|(_, files)| files.len() != k) {
        let expected = format!("{k} checkpoints, as in {}", runs[0].0.display());
        return Err(Error::format(run, "run", expected, format!("{} checkpoints", files.len())));
    }
    let times = options.times.clone().unwrap_or_else(|| evenly(k));
    check_times(&times, k)?;
    let layout = match &options.architecture {
        Some(architecture) => Layout::of(architecture),
        None => layout_of(&runs[0].1[0])?,
    };
    let judge = Judge::new(options)?;
    let tensors = layout.slots().iter().map(|s| Named { name: s.name.clone(), shape: s.shape.clone() }).collect();
    let mut imported = Imported {
        name: options.name.clone(),
        id: String::new(),
        version: env!("CARGO_PKG_VERSION").into(),
        source: source.to_path_buf(),
        runs: runs.len(),
        shard: 64,
        times,
        scored: judge.is_some(),
        initialisation: options.initialisation,
        data: options.data.clone(),
        architecture: options.architecture.clone(),
        tensors,
    };
    imported.id = blake3::hash(format!("{imported:?}").as_bytes()).to_hex()[..16].to_owned();
    let frame = imported.frame();
    // All headers first, so that a wrong file is found before anything is written.
    for file in runs.iter().flat_map(|(_, files)| files) {
        check_header(file, &layout)?;
    }
    let claim = folder::claim(out, &Origin::Imported(Box::new(imported)), Existing::of(false, options.force)?)?;
    progress.begin("importing runs", runs.len() as u64);
    for index in 0..frame.shards() {
        let mut shard = Shard::default();
        for run in frame.runs_of(index) {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            for file in &runs[run].1 {
                let bytes = fs::read(file).map_err(Error::io("read", file))?;
                shard.theta.extend(layout.from_safetensors(file, &bytes)?);
            }
            shard.died.push(None);
            progress.advance(1);
        }
        if let Some(judge) = &judge {
            for score in evaluate(&judge.engine, &shard.theta, &judge.inputs, &judge.labels)? {
                // A foreign network may overflow on these rows; its loss is then the largest there is.
                shard.loss.push((score.loss as f32).min(f32::MAX));
                shard.accuracy.push(score.accuracy as f32);
            }
        }
        frame.write(claim.work(), index, &shard)?;
    }
    claim.finish()?;
    ZooStore::open(out)
}

/// What scores imported checkpoints.
struct Judge {
    engine: Engine,
    inputs: Packed,
    labels: Vec<u32>,
}

impl Judge {
    /// None where architecture or data are not known.
    fn new(options: &ImportOptions) -> Result<Option<Self>> {
        let (Some(architecture), Some(data)) = (&options.architecture, &options.data) else { return Ok(None) };
        let data = data.load()?.validation;
        fits(architecture, &data)?;
        let engine = Engine::new(architecture)?;
        Ok(Some(Self { inputs: engine.pack(&data.inputs)?, labels: data.labels, engine }))
    }
}

fn check_times(times: &[f64], k: usize) -> Result<()> {
    let rising = times.windows(2).all(|w| w[0] < w[1]);
    let whole = times == [1.0] || (times.first() == Some(&0.0) && times.last() == Some(&1.0));
    if rising && whole && times.len() == k {
        return Ok(());
    }
    let expected = format!("{k} rising times from 0 to 1 (for one checkpoint [1.0])");
    Err(Error::parameter("times", expected, format!("{times:?}")))
}

/// The runs under `source` with their checkpoint files, in natural order.
fn find(source: &Path) -> Result<Vec<(PathBuf, Vec<PathBuf>)>> {
    let (files, folders) = inside(source)?;
    if !files.is_empty() && !folders.is_empty() {
        let found = format!("both, e.g. {} and {}", files[0].display(), folders[0].display());
        return Err(Error::format(source, "import", "checkpoint files or one sub-folder a run", found));
    }
    if folders.is_empty() {
        if files.is_empty() {
            return Err(Error::format(source, "import", "at least one .safetensors file or folder of them", "none"));
        }
        return Ok(files.into_iter().map(|file| (file.clone(), vec![file])).collect());
    }
    let run = |folder: PathBuf| {
        let (files, _) = inside(&folder)?;
        match files.is_empty() {
            true => Err(Error::format(&folder, "run", "at least one .safetensors file", "none")),
            false => Ok((folder, files)),
        }
    };
    folders.into_iter().map(run).collect()
}

/// The safetensors files and the folders in `dir`, hidden ones left out, in natural order.
fn inside(dir: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut names = folder::names(dir)?;
    names.retain(|name| !name.starts_with('.'));
    names.sort_by(|a, b| natural(a, b));
    let paths = names.iter().map(|name| dir.join(name));
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    Ok((files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "safetensors")).collect(), folders))
}

/// Compares names with their runs of digits as numbers; equal numbers by their writing, so that the order is total.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    loop {
        let digits = |s: &str| s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (m, n) = (digits(x), digits(y));
        let order = if m > 0 && n > 0 {
            let (p, q) = (x[..m].trim_start_matches('0'), y[..n].trim_start_matches('0'));
            let order = p.len().cmp(&q.len()).then_with(|| p.cmp(q));
            (x, y) = (&x[m..], &y[n..]);
            order
        } else {
            let (mut p, mut q) = (x.chars(), y.chars());
            let order = p.next().cmp(&q.next());
            (x, y) = (p.as_str(), q.as_str());
            order
        };
        if order.is_ne() || (x.is_empty() && y.is_empty()) {
            return order.then_with(|| a.cmp(b));
        }
    }
}

/// The float tensors of a file, in its order.
fn layout_of(file: &Path) -> Result<Layout> {
    let header = Header::read(file)?;
    let info = |name: String| header.info(&name).filter(|i| is_float(i.dtype)).map(|i| (name, i.shape.clone()));
    let layout = Layout::of_tensors(header.names().into_iter().filter_map(info));
    match layout.is_empty() {
        true => Err(Error::format(file, "tensors", "at least one number in a float tensor", "none")),
        false => Ok(layout),
    }
}

/// Checks names and shapes of a file's float tensors before its numbers are read.
fn check_header(file: &Path, layout: &Layout) -> Result<()> {
    let header = Header::read(file)?;
    for slot in layout.slots() {
        let found = match header.info(&slot.name) {
            Some(info) if is_float(info.dtype) && info.shape == slot.shape => continue,
            Some(info) => format!("{:?} {:?}", info.dtype, info.shape),
            None => "no such tensor".into(),
        };
        return Err(Error::format(file, format!("tensor {}", slot.name), format!("floats {:?}", slot.shape), found));
    }
    let known = |name: &String| layout.slots().iter().any(|s| &s.name == name);
    let float = |name: &String| header.info(name).is_some_and(|i| is_float(i.dtype));
    match header.names().into_iter().find(|name| float(name) && !known(name)) {
        Some(name) => {
            Err(Error::format(file, format!("tensor {name}"), "no such tensor, as in the others", "a tensor"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_people_count() {
        let mut names = ["step-10", "step-2", "step-02", "a", "step-2b", "10", "9", "step-", "schritt-é"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["9", "10", "a", "schritt-é", "step-", "step-02", "step-2", "step-2b", "step-10"]);
    }
}
