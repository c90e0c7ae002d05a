//! Every reader of outside files in the libraries, held against mutations of good files; see [`drive`]. Those of the program are held in
//! `thalweg-cli/src/fuzz.rs`.
#![allow(clippy::unwrap_used)]
#[path = "../common/mod.rs"]
mod common;
mod drive;
mod envelope;
mod folders;
mod mutate;
mod seeds;
mod targets;

#[test]
fn readers_answer_or_refuse_whatever_they_are_given() {
    let home = tempfile::tempdir().unwrap();
    let made = seeds::Made::new(home.path());
    let targets: Vec<_> = targets::all(&made).into_iter().chain(folders::all(&made)).collect();
    drive::drive(&targets, home.path());
}
