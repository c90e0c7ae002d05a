//! The program under the hands of tests that disturb it: inputs made once, commands that write, and what they promise to write.
#![allow(dead_code, clippy::unwrap_used)] // every test file uses its own part
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command; where it runs, inputs lie in `../in`, and its output is `out`.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub name: &'static str,
    /// Words without `--out`.
    pub words: &'static str,
    /// Whether it goes on with `--resume`.
    pub resumes: bool,
    /// Whether its output is a file.
    pub file: bool,
}

const fn job(name: &'static str, resumes: bool, file: bool, words: &'static str) -> Job {
    Job { name, words, resumes, file }
}

/// Every command that writes, in forms that leave different files.
pub const JOBS: [Job; 19] = [
    job(
        "zoo-fork",
        true,
        false,
        "zoo train --arch digits --data digits --train-rows 200 --kind fork --steps 120 --batch 16 --set kind.fork.steps=40 --checkpoints 3 --runs 80 --seed 5 --set shard=8",
    ),
    job(
        "zoo-tail",
        true,
        false,
        "zoo train --arch digits --data digits --train-rows 200 --kind tail --steps 9000 --batch 16 --runs 40 --seed 5",
    ),
    job("align", true, false, "zoo align ../in/zoo --seed 2"),
    job("fit", true, false, "fit ../in/zoo --steps 400 --seed 3"),
    job(
        "fit-vae",
        true,
        false,
        "fit ../in/zoo --steps 60 --method ddpm --set latent.vae.dimension=3 --set latent.vae.training.steps=60",
    ),
    job("fit-pca", true, false, "fit ../in/zoo --steps 300 --set latent.pca.dimension=3"),
    job(
        "fit-context",
        true,
        false,
        "fit --context ../in/tasks/ --steps 60 --batch 8 --set field.residual-mlp.width=8 --set split.test=0",
    ),
    job(
        "tune",
        true,
        false,
        "tune ../in/model --reward loss:digits@rotate=40 --iterations 12 --samples 4 --rows 32 --set trajectories=4 --set validation-samples=2",
    ),
    job("demo", true, false, "demo --scale smoke --seed 3 --set samples=3"),
    job(
        "reproduce",
        true,
        false,
        "reproduce by-runs --scale smoke --set runs=[10] --set flows.kinds=[\"aligned\"] --set flows.samples=3",
    ),
    job("import", false, false, "zoo import ../in/nets --arch digits --data digits"),
    job("info", false, false, "zoo info ../in/zoo"),
    job("sample", false, true, "sample ../in/model -n 40 --steps 200 --seed 1"),
    job("sample-each", false, false, "sample ../in/model -n 12 --format per-network"),
    job("encode", false, true, "encode ../in/latent --zoo ../in/zoo --runs 4"),
    job("eval", false, false, "eval ../in/s.safetensors --zoo ../in/zoo"),
    job(
        "calibrate",
        false,
        true,
        "shift calibrate --model ../in/nets/network-00000.safetensors --arch digits --p digits --size 10 --methods entropy,detectron --set cdc.steps=4",
    ),
    job("test", false, false, "shift test ../in/c.cal --q digits@rotate=60 --draw --fail-on never"),
    job("train-one", true, false, "zoo train --arch digits --data digits --runs 4 --steps 400 --kind independent"),
];

pub fn thalweg(dir: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(dir).args(words.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The exit code of a command, and what it says on stdout and stderr.
pub fn said(dir: &Path, words: &str) -> (i32, String, String) {
    let output = thalweg(dir, words).stdout(Stdio::piped()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Runs a command to its good end; gives what it says on stdout.
#[track_caller]
pub fn done(dir: &Path, words: &str) -> String {
    let (code, out, err) = said(dir, words);
    assert_eq!(code, 0, "{words}: {err}");
    out
}

/// Makes the inputs of all jobs in `home/in`.
pub fn inputs(home: &Path) {
    let dir = home.join("in");
    fs::create_dir(&dir).unwrap();
    let zoo = "zoo train --arch digits --data digits --train-rows 200 --kind fork --steps 30 --batch 16 --set kind.fork.steps=20 \
               --checkpoints 3 --runs 24 -q";
    let task = "zoo train --arch digits --kind shared --runs 4 --steps 20 --checkpoints 2 -q";
    for words in [
        &format!("{zoo} --seed 1 --set shard=6 --out zoo"),
        &format!("{task} --data digits --out tasks/a"),
        &format!("{task} --data digits@relabel=1 --out tasks/b"),
        "fit zoo --steps 40 --out model -q",
        "fit zoo --steps 40 --set latent.pca.dimension=3 --out latent -q",
        "sample model -n 4 --steps 5 --out s.safetensors -q",
        "sample model -n 4 --steps 5 --format per-network --out nets -q",
        "shift calibrate --model nets/network-00000.safetensors --arch digits --p digits --size 10 --methods entropy --out c.cal -q",
    ] {
        done(&dir, words);
    }
}

impl Job {
    /// The whole command line.
    pub fn line(&self, more: &str) -> String {
        format!("{} --out out {more} -q", self.words)
    }
}

/// Every file below `dir`, by path: bytes where they are promised; of files with seconds, command lines or pictures in them what is promised of them.
pub fn promised(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(dir: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                found.insert(format!("{name}/"), Vec::new());
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                let bytes = fs::read(entry.path()).unwrap();
                found.insert(name.clone(), kept(&name, bytes));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, "", &mut found);
    found
}

/// What is promised of a file's bytes.
fn kept(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    match name.rsplit('/').next().unwrap_or(name) {
        // How long it took; the page that says so.
        "timing.toml" | "report.html" => vec![u8::from(!bytes.is_empty())],
        // The command line, with --resume or without.
        ".thalweg" => {
            let text = String::from_utf8(bytes).unwrap();
            text.lines().filter(|line| !line.starts_with("line = ")).collect::<Vec<_>>().join("\n").into_bytes()
        }
        name if name.ends_with(".json") => match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Ok(value) => without_seconds(&value["rows"]).to_string().into_bytes(),
            Err(_) => bytes,
        },
        _ => bytes,
    }
}

fn without_seconds(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Array(all) => all.iter().map(without_seconds).collect(),
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !key.contains("seconds"));
            Value::Object(kept.map(|(key, value)| (key.clone(), without_seconds(value))).collect())
        }
        other => other.clone(),
    }
}

/// The first thing in which two folders differ.
pub fn difference(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
    names.into_iter().find_map(|name| match (expected.get(name), found.get(name)) {
        (Some(a), Some(b)) if a == b => None,
        (Some(_), Some(_)) => Some(format!("{name} has other bytes")),
        (Some(_), None) => Some(format!("{name} is missing")),
        (None, _) => Some(format!("{name} is left over")),
    })
}
