//! The rules of [`Folder`] and [`OutFile`] in one process; `tests/output.rs` has the program follow them.
use super::{Claimed, Folder, Inputs, OutFile, Plan, Resumes, names, swap};
use crate::common::Common;
use std::fs;
use std::path::Path;

const NAMES: &[&str] = &["model.toml", "state", "results.json", "zoo/"];

fn plan(resumes: Resumes, seed: i64) -> Plan {
    let settings = super::settings([("seed", seed.into())]);
    Plan { command: "fit", names: NAMES, resumes, settings, inputs: Inputs::default() }
}

const PLAIN: fn() -> Common = Common::default;

fn force() -> Common {
    Common { force: true, ..Common::default() }
}

fn resume() -> Common {
    Common { resume: true, ..Common::default() }
}

fn open(dir: &Path, plan: &Plan, common: &Common) -> Folder {
    match Folder::claim(dir, plan, common).unwrap() {
        Claimed::Open(folder) => *folder,
        Claimed::Finished => panic!("finished already"),
    }
}

fn refused(dir: &Path, plan: &Plan, common: &Common, parts: &[&str]) {
    let said = format!("{:#}", Folder::claim(dir, plan, common).expect_err("it is refused"));
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

/// Everything in `dir` by name with its content, but the marker.
fn content(dir: &Path) -> Vec<(String, String)> {
    let all = names::all(dir, ".thalweg").unwrap();
    all.into_iter().map(|name| (name.clone(), fs::read_to_string(dir.join(name)).unwrap())).collect()
}

fn files(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// A finished output with `text` in its files.
fn finished(dir: &Path, plan: &Plan, common: &Common, text: &str) {
    let folder = open(dir, plan, common);
    fs::write(folder.dir().join("model.toml"), text).unwrap();
    fs::create_dir_all(folder.dir().join("zoo")).unwrap();
    fs::write(folder.dir().join("zoo/zoo.toml"), text).unwrap();
    folder.finish().unwrap();
}

#[test]
fn what_was_begun_is_gone_on_with_by_the_same_settings_alone() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("deep/m");
    let (one, two) = (plan(Resumes::Unfinished, 1), plan(Resumes::Unfinished, 2));
    let folder = open(&out, &one, &PLAIN());
    assert_eq!(folder.dir(), out, "a fresh run that can go on works in the folder itself");
    fs::write(folder.dir().join("state"), "half").unwrap();
    drop(folder);
    refused(&out, &one, &PLAIN(), &["exists already", "unfinished", "--force", "--resume"]);
    refused(&out, &two, &resume(), &["seed", "expected 1", "found 2"]);
    let other = Plan { command: "tune", ..plan(Resumes::Unfinished, 1) };
    refused(&out, &other, &resume(), &["command", "fit", "tune"]);
    let folder = open(&out, &one, &resume());
    fs::rename(out.join("state"), out.join("model.toml")).unwrap();
    fs::write(out.join(".results.json.part"), "").unwrap();
    folder.finish().unwrap();
    assert_eq!(content(&out), files(&[("model.toml", "half")]), "nothing is left over");
    assert!(matches!(Folder::claim(&out, &one, &resume()).unwrap(), Claimed::Finished));
    refused(&out, &two, &resume(), &["seed", "expected 1", "found 2"]);
    refused(&out, &plan(Resumes::Never, 1), &resume(), &["--resume", "thalweg fit", "nothing to go on with"]);
    fs::remove_file(out.join("model.toml")).unwrap();
    assert_eq!(open(&out, &one, &resume()).dir(), out, "a result that lost a file is made again");
}

#[test]
fn a_command_that_made_nothing_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("deep/m");
    for resumes in [Resumes::Never, Resumes::Unfinished, Resumes::Again] {
        let folder = open(&out, &plan(resumes, 1), &PLAIN());
        assert!(out.is_dir());
        if resumes == Resumes::Never {
            fs::write(folder.dir().join("model.toml"), "half").unwrap();
        }
        drop(folder);
        assert!(!dir.path().join("deep").exists(), "{resumes:?}");
    }
    fs::create_dir(out.parent().unwrap()).unwrap();
    fs::create_dir(&out).unwrap();
    drop(open(&out, &plan(Resumes::Again, 1), &PLAIN()));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "the user's own folder stays");
}

#[test]
fn old_files_stay_until_the_new_ones_are_whole_and_foreign_ones_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("m");
    let mine = plan(Resumes::Unfinished, 1);
    finished(&out, &mine, &PLAIN(), "old");
    fs::write(out.join("zoo/notes.txt"), "mine").unwrap();
    refused(&out, &mine, &PLAIN(), &["exists already", "--force"]);
    let old = files(&[("model.toml", "old"), ("zoo/notes.txt", "mine"), ("zoo/zoo.toml", "old")]);
    drop(open(&out, &mine, &force()));
    assert_eq!(content(&out), old);
    let folder = open(&out, &plan(Resumes::Unfinished, 2), &force());
    fs::write(folder.dir().join("model.toml"), "new").unwrap();
    assert_eq!(content(&out)[1..].len(), 4, "old and new side by side");
    drop(folder);
    // Interrupted: the new run can go on, and the old result still stands.
    assert_eq!(fs::read_to_string(out.join("model.toml")).unwrap(), "old");
    let folder = open(&out, &plan(Resumes::Unfinished, 2), &resume());
    assert_eq!(folder.dir(), out.join(swap::NEW));
    folder.finish().unwrap();
    assert_eq!(content(&out), files(&[("model.toml", "new"), ("zoo/notes.txt", "mine")]));
    // A file of the user's under a name that is to be made.
    fs::write(out.join("results.json"), "mine").unwrap();
    refused(&out, &mine, &force(), &["results.json", "not made by thalweg", "in the way"]);
}

#[test]
fn folders_of_others_are_neither_replaced_nor_gone_on_with() {
    for (name, text) in [
        ("thesis.tex", "years"),
        ("results.json", "{\"mine\": 1}"),
        ("zoo.toml", "runs = 3\n"),
        ("model.toml", "format = 1\n"),
        (".thalweg", "thalweg fit zoo\n"),
        (".thalweg.new/x", "mine"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path();
        fs::create_dir_all(out.join(name).parent().unwrap()).unwrap();
        fs::write(out.join(name), text).unwrap();
        let before = fs::read_to_string(out.join(name)).unwrap();
        for resumes in [Resumes::Unfinished, Resumes::Again] {
            for common in [PLAIN(), force(), resume()] {
                let first = name.split('/').next().unwrap();
                refused(out, &plan(resumes, 1), &common, &[first, "thalweg"]);
            }
        }
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), before, "{name}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".gitkeep"), "").unwrap();
    open(dir.path(), &plan(Resumes::Again, 1), &PLAIN());
    assert!(dir.path().join(".gitkeep").exists(), "hidden files do not fill a folder, and stay");
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("m");
    let first = open(&out, &plan(Resumes::Unfinished, 1), &PLAIN());
    for common in [PLAIN(), force(), resume()] {
        refused(&out, &plan(Resumes::Unfinished, 1), &common, &["another process"]);
    }
    drop(first);
    let file = dir.path().join("s.safetensors");
    let held = OutFile::claim(&file, true, &plan(Resumes::Never, 1), &PLAIN()).unwrap();
    let said = OutFile::claim(&file, true, &plan(Resumes::Never, 1), &force()).unwrap_err().to_string();
    assert!(said.contains("another process"), "{said}");
    drop(held);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn files_and_their_results_are_checked_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let claim = |name: &str, common: Common| {
        let claimed = OutFile::claim(&at(name), true, &plan(Resumes::Never, 1), &common);
        claimed.map(drop).map_err(|e| e.to_string())
    };
    fs::write(at("cfg.json"), "mine").unwrap();
    for common in [PLAIN(), force()] {
        assert!(claim("cfg.safetensors", common).unwrap_err().contains("cfg.json"));
    }
    assert!(claim("s.safetensors", resume()).unwrap_err().contains("nothing to go on with"));
    assert!(claim("s.safetensors/", PLAIN()).unwrap_err().contains("folder"));
    fs::create_dir(at("d")).unwrap();
    assert!(claim("d", PLAIN()).unwrap_err().contains("d is a folder"));
    assert!(claim("cfg.json", PLAIN()).unwrap_err().contains("exists already"));
    assert!(claim("cfg.json/x/s.safetensors", PLAIN()).is_err());
    assert!(claim("new/deep/s.safetensors", PLAIN()).is_ok());
    assert!(!at("new").exists(), "folders made for nothing go away");
    let input = plan(Resumes::Never, 1).inputs.path(at("cfg.json"));
    let plan = Plan { inputs: input, ..plan(Resumes::Never, 1) };
    let said = OutFile::claim(&at("cfg.json"), true, &plan, &force()).unwrap_err().to_string();
    assert!(said.contains("is an input"), "{said}");
}

#[cfg(unix)]
#[test]
fn links_are_followed() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    symlink("far", at("link")).unwrap();
    for (common, text) in [(PLAIN(), "old"), (force(), "new")] {
        finished(&at("link"), &plan(Resumes::Unfinished, 1), &common, text);
        assert!(at("link").is_symlink());
        assert_eq!(fs::read_to_string(at("far/model.toml")).unwrap(), text);
    }
    symlink("far/s.safetensors", at("ls")).unwrap();
    let file = OutFile::claim(&at("ls"), false, &plan(Resumes::Never, 1), &PLAIN()).unwrap();
    assert_eq!(file.path(), fs::canonicalize(at("far")).unwrap().join("s.safetensors"));
    file.finish().unwrap();
    // A file of ours that became a link is not ours any more.
    fs::remove_file(at("far/model.toml")).unwrap();
    fs::write(at("precious"), "mine").unwrap();
    symlink(at("precious"), at("far/model.toml")).unwrap();
    refused(&at("far"), &plan(Resumes::Unfinished, 1), &force(), &["model.toml", "in the way"]);
    assert_eq!(fs::read_to_string(at("precious")).unwrap(), "mine");
}
