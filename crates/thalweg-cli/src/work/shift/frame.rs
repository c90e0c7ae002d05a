//! Tables as a classifier of the user's own takes them: cells as they stand in the file, columns by name, an index and the column of labels left out.
use super::columns::{self, Column};
use anyhow::{Result, bail};
use csv::{ReaderBuilder, Trim};
use std::path::{Path, PathBuf};
use thalweg_nets::data::DataSpec;
use thalweg_nets::files::read_regular;
use thalweg_nets::{Error, memory};

/// The column of labels where none is named.
const LABEL: &str = "label";

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Its file.
    pub path: PathBuf,
    /// Names of the columns that the classifier gets.
    pub names: Vec<String>,
    /// Their cells, row by row.
    pub rows: Vec<Vec<String>>,
    /// Cells of the column of labels; none where there is no such column.
    pub labels: Option<Vec<String>>,
    /// What a user should know of how the file was read, a sentence each.
    pub notes: Vec<String>,
}

/// Reads the CSV file that `spec` names; with `home`, its columns of those names, wherever they stand.
///
/// # Errors
/// Data that are no CSV file; no header, a name twice; rows of other lengths; columns that are missing.
pub fn read(spec: &DataSpec, home: Option<&[String]>) -> Result<Frame> {
    let (Some(path), "csv") = (&spec.folder, spec.name.as_str()) else {
        bail!("--predict: expected a table of one's own, FILE.csv, found {}", spec.place());
    };
    let bytes = read_regular(path, memory::half())?;
    let mut reader = ReaderBuilder::new().has_headers(false).trim(Trim::All).from_reader(&bytes[..]);
    let mut records = Vec::new();
    for record in reader.records() {
        records
            .push(record.map_err(|e| Error::format(path, "text", "comma-separated values, as many in every line", e))?);
    }
    let mut records = records.into_iter();
    let Some(header) = records.next().filter(columns::is_header) else {
        return Err(Error::format(path, "line 1", "a header with the names of the columns", "numbers").into());
    };
    let rows: Vec<Vec<String>> = records.map(|record| record.iter().map(str::to_owned).collect()).collect();
    let all: Vec<String> = header.iter().map(str::to_owned).collect();
    if rows.is_empty() {
        return Err(Error::format(path, "rows", "at least one row below the header", "none").into());
    }
    let twice = (1..all.len()).find(|&i| !all[i].is_empty() && all[..i].contains(&all[i]));
    if let Some(i) = twice {
        return Err(Error::format(path, "header", "every name once", format!("'{}' twice", all[i])).into());
    }
    let label = spec.label.as_deref().unwrap_or(LABEL);
    let label_at = all.iter().position(|name| name == label);
    if let (Some(name), None, None) = (&spec.label, label_at, home) {
        return Err(Error::format(path, "header", format!("a column of labels named '{name}'"), all.join(", ")).into());
    }
    let mut notes = Vec::new();
    let kept = match home {
        Some(names) => by_name(path, &all, names, label_at, &mut notes)?,
        None => own(path, spec, &all, &rows, label_at, &mut notes)?,
    };
    let unnamed: Vec<String> = kept.iter().filter(|&&at| all[at].is_empty()).map(|at| (at + 1).to_string()).collect();
    if unnamed.len() > 1 {
        let found = format!("none for columns {}, which could not be told apart in another table", unnamed.join(", "));
        return Err(Error::format(path, "header", "a name for every column", found).into());
    }
    let labels = label_at.map(|at| rows.iter().map(|row| row[at].clone()).collect());
    let rows = rows.iter().map(|row| kept.iter().map(|&at| row[at].clone()).collect()).collect();
    Ok(Frame { path: path.clone(), names: kept.iter().map(|&at| all[at].clone()).collect(), rows, labels, notes })
}

/// The columns of P: all but labels, those dropped, and an index. What an index is, is told by names and by all rows of P, held-out ones too, since the
/// model gets the same columns for all of them; a column that is left out is in no test.
fn own(
    path: &Path,
    spec: &DataSpec,
    all: &[String],
    rows: &[Vec<String>],
    label: Option<usize>,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>> {
    if let Some(missing) = spec.drop.iter().find(|name| !all.contains(name)) {
        let expected = format!("the column '{missing}' that is to be left out");
        return Err(Error::format(path, "header", expected, all.join(", ")).into());
    }
    let mut kept: Vec<usize> =
        (0..all.len()).filter(|&at| Some(at) != label && !spec.drop.contains(&all[at])).collect();
    let columns: Vec<Column> = kept.iter().map(|&at| column(&all[at], rows, at)).collect();
    let fractions: Vec<bool> = columns.iter().map(|c| !c.whole()).collect();
    let mut indices = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let others = fractions.iter().enumerate().any(|(j, fraction)| j != i && *fraction);
        if let Some(what) = column.index(i == 0, others) {
            let called = if all[kept[i]].is_empty() {
                format!("column {}", kept[i] + 1)
            } else {
                format!("column '{}'", all[kept[i]])
            };
            notes.push(format!(
                "{}: {called} holds {what}: the model does not get it; another name keeps it",
                path.display()
            ));
            indices.push(kept[i]);
        }
    }
    kept.retain(|at| !indices.contains(at));
    if kept.is_empty() {
        return Err(Error::format(path, "header", "at least one column for the model", all.join(", ")).into());
    }
    Ok(kept)
}

fn column(name: &str, rows: &[Vec<String>], at: usize) -> Column {
    let mut column = Column::named(Some(name));
    rows.iter().enumerate().for_each(|(i, row)| column.add(i as u64 + 2, &row[at]));
    column
}

/// The columns of P's names.
fn by_name(
    path: &Path,
    all: &[String],
    names: &[String],
    label: Option<usize>,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>> {
    let missing: Vec<&str> = names.iter().filter(|name| !all.contains(name)).map(String::as_str).collect();
    if !missing.is_empty() {
        let expected = format!("the columns of P: {}", names.join(", "));
        let found = format!("{} (missing: {})", all.join(", "), missing.join(", "));
        return Err(Error::format(path, "header", expected, found).into());
    }
    if names.iter().any(String::is_empty) && all.iter().filter(|name| name.is_empty()).count() > 1 {
        let found = "several columns without a name, and P has one";
        return Err(Error::format(path, "header", "the columns of P by name", found).into());
    }
    let kept: Vec<usize> = names.iter().filter_map(|name| all.iter().position(|other| other == name)).collect();
    let others: Vec<&str> =
        (0..all.len()).filter(|at| Some(*at) != label && !kept.contains(at)).map(|at| &*all[at]).collect();
    if !others.is_empty() {
        let names: Vec<&str> =
            others.iter().map(|name| if name.is_empty() { "a column without a name" } else { name }).collect();
        notes.push(format!("{}: columns that P does not have are left out: {}", path.display(), names.join(", ")));
    }
    if !kept.is_sorted() {
        notes.push(format!("{}: columns stand in another order than in P: they are matched by name", path.display()));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, home: Option<&[String]>, more: &str) -> Result<Frame> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        read(&DataSpec::parse(&format!("csv:{}{more}", path.display())).unwrap(), home)
    }

    #[test]
    fn cells_stay_as_they_are_and_labels_and_an_index_go() {
        let p = of(",age,job,label\n0,31,\"cook, chef\",1\n1,,baker,0\n2,40.5,?,1\n", None, "").unwrap();
        assert_eq!((p.names.join(" "), p.rows[1].clone()), ("age job".into(), vec![String::new(), "baker".into()]));
        assert_eq!(
            (p.rows[0][1].as_str(), p.labels.as_deref()),
            ("cook, chef", Some(&["1", "0", "1"].map(String::from)[..]))
        );
        assert!(p.notes[0].contains("column 1 holds an index"), "{:?}", p.notes);
        assert_eq!(of("a,b\n1,2\n", None, "@label=b").unwrap().names, ["a"]);
        assert!(of("a,b\n1,2\n", None, "@label=c").unwrap_err().to_string().contains("'c'"));
        assert!(of("1,2\n3,4\n", None, "").unwrap_err().to_string().contains("names of the columns"));
        assert!(of("a,a\n3,4\n", None, "").unwrap_err().to_string().contains("'a' twice"));
        assert!(of("a,b\n3\n", None, "").is_err());
        // One column without a name can be found again, several cannot; an index without a name is none of them.
        assert_eq!(of("a,\n3.5,x\n", None, "").unwrap().names, ["a", ""]);
        let several = of("a,,b,\n3.5,x,y,z\n", None, "").unwrap_err().to_string();
        assert!(several.contains("none for columns 2, 4"), "{several}");
        assert_eq!(of(",a,\n0,3.5,x\n1,4,y\n2,5,z\n", None, "").unwrap().names, ["a", ""]);
        assert!(of("a,b\n", None, "").unwrap_err().to_string().contains("at least one row"));
    }

    #[test]
    fn columns_of_q_are_found_by_the_names_of_p() {
        let home = ["a", "b"].map(String::from);
        let q = of("id,b,label,a\n7,2,x,1\n", Some(&home), "").unwrap();
        assert_eq!(q.rows, [["1", "2"].map(String::from)]);
        assert!(q.notes[0].contains("left out: id") && q.notes[1].contains("by name"), "{:?}", q.notes);
        let said = of("a,c\n1,2\n", Some(&home), "").unwrap_err().to_string();
        assert!(said.contains("missing: b"), "{said}");
        let home = ["a", ""].map(String::from);
        assert_eq!(of(",a\n7,1\n", Some(&home), "").unwrap().rows, [["1", "7"].map(String::from)]);
        let said = of(",a,\n7,1,2\n", Some(&home), "").unwrap_err().to_string();
        assert!(said.contains("several columns without a name"), "{said}");
    }
}
