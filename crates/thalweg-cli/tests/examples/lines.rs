//! Command lines as people read them: in the help of every command, in README.md, and in what commands print.
use super::world::run;
use std::path::Path;

/// What every `--help` shows as examples, in the order of the commands, each line once.
pub fn of_help(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![String::new()];
    while let Some(command) = open.pop() {
        let help = run(dir, &format!("thalweg{command} --help")).out;
        // A wider line is broken on a common terminal, and what is copied from there is another command.
        let wide =
            help.lines().find(|line| line.contains("thalweg ") && line.starts_with("  ") && line.chars().count() > 80);
        assert!(wide.is_none_or(|line| !line.trim_start().starts_with("thalweg ")), "{wide:?}");
        lines.extend(joined(&help.lines().filter_map(|line| line.strip_prefix("  ")).collect::<Vec<_>>().join("\n")));
        let within = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let names = within.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        open.extend(names.filter(|name| !name.is_empty() && *name != "help").map(|name| format!("{command} {name}")));
    }
    lines.sort();
    lines.dedup();
    lines
}

/// The lines of `text` that begin with our program (variables before it are allowed), with those that they are continued on; without comments.
pub fn joined(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let begins =
            line.split(' ').find(|word| word.split_once('=').is_none_or(|(name, _)| name != name.to_uppercase()));
        if begins != Some("thalweg") {
            continue;
        }
        let mut whole = line.to_owned();
        while let Some(before) = whole.strip_suffix('\\') {
            whole = format!("{}{}", before, lines.next().expect("a line that is continued").trim_start());
        }
        found.push(whole.split(" #").next().unwrap_or(&whole).trim_end().to_owned());
    }
    found
}

/// The blocks of shell lines in a Markdown text that hold lines of ours.
pub fn of_markdown(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("```sh\n").skip(1).map(|rest| joined(rest.split("```").next().unwrap_or(rest)));
    blocks.filter(|block| !block.is_empty()).collect()
}

/// The next step that a command named, with `rows` in the place of what only the user can name.
pub fn next(said: &str, rows: &str) -> Option<String> {
    let (_, rest) = said.split_once("Next: ").or_else(|| said.split_once("For new rows: "))?;
    let line = rest.lines().next()?.split("    (").next()?;
    Some(line.trim().replace("NAME[:PATH]", &format!("csv:{rows}")).replace("FILE.csv", rows))
}

/// `line` with the value of `flag` replaced, or with the flag added.
pub fn with(line: &str, flag: &str, value: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    match words.iter().position(|word| *word == flag) {
        // Settings are laid over each other in turn: the last one counts.
        Some(at) if flag != "--set" => words[at + 1] = value,
        _ => words.extend([flag, value]),
    }
    words.join(" ")
}

/// Settings by which a line of the size of a laptop becomes one of the size of a test. It remains the same line otherwise.
pub fn shortened(line: &str) -> String {
    let command = line.split("thalweg ").nth(1).unwrap_or_default();
    let has = |text: &str| line.contains(text);
    let small: &[(&str, &str)] = match command.split(' ').next().unwrap_or_default() {
        "zoo" if has("--arch cnn-s") && has("--runs") => {
            &[("--runs", "8"), ("--set", "kind.fork.steps=100"), ("--steps", "100")]
        }
        "zoo" if has("zoo train") && has("--data") => &[("--runs", "8"), ("--set", "kind.fork.steps=100")],
        "zoo" if has("zoo train zoo.toml") => &[("--runs", "8")],
        "fit" if has("latent.vae") => &[("--steps", "20"), ("--set", "latent.vae.training.steps=30")],
        "fit" if has("--context") => {
            &[("--steps", "6"), ("--set", "field.residual-mlp.width=8"), ("--set", "split.test=0")]
        }
        "fit" => &[("--steps", "40")],
        "tune" => &[
            ("--iterations", "2"),
            ("--samples", "4"),
            ("--rows", "32"),
            ("--set", "trajectories=2"),
            ("--set", "validation-samples=2"),
        ],
        // The trivial baselines that they are judged beside are as many.
        "sample" if has("-n 100") => &[("-n", "4")],
        "encode" => &[("--runs", "2")],
        "shift" if has("--logits") => &[("--null", "99")],
        "shift" if has("calibrate") || has("shift check") => &[("--null", "99"), ("--set", "bank.size=16")],
        "demo" => {
            &[("--scale", "smoke"), ("--set", "zoo.runs=20"), ("--set", "fit.all.steps=10"), ("--set", "samples=3")]
        }
        // What it runs is run by a test of its own.
        "reproduce" if has(" all ") => &[("--only", "shift-curve")],
        "reproduce" => &[
            ("--scale", "smoke"),
            ("--set", "'kinds=[\"tail\"]'"),
            ("--set", "samples=2"),
            ("--set", "fit.all.steps=10"),
            ("--set", "'only=[\"NM-CFM\"]'"),
        ],
        _ => &[],
    };
    // What belongs to another kind is no setting of a zoo, and a length is said once.
    let fits = |(flag, value): &&(&str, &str)| match *flag {
        "--steps" => !has("--epochs"),
        _ => !value.starts_with("kind.fork") || has("--kind fork"),
    };
    small.iter().filter(fits).fold(line.to_owned(), |line, (flag, value)| with(&line, flag, value))
}
