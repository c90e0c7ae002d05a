//! Tables of numbers: one description, drawn for the terminal here and as HTML by the report.
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Width, presets};
use serde::{Deserialize, Serialize};
use textwrap::{Options, WordSplitter};

/// Most columns of text for people.
const MOST_COLUMNS: usize = 110;

/// Columns that text for people may take: those of the terminal, within bounds; some terminals say that they have none.
pub fn columns() -> usize {
    let found = terminal_size::terminal_size().map_or(0, |(width, _)| usize::from(width.0));
    if found == 0 { MOST_COLUMNS } else { found.clamp(40, MOST_COLUMNS) }
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number with its digits after the point.
    Number(f64, usize),
    /// A mean with its standard error and digits; the error is dropped where it is unknown (one sample).
    Estimate(f64, f64, usize),
    /// A count.
    Count(usize),
}

impl Cell {
    /// The text of the cell: mean and, apart, its standard error.
    pub fn parts(&self) -> (String, Option<String>) {
        match *self {
            Cell::Text(ref text) => (text.clone(), None),
            Cell::Count(n) => (n.to_string(), None),
            Cell::Estimate(mean, sem, digits) if mean.is_finite() && sem.is_finite() => {
                (format!("{mean:.digits$}"), Some(format!("± {sem:.digits$}")))
            }
            Cell::Number(x, digits) | Cell::Estimate(x, _, digits) if x.is_finite() => (format!("{x:.digits$}"), None),
            _ => ("–".into(), None),
        }
    }

    fn is_text(&self) -> bool {
        matches!(self, Cell::Text(_))
    }
}

/// A mean with its standard error, in a sentence; the error is left out where it is unknown (one sample).
pub fn estimate(mean: f64, sem: f64, digits: usize) -> String {
    let (mean, sem) = Cell::Estimate(mean, sem, digits).parts();
    sem.map_or_else(|| mean.clone(), |sem| format!("{mean} {sem}"))
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.into())
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}
impl From<usize> for Cell {
    fn from(n: usize) -> Self {
        Cell::Count(n)
    }
}

/// How much a row stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// A row like others.
    #[default]
    Plain,
    /// What the table is about.
    Strong,
    /// For comparison only.
    Faint,
}

/// A table with a header.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Column heads.
    pub columns: Vec<String>,
    /// Rows, each as long as the head.
    pub rows: Vec<(Weight, Vec<Cell>)>,
    /// A line below: what ± means, what n is.
    pub note: String,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|c| c.to_string()).collect(), ..Self::default() }
    }

    /// With a note below.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Adds a row.
    pub fn push(&mut self, weight: Weight, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push((weight, cells));
    }

    /// Columns of the terminal that the table may take.
    fn width(&self) -> u16 {
        terminal_size::terminal_size().map_or(0, |(width, _)| width.0).max(40)
    }

    /// The words of column `i`, its head's included.
    fn words(&self, i: usize) -> impl Iterator<Item = String> {
        let cell = move |cell: &Cell| {
            let (text, error) = cell.parts();
            text + " " + &error.unwrap_or_default()
        };
        let texts =
            self.rows.iter().filter_map(move |(_, cells)| cells.get(i).map(cell)).chain(self.columns.get(i).cloned());
        texts.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    /// Whether column `i` holds words (left-aligned) and not numbers.
    pub fn is_text(&self, i: usize) -> bool {
        self.rows.iter().any(|(_, cells)| cells.get(i).is_some_and(Cell::is_text))
    }

    /// Drawn with lines for a terminal; `fitted` wraps to its width, which a file or pipe has none of.
    pub fn for_terminal(&self, fitted: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING.header_separator(LineStyle::new('─', '─', '─', '─')));
        table.set_header(&self.columns);
        for (_, cells) in &self.rows {
            table.add_row(cells.iter().map(|cell| match cell.parts() {
                (mean, Some(sem)) => format!("{mean} {sem}"),
                (mean, None) => mean,
            }));
        }
        if fitted {
            // Between words only: a table whose words do not fit is wider than the terminal.
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(self.width());
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            if fitted {
                let longest = self.words(i).map(|word| word.chars().count()).max().unwrap_or(0);
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(longest as u16 + 2)));
            }
            column.set_cell_alignment(if self.is_text(i) { CellAlignment::Left } else { CellAlignment::Right });
        }
        match self.note.is_empty() {
            true => table.to_string(),
            false => format!("{table}\n\n{}", wrapped(&self.note, columns())),
        }
    }
}

/// Breaks `text` between words so that no line is longer than `width`, where words allow.
pub fn wrapped(text: &str, width: usize) -> String {
    let options = Options::new(width).break_words(false).word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_say_mean_and_error() {
        assert_eq!(Cell::Estimate(0.9094, 0.0012, 3).parts(), ("0.909".into(), Some("± 0.001".into())));
        assert_eq!(Cell::Estimate(0.9094, f64::NAN, 3).parts(), ("0.909".into(), None));
        assert_eq!(Cell::Number(f64::INFINITY, 1).parts().0, "–");
        assert_eq!([0.0012, f64::NAN].map(|sem| estimate(0.9094, sem, 3)), ["0.909 ± 0.001", "0.909"]);
    }

    #[test]
    fn notes_are_broken_between_words() {
        assert_eq!(wrapped("one two  three four", 9), "one two\nthree\nfour");
        // Columns are counted, not bytes, and words with hyphens stay whole.
        assert_eq!(wrapped("± 0.1 § ±", 9), "± 0.1 § ±");
        assert_eq!(wrapped("to leave-one-out", 12), "to\nleave-one-out");
        assert_eq!(wrapped("incomprehensibilities are long", 5), "incomprehensibilities\nare\nlong");
    }

    #[test]
    fn a_table_is_drawn_in_full() {
        let mut table = Table::new(&["method", "accuracy", "n"]).note("mean ± standard error");
        table.push(Weight::Strong, vec!["flow".into(), Cell::Estimate(0.9, 0.01, 2), 100.into()]);
        let text = table.for_terminal(false);
        for piece in ["method", "flow", "0.90 ± 0.01", "100", "mean ± standard error"] {
            assert!(text.contains(piece), "{text}");
        }
    }
}
