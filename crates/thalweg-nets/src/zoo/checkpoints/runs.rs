//! A folder read as runs of checkpoints.
//!
//! | in the folder | is read as |
//! | --- | --- |
//! | `run-0/step-0.safetensors`, … | a folder a run, a file a checkpoint |
//! | `run-0/checkpoint-500/model.safetensors`, … | a folder a run, a folder a checkpoint (what the Trainer of Hugging Face writes) |
//! | `checkpoint-500/model.safetensors`, … | one such run |
//! | `net-0.safetensors`, … | a file a run of one checkpoint |
//!
//! Every file may be the shards of one network instead.
use super::folder::{Contents, NETWORKS, PassedOver, contents, name_of};
use super::network::Network;
use super::order::{By, in_time, names_a_time};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Names of folders that trainings leave beside their checkpoints.
const SIDE: [&str; 8] = ["runs", "logs", "log", "wandb", "tensorboard", "lightning_logs", "mlruns", "__pycache__"];

/// Why folders and files are passed over.
const NO_NETWORK: &str = "a folder without networks";
const BESIDE: &str = "beside the folders of checkpoints";

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// Its folder, or its file.
    pub path: PathBuf,
    /// Its checkpoints, first to last.
    pub checkpoints: Vec<Network>,
}

/// What was found under a folder.
#[derive(Clone, Debug)]
pub struct Found {
    /// The runs in natural order, all of one length.
    pub runs: Vec<Run>,
    /// What decided the order of their checkpoints.
    pub by: By,
    /// What a user should know of how names were read, a sentence each.
    pub notes: Vec<String>,
    /// What was not read.
    pub passed_over: Vec<PassedOver>,
    /// The numbers in the names of the first run's checkpoints, where they alone gave the order.
    pub numbers: Option<Vec<f64>>,
}

/// The runs under `source`.
///
/// # Errors
/// No network; files and folders of networks side by side; runs of different lengths; whatever [`super::folder`] refuses.
pub fn find(source: &Path) -> Result<Found> {
    if !source.is_dir() {
        super::network::check_regular(source)?;
        return Err(Error::format(source, "import", "a folder of networks, or of one folder a run", "a file"));
    }
    let mut found =
        Found { runs: Vec::new(), by: By::Single, notes: Vec::new(), passed_over: Vec::new(), numbers: None };
    let here = contents(source)?;
    let inner: Vec<(PathBuf, Contents)> =
        here.folders.iter().map(|folder| Ok((folder.clone(), contents(folder)?))).collect::<Result<_>>()?;
    let is_checkpoint =
        |(folder, inner): &&(PathBuf, Contents)| names_a_time(&name_of(folder)) && inner.networks.len() == 1;
    let with_networks: Vec<&(PathBuf, Contents)> =
        inner.iter().filter(|(_, c)| !c.networks.is_empty() || !c.folders.is_empty()).collect();
    let checkpoints = inner.iter().filter(is_checkpoint).count();
    let others = with_networks.iter().find(|(folder, _)| !names_a_time(&name_of(folder)) && !is_side(folder));
    match (here.networks.is_empty(), checkpoints) {
        (_, 1..) if others.is_none() => {
            let run = of_folders(source, here, &inner, &mut found)?;
            found.runs.push(run);
        }
        (true, 1..) if inner.iter().any(|(folder, c)| c.networks.len() == 1 && !names_a_time(&name_of(folder))) => {
            return Err(mixed(source, &inner, others.map(|(folder, _)| folder)));
        }
        (true, _) => {
            if with_networks.is_empty() && (here.foreign().is_some() || inner.is_empty()) {
                return Err(here.none(
                    source,
                    "at least one .safetensors file or folder of them (or of files that torch.save wrote)",
                ));
            }
            found.passed_over.extend(here.passed_over);
            for (folder, contents) in inner {
                if is_side(&folder) && contents.networks.is_empty() {
                    found.passed_over.push(PassedOver::new(folder, NO_NETWORK));
                    continue;
                }
                let run = of_folder(&folder, contents, &mut found)?;
                found.runs.push(run);
            }
        }
        (false, _) => {
            if let Some((folder, _)) = with_networks.first() {
                let both = format!("both, e.g. {} and {}", here.networks[0].place().display(), folder.display());
                return Err(Error::format(source, "import", "networks in files or one sub-folder a run", both));
            }
            found.passed_over.extend(here.passed_over);
            found.passed_over.extend(inner.into_iter().map(|(folder, _)| PassedOver::new(folder, NO_NETWORK)));
            found.runs = here.networks.into_iter().map(single).collect();
            if found.runs.len() > 1 && found.runs.iter().all(|run| names_a_time(&run.name)) {
                found.notes.push(format!(
                    "every file is a run of its own; if they are checkpoints of one run, put them into a folder within {}",
                    source.display()
                ));
            }
        }
    }
    same_length(&found.runs)?;
    found.compare_names();
    Ok(found)
}

fn single(network: Network) -> Run {
    Run { name: network.name.clone(), path: network.place().to_path_buf(), checkpoints: vec![network] }
}

fn is_side(folder: &Path) -> bool {
    SIDE.contains(&name_of(folder).to_lowercase().as_str())
}

/// The run in `folder`: files that are checkpoints, or folders that each hold one.
fn of_folder(folder: &Path, here: Contents, found: &mut Found) -> Result<Run> {
    let inner: Vec<(PathBuf, Contents)> =
        here.folders.iter().map(|folder| Ok((folder.clone(), contents(folder)?))).collect::<Result<_>>()?;
    let one_each = inner.iter().any(|(_, c)| c.networks.len() == 1);
    if here.networks.is_empty() {
        let holding: Vec<&(PathBuf, Contents)> = inner.iter().filter(|(_, c)| !c.networks.is_empty()).collect();
        return match holding[..] {
            // A single folder between a run and its checkpoints.
            [(path, c)] if c.networks.len() > 1 => {
                let run = of_folder(path, contents(path)?, found)?;
                Ok(Run { name: name_of(folder), path: folder.to_path_buf(), ..run })
            }
            [] => Err(here.none(folder, NETWORKS)),
            _ => of_folders(folder, here, &inner, found),
        };
    }
    if one_each && inner.iter().any(|(path, c)| c.networks.len() == 1 && names_a_time(&name_of(path))) {
        return of_folders(folder, here, &inner, found);
    }
    if let Some((path, _)) = inner.iter().find(|(_, c)| !c.networks.is_empty()) {
        let both = format!("both, e.g. {} and {}", here.networks[0].place().display(), path.display());
        return Err(Error::format(folder, "run", "checkpoints in files or in folders", both));
    }
    found.passed_over.extend(here.passed_over);
    let run = Run { name: name_of(folder), path: folder.to_path_buf(), checkpoints: here.networks };
    Ok(found.ordered(run))
}

/// The run whose checkpoints are folders in `folder`; networks beside them are passed over.
fn of_folders(folder: &Path, here: Contents, inner: &[(PathBuf, Contents)], found: &mut Found) -> Result<Run> {
    found.passed_over.extend(here.passed_over);
    found.passed_over.extend(here.networks.iter().map(|n| PassedOver::new(n.place(), BESIDE)));
    let mut checkpoints = Vec::new();
    for (path, contents) in inner {
        found.passed_over.extend(contents.passed_over.iter().cloned());
        match &contents.networks[..] {
            [network] => checkpoints.push(Network { name: name_of(path), ..network.clone() }),
            [] if names_a_time(&name_of(path)) && !is_side(path) => {
                return Err(
                    contents.none(path, "the network of one checkpoint in .safetensors files (or those of torch.save)")
                );
            }
            [] => found.passed_over.push(PassedOver::new(path, NO_NETWORK)),
            [a, b, ..] => {
                let both = format!("{} and {}", a.place().display(), b.place().display());
                return Err(Error::format(path, "checkpoint", "one network", both));
            }
        }
    }
    Ok(found.ordered(Run { name: name_of(folder), path: folder.to_path_buf(), checkpoints }))
}

fn mixed(source: &Path, inner: &[(PathBuf, Contents)], other: Option<&PathBuf>) -> Error {
    let time = inner.iter().find(|(folder, c)| c.networks.len() == 1 && names_a_time(&name_of(folder)));
    let name = |path: Option<&PathBuf>| path.map_or(String::new(), |p| name_of(p));
    let found = format!("{}, which is called as a checkpoint, beside {}", name(time.map(|(f, _)| f)), name(other));
    Error::format(source, "import", "folders that are all runs, or all checkpoints of one run", found)
}

fn same_length(runs: &[Run]) -> Result<()> {
    let Some(first) = runs.first() else { return Ok(()) };
    let names = |run: &Run| run.checkpoints.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    let k = first.checkpoints.len();
    let Some(run) = runs.iter().find(|run| run.checkpoints.len() != k) else { return Ok(()) };
    let (all, some) = (names(first), names(run));
    let lacks: Vec<&String> = all
        .iter()
        .filter(|name| !some.contains(name))
        .chain(some.iter().filter(|n| !all.contains(n)))
        .take(3)
        .collect();
    let expected = format!("{k} checkpoints, as in {}", first.path.display());
    let found = format!("{} checkpoints (they differ in {lacks:?})", some.len());
    Err(Error::format(&run.path, "run", expected, found))
}

impl Found {
    /// The run with its checkpoints in order of time; what decided it is noted.
    fn ordered(&mut self, run: Run) -> Run {
        let names: Vec<&str> = run.checkpoints.iter().map(|c| c.name.as_str()).collect();
        let time = in_time(&names);
        if self.runs.is_empty() {
            (self.by, self.numbers) = (time.by, time.numbers);
        } else if time.by == By::Alphabet {
            self.by = By::Alphabet;
        }
        if let Some(&(a, b)) = time.ties.first() {
            self.notes.push(format!("{} and {} of {} stand at one time by their names", names[a], names[b], run.name));
        }
        let checkpoints = time.order.iter().map(|&i| run.checkpoints[i].clone()).collect();
        Run { checkpoints, ..run }
    }

    /// Notes where the checkpoints of a run are called otherwise than those of the first.
    fn compare_names(&mut self) {
        let Some(first) = self.runs.first().filter(|run| run.checkpoints.len() > 1) else { return };
        for run in &self.runs[1..] {
            let pair = first.checkpoints.iter().zip(&run.checkpoints).find(|(a, b)| a.name != b.name);
            if let Some((a, b)) = pair {
                self.notes.push(format!(
                    "checkpoints are called differently: {} in {}, {} in {} at the same place",
                    a.name, first.name, b.name, run.name
                ));
                return;
            }
        }
    }
}
