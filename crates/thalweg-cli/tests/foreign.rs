//! People's own checkpoints in and out: networks that are made of them have the names, types, counters, ties and frozen tensors of what came in, held by
//! PyTorch itself, which loads all of them with `strict=True`.
#![allow(clippy::unwrap_used)]

#[path = "../../thalweg-nets/tests/python/mod.rs"]
mod python;
#[path = "support/words.rs"]
mod words;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::fs;
use std::path::Path;
use std::process::Command;
use words::{in_dir, stdout};

/// Imports `case` with `flags`, fits and samples two networks into `CASE-nets`; gives what the import told.
fn through(dir: &Path, case: &str, flags: &str, fit: &str) -> String {
    let told = stdout(dir, &format!("zoo import {case} {flags} --out {case}-zoo"));
    stdout(dir, &format!("fit {case}-zoo {fit} --out {case}-model -q"));
    stdout(dir, &format!("sample {case}-model -n 2 --steps 4 --format per-network --out {case}-nets -q"));
    told
}

const FLOW: &str =
    "--steps 5 --set method.cfm.source=gaussian --set method.cfm.coupling=independent --set validate-every=5";

#[test]
fn pytorch_loads_strictly_what_is_made_of_its_checkpoints() {
    let Some(python) = python::torch() else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/modules.py");
    let torch = |what: &str| {
        let output = Command::new(&python).arg(&script).args([what]).arg(dir.path()).output().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    };
    torch("make");
    for case in ["single", "half", "brain", "double", "wrapped", "mixed", "tied-half"] {
        let told = through(dir.path(), case, "", "--method kde --steps 1");
        if case == "half" {
            assert!(told.contains("F16") && told.contains("num_batches_tracked"), "{told}");
        }
    }
    // A flow over the weights themselves would untie what is not one parameter.
    let told = through(dir.path(), "tied", "", FLOW);
    assert!(told.contains("one parameter") && told.contains("embed.weight and head.weight"), "{told}");
    let told = through(dir.path(), "part", "--tensors layer4.*,fc.*", FLOW);
    assert!(told.contains("8 of 13 tensors are modelled") && told.contains("part/net-0.pt"), "{told}");
    through(dir.path(), "heads", "--base whole.pt", "--method kde --steps 1");
    // What is called frozen, and is not, is refused with the way out; a base that is named decides.
    let refused = in_dir(dir.path(), "zoo import single --tensors fc.* --out no").assert().code(2);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    for part in ["not modelled", "--base", "--tensors", "away"] {
        assert!(said.contains(part), "no {part}: {said}");
    }
    assert!(!dir.path().join("no").exists());
    let told = stdout(dir.path(), "zoo import single --tensors fc.* --base single/net-3.pt --dry-run");
    assert!(told.contains("frozen, yet not the same in all networks") && told.contains("net-3.pt"), "{told}");
    torch("check");
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn write(path: &Path, tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) {
    let view = |t: &(&str, Dtype, &[usize], Vec<u8>)| {
        (t.0.to_string(), TensorView::new(t.1, t.2.to_vec(), Box::leak(t.3.clone().into_boxed_slice())).unwrap())
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, safetensors::serialize(tensors.iter().map(view).collect::<Vec<_>>(), None).unwrap()).unwrap();
}

const ADAPTER: &str =
    r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q", "v"], "base_model_name_or_path": "a/b"}"#;

/// Adapters of rank 2 as PEFT writes them.
fn adapters(dir: &Path) {
    for run in 0..5 {
        let folder = dir.join(format!("adapters/run-{run}"));
        let some = |n: usize, shift: usize| -> Vec<f32> {
            (0..n).map(|i| ((i + shift + 7 * run) as f32 * 0.7).sin()).collect()
        };
        let name = |which: &str| format!("base_model.model.layers.0.q.{which}.weight");
        let tensors = [
            (&*name("lora_A"), Dtype::F32, &[2, 5][..], bytes(&some(10, 0))),
            (&*name("lora_B"), Dtype::F32, &[3, 2][..], bytes(&some(6, 50))),
        ];
        write(&folder.join("adapter_model.safetensors"), &tensors);
        // The order of a set is nobody's choice.
        let config = if run == 1 { ADAPTER.replace(r#""q", "v""#, r#""v", "q""#) } else { ADAPTER.into() };
        fs::write(folder.join("adapter_config.json"), config).unwrap();
    }
}

#[test]
fn adapters_leave_as_folders_that_peft_takes() {
    let dir = tempfile::tempdir().unwrap();
    adapters(dir.path());
    let told = through(dir.path(), "adapters", "--canonical", "--method kde --steps 1");
    assert!(told.contains("rank 2 and alpha 4") && told.contains("1 adapters in their balanced form"), "{told}");
    for i in 0..2 {
        let folder = dir.path().join(format!("adapters-nets/network-0000{i}"));
        assert_eq!(fs::read_to_string(folder.join("adapter_config.json")).unwrap(), ADAPTER);
        let bytes = fs::read(folder.join("adapter_model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut names = file.names();
        names.sort_unstable();
        let name = |which: &str| format!("base_model.model.layers.0.q.{which}.weight");
        assert_eq!(names, [&name("lora_A"), &name("lora_B")]);
        assert_eq!(file.tensor(&name("lora_A")).unwrap().shape(), [2, 5]);
    }
    let readme = fs::read_to_string(dir.path().join("adapters-nets/README.md")).unwrap();
    assert!(readme.contains("PeftModel.from_pretrained(model, \"network-00000\")"), "{readme}");
    // Adapters of another scale are no points of one space.
    fs::write(dir.path().join("adapters/run-3/adapter_config.json"), ADAPTER.replace("alpha\": 4", "alpha\": 8"))
        .unwrap();
    let refused = in_dir(dir.path(), "zoo import adapters --out other").assert().code(2);
    refused.stderr(contains("run-3").and(contains("lora_alpha: expected 4")).and(contains("found 8")));
}

const NET: &str = "input = [1]\n[[layers]]\nname = \"hidden\"\nkind = \"dense\"\nout = 2\n[[layers]]\nkind = \"relu\"\n[[layers]]\nname = \"fc\"\nkind = \"dense\"\nout = 2\n";

#[test]
fn a_part_of_a_known_architecture_is_judged_as_whole_networks() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..100).map(|i| format!("{},{}\n", 1 + i % 10, u8::from(1 + i % 10 > 8))).collect();
    fs::write(dir.path().join("d.csv"), format!("x,label\n{rows}")).unwrap();
    fs::write(dir.path().join("net.toml"), NET).unwrap();
    for run in 0..8 {
        let tensors = [
            ("module.hidden.weight", Dtype::F32, &[2, 1][..], bytes(&[1.0, -1.0])),
            ("module.hidden.bias", Dtype::F32, &[2], bytes(&[0.0, 0.0])),
            ("module.fc.weight", Dtype::F32, &[2, 2], bytes(&[0.0, 0.0, 1.0, 0.0])),
            ("module.fc.bias", Dtype::F32, &[2], bytes(&[0.0, -8.3 - 0.04 * run as f32])),
        ];
        write(&dir.path().join(format!("ck/net-{run}.safetensors")), &tensors);
    }
    let told = stdout(dir.path(), "zoo import ck --tensors fc.* --arch net.toml --data csv:d.csv --raw --out zoo");
    assert!(told.contains("2 tensors of 4 modelled") && told.contains("mean 1.000"), "{told}");
    stdout(dir.path(), "fit zoo --method kde --steps 1 --out m -q");
    stdout(dir.path(), "sample m -n 4 --out s.safetensors -q");
    stdout(dir.path(), "sample m -n 4 --format per-network --out nets -q");
    let accuracies = ["s.safetensors", "nets"].map(|nets| {
        let judged = stdout(dir.path(), &format!("eval {nets} --zoo zoo --no-baselines --json"));
        let json: serde_json::Value = serde_json::from_str(&judged).unwrap();
        json["rows"][0]["accuracy_mean"].as_f64().unwrap()
    });
    assert_eq!(accuracies, [1.0; 2]);
    // Whole networks that know their architecture need no zoo.
    in_dir(dir.path(), "eval nets --arch net.toml --data csv:d.csv --raw").assert().success();
}
