//! Wrong inputs, command by command: each ends with the code of wrong use, leaves nothing behind, and is told by what is wrong (file or flag, field,
//! expected, found) and by the way out.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
mod files;
mod fitting;
mod judging;
mod shifting;
#[path = "../support/mod.rs"]
mod support;
mod training;
mod usage;
mod zoos;

use std::fs;
use std::path::Path;

/// The words of a command line, and what the message has to hold.
pub type Row = (&'static str, &'static [&'static str]);

/// Every name below `dir`.
fn names(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.display().to_string());
        if path.is_dir() && !path.is_symlink() {
            names(&path, found);
        }
    }
}

fn everything(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    names(dir, &mut found);
    found.sort();
    found
}

/// What is wrong with how the row is answered.
fn fault((words, said): &Row, dir: &Path, before: &[String]) -> Option<String> {
    let output = support::thalweg(dir, words).env_remove("THALWEG_DATA").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let complain = |what: String| Some(format!("`{words}`: {what}\n    {}", text.trim().replace('\n', "\n    ")));
    if output.status.code() != Some(2) {
        return complain(format!("ended with {:?}", output.status.code()));
    }
    if text.contains("a defect in thalweg") || text.contains("panicked") {
        return complain("a defect".into());
    }
    if let Some(missing) = said.iter().find(|part| !text.contains(**part)) {
        return complain(format!("does not say `{missing}`"));
    }
    let after = everything(dir);
    if let Some(left) = after.iter().find(|name| !before.contains(name)) {
        let left = left.clone();
        for new in after.iter().filter(|name| !before.contains(name)).rev() {
            drop(fs::remove_file(new).or_else(|_| fs::remove_dir(new)));
        }
        return complain(format!("left {left} behind"));
    }
    if after.len() < before.len() {
        return complain("removed something".into());
    }
    (said.is_empty()).then(|| complain("says".into())).flatten()
}

#[test]
fn every_wrong_input_is_told_with_what_is_wrong_and_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    support::inputs(home.path());
    let dir = home.path().join("in");
    files::write(&dir);
    let before = everything(&dir);
    let rows = [usage::ROWS, training::ROWS, zoos::ROWS, fitting::ROWS, judging::ROWS, shifting::ROWS].concat();
    let mut words: Vec<&str> = rows.iter().map(|row| row.0).collect();
    words.sort_unstable();
    words.dedup();
    assert!(words.len() == rows.len() && rows.len() >= 120, "{} rows, {} of them different", rows.len(), words.len());
    let faults: Vec<String> = rows.iter().filter_map(|row| fault(row, &dir, &before)).collect();
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), rows.len(), faults.join("\n"));
}
