//! The program as its users meet it: help, exit codes, complaints, targets, and an interrupted run that goes on.
#[path = "support/commands.rs"]
mod commands;

use assert_cmd::Command;
use commands::COMMANDS;
use predicates::prelude::*;
use predicates::str::contains;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

fn thalweg(words: &str) -> Command {
    let mut command = Command::cargo_bin("thalweg").expect("cargo builds the program for its tests");
    command.args(words.split_whitespace());
    command
}

fn in_dir(dir: &Path, words: &str) -> Command {
    let mut command = thalweg(words);
    command.current_dir(dir);
    command
}

#[test]
fn help_teaches_by_example() {
    thalweg("--help").assert().success().stdout(contains("thalweg demo").and(contains("Exit codes")));
    thalweg("--version").assert().success().stdout(contains(env!("CARGO_PKG_VERSION")));
    for words in COMMANDS {
        let shown = thalweg(&format!("{words} --help")).assert().success();
        shown.stdout(contains("--seed").and(contains(format!("thalweg {}", words.split(' ').next().unwrap()))));
    }
    for words in COMMANDS.iter().filter(|w| **w != "data list") {
        thalweg(&format!("{words} --help")).assert().success().stdout(contains("Examples:"));
    }
}

#[test]
fn wrong_use_is_told_and_exits_with_2() {
    thalweg("").assert().code(2).stderr(contains("Usage"));
    for (words, said) in [
        ("frobnicate", "unrecognized subcommand"),
        ("demo --sede 3", "--sede"),
        ("demo --threads 0", "--threads"),
        ("demo --device cuda:7", "--device cuda:7"),
        ("demo --threads 99999", "--threads"),
        ("demo --resume --force", "cannot be used with"),
        ("demo --quiet --verbose", "cannot be used with"),
        ("data get", "required"),
        ("data get minst", "no data set minst"),
        ("reproduce everything", "generation"),
        ("reproduce generation --scale huge", "smoke"),
        ("zoo train", "--arch"),
        ("zoo train --arch digits --data minst", "fashion-mnist"),
        ("zoo train --arch digits --data digits --kind forked", "independent, shared, fork, tail"),
        ("zoo train --arch digits --data digits --set recipe.bacth=3", "bacth"),
        ("zoo train --arch digits --data digits --set recipe.batch", "KEY=VALUE"),
        ("zoo train --arch digits --data digits --set recipe.batch=many", "recipe.batch=many"),
        ("zoo train --arch digits --data digits --batch 100000", "training rows"),
        ("zoo train --arch digits --data mnist:/nowhere", "/nowhere"),
        ("zoo train missing.toml", "missing.toml"),
        ("zoo info nowhere", "nowhere"),
        ("zoo info nowhere --set a=1", "no settings"),
        ("sample nowhere --set a=1", "no settings"),
        ("fit nowhere", "nowhere"),
        ("sample nowhere -n 3", "nowhere"),
        ("encode nowhere", "NETWORKS"),
        ("encode nowhere --zoo nowhere", "nowhere"),
        ("eval nowhere.safetensors --zoo nowhere", "nowhere"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        // A cause of the system's is told once.
        let clean = contains("panicked").or(contains("(os error 2): ")).not();
        in_dir(dir.path(), words).assert().code(2).stderr(contains(said).and(clean));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "`{words}` left something behind");
    }
}

#[test]
fn unknown_keys_of_a_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = "runs = 2\nrnus = 3\narchitecture = \"digits\"\ndata = \"digits\"\n";
    std::fs::write(dir.path().join("zoo.toml"), text).unwrap();
    in_dir(dir.path(), "zoo train zoo.toml").assert().code(2).stderr(contains("rnus").and(contains("zoo.toml")));
}

#[test]
fn data_are_listed_for_people_and_for_machines() {
    let dir = tempfile::tempdir().unwrap();
    let list = |words: &str| {
        let mut command = thalweg(words);
        command.env("THALWEG_DATA", dir.path());
        command.assert().success()
    };
    list("data list").stdout(contains("fashion-mnist").and(contains("thalweg data get heart")));
    let output = list("data list --json").get_output().stdout.clone();
    let value: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(value["rows"][0]["name"], "digits");
    assert_eq!(value["rows"][1]["here"], false);
    list("data list -q").stdout(predicates::str::is_empty());
}

const ZOO: &str = "zoo train --arch digits --data digits --train-rows 200 --kind fork --steps 20 --batch 16 \
                   --set kind.fork.steps=20 --checkpoints 3 --seed 5";

#[test]
fn a_zoo_is_trained_told_and_never_overwritten_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let words = format!("{ZOO} --runs 8 --out zoo");
    in_dir(dir.path(), &words).assert().success().stdout(contains("fork zoo").and(contains("thalweg fit zoo")));
    in_dir(dir.path(), &words).assert().code(2).stderr(contains("exists already").and(contains("--force")));
    in_dir(dir.path(), &format!("{words} --force --threads 1 -q")).assert().success().stdout("");
    let output = in_dir(dir.path(), "zoo info zoo --json --out look").assert().success().get_output().stdout.clone();
    let value: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(value["rows"].as_array().unwrap().len(), 3);
    assert_eq!(value["rows"][2]["runs"], 8);
    assert!(value["rows"][2]["accuracy_mean"].as_f64().unwrap() > 0.0);
    let page = std::fs::read_to_string(dir.path().join("look/report.html")).unwrap();
    assert!(page.contains("Loss along training") && page.ends_with("</html>\n"));
}

#[test]
fn latents_are_written_and_decoded_networks_judged() {
    let dir = tempfile::tempdir().unwrap();
    let ok = |words: &str| in_dir(dir.path(), words).assert().success();
    ok(&format!("{ZOO} --runs 20 --out zoo -q"));
    let vae = "--set latent.vae.dimension=3 --set latent.vae.training.steps=60";
    ok(&format!("fit zoo --method ddpm --steps 30 {vae} --out model -q"));
    ok("sample model -n 4 --steps 10 --out s.safetensors -q");
    let shown = ok("encode model --zoo zoo --runs 4 --out l.safetensors");
    shown.stdout(contains("runs never seen").and(contains("decoded by PCA")).and(contains("[20, 3, 3]")));
    let text = std::fs::read_to_string(dir.path().join("l.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    // Three checkpoints of two parts; the mean of the finals is what an error of 1 stands for, at the end and on average.
    assert_eq!(value["rows"].as_array().unwrap().len(), 6);
    for row in value["rows"].as_array().unwrap() {
        assert!((0.0..=1.0).contains(&row["accuracy_vae"].as_f64().unwrap()), "{row}");
        assert!(row["error_vae"].as_f64().unwrap() > 0.0 && row["error_pca"].as_f64().unwrap() > 0.0, "{row}");
    }
    let bytes = std::fs::read(dir.path().join("l.safetensors")).unwrap();
    assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8 + 4 * (20 * 3 * 3 + 3), bytes.len());
    ok("encode model s.safetensors --out ls.safetensors").stdout(contains("[4, 3]").and(contains("PCA").not()));
    ok("fit zoo --steps 5 --out plain -q");
    in_dir(dir.path(), "encode plain --zoo zoo --out n").assert().code(2).stderr(contains("latent space"));
    assert!(!dir.path().join("n").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_exits_with_130_and_resume_comes_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let words = format!("{ZOO} --runs 640 --set shard=8");
    let binary = assert_cmd::cargo::cargo_bin("thalweg");
    let mut child = std::process::Command::new(binary)
        .args(words.split_whitespace())
        .args(["--out", "zoo"])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The runs begin when the first line with their number appears: no need to wait by the clock.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("0 of 640")).unwrap().unwrap();
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("--resume")), "{rest:?}");
    in_dir(dir.path(), "zoo info zoo").assert().code(2).stderr(contains("--resume"));
    in_dir(dir.path(), &format!("{words} --out zoo --resume -q")).assert().success();
    in_dir(dir.path(), &format!("{words} --out whole -q")).assert().success();
    for shard in ["shard-00000.safetensors", "shard-00079.safetensors"] {
        let read = |zoo: &str| std::fs::read(dir.path().join(zoo).join(shard)).unwrap();
        assert_eq!(read("zoo"), read("whole"), "{shard}");
    }
}

/// From `results.json` in `folder`.
fn results(folder: &Path) -> serde_json::Value {
    let bytes = std::fs::read(folder.join("results.json")).expect("every command leaves its results");
    serde_json::from_slice(&bytes).expect("results are JSON")
}

const ROW_KEYS: &[&str] = &[
    "method",
    "data",
    "zoo_kind",
    "accuracy_mean",
    "accuracy_sem",
    "accuracy_best",
    "accuracy_top5",
    "novelty_l2",
    "novelty_weights",
    "novelty_behaviour",
    "novelty_iou",
    "novel_and_performing",
    "novel_performing_weights",
    "copying_weights",
    "copying_behaviour",
    "spread_weights",
    "spread_behaviour",
    "ensemble_gain",
    "diversity_l2",
    "n",
    "seconds",
    "fit_seconds",
];

#[test]
fn the_demo_goes_the_whole_way() {
    let dir = tempfile::tempdir().unwrap();
    let shown = in_dir(dir.path(), "demo --scale smoke --seed 3 --out d").assert().success();
    shown.stdout(contains("NM-CFM").and(contains("diagonal Gaussian")).and(contains("report.html")));
    let out = dir.path().join("d");
    let value = results(&out);
    for key in ["command", "version", "seed", "threads", "seconds", "machine", "settings", "outputs"] {
        assert!(!value[key].is_null(), "{key}");
    }
    assert_eq!(value["seed"], 3);
    let rows = value["rows"].as_array().unwrap();
    for row in rows {
        for key in ROW_KEYS {
            assert!(row.get(key).is_some(), "{key} in {row}");
        }
    }
    let methods: Vec<&str> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    for method in ["cfm", "mmfm", "zoo", "held-out", "mean", "diagonal-gaussian", "pca-gaussian", "mean-move"] {
        assert!(methods.contains(&method), "{method} in {methods:?}");
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.matches("<svg").count() >= 5 && page.contains("prefers-color-scheme"));
    // Its one script moves the slider.
    assert!(page.matches("<script").count() == 1 && !page.contains("<script src"));

    // What the demo leaves behind is what the single commands take.
    let run = |words: &str| in_dir(dir.path(), words).assert();
    run("sample d/model-cfm -n 5 --at 0,1 --out s.safetensors").success();
    run("sample d/model-cfm -n 5 --out s.safetensors").code(2).stderr(contains("exists already"));
    run("sample d/model-cfm -n 3 --format per-network --out nets").success();
    let judged = run("eval s.safetensors --zoo d/zoo --out judged --json").success();
    let value: serde_json::Value = serde_json::from_slice(&judged.get_output().stdout).unwrap();
    let rows = value["rows"].as_array().unwrap();
    let methods: Vec<&str> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    // The samples, what real runs are worth, then the baselines.
    assert_eq!(methods[..4], ["samples", "zoo", "held-out", "mean"], "{methods:?}");
    assert_eq!((methods.last(), &rows[0]["n"]), (Some(&"mean-move"), &5.into()), "{methods:?}");
    let alone = run("eval s.safetensors --json").success();
    let alone: serde_json::Value = serde_json::from_slice(&alone.get_output().stdout).unwrap();
    for key in ["accuracy_mean", "accuracy_sem", "accuracy_best"] {
        let [a, b] = [&rows[0], &alone["rows"][0]].map(|row| row[key].as_f64().unwrap());
        assert!((a - b).abs() < 1e-9, "{key}: {a} beside the zoo, {b} alone");
    }
    assert!(dir.path().join("judged/report.html").is_file());
    run("eval s.safetensors --at-least 0.01").success();
    run("eval s.safetensors --at-least 0.999").code(1).stdout(contains("accuracy"));
    run("eval nets --arch digits --data digits").success().stdout(contains("359 test rows"));
    run("eval nets").code(2).stderr(contains("--arch"));
    run("fit d/zoo --steps 4 --set batch=8 --out m -q").success().stdout("");
    run("fit d/zoo --steps 4 --out m").code(2).stderr(contains("exists already"));
    run("fit d/zoo --set stpes=4 --out n").code(2).stderr(contains("stpes"));
    run("fit d/zoo --method magic --out n").code(2).stderr(contains("cfm, mmfm"));
    let small = "--iterations 2 --samples 4 --rows 32 --set trajectories=2 --set validation-samples=2";
    run(&format!("tune d/model-cfm --reward loss:digits {small} --out t")).success().stdout(contains("test accuracy"));
    run("sample t -n 3 --out tuned.safetensors").success();
    assert!(std::fs::read_to_string(dir.path().join("t/README.md")).unwrap().contains("adjoint matching"));
    run(&format!("tune d/model-cfm --reward loss:digits {small} --out t")).code(2).stderr(contains("exists already"));
    for (wrong, said) in [
        ("--reward loss:minst", "fashion-mnist"),
        ("--reward gain:digits", "loss or margin"),
        ("--reward digits", "loss:DATA"),
        ("--reward loss:digits --set stpes=3", "stpes"),
        ("--reward loss:digits --strength 0", "strength"),
        ("--reward loss:digits --set control=memoryless", "coupling"),
    ] {
        run(&format!("tune d/model-cfm {wrong} --out n")).code(2).stderr(contains(said));
    }
    run("zoo import nets --arch digits --data digits --out imported").success();
    run("zoo info imported").success().stdout(contains("3 runs"));
}

#[test]
fn generation_is_reproduced_at_the_smallest_scale() {
    let dir = tempfile::tempdir().unwrap();
    let words = "reproduce generation --scale smoke --set kinds=[\"aligned\",\"fork\",\"tail\"] --set zoo.all.runs=12 --set zoo.independent.runs=12 --set zoo.tail.runs=12 \
                 --set samples=6 --set fit.all.steps=10 --set only=[\"NM-CFM\",\"NM-MMFM\"] --out g";
    in_dir(dir.path(), words).assert().success().stdout(contains("memorisation probe"));
    let value = results(&dir.path().join("g"));
    let rows = value["rows"].as_array().unwrap();
    let of = |kind: &str, method: &str| {
        let found = rows.iter().find(|row| row["zoo_kind"] == kind && row["method"] == method);
        found.unwrap_or_else(|| panic!("{method} on {kind}")).clone()
    };
    for key in ROW_KEYS {
        assert!(of("fork", "NM-CFM").get(key).is_some(), "{key}");
    }
    assert_eq!((&of("fork", "NM-CFM")["fits"], &of("fork", "NM-CFM")["errors_over"]), (&2.into(), &"fits".into()));
    assert_eq!(of("fork", "NM-MMFM")["n"], 12);
    of("fork", "NM-CFM-from-training-starts");
    of("aligned", "NM-CFM");
    of("fork", "mean-move");
    of("tail", "NM-CFM");
    assert!(rows.iter().any(|row| row["ensemble"] == 4 && row["method"] == "NM-CFM" && row["nll_mean"].is_number()));
    assert!(!rows.iter().any(|row| row["zoo_kind"] == "tail" && row["method"] == "NM-MMFM"));
    for (wrong, said) in [
        ("--set kinds=[\"forked\"]", "forked"),
        ("--set fits=0", "fits"),
        ("--set smaples=3", "smaples"),
        ("--set data=[\"minst\"]", "minst"),
        ("--set fit.fork.stpes=3", "stpes"),
        ("--set only=[\"NM-CFN\"]", "NM-CFN"),
    ] {
        let words = format!("reproduce generation --scale smoke --out w {wrong}");
        in_dir(dir.path(), &words).assert().code(2).stderr(contains(said));
        assert!(!dir.path().join("w").exists(), "{wrong}");
    }
}

#[test]
fn accuracy_by_number_of_runs_is_reproduced_at_the_smallest_scale() {
    let dir = tempfile::tempdir().unwrap();
    let by_runs = |more: &str| in_dir(dir.path(), &format!("reproduce by-runs --scale smoke {more}")).assert();
    by_runs("--set flows.samples=3 --out b").success().stdout(contains("20 runs"));
    let value = results(&dir.path().join("b"));
    let rows = value["rows"].as_array().unwrap();
    for (kind, runs) in [("independent", 10), ("independent", 20), ("aligned", 20)] {
        for method in ["NM-CFM", "zoo", "held-out", "mean-move"] {
            let of =
                |row: &&serde_json::Value| row["zoo_kind"] == kind && row["runs"] == runs && row["method"] == method;
            assert!(rows.iter().find(of).is_some_and(|row| row["accuracy_mean"].is_number()), "{kind} {runs} {method}");
        }
    }
    by_runs("--set runs=[10,29] --out c").code(2).stderr(contains("nine tenths"));
}

#[test]
fn rewards_are_reproduced_at_the_smallest_scale() {
    let dir = tempfile::tempdir().unwrap();
    let words = "reproduce reward --scale smoke --set zoo.runs=12 --set samples=4 --set tune.iterations=4 --set tasks=[\"classes\"] \
                 --set cost-at=[1] --out r";
    in_dir(dir.path(), words).assert().success().stdout(contains("tuned generator"));
    let value = results(&dir.path().join("r"));
    let rows = value["rows"].as_array().unwrap();
    let methods = ["base", "tuned", "best-of-n", "ascent", "ascent-from-initialisations", "guidance"];
    for method in methods {
        let row = rows.iter().find(|row| row["method"] == method).unwrap_or_else(|| panic!("{method}"));
        for key in ["task", "accuracy_mean", "accuracy_sem", "moved", "spread", "seconds", "n"] {
            assert!(row.get(key).is_some(), "{key} of {method}");
        }
    }
    assert!(rows.iter().any(|row| row["seconds_tuned"].as_f64().is_some_and(|s| s > 0.0)));
    let page = std::fs::read_to_string(dir.path().join("r/report.html")).unwrap();
    assert!(page.matches("<svg").count() >= 5, "figures");
    in_dir(dir.path(), &format!("{words} --resume")).assert().success();
    for (wrong, said) in
        [("--set tasks=[\"moon\"]", "task.moon"), ("--set tune.stpes=1", "stpes"), ("--set samples=0", "sizes")]
    {
        let words = format!("reproduce reward --scale smoke --out w {wrong}");
        in_dir(dir.path(), &words).assert().code(2).stderr(contains(said));
        assert!(!dir.path().join("w").exists(), "{wrong}");
    }
}

#[test]
fn the_figures_of_trajectory_inference_are_reproduced_at_the_smallest_scale() {
    let dir = tempfile::tempdir().unwrap();
    let small = "--scale smoke --set flows.zoo.all.runs=20 --set flows.samples=6 --set flows.fit.steps=8 --set flows.kinds=[\"fork\"]";
    in_dir(dir.path(), &format!("reproduce inference-loss {small} --out l"))
        .assert()
        .success()
        .stdout(contains("JKO_3"));
    let value = results(&dir.path().join("l"));
    let rows = value["rows"].as_array().unwrap();
    let losses = |method: &str| rows.iter().filter(|r| r["method"] == method && r.get("loss_mean").is_some()).count();
    assert_eq!((losses("CFM"), losses("JKO_3"), losses("real-runs")), (5, 5, 7));
    in_dir(dir.path(), &format!("reproduce marginals {small} --out m")).assert().success().stdout(contains("floor"));
    let value = results(&dir.path().join("m"));
    let rows = value["rows"].as_array().unwrap();
    let of = |method: &str| rows.iter().filter(|r| r["method"] == method).cloned().collect::<Vec<_>>();
    let course = of("Action_5−gauss");
    assert_eq!(course.len(), 8);
    for key in ["w1_x100_mean", "w1_x100_sem", "floor_x100_mean", "spread_ratio", "energy_distance"] {
        assert!(course[0][key].is_number(), "{key}");
    }
    for key in ["interior_w1_over_floor", "action_gap", "action_gap_still", "accuracy_mean"] {
        assert!(course[7][key].is_number(), "{key}");
    }
    for (wrong, said) in [
        ("--set flows.kinds=[\"tail\"]", "tail"),
        ("--set flows.only=[\"MMFM\"]", "MMFM_5"),
        ("--set flows.fit.stpes=3", "stpes"),
        ("--set repeats=0", "repeats"),
    ] {
        let words = format!("reproduce marginals --scale smoke --out w {wrong}");
        in_dir(dir.path(), &words).assert().code(2).stderr(contains(said));
        assert!(!dir.path().join("w").exists(), "{wrong}");
    }
}
