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
    /// Columns that a narrow terminal does without, by their numbers; the last of them goes first.
    pub optional: Vec<usize>,
}

/// Columns of a terminal that a column of words should have at least, where it has so many.
const LEAST_WORDS: usize = 20;

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

    /// With every column but `names` left out where a terminal is too narrow for all.
    pub fn least(mut self, names: &[&str]) -> Self {
        self.optional = (0..self.columns.len()).filter(|&i| !names.contains(&self.columns[i].as_str())).collect();
        self
    }

    /// Columns of a terminal that column `i` needs: words are broken between words only, numbers not from their errors.
    fn needed(&self, i: usize) -> usize {
        let longest = |text: &str| text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
        let of = |cell: &Cell| {
            let text = whole(cell);
            let all = text.chars().count();
            if cell.is_text() { longest(&text).max(all.min(LEAST_WORDS)) } else { all }
        };
        let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(i).map(of)).max().unwrap_or(0);
        cells.max(self.columns.get(i).map_or(0, |head| longest(head))) + 2
    }

    /// The columns that are shown within `width`.
    fn shown(&self, width: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        for &i in self.optional.iter().rev() {
            // A space before, after and between columns.
            if shown.iter().map(|&i| self.needed(i)).sum::<usize>() + shown.len() < width {
                break;
            }
            shown.retain(|&other| other != i);
        }
        shown
    }

    /// Whether column `i` holds words (left-aligned) and not numbers.
    pub fn is_text(&self, i: usize) -> bool {
        self.rows.iter().any(|(_, cells)| cells.get(i).is_some_and(Cell::is_text))
    }

    /// Drawn with lines for a terminal; `fitted` wraps to its width, which a file or pipe has none of.
    pub fn for_terminal(&self, fitted: bool) -> String {
        let width = terminal_size::terminal_size().map_or(0, |(width, _)| usize::from(width.0)).max(40);
        self.drawn(fitted.then_some(width))
    }

    /// Drawn with lines, within `width` where one is given and words allow.
    fn drawn(&self, width: Option<usize>) -> String {
        let shown = self.shown(width.unwrap_or(usize::MAX));
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING.header_separator(LineStyle::new('─', '─', '─', '─')));
        table.set_header(shown.iter().map(|&i| &self.columns[i]));
        for (_, cells) in &self.rows {
            table.add_row(shown.iter().filter_map(|&i| cells.get(i).map(whole)));
        }
        if let Some(width) = width {
            // Between words only: a table whose words do not fit is wider than the terminal.
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.min(u16::MAX.into()) as u16);
        }
        for (column, &i) in table.column_iter_mut().zip(&shown) {
            if width.is_some() {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(self.needed(i) as u16)));
            }
            column.set_cell_alignment(if self.is_text(i) { CellAlignment::Left } else { CellAlignment::Right });
        }
        let out: Vec<&str> =
            (0..self.columns.len()).filter(|i| !shown.contains(i)).map(|i| self.columns[i].as_str()).collect();
        let out = match &out[..] {
            [] => String::new(),
            out => format!(" Left out, since the terminal is too narrow: {}; --json has all.", out.join(", ")),
        };
        match format!("{}{out}", self.note).trim() {
            "" => table.to_string(),
            note => format!("{table}\n\n{}", wrapped(note, columns())),
        }
    }
}

/// A cell in one line.
fn whole(cell: &Cell) -> String {
    match cell.parts() {
        (mean, Some(sem)) => format!("{mean} {sem}"),
        (mean, None) => mean,
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
    fn a_narrow_terminal_does_without_columns_and_says_which() {
        let mut table = Table::new(&["method", "accuracy", "best", "n", "overlap"]).least(&["method", "accuracy", "n"]);
        table.push(
            Weight::Plain,
            vec![
                "a flow of weights".into(),
                Cell::Estimate(0.9, 0.01, 4),
                Cell::Number(0.91, 4),
                100.into(),
                Cell::Number(0.5, 2),
            ],
        );
        // 17 + 2, 15 + 2, 6 + 2, 3 + 2 and 7 + 2 columns with 6 spaces: 64; without the last 54, without best 45.
        let heads = |width: usize| {
            table.drawn(Some(width)).lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!((heads(64), heads(63)), ("method accuracy best n overlap".into(), "method accuracy best n".into()));
        assert_eq!((heads(53), heads(20)), ("method accuracy n".into(), "method accuracy n".into()));
        for width in [45, 53, 63] {
            let drawn = table.drawn(Some(width));
            let lines = drawn.lines().take(3);
            assert!(lines.clone().all(|line| line.chars().count() <= width), "{drawn}");
            assert!(
                drawn.contains("0.9000 ± 0.0100") && drawn.contains("Left out, since the terminal is too narrow:"),
                "{drawn}"
            );
        }
        assert!(!table.drawn(None).contains("Left out") && !table.drawn(Some(64)).contains("Left out"));
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
