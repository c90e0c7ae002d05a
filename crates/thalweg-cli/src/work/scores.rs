//! Scores of networks from elsewhere: from a file, one a network, or from a command that is asked for each.
use super::process;
use crate::session::Session;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use thalweg::Result;
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
        let limit = limit
            .ok_or_else(|| Error::parameter("--score-seconds", "a number of seconds above 0", self.score_seconds))?;
        let (layout, template) = (zoo.layout(), zoo.template()?);
        let place = tempfile::tempdir().map_err(Error::io("write", std::env::temp_dir()))?;
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
    let wrong = |expected: String, found: String| {
        Error::parameter("--score-command", expected, format!("{found} of {command}"))
    };
    let failed = |cause: std::io::Error| wrong("a command that can be run".into(), cause.to_string());
    let ends = |called: &mut Command| {
        called.args(["sh".as_ref(), file.as_os_str()]).stdin(Stdio::null()).stdout(Stdio::piped());
    };
    let mut child = process::start(&format!("{command} \"$1\""), ends).map_err(failed)?;
    let mut pipe = child.stdout.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let stopped = || if session.progress.interrupted() { Err(Error::Interrupted) } else { Ok(()) };
    let Some(status) = process::wait(&mut child, limit, stopped)? else {
        let expected = format!("a score within {} s (--score-seconds)", limit.as_secs_f64());
        return Err(wrong(expected, "none".into()));
    };
    if !status.success() {
        return Err(wrong("a good end".into(), status.to_string()));
    }
    let text = reader.join().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into())).map_err(failed)?;
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
    let score = last.trim().parse::<f64>().ok().filter(|score| !score.is_nan());
    score.ok_or_else(|| wrong("a number as the last line".into(), format!("{last:?}")))
}

/// The scores of `wanted` among `count` things, by number or by order.
///
/// # Errors
/// A file that cannot be read, cells that are no numbers, lines that are missing, of nobody, or of one thing twice; lines with names among lines without.
fn read(path: &Path, wanted: &[usize], count: usize, what: &str) -> Result<Vec<f64>> {
    let bytes = read_regular(path, memory::half())?;
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(&bytes[..]);
    let (mut ordered, mut named) = (Vec::new(), vec![None; count]);
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(|e| Error::format(path, "lines", "SCORE or NAME,SCORE in UTF-8", e))?;
        let line = record.position().map_or(0, |start| {
            // A record begins with the empty lines before it.
            let empty = bytes[start.byte() as usize..].iter().take_while(|b| b"\r\n".contains(b));
            start.line() + empty.filter(|b| **b == b'\n').count() as u64
        });
        let wrong = |expected: String, found: String| Error::format(path, format!("line {line}"), expected, found);
        let cells: Vec<&str> = record.iter().collect();
        let Some((score, names)) = cells.split_last() else { continue };
        match (score.parse::<f64>(), names.first()) {
            // The first line may be a header.
            (Err(_), _) if at == 0 => {}
            (Ok(score), None) if !score.is_nan() => ordered.push(score),
            (Ok(score), Some(name)) if !score.is_nan() => {
                let place = number(name).and_then(|i| named.get_mut(i));
                let place = place.ok_or_else(|| {
                    wrong(format!("one of {count} {what} by its number, from 0"), format!("{name:?}"))
                })?;
                if place.replace(score).is_some() {
                    return Err(wrong(
                        format!("one score for each of the {what}"),
                        format!("a second one of {name:?}"),
                    ));
                }
            }
            _ => return Err(wrong("a score".into(), format!("{score:?}"))),
        }
    }
    match (ordered.len(), named.iter().flatten().count()) {
        (0, _) => {}
        (all, 0) if all == count => return Ok(wanted.iter().map(|&i| ordered[i]).collect()),
        (some, 0) => {
            let expected = format!("{count} scores, one for each of the {what}");
            return Err(Error::format(path, "lines", expected, some));
        }
        (some, others) => {
            let found = format!("{some} lines without names and {others} with them");
            return Err(Error::format(path, "lines", "scores alone, or names with scores", found));
        }
    }
    let missing = |i: usize| Error::format(path, "lines", format!("a score of {what} number {i}"), "none");
    wanted.iter().map(|&i| named[i].ok_or_else(|| missing(i))).collect()
}

/// The number of a network by its file or its folder, `network-00003.safetensors` or `network-00003/adapter_model.safetensors`: what the last part of a path
/// that ends in digits, but for its extension, ends in.
fn number(name: &str) -> Option<usize> {
    let of_part = |part: &str| {
        let stem = match part.rsplit_once('.') {
            Some((stem, extension)) if extension.contains(|c: char| !c.is_ascii_digit()) => stem,
            _ => part,
        };
        stem.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    name.rsplit(['/', '\\']).find_map(of_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_taken_by_order_or_by_number_and_never_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my scores.csv");
        let of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path, &[0, 2], 3, "networks").map_err(|e| e.to_string())
        };
        for good in [
            "1\n2\n3\n",
            "score\n1\n\n2\n3",
            "name,score\nnetwork-00002,3\nnetwork-00000,1\n",
            "a b/network-00000.safetensors,0,1\nnet-2.pt,9,3\n",
            "network-00000/adapter_model.safetensors,1\nnetwork-00002/adapter_model.safetensors,3\n",
        ] {
            assert_eq!(of(good), Ok(vec![1.0, 3.0]), "{good}");
        }
        for (bad, said) in [
            ("nan\n1\n2\n3\n", "line 1: expected a score, found \"nan\""),
            ("1\n2\n\nx\n", "line 4: expected a score, found \"x\""),
            ("1\n2\n", "expected 3 scores, one for each of the networks, found 2"),
            ("0,1\n0,2\n2,3\n", "line 2: expected one score for each of the networks, found a second one of \"0\""),
            ("1\n2\n3\nnet-1,4\n", "found 3 lines without names and 1 with them"),
            ("0,1\n", "a score of networks number 2, found none"),
            ("7,1\n", "line 1: expected one of 3 networks by its number, from 0, found \"7\""),
            ("", "a score of networks number 0, found none"),
        ] {
            let found = of(bad).unwrap_err();
            assert!(found.contains(said) && found.contains("my scores.csv"), "{bad}: {found}");
        }
    }
}
