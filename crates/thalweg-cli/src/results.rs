//! `results.json`: what a command found, for machines. Flat `rows`, keys named in full, together with what is needed to
//! make them again: command line, version, seed, threads, machine.
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;
use thalweg::judge::RESULTS;
use thalweg_nets::engine::Instructions;
use thalweg_nets::files::write_whole;

/// The words that the program was called with, its own name the first.
static WORDS: OnceLock<Vec<String>> = OnceLock::new();

/// Notes the words that the program was called with; bytes that are not UTF-8 are replaced.
pub fn called_with(words: &[OsString]) {
    // The first call counts: a process runs the program once.
    let _ = WORDS.set(words.iter().map(|word| word.to_string_lossy().into_owned()).collect());
}

/// The program's name as it was called.
pub fn program() -> String {
    WORDS.get().and_then(|words| words.first()).cloned().unwrap_or_else(|| "thalweg".into())
}

/// The words of the command line of this process, without the program's name.
pub fn words() -> Vec<String> {
    WORDS.get().map_or(Vec::new(), |words| words.iter().skip(1).cloned().collect())
}

/// The command line of this process, the program by its plain name.
pub fn command_line() -> String {
    std::iter::once("thalweg".into()).chain(words()).collect::<Vec<String>>().join(" ")
}

/// Whether `path` holds results of ours that tell of the file `output`.
pub fn are_of(path: &Path, output: &Path) -> bool {
    let read = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    read.is_some_and(|found| {
        let outputs = found["outputs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |made: &Value| made.as_str().is_some_and(|made| name(Path::new(made)) == name(output));
        found["format"] == RESULTS && outputs.iter().any(of)
    })
}

/// One flat row; keys keep the order in which they were put in.
pub type Row = Map<String, Value>;

/// The file's content.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    format: &'static str,
    command: String,
    version: &'static str,
    seed: u64,
    threads: usize,
    seconds: f64,
    machine: Machine,
    /// Settings in force, after files and flags.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// What it comes to, for commands that come to one answer.
    #[serde(flatten)]
    pub summary: Map<String, Value>,
    /// What was found, one row a method, data set, ….
    pub rows: Vec<Row>,
    /// Files and folders made, as given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

/// Where it ran: enough to judge seconds by.
#[derive(Clone, Debug, Serialize)]
struct Machine {
    system: &'static str,
    architecture: &'static str,
    processor: Option<String>,
    cores: usize,
    /// Instruction set that the engine was compiled for.
    instructions: &'static str,
}

impl Results {
    /// Empty results of this process's command line.
    pub fn new(seed: u64) -> Self {
        let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|l| l.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            format: RESULTS,
            command: command_line(),
            version: env!("CARGO_PKG_VERSION"),
            seed,
            threads: 0,
            seconds: 0.0,
            machine: Machine {
                system: std::env::consts::OS,
                architecture: std::env::consts::ARCH,
                processor,
                cores: std::thread::available_parallelism().map_or(1, usize::from),
                instructions: Instructions::best().name(),
            },
            settings: Map::new(),
            summary: Map::new(),
            rows: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Remembers the settings in force.
    ///
    /// # Errors
    /// Never for plain structs.
    pub fn with_settings(mut self, settings: &impl Serialize) -> Result<Self> {
        self.settings = object(settings)?;
        Ok(self)
    }

    /// Notes a file or folder made.
    pub fn made(&mut self, path: &Path) {
        self.outputs.push(path.display().to_string());
    }

    /// Says of what was made in `from` that it lies in `to`.
    pub fn moved(&mut self, from: &Path, to: &Path) {
        for output in &mut self.outputs {
            if let Ok(rest) = Path::new(output).strip_prefix(from) {
                let to = if rest.as_os_str().is_empty() { to.to_path_buf() } else { to.join(rest) };
                *output = to.display().to_string();
            }
        }
    }

    /// Fills in what is known at the end only.
    pub fn seal(&mut self, seconds: f64, threads: usize) {
        (self.seconds, self.threads) = ((seconds * 1e3).round() / 1e3, threads);
    }

    /// The JSON text. Numbers that are not finite become null, as JSON has no other word for them.
    ///
    /// # Errors
    /// Never for rows made of plain values.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).context("results do not serialise")
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(write_whole(path, (self.to_json()? + "\n").as_bytes())?)
    }
}

/// A serialisable struct as a flat row.
///
/// # Errors
/// For what does not serialise to an object.
pub fn object(value: &impl Serialize) -> Result<Row> {
    match serde_json::to_value(value)? {
        Value::Object(map) => Ok(map),
        other => anyhow::bail!("expected a struct for a row, found {other}"),
    }
}

/// A row from `key => value` pairs: `row! { "method" => "cfm", "n" => 100 }`.
#[macro_export]
macro_rules! row {
    ($($key:expr => $value:expr),* $(,)?) => {{
        let mut row = $crate::results::Row::new();
        $(row.insert($key.to_string(), serde_json::json!($value));)*
        row
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_know_their_outputs_wherever_these_were_made() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut results) = (dir.path().join("a.json"), Results::new(1));
        results.made(Path::new("d/.new/a.safetensors"));
        results.made(Path::new("d/.new"));
        results.moved(Path::new("d/.new"), Path::new("d"));
        assert_eq!(results.outputs, ["d/a.safetensors", "d"]);
        results.write(&path).unwrap();
        assert!(are_of(&path, Path::new("elsewhere/a.safetensors")));
        assert!(!are_of(&path, Path::new("d/b.safetensors")));
        for foreign in ["{}", "[]", "{\"outputs\": [\"a.safetensors\"]}", "mine"] {
            std::fs::write(&path, foreign).unwrap();
            assert!(!are_of(&path, Path::new("a.safetensors")), "{foreign}");
        }
    }

    #[test]
    fn rows_keep_their_order_and_nan_becomes_null() {
        let mut results = Results::new(7);
        results.rows.push(row! { "zeta" => 1, "alpha" => "x", "accuracy_mean" => f64::NAN });
        results.seal(1.23456, 2);
        let text = results.to_json().unwrap();
        let (zeta, alpha) = (text.find("zeta").unwrap(), text.find("alpha").unwrap());
        assert!(zeta < alpha, "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value["rows"][0]["accuracy_mean"].is_null());
        assert_eq!(value["seconds"], 1.235);
        assert_eq!(value["seed"], 7);
        assert!(value["machine"]["cores"].as_u64().unwrap() >= 1);
    }
}
