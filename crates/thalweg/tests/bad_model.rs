//! Model folders and configurations that are not what they should be: every error names the file and the field.
#![allow(clippy::unwrap_used)]
mod common;

use std::fs;
use std::path::Path;
use thalweg::fit::{FitOptions, fit};
use thalweg::model::FitConfig;
use thalweg::model::MetaModel;
use thalweg_nets::checksum;
use thalweg_nets::progress::Silent;

fn edit(dir: &Path, from: &str, to: &str) {
    let path = dir.join("model.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} in\n{text}");
    fs::write(path, checksum::seal_text(text.replace(from, to))).unwrap();
}

/// Replaces the weights by `bytes`, with the hash that belongs to them.
fn weights(dir: &Path, bytes: &[u8]) {
    let old = blake3::hash(&fs::read(dir.join("model.safetensors")).unwrap()).to_hex().to_string();
    let mut bytes = bytes.to_vec();
    checksum::seal(&mut bytes).unwrap();
    fs::write(dir.join("model.safetensors"), &bytes).unwrap();
    edit(dir, &old, blake3::hash(&bytes).to_hex().as_ref());
}

/// Edits the JSON header of the weights without changing its length, and writes the new hash.
fn header(dir: &Path, from: &str, to: &str) {
    let bytes = fs::read(dir.join("model.safetensors")).unwrap();
    let length = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let text = std::str::from_utf8(&bytes[8..length]).unwrap();
    assert!(text.contains(from) && from.len() == to.len(), "{text}");
    weights(dir, &[&bytes[..8], text.replacen(from, to, 1).as_bytes(), &bytes[length..]].concat());
}

type Damage = fn(&Path);

#[test]
fn damaged_models_are_refused_by_file_and_field() {
    let home = tempfile::tempdir().unwrap();
    let zoo = common::zoo("fork", 12, &home.path().join("zoo"));
    let model = fit(&zoo, &FitConfig { steps: 2, ..common::config() }, &FitOptions::default(), &Silent).unwrap();
    let p = zoo.parameters();
    let cases: [(&str, Damage, &[&str]); 16] = [
        (
            "no toml",
            |d| fs::remove_file(d.join("model.toml")).unwrap(),
            &["expected a folder with a model.toml", "found a folder of .safetensors files"],
        ),
        (
            "no weights",
            |d| fs::remove_file(d.join("model.safetensors")).unwrap(),
            &["cannot read", "model.safetensors"],
        ),
        ("format", |d| edit(d, "format = 2", "format = 3"), &["model.toml", "format", "expected 2, found 3"]),
        ("not toml", |d| edit(d, "format = 2", "format = "), &["model.toml", "meta-model"]),
        ("unknown key", |d| edit(d, "format = 2", "format = 2\ncolour = 3"), &["model.toml", "colour"]),
        ("unknown method", |d| edit(d, "[fit.method.cfm", "[fit.method.gan"), &["model.toml", "gan", "cfm"]),
        ("range", |d| edit(d, "sigma = 0.0", "sigma = -1.0"), &["model.toml", "method.cfm.width", "-1"]),
        ("size", |d| edit(d, "width = 16", "width = 99999"), &["model.toml", "field.width", "99999"]),
        (
            "times",
            |d| edit(d, "times = [0.0, 1.0]", "times = [0.0, 0.5, 1.0]"),
            &["model.toml", "times", "2 of them", "found 3"],
        ),
        ("times order", |d| edit(d, "times = [0.0, 1.0]", "times = [1.0, 0.0]"), &["model.toml", "anchor times"]),
        ("layout", |d| edit(d, "offset = 0", "offset = 7"), &["model.toml", "layout, tensor 0.weight", "offset 7"]),
        (
            "other weights",
            |d| {
                let mut bytes = fs::read(d.join("model.safetensors")).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(d.join("model.safetensors"), bytes).unwrap();
            },
            &["model.safetensors", "BLAKE3"],
        ),
        (
            "cut short",
            |d| {
                let bytes = fs::read(d.join("model.safetensors")).unwrap();
                weights(d, &bytes[..bytes.len() / 2]);
            },
            &["model.safetensors", "safetensors header"],
        ),
        (
            "missing tensor",
            |d| header(d, "net.output.bias", "net.output.bios"),
            &["model.safetensors", "tensor net.output.bias", "no such tensor"],
        ),
        ("type", |d| header(d, "\"F32\"", "\"I32\""), &["model.safetensors", "tensor", "I32"]),
        (
            "not finite",
            |d| {
                let mut bytes = fs::read(d.join("model.safetensors")).unwrap();
                let n = bytes.len();
                bytes[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
                weights(d, &bytes);
            },
            &["model.safetensors", "tensor", "finite number", "NaN"],
        ),
    ];
    for (i, (what, damage, expected)) in cases.into_iter().enumerate() {
        let dir = home.path().join(format!("model-{i}"));
        model.save(&dir, false).unwrap();
        damage(&dir);
        let message = MetaModel::load(&dir).err().unwrap_or_else(|| panic!("{what} was accepted")).to_string();
        for part in expected {
            assert!(message.contains(part), "{what}: {part:?} in {message:?}");
        }
    }
    // Shapes of another network: the coordinates prove P before a net of that size is made.
    let dir = home.path().join("model-shape");
    model.save(&dir, false).unwrap();
    header(&dir, &format!("[{p}]"), &format!("[{}]", p - 1));
    let message = MetaModel::load(&dir).err().unwrap().to_string();
    assert!(message.contains("model.safetensors"), "{message}");
}

#[test]
fn bad_configurations_are_refused_by_key() {
    let read = |text: &str| FitConfig::from_toml_str(Path::new("fit.toml"), text);
    for (text, expected) in [
        ("stops = 3", "stops"),
        ("steps = 0", "steps"),
        ("batch = 0", "batch"),
        ("batch = 9000000000000000000", "batch: expected 1 to 1000000"),
        ("validation-points = 1000000000000", "validation-points: expected 1 to 1000000"),
        ("steps = 9000000000000000000", "steps: expected 1 to 1000000000"),
        ("[latent.vae.training]\nbatch = 1000000000000", "latent.vae.training.batch"),
        ("[latent.denoising.training.functional]\nrows = 1000000000000", "functional.rows"),
        ("seed = -1", "seed"),
        ("standardiser = \"rows\"", "per-parameter"),
        ("[method.cfm]\ncoupling = \"paired\"\nsource = \"gaussian\"", "method.cfm.source"),
        ("[method.mmfm]\nmarginals = 100", "method.mmfm.marginals"),
        ("[method.mmfm.width.bridge]\nsigma = 1.0\nfloor = 0.0", "method.mmfm.width.bridge"),
        ("[method.cfm.time-law.logit-normal]\nmean = 0.0\ndeviation = 0.0", "method.cfm.time-law"),
        ("[field.residual-mlp]\nwidth = 0", "field.width"),
        ("[optimiser]\nlearning-rate = 0.0", "optimiser.learning-rate"),
    ] {
        let message = read(text).unwrap_err().to_string();
        assert!(message.contains("fit.toml") && message.contains(expected), "{text}: {message}");
    }
    let whole = FitConfig::default();
    assert_eq!(read(&toml::to_string(&whole).unwrap()).unwrap(), whole);
    assert_eq!(read("").unwrap(), whole);
}

#[test]
fn a_zoo_that_does_not_fit_is_refused_before_the_first_step() {
    let home = tempfile::tempdir().unwrap();
    let zoo = common::zoo("fork", 6, &home.path().join("zoo"));
    let read = |text: &str| FitConfig::from_toml_str(Path::new("fit.toml"), text).unwrap();
    for (text, expected) in [
        ("[method.mmfm]\nmarginals = 30", "2 to 7"),
        ("[split]\nvalidation = 0.6\ntest = 0.6", "split"),
        ("[split]\ntest = 1.5", "split.test"),
    ] {
        let message = fit(&zoo, &read(text), &FitOptions::default(), &Silent).err().unwrap().to_string();
        assert!(message.contains(expected), "{text}: {message}");
    }
}
