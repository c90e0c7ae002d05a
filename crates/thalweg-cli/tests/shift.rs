//! `thalweg shift` as its users meet it: a model of their own, rows in files, exit codes.
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::fmt::Write;
use std::path::Path;
use thalweg_nets::Streams;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::init::Initialisation;
use thalweg_nets::train::{Length, Recipe, Trainer};

fn thalweg(dir: &Path, words: &str) -> Command {
    let mut command = Command::cargo_bin("thalweg").expect("cargo builds the program for its tests");
    command.current_dir(dir).args(words.split_whitespace());
    command
}

/// Rows of two features around ±1.5 with noise from a fixed sequence, `shift` added to the second; the label is the side.
fn csv(n: usize, shift: f64) -> String {
    let mut text = String::from("a,b,label\n");
    let mut state = 12345u64;
    let mut noise = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (0..4).map(|k| ((state >> (8 + 12 * k)) & 0xfff) as f64 / 4096.0 - 0.5).sum::<f64>() * 1.7
    };
    for i in 0..n {
        let side = if i % 2 == 0 { 1.5 } else { -1.5 };
        let _ = writeln!(text, "{:.4},{:.4},{}", side + 0.7 * noise(), noise() + shift, i % 2);
    }
    text
}

/// A network trained on the file, as a user's safetensors.
fn trained(home: &Path) -> Vec<u8> {
    let data = DataSpec { folder: Some(home.to_path_buf()), ..DataSpec::named("csv") }
        .load()
        .expect("the file was just written");
    let net = Preset::Mlp { widths: vec![16, 16] }.build([2, 1, 1], 2).expect("a network");
    let engine = Engine::new(&net).expect("an engine");
    let recipe =
        Recipe { learning_rate: 0.01, length: Length::Steps(300), checkpoints: vec![1.0], ..Recipe::default() };
    let trainer = Trainer::new(&engine, &net, &data.train, &data.validation, &recipe).expect("a recipe that fits");
    let start = Initialisation::default().draw(engine.layout(), &Streams::new(1));
    let run = trainer.train(&start, &Streams::new(2), &|| false).expect("a run");
    engine.layout().to_safetensors(&run.theta).expect("one network")
}

#[test]
fn a_model_of_ones_own_is_calibrated_once_and_asked_by_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("home.csv"), csv(600, 0.0)).unwrap();
    std::fs::write(dir.join("near.csv"), csv(12, 0.0)).unwrap();
    std::fs::write(dir.join("far.csv"), csv(40, 6.0)).unwrap();
    std::fs::write(dir.join("f.safetensors"), trained(&dir.join("home.csv"))).unwrap();
    let make = "shift calibrate --model f.safetensors --arch mlp --widths 16,16 --p csv:home.csv -n 12 --null 60 --set bank.size=40 --out home.cal";
    thalweg(dir, make).assert().success().stdout(contains("held-out rows").and(contains("bank")));
    thalweg(dir, make).assert().code(2).stderr(contains("--force"));
    // Any number of rows is tested; as many as were calibrated for, where that is asked.
    thalweg(dir, "shift test home.cal --q csv:far.csv").assert().code(1).stdout(contains("harmful shift found"));
    thalweg(dir, "shift test home.cal --q csv:far.csv --fail-on never").assert().success();
    thalweg(dir, "shift test home.cal --q csv:near.csv")
        .assert()
        .success()
        .stdout(contains("no evidence of harm").and(contains("Accuracy of the model: on P")));
    let json = thalweg(dir, "shift test home.cal --q csv:far.csv --draw --out far --json").assert().code(1);
    let value: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    assert!(value["rows"].as_array().is_some_and(|rows| rows.len() > 6));
    assert_eq!((&value["outcome"], &value["level"]), (&"harmful-shift".into(), &0.05.into()));
    assert!(value["p_value"].as_f64().is_some_and(|p| p <= 0.05));
    let evidence = value["evidence"].as_array().unwrap();
    assert!(evidence.len() == 7 && evidence[0]["question"] == "harm" && evidence[2]["question"] == "difference");
    assert!(evidence[0]["name"].as_str().is_some_and(|name| name.contains("disagree")));
    // How often the model is right there cannot be told; of rows of P it can.
    let estimate = &value["estimate"];
    assert!(estimate["interval"].is_null() && estimate["reason"].is_string(), "{estimate}");
    assert!(estimate["accuracy_on_p"].as_f64().is_some_and(|share| share > 0.8), "{estimate}");
    let json = thalweg(dir, "shift test home.cal --query csv:near.csv --json").assert().success();
    let near: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    let interval = near["estimate"]["interval"].as_array().unwrap();
    assert!(interval[0].as_f64() < interval[1].as_f64(), "{near}");
    let page = std::fs::read_to_string(dir.join("far/report.html")).unwrap();
    assert!(page.contains("How often the model is right"));
    assert!(page.contains("Rows that look most out of place"));
    thalweg(dir, "shift test home.cal --q csv:near.csv --level 2").assert().code(2).stderr(contains("--level"));
    // What could never reject is refused, with what would do.
    thalweg(dir, "shift test home.cal --q csv:near.csv --level 0.01")
        .assert()
        .code(2)
        .stderr(contains("calibrate with --null 99 "));
    let never = make.replace("--null 60", "--null 18").replace("home.cal", "never.cal");
    thalweg(dir, &never).assert().code(2).stderr(contains("at least 19"));
    thalweg(dir, &format!("{never} --level 0.1")).assert().success();
    // Copies count once, and are told; so are rows that f was made with.
    let told = |rows: &str| -> serde_json::Value {
        std::fs::write(dir.join("rows.csv"), rows).unwrap();
        let said = thalweg(dir, "shift test home.cal --q csv:rows.csv --json --fail-on never").assert().success();
        serde_json::from_slice(&said.get_output().stdout).unwrap()
    };
    let rows = csv(12, 1.0);
    let single = told(&rows);
    let copied = told(&rows.lines().chain(rows.lines().skip(1).take(9)).collect::<Vec<_>>().join("\n"));
    assert_eq!((&copied["p_value"], &copied["evidence"]), (&single["p_value"], &single["evidence"]));
    let caveat = |value: &serde_json::Value| {
        value["caveats"].as_array().unwrap().iter().map(|c| c.to_string()).collect::<String>()
    };
    assert!(caveat(&copied).contains("9 of 21 rows are copies of others and count once"), "{copied}");
    assert_eq!(caveat(&single), "");
    assert!(caveat(&told(&csv(12, 0.0))).contains("rows are training or validation rows of P"));
    let few = make.replace("-n 12", "-n 1").replace("home.cal", "few.cal") + " --held csv:few.csv";
    std::fs::write(
        dir.join("few.csv"),
        csv(1000, 0.0).lines().take(1).chain(csv(1000, 0.0).lines().skip(990)).collect::<Vec<_>>().join("\n"),
    )
    .unwrap();
    thalweg(dir, &few).assert().code(2).stderr(contains("at least 19 for queries of 1 rows"));
    // The model was trained on most rows of home.csv: they cannot stand for fresh ones.
    let trained = make.replace("home.cal", "trained.cal") + " --held csv:home.csv";
    thalweg(dir, &trained).assert().code(2).stderr(contains("also training or validation rows"));
    thalweg(dir, "shift test zoo/zoo.toml --q csv:near.csv").assert().code(2);
    thalweg(dir, "shift test home.cal --q-logits near.csv").assert().code(2).stderr(contains("--query"));
}

#[test]
fn one_step_from_a_network_and_two_tables_to_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("home.csv"), csv(600, 0.0)).unwrap();
    std::fs::write(dir.join("near.csv"), csv(12, 0.0)).unwrap();
    std::fs::write(dir.join("far.csv"), csv(40, 6.0).replace("a,b,label", "a,b,kind")).unwrap();
    std::fs::write(dir.join("f.safetensors"), trained(&dir.join("home.csv"))).unwrap();
    let check = "shift check --model f.safetensors --arch mlp --widths 16,16 --p home.csv --null 99 --set bank.size=40 --cache kept --q";
    let near = thalweg(dir, &format!("{check} near.csv --explain")).assert().success();
    near.stdout(
        contains("no evidence of harm")
            .and(contains("Calibrated in"))
            .and(contains("rows of Q where").or(contains("feature"))),
    );
    let json = thalweg(dir, &format!("{check} far.csv --json")).assert().code(1);
    let value: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    let moved = &value["explain"]["features"][0];
    assert_eq!(moved["name"], "b", "{moved}");
    let means: Vec<f64> = moved["means"].as_array().unwrap().iter().filter_map(|m| m.as_f64()).collect();
    assert!(means[0].abs() < 0.5 && (means[1] - 6.0).abs() < 0.5, "in the file's units: {means:?}");
    assert!(moved["explains"].as_f64().is_some_and(|share| share > 0.5), "{moved}");
    // The second call trained nothing, and answers as the two steps do.
    assert_eq!(std::fs::read_dir(dir.join("kept")).unwrap().count(), 1);
    let kept = std::fs::read_dir(dir.join("kept")).unwrap().next().unwrap().unwrap().path();
    let test = format!("shift test {} --q far.csv --json", kept.display());
    let two: serde_json::Value =
        serde_json::from_slice(&thalweg(dir, &test).assert().code(1).get_output().stdout).unwrap();
    assert_eq!((&two["p_value"], &two["explain"]), (&value["p_value"], &value["explain"]));
}

#[test]
fn a_run_of_a_zoo_and_an_onnx_file_are_models() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("home.csv"), csv(600, 0.0)).unwrap();
    std::fs::write(dir.join("far.csv"), csv(40, 6.0)).unwrap();
    thalweg(dir, "zoo train --arch mlp --widths 8 --data csv:home.csv --runs 2 --steps 400 -q --out zoo")
        .assert()
        .success();
    let few = "--null 99 --set bank.size=20";
    let check = format!("shift check {few} --no-cache --q far.csv --model");
    thalweg(dir, &format!("{check} zoo --run 1 --fail-on never")).assert().success().stdout(contains("Verdict"));
    thalweg(dir, &format!("{check} zoo --run 2")).assert().code(2).stderr(contains("zoo has 2 runs, counted from 0"));
    let twice = thalweg(dir, &format!("{check} zoo --arch mlp --widths 8")).assert().code(2);
    twice.stderr(contains("zoo says its own architecture"));
    let (net, theta) =
        thalweg_nets::onnx::parse("two-sides", include_bytes!("data/two-sides.onnx")).expect("torch has written it");
    std::fs::write(dir.join("f.onnx"), include_bytes!("data/two-sides.onnx")).unwrap();
    let engine = Engine::new(&net).expect("an engine");
    std::fs::write(dir.join("f.safetensors"), engine.layout().to_safetensors(&theta).unwrap()).unwrap();
    std::fs::write(dir.join("net.toml"), toml::to_string(&net).unwrap()).unwrap();
    let said = |model: &str| -> serde_json::Value {
        let json = thalweg(dir, &format!("{check} {model} --raw --p home.csv --json")).assert().code(1);
        serde_json::from_slice(&json.get_output().stdout).unwrap()
    };
    let (onnx, parts) = (said("f.onnx"), said("f.safetensors --arch net.toml"));
    assert!(onnx["estimate"]["accuracy_on_p"].as_f64().is_some_and(|share| share > 0.9), "{onnx}");
    assert_eq!((&onnx["p_value"], &onnx["estimate"]), (&parts["p_value"], &parts["estimate"]));
    thalweg(dir, &format!("{check} f.onnx")).assert().code(2).stderr(contains("--reference (--p)"));
    thalweg(dir, &format!("{check} f.safetensors --p home.csv")).assert().code(2).stderr(contains("--arch FILE.toml"));
}

#[test]
fn logits_alone_are_enough_for_a_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let logits = |n: usize, margin: f64| {
        (0..n).fold(String::new(), |mut text, i| {
            let z = margin * (1.0 + 0.5 * (i as f64 * 1.7).sin()) * if i % 2 == 0 { 1.0 } else { -1.0 };
            let _ = writeln!(text, "{:.4},{:.4}", z, -z);
            text
        })
    };
    std::fs::write(dir.join("home.csv"), logits(400, 2.0)).unwrap();
    std::fs::write(dir.join("unsure.csv"), logits(10, 0.1)).unwrap();
    std::fs::write(dir.join("sure.csv"), logits(10, 4.0)).unwrap();
    thalweg(dir, "shift calibrate --logits home.csv -n 10 --null 99 --out l.cal").assert().success();
    thalweg(dir, "shift test l.cal --q-logits unsure.csv").assert().code(1).stdout(contains("harmful shift found"));
    // Surer than at home is no harm that these tests see; but entropy, which alone would reassure, is not the only witness.
    let sure = |methods: &str| {
        let make = format!("shift calibrate --logits home.csv -n 10 --null 99 {methods} --out s.cal --force");
        thalweg(dir, &make).assert().success();
        let said = thalweg(dir, "shift test s.cal --q-logits sure.csv").assert().code(3);
        said.stdout(contains("harm not established").and(contains("does not clear the model")));
        thalweg(dir, "shift test s.cal --q-logits sure.csv --fail-on harmful --json").assert().success()
    };
    sure("--methods entropy");
    let json: serde_json::Value = serde_json::from_slice(&sure("").get_output().stdout).unwrap();
    assert_eq!(json["outcome"], "shifted-harm-not-established");
    thalweg(dir, "shift test s.cal --q-logits home.csv").assert().success().stdout(contains("Logits alone"));
    thalweg(dir, "shift calibrate --logits home.csv -n 10 --methods bank --out m.cal")
        .assert()
        .code(2)
        .stderr(contains("logits alone"));
    thalweg(dir, "shift calibrate --logits home.csv -n 10 --methods magic --out m.cal")
        .assert()
        .code(2)
        .stderr(contains("h-divergence"));
}

#[test]
fn rows_of_q_are_matched_by_name_and_need_no_labels() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("home.csv"), csv(600, 0.0)).unwrap();
    std::fs::write(dir.join("f.safetensors"), trained(&dir.join("home.csv"))).unwrap();
    let make = "shift calibrate --model f.safetensors --arch mlp --widths 16,16 --p csv:home.csv --null 99 --methods entropy,mahalanobis --out home.cal";
    thalweg(dir, make).assert().success();
    let near = csv(30, 0.0);
    let rows = |header: &str, cells: &dyn Fn(&[&str], usize) -> String| {
        let rows = near.lines().skip(1).enumerate().map(|(i, line)| cells(&line.split(',').collect::<Vec<_>>(), i));
        std::iter::once(header.to_owned()).chain(rows).collect::<Vec<_>>().join("\n")
    };
    let p_values = |text: String| {
        std::fs::write(dir.join("q.csv"), text).unwrap();
        let told = thalweg(dir, "shift test home.cal --q csv:q.csv --json").assert().success();
        let value: serde_json::Value = serde_json::from_slice(&told.get_output().stdout).unwrap();
        value["rows"].as_array().unwrap().iter().map(|row| row["p_value"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    let same = p_values(near.clone());
    for (header, cells) in [
        ("b,label,a", (&|c: &[&str], _| format!("{},{},{}", c[1], c[2], c[0])) as &dyn Fn(&[&str], usize) -> String),
        ("a,b", &|c, _| format!("{},{}", c[0], c[1])),
        ("a,b,label", &|c, _| format!("{},{},?", c[0], c[1])),
        ("a,b,label", &|c, _| format!("{},{},never seen", c[0], c[1])),
        (",a,b", &|c, i| format!("{i},{},{}", c[0], c[1])),
    ] {
        assert_eq!(p_values(rows(header, cells)), same, "{header}");
    }
    std::fs::write(dir.join("q.csv"), rows("a,c,label", &|c, _| c.join(","))).unwrap();
    thalweg(dir, "shift test home.cal --q csv:q.csv").assert().code(2).stderr(contains("a, c").or(contains("'b'")));
}

#[test]
fn files_of_logits_are_read_for_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    let rows = |n: usize, row: &dyn Fn(usize, f64) -> String| {
        (0..n).map(|i| row(i, 3.0 * (i as f64 * 1.7).sin())).collect::<String>()
    };
    let softmax = |z: f64| 1.0 / (1.0 + (-2.0 * z).exp());
    write("home.csv", &rows(300, &|_, z| format!("{:.4},{:.4}\n", z, -z)));
    write("indexed.csv", &(",0,1\n".to_owned() + &rows(300, &|i, z| format!("{i},{:.4},{:.4}\n", z, -z))));
    write("p.csv", &rows(300, &|_, z| format!("{:.6},{:.6}\n", softmax(z), 1.0 - softmax(z))));
    for (name, said) in [("home", "null"), ("indexed", "left out"), ("p", "probabilities")] {
        let make = format!("shift calibrate --logits {name}.csv --null 99 --out {name}.cal");
        let done = thalweg(dir, &make).assert().success();
        if said != "null" {
            done.stdout(contains(said));
        }
        thalweg(dir, &format!("shift test {name}.cal --q-logits {name}.csv")).assert().success();
    }
    thalweg(dir, "shift test home.cal --q-logits indexed.csv").assert().success().stdout(contains("left out"));
    thalweg(dir, "shift test home.cal --q-logits p.csv").assert().code(2).stderr(contains("found probabilities"));
    thalweg(dir, "shift test p.cal --q-logits home.csv").assert().code(2).stderr(contains("found logits"));
    thalweg(dir, "shift test p.cal --q-logits p.csv --probabilities").assert().success();
    thalweg(dir, "shift calibrate --logits home.csv --probabilities --out x.cal")
        .assert()
        .code(2)
        .stderr(contains("probabilities, as --probabilities says"));
}

/// Noise with a bright band of rows for each class, `[3, 32, 32]` bytes; `dim` shifts and darkens it.
fn picture(class: usize, i: usize, dim: bool) -> Vec<u8> {
    let mut state = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let pixel = |p: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let noise = (state >> 59) as u8;
        let row = p / 32 % 32;
        let on = row / 3 == class;
        match (on, dim) {
            (true, false) => 200 + noise,
            (true, true) => 90 + noise,
            (false, false) => 40 + noise,
            (false, true) => 70 + noise,
        }
    };
    (0..3 * 32 * 32).map(pixel).collect()
}

/// An uncompressed `.npz` of bytes `x` and `y`.
fn npz(x: &[u8], shape: &str, y: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let array = |shape: &str, values: &[u8]| {
        let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), values].concat()
    };
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("x.npy", array(shape, x)), ("y.npy", array(&format!("({},)", y.len()), y))] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("memory takes all");
        zip.write_all(&bytes).expect("memory takes all");
    }
    zip.finish().expect("memory takes all").into_inner()
}

#[test]
fn photographs_in_the_users_folders_make_a_table_of_shifts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // CIFAR-10 as published (here ten rows of each class in every batch), and another collection of its pictures in an archive, as 10.1 is.
    std::fs::create_dir(dir.join("cifar")).unwrap();
    let batches = (1..6).map(|b| format!("data_batch_{b}.bin")).chain(["test_batch.bin".into()]);
    for (b, name) in batches.enumerate() {
        let rows = (0..100).flat_map(|i| [vec![(i % 10) as u8], picture(i % 10, 1000 * b + i, false)].concat());
        std::fs::write(dir.join("cifar").join(name), rows.collect::<Vec<u8>>()).unwrap();
    }
    let (x, y): (Vec<Vec<u8>>, Vec<u8>) = (0..60).map(|i| (picture(i % 10, 9000 + i, true), (i % 10) as u8)).unzip();
    std::fs::write(dir.join("other.npz"), npz(&x.concat(), "(60, 3, 32, 32)", &y)).unwrap();
    // Camelyon17's rows come in an archive of their own, two classes.
    let (x, y): (Vec<Vec<u8>>, Vec<u8>) =
        (0..300).map(|i| (picture(4 * (i % 2), 5000 + i, false), (i % 2) as u8)).unzip();
    std::fs::write(dir.join("hospitals.npz"), npz(&x.concat(), "(300, 3, 32, 32)", &y)).unwrap();
    let (x, y): (Vec<Vec<u8>>, Vec<u8>) =
        (0..60).map(|i| (picture(4 * (i % 2), 7000 + i, true), (i % 2) as u8)).unzip();
    std::fs::write(dir.join("elsewhere.npz"), npz(&x.concat(), "(60, 3, 32, 32)", &y)).unwrap();
    for (home, p, q) in
        [("cifar10", "cifar10:cifar", "other.npz"), ("camelyon17", "npz:hospitals.npz", "elsewhere.npz")]
    {
        let sets = [
            format!("homes=[\"{home}\"]"),
            format!("home.{home}.data=\"{p}\""),
            format!("home.{home}.train=150"),
            format!("home.{home}.validation=40"),
            format!("home.{home}.recipe.length={{steps=40}}"),
            format!("home.{home}.shifts=[{{kind=\"data\",data=\"npz:{q}\"}},{{kind=\"benign\"}}]"),
            "tests.bank.size=6".into(),
            "tests.bank-cdc.steps=5".into(),
            "methods=[\"bank\",\"entropy\",\"feature-mmd\"]".into(),
            "draws=4".into(),
        ];
        // CIFAR-10 has official test rows; of an archive without any, some are set aside.
        let aside = (home == "camelyon17").then(|| "home.camelyon17.test=60".to_owned());
        let mut command = thalweg(dir, &format!("reproduce shift --scale smoke --out {home}"));
        command.args(sets.iter().chain(&aside).flat_map(|set| ["--set", set]));
        command
            .assert()
            .success()
            .stdout(contains(format!("{home}: {}", q.trim_end_matches(".npz"))).and(contains("bank max-drop *")));
        let results = std::fs::read_to_string(dir.join(home).join("results.json")).unwrap();
        assert!(results.contains("\"accuracy_on_q\"") && results.contains("\"type_one_error\""), "{home}");
    }
    thalweg(dir, "reproduce shift --scale smoke --out no --set tests.bank.sise=6")
        .assert()
        .code(2)
        .stderr(contains("sise"));
}
