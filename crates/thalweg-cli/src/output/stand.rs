//! What stands in a folder that a command is to write into, and whose it is.
use super::marker::{self, Marker, State};
use super::swap::NEW;
use super::{Plan, names};
use anyhow::{Error, Result, anyhow};
use std::path::Path;

/// Whose files stand in a folder.
#[derive(Debug)]
pub enum Stand {
    /// Nobody's: it is empty, or the command that claimed it made nothing.
    Empty,
    /// Ours, by the marker; with the files of ours that are there.
    Ours(Box<Marker>, Vec<String>),
    /// A zoo's that the library wrote, by its own description; with its files.
    Zoo(Vec<String>),
    /// Someone else's, e.g. this file.
    Foreign(String),
}

/// A folder as it is found.
#[derive(Debug)]
pub struct Found {
    /// Whose files stand in it.
    pub stand: Stand,
    /// The marker of files that were being made to replace them, or to fill the empty folder.
    pub new: Option<Marker>,
}

impl Found {
    /// Looks at `dir`.
    ///
    /// # Errors
    /// A folder or a marker that cannot be read.
    pub fn look(dir: &Path) -> Result<Self> {
        let new = Marker::read(&dir.join(NEW))?;
        let stand = match Marker::read(dir)? {
            Some(marker) => {
                let files = match marker.state {
                    State::Finished => present(dir, &marker.made),
                    _ => names::ours(dir, &marker.names)?,
                };
                match files.iter().all(|name| names::is_part(name)) {
                    true if marker.state != State::Finished => Stand::Empty,
                    _ => Stand::Ours(Box::new(marker), files),
                }
            }
            None => unmarked(dir, new.is_some())?,
        };
        Ok(Self { stand, new })
    }

    /// Whether there is anything that a command without flags must not touch; with the complaint.
    pub fn taken(&self, shown: &Path, plan: &Plan) -> Option<Error> {
        let shown = shown.display();
        let resume = |marker: &Marker| {
            let goes = plan.resumes != super::Resumes::Never && marker.difference(plan).is_none();
            if goes { ", or --resume to go on with it" } else { "" }
        };
        Some(match (&self.stand, &self.new) {
            (Stand::Empty, Some(new)) if resume(new).is_empty() => return None,
            (Stand::Empty, None) => return None,
            (Stand::Foreign(file), _) => anyhow!(
                "{shown} exists already and was not made by thalweg (it holds {file}); choose another path, or move what is in it (--force replaces only what thalweg made)"
            ),
            (Stand::Ours(marker, _), _) if marker.state != State::Finished => anyhow!(
                "{shown} exists already, with an unfinished `thalweg {}`; choose another path, or pass --force to replace it{}",
                marker.command,
                resume(marker)
            ),
            (Stand::Empty, Some(new)) => anyhow!(
                "{shown} exists already, with an unfinished `thalweg {}`; choose another path, or pass --force to start anew{}",
                new.command,
                resume(new)
            ),
            (Stand::Ours(..) | Stand::Zoo(_), _) => {
                anyhow!(
                    "{shown} exists already; choose another path, or pass --force to replace what thalweg made there"
                )
            }
        })
    }
}

/// Those of `names` that stand in `dir`.
fn present(dir: &Path, names: &[String]) -> Vec<String> {
    names.iter().filter(|name| names::kind(&dir.join(name)) == Some(names::Kind::File)).cloned().collect()
}

/// Hidden files (`.gitkeep`, `.DS_Store`) do not fill a folder, but a `.thalweg` that is not ours does.
fn unmarked(dir: &Path, new: bool) -> Result<Stand> {
    let ours = |name: &str| new && name == NEW;
    let counts = |name: &str| !name.starts_with('.') || name == marker::NAME || name == NEW;
    let all = names::entries(dir)?;
    let mut all = all.into_iter().map(|(name, _)| name).filter(|name| counts(name) && !ours(name));
    let Some(first) = all.next() else { return Ok(Stand::Empty) };
    let zoo = thalweg_nets::zoo::files(dir)?;
    let marked = [first.clone()].into_iter().chain(all).find(|name| name == marker::NAME || name == NEW);
    Ok(match (marked, zoo.is_empty()) {
        (None, false) => Stand::Zoo(zoo),
        // A half-written staging folder of ours has no marker yet, and nothing else either.
        (Some(name), _) if name == NEW && names::all(&dir.join(NEW), "")?.iter().all(|n| names::is_part(n)) => {
            Stand::Empty
        }
        (marked, _) => Stand::Foreign(marked.unwrap_or(first)),
    })
}
