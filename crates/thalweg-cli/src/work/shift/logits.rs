//! Files of logits: CSV with or without a header, an index and a column of labels left out, probabilities told from logits, columns matched by name.
use super::columns::{self, Column};
use anyhow::{Result, bail};
use csv::{ReaderBuilder, StringRecord, Trim};
use std::path::Path;
use thalweg::shift::Sample;
use thalweg_nets::Error;
use thalweg_nets::files::read_regular;
use thalweg_nets::memory;

/// How far sums of rounded probabilities may be from 1, in a file of many rows and in one of few.
const ROUNDED: [f64; 2] = [0.02, 1e-3];
/// Rows below which a file has few.
const FEW: usize = 5;
/// The logarithm that stands for that of a probability of 0.
const LEAST: f64 = -30.0;
/// How far the logarithms of sums of exponentials may be from 0 for logits that are logarithms of probabilities.
const NORMAL: f64 = 2e-3;

/// Logits as a file gives them.
#[derive(Clone, Debug)]
pub struct Logits {
    /// Their rows.
    pub sample: Sample,
    /// What the file calls the columns; empty where it does not.
    pub names: Vec<String>,
    /// Whether they are known up to a constant of each row only: logarithms of probabilities.
    pub probabilities: bool,
    /// What a user should know of how the file was read, a sentence each.
    pub notes: Vec<String>,
}

/// Reads a file; `probabilities` where the user says that it holds such.
///
/// # Errors
/// No such file; lines of different lengths; cells that are no numbers; fewer than two columns; no probabilities where there should be.
pub fn read(path: &Path, probabilities: bool) -> Result<Logits> {
    let bytes = read_regular(path, memory::half())?;
    let (cells, mut notes) = table(path, &bytes)?;
    let (columns, told) = columns::judged(path, cells)?;
    notes.extend(told);
    let (names, rows): (Vec<_>, Vec<_>) = columns.into_iter().map(|column| (column.name, column.numbers)).unzip();
    let names = if names.iter().any(Option::is_none) { Vec::new() } else { names.into_iter().flatten().collect() };
    let c = rows.len();
    if c < 2 {
        let expected = "at least 2 columns, one a class (of a model with one output z for two classes, write 0 and z)";
        return Err(Error::format(path, "logits", expected, c).into());
    }
    let n = rows[0].len();
    let mut values: Vec<f64> = (0..n).flat_map(|i| rows.iter().map(move |column| column[i])).collect();
    let known = taken(&path.display().to_string(), &mut values, c, probabilities, &mut notes)?;
    let sample = Sample::of_logits(values.iter().map(|v| *v as f32).collect(), c)
        .map_err(|e| Error::format(path, "logits", "[N ≥ 1, C ≥ 2] finite numbers", e))?;
    Ok(Logits { sample, names, probabilities: known, notes })
}

/// Numbers `[N, C]` of `of` turned into logits where they are probabilities, which is told unless the user has `given` it; whether they are known up to a
/// constant of each row only.
///
/// # Errors
/// Percentages; no probabilities where there should be.
pub fn taken(of: &str, values: &mut [f64], c: usize, given: bool, notes: &mut Vec<String>) -> Result<bool> {
    let kind = Kind::of(values, c);
    match (kind, given) {
        (Kind::Percentages, _) => bail!(
            "{of}: expected logits, or probabilities, found rows that are not negative and sum to 100: divide them by 100"
        ),
        (Kind::Probabilities, given) => {
            values.iter_mut().for_each(|p| *p = p.ln().max(LEAST));
            if !given {
                notes.push(format!(
                    "{of}: its rows are not negative and sum to 1: taken as probabilities, their logarithms are the logits (--probabilities says so)"
                ));
            }
        }
        (_, true) => {
            let i = values.chunks_exact(c).position(|row| !sums_to(row, 1.0, ROUNDED[0])).unwrap_or(0);
            let row: Vec<String> = values[i * c..(i + 1) * c].iter().take(6).map(f64::to_string).collect();
            bail!(
                "{of}: row {} of numbers: expected probabilities, as --probabilities says: not negative, with sum 1, found {}",
                i + 1,
                row.join(", ")
            );
        }
        _ => {}
    }
    Ok(kind != Kind::Logits)
}

/// Numbers `[N, C]` of `of` as those of P were taken: `normal` where they were probabilities or their logarithms, which these must then be too.
///
/// # Errors
/// Logits where P had probabilities.
pub fn taken_alike(of: &str, values: &mut [f64], c: usize, normal: bool) -> Result<()> {
    if normal && values.chunks_exact(c).all(|row| sums_to(row, 1.0, ROUNDED[0])) {
        values.iter_mut().for_each(|p| *p = p.ln().max(LEAST));
    } else if normal && Kind::of(values, c) != Kind::Logarithms {
        bail!("{of}: expected probabilities, as it wrote for P, found other numbers");
    }
    Ok(())
}

impl Logits {
    /// These, to be compared with logits whose columns are called `names` (empty where they have no names) and which are known as `probabilities` says.
    ///
    /// # Errors
    /// Another number of columns or columns of other names; probabilities here and logits there, or the other way about.
    pub fn like(mut self, path: &Path, names: &[String], classes: usize, probabilities: bool) -> Result<Self> {
        let (c, of) = (self.sample.classes(), path.display());
        if !names.is_empty() && !self.names.is_empty() && names != self.names {
            let unknown: Vec<&String> = self.names.iter().filter(|name| !names.contains(name)).collect();
            let missing: Vec<&String> = names.iter().filter(|name| !self.names.contains(name)).collect();
            if !unknown.is_empty() || !missing.is_empty() {
                let found = format!("{} (unknown: {unknown:?}; missing: {missing:?})", self.names.join(", "));
                let expected = format!("the columns of the calibration: {}", names.join(", "));
                return Err(Error::format(path, "header", expected, found).into());
            }
            let places: Vec<usize> = names.iter().filter_map(|n| self.names.iter().position(|m| m == n)).collect();
            let rows = self.sample.logits.chunks_exact(c);
            let logits = rows.flat_map(|row| places.iter().map(move |&j| row[j])).collect();
            self.notes.push(format!("{of}: columns in another order than at calibration, matched by name"));
            self.sample = Sample::of_logits(logits, c)?;
        } else if names.is_empty() != self.names.is_empty() {
            let which = if names.is_empty() { "the calibration" } else { "this file" };
            self.notes.push(format!("{of}: {which} has no names for its columns: they are taken in their order"));
        }
        if c != classes {
            return Err(Error::format(path, "logits", format!("{classes} columns, as at calibration"), c).into());
        }
        match (probabilities, self.probabilities) {
            (false, true) => bail!(
                "{of}: expected logits, as at calibration, found probabilities (or their logarithms): rows of one kind cannot be compared with rows of the other. Give the logits of Q, or calibrate on probabilities"
            ),
            (true, false) => bail!(
                "{of}: expected probabilities, as at calibration, found logits: rows of one kind cannot be compared with rows of the other. Give the probabilities of Q, or calibrate on logits"
            ),
            _ => Ok(self),
        }
    }
}

/// What rows of numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Logits,
    Probabilities,
    /// Logarithms of probabilities: logits too, known up to a constant of each row.
    Logarithms,
    Percentages,
}

fn sums_to(row: &[f64], sum: f64, within: f64) -> bool {
    row.iter().all(|v| *v >= 0.0) && (row.iter().sum::<f64>() - sum).abs() <= within * sum
}

impl Kind {
    fn of(values: &[f64], c: usize) -> Self {
        let within = ROUNDED[usize::from(values.len() / c < FEW)];
        let all = |of: &dyn Fn(&[f64]) -> bool| values.chunks_exact(c).all(of);
        match () {
            () if all(&|row| sums_to(row, 1.0, within)) => Kind::Probabilities,
            () if all(&|row| sums_to(row, 100.0, within)) => Kind::Percentages,
            () if all(&|row| row.iter().map(|v| v.exp()).sum::<f64>().ln().abs() < NORMAL) => Kind::Logarithms,
            () => Kind::Logits,
        }
    }
}

/// The cells of a file, column by column.
fn table(path: &Path, bytes: &[u8]) -> Result<(Vec<Column>, Vec<String>)> {
    let first = bytes.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let delimiter = [b',', b';', b'\t'].into_iter().find(|d| first.contains(d)).unwrap_or(b',');
    let mut reader = ReaderBuilder::new().has_headers(false).delimiter(delimiter).trim(Trim::All).from_reader(bytes);
    let (mut columns, mut notes): (Vec<Column>, Vec<String>) = (Vec::new(), Vec::new());
    let mut held: Option<StringRecord> = None;
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(|e| unreadable(path, &e))?;
        let line = record.position().map_or(0, csv::Position::line);
        match at {
            0 if columns::is_header(&record) => {
                columns = record.iter().map(|name| Column::named(Some(name))).collect();
                if record.iter().all(|name| name.parse::<f64>().is_ok()) {
                    held = Some(record);
                }
                continue;
            }
            0 => columns = record.iter().map(|_| Column::named(None)).collect(),
            _ => {}
        }
        columns.iter_mut().zip(&record).for_each(|(column, cell)| column.add(line, cell));
    }
    if let Some(header) = held {
        // 0, 1, 2, … is what pandas calls columns without names; it may be a row of logits, where all rows are such whole numbers.
        if columns.iter().all(Column::whole) {
            columns = header.iter().zip(columns).map(|(cell, column)| column.after(1, cell)).collect();
        } else {
            let names = header.iter().collect::<Vec<_>>().join(", ");
            notes.push(format!("{}: the first line, {names}, is taken as the names of the columns", path.display()));
        }
    }
    if columns.iter().all(Column::is_empty) {
        return Err(Error::format(path, "logits", "[N ≥ 1, C ≥ 2] finite numbers", "no row").into());
    }
    Ok((columns, notes))
}

fn unreadable(path: &Path, e: &csv::Error) -> Error {
    match e.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            Error::format(path, format!("line {line}"), format!("{expected_len} cells, as in the first line"), len)
        }
        csv::ErrorKind::Utf8 { pos, err } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            Error::format(path, format!("line {line}"), "text in UTF-8", err)
        }
        _ => Error::format(path, "text", "comma-separated values", e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Logits> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.csv");
        std::fs::write(&path, text).unwrap();
        read(&path, false)
    }

    fn said(text: &str) -> String {
        of(text).unwrap_err().to_string()
    }

    #[test]
    fn numbers_are_read_with_and_without_a_header() {
        let named = of("a,b\n1,2\n\n3, 4.5\n").unwrap();
        assert_eq!(
            (&named.sample.logits[..], &named.names[..]),
            (&[1.0, 2.0, 3.0, 4.5][..], &["a".to_owned(), "b".to_owned()][..])
        );
        assert_eq!(of("1.5,2,3\n").unwrap().sample.classes(), 3);
        assert_eq!(of("\u{feff}a;b\n1;2\n").unwrap().names, ["a", "b"]);
        assert_eq!(of("1e1\t-2.5\n").unwrap().sample.logits, [10.0, -2.5]);
        assert!(said("1,2\n3\n").contains("line 2"));
        assert!(said("1,2\nx,3\n").contains("line 2"));
        assert!(said("1,2\n,3\n").contains("line 2"));
        assert!(said("1.5,nan\n").contains("line 1"));
        assert!(said("").contains("[N ≥ 1, C ≥ 2]"));
        assert!(said("z\n0.5\n-2\n").contains("write 0 and z"));
        assert!(said("a,a\n0.5,1\n").contains("'a' twice"));
    }

    #[test]
    fn an_index_and_labels_are_left_out_and_told() {
        let rows = |first: &str, index: &dyn Fn(usize) -> String, rest: &str| {
            (0..9).fold(first.to_owned(), |text, i| format!("{text}{},{}.5,-{i}.25{rest}\n", index(i), i))
        };
        let logits: Vec<f32> = (0..9).flat_map(|i| [i as f32 + 0.5, -(i as f32) - 0.25]).collect();
        let number = |i: usize| i.to_string();
        for text in [
            rows(",0,1\n", &number, ""),
            rows("Unnamed: 0,a,b\n", &|i| (i + 1).to_string(), ""),
            rows("index,a,b\n", &|i| (7 * (i + 3) % 31).to_string(), ""),
            rows("", &number, ""),
            rows("sample,a,b\n", &number, ""),
            rows(",a,b\n", &|i| format!("row{i}"), ""),
            rows(",a,b,label\n", &number, ",1"),
        ] {
            let read = of(&text).unwrap();
            assert_eq!(read.sample.logits, logits, "{text}");
            assert!(read.notes.iter().any(|note| note.contains("left out")), "{text}: {:?}", read.notes);
        }
        // Whole numbers that do not follow each other, without a name: the user has to say.
        assert!(said(&rows("", &|i| (7 * (i + 3) % 31).to_string(), "")).contains("index"));
        // Logits may be whole numbers.
        let whole = of("3,-2\n-1,4\n0,0\n2,2\n").unwrap();
        assert!(whole.sample.classes() == 2 && whole.notes.is_empty(), "{:?}", whole.notes);
        // Names that are numbers, and rows that are such numbers.
        assert!(of("0,1\n0.5,2\n").unwrap().notes[0].contains("names of the columns"));
        assert_eq!(of("0,1\n5,2\n").unwrap().sample.len(), 2);
    }

    #[test]
    fn probabilities_are_recognised_and_kinds_are_not_mixed() {
        let path = Path::new("q.csv");
        let p = of("0.25,0.75\n1,0\n0.5,0.5\n").unwrap();
        assert!(p.probabilities && p.notes[0].contains("probabilities"), "{:?}", p.notes);
        assert!((p.sample.logits[0] - 0.25f32.ln()).abs() < 1e-6 && p.sample.logits[3] == -30.0);
        let rounded = of("0.33,0.33,0.33\n0.1,0.2,0.7\n0.5,0.3,0.2\n0,0,1\n0.17,0.17,0.67\n").unwrap();
        assert!(rounded.probabilities);
        let logarithms = of("-0.6931472,-0.6931472\n-1.3862944,-0.2876821\n").unwrap();
        assert!(logarithms.probabilities && logarithms.notes.is_empty());
        let logits = of("0.25,0.75\n1,0.5\n-1,2\n").unwrap();
        assert!(!logits.probabilities);
        assert!(said("25,75\n50,50\n").contains("divide them by 100"));
        let refused =
            |of: &Logits, probabilities| of.clone().like(path, &[], 2, probabilities).unwrap_err().to_string();
        assert!(refused(&p, false).contains("found probabilities"));
        assert!(refused(&logarithms, false).contains("logarithms"));
        assert!(refused(&logits, true).contains("found logits"));
        assert!(p.like(path, &[], 2, true).is_ok() && logarithms.like(path, &[], 2, true).is_ok());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("l.csv");
        std::fs::write(&file, "0.25,0.75\n1,0.5\n").unwrap();
        assert!(read(&file, true).unwrap_err().to_string().contains("row 2"));
    }

    #[test]
    fn columns_are_matched_by_name() {
        let path = Path::new("q.csv");
        let q = of("cat,dog,owl\n1.5,2,3\n4,5,6\n").unwrap();
        let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let turned = q.clone().like(path, &names("owl cat dog"), 3, false).unwrap();
        assert_eq!(turned.sample.logits, [3.0, 1.5, 2.0, 6.0, 4.0, 5.0]);
        assert!(turned.notes[0].contains("by name"));
        let said = |names: &[String], c| q.clone().like(path, names, c, false).unwrap_err().to_string();
        let other = said(&names("owl cat cow"), 3);
        assert!(other.contains("unknown: [\"dog\"]") && other.contains("missing: [\"cow\"]"), "{other}");
        assert!(said(&[], 2).contains("2 columns"));
        assert!(q.clone().like(path, &[], 3, false).unwrap().notes[0].contains("in their order"));
    }
}
