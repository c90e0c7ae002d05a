//! Rows for tests of shift: data sets as f expects them, and files of logits.
use crate::commands::data::ensure;
use crate::session::Session;
use anyhow::{Result, bail};
use std::path::Path;
use thalweg::Streams;
use thalweg::shift::Sample;
use thalweg_nets::Error;
use thalweg_nets::data::{DataSpec, Dataset, Normalisation, Site};
use thalweg_nets::streams::shuffle;

/// Reads `NAME[:DIR]`, with a hospital for the heart data.
///
/// # Errors
/// An unknown set, a site that is none.
pub fn spec(text: &str, site: Option<&str>, session: &Session) -> Result<DataSpec> {
    let mut spec = DataSpec::parse(text)?;
    if let Some(site) = site {
        let known = [
            ("cleveland", Site::Cleveland),
            ("hungary", Site::Hungary),
            ("switzerland", Site::Switzerland),
            ("long-beach", Site::LongBeach),
            ("others", Site::Others),
        ];
        match known.iter().find(|(name, _)| *name == site) {
            Some(&(_, site)) => spec.site = Some(site),
            None => bail!("--site: expected one of {}, found {site}", known.map(|(name, _)| name).join(", ")),
        }
        spec.check()?;
    }
    ensure(&spec, &session.progress)?;
    Ok(spec)
}

/// All rows of a set, standardised as P was; none for values as they are in the file.
///
/// # Errors
/// Missing or damaged files, another shape.
pub fn as_home(spec: &DataSpec, normalisation: Option<&Normalisation>) -> Result<Dataset> {
    let whole = spec.load_whole()?;
    let identity = Normalisation { range: whole.normalisation.range, ..Normalisation::identity(whole.shape) };
    Ok(whole.standardised_as(normalisation.unwrap_or(&identity))?)
}

/// Logits `[N, C]` from a CSV file: numbers only, a line a row, no header needed.
///
/// # Errors
/// No such file, lines of different lengths, cells that are no numbers.
pub fn logits(path: &Path) -> Result<Sample> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let (mut values, mut wide) = (Vec::new(), 0);
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let row: Result<Vec<f32>, _> = cells.iter().map(|cell| cell.parse::<f32>()).collect();
        match row {
            // A first line of words is a header.
            Err(_) if values.is_empty() && wide == 0 && at == 0 => {}
            Err(_) => {
                let field = format!("line {}", at + 1);
                return Err(Error::format(
                    path,
                    field,
                    "logits, numbers between commas",
                    line.chars().take(40).collect::<String>(),
                )
                .into());
            }
            Ok(row) if wide != 0 && row.len() != wide => {
                return Err(Error::format(path, format!("line {}", at + 1), format!("{wide} logits"), row.len()).into());
            }
            Ok(row) => {
                wide = row.len();
                values.extend(row);
            }
        }
    }
    Sample::of_logits(values, wide)
        .map_err(|e| Error::format(path, "logits", "[N ≥ 1, C ≥ 2] finite numbers", e).into())
}

/// `count` of `n` rows in random order; all of them in random order where `count` is greater.
pub fn some(n: usize, count: usize, streams: &Streams) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    shuffle(&mut all, &mut streams.rng());
    all.truncate(count);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_read_with_and_without_a_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.csv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            logits(&path)
        };
        assert_eq!(read("a,b\n1,2\n\n3, 4\n").unwrap().logits, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(read("1,2,3\n").unwrap().classes(), 3);
        let said = |text: &str| read(text).unwrap_err().to_string();
        assert!(said("1,2\n3\n").contains("line 2"));
        assert!(said("1,2\nx,3\n").contains("line 2"));
        assert!(said("1,nan\n").contains("finite"));
        assert!(said("").contains("[N ≥ 1, C ≥ 2]"));
    }
}
