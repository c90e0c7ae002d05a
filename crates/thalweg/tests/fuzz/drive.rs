//! Drives readers with mutations of good files: an answer or an error, never a panic, an overflow, an endless loop, or more memory than a small
//! machine has.
//!
//! Tests are built with overflow checks. `THALWEG_FUZZ_SECONDS` is the time for each target (1), `THALWEG_FUZZ_SEED` the seed (1), `THALWEG_FUZZ_ONLY`
//! a part of the names of the targets that are driven. The input under way lies in the temporary folder's `thalweg-fuzz-TARGET` until it is done
//! with, so what killed the process can be read there; put it into `corpus/TARGET/` when it is mended, from where every run takes it first.
use super::{envelope, mutate};
use cap::Cap;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::alloc::System;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Memory that readers of small files may take in all, in bytes: past it an allocation fails, and the process with it.
const MEMORY: usize = 3 << 30;
/// How long one input may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Inputs at fault of one target, at most: more tell nothing new.
const FAULTS: usize = 4;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Milliseconds since the start at which the input under way began; 0 between inputs.
static UNDER_WAY: AtomicU64 = AtomicU64::new(0);

/// Whether the input was read (rather than refused); the folder is for the target's own use.
type Read = Box<dyn Fn(&[u8], &Path) -> bool>;

/// A reader with good inputs.
pub struct Target {
    pub name: &'static str,
    pub seeds: Vec<Vec<u8>>,
    pub read: Read,
}

pub fn target(name: &'static str, seeds: Vec<Vec<u8>>, read: impl Fn(&[u8], &Path) -> bool + 'static) -> Target {
    Target { name, seeds, read: Box::new(read) }
}

/// A reader of a text.
pub fn of_text(name: &'static str, seeds: &[&str], read: impl Fn(&str) -> bool + 'static) -> Target {
    let seeds = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    target(name, seeds, move |bytes, _| std::str::from_utf8(bytes).is_ok_and(&read))
}

/// A reader of a file of this name, in a folder of its own.
pub fn of_file(
    name: &'static str,
    file: &'static str,
    seeds: Vec<Vec<u8>>,
    read: impl Fn(&Path) -> bool + 'static,
) -> Target {
    target(name, seeds, move |bytes, home| {
        let path = home.join(name).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        read(&path)
    })
}

/// What came of a target.
struct Tried {
    executions: u64,
    read: u64,
    slowest: Duration,
    faults: Vec<String>,
}

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

/// Inputs that found a fault once.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../thalweg/tests/fuzz/corpus").join(name);
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn tried(target: &Target, seconds: u64, home: &Path, begun: Instant) -> Tried {
    let mut rng = StdRng::seed_from_u64(environment("THALWEG_FUZZ_SEED", 1));
    let keep = std::env::temp_dir().join(format!("thalweg-fuzz-{}", target.name));
    let seeds = [target.seeds.clone(), corpus(target.name)].concat();
    let mut all = Tried { executions: 0, read: 0, slowest: Duration::ZERO, faults: Vec::new() };
    let end = Instant::now() + Duration::from_secs(seconds);
    for round in 0.. {
        let seed = &seeds[round % seeds.len()];
        let other = &seeds[(round / 2) % seeds.len()];
        // The seeds themselves come first.
        let input = if round < seeds.len() { seed.clone() } else { envelope::varied(seed, other, &mut rng) };
        fs::write(&keep, &input).unwrap();
        UNDER_WAY.store(u64::try_from(begun.elapsed().as_millis()).unwrap().max(1), Ordering::SeqCst);
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.read)(&input, home)));
        all.slowest = all.slowest.max(start.elapsed());
        UNDER_WAY.store(0, Ordering::SeqCst);
        all.executions += 1;
        match outcome {
            Ok(read) => {
                assert!(read || round >= target.seeds.len(), "{}: seed {round} is not read", target.name);
                all.read += u64::from(read);
            }
            Err(_) => {
                let path = keep.with_extension(format!("panic-{}", all.executions));
                fs::copy(&keep, &path).unwrap();
                all.faults.push(format!("{}: panics on {}", target.name, path.display()));
            }
        }
        if (round >= seeds.len() && Instant::now() > end) || all.faults.len() > FAULTS {
            break;
        }
    }
    fs::remove_file(&keep).unwrap();
    all
}

/// Drives all targets in the folder `home`.
///
/// # Panics
/// On the first process-wide fault, and at the end where a reader panicked.
pub fn drive(targets: &[Target], home: &Path) {
    let seconds = environment("THALWEG_FUZZ_SECONDS", 1);
    let only = std::env::var("THALWEG_FUZZ_ONLY").unwrap_or_default();
    let begun = Instant::now();
    watch(begun);
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + MEMORY).unwrap();
    let mut faults = Vec::new();
    for target in targets.iter().filter(|target| target.name.contains(&only)) {
        let tried = tried(target, seconds, home, begun);
        let Tried { executions, read, slowest, .. } = tried;
        println!("{:16} {executions:8} executions, {read:8} read, slowest {slowest:.1?}", target.name);
        faults.extend(tried.faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Mutations find what they are for: they stay well-formed often enough to get past wrappings and checksums.
#[test]
fn mutations_within_checksums_and_packings_are_whole() {
    let mut rng = StdRng::seed_from_u64(7);
    let text = thalweg_nets::checksum::seal_text("a = 1\nb = 2\n".into()).into_bytes();
    let gz = envelope::gzip(b"1,2\n3,4\n");
    let count = |seed: &[u8], rng: &mut StdRng, whole: &dyn Fn(&[u8]) -> bool| {
        (0..400).map(|_| envelope::varied(seed, seed, rng)).filter(|bytes| bytes != seed && whole(bytes)).count()
    };
    let sealed = |bytes: &[u8]| {
        std::str::from_utf8(bytes).is_ok_and(|t| thalweg_nets::checksum::check_text(Path::new("x"), t).is_ok())
    };
    assert!((100..300).contains(&count(&text, &mut rng, &sealed)));
    assert!((100..300).contains(&count(&gz, &mut rng, &|bytes| envelope::gunzip(bytes).is_some())));
    assert!(mutate::mutated(b"", b"", &mut rng).len() < 64);
}
