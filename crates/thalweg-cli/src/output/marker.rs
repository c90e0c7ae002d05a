//! The marker `.thalweg` of a folder that we write: what made it, by which settings, and which files in it are ours.
//!
//! The first line is a word that nobody else writes; a file of this name without it is the user's. The rest is TOML.
use super::Plan;
use crate::results::command_line;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use thalweg_nets::Error;
use thalweg_nets::files::{write_first, write_whole};
use toml::{Table, Value};

/// The marker's name.
pub const NAME: &str = ".thalweg";

/// The first line of every marker.
const MAGIC: &str = "# thalweg output 1: --force replaces the files listed here, and no others";

/// How far the command came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is at work, or was interrupted.
    Begun,
    /// All files are whole, and about to be moved to where they belong.
    Whole,
    /// It has finished.
    Finished,
}

/// A marker's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// The command, e.g. `zoo train`.
    pub command: String,
    /// How far it came.
    pub state: State,
    /// The whole command line, for people.
    pub line: String,
    /// Version of Thalweg.
    pub version: String,
    /// Names that the command may make, as in [`Plan::names`].
    pub names: Vec<String>,
    /// Files that it has made, relative to the folder; known when they are whole.
    pub made: Vec<String>,
    /// Files of an older run that these ones replace.
    pub replaces: Vec<String>,
    /// What decides its result.
    pub settings: Table,
}

impl Marker {
    /// Of a command that is about to start.
    pub fn new(plan: &Plan, replaces: Vec<String>) -> Self {
        Self {
            command: plan.command.into(),
            state: State::Begun,
            line: command_line(),
            version: env!("CARGO_PKG_VERSION").into(),
            names: plan.names.iter().map(|name| (*name).to_owned()).collect(),
            made: Vec::new(),
            replaces,
            settings: plan.settings.clone(),
        }
    }

    /// Reads that of `dir`; none where there is none of ours.
    ///
    /// # Errors
    /// One of ours that is damaged, or cannot be read.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(NAME);
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let text = String::from_utf8_lossy(&bytes);
        let Some(rest) = text.strip_prefix(MAGIC) else { return Ok(None) };
        let marker: Self = toml::from_str(rest)
            .map_err(|e| Error::format(&path, "marker", "what thalweg wrote there", e.to_string().trim()))?;
        // Whatever a hand wrote there: only files within the folder are ever ours.
        let within =
            |name: &&String| !Path::new(name).components().all(|c| matches!(c, std::path::Component::Normal(_)));
        match marker.made.iter().chain(&marker.replaces).find(within) {
            Some(name) => Err(Error::format(&path, "made", "names within the folder", name).into()),
            None => Ok(Some(marker)),
        }
    }

    /// Writes it into `dir` where none stands there yet: of many processes at once, one does.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn write_first(&self, dir: &Path) -> Result<()> {
        write_first(&dir.join(NAME), self.text()?.as_bytes())?;
        Ok(())
    }

    /// Writes it into `dir`.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn write(&self, dir: &Path) -> Result<()> {
        Ok(write_whole(&dir.join(NAME), self.text()?.as_bytes())?)
    }

    fn text(&self) -> Result<String> {
        let text = toml::to_string(self).context("the marker of the output does not serialise")?;
        Ok(format!("{MAGIC}\n{text}"))
    }

    /// The first thing in which `plan` is not what this was begun with: its name, what it was, and what it is.
    pub fn difference(&self, plan: &Plan) -> Option<(String, String, String)> {
        if self.command != plan.command {
            return Some(("command".into(), self.command.clone(), plan.command.into()));
        }
        difference("", &self.settings, &plan.settings)
    }
}

fn difference(prefix: &str, old: &Table, new: &Table) -> Option<(String, String, String)> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).collect();
    keys.sort_unstable();
    keys.into_iter().find_map(|key| {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => difference(&name, old, new),
            (old, new) if same(old, new) => None,
            (old, new) => Some((name, said(old), said(new))),
        }
    })
}

/// Equality that takes a NaN for itself.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    a == b || said(a) == said(b)
}

fn said(value: Option<&Value>) -> String {
    value.map_or("nothing".into(), |value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        Plan { command: "fit", settings: text.parse().unwrap(), ..Plan::default() }
    }

    #[test]
    fn markers_are_read_back_and_others_are_not_taken_for_them() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Marker::read(dir.path()).unwrap(), None);
        let marker = Marker { made: vec!["a/b".into()], ..Marker::new(&plan("seed = 1\nx = nan"), Vec::new()) };
        marker.write(dir.path()).unwrap();
        let back = Marker::read(dir.path()).unwrap().unwrap();
        assert_eq!(back.made, marker.made);
        assert_eq!(back.difference(&plan("x = nan\nseed = 1")), None);
        let path = dir.path().join(NAME);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("a/b", "../b")).unwrap();
        assert!(Marker::read(dir.path()).unwrap_err().to_string().contains("../b"));
        fs::write(&path, text.replace("state", "stale")).unwrap();
        assert!(Marker::read(dir.path()).is_err());
        for foreign in ["", "fit zoo\n", "\u{fffd}", &text.replacen("output 1", "output 2", 1)] {
            fs::write(&path, foreign).unwrap();
            assert_eq!(Marker::read(dir.path()).unwrap(), None, "{foreign}");
        }
    }

    #[test]
    fn the_setting_that_differs_is_named() {
        let marker = Marker::new(&plan("seed = 1\n[method.cfm]\nwidth = 0.5\n"), Vec::new());
        let said = |text: &str| marker.difference(&plan(text)).unwrap();
        let of = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(said("seed = 2\n[method.cfm]\nwidth = 0.5\n"), of("seed", "1", "2"));
        assert_eq!(said("seed = 1\n[method.cfm]\nwidth = 0.25\n"), of("method.cfm.width", "0.5", "0.25"));
        assert_eq!(said("seed = 1\n[method.kde]\n"), of("method.cfm", "{ width = 0.5 }", "nothing"));
        let tune = Plan { command: "tune", ..plan("seed = 1") };
        assert_eq!(marker.difference(&tune), Some(of("command", "fit", "tune")));
    }
}
