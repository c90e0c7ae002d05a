//! Commands whose work consists of pieces of numbers (`eval`, `shift calibrate`), made by tasks: the result of one process, what is missing or damaged
//! named, what does not belong refused.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
mod support;

use std::fs;
use std::path::Path;
use support::{difference, done, promised, said, thalweg};

/// A zoo, and seventy networks in two blocks.
fn made(dir: &Path) {
    for words in [
        "zoo train --arch digits --data digits --train-rows 200 --kind fork --steps 30 --batch 16 --set kind.fork.steps=20 --checkpoints 3 \
         --runs 24 --seed 1 --out zoo -q",
        "fit zoo --steps 40 --out model -q",
        "sample model -n 70 --steps 5 --out s.safetensors -q",
    ] {
        done(dir, words);
    }
}

/// One bit of a file is wrong.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_judgement_made_by_tasks_is_that_of_one_process() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    made(dir);
    // Baselines are held against one process in the library, where they are drawn of smaller networks.
    let eval = "eval s.safetensors --zoo zoo --no-baselines";
    done(dir, &format!("{eval} --out one -q"));
    for index in [2, 0] {
        let out = done(dir, &format!("{eval} --out many --threads 1 --shard {index}/3"));
        assert!(out.contains(&format!("task {index} of 3: pieces")) && out.contains("many.pieces"), "{out}");
    }
    let before = promised(&dir.join("many.pieces"));
    for (words, expected) in [
        (format!("{eval} --out many --shard 1/3 --seed 6"), "seed: expected 0"),
        (format!("{} --out many --shard 1/3", eval.replace(" --no-baselines", "")), "baselines: expected false"),
        (format!("{eval} --out many --shard 0/99"), "at most"),
        (format!("{eval} --shard 0/3"), "--out PATH"),
        (format!("submit --tasks 3 -- {eval}"), "--out PATH"),
        (format!("submit --tasks 3 -- {eval} --out many --shard 0/3"), "--shard"),
    ] {
        let (code, _, err) = said(dir, &words);
        assert!(code == 2 && err.contains(expected), "{words}: {code} {err}");
    }
    assert_eq!(difference(&before, &promised(&dir.join("many.pieces"))), None);
    // A folder that another version of the program has begun.
    let marker = dir.join("many.pieces/.thalweg");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace(&format!("version = \"{}\"", env!("CARGO_PKG_VERSION")), "version = \"0.0.9\""))
        .unwrap();
    let (code, _, err) = said(dir, &format!("{eval} --out many --shard 1/3"));
    assert!(code == 2 && err.contains("version: expected 0.0.9"), "{err}");
    fs::write(&marker, text).unwrap();
    let (code, out, _) = said(dir, "gather many");
    let missing = out.lines().find_map(|line| line.strip_prefix("missing: ")).unwrap();
    assert!(code == 1 && missing == "1", "{out}");
    assert!(
        out.contains("thalweg eval s.safetensors --zoo zoo --no-baselines --out many --threads 1 --shard I/"),
        "{out}"
    );
    // As HyperQueue runs it, twice at once; then a piece is damaged.
    let twice = [0, 1].map(|_| {
        let mut task = thalweg(dir, &format!("{eval} --out many --shard auto/3 -q"));
        task.env("HQ_TASK_ID", "1").spawn().unwrap()
    });
    for mut task in twice {
        assert!(task.wait().unwrap().success());
    }
    let piece = dir.join("many.pieces/piece-00000.safetensors");
    damage(&piece);
    let (code, out, _) = said(dir, "gather many.pieces");
    assert!(
        code == 1 && out.contains("damaged: ") && out.contains("piece-00000") && out.contains("--discard"),
        "{out}"
    );
    let (code, _, err) = said(dir, &format!("{eval} --out many -q"));
    assert!(code == 2 && err.contains("piece-00000"), "the command reads what tasks made: {err}");
    assert!(!dir.join("many").exists());
    let (code, out, _) = said(dir, "gather many --discard");
    assert!(code == 1 && out.contains("for I in 0"), "{out}");
    done(dir, &format!("{eval} --out many --shard 0/3 -q"));
    fs::create_dir(dir.join("elsewhere")).unwrap();
    assert!(done(&dir.join("elsewhere"), "gather ../many").contains("are there and sound"));
    assert!(!dir.join("many.pieces").exists());
    assert_eq!(difference(&promised(&dir.join("one")), &promised(&dir.join("many"))), None);

    // Without a zoo, and ended by the command itself.
    done(dir, "eval s.safetensors --out alone -q");
    for index in [0, 1] {
        done(dir, &format!("eval s.safetensors --out alone-many --shard {index}/2 -q"));
    }
    done(dir, "eval s.safetensors --out alone-many -q");
    assert!(!dir.join("alone-many.pieces").exists());
    assert_eq!(difference(&promised(&dir.join("alone")), &promised(&dir.join("alone-many"))), None);
}

#[test]
fn a_calibration_made_by_tasks_is_that_of_one_process() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    made(dir);
    let calibrate = "shift calibrate --model s.safetensors --arch digits --p digits --size 10 --methods entropy,bank,ensemble \
                     --set bank.size=6 --set bank.members=3 --set bank-cdc.steps=4 --set ensemble.members=2";
    done(dir, &format!("{calibrate} --out one.cal -q"));
    // Six disagreement classifiers and two of the ensemble; no task needs a number that another has made.
    for index in [3, 1, 0] {
        done(dir, &format!("{calibrate} --out many.cal --shard {index}/4 -q"));
    }
    let (code, out, _) = said(dir, "gather many.cal");
    assert!(code == 1 && out.contains("6 of 8 pieces") && out.contains("missing: 4-5"), "{out}");
    let (code, _, err) = said(dir, &format!("{calibrate} --out many.cal --shard 2/4 --seed 9 -q"));
    assert!(code == 2 && err.contains("request: expected"), "{err}");
    done(dir, &format!("{calibrate} --out many.cal --shard 2/4 -q"));
    done(dir, "gather many.cal -q");
    assert!(fs::read(dir.join("one.cal")).unwrap() == fs::read(dir.join("many.cal")).unwrap());
    assert!(!dir.join("many.cal.pieces").exists());
    let (code, _, err) = said(dir, "shift calibrate --logits l.csv --out l.cal --shard 0/1");
    assert!(code == 2 && err.contains("l.csv"), "{err}");
}
