//! `thalweg shift check` with a model that is a command: tables with words and gaps, kept calibrations, what to look at, the page, and what is refused.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
#![cfg(unix)]
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// A rule in the words of awk: probabilities from dose and ward, a gap in dose taken as 0. Beyond a dose of 6, which P does not have, it guesses.
const MODEL: &str = r#"BEGIN { FS = "," }
NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; print "well,ill"; next }
{ z = 2 * $at["dose"] + ($at["ward"] == "north" ? 1 : -1); if ($at["dose"] > 6) z = 0.1; p = 1 / (1 + exp(-z)); printf "%.6f,%.6f\n", 1 - p, p }
"#;

/// Rows with an index, a number with gaps, a number, words and a label; `moved` is added to the dose.
fn table(n: usize, seed: u64, moved: f64) -> String {
    let mut state = seed;
    let mut noise = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut text = String::from(",dose,age,ward,label\n");
    for i in 0..n {
        let dose = 3.0 * (noise() + noise() + noise() - 1.5) + moved;
        let (age, north, gap, chance) = ((20.0 + 60.0 * noise()).floor(), noise() < 0.6, noise() < 0.1, noise());
        let ward = if north { "north" } else { "south" };
        let z = 2.0 * if gap { 0.0 } else { dose } + if north { 1.0 } else { -1.0 };
        let cell = if gap { String::new() } else { format!("{dose:.3}") };
        let label = if chance < 1.0 / (1.0 + (-z).exp()) { "ill" } else { "well" };
        writeln!(text, "{i},{cell},{age},{ward},{label}").unwrap();
    }
    text
}

fn thalweg(dir: &Path, words: &str) -> Command {
    let mut command = Command::cargo_bin("thalweg").unwrap();
    command
        .current_dir(dir)
        .env("XDG_CACHE_HOME", dir.join("cached"))
        .env("THALWEG_DATA", dir.join("data"))
        .args(words.split_whitespace());
    command.args(["--predict", "awk -f f.awk"]);
    command
}

fn without_label(text: &str) -> String {
    text.lines().map(|line| line.rsplit_once(',').unwrap().0).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_command_is_a_model_and_its_tables_may_hold_words_and_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("f.awk"), MODEL).unwrap();
    fs::write(dir.join("p.csv"), table(600, 1, 0.0)).unwrap();
    fs::write(dir.join("near.csv"), without_label(&table(25, 2, 0.0))).unwrap();
    fs::write(dir.join("far.csv"), without_label(&table(25, 3, 9.0))).unwrap();
    let check = "shift check --p p.csv --null 99 --set bank.size=40 --q";
    thalweg(dir, &format!("{check} near.csv")).assert().success().stdout(
        contains("no evidence of harm")
            .and(contains("holds an index of the rows"))
            .and(contains("taken as probabilities"))
            .and(contains("Calibrated in"))
            .and(contains("Accuracy of the model: on P"))
            .and(contains("a network that was fitted to the model's answers")),
    );
    // The same P and settings, other rows: nothing is trained; the feature that moved is named, and the page says it.
    let far = thalweg(dir, &format!("{check} far.csv --report far.html")).assert().code(1);
    far.stdout(contains("nothing is trained").and(contains("harmful shift found")).and(contains("dose")));
    let kept: Vec<_> = fs::read_dir(dir.join("cached/thalweg/shift")).unwrap().collect();
    assert_eq!(kept.len(), 1);
    let page = fs::read_to_string(dir.join("far.html")).unwrap();
    for part in ["class=\"tone bad\"", "Harmful shift", "What this means", "dose on P and in the rows tested"] {
        assert!(page.contains(part), "{part}");
    }
    thalweg(dir, &format!("{check} near.csv --report near.html")).assert().success();
    let page = fs::read_to_string(dir.join("near.html")).unwrap();
    assert!(page.contains("class=\"tone good\"") && page.contains("No evidence of harm"));
    let json = thalweg(dir, &format!("{check} far.csv --json --probabilities")).assert().code(1);
    let value: Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    let explain = &value["explain"];
    assert_eq!((&value["outcome"], &explain["features"][0]["name"]), (&"harmful-shift".into(), &"dose".into()));
    assert!(explain["features"][0]["p_value"].as_f64().is_some_and(|p| p < 0.05), "{explain}");
    assert!(explain["rows"][0]["values"]["dose"].is_string(), "{explain}");
    assert!(value["estimate"]["accuracy_on_p"].as_f64().is_some_and(|share| share > 0.6), "{}", value["estimate"]);
    // Another setting is another calibration, in a folder of the user's choice; or none is kept.
    thalweg(dir, &format!("{check} near.csv --cache own --seed 2"))
        .assert()
        .success()
        .stdout(contains("Calibrated in"));
    assert_eq!(fs::read_dir(dir.join("own")).unwrap().count(), 1);
    thalweg(dir, &format!("{check} near.csv --no-cache --seed 3 --methods entropy,bbsd")).assert().success();
    // A damaged one is made anew.
    let path = fs::read_dir(dir.join("own")).unwrap().next().unwrap().unwrap().path();
    fs::write(&path, "broken").unwrap();
    let again = thalweg(dir, &format!("{check} near.csv --cache own --seed 2")).assert().success();
    again.stdout(contains("made anew").and(contains("Calibrated in")));
}

#[test]
fn a_command_is_calibrated_once_tested_and_watched() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("f.awk"), MODEL).unwrap();
    fs::write(dir.join("p.csv"), table(600, 1, 0.0)).unwrap();
    let near = without_label(&table(25, 2, 0.0));
    fs::write(dir.join("near.csv"), &near).unwrap();
    fs::write(dir.join("far.csv"), without_label(&table(25, 3, 9.0))).unwrap();
    let few = "--null 99 --set bank.size=20";
    let made = thalweg(dir, &format!("shift calibrate --p p.csv {few} --out f.cal")).assert().success();
    made.stdout(contains("taken as probabilities").and(contains("--predict 'awk -f f.awk'")));
    // The two steps say what the one does.
    let json = |line: &str, code: i32| -> Value {
        serde_json::from_slice(&thalweg(dir, line).assert().code(code).get_output().stdout).unwrap()
    };
    let two = json("shift test f.cal --q far.csv --json", 1);
    let one = json(&format!("shift check --p p.csv {few} --no-cache --q far.csv --json"), 1);
    for key in ["p_value", "outcome", "estimate", "explain"] {
        assert_eq!(two[key], one[key], "{key}");
    }
    assert_eq!(two["explain"]["features"][0]["name"], "dose");
    // Day after day; what was watched before is left out.
    let watch = "shift watch f.cal --state f.watch";
    thalweg(dir, &format!("{watch} --q near.csv")).assert().success().stdout(contains("1 batch (25 rows)"));
    thalweg(dir, &format!("{watch} --q near.csv")).assert().success().stdout(contains("watched before"));
    fs::create_dir(dir.join("days")).unwrap();
    for day in 0..4 {
        fs::write(dir.join(format!("days/day-{day}.csv")), without_label(&table(25, 30 + day, 9.0))).unwrap();
    }
    thalweg(dir, &format!("{watch} --batches days")).assert().code(1).stdout(contains("harmful shift"));
    // The command is asked, so it has to be there; and it is the one that answered for P.
    let mut bare = Command::cargo_bin("thalweg").unwrap();
    bare.current_dir(dir).args(["shift", "test", "f.cal", "--q", "near.csv"]);
    bare.assert().code(2).stderr(contains("--predict COMMAND"));
    let test = "shift test f.cal --q near.csv";
    fs::write(dir.join("f.awk"), "NR > 1 { print 1, 2, 3 }").unwrap();
    thalweg(dir, test).assert().code(2).stderr(contains("expected 2 numbers a row, as for P, found 3"));
    fs::write(dir.join("f.awk"), "NR > 1 { print 5, 7 }").unwrap();
    thalweg(dir, test).assert().code(2).stderr(contains("expected probabilities, as it wrote for P"));
    fs::write(dir.join("bad.csv"), "dose,age\n1,2\n").unwrap();
    thalweg(dir, "shift test f.cal --q bad.csv").assert().code(2).stderr(contains("missing: ward"));
    fs::write(dir.join("l.csv"), "0.25,0.75\n").unwrap();
    thalweg(dir, "shift test f.cal --q-logits l.csv").assert().code(2).stderr(contains("cannot be used with"));
}

#[test]
fn columns_are_matched_by_name_and_what_the_command_does_wrong_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("f.awk"), MODEL).unwrap();
    fs::write(dir.join("p.csv"), table(200, 1, 0.0)).unwrap();
    fs::write(dir.join("q.csv"), "ward,extra,dose,age\nnorth,1,0.5,30\neast,2,?,40\nsouth,3,many,50\n").unwrap();
    let check = "shift check --p p.csv --null 99 --methods entropy,bbsd --no-cache --q";
    thalweg(dir, &format!("{check} q.csv --fail-on never")).assert().success().stdout(
        contains("left out: extra")
            .and(contains("matched by name"))
            .and(contains("column 'ward': 1 of 3 cells are words that P does not know"))
            .and(contains("column 'dose': 1 of 3 cells are no numbers")),
    );
    fs::write(dir.join("q.csv"), "ward,age\nnorth,30\n").unwrap();
    thalweg(dir, &format!("{check} q.csv")).assert().code(2).stderr(contains("missing: dose"));
    fs::write(dir.join("q.csv"), "1,2,north\n1,2,south\n").unwrap();
    let headless = thalweg(dir, &format!("{check} q.csv")).assert().code(2);
    headless.stderr(contains("missing: dose").or(contains("names of the columns")));
    fs::write(dir.join("q.csv"), "dose,ward,age\n1,north,30\n").unwrap();
    fs::write(dir.join("f.awk"), "END { print \"no such column: dose\" > \"/dev/stderr\"; exit 4 }").unwrap();
    thalweg(dir, &format!("{check} q.csv")).assert().code(2).stderr(contains("no such column: dose"));
    fs::write(dir.join("f.awk"), "NR < 5 { print 1, 2 }").unwrap();
    let few = thalweg(dir, &format!("{check} q.csv")).assert().code(2);
    few.stderr(contains("expected 201 lines on its stdout, one a row that it got, found 4"));
    fs::write(dir.join("f.awk"), "NR > 1 { print 1, 2 }").unwrap();
    let said = thalweg(dir, &format!("{check} q.csv --probabilities")).assert().code(2);
    said.stderr(contains("expected probabilities, as --probabilities says"));
    thalweg(dir, "shift check --p digits --q digits")
        .assert()
        .code(2)
        .stderr(contains("expected a table of one's own"));
    thalweg(dir, &format!("{check} q.csv").replace("--null 99", "--null 9"))
        .assert()
        .code(2)
        .stderr(contains("could never reject"));
}
