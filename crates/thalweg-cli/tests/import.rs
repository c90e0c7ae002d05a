//! Checkpoints from elsewhere, from `zoo import` to networks that PyTorch loads.
#![allow(clippy::unwrap_used)]

#[path = "../../thalweg-nets/tests/python/mod.rs"]
mod python;
#[path = "support/words.rs"]
mod words;

use predicates::prelude::*;
use predicates::str::contains;
use python::python;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs;
use std::path::Path;
use std::process::Command;
use words::{in_dir, stdout};

/// A network of one input and two classes, `[weight, bias]` of the second logit; the first is always 0.
fn net(path: &Path, weight: f32, bias: f32) {
    let bytes = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let (w, b) = (bytes(&[0.0, weight]), bytes(&[0.0, bias]));
    let views = [
        ("fc.weight", TensorView::new(Dtype::F32, vec![2, 1], &w).unwrap()),
        ("fc.bias", TensorView::new(Dtype::F32, vec![2], &b).unwrap()),
    ];
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

const ARCH: &str = "name = \"line\"\ninput = [1]\n[[layers]]\nname = \"fc\"\nkind = \"dense\"\nout = 2\n";

/// Rows of x from 1 to 10 with class 1 above 8, and the architecture of [`net`].
fn data(dir: &Path) {
    let rows: String = (0..100).map(|i| format!("{},{}\n", 1 + i % 10, u8::from(1 + i % 10 > 8))).collect();
    fs::write(dir.join("d.csv"), format!("x,label\n{rows}")).unwrap();
    fs::write(dir.join("net.toml"), ARCH).unwrap();
}

/// `runs` runs, checkpoints by these names each.
fn runs(dir: &Path, runs: usize, names: &[&str]) {
    for run in 0..runs {
        for (k, name) in names.iter().enumerate() {
            let path = match names.len() {
                1 => dir.join(format!("net-{run}.safetensors")),
                _ => dir.join(format!("run{run}/{name}.safetensors")),
            };
            net(&path, 0.1 + k as f32, -0.8 - 8.0 * k as f32 - 0.01 * run as f32);
        }
    }
}

#[test]
fn the_next_command_that_an_import_names_works_as_it_stands() {
    let law = "--arch net.toml --data csv:d.csv --raw --initialisation kaiming-uniform";
    for (n, names, flags, out) in [
        (4, &["init", "final"][..], "", "zoo"),
        (4, &["final"], "", "zoo"),
        (4, &["step-0", "step-5", "step-10"], law, "zoo"),
        (4, &["final"], law, "zoo"),
        (4, &["final"], "--arch net.toml", "zoo"),
        (2, &["init", "final"], "", "zoo"),
        (3, &["init", "final"], law, "my zoo"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        data(dir.path());
        runs(&dir.path().join("ck"), n, names);
        let mut import = in_dir(dir.path(), &format!("zoo import ck {flags}"));
        let shown = import.args(["--out", out]).assert().success().get_output().stdout.clone();
        let shown = String::from_utf8(shown).unwrap();
        let (_, next) =
            shown.trim_end().rsplit_once("Next: thalweg ").unwrap_or_else(|| panic!("no next step:\n{shown}"));
        let binary = assert_cmd::cargo::cargo_bin("thalweg");
        let typed = format!("'{}' {next} --steps 5 --out m -q", binary.display());
        let output = Command::new("sh").args(["-c", &typed]).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "thalweg {next}: {}", String::from_utf8_lossy(&output.stderr));
        in_dir(dir.path(), "sample m -n 2 --out s.safetensors -q").assert().success();
    }
    let dir = tempfile::tempdir().unwrap();
    runs(&dir.path().join("ck"), 1, &["init", "final"]);
    let shown = stdout(dir.path(), "zoo import ck");
    assert!(!shown.contains("Next") && shown.contains("one run"), "{shown}");
}

#[test]
fn a_zoo_of_dead_runs_is_told_and_not_recommended() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let words = "zoo train --arch mlp --widths 4 --data csv:d.csv --runs 3 --steps 60 --batch 16 --optimiser sgd --learning-rate 1e20 --checkpoints 2 --out z";
    let failed = in_dir(dir.path(), words).assert().code(1);
    failed.stdout(
        contains("failed").and(contains("at step")).and(contains("Next").not()).and(contains("imported").not()),
    );
    let info = stdout(dir.path(), "zoo info z");
    assert!(info.contains("all 3 runs failed") && !info.contains("imported"), "{info}");
}

#[test]
fn a_dry_run_tells_what_is_recognised_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    runs(&dir.path().join("ck"), 2, &["step-1000", "step-2k", "final"]);
    fs::write(dir.path().join("ck/run0/._step-0.safetensors"), "").unwrap();
    let shown = stdout(dir.path(), "zoo import ck --dry-run");
    for part in [
        "2 runs of 3 checkpoints",
        "at 0.0000  step-1000",
        "at 0.5000  step-2k",
        "at 1.0000  final",
        "._step-0",
        "Nothing was written",
    ] {
        assert!(shown.contains(part), "no {part}: {shown}");
    }
    let json: serde_json::Value = serde_json::from_str(&stdout(dir.path(), "zoo import ck --dry-run --json")).unwrap();
    assert_eq!((&json["rows"][2]["run"], &json["rows"][2]["checkpoint"]), (&"run0".into(), &"final".into()));
    assert!(fs::read_dir(dir.path()).unwrap().count() == 1, "only the source is there");
}

#[test]
fn inputs_are_standardised_as_asked_and_the_zoo_keeps_to_it() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    // Right on raw values only: the second logit is above 0 from x = 9 on.
    for run in 0..4 {
        net(&dir.path().join(format!("ck/net-{run}.safetensors")), 1.0, -8.2 - 0.1 * run as f32);
    }
    let accuracy = |flags: &str, out: &str| -> f64 {
        let words = format!("zoo import ck --arch net.toml --data csv:d.csv {flags} --out {out} --json");
        let json: serde_json::Value = serde_json::from_str(&stdout(dir.path(), &words)).unwrap();
        json["rows"][0]["accuracy_mean"].as_f64().unwrap()
    };
    assert_eq!(accuracy("--raw", "raw"), 1.0);
    assert_eq!(accuracy("--mean 0 --std 1", "given"), 1.0);
    assert!(accuracy("", "fitted") < 0.9, "always class 0 where inputs are standardised");
    assert!(accuracy("--mean -1 --std 0.5", "other") < 0.9);
    for (flags, said) in [
        ("--raw", "as they are"),
        ("--mean 0 --std 1", "mean 0.0000 and deviation 1.0000 given"),
        ("", "own training rows"),
    ] {
        let shown = stdout(dir.path(), &format!("zoo import ck --arch net.toml --data csv:d.csv {flags} --dry-run"));
        assert!(shown.contains("Inputs: ") && shown.contains(said), "{shown}");
    }
    // Whatever reads the zoo's data again takes them as the import did.
    let judged = stdout(dir.path(), "eval ck --zoo raw --no-baselines --json");
    let json: serde_json::Value = serde_json::from_str(&judged).unwrap();
    assert_eq!(json["rows"][0]["accuracy_mean"], 1.0);
    in_dir(dir.path(), "zoo import ck --arch net.toml --data csv:d.csv --mean 0 --out n")
        .assert()
        .code(2)
        .stderr(contains("--std"));
    in_dir(dir.path(), "zoo import ck --arch net.toml --data csv:d.csv --mean 0 --std 0 --out n").assert().code(2);
    assert!(!dir.path().join("n").exists());
}

#[cfg(unix)]
#[test]
fn a_fit_does_not_go_on_over_other_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    runs(&dir.path().join("ck"), 5, &["init", "final"]);
    stdout(dir.path(), "zoo import ck --out zoo");
    let flags = "--set method.cfm.source=gaussian --set method.cfm.coupling=independent --steps 100000000";
    let words = format!("fit zoo {flags} --out m");
    let binary = assert_cmd::cargo::cargo_bin("thalweg");
    let mut fit = Command::new(binary).args(words.split_whitespace()).current_dir(dir.path()).spawn().unwrap();
    let state = dir.path().join("m/fit-state.safetensors");
    while !state.exists() {
        assert!(fit.try_wait().unwrap().is_none(), "the fit ended before it saved its state");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    fit.kill().unwrap();
    fit.wait().unwrap();
    net(&dir.path().join("ck/run0/final.safetensors"), 7.0, 7.0);
    stdout(dir.path(), "zoo import ck --out zoo --force");
    in_dir(dir.path(), &format!("{words} --resume")).assert().code(2).stderr(contains("fit-state").or(contains("zoo")));
}

/// The Python in the first block of code of a README.
fn example(readme: &str) -> &str {
    readme.split_once("```python\n").and_then(|(_, rest)| rest.split_once("```")).expect("a block of Python").0
}

#[test]
fn sampled_networks_lie_beside_what_loads_them() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = "zoo train --arch digits --data digits --train-rows 100 --kind fork --steps 10 --batch 16 --set kind.fork.steps=10 --checkpoints 2 --runs 6";
    stdout(dir.path(), &format!("{zoo} --out zoo"));
    stdout(dir.path(), "fit zoo --steps 5 --out m");
    stdout(dir.path(), "sample m -n 2 --steps 3 --format per-network --out nets");
    let read = |name: &str| fs::read_to_string(dir.path().join("nets").join(name)).unwrap();
    let (readme, module) = (read("README.md"), read("network.py"));
    assert_eq!(example(&readme).lines().count(), 5, "{readme}");
    for part in ["network-00000.safetensors", "network-00001.safetensors", "[N, 1, 8, 8]", "digits"] {
        assert!(readme.contains(part), "no {part}: {readme}");
    }
    for part in ["nn.Conv2d(1, 6, 3,", "MEAN = [0.3", "CLASSES = [str(i) for i in range(10)]", "def normalise"] {
        assert!(module.contains(part), "no {part}: {module}");
    }
    in_dir(dir.path(), "eval nets --arch digits --data digits").assert().success();
    let Some(python) = python() else { return };
    let code = format!("import torch\nx = torch.rand(3, 1, 8, 8)\n{}assert len(CLASSES) == 10\n", example(&readme));
    let output = Command::new(python).args(["-c", &code]).current_dir(dir.path().join("nets")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("['"), "three names of classes");
}

#[test]
fn networks_of_an_unknown_module_are_described_as_such() {
    let dir = tempfile::tempdir().unwrap();
    runs(&dir.path().join("ck"), 4, &["final"]);
    stdout(dir.path(), "zoo import ck --out zoo");
    stdout(dir.path(), "fit zoo --method kde --out m --steps 5");
    stdout(dir.path(), "sample m -n 1 --format per-network --out nets");
    let readme = fs::read_to_string(dir.path().join("nets/README.md")).unwrap();
    assert!(readme.contains("not known") && readme.contains("load_state_dict"), "{readme}");
    assert!(!dir.path().join("nets/network.py").exists());
}

#[test]
fn networks_in_a_folder_are_counted_as_people_count() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    for i in 0..12 {
        net(&dir.path().join(format!("ck/net-{i}.safetensors")), 1.0, -8.2 - 0.01 * i as f32);
    }
    let words = "shift calibrate --model ck --network 2 --arch net.toml --p csv:d.csv --raw --size 5 --null 99 --methods entropy --out c.cal -q";
    in_dir(dir.path(), words).assert().success();
    let bytes = fs::read(dir.path().join("c.cal")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let f = file.tensor("f").unwrap().data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).next_back();
    assert_eq!(f, Some(-8.22));
    fs::write(dir.path().join("ck/net-0.pt"), "PK").unwrap();
    let told = in_dir(dir.path(), "eval ck --arch net.toml --data csv:d.csv").assert().success();
    told.stderr(contains("passed over").and(contains("net-0.pt")));
}

#[test]
fn networks_of_an_unknown_architecture_are_fitted_encoded_and_judged_by_weights_and_scores_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    runs(&dir.path().join("ck"), 12, &["final"]);
    stdout(dir.path(), "zoo import ck --out zoo -q");
    let said = stdout(dir.path(), "zoo info zoo");
    assert!(said.contains("iterates of one run") && said.contains("Next: thalweg fit zoo"), "{said}");
    let said = stdout(dir.path(), "fit zoo --out model");
    assert!(said.contains("SWAG"), "{said}");
    stdout(dir.path(), "sample model -n 5 --out s.safetensors -q");
    let rows = |words: &str| -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&stdout(dir.path(), words)).unwrap()["rows"].clone()
    };
    let judged = rows("eval s.safetensors --zoo zoo --json");
    assert_eq!((&judged[0]["method"], &judged[1]["method"]), (&"samples".into(), &"zoo".into()));
    assert!(judged[0]["novelty_l2"].as_f64().unwrap() >= 0.0 && judged[0]["precision"].is_number(), "{judged}");
    assert!(judged[0].get("score_mean").is_none() && judged.as_array().unwrap().len() > 5);
    // By number, in any order; the zoo's by their order.
    fs::write(dir.path().join("of.csv"), "network,score\n4,5\n0,1\n1,2\nnetwork-00003,4\n2,3\n").unwrap();
    fs::write(dir.path().join("runs.csv"), (0..12).map(|i| format!("{i}\n")).collect::<String>()).unwrap();
    let judged = rows("eval s.safetensors --zoo zoo --scores of.csv --zoo-scores runs.csv --no-baselines --json");
    assert_eq!((&judged[0]["score_mean"], &judged[0]["score_best"]), (&3.0.into(), &5.0.into()), "{judged}");
    assert!(judged[1]["score_mean"].as_f64().unwrap() > 4.0 && judged[0]["novel_and_performing"].is_number());
    fs::write(dir.path().join("of.csv"), "1\n2\n").unwrap();
    let few = in_dir(dir.path(), "eval s.safetensors --zoo zoo --scores of.csv").assert().code(2);
    few.stderr(contains("expected 5 scores").and(contains("found 2")));
    // A command is asked for every network, and ended where it takes too long.
    for (script, expected) in [
        ("echo of $1; wc -c < \"$1\"", Ok(())),
        ("sleep 60", Err("expected a score within 1 s (--score-seconds), found none")),
        ("echo x", Err("a number")),
    ] {
        fs::write(dir.path().join("score.sh"), script).unwrap();
        let mut eval = in_dir(dir.path(), "eval s.safetensors --zoo zoo --no-baselines --json --score-seconds 1");
        let done = eval.args(["--score-command", "sh score.sh"]).assert();
        match expected {
            Ok(()) => {
                let text = String::from_utf8(done.success().get_output().stdout.clone()).unwrap();
                let all: serde_json::Value = serde_json::from_str(&text).unwrap();
                let size = fs::metadata(dir.path().join("ck/net-0.safetensors")).unwrap().len() as f64;
                assert!((all["rows"][0]["score_mean"].as_f64().unwrap() / size - 1.0).abs() < 0.5, "{all}");
            }
            Err(said) => drop(done.code(2).stderr(contains(said))),
        }
    }
    stdout(dir.path(), "fit zoo --method cfm --set latent.pca.dimension=1 --steps 5 --out latent -q");
    stdout(dir.path(), "encode latent --zoo zoo --out l.safetensors");
    assert!(dir.path().join("l.safetensors").exists());
}

/// Header and bytes of an array in an archive of NumPy.
fn array(path: &Path, name: &str) -> (String, Vec<u8>) {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name(&format!("{name}.npy")).unwrap(), &mut bytes).unwrap();
    assert_eq!(bytes[..8], *b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(end % 64 == 0 && bytes[end - 1] == b'\n');
    (String::from_utf8(bytes[10..end].to_vec()).unwrap().trim_end().to_owned(), bytes[end..].to_vec())
}

fn singles(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
}

#[test]
fn what_networks_answer_is_written_as_numpy_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    runs(&dir.path().join("ck"), 5, &["final"]);
    let known = "--arch net.toml --data csv:d.csv --raw";
    let said = stdout(dir.path(), &format!("predict ck {known} --rows train --out p.npz"));
    assert!(said.contains("5 networks"), "{said}");
    stdout(dir.path(), &format!("zoo import ck {known} --out zoo -q"));
    stdout(dir.path(), "predict zoo --rows train --keep probabilities --out q.npz -q");
    let [p, q] = ["p.npz", "q.npz"].map(|name| dir.path().join(name));
    let (header, labels) = array(&p, "labels");
    let rows = labels.len() / 8;
    assert_eq!(header, format!("{{'descr': '<i8', 'fortran_order': False, 'shape': ({rows},), }}"));
    let (header, logits) = array(&p, "logits");
    assert_eq!(header, format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (5, {rows}, 2), }}"));
    let (logits, probabilities) = (singles(&logits), singles(&array(&q, "probabilities").1));
    // Two classes, the first logit 0: the second has the logistic function of its own.
    let truth: Vec<f64> = logits.chunks(2).map(|z| 1.0 / (1.0 + (-z[1]).exp())).collect();
    assert!(logits.chunks(2).all(|z| z[0] == 0.0) && truth.len() == 5 * rows);
    assert!(probabilities.chunks(2).zip(&truth).all(|(p, t)| (p[1] - t).abs() < 1e-6 && (p[0] + t - 1.0).abs() < 1e-6));
    let (header, mean) = array(&p, "ensemble");
    assert_eq!(header, format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, 2), }}"));
    assert_eq!(mean, array(&q, "ensemble").1);
    for (row, bytes) in mean.chunks(16).enumerate() {
        let of_both = f64::from_le_bytes(bytes[8..].try_into().unwrap());
        assert!((of_both - (0..5).map(|i| truth[i * rows + row]).sum::<f64>() / 5.0).abs() < 1e-9);
    }
}
