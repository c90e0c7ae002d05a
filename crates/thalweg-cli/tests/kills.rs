//! `kill -9` at random moments, then `--resume`: every command that resumes ends with the files of a run that nobody disturbed, byte for byte, and with
//! no others. A command that cannot resume leaves nothing that stands in the way of its retry.
//!
//! `THALWEG_KILLS` is the number of kills for each command (2), `THALWEG_KILLS_SEED` the seed of their moments (1), `THALWEG_KILLS_ONLY` a part of the
//! names of the commands tried.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
#![cfg(unix)]
mod support;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{JOBS, Job, difference, done, inputs, promised, thalweg};

/// Kills of one output, at most, before it is let go on to its end.
const IN_A_ROW: u64 = 3;

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

/// Runs `words`, killed after `moment`; whether the kill came in time.
#[track_caller]
fn killed(dir: &Path, words: &str, moment: Duration) -> bool {
    let mut child = thalweg(dir, words).spawn().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < moment {
        if let Some(status) = child.try_wait().unwrap() {
            let output = child.wait_with_output().unwrap();
            assert!(status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
            return false;
        }
        std::thread::sleep(Duration::from_millis(1).min(moment));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Kills `job` again and again in new folders of `home`; gives the number of kills.
fn campaign(job: &Job, home: &Path, kills: u64, rng: &mut StdRng) -> u64 {
    let folder = |name: String| {
        let dir = home.join(name);
        fs::create_dir(&dir).unwrap();
        dir
    };
    let whole = folder(format!("{}-whole", job.name));
    let begun = Instant::now();
    done(&whole, &job.line(""));
    let (took, expected) = (begun.elapsed(), promised(&whole));
    assert!(!expected.is_empty());
    let (again, mut count) = (if job.resumes { "--resume" } else { "--force" }, 0);
    for trial in 0.. {
        if count >= kills {
            break;
        }
        let dir = folder(format!("{}-{trial}", job.name));
        let mut ended = false;
        for round in 0..IN_A_ROW.min(kills - count) {
            let words = job.line(if round == 0 { "" } else { again });
            if !killed(&dir, &words, took.mul_f64(rng.random())) {
                ended = true;
                break;
            }
            count += 1;
        }
        if !ended || job.resumes {
            done(&dir, &job.line(again));
        }
        let found: BTreeMap<_, _> = promised(&dir);
        if let Some(what) = difference(&expected, &found) {
            panic!("{}: trial {trial}, after {count} kills: {what} ({})", job.name, dir.display());
        }
        fs::remove_dir_all(dir).unwrap();
        assert!(trial < 50 * (kills + 1), "{}: it ends before it can be killed", job.name);
    }
    count
}

#[test]
fn killed_commands_end_with_the_files_of_undisturbed_ones() {
    let home = tempfile::tempdir().unwrap();
    inputs(home.path());
    let kills = environment("THALWEG_KILLS", 2);
    let only = std::env::var("THALWEG_KILLS_ONLY").unwrap_or_default();
    let mut rng = StdRng::seed_from_u64(environment("THALWEG_KILLS_SEED", 1));
    let mut faults = Vec::new();
    for job in JOBS.iter().filter(|job| job.name.contains(&only)) {
        let tried =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| campaign(job, home.path(), kills, &mut rng)));
        match tried {
            Ok(count) => println!("{:12} {count} kills, none with another end", job.name),
            Err(_) => faults.push(job.name),
        }
    }
    if !faults.is_empty() {
        let kept = home.keep();
        panic!("{faults:?}: see above, and {}", kept.display());
    }
}
