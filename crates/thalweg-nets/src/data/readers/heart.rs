//! UCI Heart Disease at four sites: nine features, two classes (no disease, disease). The site is the natural covariate shift: train at
//! Cleveland, then meet the patients of another hospital.
//!
//! Features, in order: age, sex (male 1), cp (chest pain: typical angina 1, atypical 2, non-anginal 3, asymptomatic 4), trestbps (resting
//! blood pressure), chol (cholesterol), fbs (fasting blood sugar above 120 mg/dl), restecg (normal 0, ST-T 1, hypertrophy 2), thalch (greatest
//! heart rate), exang (angina from exercise). Left out: slope, ca and thal, which are mostly missing outside Cleveland, and oldpeak.
//!
//! A row with an empty cell among the nine is dropped, never filled: filling from another site would erase the shift that is to be found.
//! Cholesterol 0 stays as recorded: it means "not measured" (all of Switzerland, a quarter of Long Beach) and makes the shift easy to see.
use super::csv_file::{number, rows};
use super::gzip;
use crate::data::site::Site;
use crate::data::table::Table;
use crate::error::{Error, Result};
use std::path::Path;

/// Names of the features, in the order of the columns of the data set.
pub const FEATURES: [&str; 9] = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalch", "exang"];

/// Reads the rows of one site.
///
/// # Errors
/// A column that is missing, a cell that is neither a number nor one of its column's words, a site without a whole row.
pub fn read(path: &Path, site: Site) -> Result<Table> {
    decode(&gzip::read(path)?, path, site)
}

/// Rows of some sites as recorded, an empty cell as none, to be filled by the moments of another part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    /// The features of every row, in the order of [`FEATURES`].
    pub rows: Vec<[Option<f32>; 9]>,
    /// 1 where disease was found.
    pub labels: Vec<u32>,
}

/// Reads all rows of `sites`, in the file's order.
///
/// # Errors
/// As [`read`]; sites without a row.
pub fn read_cells(path: &Path, sites: &[Site]) -> Result<Cells> {
    let mut cells = Cells::default();
    each_row(&gzip::read(path)?, path, |home, row, label| {
        if sites.iter().any(|site| site.holds(home)) {
            cells.rows.push(row);
            cells.labels.push(label);
        }
    })?;
    match cells.labels.is_empty() {
        true => Err(Error::format(path, "rows", format!("a row of {sites:?}"), "none")),
        false => Ok(cells),
    }
}

fn decode(bytes: &[u8], path: &Path, site: Site) -> Result<Table> {
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    each_row(bytes, path, |home, row, label| {
        let whole: Vec<f32> = row.iter().flatten().copied().collect();
        if site.holds(home) && whole.len() == row.len() {
            values.extend(whole);
            labels.push(label);
        }
    })?;
    if labels.is_empty() {
        return Err(Error::format(path, "rows", format!("a whole row of {site:?}"), "none"));
    }
    let names = vec!["no disease".into(), "disease".into()];
    Ok(Table::of_values("heart", [FEATURES.len(), 1, 1], 2, values, labels, None)?.with_class_names(names))
}

/// Calls `take(place, features, label)` for every row.
fn each_row(bytes: &[u8], path: &Path, mut take: impl FnMut(&str, [Option<f32>; 9], u32)) -> Result<()> {
    let mut rows = rows(bytes, path);
    let header = rows.next().transpose()?.map(|(_, row)| row).unwrap_or_default();
    let column = |name: &str| {
        header.iter().position(|held| held == name).ok_or_else(|| {
            let found: Vec<&str> = header.iter().collect();
            Error::format(path, "header", format!("a column '{name}'"), found.join(", "))
        })
    };
    let (id, place, disease) = (column("id")?, column("dataset")?, column("num")?);
    let features = FEATURES.map(|name| Ok((name, column(name)?)));
    let features = features.into_iter().collect::<Result<Vec<_>>>()?;
    for row in rows {
        let (line, row) = row?;
        if row.len() != header.len() {
            return Err(Error::format(path, format!("line {line}"), format!("{} cells", header.len()), row.len()));
        }
        // Patient 304 is the first of Hungary; the published table calls the place Cleveland.
        let home = if &row[id] == "304" { "Hungary" } else { &row[place] };
        let mut cells = [None; 9];
        for (cell, &(name, at)) in cells.iter_mut().zip(&features) {
            if !row[at].is_empty() {
                *cell = Some(feature(name, &row[at], path, line)?);
            }
        }
        take(home, cells, u32::from(number(&row[disease], path, line, "num")? > 0.0));
    }
    Ok(())
}

/// A cell as a number: categories by the codes of the original study.
fn feature(name: &str, cell: &str, path: &Path, line: u64) -> Result<f32> {
    let words: &[(&str, f32)] = match name {
        "sex" => &[("Female", 0.0), ("Male", 1.0)],
        "cp" => &[("typical angina", 1.0), ("atypical angina", 2.0), ("non-anginal", 3.0), ("asymptomatic", 4.0)],
        "restecg" => &[("normal", 0.0), ("st-t abnormality", 1.0), ("lv hypertrophy", 2.0)],
        "fbs" | "exang" => &[("FALSE", 0.0), ("TRUE", 1.0)],
        _ => return number(cell, path, line, name),
    };
    words.iter().find(|(word, _)| *word == cell).map(|&(_, code)| code).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Error::format(path, format!("line {line}, column '{name}'"), format!("one of {}", known.join(", ")), cell)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "id,age,sex,dataset,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak,slope,ca,thal,num";

    fn read(lines: &str, site: Site) -> Result<Table> {
        decode(format!("{HEADER}\n{lines}").as_bytes(), Path::new("heart.csv"), site)
    }

    const ROWS: &str = "1,63,Male,Cleveland,typical angina,145,233,TRUE,lv hypertrophy,150,FALSE,2.3,,0,,0
303,38,Female,Cleveland,non-anginal,138,175,FALSE,normal,173,TRUE,0,upsloping,,normal,3
304,28,Male,Cleveland,atypical angina,130,132,FALSE,st-t abnormality,185,FALSE,0,,,,1
306,29,Male,Hungary,atypical angina,140,,FALSE,normal,170,FALSE,0,,,,0
";

    #[test]
    fn rows_are_coded_and_the_mislabelled_patient_is_sent_home() {
        let cleveland = read(ROWS, Site::Cleveland).unwrap();
        assert_eq!(cleveland.labels(), [0, 1]);
        assert_eq!(cleveland.raw(0), [63.0, 1.0, 1.0, 145.0, 233.0, 1.0, 2.0, 150.0, 0.0]);
        assert_eq!(cleveland.raw(1), [38.0, 0.0, 3.0, 138.0, 175.0, 0.0, 0.0, 173.0, 1.0]);
        // The other Hungarian row lacks cholesterol and is dropped, not filled.
        assert_eq!(read(ROWS, Site::Hungary).unwrap().labels(), [1]);
        assert_eq!(read(ROWS, Site::Others).unwrap().len(), 1);
        assert!(read(ROWS, Site::Switzerland).unwrap_err().to_string().contains("Switzerland"));
    }

    #[test]
    fn cells_keep_rows_that_lack_something() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.csv");
        std::fs::write(&path, format!("{HEADER}\n{ROWS}")).unwrap();
        let cells = read_cells(&path, &[Site::Hungary, Site::Switzerland]).unwrap();
        assert_eq!((cells.labels.clone(), cells.rows[1][4], cells.rows[1][3]), (vec![1, 0], None, Some(140.0)));
        assert!(read_cells(&path, &[Site::Switzerland]).is_err());
    }

    #[test]
    fn unknown_words_and_missing_columns_are_named() {
        let message = read(&ROWS.replace("Female", "F"), Site::Cleveland).unwrap_err().to_string();
        assert!(message.contains("line 3, column 'sex'") && message.contains("Female, Male"), "{message}");
        let message = decode(b"id,age\n", Path::new("h"), Site::Cleveland).unwrap_err().to_string();
        assert!(message.contains("column 'dataset'"), "{message}");
    }
}
