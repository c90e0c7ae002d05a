//! Every command by its numbers: what its JSON says is what follows, by definition, from the files that it read and wrote.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;
use thalweg::model::sample::SampleRequest;
use thalweg::{MetaModel, Networks};
use thalweg_nets::data::catalogue::SETS;
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::zoo::ZooStore;

/// What a command prints under `--json`.
fn json(dir: &Path, words: &str) -> Value {
    let mut command = Command::cargo_bin("thalweg").expect("cargo builds the program for its tests");
    let output = command.args(words.split_whitespace()).arg("--json").current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn rows(results: &Value) -> &[Value] {
    results["rows"].as_array().unwrap()
}

/// The row in which `key` is `value`.
fn row<'a>(results: &'a Value, key: &str, value: &str) -> &'a Value {
    rows(results).iter().find(|row| row[key] == value).unwrap_or_else(|| panic!("no row with {key} {value}"))
}

#[track_caller]
fn close(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().unwrap_or(f64::NAN);
    assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{what}: {found}, expected {expected}");
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard error of the mean.
fn sem(values: &[f64]) -> f64 {
    let (n, m) = (values.len() as f64, mean(values));
    (values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

/// Losses and accuracies of `theta [n, P]` on `data`.
fn scores(engine: &Engine, theta: &[f32], data: &Dataset) -> (Vec<f64>, Vec<f64>) {
    let scores = evaluate(engine, theta, &engine.pack(&data.inputs).unwrap(), &data.labels).unwrap();
    (scores.iter().map(|s| s.loss).collect(), scores.iter().map(|s| s.accuracy).collect())
}

fn accuracies(engine: &Engine, theta: &[f32], data: &Dataset) -> Vec<f64> {
    scores(engine, theta, data).1
}

const ZOO: &str =
    "zoo train --arch digits --data digits --kind fork --set kind.fork.steps=60 --checkpoints 3 --steps 60 --seed 4";

/// A zoo of `runs` in `dir/zoo`, its engine, and what its training printed.
fn zoo(dir: &Path, runs: usize) -> (ZooStore, Engine, Value) {
    let results = json(dir, &format!("{ZOO} --runs {runs} --out zoo"));
    let zoo = ZooStore::open(&dir.join("zoo")).unwrap();
    let engine = Engine::new(zoo.architecture().unwrap()).unwrap();
    (zoo, engine, results)
}

#[test]
fn zoos_are_summed_up_by_the_scores_of_their_networks() {
    let home = tempfile::tempdir().unwrap();
    let (zoo, engine, trained) = zoo(home.path(), 8);
    let data = zoo.data().unwrap().load().unwrap();
    assert_eq!(rows(&trained).len(), 3);
    for (checkpoint, row) in rows(&trained).iter().enumerate() {
        let items: Vec<_> = zoo.finished_runs().iter().map(|&run| (run, checkpoint)).collect();
        let mut theta = vec![0.0; items.len() * zoo.parameters()];
        zoo.gather(&items, &mut theta).unwrap();
        let (losses, accuracies) = scores(&engine, &theta, &data.validation);
        close(&row["time"], checkpoint as f64 / 2.0, "time");
        close(&row["loss_mean"], mean(&losses), "loss");
        close(&row["accuracy_mean"], mean(&accuracies), "accuracy");
    }
    let told = json(home.path(), "zoo info zoo");
    assert_eq!(rows(&told), rows(&trained));
    assert_eq!((&told["rows"][0]["runs"], &told["rows"][0]["parameters"]), (&8.into(), &engine.parameters().into()));

    let finals = zoo.finals(&zoo.finished_runs()).unwrap();
    let (theta, parameters) = (finals.clone(), zoo.parameters());
    let networks = Networks { theta, parameters, architecture: None, data: None, split: None };
    networks.write_each(&home.path().join("nets"), zoo.layout()).unwrap();
    let imported = json(home.path(), "zoo import nets --arch digits --data digits --out imported");
    let (losses, accuracies) = scores(&engine, &finals, &data.validation);
    close(&imported["rows"][0]["loss_mean"], mean(&losses), "loss of what was imported");
    close(&imported["rows"][0]["accuracy_mean"], mean(&accuracies), "accuracy of what was imported");
    let listed = json(home.path(), "zoo import nets --dry-run");
    assert_eq!(rows(&listed).len(), 8, "a row for every checkpoint of every run");
}

#[test]
fn an_alignment_is_told_by_distances_and_barriers() {
    let home = tempfile::tempdir().unwrap();
    let (zoo, engine, _) = zoo(home.path(), 5);
    let told = json(home.path(), "zoo align zoo --reference 2 --pairs 3 --out aligned");
    let aligned = ZooStore::open(&home.path().join("aligned")).unwrap();
    let validation = zoo.data().unwrap().load().unwrap().validation;
    for (row, zoo) in rows(&told).iter().zip([&zoo, &aligned]) {
        let run = |run: usize| zoo.finals(&[run]).unwrap();
        let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        let distances: Vec<f64> = [0, 1, 3, 4].map(|other| far(&run(2), &run(other))).to_vec();
        close(&row["distance_mean"], mean(&distances), "distance");
        close(&row["distance_sem"], sem(&distances), "its error");
        // Neighbours among the others, first.
        let (mut barriers, mut middles) = (Vec::new(), Vec::new());
        for (a, b) in [(0, 1), (1, 3), (3, 4)] {
            let (a, b) = (run(a), run(b));
            let at = |i: usize| {
                let alpha = i as f32 / 10.0;
                let theta: Vec<f32> = a.iter().zip(&b).map(|(a, b)| (1.0 - alpha) * a + alpha * b).collect();
                let (loss, accuracy) = scores(&engine, &theta, &validation);
                (loss[0], accuracy[0])
            };
            let chord = |i: usize| at(0).0 + (at(10).0 - at(0).0) * i as f64 / 10.0;
            barriers.push((0..=10).map(|i| at(i).0 - chord(i)).fold(f64::NEG_INFINITY, f64::max));
            middles.push(at(5).1);
        }
        close(&row["barrier_mean"], mean(&barriers), "barrier");
        close(&row["middle_accuracy_mean"], mean(&middles), "accuracy halfway");
    }
    let distance = |i: usize| rows(&told)[i]["distance_mean"].as_f64().unwrap();
    assert!(distance(1) <= distance(0) * (1.0 + 1e-6), "aligned runs are not further apart");
}

#[test]
fn a_fit_its_samples_and_their_judgement_are_told_by_the_networks_themselves() {
    let home = tempfile::tempdir().unwrap();
    let (zoo, engine, _) = zoo(home.path(), 20);
    let data = zoo.data().unwrap().load().unwrap();
    let fitted = json(home.path(), "fit zoo --steps 60 --seed 3 --set validate-every=20 --out model");
    let model = MetaModel::load(&home.path().join("model")).unwrap();
    let split = model.config.split.of(&zoo).unwrap();
    let validated: Vec<&Value> = rows(&fitted).iter().filter(|row| row.get("step").is_some()).collect();
    assert!(validated.len() >= 3);
    let least = validated.iter().map(|row| row["loss_held_out"].as_f64().unwrap()).fold(f64::INFINITY, f64::min);
    let kept: Vec<&&Value> = validated.iter().filter(|row| row["kept"] == true).collect();
    assert!(kept.len() == 1 && kept[0]["loss_held_out"] == least && kept[0]["step"] == model.record.best_step);
    let check = rows(&fitted).last().unwrap();
    let sampled = model.sample(&SampleRequest::new(16, 3)).unwrap().theta;
    let sampled = accuracies(&engine, &sampled, &data.validation);
    close(&check["accuracy_sampled_mean"], mean(&sampled), "networks sampled for the check");
    close(&check["accuracy_sampled_sem"], sem(&sampled), "their error");
    let trained = zoo.finals(&split.train[..16]).unwrap();
    close(&check["accuracy_zoo_mean"], mean(&accuracies(&engine, &trained, &data.validation)), "the zoo's runs");
    let most = data.validation.class_counts().into_iter().max().unwrap();
    close(&check["accuracy_chance"], most as f64 / data.validation.len() as f64, "chance");

    let told = json(home.path(), "sample model -n 5 --steps 10 --seed 9 --out s.safetensors");
    let read = Networks::read(&home.path().join("s.safetensors"), None, &|line| panic!("{line}")).unwrap();
    let request = SampleRequest { steps: 10, ..SampleRequest::new(5, 9) };
    assert_eq!(read.theta, model.sample(&request).unwrap().theta);
    let row_of = &told["rows"][0];
    assert_eq!((&row_of["n"], &row_of["evaluations"]), (&5.into(), &10.into()), "Euler: one evaluation a step");

    let own = accuracies(&engine, &read.theta, &data.test);
    let alone = json(home.path(), "eval s.safetensors");
    let beside = json(home.path(), "eval s.safetensors --zoo zoo");
    for judged in [&alone["rows"][0], row(&beside, "method", "samples")] {
        close(&judged["accuracy_mean"], mean(&own), "samples");
        close(&judged["accuracy_sem"], sem(&own), "their error");
        close(&judged["accuracy_best"], own.iter().copied().fold(0.0, f64::max), "the best of them");
    }
    for (method, runs) in [("zoo", &split.train), ("held-out", &split.test)] {
        let theta = zoo.finals(runs).unwrap();
        close(&row(&beside, "method", method)["accuracy_mean"], mean(&accuracies(&engine, &theta, &data.test)), method);
    }
    let finals = zoo.finals(&split.train).unwrap();
    let p = zoo.parameters();
    let of_weight = |i: usize| finals.iter().skip(i).step_by(p).map(|&w| f64::from(w)).sum::<f64>();
    let average: Vec<f32> = (0..p).map(|i| (of_weight(i) / split.train.len() as f64) as f32).collect();
    let average = accuracies(&engine, &average, &data.test)[0];
    let found = row(&beside, "method", "mean")["accuracy_mean"].as_f64().unwrap();
    assert!((found - average).abs() <= 1.5 / data.test.len() as f64, "mean of the finals: {found}, expected {average}");
}

#[test]
fn latents_and_tunings_are_told_by_the_networks_before_and_after() {
    let home = tempfile::tempdir().unwrap();
    let (zoo, engine, _) = zoo(home.path(), 20);
    let data = zoo.data().unwrap().load().unwrap();
    json(home.path(), "fit zoo --steps 20 --set latent.pca.dimension=3 --out latent");
    json(home.path(), "sample latent -n 4 --steps 5 --out s.safetensors");
    let told = json(home.path(), "encode latent s.safetensors --out l.safetensors");
    let model = MetaModel::load(&home.path().join("latent")).unwrap();
    let theta = Networks::read(&home.path().join("s.safetensors"), None, &|_| ()).unwrap().theta;
    let (decoded, error) = model.space().reconstruct(&theta);
    let found = &told["rows"][0];
    close(&found["accuracy_original"], mean(&accuracies(&engine, &theta, &data.test)), "before");
    close(&found["accuracy_pca"], mean(&accuracies(&engine, &decoded, &data.test)), "decoded");
    assert!((found["error_pca"].as_f64().unwrap() - error).abs() < 1e-9);
    assert!(error < 1e-6, "samples lie in the space that they are sampled in: {error}");

    json(home.path(), "fit zoo --steps 20 --out model");
    let words = "tune model --reward loss:digits@rotate=40 --iterations 8 --samples 4 --rows 32 --seed 2 --out tuned";
    let told = json(home.path(), words);
    let home_record = zoo.data().unwrap().record.clone().unwrap();
    let task = DataSpec::parse("digits@rotate=40").unwrap().load_as_other_task(&home_record).unwrap();
    for (state, folder) in [("before", "model"), ("after", "tuned")] {
        let model = MetaModel::load(&home.path().join(folder)).unwrap();
        let sampled = model.sample(&SampleRequest::new(4, 2)).unwrap().theta;
        let own = accuracies(&engine, &sampled, &task.test);
        close(&row(&told, "state", state)["accuracy_mean"], mean(&own), state);
        close(&row(&told, "state", state)["accuracy_sem"], sem(&own), state);
    }
    let validated: Vec<&Value> = rows(&told).iter().filter(|row| row.get("iteration").is_some()).collect();
    let most = validated.iter().filter_map(|row| row["reward_held_out"].as_f64()).fold(f64::NEG_INFINITY, f64::max);
    let kept: Vec<&&Value> = validated.iter().filter(|row| row["kept"] == true).collect();
    assert!(kept.len() == 1 && kept[0]["reward_held_out"] == most, "{kept:?}, of at most {most}");
}

#[test]
fn the_demo_and_an_experiment_are_told_by_the_networks_that_they_leave() {
    let home = tempfile::tempdir().unwrap();
    let demo = json(home.path(), "demo --scale smoke --out d");
    let zoo = ZooStore::open(&home.path().join("d/zoo")).unwrap();
    let engine = Engine::new(zoo.architecture().unwrap()).unwrap();
    let test = zoo.data().unwrap().load().unwrap().test;
    let read = Networks::read(&home.path().join("d/samples-cfm.safetensors"), None, &|_| ()).unwrap();
    let own = accuracies(&engine, &read.theta, &test);
    close(&row(&demo, "method", "cfm")["accuracy_mean"], mean(&own), "samples of the demo");
    let runs = read.split.unwrap().of(&zoo).unwrap().train;
    let trained = accuracies(&engine, &zoo.finals(&runs).unwrap(), &test);
    close(&row(&demo, "method", "zoo")["accuracy_mean"], mean(&trained), "runs of the demo");

    let found = json(home.path(), "reproduce by-runs --scale smoke --out b");
    let (flows, out) = (&found["settings"]["flows"], home.path().join("b"));
    let (samples, fits) = (flows["samples"].as_u64().unwrap() as usize, flows["fits"].as_u64().unwrap());
    let zoo = ZooStore::open(&out.join("zoos/digits-independent")).unwrap();
    let engine = Engine::new(zoo.architecture().unwrap()).unwrap();
    let test = zoo.data().unwrap().load().unwrap().test;
    let of_fit = |fit: u64| {
        let model = MetaModel::load(&out.join(format!("models/digits-independent-20-NM-CFM-{fit}"))).unwrap();
        let sampled = model.sample(&SampleRequest::new(samples, model.config.seed)).unwrap().theta;
        mean(&accuracies(&engine, &sampled, &test))
    };
    let expected: Vec<f64> = (0..fits).map(of_fit).collect();
    let is_it = |row: &&Value| row["zoo_kind"] == "independent" && row["runs"] == 20 && row["method"] == "NM-CFM";
    close(&rows(&found).iter().find(is_it).unwrap()["accuracy_mean"], mean(&expected), "mean over fits");
}

#[test]
fn data_are_listed_as_the_catalogue_has_them() {
    let home = tempfile::tempdir().unwrap();
    let listed = json(home.path(), "data list");
    assert_eq!(rows(&listed).len(), SETS.len());
    for (row, set) in rows(&listed).iter().zip(&SETS) {
        assert_eq!((&row["name"], &row["classes"]), (&set.name.into(), &set.classes.into()));
        assert_eq!(row["rows"], set.rows + set.tests, "{}", set.name);
    }
    let digits = DataSpec::named("digits").load().unwrap();
    let rows = digits.train.len() + digits.validation.len() + digits.test.len();
    assert_eq!(row(&listed, "name", "digits")["rows"], rows, "what is embedded is what is listed");
}
