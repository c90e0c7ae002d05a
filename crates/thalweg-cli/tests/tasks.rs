//! Work that tasks share (`--shard`), and its end (`gather`): the bytes of one process, what is missing named, what does not belong refused.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
mod support;

use std::fs;
use support::{difference, done, promised, said, thalweg};

const ZOO: &str = "zoo train --arch digits --data digits --train-rows 200 --kind fork --steps 60 --batch 16 --set kind.fork.steps=20 \
                   --checkpoints 3 --runs 20 --seed 5 --set shard=3 --out";

#[test]
fn a_zoo_and_its_aligned_one_made_by_tasks_are_those_of_one_process() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    done(dir, &format!("{ZOO} one -q"));
    for index in [3, 0, 2] {
        let out = done(dir, &format!("{ZOO} many --shard {index}/4"));
        assert!(out.contains(&format!("task {index} of 4: runs")), "{out}");
    }
    let (code, out, _) = said(dir, "gather many");
    assert!(code == 1 && out.contains("5 of 7 shards") && out.contains("missing: 1-2"), "{out}");
    assert!(out.contains("--shard I/7") && out.contains("for I in 1-2"), "{out}");
    let (code, out, _) = said(dir, "gather many --json");
    let rows = serde_json::from_str::<serde_json::Value>(&out).unwrap()["rows"].clone();
    assert_eq!((code, rows[0]["shard"].as_u64(), rows.as_array().unwrap().len()), (1, Some(1), 2));
    // As the finding says, by the zoo's own description; and as a Slurm array runs it.
    let mut task = thalweg(dir, "zoo train many/zoo.toml --out many --shard auto/4 -q");
    assert!(task.env("SLURM_ARRAY_TASK_ID", "1").status().unwrap().success());
    assert!(done(dir, "gather many").contains("all 7 shards"));
    assert_eq!(difference(&promised(&dir.join("one")), &promised(&dir.join("many"))), None);
    assert!(done(dir, "gather many").contains("all 7 shards"), "again, at no harm");

    done(dir, "zoo align one --out aligned --pairs 2 -q");
    for index in [1, 0] {
        done(dir, &format!("zoo align many --out aligned-many --pairs 2 -q --shard {index}/2"));
    }
    assert!(done(dir, "gather aligned-many").contains("all 7 shards"));
    // The table of barriers is the command's own.
    done(dir, "zoo align many --out aligned-many --pairs 2 -q --resume");
    assert_eq!(difference(&promised(&dir.join("aligned")), &promised(&dir.join("aligned-many"))), None);
}

#[test]
fn what_does_not_belong_to_the_work_is_refused_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    done(dir, &format!("{ZOO} zoo --shard 0/7 -q"));
    let before = promised(&dir.join("zoo"));
    for (words, expected) in [
        (format!("{ZOO} zoo --shard 1/7 --seed 6").replacen("--seed 5 ", "", 1), "seed: expected 5"),
        (format!("{ZOO} zoo --shard 1/8"), "at most 7"),
        (format!("{ZOO} zoo --shard 7/7"), "--shard: expected I/N"),
        (format!("{ZOO} zoo --shard auto"), "auto/N"),
        (format!("{ZOO} zoo --shard 1/7 --force"), "--force"),
        (format!("{ZOO} zoo"), "exists already"),
        ("zoo align zoo --shard 0/2 --out zoo".to_owned(), "zoo"),
        ("gather nowhere".to_owned(), "nowhere"),
        ("gather zoo --out other".to_owned(), "--out"),
        ("submit --tasks 2 -- fit zoo".to_owned(), "--sweep"),
        ("submit --tasks 2 -- sample model".to_owned(), "zoo train, zoo align"),
        (format!("submit --tasks 2 -- {ZOO} zoo --shard 0/2"), "--shard"),
        (format!("submit --tasks 9 -- {ZOO} zoo"), "at most 7"),
        (format!("submit --tasks 2 --on slurm -- {ZOO} zoo"), "--dry-run"),
        (format!("submit --tasks 2 --out zoo -- {ZOO} zoo"), "behind --"),
        (format!("submit --tasks 2 --python nowhere/python -- {ZOO} zoo"), "nowhere/python"),
    ] {
        let (code, _, err) = said(dir, &words);
        assert!(code == 2 && err.contains(expected), "{words}: {code} {err}");
    }
    fs::remove_dir_all(dir.join("zoo/.tasks")).unwrap();
    assert_eq!(difference(&before, &promised(&dir.join("zoo"))), None);
}

#[cfg(unix)]
#[test]
fn a_task_whose_disk_is_full_fails_alone_and_leaves_no_part() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let limited =
        format!("trap '' XFSZ; ulimit -f 8; exec '{}' {ZOO} zoo --shard 1/7 -q", env!("CARGO_BIN_EXE_thalweg"));
    done(dir, &format!("{ZOO} zoo --shard 0/7 -q"));
    let output = std::process::Command::new("sh").args(["-c", &limited]).current_dir(dir).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && err.contains("shard-00001") && err.contains("too large"), "{err}");
    for index in 2..7 {
        done(dir, &format!("{ZOO} zoo --shard {index}/7 -q"));
    }
    let (code, out, _) = said(dir, "gather zoo");
    assert!(code == 1 && out.contains("missing: 1\n"), "{out}");
    done(dir, &format!("{ZOO} zoo --shard 1/7 -q"));
    done(dir, "gather zoo -q");
    done(dir, &format!("{ZOO} one -q"));
    assert_eq!(difference(&promised(&dir.join("one")), &promised(&dir.join("zoo"))), None);
}

#[test]
fn what_is_to_be_typed_for_an_engine_is_printed() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    done(dir, &format!("{ZOO} zoo --shard 2/7 -q"));
    let hq = done(dir, &format!("submit --tasks 7 --cpus 2 --dry-run -- thalweg {ZOO} zoo"));
    for part in [
        "hq submit --array 0-1,3-6 --cpus 2 --name thalweg-",
        "--threads 2 --shard auto/7\nthalweg gather zoo\n",
        "zoo/.tasks/%{TASK_ID}.err",
    ] {
        assert!(hq.contains(part), "{part}: {hq}");
    }
    let slurm = done(dir, &format!("submit --tasks 7 --on slurm --dry-run -- {ZOO} zoo"));
    for part in ["sbatch --array=0-1,3-6 --cpus-per-task=1", "--error=zoo/.tasks/%a.err", "--threads 1 --shard auto/7'"]
    {
        assert!(slurm.contains(part), "{part}: {slurm}");
    }
    // The lines are a shell's: what an engine does with the command is done here by hand.
    let line = slurm.split("--wrap ").nth(1).unwrap().lines().next().unwrap();
    for index in [0, 1, 3, 4, 5, 6] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("exec sh -c {line}")]).env("SLURM_ARRAY_TASK_ID", index.to_string());
        assert!(shell.current_dir(dir).stdout(std::process::Stdio::null()).status().unwrap().success());
    }
    assert_eq!(done(dir, &format!("submit --tasks 7 --dry-run -- {ZOO} zoo")), "thalweg gather zoo\n");
    done(dir, "gather zoo -q");
}
