//! Every command line that we show works: the examples of every `--help`, the steps of README.md, the next step that a command names.
//!
//! All of them are run as a shell runs them; [`lines::shortened`] says by which settings those that take minutes become short.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]

#[path = "support/commands.rs"]
mod commands;
#[path = "examples/lines.rs"]
mod lines;
#[path = "examples/world.rs"]
mod world;

use commands::COMMANDS;
use lines::{joined, next, of_help, of_markdown, shortened, with};
use std::fs;
use std::path::Path;
use world::{Said, copy, files, run, shell, written};

const CNN: &str = "thalweg zoo train --arch cnn-s --data mnist -q";
const MLP: &str = "thalweg zoo train --arch net.toml --data heart --kind fork --runs 8 --set kind.fork.steps=100 --checkpoints 3 -q --out hearts";

/// What the examples take for granted, made by the program itself.
fn made(dir: &Path) {
    files(dir);
    run(dir, &format!("{CNN} --kind fork --runs 10 --steps 60 --set kind.fork.steps=100 --out zoo"));
    run(dir, MLP);
    for (zoo, runs, finals) in [("zoo", "checkpoints", "finals"), ("hearts", "runs", "hearts-finals")] {
        written(dir, zoo, runs, finals);
    }
    copy(&dir.join("finals"), &dir.join("nets"));
    fs::copy(dir.join("hearts-finals/net-0.safetensors"), dir.join("f.safetensors")).unwrap();
    for (task, out) in [("mnist", "home"), ("mnist@rotate=40", "turned")] {
        run(
            dir,
            &format!("{CNN} --kind shared --runs 4 --steps 30 --data {task} --out tasks/{out}").replacen(
                "--data mnist ",
                "",
                1,
            ),
        );
    }
    for (zoo, model) in [
        ("zoo", "model"),
        ("zoo --set latent.vae.dimension=3", "models/latent"),
        ("hearts", "models/table"),
        ("--context tasks", "models/context"),
    ] {
        run(dir, &format!("{} --out {model} -q", shortened(&format!("thalweg fit {zoo}"))));
    }
    run(dir, "thalweg sample model -n 4 --steps 10 --out samples.safetensors -q");
}

/// Lays what `line` reads where it reads it, and leaves free what it writes.
fn prepare(dir: &Path, line: &str) {
    let model = match line {
        _ if line.contains("thalweg encode") => Some("latent"),
        _ if line.contains("thalweg sample") && line.contains("--context") => Some("context"),
        _ if line.contains("loss:csv:") => Some("table"),
        _ => None,
    };
    if let Some(model) = model {
        fs::remove_dir_all(dir.join("model")).unwrap();
        copy(&dir.join("models").join(model), &dir.join("model"));
    }
    let words: Vec<&str> = line.split(' ').collect();
    let given = words.iter().position(|word| *word == "--out").map(|at| words[at + 1].trim_end_matches('/'));
    let target = given.or(line.contains("thalweg fit").then_some("model"));
    let target = target.or(line.contains("thalweg sample").then_some("samples.safetensors"));
    let is_read =
        |target: &str| words.iter().any(|word| word.starts_with(&format!("{target}/")) && !word.ends_with('/'));
    let Some(target) = target.filter(|target| !is_read(target)) else { return };
    for path in [dir.join(target), dir.join(target).with_extension("json")] {
        drop(fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)));
    }
    if line.contains("--resume") {
        run(dir, &line.replace(" --resume", ""));
    }
}

/// Whether a command may end so: a finding has an exit code of its own.
fn ended_well(line: &str, code: i32) -> bool {
    match line {
        _ if line.contains("--at-least") => [0, 1].contains(&code),
        _ if line.contains("shift test") || line.contains("shift check") => [0, 1, 3].contains(&code),
        _ => code == 0,
    }
}

fn ran(dir: &Path, line: &str) -> Said {
    let said = shell(dir, line);
    assert!(ended_well(line, said.code), "{line}\nexit code {}\n{}{}", said.code, said.out, said.err);
    said
}

#[test]
fn every_example_of_the_help_works() {
    let home = tempfile::tempdir().unwrap();
    made(home.path());
    let examples = of_help(home.path());
    for command in COMMANDS.iter().filter(|command| **command != "data list") {
        assert!(
            examples.iter().any(|line| line.contains(&format!("thalweg {command} ")) || line.ends_with(command)),
            "{command}"
        );
    }
    for example in &examples {
        let dir = tempfile::tempdir().unwrap();
        copy(home.path(), dir.path());
        let line = shortened(example);
        prepare(dir.path(), &line);
        let began = std::time::Instant::now();
        ran(dir.path(), &line);
        println!("{:.1} s: {line}", began.elapsed().as_secs_f64());
        // Tests of shift take what calibrations leave.
        for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_some_and(|e| e == "cal") {
                fs::copy(entry.path(), home.path().join(entry.file_name())).unwrap();
            }
        }
        if line.contains("thalweg demo") && !line.contains("--out") {
            let page = fs::read_to_string(dir.path().join("thalweg-demo/report.html")).unwrap();
            let shown = joined(page.split("<pre>").nth(1).unwrap().split("</pre>").next().unwrap());
            assert!(shown.len() >= 4, "{page}");
            shown.iter().for_each(|line| {
                let line = shortened(line);
                prepare(dir.path(), &line);
                ran(dir.path(), &line);
            });
        }
    }
}

/// The last row of a fit's results: accuracies of sampled networks, of the zoo's runs, and by chance.
fn checked(model: &Path) -> Option<[f64; 3]> {
    let results: serde_json::Value = serde_json::from_slice(&fs::read(model.join("results.json")).ok()?).ok()?;
    let row = results["rows"].as_array()?.last()?.clone();
    let [sampled, zoo, chance] =
        ["accuracy_sampled_mean", "accuracy_zoo_mean", "accuracy_chance"].map(|key| row[key].as_f64());
    Some([sampled?, zoo?, chance?])
}

/// Runs `line` and what it names next, and so on; gives all of them. None may leave networks at chance without a word.
fn followed(dir: &Path, line: &str, rows: &str) -> Vec<String> {
    let mut all = vec![line.to_owned()];
    for _ in 0..6 {
        let line = all.last().unwrap().clone();
        let said = ran(dir, &line);
        if line.contains("thalweg fit")
            && !line.contains("--context")
            && let Some([sampled, zoo, chance]) = checked(&dir.join("model"))
        {
            let works = zoo > chance + 0.05 && sampled > (zoo + chance) / 2.0;
            assert!(works || said.err.contains("warning"), "{line}\n{sampled} of {zoo}, {chance}\n{}", said.err);
        }
        let Some(next) = next(&said.out, rows) else { break };
        assert!(!next.contains("…") && !all.contains(&next), "{line} names {next}");
        all.push(match next.starts_with("thalweg fit") {
            true => next.replacen("thalweg fit", "thalweg fit --steps 200", 1),
            false => shortened(&next),
        });
    }
    assert!(all.len() > 1, "{line} names no next step");
    all
}

#[test]
fn every_next_step_that_a_command_names_works() {
    let home = tempfile::tempdir().unwrap();
    files(home.path());
    run(home.path(), MLP);
    written(home.path(), "hearts", "runs", "finals");
    fs::copy(home.path().join("finals/net-0.safetensors"), home.path().join("f.safetensors")).unwrap();
    for task in ["digits", "digits@relabel=1"] {
        let out = task.replace(['@', '='], "-");
        run(
            home.path(),
            &format!(
                "thalweg zoo train --arch digits --data {task} --kind shared --runs 4 --steps 20 --checkpoints 2 --out tasks/{out} -q"
            ),
        );
    }
    let digits = "thalweg zoo train --arch digits --data digits --runs 24 --set shard=8";
    let ends = |line: &str, last: &str| {
        let dir = tempfile::tempdir().unwrap();
        copy(home.path(), dir.path());
        let all = followed(dir.path(), line, "new.csv");
        assert!(all.last().unwrap().contains(last), "{all:#?}");
        (all, dir)
    };
    for kind in ["shared", "fork", "tail"] {
        ends(&format!("{digits} --kind {kind} --out zoo"), "thalweg eval");
    }
    // Independent runs are aligned first.
    let (all, _) = ends(&format!("{digits} --out 'my zoo'"), "thalweg eval");
    assert!(
        all[1].contains("zoo align 'my zoo' --out 'my zoo-aligned'") && all[2].contains("'my zoo-aligned'"),
        "{all:#?}"
    );
    ends("thalweg zoo import runs --out zoo", "thalweg sample");
    ends(
        "thalweg zoo import runs --arch net.toml --data heart --initialisation kaiming-uniform --out zoo",
        "thalweg eval",
    );
    ends("thalweg zoo import finals --arch net.toml --data heart --out zoo", "thalweg eval");
    // Methods whose defaults want more checkpoints than the three that these runs have take as many as there are.
    for method in ["mmfm", "jko", "action", "ddpm", "kde", "swag"] {
        ends(&format!("thalweg fit hearts --method {method} --steps 100"), "thalweg eval");
    }
    let (_, dir) = ends("thalweg fit hearts", "thalweg eval");
    let tune = "thalweg tune model --reward loss:csv:mine.csv --out tuned";
    fs::remove_file(dir.path().join("samples.safetensors")).unwrap();
    fs::remove_file(dir.path().join("samples.json")).unwrap();
    followed(dir.path(), &shortened(tune), "new.csv");
    ends("thalweg fit --context tasks --set split.test=0 --set field.residual-mlp.width=8 --batch 8", "thalweg eval");
    ends(
        &shortened("thalweg shift calibrate --model f.safetensors --arch net.toml --p heart --out f.cal"),
        "shift test",
    );
    fs::rename(home.path().join("new-logits.csv"), home.path().join("new.csv")).unwrap();
    ends(&shortened("thalweg shift calibrate --logits held-logits.csv --out l.cal"), "shift test");
}

#[test]
fn networks_at_chance_are_told() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let train = "thalweg zoo train --arch net.toml --data heart --runs 6 --checkpoints 2";
    let said = run(dir.path(), &format!("{train} --steps 2 --out short"));
    assert!(
        said.err.contains("warning") && said.err.contains("learned nothing") && said.err.contains("--steps"),
        "{}",
        said.err
    );
    // A fit of them says so too.
    let said = run(dir.path(), "thalweg fit short --steps 10 --out model");
    assert!(said.err.contains("learned nothing"), "{}", said.err);
    let said = run(dir.path(), &format!("{train} --out long"));
    assert!(!said.err.contains("warning"), "{}", said.err);
}

/// Mean final validation accuracy of a zoo, from what `zoo train` leaves.
fn accuracy(zoo: &Path) -> f64 {
    let results: serde_json::Value = serde_json::from_slice(&fs::read(zoo.join("results.json")).unwrap()).unwrap();
    results["rows"].as_array().unwrap().last().unwrap()["accuracy_mean"].as_f64().unwrap()
}

#[test]
fn runs_of_the_default_length_learn_whatever_the_size_of_the_table() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    for n in [60, 300] {
        fs::write(dir.path().join(format!("{n}.csv")), world::csv(n, 2, 0.0, true)).unwrap();
    }
    // Three fifths of the patients are of one class; an even guess of digits is right once in ten.
    for (data, arch, rows, least) in [
        ("csv:60.csv", "mlp --widths 16,16", 36, 0.75),
        ("csv:300.csv", "mlp --widths 16,16", 180, 0.8),
        ("heart", "mlp --widths 16,16", 183, 0.8),
        ("digits", "digits", 1079, 0.9),
    ] {
        let train = format!("thalweg zoo train --arch {arch} --data {data} --runs 8 --out zoo --force");
        let said = run(dir.path(), &train);
        let batch = rows.min(64);
        let note = format!("Each run: 1000 steps of {batch} rows");
        assert!(said.err.contains(&note) && said.err.contains("--epochs or --steps and --batch"), "{}", said.err);
        let reached = accuracy(&dir.path().join("zoo"));
        assert!(reached > least, "{data}: {reached}");
        // Four passes, which is what larger sets get, are not enough for any of them.
        let four = format!("--out short --checkpoints 2 --batch {batch}");
        run(dir.path(), &with(&train, "--epochs", "4").replace("--out zoo", &four));
        let short = accuracy(&dir.path().join("short"));
        assert!(short < reached - 0.1, "{data}: {short}, {reached}");
    }
}

/// README.md and the pages of the book, by name.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = vec![root.join("README.md")];
    for folder in ["book/src", "book/src/recipes"] {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        paths.extend(entries.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    paths.sort();
    paths
        .iter()
        .map(|path| (path.strip_prefix(&root).unwrap().display().to_string(), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn the_steps_of_the_readme_and_of_the_book_work() {
    let pages: Vec<_> = pages().into_iter().filter(|(_, text)| !of_markdown(text).is_empty()).collect();
    assert!(pages.len() > 5, "{}", pages.len());
    let home = tempfile::tempdir().unwrap();
    files(home.path());
    // The architecture is the one that a page shows.
    let shown = pages.iter().find_map(|(_, text)| text.split("```toml net.toml\n").nth(1)).unwrap();
    fs::write(home.path().join("net.toml"), shown.split("```").next().unwrap()).unwrap();
    run(home.path(), &MLP.replace("heart ", "csv:train.csv "));
    written(home.path(), "hearts", "checkpoints", "finals");
    fs::copy(home.path().join("finals/net-0.safetensors"), home.path().join("f.safetensors")).unwrap();
    fs::remove_dir_all(home.path().join("hearts")).unwrap();
    // A page is walked from its first line to its last, in one folder.
    for (page, text) in pages {
        let dir = tempfile::tempdir().unwrap();
        copy(home.path(), dir.path());
        for line in of_markdown(&text).concat() {
            let began = std::time::Instant::now();
            let said = ran(dir.path(), &shortened(&line));
            println!("{:.1} s: {page}: {line}", began.elapsed().as_secs_f64());
            // Other pages show what goes wrong too, and a shortened fit of runs that lie far apart is one.
            let first = ["README.md", "book/src/start.md"].contains(&page.as_str());
            assert!(!first || !said.err.contains("warning"), "{page}: {line}\n{}", said.err);
        }
    }
}

#[test]
fn the_way_step_by_step_is_the_same_wherever_it_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let help = joined(&run(dir.path(), "thalweg --help").out.replace("\n  ", "\n"));
    let steps = &help[help.iter().position(|line| line.contains("zoo train")).unwrap()..][..4];
    assert!(steps[3].starts_with("thalweg eval"), "{steps:#?}");
    for page in ["README.md", "book/src/start.md"] {
        let (_, text) = pages().into_iter().find(|(name, _)| name == page).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(steps.iter().all(|step| lines.contains(&step.as_str())), "{page}: {steps:#?}");
    }
}

#[test]
fn links_of_the_readme_and_of_the_book_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut links, pages) = (0, pages());
    // A heading's name in a link, as GitHub and mdBook make it.
    let anchors = |text: &str| -> Vec<String> {
        let headings =
            text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
        let letters = |heading: &str| {
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || [' ', '-'].contains(c)).collect::<String>()
        };
        headings.map(|heading| letters(heading).replace(' ', "-")).collect()
    };
    for (page, text) in &pages {
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => root.join(page),
                path => root.join(page).parent().unwrap().join(path),
            };
            assert!(target.exists(), "{page}: {link}");
            let found = anchor.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).iter().any(|a| a == anchor);
            assert!(found, "{page}: {link}");
            links += 1;
        }
    }
    assert!(links > 40, "{links}");
    // The book's table of contents names every page, and what it names is there.
    let summary = fs::read_to_string(root.join("book/src/SUMMARY.md")).unwrap();
    for (page, _) in pages.iter().filter(|(page, _)| page.starts_with("book/src/") && !page.ends_with("SUMMARY.md")) {
        assert!(
            summary.contains(&format!("]({})", page.trim_start_matches("book/src/"))),
            "SUMMARY.md does not name {page}"
        );
    }
}
