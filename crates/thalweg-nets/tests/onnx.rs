//! Base networks from ONNX files that PyTorch exported: the same logits, the names of the module; what no layer can be is named.
#![allow(clippy::unwrap_used)]

mod python;

use safetensors::SafeTensors;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use thalweg_nets::engine::Engine;
use thalweg_nets::layout::floats;
use thalweg_nets::{Architecture, Layout, onnx};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/architectures")
}

/// The tensor `key` of the golden of `name`.
fn golden(name: &str, key: &str) -> Vec<f32> {
    let path = folder().join(format!("{name}.safetensors"));
    let bytes = fs::read(&path).unwrap();
    floats(&path, key, &SafeTensors::deserialize(&bytes).unwrap().tensor(key).unwrap()).unwrap()
}

/// Reads the file and holds its logits against the golden's.
fn check(path: &Path, name: &str) -> Architecture {
    let (architecture, theta) = onnx::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let engine = Engine::new(&architecture).unwrap();
    let (d, truth) = (architecture.input_len(), golden(name, "logits"));
    let rows = truth.len() / architecture.classes();
    let inputs: Vec<f32> = (0..rows * d).map(|k| ((37 * (k % d) + 11 * (k / d)) % 101) as f32 / 50.0 - 1.0).collect();
    let found = engine.logits_of_many(&theta, &engine.pack(&inputs).unwrap()).unwrap();
    let gap = found.iter().zip(&truth).fold(0f32, |m, (a, b)| m.max((a - b).abs() / (1.0 + b.abs())));
    println!("{:<28} {:>6} {gap:.1e}", path.file_name().unwrap().to_string_lossy(), theta.len());
    assert!(gap < 1e-4, "{}: {gap}", path.display());
    architecture
}

#[test]
fn logits_are_those_of_the_module() {
    for name in ["lenet5", "vgg-bn", "resnet8", "mobilenet", "sequence"] {
        check(&folder().join(format!("{name}.onnx")), name);
    }
}

#[test]
fn tensors_have_the_names_of_the_module_and_its_numbers() {
    let (architecture, theta) = onnx::read(&folder().join("resnet8.onnx")).unwrap();
    let (layout, truth) =
        (Layout::of(&architecture), Layout::of(&Architecture::read(&folder().join("resnet8.toml")).unwrap()));
    assert_eq!(layout.len(), truth.len());
    for slot in layout.slots() {
        assert!(truth.slots().iter().any(|own| own.name == slot.name && own.shape == slot.shape), "{}", slot.name);
        assert_eq!(theta[slot.range()], golden("resnet8", &format!("state/{}", slot.name)), "{}", slot.name);
    }
    // Where batch normalisation went into the convolutions, their names are read from the nodes.
    let (architecture, _) = onnx::read(&folder().join("mobilenet.onnx")).unwrap();
    let names: Vec<String> = Layout::of(&architecture).slots().iter().map(|slot| slot.name.clone()).collect();
    assert_eq!(names[..4], ["features.0.weight", "features.0.bias", "features.3.weight", "features.3.bias"]);
}

#[test]
fn what_no_layer_can_be_is_named_by_node_and_operator() {
    let said = onnx::read(&folder().join("groupnet.onnx")).unwrap_err().to_string();
    assert!(said.contains("/block/norm1/") && said.contains("operator"), "{said}");
    for (bytes, part) in
        [(&b"\x3a\x05"[..], "a length beyond its message"), (b"", "0 graphs"), (&[0xff; 11], "more than ten bytes")]
    {
        let said = onnx::parse("x", bytes).unwrap_err().to_string();
        assert!(said.contains(part), "{said}");
    }
    // Damage anywhere is an error or another network, never a crash.
    let whole = fs::read(folder().join("sequence.onnx")).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        let _ = onnx::parse("x", &bytes);
        let _ = onnx::parse("x", &whole[..at]);
    }
}

#[test]
fn operator_sets_9_to_17_are_read() {
    let Some(python) = python::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let make = folder().join("make.py");
    let output = Command::new(&python).arg(&make).arg("onnx").arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for opset in [9, 11, 14, 17] {
        for name in ["lenet5", "vgg-bn", "resnet8", "resnet18", "mobilenet", "sequence"] {
            check(&dir.path().join(format!("{name}-{opset}.onnx")), name);
        }
    }
}
