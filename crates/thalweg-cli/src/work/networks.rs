//! Networks as files name them to the program: all at once, or block by block.
use crate::session::Session;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use thalweg::model::Networks;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;
use thalweg_nets::zoo::checkpoints::networks;
use thalweg_nets::zoo::template::Assembly;
use thalweg_nets::{Architecture, Layout};

/// Networks of a block.
const BLOCK: usize = 32;

/// Reads a stack, a single network, or a folder of them; what was passed over is told on the way. `known` is the architecture that flags or a zoo say.
///
/// # Errors
/// As [`Networks::read`].
pub fn read(path: &Path, known: Option<&Architecture>, session: &Session) -> Result<Networks> {
    if known.is_none() && !Networks::is_stack(path)? {
        bail!("{} holds a network by its tensors' names; say which with --arch and --data, or --zoo", path.display());
    }
    Ok(Networks::read(path, known, &|line| session.progress.note(line))?)
}

/// As [`read`], networks such as those of `zoo`: whole ones, where only a part of them is modelled, put together with what is frozen.
///
/// # Errors
/// As [`Networks::read`]; networks of another size.
pub fn of_zoo(path: &Path, zoo: &ZooStore, session: &Session) -> Result<Networks> {
    let whole = zoo.origin().whole_architecture();
    let Some(assembly) = zoo.assembly()? else { return read(path, zoo.architecture(), session) };
    if !Networks::is_stack(path)? {
        return read(path, whole, session);
    }
    let found = read(path, None, session)?;
    if found.parameters != assembly.parameters() {
        return read(path, whole, session);
    }
    let theta = assembly.whole(&found.theta)?;
    let parameters = theta.len() / found.len();
    Ok(Networks { theta, parameters, architecture: whole.cloned(), ..found })
}

/// What is known of networks beside their weights.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What they are.
    pub architecture: Option<Architecture>,
    /// What they are for.
    pub data: Option<DataSpec>,
}

/// Networks that are read block by block: those of a stack, of a file, of a folder of files, or the final ones of a zoo's runs.
pub struct Stream {
    held: Held,
    next: usize,
}

enum Held {
    Stack(Box<Networks>),
    Files(Vec<PathBuf>, Architecture),
    Zoo(Box<ZooStore>, Vec<usize>, Option<Box<Assembly>>),
}

impl Stream {
    /// Opens what lies at `path`; `known` is the architecture that flags say.
    ///
    /// # Errors
    /// No networks, single networks of an unknown architecture, damage.
    pub fn open(path: &Path, known: Option<&Architecture>, session: &Session) -> Result<(Self, Known)> {
        if path.join("zoo.toml").exists() {
            let zoo = ZooStore::open(path)?;
            let runs = zoo.finished_runs();
            let assembly = zoo.assembly()?.map(Box::new);
            let own = if assembly.is_some() { zoo.origin().whole_architecture() } else { zoo.architecture() };
            let about = Known { architecture: own.or(known).cloned(), data: zoo.origin().bound_data() };
            return Ok((Self { held: Held::Zoo(Box::new(zoo), runs, assembly), next: 0 }, about));
        }
        let stack = Networks::is_stack(path)?;
        match (stack, known) {
            (false, Some(architecture)) => {
                let (found, passed_over) = networks(path)?;
                let told = thalweg_nets::zoo::checkpoints::PassedOver::told(&passed_over, path);
                told.iter().for_each(|line| session.progress.note(line));
                let files = found.iter().map(|network| network.place().to_path_buf()).collect();
                let about = Known { architecture: Some(architecture.clone()), ..Known::default() };
                Ok((Self { held: Held::Files(files, architecture.clone()), next: 0 }, about))
            }
            _ => {
                let mut all = read(path, known, session)?;
                let about = Known { architecture: all.architecture.take(), data: all.data.take() };
                Ok((Self { held: Held::Stack(Box::new(all)), next: 0 }, about))
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.held {
            Held::Stack(all) => all.len(),
            Held::Files(files, _) => files.len(),
            Held::Zoo(_, runs, _) => runs.len(),
        }
    }

    /// The weights `[n, P]` of the next few, until there are none.
    ///
    /// # Errors
    /// Files that cannot be read or do not fit.
    pub fn block(&mut self) -> Result<Option<Vec<f32>>> {
        let rows = self.next..(self.next + BLOCK).min(self.len());
        if rows.is_empty() {
            return Ok(None);
        }
        self.next = rows.end;
        Ok(Some(match &self.held {
            Held::Stack(all) => all.theta[rows.start * all.parameters..rows.end * all.parameters].to_vec(),
            Held::Zoo(zoo, runs, assembly) => match assembly {
                Some(assembly) => assembly.whole(&zoo.finals(&runs[rows])?)?,
                None => zoo.finals(&runs[rows])?,
            },
            Held::Files(files, architecture) => {
                let mut theta = Vec::with_capacity(rows.len() * Layout::of(architecture).len());
                for file in &files[rows] {
                    theta.extend(Networks::read(file, Some(architecture), &|_| ())?.theta);
                }
                theta
            }
        }))
    }
}
