//! Zoos from specification to disk and back: same bytes whatever happens on the way.
#![allow(clippy::unwrap_used)]
mod common;

use common::{FORCE, RESUME, spec, sums, train};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use thalweg_nets::Error;
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::init::Initialisation;
use thalweg_nets::progress::{Progress, Silent};
use thalweg_nets::streams::Streams;
use thalweg_nets::testing::StopAfter;
use thalweg_nets::train::{Length, Trainer};
use thalweg_nets::zoo::{InitialLaw, Shares, Summary, TrainOptions, ZooKind, ZooStore, train_zoo};

#[test]
fn bytes_do_not_depend_on_threads_and_every_kind_has_its_shape() {
    let root = tempfile::tempdir().unwrap();
    for kind in ZooKind::NAMES {
        let spec = spec(kind);
        let of = |threads: usize| {
            let dir = root.path().join(format!("{kind}-{threads}"));
            let zoo = train_zoo(&spec, &dir, &TrainOptions { threads, ..TrainOptions::default() }, &Silent).unwrap();
            let k = if kind == "tail" { 1 } else { 7 };
            assert_eq!((zoo.runs(), zoo.checkpoints(), zoo.times().len()), (10, k, k));
            assert_eq!(zoo.centre().unwrap().is_some(), matches!(kind, "shared" | "fork"));
            assert_eq!(sums(&dir).len(), 1 + 4 + usize::from(zoo.centre().unwrap().is_some()));
            sums(&dir)
        };
        let one = of(1);
        assert_eq!(one, of(2), "{kind}");
        assert_eq!(one, of(3), "{kind}");
    }
}

#[test]
fn shared_zoos_start_around_a_network_that_is_given() {
    let root = tempfile::tempdir().unwrap();
    let fork = train(&spec("fork"), &root.path().join("fork")).unwrap();
    let path = root.path().join("fork/centre.safetensors");
    let around = |kind| {
        let mut spec = spec(kind);
        spec.centre = Some(path.clone());
        spec
    };
    let zoo = train(&around("shared"), &root.path().join("around")).unwrap();
    assert_eq!(zoo.centre().unwrap(), fork.centre().unwrap());
    assert_ne!(zoo.centre().unwrap(), train(&spec("shared"), &root.path().join("drawn")).unwrap().centre().unwrap());
    let message = train(&around("fork"), &root.path().join("no")).unwrap_err().to_string();
    assert!(message.contains("centre") && message.contains("fork"), "{message}");
}

#[test]
fn runs_start_by_the_law_that_samplers_draw_from() {
    let root = tempfile::tempdir().unwrap();
    for kind in ["independent", "shared", "fork"] {
        let spec = spec(kind);
        let zoo = train(&spec, &root.path().join(kind)).unwrap();
        let law = zoo.initial_law().unwrap();
        for run in [0, 4, 9] {
            let start = law.draw(zoo.layout(), &spec.streams(run).child("start")).unwrap();
            assert_eq!(zoo.trajectory(run).unwrap()[..zoo.parameters()], start, "{kind} {run}");
        }
        match (kind, law) {
            ("independent", InitialLaw::Kaiming(law)) => assert_eq!(law, Initialisation::KaimingUniform),
            ("shared", InitialLaw::AroundCentre { centre, noise }) => {
                let drawn = Initialisation::KaimingUniform;
                let streams = Streams::new(spec.seed).child("centre").child("start");
                assert_eq!((centre, noise), (drawn.draw(zoo.layout(), &streams), 0.05));
            }
            ("fork", InitialLaw::AroundCentre { centre, .. }) => assert_eq!(Some(centre), zoo.centre().unwrap()),
            (_, law) => panic!("{law:?}"),
        }
    }
}

#[test]
fn a_stored_run_is_the_run_trained_alone_and_its_scores_are_the_evaluators() {
    let root = tempfile::tempdir().unwrap();
    let spec = spec("independent");
    let zoo = train(&spec, &root.path().join("zoo")).unwrap();
    let data = spec.data.load().unwrap();
    let engine = Engine::new(&spec.architecture).unwrap();
    let trainer = Trainer::new(&engine, &spec.architecture, &data.train, &data.validation, &spec.recipe).unwrap();
    let start = spec.initialisation.draw(zoo.layout(), &spec.streams(5).child("start"));
    let alone = trainer.train(&start, &spec.streams(5), &|| false).unwrap();
    assert_eq!(zoo.trajectory(5).unwrap(), alone.theta);
    let scores =
        evaluate(&engine, &alone.theta, &engine.pack(&data.validation.inputs).unwrap(), &data.validation.labels)
            .unwrap();
    for (k, score) in scores.iter().enumerate() {
        assert_eq!(zoo.losses()[5 * 7 + k], score.loss as f32);
        assert_eq!(zoo.accuracies()[5 * 7 + k], score.accuracy as f32);
    }
}

#[test]
fn iterates_of_a_tail_are_consecutive_steps_of_one_run() {
    let root = tempfile::tempdir().unwrap();
    let mut every = spec("tail");
    every.kind = ZooKind::Tail { every: 3 };
    every.runs = 4;
    let coarse = train(&every, &root.path().join("coarse")).unwrap();
    let fine = train(&spec("tail"), &root.path().join("fine")).unwrap();
    assert_eq!(coarse.finals(&[0, 1, 2]).unwrap(), fine.finals(&[2, 5, 8]).unwrap());
    assert_eq!(fine.times(), [1.0]);
}

#[test]
fn reading_is_exact_whatever_the_budget_and_memory_stays_within_it() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("zoo");
    let zoo = train(&spec("independent"), &dir).unwrap();
    let p = zoo.parameters();
    let whole: Vec<f32> = (0..10).flat_map(|run| zoo.trajectory(run).unwrap()).collect();
    let row_bytes = 4 * p + 64;
    for rows in [0, 1, 5, 1000] {
        let zoo = ZooStore::open_within(&dir, rows * row_bytes).unwrap();
        for seed in 0..20u64 {
            let items: Vec<(usize, usize)> = (0..30).map(|i| ((i * 7 + seed as usize) % 10, (i * i + 3) % 7)).collect();
            let mut out = vec![0.0; items.len() * p];
            zoo.gather(&items, &mut out).unwrap();
            for (&(run, k), row) in items.iter().zip(out.chunks(p)) {
                assert_eq!(row, &whole[(run * 7 + k) * p..][..p]);
            }
            assert!(zoo.cached_bytes() <= rows.max(1) * row_bytes);
        }
    }
    assert!(zoo.gather(&[(10, 0)], &mut vec![0.0; p]).unwrap_err().to_string().contains("run below 10"));
    assert!(zoo.gather(&[(0, 7)], &mut vec![0.0; p]).is_err());
    assert!(zoo.gather(&[(0, 0)], &mut vec![0.0; p + 1]).unwrap_err().to_string().contains("[1, 1110]"));
    let split = zoo.split(Shares::default(), 3).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (8, 1, 1));
}

#[test]
fn a_run_that_diverges_is_marked_dead_and_kept_out_and_the_zoo_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let mut spec = spec("independent");
    spec.recipe.optimiser = thalweg_nets::train::Optimiser::sgd(0.0);
    spec.recipe.learning_rate = 1e25;
    let zoo = train(&spec, &root.path().join("zoo")).unwrap();
    assert!(zoo.diverged_at().iter().all(|d| d.is_some_and(|step| step <= 12)), "{:?}", zoo.diverged_at());
    assert!(zoo.failed().iter().all(|&failed| failed) && zoo.finished_runs().is_empty());
    let first = zoo.trajectory(0).unwrap();
    assert_eq!(first[..1110], first[6 * 1110..], "the last finite checkpoint is repeated");
    assert!(zoo.split(Shares::default(), 0).unwrap_err().to_string().contains("all of them failed"));
    let text = Summary::of(&zoo).unwrap().to_string();
    assert!(text.contains("10 runs (10 failed)") && text.contains("all 10 runs failed"), "{text}");
}

#[test]
fn twenty_runs_on_the_digits_learn() {
    let root = tempfile::tempdir().unwrap();
    let mut spec = spec("independent");
    spec.runs = 20;
    spec.recipe.batch = 32;
    spec.recipe.learning_rate = 3e-3;
    spec.recipe.length = Length::Epochs(10.0);
    let zoo = train(&spec, &root.path().join("zoo")).unwrap();
    for run in zoo.finished_runs() {
        let accuracy = zoo.accuracies()[run * 7 + 6];
        assert!(accuracy > 0.85, "run {run}: {accuracy}");
    }
    assert!(zoo.finished_runs().len() >= 19, "{:?}", zoo.failed());
    let summary = Summary::of(&zoo).unwrap();
    let course: Vec<f64> = summary.course.iter().map(|m| m.loss).collect();
    assert!(course.windows(2).all(|w| w[1] < w[0]), "{course:?}");
    let text = summary.to_string();
    assert!(text.contains("independent zoo of digits on digits") && text.contains('█'), "{text}");
}

#[test]
fn interrupted_jobs_keep_whole_shards_and_finished_runs_and_go_on_to_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    for kind in ZooKind::NAMES {
        let spec = spec(kind);
        let whole = root.path().join(format!("{kind}-whole"));
        train(&spec, &whole).unwrap();
        let dir = root.path().join(kind);
        for runs in [1, 4, 8] {
            let stopped = train_zoo(&spec, &dir, &RESUME, &StopAfter::new(runs));
            assert!(matches!(stopped, Err(Error::Interrupted)), "{kind} {runs}");
            let mut done = sums(&dir);
            done.retain(|name, _| !name.ends_with(".partial"));
            assert!(done.iter().all(|(name, sum)| sums(&whole).get(name) == Some(sum)), "{kind}: {done:?}");
        }
        assert!(ZooStore::open(&dir).unwrap_err().to_string().contains("not finished"));
        train_zoo(&spec, &dir, &RESUME, &Silent).unwrap();
        assert_eq!(sums(&dir), sums(&whole), "{kind}");
        train_zoo(&spec, &dir, &RESUME, &Silent).unwrap();
        assert_eq!(sums(&dir), sums(&whole), "{kind}: a finished zoo is left as it is");
        train_zoo(&spec, &dir, &FORCE, &Silent).unwrap();
        assert_eq!(sums(&dir), sums(&whole), "{kind}");
    }
}

const CHILD: &str = "THALWEG_TEST_ZOO";

/// Tells the parent of every finished run.
struct Telling;

impl Progress for Telling {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {
        eprintln!("run");
    }
    fn note(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        false
    }
}

/// Longer than [`spec`], so that kills fall into the middle.
fn long() -> thalweg_nets::zoo::ZooSpec {
    let mut spec = spec("fork");
    spec.runs = 24;
    spec.recipe.length = Length::Steps(60);
    spec
}

#[test]
#[ignore = "the process that the tests below start, kill and starve; nothing by itself"]
fn child_trains_a_zoo() {
    let dir = std::env::var_os(CHILD).expect("a test that starts this one");
    if let Err(e) = train_zoo(&long(), Path::new(&dir), &RESUME, &Telling) {
        eprintln!("failed: {e}");
        std::process::exit(3);
    }
}

fn child(dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child_trains_a_zoo", "--nocapture"]).env(CHILD, dir);
    command
}

#[test]
fn a_zoo_killed_again_and_again_ends_with_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    train(&long(), &whole).unwrap();
    let dir = root.path().join("killed");
    for lines in [1, 3, 4, 5, 9, 14] {
        let mut child = child(&dir).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let told = BufReader::new(child.stderr.take().unwrap()).lines();
        // Shards that are there count at once, then runs as they end: the kill falls anywhere in the work that follows.
        assert_eq!(told.map_while(Result::ok).filter(|line| line == "run").take(lines).count(), lines.min(24));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    train_zoo(&long(), &dir, &RESUME, &Silent).unwrap();
    assert_eq!(sums(&dir), sums(&whole));
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_leaves_no_half_file() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("full");
    // A limit on file sizes stands for the full disk: zoo.toml and the centre fit, a shard does not.
    let child = child(&dir);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 60; exec \"$0\" \"$@\""]);
    limited.arg(child.get_program()).args(child.get_args()).env(CHILD, &dir);
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("cannot write") && said.contains("shard-00000.safetensors"), "{said}");
    assert_eq!(sums(&dir).into_keys().collect::<Vec<_>>(), ["centre.safetensors", "zoo.toml"]);
}
