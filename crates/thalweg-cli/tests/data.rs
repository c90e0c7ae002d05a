//! Data at the command line: options in their text, `--set data.KEY`, what is told of them, and data that are no longer what they were.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::path::Path;

fn thalweg(dir: &Path, words: &str) -> Command {
    let mut command = Command::cargo_bin("thalweg").expect("cargo builds the program for its tests");
    command.current_dir(dir).args(words.split_whitespace());
    command
}

/// Two features that decide the class in part; `shift` is added to the first.
fn rows(path: &Path, header: &str, n: usize, shift: f64) {
    let line = |i: usize| {
        let (a, b) = ((i * 37 % 101) as f64 / 101.0, (i * 61 % 97) as f64 / 97.0);
        format!("{},{b},{}\n", a + shift, u8::from(a + 0.2 * b > 0.6))
    };
    std::fs::write(path, header.to_owned() + "\n" + &(0..n).map(line).collect::<String>()).unwrap();
}

const TRAIN: &str =
    "zoo train --arch mlp --widths 8 --kind fork --runs 8 --steps 300 --batch 16 --checkpoints 3 --learning-rate 0.02";

#[test]
fn networks_are_judged_on_the_data_they_were_trained_on_or_the_user_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    rows(&dir.join("d.csv"), "a,b,label", 120, 0.0);
    thalweg(dir, &format!("{TRAIN} --data csv:d.csv --out zoo -q")).assert().success();
    thalweg(dir, "fit zoo --steps 20 --out model -q").assert().success();
    thalweg(dir, "sample model -n 2 --out s.safetensors -q").assert().success();
    // From another folder, with another file of that name in it: the one that was recorded is read.
    let other = dir.join("other");
    std::fs::create_dir(&other).unwrap();
    rows(&other.join("d.csv"), "a,b,label", 60, 0.3);
    for words in [
        "eval ../s.safetensors --zoo ../zoo --no-baselines",
        "eval ../s.safetensors",
        "zoo align ../zoo --pairs 1 --out al",
    ] {
        thalweg(&other, words).assert().success().stderr(contains("as recorded"));
    }
    // Named, the other file is standardised as the zoo's was, and told to differ.
    let own = |words: &str| {
        let out = thalweg(&other, words).assert().success().get_output().stdout.clone();
        let results: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let row = results["rows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["method"] == "zoo")
            .or(results["rows"].get(0))
            .unwrap()
            .clone();
        row["accuracy_mean"].as_f64().unwrap()
    };
    thalweg(&other, "eval ../s.safetensors --zoo ../zoo --no-baselines --data csv:d.csv")
        .assert()
        .success()
        .stderr(contains("they differ"));
    let (as_zoo, fitted) = (
        own("eval ../s.safetensors --data csv:d.csv --json -q"),
        own("eval ../s.safetensors --data csv:d.csv@fitted --json -q"),
    );
    assert!((as_zoo - fitted).abs() > 1e-9, "{as_zoo} {fitted}");
    // Changed since: refused with what differs, everywhere.
    rows(&dir.join("d.csv"), "a,b,label", 80, 0.0);
    for words in ["eval s.safetensors --zoo zoo", "eval s.safetensors", "zoo align zoo --pairs 1 --out al"] {
        let told = contains("checksum").and(contains("72 + 24 + 24")).and(contains("48 + 16 + 16"));
        thalweg(dir, words).assert().code(2).stderr(told);
    }
}

#[test]
fn labels_and_normalisations_can_be_named_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    rows(&dir.join("t.csv"), "a,b,target", 120, 0.0);
    let train = format!("{TRAIN} -q --data csv:t.csv");
    thalweg(dir, &format!("{train} --out none"))
        .assert()
        .code(2)
        .stderr(contains("@label=NAME").and(contains("a, b, target")));
    thalweg(dir, &format!("{train} --set data.label=target --out z1")).assert().success();
    thalweg(dir, &format!("{train}@label=target@raw --out z2")).assert().success();
    let toml = std::fs::read_to_string(dir.join("z2/zoo.toml")).unwrap();
    assert!(toml.contains("normalisation = \"raw\"") && toml.contains("mean = [0.0, 0.0]"), "{toml}");
    thalweg(dir, "fit z2 --steps 20 --out model -q").assert().success();
    thalweg(dir, "sample model -n 1 --format per-network --out nets -q").assert().success();
    let eval = "eval nets --arch mlp --widths 8 --data csv:t.csv --set data.label=target";
    thalweg(dir, eval).assert().success().stdout(contains("own training rows").and(contains("--raw")));
    let results = |flags: &str| {
        let out = thalweg(dir, &format!("{eval} {flags} --json -q")).assert().success().get_output().stdout.clone();
        let results: serde_json::Value = serde_json::from_slice(&out).unwrap();
        results["rows"][0]["loss_mean"].as_f64().unwrap()
    };
    let (raw, given) = (results("--raw"), results("--mean 0 --std 1"));
    assert!(raw == given && raw != results(""), "{raw} {given}");
    thalweg(dir, &format!("{eval} --mean 0.5")).assert().code(2).stderr(contains("--std"));
    thalweg(dir, &format!("{eval} --set recipe.batch=3")).assert().code(2).stderr(contains("data.KEY"));
    let calibrate = "shift calibrate --model nets/network-00000.safetensors --arch mlp --widths 8 --p csv:t.csv --set data.label=target --size 5 --null 99 --methods entropy --out c.cal -q";
    thalweg(dir, calibrate).assert().success();
}

#[test]
fn what_was_made_of_a_file_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let lines: String = (0..40).map(|i| format!("{i},{},{},{}\n", i * 7 % 11, 1_700_000_000 + i, i % 2)).collect();
    std::fs::write(dir.join("d.csv"), format!("Unnamed: 0,a,time,label\n{lines}")).unwrap();
    let shown = thalweg(
        dir,
        "zoo train --arch mlp --widths 2 --data csv:d.csv --runs 1 --steps 4 --batch 4 --checkpoints 2 --out z",
    );
    let output = { shown }.assert().success().get_output().stderr.clone();
    let told = String::from_utf8(output).unwrap();
    assert_eq!(told.matches("'Unnamed: 0'").count(), 1, "{told}");
    let toml = std::fs::read_to_string(dir.join("z/zoo.toml")).unwrap();
    assert!(
        toml.contains("feature_names = [\"a\", \"time\"]") && toml.contains("offset = [0.0, 1700000019.5]"),
        "{toml}"
    );
}

#[test]
fn what_never_ends_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert!(std::process::Command::new("mkfifo").arg(dir.join("p")).status().unwrap().success());
    for data in ["csv:p", "npz:p", "csv:/dev/zero", "csv:.", "digits@area=4096", "digits@ink=3000"] {
        let mut command = thalweg(dir, &format!("zoo train --arch mlp --widths 2 --data {data} --runs 1 --out z"));
        command.timeout(std::time::Duration::from_secs(60)).assert().code(2);
    }
}
