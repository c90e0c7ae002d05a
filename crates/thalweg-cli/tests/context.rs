//! Conditional flows as users meet them: zoos of two tasks, a fit over both, networks for a task by a few of its rows; and their experiments.
#![allow(clippy::unwrap_used)]
#[path = "support/words.rs"]
mod words;

use predicates::prelude::*;
use predicates::str::contains;
use std::path::Path;
use words::in_dir;

fn results(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn networks_are_sampled_for_a_task_by_a_few_of_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let zoo = "zoo train --arch digits --kind shared --runs 4 --steps 20 --checkpoints 2";
    for task in ["digits", "digits@relabel=1"] {
        in_dir(dir, &format!("{zoo} --data {task} --out tasks/{}", task.replace(['@', '='], "-"))).assert().success();
    }
    let fit = "fit --context tasks/ --steps 6 --batch 8 --set field.residual-mlp.width=8 --set split.test=0";
    in_dir(dir, &format!("{fit} --out model")).assert().success().stdout(contains("--context digits:20"));
    in_dir(dir, &format!("{fit} --threads 1 --out again")).assert().success();
    let bytes = |model: &str| std::fs::read(dir.join(model).join("model.safetensors")).unwrap();
    assert!(bytes("model") == bytes("again"));
    for (name, more) in [("a", "--context digits@relabel=1:3"), ("b", "--context digits:3 --guidance 2"), ("c", "")] {
        in_dir(dir, &format!("sample model -n 2 {more} --out {name}.safetensors")).assert().success();
    }
    let bytes = |name: &str| std::fs::read(dir.join(format!("{name}.safetensors"))).unwrap();
    assert!(bytes("a") != bytes("c") && bytes("b") != bytes("c"));
    in_dir(dir, "eval a.safetensors --zoo tasks/digits-relabel-1").assert().success();
    for (words, said) in [
        ("fit tasks/digits tasks/digits-relabel-1 --out w", "--context"),
        ("fit --context . --out w", "a folder of zoos"),
        ("fit --context tasks/ --set context.heads=3 --out w", "context.heads"),
        ("sample model -n 2 --context digits@turn=3 --out w.safetensors", "rotate=DEGREES"),
        ("sample model -n 2 --context iris:/nowhere:3 --out w.safetensors", "/nowhere"),
        ("sample model -n 2 --guidance 2 --out w.safetensors", "--context"),
    ] {
        in_dir(dir, words).assert().code(2).stderr(contains(said));
    }
}

#[test]
fn both_experiments_run_at_the_smallest_scale() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let said = in_dir(dir, "reproduce context --scale smoke --out c").assert().success();
    said.stdout(contains("conditional flow").and(contains("best of all zoos")));
    let found = results(&dir.join("c/results.json"));
    let rows = found["rows"].as_array().unwrap();
    assert!(rows.iter().any(|r| r["seen"] == false && r["method"] == "unconditional flow"));
    assert!(rows.iter().all(|r| r["accuracy_mean"].is_number() && r["seconds"].is_number()));
    let said = in_dir(dir, "reproduce initialisation --scale smoke --set made-in=c --out i").assert().success();
    said.stdout(contains("Kaiming").and(contains("soup")));
    let found = results(&dir.join("i/results.json"));
    assert!(found["rows"].as_array().unwrap().iter().any(|r| r["few_shot"] == true && r["epochs_to_goal"].is_number()));
    for (words, said) in [
        ("reproduce context --scale smoke --out w --set shots=[]", "shots"),
        ("reproduce context --scale smoke --out w --set fit.context.class-width=9999", "context.class-width"),
        ("reproduce initialisation --scale smoke --out w --set made-in=nowhere", "nowhere"),
        ("reproduce initialisation --scale smoke --out v --set targets=[\"minst\"]", "fashion-mnist"),
    ] {
        in_dir(dir, words).assert().code(2).stderr(contains(said));
    }
    assert!(!dir.join("v").exists());
}

#[test]
fn all_of_them_share_what_they_are_made_from_and_are_judged_together() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let all = "reproduce all --only context,initialisation --scale smoke --set initialisation.networks=2 --set context.draws=1 --out a";
    in_dir(dir, all).assert().success().stdout(contains("a trivial rival"));
    // One set of zoos for both, in the folder of its recipe.
    let zoos: Vec<_> = std::fs::read_dir(dir.join("a/zoos")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(zoos.len() == 1 && zoos[0].to_string_lossy().starts_with("tasks-"), "{zoos:?}");
    assert!(!dir.join("a/initialisation/zoos").exists());
    let found = results(&dir.join("a/results.json"));
    let rows = found["rows"].as_array().unwrap();
    for experiment in ["context", "initialisation"] {
        let alone = results(&dir.join("a").join(experiment).join("results.json"));
        let told = rows.iter().filter(|r| r["experiment"] == experiment && r["claim"].is_null()).count();
        assert_eq!(told, alone["rows"].as_array().unwrap().len());
        assert!(rows.iter().any(|r| r["experiment"] == experiment && r["claim"].is_number() && r["won"].is_boolean()));
    }
    assert!(rows.iter().all(|r| r["seed"].is_number()));
    let page = std::fs::read_to_string(dir.join("a/report.html")).unwrap();
    assert!(page.contains("class=\"chapter\"") && page.contains("thalweg reproduce context --scale smoke --seed 1"));
    in_dir(dir, &format!("{all} --resume")).assert().success().stdout(contains("is finished already"));
    for (words, said) in [
        ("reproduce context --only context --out w", "reproduce all --only context"),
        ("reproduce all --scale smoke --set shots=[1] --out w", "expected NAME.KEY=VALUE"),
        ("reproduce all --scale smoke --set context.shots=[] --out w", "shots"),
        ("reproduce all --only everything --out w", "generation"),
    ] {
        in_dir(dir, words).assert().code(2).stderr(contains(said));
    }
    assert!(!dir.join("w").exists());
}
