//! Which Python tests against PyTorch run in.
use std::process::Command;

/// The Python in which torch and safetensors can be imported: `THALWEG_PYTHON`, which then must, or `python3`, if it can.
pub fn python() -> Option<String> {
    let asked = std::env::var("THALWEG_PYTHON").ok();
    let python = asked.clone().unwrap_or_else(|| "python3".into());
    let found = Command::new(&python).args(["-c", "import torch, safetensors.torch"]).output();
    match found.is_ok_and(|output| output.status.success()) {
        true => Some(python),
        false => {
            assert!(asked.is_none(), "{python}, which THALWEG_PYTHON names, cannot import torch and safetensors");
            eprintln!(
                "SKIPPED, NOT PASSED: {python} cannot import torch and safetensors; set THALWEG_PYTHON to one that can"
            );
            None
        }
    }
}
