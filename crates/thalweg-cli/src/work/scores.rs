//! Scores of networks from elsewhere: from a file, one a network, or from a command that is asked for each.
use super::process;
use crate::session::Session;
use anyhow::{Context, Result, bail, ensure};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use thalweg_nets::files::{read_regular, write_whole};
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;
use thalweg_nets::{Error, memory};

/// Flags that say where scores come from.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ScoreFlags {
    /// Scores of the networks, one a network in their order, or NAME,SCORE lines (network-00000 or its number): a .csv file
    #[arg(long, value_name = "FILE", requires = "zoo", conflicts_with = "score_command")]
    scores: Option<PathBuf>,
    /// Scores of the zoo's runs likewise, by their number
    #[arg(long, value_name = "FILE", requires = "scores")]
    zoo_scores: Option<PathBuf>,
    /// A command that is given the path of a network's file (.safetensors) and prints its score as the last line
    #[arg(long, value_name = "COMMAND", requires = "zoo")]
    score_command: Option<String>,
    /// Seconds that the command may take for one network
    #[arg(long, value_name = "S", default_value_t = 60.0, requires = "score_command")]
    score_seconds: f64,
    /// Lower scores are better, as losses are
    #[arg(long)]
    lower_is_better: bool,
}

impl ScoreFlags {
    /// Whether scores were asked for.
    pub fn given(&self) -> bool {
        self.scores.is_some() || self.score_command.is_some()
    }

    /// Whether lower scores are better.
    pub fn lower_is_better(&self) -> bool {
        self.lower_is_better
    }

    /// The files that are read.
    pub fn files(&self) -> Vec<PathBuf> {
        self.scores.iter().chain(&self.zoo_scores).cloned().collect()
    }

    /// Scores `[n]` of networks, from the file; none where there is no file.
    ///
    /// # Errors
    /// As [`read`].
    pub fn of_networks(&self, n: usize) -> Result<Option<Vec<f64>>> {
        let all: Vec<usize> = (0..n).collect();
        self.scores.as_deref().map(|path| read(path, &all, n, "networks")).transpose()
    }

    /// Scores of some of the `count` runs of a zoo, from the file; none where there is no file.
    ///
    /// # Errors
    /// As [`read`].
    pub fn of_runs(&self, runs: &[usize], count: usize) -> Result<Option<Vec<f64>>> {
        self.zoo_scores.as_deref().map(|path| read(path, runs, count, "runs")).transpose()
    }

    /// What the command says of each of `theta [n, P]`, networks of `zoo` in files as its own were; none where there is no command. Ends a command that runs beyond its time.
    ///
    /// # Errors
    /// A command that fails, takes too long, or prints no number; Ctrl-C.
    pub fn asked(&self, theta: &[f32], zoo: &ZooStore, session: &Session) -> Result<Option<Vec<f64>>> {
        let Some(command) = &self.score_command else { return Ok(None) };
        let limit = Duration::try_from_secs_f64(self.score_seconds).ok().filter(|limit| !limit.is_zero());
        let limit = limit.with_context(|| {
            format!("--score-seconds: expected a number of seconds above 0, found {}", self.score_seconds)
        })?;
        let (layout, template) = (zoo.layout(), zoo.template()?);
        let place = tempfile::tempdir()?;
        let all = theta.chunks_exact(layout.len()).map(|theta| {
            let file = match &template {
                Some(template) => template.write(layout, theta, place.path(), "network")?,
                None => {
                    let file = place.path().join("network.safetensors");
                    write_whole(&file, &layout.to_safetensors(theta)?)?;
                    file
                }
            };
            one(command, &file, limit, session)
        });
        Ok(Some(all.collect::<Result<Vec<f64>>>()?))
    }
}

/// The number that `command` prints for the network in `file`.
fn one(command: &str, file: &Path, limit: Duration, session: &Session) -> Result<f64> {
    let ends = |called: &mut Command| {
        called.args(["sh".as_ref(), file.as_os_str()]).stdin(Stdio::null()).stdout(Stdio::piped());
    };
    let started = process::start(&format!("{command} \"$1\""), ends);
    let mut child = started.with_context(|| format!("--score-command {command}"))?;
    let mut pipe = child.stdout.take().context("the output of the command")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let stopped = || if session.progress.interrupted() { Err(Error::Interrupted) } else { Ok(()) };
    let Some(status) = process::wait(&mut child, limit, stopped)? else {
        bail!("--score-command {command}: no score within {} s (--score-seconds)", limit.as_secs_f64());
    };
    ensure!(status.success(), "--score-command {command}: ended with {status}");
    let text = reader.join().ok().context("the output of the command")??;
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
    let score = last.trim().parse::<f64>().ok().filter(|score| !score.is_nan());
    score.with_context(|| format!("--score-command {command}: expected a number as the last line, found {last:?}"))
}

/// The scores of `wanted` among `count` things, by number or by order.
///
/// # Errors
/// A file that cannot be read, cells that are no numbers, lines that are missing or of nobody.
fn read(path: &Path, wanted: &[usize], count: usize, what: &str) -> Result<Vec<f64>> {
    let name = path.display();
    let bytes = read_regular(path, memory::half())?;
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(&bytes[..]);
    let (mut ordered, mut named) = (Vec::new(), vec![None; count]);
    for (line, record) in reader.records().enumerate() {
        let record = record.with_context(|| name.to_string())?;
        let cells: Vec<&str> = record.iter().collect();
        let Some((score, names)) = cells.split_last() else { continue };
        let Some(score) = score.parse::<f64>().ok().filter(|score| !score.is_nan()) else {
            // The first line may be a header.
            ensure!(line == 0, "{name}: line {}: expected a score, found {score:?}", line + 1);
            continue;
        };
        match names {
            [] => ordered.push(score),
            [of, ..] => {
                let number = of.rsplit('/').next().unwrap_or(of).trim_end_matches(".safetensors");
                let digits = number.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
                let place = digits.parse::<usize>().ok().and_then(|i| named.get_mut(i));
                *place.with_context(|| {
                    format!("{name}: line {}: expected one of {count} {what} by its number, found {of:?}", line + 1)
                })? = Some(score);
            }
        }
    }
    if !ordered.is_empty() {
        ensure!(
            ordered.len() == count,
            "{name}: expected {count} scores, one for each of the {what}, found {}",
            ordered.len()
        );
        return Ok(wanted.iter().map(|&i| ordered[i]).collect());
    }
    let of = |&i: &usize| named[i].with_context(|| format!("{name}: no score of {what} number {i}"));
    wanted.iter().map(of).collect()
}
