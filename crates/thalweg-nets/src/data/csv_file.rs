//! A user's CSV file: a header line, one column of labels, every other column a numeric feature. Plain or gzipped.
//!
//! Labels may be numbers or words; their distinct values, in numeric order if all are numbers and in the alphabet's otherwise,
//! become classes 0, 1, …, and the values are recorded as class names. A missing cell is an error: how to fill it is the user's choice.
use super::gzip;
use super::table::Table;
use crate::error::{Error, Result};
use csv::{ReaderBuilder, StringRecord, Trim};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most distinct labels; more is a sign that the label column is a feature.
const MOST_CLASSES: usize = 1_000;

/// Reads the file; `label` names the column of labels.
///
/// # Errors
/// No header, no such column, a column named twice, a row of another length, a cell that is missing or no finite number, more than 1,000 labels.
pub fn read(path: &Path, label: &str) -> Result<Table> {
    decode(&gzip::read(path)?, path, label)
}

fn decode(bytes: &[u8], path: &Path, label: &str) -> Result<Table> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|e| unreadable(path, &e))?.clone();
    if header.iter().all(str::is_empty) {
        return Err(Error::format(path, "line 1", "a header with the names of the columns", "nothing"));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = header.iter().find(|name| !seen.insert(*name)) {
        return Err(Error::format(path, "header", "every name once", format!("'{twice}' twice")));
    }
    let Some(place) = header.iter().position(|name| name == label) else {
        let names: Vec<&str> = header.iter().collect();
        return Err(Error::format(path, "header", format!("a column of labels named '{label}'"), names.join(", ")));
    };
    if header.len() < 2 {
        return Err(Error::format(path, "header", "a label and at least one feature", "one column"));
    }
    let (mut values, mut words) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|e| unreadable(path, &e))?;
        let line = record.position().map_or(0, csv::Position::line);
        for (column, cell) in record.iter().enumerate() {
            if column != place {
                values.push(number(cell, path, line, &header[column])?);
            } else if is_missing(cell) {
                return Err(Error::format(path, format!("line {line}, column '{label}'"), "a label", shown(cell)));
            } else {
                words.push(cell.to_string());
            }
        }
    }
    if words.is_empty() {
        return Err(Error::format(path, "rows", "at least one row below the header", "none"));
    }
    let names = distinct(&words);
    if names.len() > MOST_CLASSES {
        let expected = format!("at most {MOST_CLASSES} distinct labels (is it a feature?)");
        return Err(Error::format(path, format!("column '{label}'"), expected, names.len()));
    }
    let class: BTreeMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    let labels = words.iter().map(|word| class[word.as_str()]).collect();
    let shape = [header.len() - 1, 1, 1];
    Ok(Table::of_values("csv", shape, names.len(), values, labels, None)?.with_class_names(names))
}

/// A finite number from a cell, or an error that names the line and column.
pub(super) fn number(cell: &str, path: &Path, line: u64, column: &str) -> Result<f32> {
    match cell.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Error::format(path, format!("line {line}, column '{column}'"), "a finite number", shown(cell))),
    }
}

/// Whether a cell says that a value is missing, in one of the usual spellings.
pub(super) fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "?" | "NA" | "N/A" | "NaN" | "nan" | "null")
}

fn shown(cell: &str) -> String {
    if is_missing(cell) {
        format!("'{cell}' (missing)")
    } else {
        format!("'{}'", cell.chars().take(40).collect::<String>())
    }
}

/// The distinct labels: by number if all are numbers, else by alphabet.
fn distinct(words: &[String]) -> Vec<String> {
    let mut names: Vec<String> = words.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let mut pairs: Vec<(f64, String)> = numbers.into_iter().zip(names).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        names = pairs.into_iter().map(|(_, name)| name).collect();
    }
    names
}

/// What the csv crate says, in the words of this house.
pub(super) fn unreadable(path: &Path, e: &csv::Error) -> Error {
    match e.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            Error::format(path, format!("line {line}"), format!("{expected_len} cells"), len)
        }
        csv::ErrorKind::Utf8 { pos, err } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            Error::format(path, format!("line {line}"), "text in UTF-8", err)
        }
        _ => Error::format(path, "text", "comma-separated values", e),
    }
}

/// The rows of a file without regard for their lengths, each with its line.
pub(super) fn rows<'a>(bytes: &'a [u8], path: &'a Path) -> impl Iterator<Item = Result<(u64, StringRecord)>> + 'a {
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes);
    reader.into_records().map(move |record| {
        let record = record.map_err(|e| unreadable(path, &e))?;
        Ok((record.position().map_or(0, csv::Position::line), record))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(text: &str) -> Result<Table> {
        decode(text.as_bytes(), Path::new("x.csv"), "kind")
    }

    #[test]
    fn words_become_classes_and_the_label_may_stand_anywhere() {
        let t = table("a,kind,b\n1, tall ,2.5\n-3,\"short\",4e1\n0,tall,0\n").unwrap();
        assert_eq!((t.shape(), t.classes(), t.labels()), ([2, 1, 1], 2, &[1, 0, 1][..]));
        assert_eq!(t.raw(1), [-3.0, 40.0]);
        assert_eq!(t.class_names(), ["short", "tall"]);
    }

    #[test]
    fn numbers_as_labels_keep_their_order() {
        let t = table("kind,a\n10,0\n9,0\n2,0\n").unwrap();
        assert_eq!(t.class_names(), ["2", "9", "10"]);
        assert_eq!(t.labels(), [2, 1, 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9,\"\n?.\\- ]{0,80}") {
            let _ = table(&text);
            let _ = table(&format!("kind,a\n{text}"));
        }
    }
}
