//! Columns of a CSV file that number its rows, as pandas and R write them without being asked: they are no features.
//!
//! Told by name (none, `Unnamed: 0`, `index`, `id`, …) and by what they hold. A column with such a name that holds anything else is a feature, and told.
use super::csv_error::unreadable;
use crate::error::Result;
use crate::memory;
use csv::{ReaderBuilder, StringRecord, Trim};
use std::io::Read;
use std::path::Path;

/// Names, in lower case, of columns that usually number rows.
const NAMES: [&str; 12] = [
    "index",
    "idx",
    "id",
    "row",
    "row_id",
    "rowid",
    "row id",
    "rowname",
    "rownames",
    "row_names",
    "row_number",
    "level_0",
];

/// What a column that may number the rows turned out to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Numbering {
    /// Whole numbers that follow each other, in any order.
    Consecutive,
    /// Another whole number in every row.
    Distinct {
        /// Whether the header names the column.
        named: bool,
    },
    /// Cells that are no numbers, in a column without a name.
    Words,
    /// Numbers, in a column without a name.
    Unnamed,
}

impl Numbering {
    /// Whether it is no feature.
    pub(in crate::data) fn is_left_out(self) -> bool {
        matches!(self, Self::Consecutive | Self::Distinct { named: false } | Self::Words)
    }

    /// What the user is told of the column with this number (from 0) and name.
    pub(in crate::data) fn told(self, column: usize, name: &str) -> String {
        let what = match name {
            "" => format!("column {} has no name", column + 1),
            name => format!("column '{name}'"),
        };
        let link = if name.is_empty() { "and holds" } else { "holds" };
        match self {
            Self::Consecutive => {
                format!(
                    "{what} {link} the index of the rows (whole numbers that follow each other): left out; give it another name to use it as a feature"
                )
            }
            Self::Distinct { named: false } => {
                format!(
                    "{what} {link} an index (another whole number in every row): left out; name it to use it as a feature"
                )
            }
            Self::Distinct { named: true } => {
                format!(
                    "{what} {link} another whole number in every row and is taken as a feature; if it is an index, leave it out: @drop={name}"
                )
            }
            Self::Words => format!("{what} {link} an index (names of rows): left out"),
            Self::Unnamed => format!("{what} and is taken as a feature"),
        }
    }
}

/// The columns among `features` that number the rows, or may be thought to.
///
/// # Errors
/// A file that cannot be read.
pub(in crate::data) fn find(
    open: &dyn Fn() -> Result<Box<dyn Read>>,
    path: &Path,
    header: &StringRecord,
    features: &[usize],
) -> Result<Vec<(usize, Numbering)>> {
    let candidates: Vec<usize> = features.iter().copied().filter(|&column| may_number(&header[column])).collect();
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let mut cells = vec![Cells::default(); candidates.len()];
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(open()?);
    let mut record = StringRecord::new();
    reader.headers().map_err(|e| unreadable(path, &e))?;
    while reader.read_record(&mut record).map_err(|e| unreadable(path, &e))? {
        candidates.iter().zip(&mut cells).for_each(|(&column, cells)| cells.add(&record[column]));
        let held: usize = cells.iter().map(|cells| cells.whole.len()).sum();
        memory::check_file(path, "numbers of its rows", Some(held as u64 * 8))?;
    }
    let judged = candidates.into_iter().zip(cells);
    Ok(judged.filter_map(|(column, cells)| Some((column, cells.judged(is_named(&header[column]))?))).collect())
}

fn is_named(name: &str) -> bool {
    !name.is_empty() && name.strip_prefix("Unnamed:").is_none_or(|rest| rest.trim().parse::<u32>().is_err())
}

fn may_number(name: &str) -> bool {
    !is_named(name) || NAMES.contains(&name.to_lowercase().as_str())
}

/// What is learnt of a column's cells; whole numbers are kept as long as all are.
#[derive(Clone, Debug, Default)]
struct Cells {
    whole: Vec<i64>,
    other: bool,
    words: bool,
}

impl Cells {
    fn add(&mut self, cell: &str) {
        // An index of whole numbers becomes one of 1.0, 2.0, … where a row once lacked it.
        let number = cell.parse::<f64>().ok();
        match number.filter(|n| n.fract() == 0.0 && n.abs() < 9e15) {
            Some(n) if !self.other => self.whole.push(n as i64),
            Some(_) => {}
            None => {
                self.other = true;
                self.whole = Vec::new();
                self.words |= number.is_none();
            }
        }
    }

    fn judged(mut self, named: bool) -> Option<Numbering> {
        if self.other {
            return match (named, self.words) {
                (true, _) => None,
                (false, true) => Some(Numbering::Words),
                (false, false) => Some(Numbering::Unnamed),
            };
        }
        self.whole.sort_unstable();
        let distinct = self.whole.windows(2).all(|pair| pair[0] < pair[1]);
        let (Some(first), Some(last)) = (self.whole.first(), self.whole.last()) else { return None };
        match distinct {
            true if last - first + 1 == self.whole.len() as i64 => Some(Numbering::Consecutive),
            true => Some(Numbering::Distinct { named }),
            false if named => None,
            false => Some(Numbering::Unnamed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, cells: &[&str]) -> Option<Numbering> {
        let mut all = Cells::default();
        cells.iter().for_each(|cell| all.add(cell));
        may_number(name).then(|| all.judged(is_named(name)))?
    }

    #[test]
    fn indices_are_told_from_features_by_name_and_content() {
        use Numbering::{Consecutive, Distinct, Unnamed, Words};
        for name in ["", "Unnamed: 0", "id", "ID", "Index"] {
            for cells in [["0", "1", "2"], ["1", "2", "3"], ["7", "9", "8"], ["1.0", "2.0", "3.0"]] {
                assert_eq!(judged(name, &cells), Some(Consecutive), "{name} {cells:?}");
            }
        }
        assert_eq!(judged("", &["4", "17", "9"]), Some(Distinct { named: false }));
        assert_eq!(judged("id", &["4", "17", "9"]), Some(Distinct { named: true }));
        assert_eq!(judged("", &["Mazda", "Fiat"]), Some(Words));
        assert_eq!(judged("", &["", ""]), Some(Words));
        assert_eq!(judged("", &["0.5", "1.5"]), Some(Unnamed));
        assert_eq!(judged("Unnamed: 3", &["1", "1"]), Some(Unnamed));
        assert_eq!(judged("id", &["1", "1"]), None);
        assert_eq!(judged("age", &["1", "2", "3"]), None);
        assert!(Consecutive.told(0, "id").contains("'id'") && Words.told(2, "").contains("column 3 has no name"));
    }
}
