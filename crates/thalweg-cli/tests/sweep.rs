//! Sweeps of fits (`fit --sweep`) and context zoos, by one process and by tasks: the bytes of the fits alone, what is missing or damaged named, what does
//! not belong refused.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
mod support;

use std::fs;
use std::path::Path;
use support::{difference, done, promised, said, thalweg};

const ZOO: &str = "zoo train --arch digits --data digits --train-rows 200 --kind fork --steps 30 --batch 16 --set kind.fork.steps=20 --checkpoints 3 \
                   --runs 24 --seed 1 --out zoo -q";

/// Four fits; two of them share an autoencoder.
const SWEEP: &str = "fit zoo --steps 60 --set latent.vae.dimension=3 --set latent.vae.training.steps=40 --sweep method=cfm,ddpm --sweep seed=1,2";

/// The files of a model, but for the seconds and the page.
fn model(dir: &Path) -> Vec<Vec<u8>> {
    ["model.toml", "model.safetensors", "README.md"].map(|name| fs::read(dir.join(name)).unwrap()).into()
}

#[test]
fn a_sweep_made_by_tasks_is_that_of_one_process_and_its_fits_are_those_made_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    done(dir, ZOO);
    let out = done(dir, &format!("{SWEEP} --out one"));
    for part in ["method=ddpm,seed=2", "held-out loss", "one: 4 models"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let one = promised(&dir.join("one"));
    assert_eq!(one.keys().filter(|name| name.ends_with("model.toml")).count(), 4);
    assert!(!one.keys().any(|name| name.contains("latents") || name.contains("work.toml")), "{:?}", one.keys());
    let alone = SWEEP.replace(" --sweep method=cfm,ddpm --sweep seed=1,2", " --method ddpm --seed 2");
    done(dir, &format!("{alone} --out alone -q"));
    assert!(model(&dir.join("alone")) == model(&dir.join("one/method=ddpm,seed=2")));
    let results: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("one/results.json")).unwrap()).unwrap();
    let rows = results["rows"].as_array().unwrap();
    assert!(rows.len() == 4 && rows.iter().all(|row| row["loss_held_out"].as_f64().unwrap() > 0.0), "{rows:?}");
    assert!(rows[0]["accuracy_sampled_mean"].as_f64().unwrap() > 0.0);

    for index in [2, 0] {
        let out = done(dir, &format!("{SWEEP} --out many --shard {index}/3"));
        assert!(out.contains(&format!("task {index} of 3: models")), "{out}");
    }
    let before = promised(&dir.join("many"));
    for (words, expected) in [
        (format!("{} --out many --shard 1/3", SWEEP.replace("seed=1,2", "seed=1,3")), "seed=2: expected"),
        (format!("{SWEEP} --out many --shard 0/5"), "at most 4"),
        (format!("{SWEEP} --out many"), "exists already"),
        ("fit zoo --out single --shard 0/2".to_owned(), "--sweep"),
        ("submit --tasks 2 -- fit zoo --out single".to_owned(), "--sweep"),
        (format!("{SWEEP} --sweep steps=a --out wrong"), "steps=a"),
    ] {
        let (code, _, err) = said(dir, &words);
        assert!(code == 2 && err.contains(expected), "{words}: {code} {err}");
    }
    assert_eq!(difference(&before, &promised(&dir.join("many"))), None);
    let (code, out, _) = said(dir, "gather many");
    assert!(code == 1 && out.contains("3 of 4 models") && out.contains("missing: 1\n"), "{out}");
    assert!(out.contains("--out many --shard I/4"), "{out}");
    // As HyperQueue runs it, twice at once; what a killed task leaves behind goes when the work is ended.
    fs::create_dir(dir.join("many/.method=cfm,seed=2.0123abcd-0.part")).unwrap();
    let twice = [0, 1].map(|_| {
        let mut task = thalweg(dir, &format!("{SWEEP} --out many --shard auto/3 -q"));
        task.env("HQ_TASK_ID", "1").spawn().unwrap()
    });
    for mut task in twice {
        assert!(task.wait().unwrap().success());
    }
    let weights = dir.join("many/method=cfm,seed=1/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let (code, out, _) = said(dir, "gather many");
    assert!(
        code == 1 && out.contains("damaged: ") && out.contains("method=cfm,seed=1") && out.contains("--discard"),
        "{out}"
    );
    assert_eq!(said(dir, "gather many --discard").0, 1);
    done(dir, &format!("{SWEEP} --out many --shard 0/3 -q"));
    done(dir, "gather many -q");
    assert_eq!(difference(&one, &promised(&dir.join("many"))), None);
    // What is finished is told, and not made again.
    assert!(done(dir, &format!("{SWEEP} --out many --resume")).contains("finished already"));
}

#[test]
fn zoos_of_tasks_and_the_conditional_fits_to_them_made_by_tasks_are_those_of_one_process() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let zoo = "zoo train --arch digits --kind shared --runs 4 --steps 20 --checkpoints 2 --set shard=2 -q";
    for (data, name) in [("digits", "a"), ("digits@relabel=1", "b")] {
        done(dir, &format!("{zoo} --data {data} --out one/{name}"));
        for index in [1, 0] {
            done(dir, &format!("{zoo} --data {data} --out many/{name} --shard {index}/2"));
        }
        done(dir, &format!("gather many/{name} -q"));
    }
    assert_eq!(difference(&promised(&dir.join("one")), &promised(&dir.join("many"))), None);
    let sweep = "--steps 40 --batch 8 --set field.residual-mlp.width=8 --set split.test=0 --sweep seed=1,2 -q";
    done(dir, &format!("fit --context one/ {sweep} --out models"));
    for index in [0, 1] {
        done(dir, &format!("fit --context one/ {sweep} --out models-many --shard {index}/2"));
    }
    done(dir, "gather models-many -q");
    assert_eq!(difference(&promised(&dir.join("models")), &promised(&dir.join("models-many"))), None);
}
