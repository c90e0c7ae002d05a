//! Files of `torch.save`, against what PyTorch itself says that they hold (`data/pytorch/make.py`).
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::checkpoints::Network;
use thalweg_nets::zoo::{ImportOptions, import};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pytorch")
}

/// Name, shape and numbers of every tensor.
type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn expected(file: &str) -> Tensors {
    let all: Value = serde_json::from_str(&fs::read_to_string(data().join("expected.json")).unwrap()).unwrap();
    let numbers = |list: &Value| list.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let of = |(name, tensor): (&String, &Value)| {
        let shape = numbers(&tensor[0]).iter().map(|n| *n as usize).collect();
        (name.clone(), shape, numbers(&tensor[1]).iter().map(|v| *v as f32).collect())
    };
    let mut tensors: Tensors = all[file].as_object().unwrap().iter().map(of).collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

fn found(path: &Path) -> Tensors {
    let network = Network::single(path);
    let layout = network.layout().unwrap();
    let theta = network.read(&layout, &network.reading(&layout).unwrap()).unwrap();
    let of = |slot: &thalweg_nets::layout::Slot| (slot.name.clone(), slot.shape.clone(), theta[slot.range()].to_vec());
    let mut tensors: Tensors = layout.slots().iter().map(of).collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

#[test]
fn every_file_holds_what_pytorch_says() {
    let files = [
        "state.pt",
        "legacy.pt",
        "training.ckpt",
        "module.pth",
        "parameters.pt",
        "views.bin",
        "kinds.pt",
        "legacy-views.pt",
        "tied.pt",
    ];
    for file in files {
        let (expected, found) = (expected(file), found(&data().join(file)));
        assert!(!expected.is_empty() && found == expected, "{file}:\n{found:?}\n{expected:?}");
    }
}

#[test]
fn what_is_passed_over_is_told() {
    let told = |file: &str| {
        let network = Network::single(&data().join(file));
        let layout = network.layout().unwrap();
        network.reading(&layout).unwrap().passed_over.into_iter().collect::<Vec<_>>().join("; ")
    };
    assert!(told("training.ckpt").contains("ema (tensors beside those of state_dict)"), "{}", told("training.ckpt"));
    for part in ["steps (integers", "mask (a mask"] {
        assert!(told("kinds.pt").contains(part), "{}", told("kinds.pt"));
    }
    assert!(told("state.pt").contains("norm.num_batches_tracked (integers"));
}

#[test]
fn runs_of_torch_files_become_a_zoo() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("source"), dir.path().join("zoo"));
    for run in ["run-0", "run-1"] {
        fs::create_dir_all(source.join(run)).unwrap();
        for step in ["step-0.pt", "step-100.pt"] {
            fs::copy(data().join("state.pt"), source.join(run).join(step)).unwrap();
        }
        // What a training leaves beside its networks.
        fs::copy(data().join("training.ckpt"), source.join(run).join("optimizer.pt")).unwrap();
    }
    let zoo = import(&source, &out, &ImportOptions::default(), &Silent).unwrap();
    assert_eq!((zoo.runs(), zoo.checkpoints()), (2, 2));
    let trajectory = zoo.trajectory(1).unwrap();
    let numbers: usize = expected("state.pt").iter().map(|(_, _, values)| values.len()).sum();
    assert_eq!(trajectory.len(), 2 * numbers);
    // Beside a file of safetensors, PyTorch's are passed over: whoever saves both saves one network twice.
    let both = dir.path().join("both");
    fs::create_dir_all(&both).unwrap();
    fs::copy(data().join("state.pt"), both.join("pytorch_model.bin")).unwrap();
    let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
    safetensors::serialize_to_file([("a", tensor)], None, &both.join("model.safetensors")).unwrap();
    let (networks, passed_over) = thalweg_nets::zoo::checkpoints::networks(&both).unwrap();
    assert_eq!(networks.len(), 1);
    assert!(networks[0].files[0].ends_with("model.safetensors") && passed_over.len() == 1);
}

#[test]
fn damaged_files_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |bytes: &[u8]| {
        let path = dir.path().join("net.pt");
        fs::write(&path, bytes).unwrap();
        let network = Network::single(&path);
        let read = network.layout().and_then(|layout| network.read(&layout, &network.reading(&layout)?));
        read.map(|_| ()).map_err(|e| e.to_string())
    };
    for file in ["state.pt", "legacy.pt", "views.bin"] {
        let whole = fs::read(data().join(file)).unwrap();
        refused(&whole).unwrap();
        for end in (0..whole.len()).step_by(7) {
            let said = refused(&whole[..end]).expect_err(&format!("{file}, {end} of {} bytes", whole.len()));
            assert!(said.contains("net.pt"), "{file}, {end} bytes: {said}");
        }
    }
    // Numbers of the zip archive are held to their checksum.
    let mut whole = fs::read(data().join("state.pt")).unwrap();
    let network = Network::single(&data().join("state.pt"));
    let value = found(&network.files[0])[0].2[0].to_le_bytes();
    let at = whole.windows(4).position(|w| w == value).unwrap();
    whole[at] ^= 1;
    assert!(refused(&whole).unwrap_err().contains("checksum"));
    // What is called otherwise than it is.
    let misnamed = dir.path().join("net.safetensors");
    fs::copy(data().join("state.pt"), &misnamed).unwrap();
    let said = Network::single(&misnamed).layout().unwrap_err().to_string();
    assert!(said.contains("torch.save") && said.contains("call it .pt"), "{said}");
    // Not a network at all.
    for (bytes, part) in [
        (&b"\x80\x02}q\x00."[..], "a pickle of something else"),
        (b"\x80\x04\x95\0\0\0\0\0\0\0\0N.", "a pickle of something else"),
        (b"PK\x03\x04 and no archive", "zip archive"),
    ] {
        assert!(refused(bytes).unwrap_err().contains(part), "{:?}", refused(bytes));
    }
}
