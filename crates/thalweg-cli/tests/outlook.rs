//! What `fit` says of zoos that a flow cannot follow: the warning comes, the command that it names works, and zoos that work get none.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
use assert_cmd::Command;
use std::path::Path;

fn said(dir: &Path, words: &str) -> (String, String) {
    let mut command = Command::cargo_bin("thalweg").unwrap();
    let output = command.args(words.split_whitespace()).current_dir(dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{words}: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// Accuracies of sampled networks, of the zoo's runs, and by chance, as the last row of `results.json` has them.
fn checked(model: &Path) -> [f64; 3] {
    let text = std::fs::read_to_string(model.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&text).unwrap();
    let row = results["rows"].as_array().unwrap().last().unwrap().clone();
    ["accuracy_sampled_mean", "accuracy_zoo_mean", "accuracy_chance"].map(|key| row[key].as_f64().expect(key))
}

#[test]
fn unconnected_runs_are_told_before_and_after_and_the_commands_named_work() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = "zoo train --arch digits --data digits --kind independent --runs 80 --steps 1000 --out zoo -q";
    said(dir.path(), zoo);
    let (stdout, stderr) = said(dir.path(), "fit zoo --steps 100 --out plain");
    assert!(stderr.contains("not linearly connected") && stderr.contains("not usable"), "{stderr}");
    assert!(stdout.contains("Check: 16 sampled networks"), "{stdout}");
    let [sampled, trained, chance] = checked(&dir.path().join("plain"));
    assert!(trained > 0.9 && chance < 0.2 && sampled < 0.3, "{sampled} {trained} {chance}");
    // The commands as they are printed.
    let named: Vec<&str> = stderr.lines().filter_map(|line| line.trim().strip_prefix("thalweg zoo align")).collect();
    said(dir.path(), &format!("zoo align{} -q", named[0]));
    let fits: Vec<&str> = stderr.lines().filter_map(|line| line.trim().strip_prefix("thalweg fit")).collect();
    let (_, stderr) = said(dir.path(), &format!("fit{}", fits[0]));
    assert!(!stderr.contains("warning"), "{stderr}");
    let [sampled, trained, _] = checked(&dir.path().join("model"));
    assert!(sampled > trained - 0.25, "{sampled} of {trained}");
    // The field that follows hidden units, on the runs as they are, for a fraction of its steps.
    let equivariant = fits[1].replace("--out model", "--out equivariant");
    let (_, stderr) = said(dir.path(), &format!("fit{equivariant} --steps 300"));
    assert!(!stderr.contains("not linearly connected"), "{stderr}");
    let [sampled, _, _] = checked(&dir.path().join("equivariant"));
    assert!(sampled > 2.0 * chance, "{sampled} {chance}");
}

#[test]
fn connected_runs_get_no_warning() {
    let dir = tempfile::tempdir().unwrap();
    said(dir.path(), "zoo train --arch digits --data digits --kind fork --runs 40 --epochs 4 --out zoo -q");
    let (_, stderr) = said(dir.path(), "fit zoo --steps 200 --out model");
    assert!(!stderr.contains("warning"), "{stderr}");
    let [sampled, trained, _] = checked(&dir.path().join("model"));
    assert!((sampled - trained).abs() < 0.05, "{sampled} {trained}");
}
