//! Rows that come on stdin, where a flag says `-`: they are laid into files of their own and read as any other, so that nothing else knows of them.
use super::columns;
use anyhow::{Context, Result};
use csv::ReaderBuilder;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use thalweg_nets::interrupt;

/// What stands for stdin in place of a file.
const STDIN: &str = "-";
/// Lines that are read ahead.
const AHEAD: usize = 1024;
/// Between two looks at whether the program is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Whether `text`, a file or data with options behind an `@`, names stdin.
pub fn is_stdin(text: &str) -> bool {
    text.strip_prefix(STDIN).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}

/// `text` with `file` in place of stdin.
pub fn in_file(text: &str, file: &Path) -> String {
    format!("{}{}", file.display(), &text[STDIN.len()..])
}

/// Batches of rows from stdin.
pub struct Batches {
    lines: Receiver<std::io::Result<Vec<u8>>>,
    /// Rows of a batch; all, where none.
    rows: Option<usize>,
    /// A first line that names the columns, which every batch gets.
    header: Option<Vec<u8>>,
    /// Lines so far, and batches.
    read: usize,
    given: usize,
    dir: TempDir,
}

/// A batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The file that holds it, as long as the [`Batches`] live.
    pub file: PathBuf,
    /// Which lines of stdin it is.
    pub name: String,
}

impl Batches {
    /// Of `rows` rows each, or of all there are.
    ///
    /// # Errors
    /// No folder for temporary files.
    pub fn of_stdin(rows: Option<usize>) -> Result<Self> {
        Self::new(std::io::stdin(), rows)
    }

    fn new(from: impl Read + Send + 'static, rows: Option<usize>) -> Result<Self> {
        let (to, lines) = sync_channel(AHEAD);
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            loop {
                let mut line = Vec::new();
                match from.read_until(b'\n', &mut line) {
                    Ok(0) => return,
                    // Where nobody listens any more nothing need be read.
                    Ok(_) if to.send(Ok(line)).is_err() => return,
                    Ok(_) => {}
                    Err(error) => return drop(to.send(Err(error))),
                }
            }
        });
        let dir = tempfile::tempdir().context("no folder for the rows from stdin")?;
        Ok(Self { lines, rows, header: None, read: 0, given: 0, dir })
    }

    /// The next one; none at the end. The last may have fewer rows.
    ///
    /// # Errors
    /// What the system says of stdin or of the file; interruption.
    pub fn next(&mut self) -> Result<Option<Batch>> {
        self.given += 1;
        let file = self.dir.path().join(if self.rows.is_none() {
            "stdin.csv".into()
        } else {
            format!("stdin-{}.csv", self.given)
        });
        let mut out = BufWriter::new(File::create(&file).with_context(|| file.display().to_string())?);
        self.header.iter().try_for_each(|header| out.write_all(header))?;
        let (mut first, mut rows) = (None, 0);
        while self.rows.is_none_or(|most| rows < most) {
            let at = self.read + 1;
            let Some(record) = self.record()? else { break };
            out.write_all(&record)?;
            if at == 1 && is_header(&record) {
                self.header = Some(record);
            } else if !record.trim_ascii().is_empty() {
                rows += 1;
                first.get_or_insert(at);
            }
        }
        out.flush()?;
        let name = format!("stdin, lines {} to {}", first.unwrap_or(0), self.read);
        // Of no row there is one batch, which its reader refuses.
        Ok((rows > 0 || self.given == 1).then_some(Batch { file, name }))
    }

    /// A line, with those that follow where a cell in quotes goes on there; none at the end.
    fn record(&mut self) -> Result<Option<Vec<u8>>> {
        let mut record = Vec::new();
        while let Some(line) = self.line()? {
            record.extend(line);
            self.read += 1;
            if record.iter().filter(|byte| **byte == b'"').count() % 2 == 0 {
                return Ok(Some(record));
            }
        }
        Ok((!record.is_empty()).then_some(record))
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => return Ok(Some(line.context("stdin cannot be read")?)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => interrupt::check()?,
            }
        }
    }
}

/// Whether a line names the columns.
fn is_header(line: &[u8]) -> bool {
    let delimiter = [b',', b';', b'\t'].into_iter().find(|d| line.contains(d)).unwrap_or(b',');
    let mut reader = ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(line);
    reader.records().next().is_some_and(|record| record.is_ok_and(|record| columns::is_header(&record)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn batches(text: &'static str, rows: Option<usize>) -> Vec<(String, String)> {
        let mut batches = Batches::new(Cursor::new(text), rows).unwrap();
        let mut all = Vec::new();
        while let Some(Batch { file, name }) = batches.next().unwrap() {
            all.push((std::fs::read_to_string(file).unwrap(), name));
            if rows.is_none() {
                break;
            }
        }
        all
    }

    #[test]
    fn every_batch_has_the_header_and_lines_are_told() {
        let of = |all: &[(&str, &str)]| all.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
        let named = batches("a,b\n1,2\n3,4\n5,6\n", Some(2));
        assert_eq!(named, of(&[("a,b\n1,2\n3,4\n", "stdin, lines 2 to 3"), ("a,b\n5,6\n", "stdin, lines 4 to 4")]));
        let bare = batches("1,2\n3,4\n\n5,6", Some(2));
        assert_eq!(bare, of(&[("1,2\n3,4\n", "stdin, lines 1 to 2"), ("\n5,6", "stdin, lines 4 to 4")]));
        // A cell may hold the end of a line.
        let quoted = batches("a;b\n1;\"x\ny\"\n2;z\n", Some(1));
        assert_eq!(quoted[0].0, "a;b\n1;\"x\ny\"\n");
        assert_eq!(batches("a,b\n1,2\n3,4\n", None), of(&[("a,b\n1,2\n3,4\n", "stdin, lines 2 to 3")]));
        assert_eq!(batches("", None).len(), 1);
    }

    #[test]
    fn stdin_is_named_with_options_too() {
        assert!(is_stdin("-") && is_stdin("-@label=y") && !is_stdin("-5.csv") && !is_stdin("a-"));
        assert_eq!(in_file("-@label=y", Path::new("/t/q.csv")), "/t/q.csv@label=y");
    }
}
