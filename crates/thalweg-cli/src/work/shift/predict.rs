//! A classifier that is a command of the user's: rows as CSV with a header on its stdin, a line of logits or probabilities a row on its stdout.
use crate::shell::quoted;
use crate::work::process;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use thalweg_nets::{interrupt, progress::Progress};

/// Rows that the command gets at a time: it is started once for each batch.
const BATCH: usize = 10_000;
/// The end of its stderr that is shown where it fails.
const SHOWN: usize = 4_000;
/// Bytes that it may write for a row, and beside them for all: a thousand classes take a third of that.
const WIDEST: usize = 1 << 16;

/// Flags that name it.
#[derive(clap::Args, Debug)]
pub struct PredictFlags {
    /// Classifier f: a command that reads rows as CSV with a header from stdin and writes a line of logits or probabilities a row
    #[arg(long, value_name = "COMMAND")]
    pub predict: Option<String>,
    /// Longest time that the command may take for 10,000 rows
    #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "predict")]
    pub time_limit: u64,
}

impl PredictFlags {
    /// The command, where one is named.
    pub fn predictor(&self) -> Option<Predictor> {
        let limit = Duration::from_secs(self.time_limit);
        self.predict.as_ref().map(|command| Predictor { command: command.clone(), limit })
    }
}

/// What it answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// `[N, C]`.
    pub values: Vec<f64>,
    /// C.
    pub classes: usize,
    /// Names of the classes, where a first line of words gives them.
    pub names: Vec<String>,
}

/// The command.
#[derive(Clone, Debug)]
pub struct Predictor {
    /// As the shell takes it.
    pub command: String,
    /// What a batch may take.
    pub limit: Duration,
}

impl Predictor {
    /// What messages call it.
    pub fn called(&self) -> String {
        format!("--predict {}", quoted(self.command.as_ref()))
    }

    /// Its numbers for `rows` with the columns `names`.
    ///
    /// # Errors
    /// A command that cannot be started, fails, takes too long, or writes anything but as many lines of numbers as it got rows, all of one length;
    /// interruption.
    pub fn answers(&self, names: &[String], rows: &[Vec<String>], progress: &dyn Progress) -> Result<Answers> {
        let mut answers = Answers::default();
        progress.begin("asking the model", rows.len() as u64);
        for (b, batch) in rows.chunks(BATCH).enumerate() {
            let text = self.batch(&csv(names, batch)?, (batch.len() + 1) * WIDEST)?;
            let first = b * BATCH + 1;
            self.read(&text, batch.len(), first, &mut answers)?;
            progress.advance(batch.len() as u64);
        }
        self.are_answers(rows, &answers)?;
        Ok(answers)
    }

    /// Runs the command once; more than `most` bytes are no answer.
    fn batch(&self, input: &[u8], most: usize) -> Result<String> {
        let called = self.called();
        let piped = |command: &mut Command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        };
        let mut child = process::start(&self.command, piped).with_context(|| format!("{called} cannot be started"))?;
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ended = thread::scope(|scope| {
            // A command that does not read all of its input closes the pipe: what it writes is judged, not that.
            scope.spawn(|| drop(stdin.take().map(|mut pipe| pipe.write_all(input))));
            // Where it writes on and on, its pipe is closed, which ends it.
            scope.spawn(|| drop(stdout.map(|pipe| pipe.take(most as u64 + 1).read_to_end(&mut out))));
            scope.spawn(|| drop(stderr.map(|pipe| end(pipe, &mut err))));
            process::wait(&mut child, self.limit, interrupt::check)
        });
        let shown = |err: &[u8]| {
            let text = String::from_utf8_lossy(err).trim().to_owned();
            if text.is_empty() { "it wrote nothing on stderr".to_owned() } else { format!("its stderr:\n{text}") }
        };
        let ended = ended?;
        if out.len() > most {
            let rows = most / WIDEST - 1;
            bail!("{called}: expected {rows} lines on its stdout, one a row that it got, found more than {most} bytes");
        }
        match ended {
            None => bail!(
                "{called}: expected an answer within {} s (--time-limit), found none; {}",
                self.limit.as_secs(),
                shown(&err)
            ),
            Some(status) if !status.success() => bail!("{called} failed ({status}); {}", shown(&err)),
            Some(_) => {
                String::from_utf8(out).with_context(|| format!("{called}: expected text in UTF-8 on its stdout"))
            }
        }
    }

    /// Refuses numbers that are those of the rows.
    fn are_answers(&self, rows: &[Vec<String>], answers: &Answers) -> Result<()> {
        let is = |(cell, value): (&String, &f64)| cell.parse::<f64>().is_ok_and(|cell| cell == *value);
        let same = |(row, values): (&Vec<String>, &[f64])| row.len() == values.len() && row.iter().zip(values).all(is);
        match rows.iter().zip(answers.values.chunks_exact(answers.classes)).all(same) {
            true => bail!(
                "{}: expected logits or probabilities, found the cells of the rows themselves (rows that are logits already: --logits and --query-logits)",
                self.called()
            ),
            false => Ok(()),
        }
    }

    /// Adds the numbers of a batch of `rows` rows, the first of which is row `first` (from 1) of all.
    fn read(&self, text: &str, rows: usize, first: usize, answers: &mut Answers) -> Result<()> {
        let called = self.called();
        let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let words = |line: &str| cells(line).any(|cell| cell.parse::<f64>().is_err());
        if lines.len() == rows + 1 && words(lines[0]) {
            // Names may hold spaces where something else parts them.
            let (line, by) = (lines.remove(0), [',', ';', '\t']);
            let named = if line.contains(by) { line.split(by).collect() } else { cells(line).collect::<Vec<_>>() };
            answers.names =
                named.into_iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        }
        if lines.len() != rows {
            bail!("{called}: expected {rows} lines on its stdout, one a row that it got, found {}", lines.len());
        }
        for (i, line) in lines.iter().enumerate() {
            let count = cells(line).count();
            if answers.classes == 0 {
                answers.classes = count;
            }
            let (place, classes) = (format!("{called}: line for row {}", first + i), answers.classes);
            if count != classes {
                bail!("{place}: expected {classes} numbers, as in the first line, found {count}");
            }
            for cell in cells(line) {
                match cell.parse::<f64>() {
                    Ok(value) if value.is_finite() => answers.values.push(value),
                    _ => {
                        bail!("{place}: expected finite numbers, found {:?}", cell.chars().take(40).collect::<String>())
                    }
                }
            }
        }
        if answers.classes < 2 {
            bail!(
                "{called}: expected at least 2 numbers a row, one a class (of one output z for two classes, write 0 and z; of one probability p, 1 - p and p), found {}",
                answers.classes
            );
        }
        Ok(())
    }
}

/// The last bytes that come out of a pipe.
fn end(mut pipe: impl Read, last: &mut Vec<u8>) -> std::io::Result<()> {
    let mut some = [0; 4 * SHOWN];
    loop {
        let read = pipe.read(&mut some)?;
        if read == 0 {
            return Ok(());
        }
        last.extend_from_slice(&some[..read]);
        last.drain(..last.len().saturating_sub(SHOWN));
    }
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split([',', ';', '\t', ' ']).filter(|cell| !cell.is_empty())
}

/// Rows as CSV with a header.
fn csv(names: &[String], rows: &[Vec<String>]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(names)?;
    rows.iter().try_for_each(|row| writer.write_record(row))?;
    Ok(writer.into_inner()?)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::time::Instant;
    use thalweg_nets::progress::Silent;

    fn asked_of(command: &str, rows: &[[&str; 2]]) -> Result<Answers> {
        let predictor = Predictor { command: command.into(), limit: Duration::from_millis(1500) };
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(String::from).to_vec()).collect();
        predictor.answers(&["x".into(), "word".into()], &rows, &Silent)
    }

    fn asked(command: &str, rows: usize) -> Result<Answers> {
        let predictor = Predictor { command: command.into(), limit: Duration::from_millis(1500) };
        let rows: Vec<Vec<String>> = (0..rows).map(|i| vec![i.to_string(), "a, \"b\"".into()]).collect();
        predictor.answers(&["x".into(), "word".into()], &rows, &Silent)
    }

    fn said(command: &str) -> String {
        format!("{:#}", asked(command, 3).expect_err(command))
    }

    #[test]
    fn rows_go_in_as_csv_and_numbers_come_out_in_order() {
        let twice = "awk -F, 'NR > 1 { print $1, -$1 }'";
        let found = asked(twice, 3).unwrap();
        assert_eq!((found.values, found.classes), (vec![0.0, 0.0, 1.0, -1.0, 2.0, -2.0], 2));
        // More than a batch, in order; a header of words on stdout; cells with commas and quotes are quoted.
        let values = asked(twice, BATCH + 5).unwrap().values;
        assert_eq!((values.len(), values[2 * BATCH + 8]), (2 * (BATCH + 5), (BATCH + 4) as f64));
        let named = asked("awk -F, 'NR == 1 { print \"no,yes\" } NR > 1 { print \"0.5,\" $1 }'", 2).unwrap();
        assert_eq!((named.values, named.names.join(" ")), (vec![0.5, 0.0, 0.5, 1.0], "no yes".into()));
        assert_eq!(
            asked("grep -c '\"a, \"\"b\"\"\"' | awk '{ for (i = 0; i < $1; i++) print $1, 0 }'", 3).unwrap().values[0],
            3.0
        );
    }

    #[test]
    fn what_goes_wrong_is_named() {
        assert!(said("echo no module named model >&2; exit 3").contains("no module named model"));
        assert!(said("no-such-command-at-all").contains("no-such-command-at-all"));
        assert!(said("echo 1 2").contains("expected 3 lines on its stdout, one a row that it got, found 1"));
        assert!(said("printf '1 2\\n1\\n1 2\\n'").contains("row 2: expected 2 numbers"));
        assert!(said("printf '1 2\\n1 nan\\n1 2\\n'").contains("row 2: expected finite numbers, found \"nan\""));
        assert!(said("printf '1\\n2\\n3\\n'").contains("write 0 and z"));
        let said = format!("{:#}", asked_of("cat", &[["1", "2.5"], ["0", "1e3"]]).unwrap_err());
        assert!(said.contains("the cells of the rows themselves") && said.contains("--logits"), "{said}");
        assert!(asked_of("awk -F, 'NR > 1 { print $1, $2 + (NR > 2) }'", &[["1", "2.5"], ["0", "1e3"]]).is_ok());
    }

    #[test]
    fn a_command_that_writes_on_and_on_is_told_as_that() {
        let begun = Instant::now();
        let said = said("yes 1 2");
        assert!(said.contains("expected 3 lines") && said.contains("more than 262144 bytes"), "{said}");
        // Of what it says on stderr the end is kept.
        let said = self::said("(yes | head -c 9000000; echo at last) >&2; exit 3");
        assert!(said.contains("at last") && said.len() < 2 * SHOWN, "{}", said.len());
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_command_that_does_not_end_is_stopped_with_all_it_has_started() {
        let begun = Instant::now();
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("alive");
        let command = format!("echo hm >&2; (sleep 4; touch {}) & sleep 60; true", mark.display());
        let said = said(&command);
        assert!(said.contains("(--time-limit)") && said.contains("hm"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        thread::sleep(Duration::from_secs(3));
        assert!(!mark.exists(), "what it had started lives on");
    }
}
