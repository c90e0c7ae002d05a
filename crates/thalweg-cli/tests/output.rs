//! What the program writes where: nothing of the user's is lost, nothing is gone on with that was begun as something else, and an old result
//! stands until the new one is whole.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::path::Path;

const ZOO: &str = "zoo train --arch digits --data digits --train-rows 200 --kind fork --steps 20 --batch 16 \
                   --set kind.fork.steps=20 --checkpoints 3 --runs 12 -q";

fn run(dir: &Path, words: &str) -> Assert {
    let mut command = Command::cargo_bin("thalweg").expect("cargo builds the program for its tests");
    command.args(words.split_whitespace()).current_dir(dir);
    command.assert()
}

fn ok(dir: &Path, words: &str) {
    run(dir, words).success();
}

/// Asserts that `words` is wrong use, told with all of `parts`.
fn fails(dir: &Path, words: &str, parts: &[&str]) {
    let output = run(dir, words).code(2).get_output().clone();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("a defect"), "{said}");
    for part in parts {
        assert!(said.contains(part), "`{words}` should say `{part}`: {said}");
    }
}

/// Every file below `dir` with its bytes.
fn everything(dir: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            match entry.path().is_dir() {
                true => walk(&entry.path(), found),
                false => found.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap())),
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, &mut found);
    found.sort();
    found
}

fn zoo(dir: &Path, name: &str, seed: u64) {
    ok(dir, &format!("{ZOO} --seed {seed} --out {name}"));
}

#[test]
fn force_replaces_what_thalweg_made_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "zoo", 1);
    fs::create_dir_all(dir.join("v/sub")).unwrap();
    for (name, text) in [("results.json", "{\"mine\": 1}"), ("thesis.tex", "years"), ("sub/notes.txt", "x")] {
        fs::write(dir.join("v").join(name), text).unwrap();
    }
    let before = everything(&dir.join("v"));
    for words in ["fit zoo --steps 5", "zoo info zoo", "demo --scale smoke", "zoo align zoo --pairs 0", ZOO] {
        for flag in ["--force", "--resume", ""] {
            fails(dir, &format!("{words} --out v {flag}"), &["v"]);
            assert_eq!(everything(&dir.join("v")), before, "{words} {flag}");
        }
    }
    ok(dir, "fit zoo --steps 5 --out m -q");
    fs::write(dir.join("m/mine.txt"), "mine").unwrap();
    ok(dir, "zoo info zoo --out m --force -q");
    let left: Vec<String> = everything(&dir.join("m")).into_iter().map(|(name, _)| name).collect();
    let left: Vec<&str> = left.iter().map(|name| name.rsplit('/').next().unwrap()).collect();
    assert_eq!(left, [".thalweg", "mine.txt", "report.html", "results.json"]);
    // Nothing of a zoo that the library made without a marker is unknown either.
    fs::remove_file(dir.join("zoo/.thalweg")).unwrap();
    fs::remove_file(dir.join("zoo/results.json")).unwrap();
    fs::write(dir.join("zoo/mine.txt"), "mine").unwrap();
    ok(dir, &format!("{ZOO} --seed 2 --out zoo --force"));
    assert_eq!(fs::read_to_string(dir.join("zoo/mine.txt")).unwrap(), "mine");
    ok(dir, "zoo info zoo -q");
}

#[test]
fn an_input_is_never_written_over_however_it_is_spelt() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "p/zoo", 1);
    ok(dir, "fit p/zoo --steps 5 --out m -q");
    ok(dir, "sample m -n 2 --out s.safetensors -q");
    fs::write(dir.join("fit.toml"), "steps = 3\n").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("p/zoo", dir.join("link")).unwrap();
    let before = everything(dir);
    let absolute = dir.join("p/zoo").display().to_string();
    for words in [
        "fit p/zoo --out p/zoo",
        "fit p/zoo --out p",
        "fit p/zoo --out .",
        "fit p/zoo --out p/../p/./zoo",
        "fit p/zoo --out link",
        "fit link --out p/zoo",
        "fit p/zoo --out p/zoo/model",
        &format!("fit p/zoo --out {absolute}"),
        "zoo info p/zoo --out p/zoo",
        "zoo align p/zoo --out p/zoo",
        "sample m --out m/s.safetensors",
        "sample m --out m --format per-network",
        "encode m s.safetensors --zoo p/zoo --out s.safetensors",
        "eval s.safetensors --zoo p/zoo --out p",
        "fit p/zoo --config fit.toml --out fit.toml",
    ] {
        fails(dir, &format!("{words} --force"), &[]);
        assert_eq!(everything(dir), before, "{words}");
    }
    fails(dir, "fit p/zoo --out link --force", &["an input of this command", "p/zoo", "choose another path"]);
    // A zoo goes on by its own file, and only so.
    ok(dir, "zoo train p/zoo/zoo.toml --out p/zoo --resume -q");
    fails(dir, "zoo train p/zoo/zoo.toml --out p/zoo --force", &["input"]);
}

#[test]
fn the_old_result_stands_until_the_new_one_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "zoo", 1);
    ok(dir, "fit zoo --steps 5 --out m -q");
    let before = everything(&dir.join("m"));
    fails(dir, "fit zoo --steps 50 --set optimiser.learning-rate=1e30 --out m --force -q", &["not finite"]);
    assert_eq!(everything(&dir.join("m")), before);
    let old = everything(&dir.join("zoo"));
    fails(dir, &format!("{ZOO} --seed 2 --learning-rate 1e30 --out zoo --force"), &["not finite"]);
    assert_eq!(everything(&dir.join("zoo")), old);
    ok(dir, "fit zoo --steps 6 --out m --force -q");
    assert!(fs::read_to_string(dir.join("m/model.toml")).unwrap().contains("steps = 6"));
    assert_eq!(everything(&dir.join("m")).len(), before.len());
}

#[test]
fn a_command_that_failed_does_not_block_its_retry() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "zoo", 1);
    ok(dir, "fit zoo --steps 5 --out m -q");
    ok(dir, "sample m -n 2 --format per-network --out ck -q");
    for (wrong, right) in [
        ("fit zoo --set split.test=0.99 --out a -q", "fit zoo --steps 3 --out a -q"),
        ("zoo import ck --times 0,0.5,1 --out b -q", "zoo import ck --out b -q"),
        ("sample m -n 2 --steps 0 --format per-network --out c -q", "sample m -n 2 --format per-network --out c -q"),
        ("eval s --zoo zoo --out d -q", "eval ck --zoo zoo --no-baselines --out d -q"),
        ("sample m -n 2 --steps 0 --out e/e.safetensors -q", "sample m -n 2 --out e/e.safetensors -q"),
    ] {
        fails(dir, wrong, &[]);
        let out = right.split_whitespace().skip_while(|word| *word != "--out").nth(1).unwrap();
        assert!(!dir.join(out).exists(), "{wrong}");
        ok(dir, right);
    }
    assert!(!everything(dir).iter().any(|(name, _)| name.ends_with(".part") || name.contains(".thalweg.new")));
}

#[test]
fn resume_goes_on_with_the_same_settings_alone_and_names_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "zoo", 1);
    zoo(dir, "other", 2);
    ok(dir, "fit zoo --steps 5 --seed 1 --out m -q");
    let before = everything(&dir.join("m"));
    for (words, key) in [
        ("fit zoo --steps 5 --seed 2", "seed: expected 1"),
        ("fit zoo --steps 6 --seed 1", "steps: expected 5"),
        ("fit other --steps 5 --seed 1", "zoos: expected"),
        ("fit zoo --steps 5 --seed 1 --method kde", "method"),
        ("zoo align zoo --pairs 0", "command: expected fit"),
    ] {
        fails(dir, &format!("{words} --out m --resume -q"), &["m: ", key, "found"]);
    }
    run(dir, "fit zoo --steps 5 --seed 1 --out m --resume").success().stdout(contains("finished already"));
    let json = run(dir, "fit zoo --steps 5 --seed 1 --out m --resume --json").success().get_output().stdout.clone();
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&value["seed"], &value["outputs"][0]), (&1.into(), &"m".into()));
    assert_eq!(everything(&dir.join("m")), before);

    let small = "--iterations 2 --samples 4 --rows 32 --set trajectories=2 --set validation-samples=2 --out t -q";
    ok(dir, &format!("tune m --reward loss:digits {small}"));
    for (words, key) in [
        ("tune m --reward margin:digits", "reward: expected loss:digits"),
        ("tune m --reward loss:digits --seed 5", "seed"),
        ("tune m --reward loss:digits --strength 3", "strength"),
    ] {
        fails(dir, &format!("{words} {small} --resume"), &["t: ", key]);
    }
    ok(dir, "fit zoo --steps 5 --seed 3 --out m --force -q");
    fails(dir, &format!("tune m --reward loss:digits {small} --resume"), &["model: expected"]);
    fails(dir, &format!("{ZOO} --seed 3 --out zoo --resume"), &["seed"]);
    ok(dir, "zoo align zoo --reference 1 --pairs 0 --out al -q");
    fails(dir, "zoo align zoo --reference 2 --pairs 0 --out al --resume", &["reference: expected 1"]);
}

#[test]
fn a_fit_killed_before_its_report_is_finished_by_resume() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "zoo", 1);
    ok(dir, "fit zoo --steps 5 --out m -q");
    let model = fs::read(dir.join("m/model.toml")).unwrap();
    for name in ["report.html", "results.json"] {
        fs::remove_file(dir.join("m").join(name)).unwrap();
    }
    for name in ["fit-state.safetensors", ".fit-state.safetensors.part", ".results.json.part"] {
        fs::write(dir.join("m").join(name), "left by a kill").unwrap();
    }
    let marker = dir.join("m/.thalweg");
    let text = fs::read_to_string(&marker).unwrap();
    assert!(text.contains("state = \"finished\""), "{text}");
    fs::write(&marker, text.replace("state = \"finished\"", "state = \"begun\"")).unwrap();
    fails(dir, "fit zoo --steps 5 --out m", &["unfinished", "--resume"]);
    ok(dir, "fit zoo --steps 5 --out m --resume -q");
    assert_eq!(fs::read(dir.join("m/model.toml")).unwrap(), model, "it was not fitted again");
    let names: Vec<String> = everything(&dir.join("m")).into_iter().map(|(name, _)| name).collect();
    let names: Vec<&str> = names.iter().map(|name| name.rsplit('/').next().unwrap()).collect();
    assert_eq!(
        names,
        [".thalweg", "README.md", "model.safetensors", "model.toml", "report.html", "results.json", "timing.toml"]
    );
}

#[test]
fn commands_that_cannot_resume_say_so_and_do_not_suggest_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "zoo", 1);
    ok(dir, "fit zoo --steps 5 --out m -q");
    ok(dir, "sample m -n 2 --format per-network --out ck -q");
    for words in [
        "sample m -n 2 --out s.safetensors",
        "sample m -n 2 --format per-network --out n",
        "zoo import ck --out i",
        "zoo info zoo --out look",
        "eval ck --zoo zoo --no-baselines --out judged",
    ] {
        ok(dir, &format!("{words} -q"));
        let again = run(dir, words).code(2);
        again.stderr(contains("exists already").and(contains("--force")).and(contains("--resume").not()));
        fails(dir, &format!("{words} --resume"), &["--resume", "nothing to go on with"]);
        ok(dir, &format!("{words} --force -q"));
    }
}

#[test]
fn results_beside_a_file_are_checked_like_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "zoo", 1);
    ok(dir, "fit zoo --steps 5 --out m -q");
    fs::write(dir.join("cfg.json"), "{\"my\": \"config\"}").unwrap();
    for flag in ["", "--force"] {
        fails(dir, &format!("sample m -n 1 --out cfg.safetensors {flag}"), &["cfg.json"]);
    }
    assert_eq!(fs::read_to_string(dir.join("cfg.json")).unwrap(), "{\"my\": \"config\"}");
    for out in ["a.safetensors", "a.st", "net.json"] {
        ok(dir, &format!("sample m -n 2 --out {out} -q"));
        run(dir, &format!("eval {out} --zoo zoo --no-baselines -q")).success();
    }
    for (side, out) in [("a.json", "a.safetensors"), ("a.st.json", "a.st"), ("net.json.json", "net.json")] {
        let value: serde_json::Value = serde_json::from_slice(&fs::read(dir.join(side)).unwrap()).unwrap();
        assert_eq!(value["outputs"][0], out);
    }
    ok(dir, "sample m -n 1 --out a.safetensors --force -q");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_pipes_written_through() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "zoo", 1);
    ok(dir, "fit zoo --steps 5 --out m -q");
    fs::create_dir(dir.join("far")).unwrap();
    symlink("far/s.safetensors", dir.join("s")).unwrap();
    for flag in ["", "--force"] {
        ok(dir, &format!("sample m -n 2 --seed 4 --out s {flag} -q"));
        assert!(dir.join("s").is_symlink() && dir.join("far/s.safetensors").is_file(), "{flag}");
    }
    let expected = fs::read(dir.join("far/s.safetensors")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(dir.join("p")).status().unwrap();
    assert!(made.success());
    let pipe = dir.join("p");
    let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
    ok(dir, "sample m -n 2 --seed 4 --out p --force -q");
    assert_eq!(reader.join().unwrap(), expected, "the same bytes through the pipe");
    assert!(fs::symlink_metadata(dir.join("p")).unwrap().file_type().is_fifo());
    let through = run(dir, "sample m -n 2 --seed 4 --out /dev/stdout").success().get_output().stdout.clone();
    assert_eq!(through, expected, "stdout carries the networks and nothing else");
    fails(dir, "sample m -n 2 --out /dev/none.safetensors", &["system"]);
    assert!(!dir.join("p.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn among_the_systems_own_files_only_those_in_memory_are_everybodys() {
    let dir = tempfile::tempdir().unwrap();
    zoo(dir.path(), "zoo", 1);
    ok(dir.path(), "fit zoo --steps 5 --out m -q");
    fails(dir.path(), "sample m -n 2 --out /dev/s.safetensors", &["/dev/s.safetensors", "the system's own files"]);
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let out = memory.path().join("s.safetensors");
    ok(dir.path(), &format!("sample m -n 2 --out {} -q", out.display()));
    assert!(out.is_file());
}

#[cfg(unix)]
#[test]
fn of_two_writers_the_second_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    zoo(dir, "zoo", 1);
    ok(dir, "fit zoo --steps 5 --out m -q");
    // Whoever holds the folder: here the test, as another thalweg would.
    let folder = fs::File::open(dir.join("m")).unwrap();
    folder.lock().unwrap();
    for words in ["fit zoo --steps 5 --out m --resume", "fit zoo --out m --force", "zoo info zoo --out m --force"] {
        fails(dir, words, &["m", "another process"]);
    }
    drop(folder);
    ok(dir, "fit zoo --steps 5 --out m --resume");
    let part = fs::File::create(dir.join(".s.safetensors.part")).unwrap();
    part.lock().unwrap();
    fails(dir, "sample m -n 2 --out s.safetensors", &["s.safetensors", "another process"]);
    drop(part);
    ok(dir, "sample m -n 2 --out s.safetensors -q");
    // Two zoos of different seeds into one new folder: one is whole, the other refused, whichever comes first.
    for round in 0..4 {
        let binary = assert_cmd::cargo::cargo_bin("thalweg");
        let children = [1, 2].map(|seed| {
            let words = format!("{ZOO} --seed {seed} --out race-{round}");
            let mut command = std::process::Command::new(&binary);
            command.args(words.split_whitespace()).current_dir(dir).stderr(std::process::Stdio::null());
            command.spawn().unwrap()
        });
        let codes = children.map(|mut child| child.wait().unwrap().code());
        assert!(codes == [Some(0), Some(2)] || codes == [Some(2), Some(0)], "{codes:?}");
        ok(dir, &format!("zoo info race-{round} -q"));
    }
}
