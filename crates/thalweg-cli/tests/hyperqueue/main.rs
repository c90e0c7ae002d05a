//! `thalweg submit` with the real engine: a server of HyperQueue and workers of one core on the loopback, one of which is killed.
//!
//! The engine is PyPI's package `hyperqueue`: THALWEG_PYTHON (python3 without it) names an interpreter that has it. Without one these tests are skipped with a
//! word, unless THALWEG_HYPERQUEUE is set, as in `.ci/run`.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
#![cfg(unix)]
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{difference, promised, thalweg};
use thalweg_nets::checksum::seal_text;

/// 256 runs in sixteen shards, some seconds of work.
const ZOO: &str = "zoo train --arch digits --data digits --kind fork --steps 900 --batch 32 --set kind.fork.steps=20 --checkpoints 3 \
                   --runs 256 --seed 5 --set shard=16";
/// A small one, for what goes wrong.
const SMALL: &str = "zoo train --arch digits --data digits --train-rows 200 --kind fork --steps 30 --batch 16 --set kind.fork.steps=20 \
                     --checkpoints 3 --runs 16 --seed 5 --set shard=2";

fn python() -> Option<String> {
    let python = std::env::var("THALWEG_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import hyperqueue"]).stderr(Stdio::null()).status();
    if has.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    assert!(std::env::var_os("THALWEG_HYPERQUEUE").is_none(), "{python} has no package hyperqueue");
    eprintln!("skipped: {python} has no package hyperqueue (pip install hyperqueue, THALWEG_PYTHON)");
    None
}

/// A process that ends with us.
struct Ours(Child);

impl Drop for Ours {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A server with its workers.
struct Cluster {
    python: String,
    dir: PathBuf,
    workers: Vec<Ours>,
    _server: Ours,
}

impl Cluster {
    fn start(python: String, dir: &Path) -> Self {
        let server = dir.join("server");
        fs::create_dir(&server).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hyperqueue/server.py");
        let mut command = Command::new(&python);
        command.arg(script).arg(&server).stdin(Stdio::piped()).stdout(Stdio::null());
        let process = Ours(command.spawn().unwrap());
        let begun = Instant::now();
        while !server.join("hq-current/access.json").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { python, dir: dir.into(), workers: Vec::new(), _server: process }
    }

    fn add_worker(&mut self) {
        let own = self.dir.join(format!("worker-{}", self.workers.len()));
        fs::create_dir(&own).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hyperqueue/worker.py");
        let mut command = Command::new(&self.python);
        command.arg(script).arg(&own).arg(self.dir.join("server")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut worker = command.spawn().unwrap();
        let mut lines = BufReader::new(worker.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim() != "at work" {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "a worker does not start");
        }
        // Whoever writes to a pipe that nobody reads stops.
        std::thread::spawn(move || drop(lines.read_to_end(&mut Vec::new())));
        self.workers.push(Ours(worker));
    }

    /// `thalweg submit` of `words`, about to start.
    fn submit(&self, more: &str, words: &str) -> Command {
        self.command(&format!("submit {more} -- {words}"))
    }

    /// A command that finds the server, about to start.
    fn command(&self, words: &str) -> Command {
        let mut command = thalweg(&self.dir, words);
        command.env("HQ_SERVER_DIR", self.dir.join("server")).env("THALWEG_PYTHON", &self.python);
        command.stdout(Stdio::piped());
        command
    }
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn shards(dir: &Path) -> usize {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".safetensors")).count()
}

fn wait_for(what: &str, found: impl Fn() -> bool) {
    let begun = Instant::now();
    while !found() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_workers_make_the_zoo_of_one_process_though_one_of_them_is_killed() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let begun = Instant::now();
    support::done(dir, &format!("{ZOO} --out one --threads 2 -q"));
    let alone = begun.elapsed().as_secs_f64();
    let one = promised(&dir.join("one"));
    let mut cluster = Cluster::start(python, dir);
    (0..2).for_each(|_| cluster.add_worker());

    let begun = Instant::now();
    let output = cluster.submit("--tasks 16", &format!("{ZOO} --out two")).output().unwrap();
    let shared = begun.elapsed().as_secs_f64();
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(difference(&one, &promised(&dir.join("two"))), None);
    println!("one process with two threads {alone:.1} s, two workers {shared:.1} s: throughput {:.2}", alone / shared);

    // Ctrl-C ends the following and not the work; one worker dies without a word, another comes.
    let words = format!("{ZOO} --out killed");
    let child = cluster.submit("--tasks 16", &words).spawn().unwrap();
    wait_for("a shard", || shards(&dir.join("killed")) > 2);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", err(&output));
    assert!(err(&output).contains("the tasks go on as job 2"), "{}", err(&output));
    cluster.workers[0].0.kill().unwrap();
    let there = shards(&dir.join("killed"));
    cluster.add_worker();
    let output = cluster.submit("--tasks 16 -v", &words).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    // A centre and sixteen shards: the worker died in the middle, and the same command found its tasks again.
    assert!(there < 14, "{there} files were there already");
    assert!(err(&output).contains("job 2 of HyperQueue, 16 tasks"), "{}", err(&output));
    assert_eq!(difference(&one, &promised(&dir.join("killed"))), None);
}

#[test]
fn tasks_that_fail_are_named_and_submitted_again() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let mut cluster = Cluster::start(python, dir);
    (0..2).for_each(|_| cluster.add_worker());
    support::done(dir, &format!("{SMALL} --out one --threads 2 -q"));
    let one = promised(&dir.join("one"));

    // The disk of task 5 is full: no file of its may be longer than some kilobytes.
    let program = dir.join("limited");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *'--shard 5/8') trap '' XFSZ; ulimit -f 8;; esac\nexec '{}' \"$@\"\n",
        env!("CARGO_BIN_EXE_thalweg")
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let words = format!("{SMALL} --out full");
    let output = cluster.submit("--tasks 8 --program ./limited", &words).output().unwrap();
    let said = err(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("1 of 8 tasks failed") && said.contains("task 5: ") && said.contains("too large"), "{said}");
    assert_eq!(shards(&dir.join("full")), 1 + 7, "the others are done");
    let output = cluster.submit("--tasks 8 -v", &words).output().unwrap();
    assert!(output.status.success() && err(&output).contains("1 tasks"), "{}", err(&output));
    assert_eq!(difference(&one, &promised(&dir.join("full"))), None);

    // A folder that another version of the program has begun.
    support::done(dir, &format!("{SMALL} --out old --shard 0/8 -q"));
    let path = dir.join("old/zoo.toml");
    let text = fs::read_to_string(&path).unwrap();
    let version = format!("\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    let old = text.replacen(&version, "\nversion = \"0.0.9\"\n", 1);
    assert_ne!(old, text);
    fs::write(&path, seal_text(old)).unwrap();
    let output = cluster.submit("--tasks 8", &format!("{SMALL} --out old")).output().unwrap();
    let said = err(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("7 of 8 tasks failed") && said.contains("version: expected \"0.0.9\""), "{said}");
    assert_eq!(shards(&dir.join("old")), 2);
}

#[test]
fn an_experiment_and_a_sweep_whose_parts_two_workers_made_are_those_of_one_process() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let mut cluster = Cluster::start(python, dir);
    (0..2).for_each(|_| cluster.add_worker());
    let words = "reproduce by-runs --scale smoke --set runs=[10] --set flows.kinds=[\"aligned\",\"fork\"] --set flows.samples=3 --seed 2";
    support::done(dir, &format!("{words} --out one -q"));
    // Ctrl-C while the tasks of a stage are at work: they go on, and the same command finds them.
    let child = cluster.command(&format!("{words} --out many --on hq")).spawn().unwrap();
    wait_for("a zoo", || dir.join("many/.tasks/job.json").exists());
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code() == Some(130) && err(&output).contains("the tasks go on as job"), "{}", err(&output));
    let output = cluster.command(&format!("{words} --out many --on hq")).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(difference(&promised(&dir.join("one")), &promised(&dir.join("many"))), None);

    let sweep = "fit many/zoos/digits-fork --steps 40 --sweep method=cfm,ddpm --sweep seed=1,2";
    support::done(dir, &format!("{sweep} --out models -q"));
    let output = cluster.submit("--tasks 4", &format!("{sweep} --out models-many")).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(difference(&promised(&dir.join("models")), &promised(&dir.join("models-many"))), None);
}
