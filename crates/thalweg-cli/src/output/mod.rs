//! What may be written where. Every command names its target here before it starts to work, together with what it reads and with the
//! settings that decide its result; nothing else in the program replaces or removes a user's file.
//!
//! - A folder is ours by its marker, the file `.thalweg` ([`marker`]), which names every file that we made; a zoo without one, by its
//!   `zoo.toml`. `--force` replaces those files, by name, and leaves every other file alone.
//! - Old files stay until the new ones are whole: a command that replaces something, or that cannot go on after an interruption, works in
//!   the sub-folder [`swap::NEW`], and [`swap`] then moves its files into place. Other commands work in the folder itself.
//! - A target that is, holds or lies within an input is refused ([`inputs`]), by whatever way it is spelt.
//! - Links are followed. Named pipes and character devices are written through ([`file`]).
//! - `--resume` goes on only with what the same command with the same settings began.
//! - One process at a time: the folder, or the temporary neighbour of the file, is locked from here to the end. The tasks of one command share their
//!   folder ([`joined`]), and keep every other process out.
mod file;
mod folder;
mod inputs;
mod joined;
mod marker;
mod names;
mod place;
mod stand;
mod swap;
#[cfg(test)]
mod tests;

pub use file::OutFile;
pub use folder::{Claimed, Folder, refuse_resume};
pub use inputs::Inputs;
pub use joined::{Joined, SAID, remove as remove_joined};
pub use names::{JSON, REPORT};

use std::sync::{Mutex, PoisonError};

/// What a command is about to write, and from what.
#[derive(Debug, Default)]
pub struct Plan {
    /// The command, as typed: `zoo train`.
    pub command: &'static str,
    /// Names at the top of the folder that it may make: `*` stands for any part of a name, and a name that ends with `/` is a folder of
    /// files of ours.
    pub names: &'static [&'static str],
    /// What it does under `--resume`.
    pub resumes: Resumes,
    /// The settings that decide its result: `--resume` needs the same ones.
    pub settings: toml::Table,
    /// What it reads.
    pub inputs: Inputs,
}

/// What a command does under `--resume`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resumes {
    /// It cannot go on: the flag is refused.
    #[default]
    Never,
    /// It goes on with what is unfinished; what is finished stays as it is.
    Unfinished,
    /// It goes through all of it again, and takes over what is finished.
    Again,
}

/// What is left of a command that ended early, for the message about it.
static LEFT: Mutex<Option<String>> = Mutex::new(None);

/// Notes what an early end leaves behind.
pub fn leave(text: String) {
    *LEFT.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
}

/// What the command that has just ended early has left behind, in words.
pub fn left() -> String {
    let left = LEFT.lock().unwrap_or_else(PoisonError::into_inner).take();
    left.unwrap_or_else(|| "nothing was written".into())
}

/// Settings by name, for [`Plan::settings`].
pub fn settings<const N: usize>(parts: [(&str, toml::Value); N]) -> toml::Table {
    parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
