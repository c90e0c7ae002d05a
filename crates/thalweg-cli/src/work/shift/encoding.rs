//! Tables as numbers, for tests on inputs of a classifier that takes tables as they are. What a column is, is learnt from P alone.
//!
//! Numbers are standardised by P's training rows; a missing one is at the mean, with a column that says so where P has such. Words become a column for
//! each of the most frequent values on P. One more column is the share of a row's cells that are missing.
use super::frame::{Frame, is_missing};
use std::collections::BTreeMap;
use thalweg::shift::explain::feature::{Feature, Kind};

/// Values of a column of words that have a column of their own.
const VALUES: usize = 24;
/// Standardised numbers are not larger, lest squares overflow.
const LARGEST: f64 = 1e6;

/// What a column of a table became.
#[derive(Clone, Debug)]
enum Part {
    /// Standardised by mean and deviation; whether a column says that it is missing.
    Number(f64, f64, bool),
    /// Values that have columns, each where it is the cell.
    Words(Vec<String>),
    /// Another word in nearly every row: no test gets it.
    Names,
}

/// How a table becomes inputs.
#[derive(Clone, Debug)]
pub struct Encoding {
    names: Vec<String>,
    parts: Vec<Part>,
    /// What a user should know, a sentence each.
    pub notes: Vec<String>,
}

fn number(cell: &str) -> Option<f64> {
    cell.parse::<f64>().ok().filter(|v| v.is_finite())
}

impl Encoding {
    /// Learnt from `rows` of P.
    pub fn learnt(frame: &Frame, rows: &[usize]) -> Self {
        let (mut parts, mut notes) = (Vec::new(), Vec::new());
        for (at, name) in frame.names.iter().enumerate() {
            let known: Vec<&str> = frame.rows.iter().map(|row| &*row[at]).filter(|cell| !is_missing(cell)).collect();
            let part = match known.iter().all(|cell| number(cell).is_some()) {
                true => {
                    let gaps = known.len() < frame.rows.len();
                    let values: Vec<f64> = rows.iter().filter_map(|&r| number(&frame.rows[r][at])).collect();
                    let n = values.len().max(1) as f64;
                    let mean = values.iter().sum::<f64>() / n;
                    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
                    Part::Number(mean, if deviation > 0.0 { deviation } else { 1.0 }, gaps)
                }
                false => words(&known),
            };
            if matches!(part, Part::Names) {
                notes.push(format!(
                    "column '{name}' holds another word in nearly every row: the model gets it, the tests do not look at it"
                ));
            }
            parts.push(part);
        }
        Self { names: frame.names.clone(), parts, notes }
    }

    /// D.
    pub fn width(&self) -> usize {
        self.parts.iter().map(Part::width).sum::<usize>() + 1
    }

    /// Rows `[N, D]` of a table with the same columns.
    pub fn inputs(&self, frame: &Frame) -> Vec<f32> {
        let mut inputs = Vec::with_capacity(frame.rows.len() * self.width());
        for row in &frame.rows {
            for (part, cell) in self.parts.iter().zip(row) {
                match part {
                    Part::Number(mean, deviation, gaps) => {
                        let value = number(cell).map(|v| ((v - mean) / deviation).clamp(-LARGEST, LARGEST));
                        inputs.push(value.unwrap_or(0.0) as f32);
                        inputs.extend(gaps.then_some(f32::from(u8::from(value.is_none()))));
                    }
                    Part::Words(values) => {
                        inputs.extend(values.iter().map(|value| f32::from(u8::from(value == cell))));
                    }
                    Part::Names => {}
                }
            }
            let missing = row.iter().filter(|cell| is_missing(cell)).count();
            inputs.push(missing as f32 / row.len() as f32);
        }
        inputs
    }

    /// The columns of the inputs by the names of the table.
    pub fn features(&self) -> Vec<Feature> {
        let mut features = Vec::new();
        let mut at = 0;
        for (name, part) in self.names.iter().zip(&self.parts) {
            let (columns, name) = (at..at + part.width(), name.clone());
            at = columns.end;
            match part {
                Part::Number(mean, deviation, _) => {
                    features.push(Feature { name, columns, kind: Kind::Number { mean: *mean, deviation: *deviation } });
                }
                Part::Words(values) => features.push(Feature { name, columns, kind: Kind::Category(values.clone()) }),
                Part::Names => {}
            }
        }
        let kind = Kind::Number { mean: 0.0, deviation: 1.0 };
        features.push(Feature { name: "share of missing cells".into(), columns: at..at + 1, kind });
        features
    }

    /// What is to be told of the cells of Q: numbers that are none, words that P does not know.
    pub fn strange(&self, frame: &Frame) -> Vec<String> {
        let mut told = Vec::new();
        for (at, (name, part)) in self.names.iter().zip(&self.parts).enumerate() {
            let cells = frame.rows.iter().map(|row| &row[at]).filter(|cell| !is_missing(cell));
            let (count, of) = match part {
                Part::Number(..) => {
                    (cells.filter(|cell| number(cell).is_none()).count(), "no numbers, as they are on P")
                }
                Part::Words(values) if values.len() < VALUES => {
                    (cells.filter(|cell| !values.contains(cell)).count(), "words that P does not know")
                }
                _ => continue,
            };
            if count > 0 {
                told.push(format!(
                    "{}: column '{name}': {count} of {} cells are {of}; the model gets them as they stand",
                    frame.path.display(),
                    frame.rows.len()
                ));
            }
        }
        told
    }
}

impl Part {
    fn width(&self) -> usize {
        match self {
            Part::Number(_, _, gaps) => 1 + usize::from(*gaps),
            Part::Words(values) => values.len(),
            Part::Names => 0,
        }
    }
}

/// The most frequent of the words, or that they are names.
fn words(known: &[&str]) -> Part {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    known.iter().for_each(|cell| *counts.entry(cell).or_default() += 1);
    if counts.len() > VALUES && 2 * counts.len() > known.len() {
        return Part::Names;
    }
    let mut values: Vec<(&str, usize)> = counts.into_iter().collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    values.truncate(VALUES);
    Part::Words(values.into_iter().map(|(value, _)| value.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(rows: &[[&str; 3]]) -> Frame {
        let names = ["age", "job", "who"].map(String::from).to_vec();
        Frame { names, rows: rows.iter().map(|row| row.map(String::from).to_vec()).collect(), ..Frame::default() }
    }

    #[test]
    fn numbers_words_gaps_and_names_become_columns_that_lead_back() {
        let mut rows = vec![["20", "cook", ""], ["40", "", ""], ["", "baker", ""], ["40", "cook", ""]];
        let names: Vec<String> = (0..60).map(|i| format!("n{i}")).collect();
        rows.extend(names.iter().map(|name| ["30", "cook", name.as_str()]));
        let p = frame(&rows);
        let encoding = Encoding::learnt(&p, &[0, 1]);
        assert_eq!(encoding.width(), 2 + 2 + 1);
        assert!(encoding.notes[0].contains("'who'"), "{:?}", encoding.notes);
        let inputs = encoding.inputs(&frame(&[["50", "baker", "x"], ["?", "clown", ""], ["old", "cook", "x"]]));
        let third = 1.0 / 3.0;
        // Mean 30 and deviation 10 of the rows 0 and 1.
        assert_eq!(inputs[..5], [2.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(inputs[5..10], [0.0, 1.0, 0.0, 0.0, 2.0 * third]);
        assert_eq!(inputs[10..], [0.0, 1.0, 1.0, 0.0, 0.0]);
        let features = encoding.features();
        let said: Vec<String> = features.iter().map(|f| f.value(&inputs[..5])).collect();
        assert_eq!(said, ["50", "baker", "0"]);
        let strange = encoding.strange(&frame(&[["old", "clown", "x"], ["1", "cook", "y"]]));
        assert!(
            strange.len() == 2 && strange[0].contains("1 of 2") && strange[1].contains("does not know"),
            "{strange:?}"
        );
    }
}
