//! The zoos that a fit learns from, and the tasks that they are of.
use crate::shell::quoted;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use thalweg_nets::Error;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::ZooStore;

/// The zoos in `dirs`; where they are `tasks`, a folder that is no zoo stands for all zoos in it, by name.
///
/// # Errors
/// Folders that hold no zoo, several zoos that are no tasks, damaged zoos.
pub fn opened(dirs: &[PathBuf], tasks: bool) -> Result<Vec<ZooStore>> {
    let is_zoo = |dir: &Path| dir.join("zoo.toml").exists();
    let mut all = Vec::new();
    for dir in dirs {
        if !tasks || is_zoo(dir) {
            all.push(dir.clone());
            continue;
        }
        let entries = std::fs::read_dir(dir).map_err(Error::io("read", dir))?.collect::<Result<Vec<_>, _>>();
        let mut within: Vec<_> = entries.map_err(Error::io("read", dir))?.iter().map(|entry| entry.path()).collect();
        within.retain(|dir| is_zoo(dir));
        within.sort();
        if within.is_empty() {
            bail!("{}: expected a zoo or a folder of zoos, found neither", dir.display());
        }
        all.extend(within);
    }
    if !tasks && all.len() > 1 {
        bail!("{} zoos: a fit of several is one with --context", all.len());
    }
    let budget = thalweg_nets::zoo::BUDGET / all.len();
    Ok(all.iter().map(|dir| ZooStore::open_within(dir, budget)).collect::<Result<_, _>>()?)
}

/// A task that a model of these zoos can be asked for, as `--context` takes it: the first whose data a text says, or a place for the user's own.
pub fn example_task(zoos: &[ZooStore]) -> String {
    let text = |data: &DataSpec| {
        let text = data.place();
        let plain = DataSpec { record: None, ..data.clone() };
        DataSpec::parse(&text).is_ok_and(|read| read == plain).then_some(text)
    };
    let found = zoos.iter().filter_map(ZooStore::data).find_map(text);
    found.map_or_else(|| "NAME[:PATH]".into(), |text| quoted(Path::new(&text)))
}
