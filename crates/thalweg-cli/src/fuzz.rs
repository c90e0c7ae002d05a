//! The program's own readers of outside files, held against mutations of good files; see `drive`. Those of the libraries are held in
//! `crates/thalweg/tests/fuzz`, where the driver lies.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
#[path = "../../thalweg/tests/fuzz/drive.rs"]
mod drive;
#[path = "../../thalweg/tests/fuzz/envelope.rs"]
mod envelope;
#[path = "../../thalweg/tests/fuzz/mutate.rs"]
mod mutate;

use crate::common::Common;
use crate::output::{Folder, Plan, Resumes};
use crate::work::shift::logits;
use crate::{results, settings};
use drive::{Target, of_file, of_text};
use std::fs;
use std::path::{Path, PathBuf};
use thalweg::model::FitConfig;

/// A folder of ours as a command leaves it, and what it is claimed for.
fn marker(home: &Path) -> (Vec<u8>, impl Fn(&Path) -> bool + use<>) {
    let plan =
        || Plan { command: "fit", names: &["model.toml", "part/"], resumes: Resumes::Unfinished, ..Plan::default() };
    let resume = Common { resume: true, ..Common::default() };
    let dir = home.join("seed-marker");
    if let Ok(crate::output::Claimed::Open(folder)) = Folder::claim(&dir, &plan(), &Common::default()) {
        fs::write(folder.dir().join("model.toml"), "a = 1\n").unwrap();
        folder.finish().unwrap();
    }
    let seed = fs::read(dir.join(".thalweg")).unwrap();
    (seed, move |path: &Path| {
        let dir: PathBuf = path.parent().unwrap().into();
        fs::write(dir.join("model.toml"), "a = 1\n").unwrap();
        Folder::claim(&dir, &plan(), &resume).is_ok()
    })
}

fn targets(home: &Path) -> Vec<Target> {
    let (of_marker, claimed) = marker(home);
    let rows: String = (0..20).map(|i| format!("{i},{}.5,-{i}.25\n", i * i % 7)).collect();
    let plain: String = (0..20).map(|i| format!("{}.5;-{i}.25\n", i * i % 7)).collect();
    let chances = "p,q\n0.25,0.75\n0.5,0.5\n1,0\n";
    let seeds = [format!(",cat,dog\n{rows}"), plain, chances.into()];
    let seeds: Vec<Vec<u8>> = seeds.map(String::into_bytes).into();
    let settings_of_fit = toml::to_string(&FitConfig::default()).unwrap();
    let kept = "{\"format\": \"thalweg results 1\", \"outputs\": [\"a.safetensors\"], \"rows\": [{\"n\": 1}]}";
    vec![
        of_file("logits", "l.csv", seeds.clone(), |path| {
            logits::read(path, false).is_ok_and(|read| {
                let (names, classes, kind) = (read.names.clone(), read.sample.classes(), read.probabilities);
                read.like(path, &names, classes, kind).is_ok()
            })
        }),
        of_file("probabilities", "p.csv", vec![chances.into()], |path| logits::read(path, true).is_ok()),
        of_file("marker", ".thalweg", vec![of_marker], claimed),
        of_file("results-beside", "a.json", vec![kept.into()], |path| {
            results::are_of(path, Path::new("a.safetensors"))
        }),
        // The first line is an override.
        of_text("settings", &[&format!("batch=3\n{settings_of_fit}"), "steps = 4\nsteps = 3\n"], |text| {
            let (over, text) = text.split_once('\n').unwrap_or((text, ""));
            settings::read::<FitConfig>("fit.toml", text, &[over.into()]).is_ok()
        }),
    ]
}

#[test]
fn readers_answer_or_refuse_whatever_they_are_given() {
    let home = tempfile::tempdir().unwrap();
    drive::drive(&targets(home.path()), home.path());
}
