//! Which Python tests against PyTorch run in.
use std::process::Command;

/// The Python in which torch and safetensors can be imported: `THALWEG_PYTHON`, which then must, or `python3`, if it can.
#[allow(dead_code)] // not every test that has this file asks for both
pub fn python() -> Option<String> {
    found("import torch, safetensors.torch", "torch and safetensors", &["python3"])
}

/// The Python in which torch can be imported: `THALWEG_PYTHON`, which then must, or `python3` of the path or of the system, if one can.
#[allow(dead_code)]
pub fn torch() -> Option<String> {
    found("import torch", "torch", &["python3", "/usr/bin/python3"])
}

fn found(line: &str, what: &str, known: &[&str]) -> Option<String> {
    let can = |python: &str| {
        let found = Command::new(python).args(["-c", line]).output();
        found.is_ok_and(|output| output.status.success())
    };
    if let Ok(asked) = std::env::var("THALWEG_PYTHON") {
        assert!(can(&asked), "{asked}, which THALWEG_PYTHON names, cannot import {what}");
        return Some(asked);
    }
    let first = known.iter().find(|python| can(python)).map(|python| (*python).to_owned());
    if first.is_none() {
        eprintln!("SKIPPED, NOT PASSED: {known:?} cannot import {what}; set THALWEG_PYTHON to one that can");
    }
    first
}
