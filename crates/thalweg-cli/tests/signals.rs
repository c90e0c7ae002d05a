//! Signals: every long command hears them, keeps what it can, says so truthfully and exits with the code of the signal; and whatever goes on ends with
//! the bytes of a run that nobody disturbed.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
#![cfg(unix)]
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Two seconds is what is promised; a machine that does other work is given more.
const PATIENCE: Duration = Duration::from_secs(10);

fn thalweg(dir: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(dir).args(words.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn done(dir: &Path, words: &str) {
    let output = thalweg(dir, words).output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Starts the command, sends it `signal` after a while, and gives what it came to.
#[track_caller]
fn stopped(dir: &Path, words: &str, after: Duration, signal: &str) -> Output {
    let mut child = thalweg(dir, words).spawn().unwrap();
    std::thread::sleep(after);
    assert!(child.try_wait().unwrap().is_none(), "{words}: ended before the signal");
    after_signal(child, words, signal)
}

/// Sends `signal`, and gives what the command came to.
#[track_caller]
fn after_signal(mut child: Child, words: &str, signal: &str) -> Output {
    send(&child, signal);
    let sent = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if sent.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{words}: still running {PATIENCE:?} after SIG{signal}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const SECOND: Duration = Duration::from_millis(1500);

#[test]
fn a_zoo_keeps_single_runs_and_goes_on_to_the_same_bytes() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    // One shard, so that nothing whole is there before the end.
    let make = |out: &str| {
        format!("zoo train --arch digits --data digits --kind independent --runs 12 --steps 4000 --seed 3 --out {out}")
    };
    let begun = Instant::now();
    done(dir, &(make("whole") + " -q"));
    let took = begun.elapsed();
    // Half-way, or earlier where it is faster now.
    let midway = |part: &u32| {
        let child = thalweg(dir, &make("zoo")).spawn().unwrap();
        std::thread::sleep(took / *part);
        let output = after_signal(child, "zoo train", "TERM");
        if output.status.success() {
            fs::remove_dir_all(dir.join("zoo")).unwrap();
        }
        Some(output).filter(|output| !output.status.success())
    };
    let output = [2, 4, 8, 16].iter().find_map(midway).expect("it ends before it can be stopped");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(143), "{text}");
    let kept = text.lines().find(|l| l.contains("interrupted")).unwrap_or_else(|| panic!("{text}"));
    assert!(kept.contains("of 12 runs kept") && kept.contains("--resume"), "{kept}");
    let number: usize = kept.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert_eq!(dir.join("zoo/shard-00000.partial").exists(), number > 0, "{kept}");
    done(dir, &(make("zoo") + " --resume -q"));
    for file in ["zoo.toml", "shard-00000.safetensors"] {
        assert_eq!(fs::read(dir.join("zoo").join(file)).unwrap(), fs::read(dir.join("whole").join(file)).unwrap());
    }
    assert!(!dir.join("zoo/shard-00000.partial").exists());
}

#[test]
fn fit_and_tune_keep_their_state_under_every_signal() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    done(dir, "zoo train --arch digits --data digits --kind fork --runs 12 --epochs 1 --out zoo -q");
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let output = stopped(dir, &format!("fit zoo --steps 4000000 --out fit-{signal} -q"), SECOND, signal);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("of 4000000 steps kept") && text.contains("--resume"), "{text}");
        assert!(dir.join(format!("fit-{signal}")).join("fit-state.safetensors").exists());
    }
    done(dir, "fit zoo --steps 20 --out model -q");
    // Thousands of trajectories: a single iteration is longer than anybody waits.
    let words = "tune model --reward loss:digits@rotate=40 --set trajectories=20000 --samples 4 --out tuned -q";
    let output = stopped(dir, words, SECOND, "INT");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("iterations kept") && dir.join("tuned/tune-state.safetensors").exists(), "{text}");
}

#[test]
fn what_cannot_go_on_hears_and_says_that_nothing_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    done(dir, "zoo train --arch digits --data digits --kind fork --runs 12 --epochs 1 --out zoo -q");
    done(dir, "fit zoo --steps 20 --out model -q");
    done(dir, "sample model -n 1 --format per-network --out one -q");
    fs::copy(dir.join("one/network-00000.safetensors"), dir.join("f.safetensors")).unwrap();
    let calibrate = |method: &str, more: &str| {
        format!(
            "shift calibrate --model f.safetensors --arch digits --p digits --size 10 --methods {method} {more} --out {method}.cal -q"
        )
    };
    // The classifiers of a query are trained when it is tested, for every redraw anew.
    done(dir, &calibrate("detectron", "--null 20000").replace("detectron.cal", "queries.cal"));
    for words in [
        "sample model -n 20000 --steps 2000 --out many.safetensors -q".into(),
        "sample model -n 2 --steps 100000000 --out long.safetensors -q".into(),
        calibrate("bank", "--set bank.size=40000"),
        "shift test queries.cal --q digits --draw --out verdict -q".into(),
        calibrate("meta-detectron", "--null 1000"),
        calibrate("conditional", ""),
    ] {
        let output = stopped(dir, &words, SECOND, "INT");
        let text = said(&output);
        assert_eq!(output.status.code(), Some(130), "{words}: {text}");
        assert!(text.contains("nothing was written") && !text.contains("--resume"), "{words}: {text}");
        let target = words.split(' ').skip_while(|word| *word != "--out").nth(1).unwrap();
        assert!(!dir.join(target).exists(), "{words}");
    }
}

#[test]
fn a_second_signal_stops_at_once_and_nohup_is_respected() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    done(dir, "zoo train --arch digits --data digits --kind fork --runs 12 --epochs 1 --out zoo -q");
    let mut child = thalweg(dir, "fit zoo --steps 4000000 --out m -q").spawn().unwrap();
    std::thread::sleep(SECOND);
    send(&child, "TERM");
    send(&child, "TERM");
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(143));
    // Under nohup a closing terminal is ignored; SIGTERM is not.
    let mut nohup = Command::new("nohup");
    nohup.arg(env!("CARGO_BIN_EXE_thalweg")).args("fit zoo --steps 4000000 --out n -q".split(' ')).current_dir(dir);
    let mut child = nohup.stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    std::thread::sleep(SECOND);
    send(&child, "HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "nohup is respected");
    send(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_zoo_whose_runs_all_died_is_no_success() {
    let home = tempfile::tempdir().unwrap();
    let words =
        "zoo train --arch digits --data digits --runs 3 --steps 40 --optimiser sgd --learning-rate 1e25 --out failed";
    let output = thalweg(home.path(), words).stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("all 3 runs failed") && !text.contains("Next:") && !text.contains("imported"), "{text}");
}
