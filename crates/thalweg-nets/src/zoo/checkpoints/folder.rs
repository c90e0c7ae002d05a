//! What lies in one folder: networks, other folders, and files that are passed over.
use super::foreign::{self, Foreign};
use super::network::{Network, check_regular, weight_map};
use super::order::natural;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file or folder that might have been meant and was not read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PassedOver {
    /// Why.
    pub why: &'static str,
    /// Which.
    pub path: PathBuf,
}

impl PassedOver {
    pub(super) fn new(path: impl Into<PathBuf>, why: &'static str) -> Self {
        Self { path: path.into(), why }
    }

    /// In words, a line for every reason: names of up to three, seen from `root`, and how many more.
    pub fn told(all: &[Self], root: &Path) -> Vec<String> {
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for one in all {
            let path = one.path.strip_prefix(root).unwrap_or(&one.path);
            reasons.entry(one.why).or_default().push(path.display().to_string());
        }
        let line = |(why, names): (&&str, &Vec<String>)| {
            let more =
                names.len().checked_sub(3).filter(|n| *n > 0).map_or(String::new(), |n| format!(" and {n} more"));
            format!("passed over, {why}: {}{more}", names[..names.len().min(3)].join(", "))
        };
        reasons.iter().map(line).collect()
    }
}

/// What is expected of a folder of networks.
pub(super) const NETWORKS: &str =
    "at least one .safetensors file (or .pt, .pth, .bin, .ckpt as torch.save writes them)";

/// Endings of the lists of a network's shards: those of safetensors, and of PyTorch's files.
const INDICES: [&str; 2] = [".safetensors.index.json", ".bin.index.json"];

/// Why files are passed over.
const HIDDEN: &str = "hidden";
const STATE: &str = "a state of training and no network";
const FORMAT: &str = "of a format that is not read";
const TWICE: &str = "beside files of safetensors, which are read";
const STALE: &str = "an index of shards that are not there";

/// What lies in a folder, in natural order.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub networks: Vec<Network>,
    pub folders: Vec<PathBuf>,
    pub passed_over: Vec<PassedOver>,
}

impl Contents {
    /// The first file of weights in another format, to be told of where nothing else is there.
    pub fn foreign(&self) -> Option<&Path> {
        self.passed_over.iter().find(|p| p.why == FORMAT).map(|p| p.path.as_path())
    }

    /// The error for a folder without a network that should hold one; `what` is what is missing.
    pub fn none(&self, dir: &Path, what: &str) -> Error {
        match self.foreign() {
            Some(path) => refused(path, dir),
            None => Error::format(dir, "networks", what, "none"),
        }
    }
}

/// Files of weights in another format stand where networks are expected.
fn refused(path: &Path, dir: &Path) -> Error {
    match Foreign::of(path) {
        Ok(Some(kind)) => kind.refuse(path),
        _ => {
            let ending = path.extension().unwrap_or_default().to_string_lossy();
            let expected = NETWORKS;
            Error::format(dir, "networks", expected, format!("files of another format (.{ending})"))
        }
    }
}

/// Looks at a folder.
///
/// # Errors
/// A folder that cannot be read; shards without their others; an index whose shards are not all there.
pub(super) fn contents(dir: &Path) -> Result<Contents> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let mut paths: Vec<PathBuf> = entries.map_err(Error::io("read", dir))?.iter().map(fs::DirEntry::path).collect();
    paths.sort_by(|a, b| natural(&name_of(a), &name_of(b)));
    let (mut contents, mut files, mut torch, mut indices) = (Contents::default(), Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let name = name_of(&path);
        let weights = path.extension().is_some_and(|e| e == "safetensors");
        if name.starts_with('.') {
            if weights || foreign::named_as_weights(&path) || name.starts_with("._") {
                contents.passed_over.push(PassedOver::new(path, HIDDEN));
            }
        } else if path.is_dir() {
            contents.folders.push(path);
        } else if INDICES.iter().any(|ending| name.ends_with(ending)) {
            indices.push(path);
        } else if (weights || foreign::named_as_weights(&path)) && is_state(&path) {
            contents.passed_over.push(PassedOver::new(path, STATE));
        } else if weights {
            check_regular(&path)?;
            files.push(path);
        } else if foreign::is_torch(&path) {
            torch.push(path);
        } else if foreign::named_as_weights(&path) {
            contents.passed_over.push(PassedOver::new(path, FORMAT));
        }
    }
    if files.is_empty() {
        files = torch;
    } else {
        // Who saves both saves one network twice; indices of shards that are not read go with them.
        indices.retain(|index| name_of(index).ends_with(INDICES[0]));
        contents.passed_over.extend(torch.into_iter().map(|path| PassedOver::new(path, TWICE)));
    }
    contents.gather(dir, files, indices)?;
    Ok(contents)
}

impl Contents {
    /// Makes networks of files: shards of an index, shards by their numbers, single ones.
    fn gather(&mut self, dir: &Path, mut files: Vec<PathBuf>, indices: Vec<PathBuf>) -> Result<()> {
        for index in indices {
            let shards: BTreeSet<String> = weight_map(&index)?.into_iter().map(|(_, file)| file).collect();
            let paths: Vec<PathBuf> = shards.iter().map(|shard| dir.join(shard)).collect();
            let missing: Vec<&String> = shards.iter().filter(|shard| !dir.join(shard).is_file()).collect();
            if missing.len() == shards.len() {
                self.passed_over.push(PassedOver::new(index, STALE));
                continue;
            }
            if let Some(shard) = missing.first() {
                let expected = format!("{} shards beside it", shards.len());
                return Err(Error::format(&index, "weight_map", expected, format!("no {shard}")));
            }
            files.retain(|file| !paths.contains(file));
            let name = without_ending(&index);
            self.networks.push(Network { name, files: paths, index: Some(index) });
        }
        let mut groups: BTreeMap<(String, usize), Vec<(usize, PathBuf)>> = BTreeMap::new();
        for file in files {
            match shard_of(&file) {
                Some((name, number, of)) if of > 1 => groups.entry((name, of)).or_default().push((number, file)),
                _ => self.networks.push(Network::single(&file)),
            }
        }
        for ((name, of), mut shards) in groups {
            shards.sort();
            if shards.len() != of {
                return Err(alone(&shards[0].1, of, shards.len()));
            }
            self.networks.push(Network {
                name,
                files: shards.into_iter().map(|(_, file)| file).collect(),
                index: None,
            });
        }
        self.networks.sort_by(|a, b| natural(&a.name, &b.name));
        Ok(())
    }
}

/// The name of a list of shards without what says that it is one.
fn without_ending(index: &Path) -> String {
    let name = name_of(index);
    INDICES.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name).to_owned()
}

/// The error for shards that are not all there.
fn alone(shard: &Path, of: usize, found: usize) -> Error {
    let expected =
        format!("all {of} shards of its network in one folder (model-00001-of-{of:05}.safetensors and so on)");
    Error::format(shard, "shard", expected, format!("{found} of them"))
}

/// Name, number and count of a file that is called as a shard: `model-00001-of-00002.safetensors`.
fn shard_of(path: &Path) -> Option<(String, usize, usize)> {
    let stem = path.file_stem()?.to_str()?;
    let (left, of) = stem.rsplit_once("-of-")?;
    let digits = left.len() - left.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (name, number) = left.split_at(left.len() - digits);
    Some((name.trim_end_matches(['-', '_', '.']).to_owned(), number.parse().ok()?, of.parse().ok()?))
}

/// Whether a file holds what a training is gone on from beside its network, by the names that Trainer, Accelerate and DeepSpeed use.
fn is_state(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_' || c == '-');
    ["optimizer", "optim", "scheduler", "scaler", "rng_state", "random_states", "training_args", "trainer_state"]
        .contains(&plain)
}

/// A path's last part, for people and for the order.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The networks that `path` names, in natural order: one file, an index of shards, or a folder of networks, each in a file (or shards) of its own
/// or in a folder of its own.
///
/// # Errors
/// No network; a shard alone; runs of several checkpoints, which are no networks side by side.
pub fn networks(path: &Path) -> Result<(Vec<Network>, Vec<PassedOver>)> {
    if !path.is_dir() {
        return one(path).map(|network| (vec![network], Vec::new()));
    }
    let mut here = contents(path)?;
    if !here.networks.is_empty() {
        return Ok((here.networks, here.passed_over));
    }
    let mut networks = Vec::new();
    for folder in &here.folders {
        let mut inner = contents(folder)?;
        match inner.networks.len() {
            0 => {}
            1 => networks.extend(inner.networks.drain(..).map(|n| Network { name: name_of(folder), ..n })),
            n => {
                let expected = "single networks side by side, each in a file or folder of its own";
                return Err(Error::format(folder, "networks", expected, format!("{n} of them: name one such folder")));
            }
        }
        here.passed_over.append(&mut inner.passed_over);
    }
    match networks.is_empty() {
        true => Err(here.none(path, NETWORKS)),
        false => Ok((networks, here.passed_over)),
    }
}

fn one(path: &Path) -> Result<Network> {
    check_regular(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    if INDICES.iter().any(|ending| name_of(path).ends_with(ending)) {
        let shards: BTreeSet<String> = weight_map(path)?.into_iter().map(|(_, file)| file).collect();
        let name = without_ending(path);
        let files = shards.iter().map(|shard| folder.join(shard)).collect();
        return Ok(Network { name, files, index: Some(path.to_path_buf()) });
    }
    match shard_of(path) {
        Some((_, _, of)) if of > 1 => {
            let found = "one of them alone: name the folder, or its .safetensors.index.json";
            let expected = format!("a whole network, not one of {of} shards");
            Err(Error::format(path, "shard", expected, found))
        }
        _ => Ok(Network::single(path)),
    }
}
