//! The small UCI tables as scikit-learn lays them: first line `rows,features,class names…`, then features and class number per line.
use super::csv_file::{number, rows};
use super::gzip;
use crate::data::table::Table;
use crate::error::{Error, Result};
use std::path::Path;

/// Reads wine, breast cancer or iris.
///
/// # Errors
/// A first line that does not say what follows, rows of another length, cells that are no numbers.
pub fn read(name: &str, path: &Path) -> Result<Table> {
    decode(name, &gzip::read(path)?, path)
}

fn decode(name: &str, bytes: &[u8], path: &Path) -> Result<Table> {
    let mut rows = rows(bytes, path);
    let first = rows.next().transpose()?.map(|(_, row)| row).unwrap_or_default();
    let size = |i: usize| first.get(i).and_then(|cell| cell.parse::<usize>().ok()).filter(|&n| n > 0);
    let (Some(count), Some(features), true) = (size(0), size(1), first.len() > 2) else {
        let found: Vec<&str> = first.iter().collect();
        return Err(Error::format(path, "line 1", "rows,features,class names", found.join(",")));
    };
    let names: Vec<String> = first.iter().skip(2).map(str::to_string).collect();
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for row in rows {
        let (line, row) = row?;
        if Some(row.len()) != features.checked_add(1) {
            return Err(Error::format(
                path,
                format!("line {line}"),
                format!("{features} features and a class"),
                row.len(),
            ));
        }
        for (column, cell) in row.iter().take(features).enumerate() {
            values.push(number(cell, path, line, &(column + 1).to_string())?);
        }
        let class = row[features].parse::<u32>().ok().filter(|&y| (y as usize) < names.len());
        labels.push(class.ok_or_else(|| {
            let expected = format!("a class below {}", names.len());
            Error::format(path, format!("line {line}, column 'class'"), expected, &row[features])
        })?);
    }
    if labels.len() != count {
        return Err(Error::format(path, "rows", format!("{count}, as line 1 says"), labels.len()));
    }
    Ok(Table::of_values(name, [features, 1, 1], names.len(), values, labels, None)?.with_class_names(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_text_decodes_and_lies_are_refused() {
        let read = |text: &str| decode("x", text.as_bytes(), Path::new("x.csv"));
        let t = read("2,2,red,blue\n1,2.5,1\n-3,4,0\n").unwrap();
        assert_eq!((t.shape(), t.labels(), t.raw(1)), ([2, 1, 1], &[1, 0][..], vec![-3.0, 4.0]));
        for (text, part) in [
            ("", "line 1"),
            ("3,2,red,blue\n1,2,0\n", "3, as line 1 says"),
            ("1,2,red\n1,2,1\n", "a class below 1"),
            ("1,2,red\n1,2\n", "2 features"),
            ("1,18446744073709551615,red\n1,2\n", "features"),
            ("1,2,red\n1,x,0\n", "line 2, column '2'"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
