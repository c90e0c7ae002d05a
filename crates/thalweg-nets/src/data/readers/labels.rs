//! Labels as words: which say that there is none, which say the same, and which class each becomes.
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Most distinct labels; more is a sign that the label column is a feature.
const MOST_CLASSES: usize = 1_000;

/// The spellings of a missing value, in lower case: those of pandas and R and of the usual databases.
const MISSING: [&str; 20] = [
    "", "?", "na", "n/a", "#n/a", "#n/a n/a", "#na", "<na>", "<n/a>", "nan", "-nan", "nat", "null", "none", "nil",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "missing",
];

/// Whether a cell says that a value is missing, in one of the usual spellings.
pub(in crate::data) fn is_missing(cell: &str) -> bool {
    let cell = cell.trim();
    cell.len() <= 9 && MISSING.contains(&cell.to_ascii_lowercase().as_str())
}

/// A cell as messages show it.
pub(in crate::data) fn shown(cell: &str) -> String {
    if is_missing(cell) {
        format!("'{cell}' (missing)")
    } else {
        format!("'{}'", cell.chars().take(40).collect::<String>())
    }
}

/// Whether two names are of one class: the same word, or the same number.
pub(in crate::data) fn same(a: &str, b: &str) -> bool {
    a == b || matches!((number(a), number(b)), (Some(a), Some(b)) if a == b)
}

fn number(word: &str) -> Option<f64> {
    // Adding 0 makes one of 0 and −0.
    word.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n + 0.0)
}

/// The labels of rows as they are read: each distinct word once, and which of them every row has.
#[derive(Clone, Debug, Default)]
pub(in crate::data) struct Words {
    numbers: BTreeMap<String, u32>,
    rows: Vec<u32>,
}

/// Classes made of words.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Classes {
    /// What they are called.
    pub names: Vec<String>,
    /// The class of every row.
    pub labels: Vec<u32>,
    /// What a user should know.
    pub notes: Vec<String>,
}

impl Words {
    /// The label of one more row; `column` is for errors.
    ///
    /// # Errors
    /// More than 1,000 distinct labels.
    pub(in crate::data) fn push(&mut self, word: &str, path: &Path, column: &str) -> Result<()> {
        let number = match self.numbers.get(word) {
            Some(&number) => number,
            None => {
                let next = self.numbers.len() as u32;
                if self.numbers.len() == MOST_CLASSES {
                    let expected = format!("at most {MOST_CLASSES} distinct labels (is it a feature?)");
                    return Err(Error::format(path, format!("column '{column}'"), expected, "more"));
                }
                self.numbers.insert(word.to_owned(), next);
                next
            }
        };
        self.rows.push(number);
        Ok(())
    }

    /// The classes: by number if all labels are numbers, else by alphabet; spellings of one number are one class.
    pub(in crate::data) fn classes(self) -> Classes {
        let mut spelt: Vec<(&str, u32)> = self.numbers.iter().map(|(word, &place)| (word.as_str(), place)).collect();
        let values: Option<Vec<f64>> = spelt.iter().map(|(word, _)| number(word)).collect();
        let mut groups: Vec<Vec<(&str, u32)>> = Vec::new();
        match values {
            Some(values) => {
                let mut pairs: Vec<(f64, (&str, u32))> = values.into_iter().zip(spelt).collect();
                pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
                for group in pairs.chunk_by(|a, b| a.0 == b.0) {
                    groups.push(group.iter().map(|(_, word)| *word).collect());
                }
            }
            None => groups.extend(spelt.drain(..).map(|word| vec![word])),
        }
        let mut class = vec![0; self.numbers.len()];
        let (mut names, mut notes) = (Vec::new(), Vec::new());
        for (i, group) in groups.iter().enumerate() {
            group.iter().for_each(|&(_, place)| class[place as usize] = i as u32);
            names.push(name(group));
            if group.len() > 1 {
                let spellings: Vec<String> = group.iter().map(|(word, _)| format!("'{word}'")).collect();
                notes.push(format!(
                    "labels {} are one number and one class, called {}",
                    spellings.join(" and "),
                    names[i]
                ));
            }
        }
        if let Some([a, b]) = differ_by_case(&names) {
            notes.push(format!("labels '{a}' and '{b}' differ by capitals only and are two classes"));
        }
        Classes { labels: self.rows.iter().map(|&word| class[word as usize]).collect(), names, notes }
    }
}

/// One spelling as it is; of several of a whole number the plain one.
fn name(group: &[(&str, u32)]) -> String {
    match group {
        [] => String::new(),
        [(word, _)] => (*word).to_owned(),
        [(word, _), ..] => match number(word) {
            Some(n) if n.fract() == 0.0 && n.abs() < 1e15 => format!("{n:.0}"),
            _ => group
                .iter()
                .map(|(word, _)| *word)
                .min_by_key(|word| (word.len(), *word))
                .unwrap_or_default()
                .to_owned(),
        },
    }
}

fn differ_by_case(names: &[String]) -> Option<[&String; 2]> {
    let mut seen: BTreeMap<String, &String> = BTreeMap::new();
    names.iter().find_map(|name| seen.insert(name.to_lowercase(), name).map(|first| [first, name]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(words: &[&str]) -> Classes {
        let mut all = Words::default();
        words.iter().for_each(|word| all.push(word, Path::new("x.csv"), "label").unwrap());
        all.classes()
    }

    #[test]
    fn spellings_of_one_number_are_one_class() {
        let c = classes(&["1", "0.0", "1.0", "0", "1e0", "-0"]);
        assert_eq!((c.names.join(","), &c.labels[..]), ("0,1".into(), &[1, 0, 1, 0, 1, 0][..]));
        assert_eq!(c.notes.len(), 2);
        assert!(c.notes[1].contains("'1' and '1.0' and '1e0'"), "{:?}", c.notes);
        let c = classes(&["0.50", "0.5", "10", "9"]);
        assert_eq!((c.names.join(","), &c.labels[..]), ("0.5,9,10".into(), &[0, 0, 2, 1][..]));
        // One word among the numbers: all are words.
        assert_eq!(classes(&["1", "1.0", "b"]).names, ["1", "1.0", "b"]);
        assert_eq!(classes(&["01", "02"]).names, ["01", "02"]);
    }

    #[test]
    fn words_that_differ_by_capitals_are_told() {
        let c = classes(&["Yes", "no", "yes"]);
        assert_eq!(c.names, ["Yes", "no", "yes"]);
        assert!(c.notes[0].contains("'Yes' and 'yes'"), "{:?}", c.notes);
    }

    #[test]
    fn every_spelling_of_nothing_is_known_in_any_case() {
        for word in
            ["", "None", "NULL", "#N/A", "<NA>", "NaT", "n/a", "nan", "NAN", "NaN", "-NaN", "1.#IND", "?", "Nil"]
        {
            assert!(is_missing(word), "{word}");
        }
        for word in ["0", "no", "nano", "nullable", "some", "N", "-", "+"] {
            assert!(!is_missing(word), "{word}");
        }
        assert!(same("1", "1.0") && same("a", "a") && !same("1", "2") && !same("nan", "NaN"));
    }
}
