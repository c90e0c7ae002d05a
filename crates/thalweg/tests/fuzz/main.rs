//! Every reader of outside files, held against mutations of good files: an answer or an error, never a panic, an overflow, an endless
//! loop, or more memory than a small machine has.
//!
//! Tests are built with overflow checks. `THALWEG_FUZZ_SECONDS` is the time for each target (1); `THALWEG_FUZZ_SEED` the seed (1). The input
//! under way lies in the temporary folder's `thalweg-fuzz-TARGET` until it is done with, so what killed the process can be read there.
#![allow(clippy::unwrap_used)]
#[path = "../common/mod.rs"]
mod common;
mod mutate;
mod targets;

use cap::Cap;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::alloc::System;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use targets::Target;

/// Memory that readers of small files may take in all, in bytes: past it an allocation fails, and the process with it.
const MEMORY: usize = 3 << 30;
/// How long one input may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Milliseconds since `begun` at which the input under way began; 0 between inputs.
static UNDER_WAY: AtomicU64 = AtomicU64::new(0);

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

/// Ends the process where an input takes too long: a thread cannot be stopped from outside.
fn watch(begun: Instant) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let since = UNDER_WAY.load(Ordering::SeqCst);
            let now = u64::try_from(begun.elapsed().as_millis()).unwrap();
            if since > 0 && now > since + u64::try_from(PATIENCE.as_millis()).unwrap() {
                eprintln!("an input took longer than {PATIENCE:?}; it lies in {}", std::env::temp_dir().display());
                std::process::abort();
            }
        }
    });
}

fn tried(target: &Target, seconds: u64, home: &Path, begun: Instant) -> (u64, u64, Vec<String>) {
    let mut rng = StdRng::seed_from_u64(environment("THALWEG_FUZZ_SEED", 1));
    let keep = std::env::temp_dir().join(format!("thalweg-fuzz-{}", target.name));
    let (mut executions, mut accepted, mut faults) = (0, 0, Vec::new());
    let end = Instant::now() + Duration::from_secs(seconds);
    for round in 0.. {
        let seed = &target.seeds[round % target.seeds.len()];
        let other = &target.seeds[(round / 2) % target.seeds.len()];
        // The seeds themselves come first.
        let input = if round < target.seeds.len() { seed.clone() } else { mutate::mutated(seed, other, &mut rng) };
        std::fs::write(&keep, &input).unwrap();
        UNDER_WAY.store(u64::try_from(begun.elapsed().as_millis()).unwrap().max(1), Ordering::SeqCst);
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.read)(&input, home)));
        UNDER_WAY.store(0, Ordering::SeqCst);
        executions += 1;
        match outcome {
            Ok(read) => accepted += u64::from(read),
            Err(_) => {
                let path = keep.with_extension(format!("panic-{executions}"));
                std::fs::copy(&keep, &path).unwrap();
                faults.push(format!("{}: panics on {}", target.name, path.display()));
            }
        }
        if Instant::now() > end || faults.len() > 4 {
            break;
        }
    }
    std::fs::remove_file(&keep).unwrap();
    (executions, accepted, faults)
}

#[test]
fn readers_answer_or_refuse_whatever_they_are_given() {
    let home = tempfile::tempdir().unwrap();
    let targets = targets::all(home.path());
    let seconds = environment("THALWEG_FUZZ_SECONDS", 1);
    let begun = Instant::now();
    watch(begun);
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + MEMORY).unwrap();
    let mut faults = Vec::new();
    for target in &targets {
        let (executions, accepted, found) = tried(target, seconds, home.path(), begun);
        println!("{:12} {executions} executions, {accepted} read", target.name);
        assert!(accepted > 0, "{}: not even its seeds were read", target.name);
        faults.extend(found);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
