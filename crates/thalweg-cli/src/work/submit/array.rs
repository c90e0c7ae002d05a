//! The array: which tasks of which command, as an engine is given it and as a person would type it.
use crate::output::SAID;
use crate::shell::{line, quoted, word};
use crate::work::pieces;
use anyhow::{Context, Result};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use thalweg_nets::files::rooted;
use thalweg_nets::pieces::task::ranges;
use thalweg_nets::zoo::gather;

/// A command whose work can be shared out, as its words say.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Its words, without the program's name.
    pub words: Vec<String>,
    /// The folder that its tasks fill.
    pub out: PathBuf,
}

/// Tasks of a command.
#[derive(Clone, Debug)]
pub struct Array {
    /// The program, from the root on.
    pub program: PathBuf,
    /// The command, its threads among the words.
    pub words: Vec<String>,
    /// The folder that its tasks fill.
    pub out: PathBuf,
    /// Into how many tasks it is cut.
    pub of: usize,
    /// Those that are to run.
    pub tasks: Vec<usize>,
    /// Cores of each.
    pub cores: usize,
}

/// Which of `of` tasks have something to make in the folder `out`, by the names of the files alone.
///
/// # Errors
/// A file of ours there that cannot be read; more tasks than shards or pieces.
pub fn unfinished(out: &Path, of: usize) -> Result<Vec<usize>> {
    match pieces::is_named_so(out) || pieces::is_begun(out) {
        true => pieces::unfinished(out, of),
        false => Ok(gather::unfinished(out, of)?),
    }
}

impl Array {
    /// A name that tells it from arrays of other commands and other folders.
    pub fn name(&self) -> String {
        let text = format!("{:?} {:?} {}", rooted(&self.out), self.words, self.of);
        format!("thalweg-{}", &blake3::hash(text.as_bytes()).to_hex()[..12])
    }

    /// The words of task `index`.
    pub fn words_of(&self, index: impl Display) -> Vec<String> {
        [&self.words[..], &["--shard".into(), format!("{index}/{}", self.of)]].concat()
    }

    /// Where what its tasks say on stderr is kept while they are at work.
    pub fn logs(&self) -> PathBuf {
        rooted(&self.out).join(SAID)
    }

    /// What a person would type for HyperQueue.
    pub fn typed_for_hyperqueue(&self) -> String {
        let (tasks, cores, name) = (ranges(&self.tasks), self.cores, self.name());
        let log = word(&self.out.join(SAID).join("%{TASK_ID}.err").display().to_string());
        let line = self.line();
        format!("hq submit --array {tasks} --cpus {cores} --name {name} --stdout none --stderr {log} -- \\\n  {line}")
    }

    /// What a person would type for Slurm.
    pub fn typed_for_slurm(&self) -> String {
        let (tasks, cores, name) = (ranges(&self.tasks), self.cores, self.name());
        let (logs, line) = (quoted(&self.out.join(SAID)), word(&self.line()));
        let log = word(&self.out.join(SAID).join("%a.err").display().to_string());
        format!(
            "mkdir -p {logs}\nsbatch --array={tasks} --cpus-per-task={cores} --job-name={name} --output=/dev/null --error={log} \\\n  --wrap {line}"
        )
    }

    /// The command of every task, which takes its number from the engine.
    pub fn line(&self) -> String {
        format!("{} {}", quoted(&self.program), line(&self.words_of("auto")))
    }
}

/// The program as it was called, for tasks to call it.
///
/// # Errors
/// A name that is not found.
pub fn called(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.components().count() > 1 {
        return Ok(rooted(path));
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&paths).map(|dir| dir.join(name));
    let found = found.find(|path| path.is_file());
    found
        .map(|path| rooted(&path))
        .with_context(|| format!("the program {name} is not on the PATH: name it by --program"))
}
