//! `thalweg shift watch` from files of logits: days without shift, days with it, files that are appended to, and what is refused.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
#[path = "support/words.rs"]
mod words;

use rand::RngExt;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use thalweg_nets::Streams;
use words::in_dir;

/// Logits of `n` rows of two classes, whose margins are 2 + `shift` on average, as a CSV with a header.
fn logits(n: usize, shift: f64, seed: u64) -> String {
    let mut rng = Streams::new(seed).rng();
    let mut text = String::from("no,yes\n");
    for _ in 0..n {
        let margin = 2.0 + shift + (0..4).map(|_| rng.random::<f64>() - 0.5).sum::<f64>() * 1.7;
        writeln!(text, "{:.6},0", margin).unwrap();
    }
    text
}

/// The exit code and what `--json` says.
fn watched(dir: &Path, more: &str) -> (i32, Value) {
    let words = format!("shift watch p.cal --state p.watch --json {more}");
    let output = in_dir(dir, &words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let json = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}{:?}", output.stderr));
    (output.status.code().unwrap(), json)
}

#[test]
fn days_are_watched_until_an_alarm_that_stays() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("held.csv"), logits(400, 0.0, 1)).unwrap();
    in_dir(dir, "shift calibrate --logits held.csv --size 20 --methods entropy,energy --out p.cal -q")
        .assert()
        .success();
    for day in 0..12 {
        let shift = if day < 6 { 0.0 } else { -1.2 };
        fs::write(dir.join(format!("day-{day}.csv")), logits(20, shift, 100 + day)).unwrap();
    }
    let mut outcomes = Vec::new();
    for day in 0..6 {
        let (code, json) = watched(dir, &format!("--query-logits day-{day}.csv"));
        assert_eq!((code, json["batches"].as_u64()), (0, Some(day + 1)), "{json}");
        outcomes.push(json["outcome"].clone());
    }
    assert!(outcomes.iter().all(|outcome| outcome == "no-evidence-of-harm"));
    // The same day again, under another name too, changes nothing.
    let before = fs::read(dir.join("p.watch")).unwrap();
    fs::copy(dir.join("day-3.csv"), dir.join("copy.csv")).unwrap();
    let (_, json) = watched(dir, "--query-logits day-3.csv copy.csv");
    assert_eq!(json["batches"], 6);
    assert_eq!(fs::read(dir.join("p.watch")).unwrap(), before);
    // Several days at once are as many batches; one by one they lead to the same file.
    fs::copy(dir.join("p.watch"), dir.join("one-by-one.watch")).unwrap();
    let (code, json) = watched(dir, &(6..12).map(|day| format!("--query-logits day-{day}.csv ")).collect::<String>());
    let summary = &json;
    assert_eq!((code, &summary["outcome"], &summary["batches"]), (1, &"harmful-shift".into(), &12.into()), "{json}");
    let since = summary["since"].as_str().unwrap();
    assert!(since >= "day-6.csv" || since.starts_with("day-1"), "{since}");
    assert!(summary["p_value"].as_f64().unwrap() <= 0.05);
    for day in 6..12 {
        let words =
            format!("shift watch p.cal --state one-by-one.watch --fail-on never -q --query-logits day-{day}.csv");
        in_dir(dir, &words).assert().success();
    }
    assert_eq!(fs::read(dir.join("one-by-one.watch")).unwrap(), fs::read(dir.join("p.watch")).unwrap());
    // Without rows it tells what it has come to: the alarm stays.
    let (code, again) = watched(dir, "");
    assert_eq!((code, &again["outcome"]), (1, &summary["outcome"]));
    assert_eq!(again["rows"].as_array().unwrap().len(), 12);
}

#[test]
fn a_file_may_grow_and_what_does_not_belong_together_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("held.csv"), logits(100, 0.0, 1)).unwrap();
    in_dir(dir, "shift calibrate --logits held.csv --methods bbsd,energy --out p.cal -q").assert().success();
    in_dir(dir, "shift calibrate --logits held.csv --methods bbsd --out other.cal -q").assert().success();
    let all = logits(30, 0.0, 2);
    let first = |rows: usize| all.lines().take(rows + 1).map(|line| format!("{line}\n")).collect::<String>();
    let grown: Vec<u64> = [10, 10, 17, 30]
        .into_iter()
        .map(|rows| {
            fs::write(dir.join("log.csv"), first(rows)).unwrap();
            watched(dir, "--query-logits log.csv").1["watched_rows"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(grown, [10, 10, 17, 30]);
    let state = fs::read(dir.join("p.watch")).unwrap();
    fs::write(dir.join("notes.txt"), "no watch").unwrap();
    fs::write(dir.join("empty.watch"), "").unwrap();
    fs::write(dir.join("wide.csv"), "a,b,c\n1,2,3\n").unwrap();
    for (words, parts) in [
        ("shift watch other.cal --state p.watch", ["p.watch: calibration", "begin another watch"]),
        ("shift watch p.cal --state p.watch --level .01", ["p.watch: level: expected 0.05", "another state"]),
        ("shift watch p.cal --state notes.txt", ["notes.txt", "safetensors"]),
        ("shift watch p.cal --state p.cal", ["p.cal: format", "expected thalweg shift watch 1"]),
        ("shift watch p.cal --state empty.watch", ["empty.watch", "remove the file"]),
        ("shift watch p.cal --state new.watch --every 5 --query-logits log.csv", ["--every", "--query-logits -"]),
        ("shift watch p.cal --state p.watch --query-logits wide.csv", ["wide.csv", "columns"]),
        (
            "shift watch p.cal --state p.watch --query digits",
            ["p.cal was calibrated on logits alone", "--query-logits"],
        ),
        ("shift watch p.cal --state new.watch --level 2", ["level", "between 0 and 1"]),
        ("shift watch p.cal --state p.watch --out x", ["--state names the file", "without --out"]),
    ] {
        let output = in_dir(dir, words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{words}: {said}");
    }
    assert_eq!(fs::read(dir.join("p.watch")).unwrap(), state, "what is refused changes nothing");
    assert!(!dir.join("new.watch").exists() && !dir.join("x").exists());
}

#[test]
fn a_stream_is_parted_into_batches_and_ends_with_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("held.csv"), logits(400, 0.0, 1)).unwrap();
    in_dir(dir, "shift calibrate --logits held.csv --size 20 --methods entropy,energy --out p.cal -q")
        .assert()
        .success();
    let days = |shift: f64, seed: u64| -> String {
        (seed..seed + 6).map(|day| logits(20, shift, day).split_once('\n').unwrap().1.to_owned()).collect()
    };
    let stream = format!("no,yes\n{}{}", days(0.0, 100), days(-1.2, 106));
    let of_stream = |state: &str, stream: &str| {
        let words = format!("shift watch p.cal --state {state} --json --query-logits - --every 20");
        let output = in_dir(dir, &words).write_stdin(stream).output().unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), json, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, json, said) = of_stream("p.watch", &stream);
    assert_eq!((code, &json["outcome"]), (1, &"harmful-shift".into()), "{json}");
    let batches = json["batches"].as_u64().unwrap();
    assert!((7..12).contains(&batches), "{said}");
    // The batches are those of files, which the same numbers are said of.
    for day in 0..batches as usize {
        let rows: Vec<&str> = stream.lines().skip(1 + 20 * day).take(20).collect();
        fs::write(dir.join(format!("{day}.csv")), format!("no,yes\n{}\n", rows.join("\n"))).unwrap();
        in_dir(dir, &format!("shift watch p.cal --state files.watch --fail-on never -q --query-logits {day}.csv"))
            .assert()
            .success();
    }
    let output = in_dir(dir, "shift watch p.cal --state files.watch --json").output().unwrap();
    let files: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(files["p_value"], json["p_value"]);
    // A stream that begins anew adds nothing; what was seen stays seen.
    let calm: String = stream.lines().take(121).map(|line| format!("{line}\n")).collect();
    for _ in 0..2 {
        let (code, json, _) = of_stream("calm.watch", &calm);
        assert_eq!((code, &json["batches"]), (0, &6.into()));
    }
    // What it has come to is told after every batch.
    let words = "shift watch p.cal --state told.watch --query-logits - --every 20";
    let output = in_dir(dir, words).write_stdin(&calm[..]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("stdin, lines 22 to 41: Verdict: no evidence of harm"), "{told}");
    // One query at once from stdin.
    let of = |words: &str, stdin: &str| in_dir(dir, words).write_stdin(stdin).output().unwrap().stdout;
    let day = fs::read_to_string(dir.join("0.csv")).unwrap();
    let test = "shift test p.cal --json --query-logits";
    let [file, piped] = [of(&format!("{test} 0.csv"), ""), of(&format!("{test} -"), &day)]
        .map(|out| serde_json::from_slice::<Value>(&out).unwrap()["p_value"].as_f64().unwrap());
    assert_eq!(file, piped);
}
