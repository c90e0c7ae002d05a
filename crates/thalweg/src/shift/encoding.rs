//! Tables with words and gaps as numbers, for tests on inputs of a classifier that takes tables as they are ([`super::disagreement::distil`]).
//!
//! **What it may be learnt from.** Tests permute the rows of a query with held-out rows of P ([`super::law::permutation`]): p-values are exact where the test
//! was fixed without looking at either. So types, words, means and deviations are learnt from the other rows of P alone, those that disagreement
//! classifiers are held to and that choices are made on. To the encoding a held-out row is then as strange as a row of Q: a word that the other rows do not
//! have is none of the known words in both, a word in a column that holds numbers there is a missing number in both. Learnt from all rows of P, held-out
//! rows would never hold an unknown word and unshifted queries would, which shows as a shift (a test in this file: alarms of .2 and more at level .05).
//!
//! Numbers are standardised; a missing one is at the mean, with a column that says so where the rows have such. Words become a column for each of the
//! most frequent values. One more column is the share of a row's cells that are missing.
use super::explain::feature::{Feature, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Values of a column of words that have a column of their own.
const VALUES: usize = 24;
/// Standardised numbers are not larger, lest squares overflow.
const LARGEST: f64 = 1e6;

/// What a column of a table became.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Part {
    /// Standardised by mean and deviation; whether a column says that it is missing.
    Number {
        /// Its mean.
        mean: f64,
        /// Its deviation; 1 of a number that does not change.
        deviation: f64,
        /// Whether there are gaps.
        gaps: bool,
    },
    /// Values that have columns, each where it is the cell.
    Words {
        /// The most frequent first.
        values: Vec<String>,
    },
    /// Another word in nearly every row: no test gets it.
    Names,
}

/// How a table becomes inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoding {
    names: Vec<String>,
    parts: Vec<Part>,
}

/// Whether a cell says that nothing is known.
pub fn is_missing(cell: &str) -> bool {
    matches!(cell.to_lowercase().as_str(), "" | "na" | "n/a" | "nan" | "null" | "none" | "?")
}

fn number(cell: &str) -> Option<f64> {
    cell.parse::<f64>().ok().filter(|v| v.abs() <= f64::from(f32::MAX))
}

impl Encoding {
    /// Of columns called `names`, learnt from `rows` of P that are not held out, cells as they stand in the file.
    pub fn learnt<'a>(names: &[String], rows: impl Iterator<Item = &'a [String]> + Clone) -> Self {
        let part = |at: usize| {
            let cells = rows.clone().map(|row| row[at].as_str());
            let known: Vec<&str> = cells.clone().filter(|cell| !is_missing(cell)).collect();
            let values: Option<Vec<f64>> = known.iter().map(|cell| number(cell)).collect();
            let Some(values) = values else { return words(&known) };
            let n = values.len().max(1) as f64;
            let mean = values.iter().sum::<f64>() / n;
            let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            let deviation = if deviation > 0.0 { deviation } else { 1.0 };
            Part::Number { mean, deviation, gaps: known.len() < cells.count() }
        };
        Self { names: names.to_vec(), parts: (0..names.len()).map(part).collect() }
    }

    /// The columns of the table.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// D.
    pub fn width(&self) -> usize {
        self.parts.iter().map(Part::width).sum::<usize>() + 1
    }

    /// Inputs `[N, D]` of rows with the same columns.
    pub fn inputs(&self, rows: &[Vec<String>]) -> Vec<f32> {
        let mut inputs = Vec::with_capacity(rows.len() * self.width());
        for row in rows {
            for (part, cell) in self.parts.iter().zip(row) {
                match part {
                    Part::Number { mean, deviation, gaps } => {
                        let value = number(cell).map(|v| ((v - mean) / deviation).clamp(-LARGEST, LARGEST));
                        inputs.push(value.unwrap_or(0.0) as f32);
                        inputs.extend(gaps.then_some(f32::from(u8::from(value.is_none()))));
                    }
                    Part::Words { values } => {
                        inputs.extend(values.iter().map(|value| f32::from(u8::from(value == cell))));
                    }
                    Part::Names => {}
                }
            }
            let missing = row.iter().filter(|cell| is_missing(cell)).count();
            inputs.push(missing as f32 / row.len().max(1) as f32);
        }
        inputs
    }

    /// Cells of rows that have inputs `[N, D]`: the inverse of [`Self::inputs`], where that kept what a cell says. A number has the digits that single
    /// precision has, a word without a column is missing, as is a cell of a column that no test gets.
    pub fn cells(&self, inputs: &[f32]) -> Vec<Vec<String>> {
        let of_row = |row: &[f32]| {
            let mut at = 0;
            let cell = |part: &Part| {
                let own = &row[at..at + part.width()];
                at += part.width();
                match part {
                    Part::Number { gaps: true, .. } if own[1] > 0.5 => String::new(),
                    Part::Number { mean, deviation, .. } => digits(f64::from(own[0]) * deviation + mean, *deviation),
                    Part::Words { values } => {
                        let most = (0..own.len()).max_by(|&a, &b| own[a].total_cmp(&own[b]).then(b.cmp(&a)));
                        most.filter(|&i| own[i] > 0.5).map_or(String::new(), |i| values[i].clone())
                    }
                    Part::Names => String::new(),
                }
            };
            self.parts.iter().map(cell).collect()
        };
        inputs.chunks_exact(self.width()).map(of_row).collect()
    }

    /// The columns of the inputs by the names of the table.
    pub fn features(&self) -> Vec<Feature> {
        let mut features = Vec::new();
        let mut at = 0;
        for (name, part) in self.names.iter().zip(&self.parts) {
            let (columns, name) = (at..at + part.width(), name.clone());
            at = columns.end;
            match part {
                Part::Number { mean, deviation, .. } => {
                    features.push(Feature { name, columns, kind: Kind::Number { mean: *mean, deviation: *deviation } });
                }
                Part::Words { values } if !values.is_empty() => {
                    features.push(Feature { name, columns, kind: Kind::Category(values.clone()) });
                }
                Part::Words { .. } | Part::Names => {}
            }
        }
        let kind = Kind::Number { mean: 0.0, deviation: 1.0 };
        features.push(Feature { name: "share of missing cells".into(), columns: at..at + 1, kind });
        features
    }

    /// The columns that no test looks at, because another word stands in nearly every row.
    pub fn unseen(&self) -> impl Iterator<Item = &str> {
        self.names.iter().zip(&self.parts).filter(|(_, part)| matches!(part, Part::Names)).map(|(name, _)| &**name)
    }

    /// What is to be told of cells: numbers that are none, words that are not known, a sentence for each column that has such.
    pub fn strange(&self, rows: &[Vec<String>]) -> Vec<String> {
        let mut told = Vec::new();
        for (at, (name, part)) in self.names.iter().zip(&self.parts).enumerate() {
            let cells = rows.iter().map(|row| &row[at]).filter(|cell| !is_missing(cell));
            let (count, of) = match part {
                Part::Number { .. } => {
                    (cells.filter(|cell| number(cell).is_none()).count(), "no numbers, as they are on P")
                }
                Part::Words { values } if values.len() < VALUES => {
                    (cells.filter(|cell| !values.contains(cell)).count(), "words that P does not know")
                }
                _ => continue,
            };
            if count > 0 {
                told.push(format!(
                    "column '{name}': {count} of {} cells are {of}; the model gets them as they stand",
                    rows.len()
                ));
            }
        }
        told
    }
}

impl Part {
    fn width(&self) -> usize {
        match self {
            Part::Number { gaps, .. } => 1 + usize::from(*gaps),
            Part::Words { values } => values.len(),
            Part::Names => 0,
        }
    }
}

/// A number of a column with this deviation, with as many digits as single precision keeps of both, and no zeros at its end.
fn digits(x: f64, deviation: f64) -> String {
    let size = x.abs().max(deviation).max(f64::MIN_POSITIVE).log10().floor() as i32;
    let least = 10f64.powi(size - 5);
    match (x / least).round() {
        0.0 => "0".into(),
        steps => format!("{:.5e}", steps * least).parse::<f64>().map_or_else(|_| x.to_string(), |x| x.to_string()),
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
    Part::Words { values: values.into_iter().map(|(value, _)| value.to_owned()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use crate::shift::law::permutation;
    use crate::shift::law::power::Share;
    use crate::shift::reference::quarters;
    use rand::RngExt;

    fn rows(cells: &[[&str; 3]]) -> Vec<Vec<String>> {
        cells.iter().map(|row| row.map(String::from).to_vec()).collect()
    }

    fn of(names: &[&str], rows: &[Vec<String>]) -> Encoding {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Encoding::learnt(&names, rows.iter().map(Vec::as_slice))
    }

    #[test]
    fn cells_come_back_from_inputs() {
        let table = rows(&[
            ["54", "red", "0.125"],
            ["", "blue", "-3.5"],
            ["61", "", "1200000"],
            ["48.25", "red", "7"],
            ["0", "blue", "0.000012"],
        ]);
        let encoding = of(&["age", "colour", "dose"], &table);
        let inputs = encoding.inputs(&table);
        let back = encoding.cells(&inputs);
        for (row, cells) in table.iter().zip(&back) {
            assert_eq!(row[..2], cells[..2]);
            // Beside numbers of a million single precision leaves some hundredths of a small one.
            let [a, b] = [&row[2], &cells[2]].map(|cell| cell.parse::<f64>().unwrap());
            assert!((a - b).abs() <= 1.0, "{a} {b}");
        }
        assert_eq!(encoding.inputs(&back).len(), inputs.len());
        let said = [(54.000_000_4, 20.0), (0.1 + 0.2, 0.1), (-1e-9, 1.0), (123_456.7, 1.0), (-2.5e-7, 1e-7)];
        assert_eq!(said.map(|(x, deviation)| digits(x, deviation)), ["54", "0.3", "0", "123457", "-0.00000025"]);
    }

    #[test]
    fn numbers_words_gaps_and_names_become_columns_that_lead_back() {
        let mut p = vec![["20", "cook", ""], ["40", "", ""], ["", "baker", ""], ["30", "cook", ""]];
        let names: Vec<String> = (0..60).map(|i| format!("n{i}")).collect();
        p.extend(names.iter().enumerate().map(|(i, name)| [["20", "40"][i % 2], "cook", name.as_str()]));
        let encoding = of(&["age", "job", "who"], &rows(&p));
        assert_eq!((encoding.width(), encoding.unseen().collect::<Vec<_>>()), (2 + 2 + 1, vec!["who"]));
        let inputs = encoding.inputs(&rows(&[["50", "baker", "x"], ["?", "clown", ""], ["old", "cook", "x"]]));
        // 31 of 20 and of 40 each, and one of 30: mean 30, variance 6200/63.
        assert!((inputs[0] - 20.0 / (6200f32 / 63.0).sqrt()).abs() < 1e-6);
        assert_eq!(inputs[1..5], [0.0, 0.0, 1.0, 0.0]);
        assert_eq!(inputs[5..10], [0.0, 1.0, 0.0, 0.0, 2.0 / 3.0]);
        assert_eq!(inputs[10..], [0.0, 1.0, 1.0, 0.0, 0.0]);
        let said: Vec<String> = encoding.features().iter().map(|f| f.value(&inputs[..5])).collect();
        assert_eq!(said, ["50", "baker", "0"]);
        let strange = encoding.strange(&rows(&[["old", "clown", "x"], ["1", "cook", "y"]]));
        assert!(
            strange.len() == 2 && strange[0].contains("1 of 2") && strange[1].contains("does not know"),
            "{strange:?}"
        );
        let text = toml::to_string(&encoding).unwrap();
        assert_eq!(toml::from_str::<Encoding>(&text).unwrap(), encoding);
    }

    /// A word that is rare, a number that is rarely written as a word, a gap that is rare; all rows alike.
    fn table(n: usize, seed: u64) -> Vec<Vec<String>> {
        let mut rng = Streams::new(seed).rng();
        let row = |_| {
            let mut draw = || rng.random::<f64>();
            let word = format!("w{}", (1.0 / (0.02 + draw())).floor());
            let dose = if draw() < 0.02 { "unknown".into() } else { format!("{:.1}", draw()) };
            let age = if draw() < 0.02 { String::new() } else { format!("{:.0}", 90.0 * draw()) };
            vec![word, dose, age]
        };
        (0..n).map(row).collect()
    }

    /// The p-value of the mean number of cells that the encoding has no words for, as that of any test: `query` rows among those and the held-out half
    /// of P; the encoding learnt from the other half, or from `all` of P.
    fn p_value(p: &[Vec<String>], query: &[Vec<String>], all: bool, seed: u64) -> f64 {
        let [train, validation, held] = quarters(p.len(), seed).unwrap();
        let chosen: Vec<usize> = if all { (0..p.len()).collect() } else { [train, validation].concat() };
        let names = ["word", "dose", "age"].map(String::from);
        let encoding = Encoding::learnt(&names, chosen.iter().map(|&r| p[r].as_slice()));
        let rows: Vec<Vec<String>> = held.iter().map(|&r| &p[r]).chain(query).cloned().collect();
        let inputs = encoding.inputs(&rows);
        let features = encoding.features();
        let strange = |row: &[f32]| -> f64 {
            let of_words = |f: &&Feature| matches!(f.kind, Kind::Category(_));
            let none = |f: &Feature| f64::from(u8::from(row[f.columns.clone()].iter().all(|v| *v == 0.0)));
            features.iter().filter(of_words).map(none).sum()
        };
        let each: Vec<f64> = inputs.chunks_exact(encoding.width()).map(strange).collect();
        let draws = permutation::redraws(held.len(), query.len(), 39, &Streams::new(seed)).unwrap();
        let of: Vec<f64> = draws.iter().map(|draw| draw.iter().map(|&r| each[r]).sum()).collect();
        of.iter().filter(|v| **v >= of[0]).count() as f64 / of.len() as f64
    }

    #[test]
    fn rare_words_keep_the_level_where_the_encoding_does_not_look_at_held_out_rows() {
        let repetitions = 1500;
        let alarms = |all: bool| {
            let one = |i: u64| p_value(&table(80, 2 * i), &table(20, 2 * i + 1), all, i) <= 0.05;
            Share::of((0..repetitions).filter(|&i| one(i)).count(), repetitions as usize).unwrap()
        };
        let [own, leaked] = [false, true].map(alarms);
        println!("alarms {:.3} [{:.3}, {:.3}]; learnt from all rows {:.3}", own.share, own.low, own.high, leaked.share);
        assert!(own.low <= 0.05, "{own:?}");
        // What would be, were held-out rows known: the test above can fail.
        assert!(leaked.low > 0.1, "{leaked:?}");
    }
}
