//! Columns of a file of logits, and which of them are none: an index of the rows, labels.
use anyhow::Result;
use csv::StringRecord;
use std::collections::BTreeSet;
use std::path::Path;
use thalweg_nets::Error;

/// Names, in lower case, of columns that number rows.
const INDICES: [&str; 9] = ["index", "idx", "id", "row", "row_id", "rowid", "rownames", "row_number", "level_0"];
/// Names, in lower case, of columns that hold classes.
const LABELS: [&str; 9] = ["label", "labels", "target", "class", "y", "y_true", "y_pred", "prediction", "predicted"];
/// Rows from which on a column of whole numbers, another in each row, is taken for an index where it is not called so.
const MANY: usize = 8;

/// A column as it was read.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// What the header calls it; none without a header.
    pub name: Option<String>,
    /// Its numbers; NaN for a cell that is none.
    pub numbers: Vec<f64>,
    /// Line and text of the first cell that is no finite number.
    wrong: Option<(u64, String)>,
}

impl Column {
    /// Without rows.
    pub fn named(name: Option<&str>) -> Self {
        Self { name: name.map(str::to_owned), ..Self::default() }
    }

    /// One more cell, from a line of the file.
    pub fn add(&mut self, line: u64, cell: &str) {
        let number = cell.parse::<f64>().ok().filter(|v| v.is_finite() && v.abs() <= f64::from(f32::MAX));
        if number.is_none() && self.wrong.is_none() {
            self.wrong = Some((line, cell.chars().take(40).collect()));
        }
        self.numbers.push(number.unwrap_or(f64::NAN));
    }

    /// The column without a name, and with `cell` of `line` before its cells.
    pub fn after(self, line: u64, cell: &str) -> Self {
        let mut first = Self::named(None);
        first.add(line, cell);
        first.numbers.extend(self.numbers);
        first.wrong = first.wrong.or(self.wrong);
        first
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Whether all are whole numbers.
    pub fn whole(&self) -> bool {
        self.numbers.iter().all(|v| v.fract() == 0.0)
    }

    fn distinct(&self) -> bool {
        self.numbers.iter().map(|v| v.to_bits()).collect::<BTreeSet<_>>().len() == self.numbers.len()
    }

    /// Whether they are 0, 1, 2, … or 1, 2, 3, …
    fn counts(&self) -> bool {
        let from = |first: usize| self.numbers.iter().enumerate().all(|(i, v)| *v == (i + first) as f64);
        from(0) || from(1)
    }

    fn lower(&self) -> Option<String> {
        self.name.as_ref().map(|name| name.to_lowercase())
    }

    /// What it is, where it numbers or names the rows; as for [`Self::none`].
    pub fn index(&self, first: bool, others: bool) -> Option<&'static str> {
        self.none(first, others).filter(|what| *what != "labels")
    }

    /// Whether it has no name in a header that names others.
    fn unnamed(&self) -> bool {
        self.lower().is_some_and(|name| {
            name.is_empty() || name.strip_prefix("unnamed:").is_some_and(|rest| rest.trim().parse::<u32>().is_ok())
        })
    }

    /// What it is, where it is no column of logits; `first` where it stands first, `others` whether other columns hold more than whole numbers.
    fn none(&self, first: bool, others: bool) -> Option<&'static str> {
        let whole = self.wrong.is_none() && self.whole();
        let called = |names: &[&str]| self.lower().is_some_and(|name| names.contains(&name.as_str()));
        let rows = self.numbers.len();
        match () {
            () if called(&LABELS) && (whole || self.wrong.is_some()) => Some("labels"),
            () if (self.unnamed() || called(&INDICES)) && whole && self.distinct() => Some("an index of the rows"),
            () if self.unnamed() && first && self.numbers.iter().all(|v| v.is_nan()) => Some("names of the rows"),
            () if first && whole && self.counts() && rows >= 3 && others => Some("an index of the rows"),
            () => None,
        }
    }
}

/// Whether a first line names the columns: a word in it, or 0, 1, 2, … (after a first cell without a name, as pandas writes it).
pub fn is_header(record: &StringRecord) -> bool {
    let missing = |cell: &str| matches!(cell.to_lowercase().as_str(), "" | "na" | "n/a" | "null" | "?");
    let word = |cell: &str| !missing(cell) && cell.parse::<f64>().is_err();
    let rest: Vec<&str> = match record.iter().next() {
        Some("") => record.iter().skip(1).collect(),
        _ => record.iter().collect(),
    };
    record.iter().any(word) || (!rest.is_empty() && rest.iter().enumerate().all(|(i, cell)| *cell == i.to_string()))
}

/// The columns of logits, and what is to be told of the others.
///
/// # Errors
/// A name that comes twice; cells that are no finite numbers; a column without a name that may be an index or may not.
pub fn judged(path: &Path, columns: Vec<Column>) -> Result<(Vec<Column>, Vec<String>)> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = columns.iter().filter_map(|c| c.name.as_ref()).find(|n| !n.is_empty() && !seen.insert(*n)) {
        return Err(Error::format(path, "header", "every name once", format!("'{twice}' twice")).into());
    }
    let fractions = columns.iter().map(|c| !c.whole()).collect::<Vec<_>>();
    let (mut kept, mut notes) = (Vec::new(), Vec::new());
    for (i, column) in columns.into_iter().enumerate() {
        let others = fractions.iter().enumerate().any(|(j, fraction)| j != i && *fraction);
        let called = match column.name.as_deref() {
            Some(name) if !name.is_empty() => format!("column '{name}'"),
            _ => format!("column {} (without a name)", i + 1),
        };
        if let Some(what) = column.none(i == 0, others) {
            notes.push(format!("{}: {called} holds {what} and no logits: left out", path.display()));
            continue;
        }
        if let Some((line, cell)) = column.wrong {
            let found = if cell.is_empty() { "'' (missing)".into() } else { format!("'{cell}'") };
            return Err(Error::format(path, format!("line {line}, {called}"), "a logit, a finite number", found).into());
        }
        let bare = column.name.as_ref().is_none_or(|_| column.unnamed());
        if i == 0 && bare && others && column.whole() && column.numbers.len() >= MANY && column.distinct() {
            let expected = "logits; whole numbers, another in each row, beside columns that hold none look like an index: take them out of the file, or name the columns in a first line";
            let found = column.numbers.iter().take(4).map(f64::to_string).collect::<Vec<_>>().join(", ");
            return Err(Error::format(path, called, expected, format!("{found}, …")).into());
        }
        kept.push(column);
    }
    Ok((kept, notes))
}
