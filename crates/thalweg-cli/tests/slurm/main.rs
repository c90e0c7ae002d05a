//! `thalweg submit --on slurm` against stand-ins for Slurm's commands on the PATH (`bin/` beside this file): they take an array apart, number its
//! tasks and tell their states as Slurm does, and refuse flags that they do not know. Slurm itself is not here.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
#![cfg(unix)]
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{difference, promised, thalweg};

const ZOO: &str = "zoo train --arch digits --data digits --train-rows 200 --kind fork --steps 30 --batch 16 --set kind.fork.steps=20 \
                   --checkpoints 3 --runs 16 --seed 5 --set shard=2";

/// `thalweg submit` of `words` in `dir`, about to start, with the stand-ins before all else on the PATH.
fn submit(dir: &Path, more: &str, words: &str) -> Command {
    let mut command = thalweg(dir, &format!("submit --on slurm {more} -- {words}"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}/tests/slurm/bin:{path}", env!("CARGO_MANIFEST_DIR")));
    command.env("STAND_IN_SLURM", dir.join("slurm")).stdout(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The array that job `number` was submitted with.
fn array(dir: &Path, number: usize) -> String {
    fs::read_to_string(dir.join(format!("slurm/{number}/array"))).unwrap().trim().to_owned()
}

/// A program that runs thalweg after `first`, a shell's words.
fn program(dir: &Path, name: &str, first: &str) {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{first}\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_thalweg"))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_array_makes_the_zoo_of_one_process_and_is_found_again_after_ctrl_c() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    support::done(dir, &format!("{ZOO} --out one -q"));
    let one = promised(&dir.join("one"));
    // Tasks begin when they are let.
    program(dir, "held", "while ! test -e go; do sleep .05; done");
    let words = format!("{ZOO} --out many");
    let child = submit(dir, "--tasks 8 --program ./held -v", &words).spawn().unwrap();
    let begun = Instant::now();
    while !dir.join("many/.tasks/job.json").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the array is not submitted");
        std::thread::sleep(Duration::from_millis(20));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("the tasks go on as job 1 of Slurm"), "{}", said(&output));
    let child = submit(dir, "--tasks 8 --program ./held -v", &words).stderr(Stdio::piped()).spawn().unwrap();
    fs::write(dir.join("go"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && said(&output).contains("job 1 of Slurm, 8 tasks"), "{}", said(&output));
    assert_eq!(array(dir, 1), "0-7");
    assert!(!dir.join("slurm/2").exists(), "nothing is submitted twice");
    assert_eq!(difference(&one, &promised(&dir.join("many"))), None);

    let output = submit(dir, "--tasks 3", &format!("{ZOO} --out refused"))
        .env("STAND_IN_REFUSES", "Invalid account")
        .output()
        .unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("Invalid account"), "{}", said(&output));
    let output = submit(dir, "--tasks 3", &format!("{ZOO} --out nowhere")).env("PATH", "/nowhere").output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("sbatch"), "{}", said(&output));
}

#[test]
fn a_task_that_fails_is_named_and_submitted_again_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    support::done(dir, &format!("{ZOO} --out one -q"));
    let one = promised(&dir.join("one"));
    // The disk of task 5 is full; task 2 is killed without a word.
    let full = "trap '' XFSZ; ulimit -f 8";
    program(dir, "limited", &format!("case $SLURM_ARRAY_TASK_ID in 5) {full};; 2) kill -9 $$;; esac"));
    for (accounts, job) in [(true, 1), (false, 3)] {
        let out = format!("{ZOO} --out many-{job}");
        let mut command = submit(dir, "--tasks 8 --program ./limited", &out);
        if !accounts {
            command.env("STAND_IN_NO_ACCOUNTS", "yes");
        }
        let output = command.output().unwrap();
        let words = said(&output);
        assert!(output.status.code() == Some(2) && words.contains("2 of 8 tasks failed"), "{words}");
        assert!(words.contains("task 5: ") && words.contains("too large"), "{words}");
        let of_killed = if accounts { "task 2: Slurm says FAILED, exit code 137:0" } else { "task 2: it ended before" };
        assert!(words.contains(of_killed), "{words}");
        let output = submit(dir, "--tasks 8", &out).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(array(dir, job + 1), "2,5");
        assert_eq!(difference(&one, &promised(&dir.join(format!("many-{job}")))), None);
    }
}

#[test]
fn pieces_of_a_judgement_and_of_a_calibration_are_shared_out_as_shards_are() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    support::done(dir, &format!("{ZOO} --out zoo -q"));
    support::done(dir, "fit zoo --steps 40 --out model -q");
    support::done(dir, "sample model -n 70 --steps 5 --out s.safetensors -q");
    let calibrate = "shift calibrate --model s.safetensors --arch digits --p digits --size 10 --methods bank,entropy \
                     --set bank.size=8 --set bank.members=3 --set bank-cdc.steps=4";
    for (name, words) in [("look", "eval s.safetensors --zoo zoo --no-baselines"), ("c.cal", calibrate)] {
        support::done(dir, &format!("{words} --out one-{name} -q"));
        let output = submit(dir, "--tasks 3", &format!("{words} --out {name}")).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(!dir.join(format!("{name}.pieces")).exists(), "pieces are removed when the work is ended");
    }
    assert_eq!(difference(&promised(&dir.join("one-look")), &promised(&dir.join("look"))), None);
    assert!(fs::read(dir.join("one-c.cal")).unwrap() == fs::read(dir.join("c.cal")).unwrap());
}

#[test]
fn an_experiment_whose_zoos_and_fits_went_through_the_engine_is_that_of_one_process() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let words = "reproduce by-runs --scale smoke --set runs=[10] --set flows.kinds=[\"aligned\"] --set flows.samples=3 --seed 4";
    support::done(dir, &format!("{words} --out one -q"));
    // One task of the second stage is killed without a word, the first time.
    let stop =
        "case \"$SLURM_ARRAY_TASK_ID $*\" in '0 '*'--stage fits'*) test -e died || { touch died; kill -9 $$; };; esac";
    program(dir, "fragile", stop);
    let on = |more: &str| {
        let mut command = thalweg(dir, &format!("{words} --on slurm --out many {more}"));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}/tests/slurm/bin:{path}", env!("CARGO_MANIFEST_DIR")));
        command.env("STAND_IN_SLURM", dir.join("slurm")).stdout(Stdio::piped());
        command.output().unwrap()
    };
    let typed = String::from_utf8(on("--dry-run").stdout).unwrap();
    assert!(
        typed.contains("# zoos;") && typed.contains("--stage fits --shard auto/") && !dir.join("many").exists(),
        "{typed}"
    );
    let output = on("--program ./fragile");
    assert!(
        output.status.code() == Some(2) && said(&output).contains("task 0: Slurm says FAILED"),
        "{}",
        said(&output)
    );
    assert!(!dir.join("many/results.json").exists());
    let submitted = fs::read_dir(dir.join("slurm")).unwrap().count();
    let output = on("--program ./fragile");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_dir(dir.join("slurm")).unwrap().count(), submitted + 1, "only the fit is submitted again");
    assert_eq!(difference(&promised(&dir.join("one")), &promised(&dir.join("many"))), None);
    // Once all of it is there, nothing is submitted any more.
    assert!(on("").status.success());
    assert_eq!(fs::read_dir(dir.join("slurm")).unwrap().count(), submitted + 1);
    for (more, expected) in [("--on hq --stage fits", "--shard"), ("--tasks 3", "--on"), ("--shard 0/2", "--stage")] {
        let (code, _, err) = support::said(dir, &format!("{words} --out other {more}"));
        assert!(code == 2 && err.contains(expected) && !dir.join("other").exists(), "{more}: {err}");
    }
}

/// With Slurm itself, where THALWEG_SLURM says that there is one (`one-node` beside this file starts one).
#[test]
fn slurm_itself_runs_an_array_and_an_experiment() {
    if std::env::var_os("THALWEG_SLURM").is_none() {
        return eprintln!("skipped: THALWEG_SLURM is not set");
    }
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    support::done(dir, &format!("{ZOO} --out one -q"));
    let full = "case $SLURM_ARRAY_TASK_ID in 2) test -e died || { touch died; trap '' XFSZ; ulimit -f 8; };; esac";
    program(dir, "limited", full);
    let output = thalweg(dir, &format!("submit --on slurm --tasks 4 --program ./limited -- {ZOO} --out many")).output();
    let words = said(&output.unwrap());
    assert!(
        words.contains("1 of 4 tasks failed") && words.contains("task 2: ") && words.contains("too large"),
        "{words}"
    );
    let output = thalweg(dir, &format!("submit --on slurm --tasks 4 -v -- {ZOO} --out many")).output().unwrap();
    assert!(output.status.success() && said(&output).contains("1 tasks"), "{}", said(&output));
    assert_eq!(difference(&promised(&dir.join("one")), &promised(&dir.join("many"))), None);
    let words = "reproduce by-runs --scale smoke --set runs=[10] --set flows.kinds=[\"fork\"] --set flows.samples=3";
    support::done(dir, &format!("{words} --out alone -q"));
    support::done(dir, &format!("{words} --out shared --on slurm -q"));
    assert_eq!(difference(&promised(&dir.join("alone")), &promised(&dir.join("shared"))), None);
}
