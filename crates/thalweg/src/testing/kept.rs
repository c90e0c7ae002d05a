//! Weights of small networks that many tests share, kept in `tests/data` as little-endian f32: every test runs in a process of its own, and would train
//! them again. They are made by the ignored tests called `writes_…` (`cargo test -p thalweg -- --ignored writes_`), and a test beside each holds
//! them against a training.
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The numbers kept as `name`.
pub fn read(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Keeps `numbers` as `name`.
pub fn write(name: &str, numbers: &[f32]) {
    std::fs::write(path(name), numbers.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
}

/// Whether `found` are the numbers kept as `name`, up to what other instruction sets make of a short training.
pub fn is(name: &str, found: &[f32]) -> bool {
    let kept = read(name);
    kept.len() == found.len() && kept.iter().zip(found).all(|(a, b)| (a - b).abs() < 1e-2 * (1.0 + b.abs()))
}
