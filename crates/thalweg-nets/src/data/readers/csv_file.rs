//! A user's CSV file: a header line, one column of labels, every other column a numeric feature. Plain or gzipped.
//!
//! Labels may be numbers or words; their distinct values, in numeric order if all are numbers and in the alphabet's otherwise,
//! become classes 0, 1, …, and the values are recorded as class names (`1` and `1.0` are one). A missing cell is an error: how to fill it is the
//! user's choice. Columns that number the rows are left out, and told (`csv_index`); the names of the others are kept.
//!
//! The file is read as a stream: what is held are the numbers of 32 bits, within a quarter of the machine's memory.
use super::columns::{self, Spread};
use super::csv_error::unreadable;
use super::csv_index;
use super::gzip;
use super::labels::{Words, is_missing, shown};
use super::source::Asked;
use crate::data::table::Table;
use crate::error::{Error, Result};
use crate::memory;
use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// The name of the column of labels where none is given.
pub const LABEL: &str = "label";

/// Reads the file; `label` names the column of labels ([`LABEL`] by default), `drop` columns to leave out.
///
/// # Errors
/// No header, no such column, a column named twice, a row of another length, a cell that is missing or no finite number, more than 1,000 labels.
pub(in crate::data) fn read(path: &Path, label: Option<&str>, drop: &[String], asked: Asked) -> Result<Table> {
    decode(&|| gzip::stream(path), path, label, drop, asked)
}

/// Makes the file's bytes anew for every pass.
type Open<'a> = &'a dyn Fn() -> Result<Box<dyn Read>>;

/// Which columns are read.
struct Plan {
    /// The column of labels, if it is there.
    label: Option<usize>,
    /// Columns of features, in the order in which they are kept.
    features: Vec<usize>,
    header: StringRecord,
    notes: Vec<String>,
}

fn decode(open: Open, path: &Path, label: Option<&str>, drop: &[String], asked: Asked) -> Result<Table> {
    let mut plan = plan(open, path, label, drop, asked)?;
    let mut found = pass(open()?, path, &plan, &[])?;
    let offset = columns::offsets(&found.spreads);
    if !offset.is_empty() {
        // Rare: once more, with what the first pass has learnt of the columns.
        found = pass(open()?, path, &plan, &offset)?;
    }
    let rows = found.rows;
    let unknown = rows - found.known;
    if rows == 0 {
        return Err(Error::format(path, "rows", "at least one row below the header", "none"));
    }
    if let (Some((line, cell)), true) = (&found.unlabelled, asked.labelled) {
        let column = label.unwrap_or(LABEL);
        let expected = "a label (leave the row out, or write another word if it is one)";
        return Err(Error::format(path, format!("line {line}, column '{column}'"), expected, shown(cell)));
    }
    let wide = plan.features.len();
    let names: Vec<String> = plan.features.iter().map(|&column| plan.header[column].to_owned()).collect();
    let labelled = unknown == 0;
    let (labels, class_names, count) = match labelled {
        true => {
            let classes = found.words.classes();
            plan.notes.extend(classes.notes);
            let count = classes.names.len();
            (classes.labels, classes.names, count)
        }
        false => (vec![0; rows], Vec::new(), 1),
    };
    if !labelled && found.known > 0 {
        plan.notes.push(format!("{unknown} of {rows} rows have no label; all are taken as unlabelled"));
    }
    let table = Table::of_values("csv", [wide, 1, 1], count, found.values, labels, None)?;
    let said = |note: String| format!("{}: {note}", path.display());
    Ok(table
        .with_class_names(class_names)
        .with_feature_names(names)
        .with_offset(offset)
        .labelled(labelled)
        .noting(plan.notes.into_iter().map(said)))
}

fn reader(bytes: Box<dyn Read>) -> Reader<Box<dyn Read>> {
    ReaderBuilder::new().trim(Trim::All).from_reader(bytes)
}

/// Reads the header and, where a column may number the rows, that column.
fn plan(open: Open, path: &Path, label: Option<&str>, drop: &[String], asked: Asked) -> Result<Plan> {
    let mut first = reader(open()?);
    let header = first.headers().map_err(|e| unreadable(path, &e))?.clone();
    check_header(path, &header)?;
    let place = |name: &str| header.iter().position(|held| held == name);
    let listed = || header.iter().collect::<Vec<_>>().join(", ");
    let wanted = label.unwrap_or(LABEL);
    let label = place(wanted);
    if label.is_none() && asked.labelled {
        let expected =
            format!("a column of labels named '{wanted}' (say which it is: csv:{}@label=NAME)", path.display());
        return Err(Error::format(path, "header", expected, listed()));
    }
    if let Some(missing) = drop.iter().find(|name| place(name).is_none()) {
        return Err(Error::format(path, "header", format!("the column '{missing}' that is to be left out"), listed()));
    }
    let mut notes = Vec::new();
    let features = match asked.features {
        [] => {
            let free = |&column: &usize| Some(column) != label && !drop.iter().any(|name| *name == header[column]);
            let mut features: Vec<usize> = (0..header.len()).filter(free).collect();
            for (column, numbering) in csv_index::find(open, path, &header, &features)? {
                if numbering.is_left_out() {
                    features.retain(|&other| other != column);
                }
                notes.push(numbering.told(column, &header[column]));
            }
            features
        }
        names => named(path, &header, names, label, &mut notes)?,
    };
    if features.is_empty() {
        let found = if notes.is_empty() { listed() } else { format!("{} ({})", listed(), notes.join("; ")) };
        return Err(Error::format(path, "header", "a label and at least one feature", found));
    }
    Ok(Plan { label, features, header, notes })
}

fn check_header(path: &Path, header: &StringRecord) -> Result<()> {
    if header.iter().all(str::is_empty) {
        return Err(Error::format(path, "line 1", "a header with the names of the columns", "nothing"));
    }
    if let (1, Some(other)) = (header.len(), header[0].chars().find(|c| matches!(c, ';' | '\t' | '|'))) {
        return Err(Error::format(path, "line 1", "names between commas", format!("{other:?} between them")));
    }
    let mut seen = BTreeSet::new();
    match header.iter().find(|name| !name.is_empty() && !seen.insert(*name)) {
        Some(twice) => Err(Error::format(path, "header", "every name once", format!("'{twice}' twice"))),
        None => Ok(()),
    }
}

/// The columns that the networks at hand were trained on, wherever they stand.
fn named(
    path: &Path,
    header: &StringRecord,
    names: &[String],
    label: Option<usize>,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>> {
    let place = |name: &String| header.iter().position(|held| held == name).filter(|&place| Some(place) != label);
    let missing: Vec<&str> = names.iter().filter(|name| place(name).is_none()).map(String::as_str).collect();
    if !missing.is_empty() {
        let expected = format!("the columns that the networks take: {}", names.join(", "));
        let found = format!("{} (missing: {})", header.iter().collect::<Vec<_>>().join(", "), missing.join(", "));
        return Err(Error::format(path, "header", expected, found));
    }
    let features: Vec<usize> = names.iter().filter_map(place).collect();
    let called = |column: usize| match &header[column] {
        "" => format!("column {} (without a name)", column + 1),
        name => name.to_owned(),
    };
    let others: Vec<String> =
        (0..header.len()).filter(|i| Some(*i) != label && !features.contains(i)).map(called).collect();
    if !others.is_empty() {
        notes.push(format!("left out what the networks do not take: {}", others.join(", ")));
    }
    if !features.is_sorted() {
        notes.push(format!("columns are taken by name, in the order of the networks: {}", names.join(", ")));
    }
    Ok(features)
}

/// What one pass through the file gives.
struct Found {
    values: Vec<f32>,
    spreads: Vec<Spread>,
    words: Words,
    rows: usize,
    /// Rows with a label.
    known: usize,
    /// The first row without one, where there is a column of labels, and its cell.
    unlabelled: Option<(u64, String)>,
}

/// Rows between two looks at the memory in use.
const ROWS_A_LOOK: usize = 4096;

fn pass(bytes: Box<dyn Read>, path: &Path, plan: &Plan, offset: &[f64]) -> Result<Found> {
    let mut reader = reader(bytes);
    let mut found = Found {
        values: Vec::new(),
        spreads: vec![Spread::default(); plan.features.len()],
        words: Words::default(),
        rows: 0,
        known: 0,
        unlabelled: None,
    };
    let mut record = StringRecord::new();
    // Past the header first, or an error in the first row would name its line.
    reader.headers().map_err(|e| unreadable(path, &e))?;
    while reader.read_record(&mut record).map_err(|e| unreadable(path, &e))? {
        let line = record.position().map_or(0, csv::Position::line);
        for (i, &column) in plan.features.iter().enumerate() {
            let value = double(&record[column], path, line, &plan.header[column])?;
            found.spreads[i].add(value);
            found.values.push((value - offset.get(i).unwrap_or(&0.0)) as f32);
        }
        match plan.label.map(|place| (place, &record[place])) {
            Some((_, cell)) if is_missing(cell) => {
                found.unlabelled.get_or_insert_with(|| (line, cell.to_owned()));
            }
            Some((place, cell)) => {
                found.words.push(cell, path, &plan.header[place])?;
                found.known += 1;
            }
            None => {}
        }
        if found.rows.is_multiple_of(ROWS_A_LOOK) {
            // A vector that grows holds up to twice what is in it, and its copy.
            let bytes = (found.values.len() as u64).saturating_mul(4).saturating_add(found.rows as u64 * 4);
            memory::check_file(path, &format!("numbers up to line {line}"), Some(bytes))?;
        }
        found.rows += 1;
    }
    Ok(found)
}

/// A finite number from a cell, within the range of 32 bits.
fn double(cell: &str, path: &Path, line: u64, column: &str) -> Result<f64> {
    match cell.parse::<f64>() {
        Ok(value) if (value as f32).is_finite() => Ok(value),
        _ => {
            let expected = if is_missing(cell) {
                "a finite number (fill it, or leave the row or the column out)"
            } else {
                "a finite number"
            };
            Err(Error::format(path, format!("line {line}, column '{column}'"), expected, shown(cell)))
        }
    }
}

/// A finite number from a cell, or an error that names the line and column.
pub(in crate::data) fn number(cell: &str, path: &Path, line: u64, column: &str) -> Result<f32> {
    match cell.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Error::format(path, format!("line {line}, column '{column}'"), "a finite number", shown(cell))),
    }
}

/// The rows of a file without regard for their lengths, each with its line.
pub(in crate::data) fn rows<'a>(
    bytes: &'a [u8],
    path: &'a Path,
) -> impl Iterator<Item = Result<(u64, StringRecord)>> + 'a {
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

    fn asked(text: &str, drop: &[&str], asked: Asked) -> Result<Table> {
        let bytes = text.as_bytes().to_vec();
        let open = || Ok(Box::new(std::io::Cursor::new(bytes.clone())) as Box<dyn Read>);
        let drop: Vec<String> = drop.iter().map(ToString::to_string).collect();
        decode(&open, Path::new("x.csv"), Some("kind"), &drop, asked)
    }

    fn table(text: &str) -> Result<Table> {
        asked(text, &[], Asked { features: &[], labelled: true })
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

    #[test]
    fn columns_that_the_networks_take_are_found_by_name() {
        let names = ["b".to_owned(), "a".to_owned()];
        let known = |labelled| Asked { features: &names, labelled };
        let t = asked("a,kind,c,b\n1,x,9,2\n3,y,9,4\n", &[], known(true)).unwrap();
        assert_eq!((t.raw(0), t.feature_names.clone()), (vec![2.0, 1.0], names.to_vec()));
        assert!(t.notes[0].contains("left out what the networks do not take: c"), "{:?}", t.notes);
        assert!(t.notes[1].contains("by name"), "{:?}", t.notes);
        let message = asked("a,kind,c\n1,x,9\n", &[], known(true)).unwrap_err().to_string();
        assert!(message.contains("the networks take: b, a, found a, kind, c (missing: b)"), "{message}");
        let t = asked(",a,kind,b\n7,1,x,2\n9,3,y,4\n", &[], known(true)).unwrap();
        assert!(t.notes[0].ends_with("do not take: column 1 (without a name)"), "{:?}", t.notes);
    }

    #[test]
    fn labels_may_be_absent_only_where_nobody_needs_them() {
        let free = Asked { features: &[], labelled: false };
        for text in ["a,b\n1,2\n", "a,b,kind\n1,2,?\n", "a,b,kind\n1,2,\n"] {
            let t = asked(text, &[], free).unwrap();
            assert_eq!((t.labelled, t.raw(0)), (false, vec![1.0, 2.0]), "{text}");
            assert!(table(text).is_err());
        }
        assert!(asked("a,kind\n1,x\n", &[], free).unwrap().labelled);
        let some = asked("a,kind\n1,x\n2,NULL\n", &[], free).unwrap();
        assert!(!some.labelled && some.notes[0].contains("1 of 2 rows have no label"), "{:?}", some.notes);
        let message = table("a,kind\n1,x\n2,None\n").unwrap_err().to_string();
        assert!(message.contains("line 3, column 'kind'") && message.contains("'None' (missing)"), "{message}");
    }

    #[test]
    fn columns_are_left_out_where_asked() {
        let all = Asked { features: &[], labelled: true };
        let t = asked("who,a,kind\nAnn,1,x\nBob,2,y\n", &["who"], all).unwrap();
        assert_eq!((t.shape(), t.feature_names.clone()), ([1, 1, 1], vec!["a".to_owned()]));
        assert!(asked("a,kind\n1,x\n", &["who"], all).unwrap_err().to_string().contains("'who'"));
        assert!(table("a;kind\n1;x\n").unwrap_err().to_string().contains("';' between them"));
    }

    #[test]
    fn times_in_seconds_keep_their_differences() {
        let rows: String = (0..50).map(|i| format!("{},{},{}\n", 1_700_000_000 + i, i, i % 2)).collect();
        let t = table(&format!("t,a,kind\n{rows}")).unwrap();
        let normal = t.normalisation();
        // The deviation of 0 to 49: the root of (50² − 1) / 12.
        assert!((f64::from(normal.std[0]) - (2499.0f64 / 12.0).sqrt()).abs() < 1e-5, "{normal:?}");
        let data = t.standardised(&[0, 49], &normal).unwrap();
        assert_eq!(data.input(0)[0], data.input(0)[1]);
        assert_eq!(data.input(1)[0], data.input(1)[1]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9,\"\n?.\\- ]{0,80}") {
            for read in [table(&text), table(&format!("kind,a\n{text}"))].into_iter().flatten() {
                prop_assert!(read.labels().iter().all(|&label| (label as usize) < read.classes()));
                prop_assert_eq!(read.labels().len(), read.len());
                prop_assert!((0..read.len()).all(|i| read.raw(i).len() == read.input_len()));
                prop_assert!((0..read.len()).all(|i| read.raw(i).iter().all(|v| v.is_finite())));
            }
        }

        #[test]
        fn what_is_written_is_read(
            numbers in proptest::collection::vec((any::<i16>(), -1e6f32..1e6), 2..20),
            quoted: bool,
            crlf: bool,
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let cell = |v: &dyn std::fmt::Display| if quoted { format!("\"{v}\"") } else { v.to_string() };
            let row = |(i, (a, b)): (usize, &(i16, f32))| format!("{},{},{}{end}", cell(a), cell(&["no", "yes"][i % 2]), cell(b));
            let rows: String = numbers.iter().enumerate().map(row).collect();
            let read = table(&format!("a,kind,b{end}{rows}")).unwrap();
            prop_assert_eq!((read.len(), read.class_names()), (numbers.len(), &["no".to_owned(), "yes".to_owned()][..]));
            for (i, (a, b)) in numbers.iter().enumerate() {
                prop_assert_eq!(read.raw(i), vec![f32::from(*a), *b]);
                prop_assert_eq!(read.labels()[i], (i % 2) as u32);
            }
        }
    }
}
