//! Work in pieces of commands whose result is made from numbers that do not need one another: networks to be trained, logits of networks. With `--shard`
//! a process makes the pieces of one task, into a folder beside the output (`OUT.pieces`); the command itself, or `thalweg gather`, finds them there.
//! The models of a sweep of fits are pieces too, folders of the output itself, which then has the record of the work ([`noted`]).
use super::fit::Models;
use super::task::{self, Shard};
use crate::output::{Inputs, Joined, Plan, Resumes};
use crate::results::{Results, words};
use crate::row;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use thalweg_nets::Error;
use thalweg_nets::files::{lock, rooted, write_first};
use thalweg_nets::pieces::{self, Gathered, Kept, PieceFolder, Pieces, Task, remove_neighbours};
use thalweg_nets::progress::Progress;

/// What the folder is called, after the name of the output.
const SUFFIX: &str = ".pieces";

/// The file that says what the pieces are of.
pub const WORK: &str = "work.toml";

/// What tasks make in the folder.
const NAMES: &[&str] = &["piece-*.safetensors", WORK];

/// What the pieces in a folder are of.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// The command that ends the work, word by word, without the flag that says which task it is.
    words: Vec<String>,
    /// Where it was called: paths among the words are from there on.
    directory: PathBuf,
    /// What tells the work from all others.
    key: String,
    /// How many pieces there are.
    pieces: usize,
    /// The folders of the pieces, where they are models; else they are files of numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    models: Vec<String>,
}

impl Record {
    fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(WORK);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let record = toml::from_str(&text)
            .map_err(|e| Error::format(&path, "work", "what tasks wrote there", e.to_string().trim()))?;
        Ok(Some(record))
    }

    fn kept(&self, dir: &Path) -> Box<dyn Kept> {
        match self.models.is_empty() {
            true => Box::new(PieceFolder::new(dir, &self.key, self.pieces)),
            false => Box::new(Models { dirs: self.models.iter().map(|name| dir.join(name)).collect() }),
        }
    }

    /// Removes what killed tasks left beside the pieces.
    fn remove_parts(&self, dir: &Path) -> Result<()> {
        match self.models.is_empty() {
            true => PieceFolder::new(dir, &self.key, self.pieces).remove_parts()?,
            false => remove_neighbours(dir, |name| self.models.iter().any(|model| model == name))?,
        }
        Ok(())
    }
}

/// Notes in `dir` what its pieces are of: `models` in folders of these names, by the command of this process.
///
/// # Errors
/// Whatever the system refuses.
pub fn noted(dir: &Path, shard: &Shard, key: &str, models: Vec<String>) -> Result<()> {
    note(dir, shard, key.into(), models.len(), models)
}

fn note(dir: &Path, shard: &Shard, key: String, pieces: usize, models: Vec<String>) -> Result<()> {
    let record = Record { words: shard.without(&words()), directory: rooted(Path::new(".")), key, pieces, models };
    write_first(&dir.join(WORK), toml::to_string(&record)?.as_bytes())?;
    Ok(())
}

/// Tells of a task that is done, in `out`.
///
/// # Errors
/// Results that cannot be printed.
pub fn told(session: &Session, task: Task, own: &Range<usize>, what: &str, out: Joined) -> Result<()> {
    session.progress.end();
    let mut results = Results::new(session.seed_or(0));
    let (first, last) = (own.start, own.end.saturating_sub(1));
    results.rows =
        vec![row! { "task" => task.index(), "tasks" => task.of(), "first_piece" => first, "last_piece" => last }];
    results.made(out.shown());
    let shown = out.shown().display();
    session.say(&format!("task {} of {}: {what} {first} to {last} are in {shown}", task.index(), task.of()));
    out.finish();
    session.finish(None, results)
}

/// The folder of the pieces of a command that writes to `out`.
pub fn beside(out: &Path) -> PathBuf {
    let mut name = out.components().collect::<PathBuf>().into_os_string();
    name.push(SUFFIX);
    name.into()
}

/// Whether `dir` is called as folders of pieces are.
pub fn is_named_so(dir: &Path) -> bool {
    dir.as_os_str().to_string_lossy().ends_with(SUFFIX)
}

impl Shard {
    /// The folder that the tasks of a command with this flag fill beside `out`.
    ///
    /// # Errors
    /// A command that is told already which task it is, or says nowhere to write to.
    pub fn beside(&self, out: Option<&Path>) -> Result<PathBuf> {
        self.none()?;
        out.map(beside)
            .context("submit: expected --out PATH in the command, beside which its tasks keep their pieces, found none")
    }
}

/// The folder of pieces that `path` is, or has beside it.
pub fn folder_of(path: &Path) -> Option<PathBuf> {
    [path.to_path_buf(), beside(path)].into_iter().find(|dir| is_begun(dir))
}

/// How this process does its part of a command in pieces.
pub struct Site<'a> {
    command: &'static str,
    out: Option<PathBuf>,
    shard: &'a Shard,
    inputs: Inputs,
}

/// What is left to do after the pieces were looked for.
pub enum Step {
    /// Nothing: the pieces of the task are made, and it is told.
    Told,
    /// All of the work, with what was found.
    All(Found),
}

/// Pieces that tasks have left, and nobody else is at work on; there may be none.
#[derive(Default)]
pub struct Found {
    folder: Option<(PieceFolder, PathBuf, File)>,
}

impl<'a> Site<'a> {
    /// Of a `command` with these flags that writes to `out`.
    ///
    /// # Errors
    /// A task without an output that says where the pieces lie.
    pub fn new(command: &'static str, out: Option<&Path>, shard: &'a Shard, inputs: Inputs) -> Result<Self> {
        if shard.is_said() && out.is_none() {
            bail!(
                "--shard: expected --out PATH too, beside which the tasks keep their pieces (PATH{SUFFIX}), found none"
            );
        }
        Ok(Self { command, out: out.map(Into::into), shard, inputs })
    }

    /// Whether there is anything to share: a task to do, or a folder that tasks have filled.
    pub fn is_shared(&self) -> bool {
        self.shard.is_said() || self.out.as_ref().is_some_and(|out| is_begun(&beside(out)))
    }

    /// Does the task, where there is one; else looks for what tasks have left. `settings` are all that decides the pieces, by name; they are asked for only
    /// where there is anything to share.
    ///
    /// # Errors
    /// More tasks than pieces; a folder that holds other work or is taken; as the work's own.
    pub fn begin(self, settings: impl FnOnce() -> toml::Table, work: &dyn Pieces, session: &Session) -> Result<Step> {
        let shared = self.is_shared();
        let Some(out) = self.out.filter(|_| shared) else { return Ok(Step::All(Found::default())) };
        let mut settings = settings();
        settings.insert("version".into(), env!("CARGO_PKG_VERSION").into());
        let key = blake3::hash(settings.to_string().as_bytes()).to_hex().to_string();
        let (dir, folder) = (beside(&out), PieceFolder::new(&beside(&out), &key, work.count()));
        let Some(task) = self.shard.task()? else { return found(&dir, folder, &key, session).map(Step::All) };
        task::same_bytes(session)?;
        let own = task.pieces(work.count())?;
        let inputs = self.inputs;
        let joined = session.joined_at(
            &dir,
            &Plan { command: self.command, names: NAMES, resumes: Resumes::Again, settings, inputs },
        )?;
        note(&dir, self.shard, key, work.count(), Vec::new())?;
        folder.make(work, task, &session.progress)?;
        told(session, task, &own, "pieces", joined)?;
        Ok(Step::Told)
    }
}

/// What tasks have left in `dir`, held against others; pieces of other work are passed over with a word.
fn found(dir: &Path, folder: PieceFolder, key: &str, session: &Session) -> Result<Found> {
    let Some(record) = Record::read(dir)? else { return Ok(Found::default()) };
    if record.key != key {
        session
            .progress
            .note(&format!("{}: pieces of other work, or of another version; they are left alone", dir.display()));
        return Ok(Found::default());
    }
    let held = File::open(dir).map_err(Error::io("read", dir))?;
    lock(&held, dir)?;
    Ok(Found { folder: Some((folder, dir.into(), held)) })
}

impl Found {
    /// Piece `index` of `part`, whose first is piece `first` of the whole work: found or made.
    ///
    /// # Errors
    /// A damaged piece; as the work's own.
    pub fn get(&self, part: &dyn Pieces, first: usize, index: usize) -> thalweg_nets::Result<Vec<f32>> {
        match &self.folder {
            Some((folder, ..)) => folder.get(part, first, index),
            None => part.make(index),
        }
    }

    /// Piece `index`, where it was found.
    ///
    /// # Errors
    /// A damaged piece.
    pub fn piece(&self, index: usize) -> thalweg_nets::Result<Option<Vec<f32>>> {
        self.folder.as_ref().map_or(Ok(None), |(folder, ..)| folder.found(index))
    }

    /// Removes the pieces: what was made from them stands.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn remove(self) -> Result<()> {
        let Some((_, dir, held)) = self.folder else { return Ok(()) };
        crate::output::remove_joined(&dir, NAMES)?;
        drop(held);
        Ok(())
    }
}

/// Whether tasks have begun work with pieces in `dir`.
pub fn is_begun(dir: &Path) -> bool {
    dir.join(WORK).exists()
}

/// Which of `of` tasks have a piece to make in the folder of pieces `dir`; all of them where none has begun.
///
/// # Errors
/// A file of ours that is damaged; more tasks than pieces.
pub fn unfinished(dir: &Path, of: usize) -> Result<Vec<usize>> {
    match Record::read(dir)? {
        Some(record) => Ok(pieces::unfinished(&*record.kept(dir), of)?),
        None => Ok((0..of).collect()),
    }
}

/// The end of work that tasks have shared.
pub struct Ending {
    /// What is there of it.
    pub found: Gathered,
    /// What its pieces are.
    pub what: &'static str,
    /// The words of the command that was shared out.
    pub words: Vec<String>,
    /// The folder that it was called in.
    pub directory: PathBuf,
    /// Whether its pieces lie in its own output, so that it ends by going on there.
    pub resumes: bool,
}

/// Checks the pieces in `dir`.
///
/// # Errors
/// A folder without pieces, or that tasks are at work on; whatever the system refuses.
pub fn gather(dir: &Path, discard: bool, session: &Session) -> Result<Ending> {
    let record =
        Record::read(dir)?.with_context(|| format!("{}: expected pieces of a command, found none", dir.display()))?;
    let held = File::open(dir).map_err(Error::io("read", dir))?;
    lock(&held, dir)?;
    let resumes = !record.models.is_empty();
    let what = if resumes { "models" } else { "pieces" };
    let found = pieces::gather(&*record.kept(dir), what, discard, &session.progress)?;
    session.progress.end();
    if found.is_whole() {
        record.remove_parts(dir)?;
    }
    Ok(Ending { found, what, words: record.words, directory: record.directory, resumes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_beside_the_output_whatever_it_is() {
        let of = |path: &str| beside(Path::new(path)).display().to_string();
        assert_eq!(
            (of("look/"), of("a/heart.cal"), of("./x")),
            ("look.pieces".into(), "a/heart.cal.pieces".into(), "./x.pieces".into())
        );
    }
}
