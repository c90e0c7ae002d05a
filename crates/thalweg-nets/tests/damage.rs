//! Damage to a zoo's files is found when they are read, whichever bit it hits; and an interruption costs no finished run.
#![allow(clippy::unwrap_used)]
mod common;

use common::{RESUME, spec, sums, train};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use thalweg_nets::progress::{Progress, Silent};
use thalweg_nets::zoo::{ImportOptions, ZooSpec, ZooStore, import, train_zoo};
use thalweg_nets::{Error, Result};

/// Flips single bits of `file` all over it, and asserts that `read` refuses every time, naming the file.
fn every_flip_is_found(file: &Path, flips: usize, read: &dyn Fn() -> Result<()>) {
    read().unwrap();
    let (whole, name) = (fs::read(file).unwrap(), file.file_name().unwrap().to_string_lossy().into_owned());
    for i in 0..flips {
        // The header's beginning closely, then evenly to the last byte; each time another bit.
        let byte = if i < 100 { i } else { 100 + (i - 100) * (whole.len() - 101) / (flips - 101) };
        let mut damaged = whole.clone();
        damaged[byte.min(whole.len() - 1)] ^= 1 << (i % 8);
        fs::write(file, &damaged).unwrap();
        let message = read().err().unwrap_or_else(|| panic!("{name}: bit {} of byte {byte} unseen", i % 8)).to_string();
        assert!(message.contains(&name), "byte {byte}: {message}");
    }
    fs::write(file, whole).unwrap();
    read().unwrap();
}

#[test]
fn a_flipped_bit_of_any_file_of_a_zoo_is_found_and_the_file_named() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("zoo");
    train(&spec("fork"), &dir).unwrap();
    let open = || ZooStore::open(&dir).map(drop);
    for file in ["shard-00000.safetensors", "shard-00003.safetensors", "zoo.toml"] {
        every_flip_is_found(&dir.join(file), 300, &open);
    }
    let centre = || ZooStore::open(&dir)?.centre().map(drop);
    every_flip_is_found(&dir.join("centre.safetensors"), 300, &centre);
    // Whoever goes on with the zoo is told as well, before a run starts from it.
    fs::remove_file(dir.join("shard-00001.safetensors")).unwrap();
    let mut bytes = fs::read(dir.join("centre.safetensors")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(dir.join("centre.safetensors"), bytes).unwrap();
    let message = train_zoo(&spec("fork"), &dir, &RESUME, &Silent).unwrap_err().to_string();
    assert!(message.contains("centre.safetensors: checksum"), "{message}");
}

#[test]
fn an_edited_recipe_and_a_file_without_checksum_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("zoo");
    train(&spec("independent"), &dir).unwrap();
    let (toml, refused) = (dir.join("zoo.toml"), || ZooStore::open(&dir).unwrap_err().to_string());
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, text.replacen("batch = 64", "batch = 65", 1)).unwrap();
    assert!(refused().contains("zoo.toml: checksum (BLAKE3)") && refused().contains("changed"), "{}", refused());
    let bare: String = text.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect();
    fs::write(&toml, bare).unwrap();
    assert!(refused().contains("without checksums"), "{}", refused());
    // As a specification for a zoo of its own, the text may be edited at will.
    fs::write(root.path().join("mine.toml"), text.replacen("runs = 10", "runs = 2", 1)).unwrap();
    let mine = ZooSpec::read(&root.path().join("mine.toml")).unwrap();
    assert_eq!(train(&mine, &root.path().join("mine")).unwrap().runs(), 2);
}

#[test]
fn the_id_of_an_imported_zoo_is_of_its_numbers() {
    let root = tempfile::tempdir().unwrap();
    let layout = thalweg_nets::Layout::of(&common::digits());
    let source = root.path().join("nets");
    fs::create_dir(&source).unwrap();
    let id = |last: f32, out: &str| {
        let mut theta = vec![0.5; layout.len()];
        *theta.last_mut().unwrap() = last;
        fs::write(source.join("a.safetensors"), layout.to_safetensors(&theta).unwrap()).unwrap();
        let zoo = import(&source, &root.path().join(out), &ImportOptions::default(), &Silent).unwrap();
        zoo.origin().id().to_owned()
    };
    let ids = [id(0.5, "a"), id(0.5, "b"), id(0.25, "c")];
    assert!(ids[0] == ids[1] && ids[0] != ids[2], "{ids:?}");
}

/// Interrupts after so many runs; counts runs, and remembers what is said to be kept.
struct Stop {
    after: u64,
    runs: AtomicU64,
    resumed: AtomicU64,
    kept: Mutex<Vec<(u64, u64, String)>>,
}

impl Stop {
    fn after(after: u64) -> Self {
        Self { after, runs: AtomicU64::new(0), resumed: AtomicU64::new(0), kept: Mutex::new(vec![]) }
    }
}

impl Progress for Stop {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, n: u64) {
        // Runs that were there already are told at once, finished ones singly.
        if n == 1 { &self.runs } else { &self.resumed }.fetch_add(n, Ordering::SeqCst);
    }
    fn note(&self, _: &str) {}
    fn kept(&self, done: u64, total: u64, units: &str) {
        self.kept.lock().unwrap().push((done, total, units.into()));
    }
    fn interrupted(&self) -> bool {
        self.runs.load(Ordering::SeqCst) >= self.after
    }
}

#[test]
fn an_interruption_within_a_shard_keeps_every_finished_run_and_says_so() {
    let root = tempfile::tempdir().unwrap();
    let one_shard = ZooSpec { shard: 64, ..spec("shared") };
    let whole = root.path().join("whole");
    train(&one_shard, &whole).unwrap();
    let (dir, stop) = (root.path().join("zoo"), Stop::after(4));
    assert!(matches!(train_zoo(&one_shard, &dir, &RESUME, &stop), Err(Error::Interrupted)));
    let partial = dir.join("shard-00000.partial");
    let kept = stop.kept.lock().unwrap().clone();
    let [(done, 10, ref units)] = kept[..] else { panic!("{kept:?}") };
    assert!(partial.exists() && units == "runs" && (4..10).contains(&done), "{kept:?}");
    assert!(ZooStore::open(&dir).unwrap_err().to_string().contains("not finished"));
    // Damage to the part is found, and no run is believed that is not of this shard.
    every_flip_is_found(&partial, 200, &|| match train_zoo(&one_shard, &dir, &RESUME, &Stop::after(0)) {
        Err(Error::Interrupted) => Ok(()),
        other => other.map(drop),
    });
    let again = Stop::after(u64::MAX);
    train_zoo(&one_shard, &dir, &RESUME, &again).unwrap();
    assert_eq!(again.resumed.load(Ordering::SeqCst), done);
    assert_eq!(again.runs.load(Ordering::SeqCst), 10 - done, "only the others are trained");
    assert_eq!(sums(&dir), sums(&whole), "and the bytes are those of an undisturbed zoo");
}
