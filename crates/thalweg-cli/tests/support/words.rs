//! The program called by its words in a folder.
#![allow(dead_code, clippy::unwrap_used)] // every test file uses its own part
use assert_cmd::Command;
use std::path::Path;

/// The program with `words`, to be run in `dir`.
pub fn in_dir(dir: &Path, words: &str) -> Command {
    let mut command = Command::cargo_bin("thalweg").expect("cargo builds the program for its tests");
    command.args(words.split_whitespace()).current_dir(dir);
    command
}

/// What it prints where it ends well.
pub fn stdout(dir: &Path, words: &str) -> String {
    String::from_utf8(in_dir(dir, words).assert().success().get_output().stdout.clone()).unwrap()
}
