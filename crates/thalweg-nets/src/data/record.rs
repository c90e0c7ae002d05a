//! [`DataRecord`]: what was found in data, to be compared when they are read again.
use super::normalisation::Normalisation;
use crate::architecture::Shape;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was loaded, for the records: enough to notice that data changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// The set's name.
    pub name: String,
    /// `[channels, height, width]` of an input.
    pub shape: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Training rows.
    pub train: usize,
    /// Validation rows.
    pub validation: usize,
    /// Test rows.
    pub test: usize,
    /// BLAKE3 of the whole set's content before splitting, whatever file format it came in; hexadecimal.
    pub checksum: String,
    /// What the file calls the classes; empty where they are numbers from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// What the file calls its columns, in the order in which networks take them; empty where it does not name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feature_names: Vec<String>,
    /// How inputs were standardised.
    pub normalisation: Normalisation,
}

impl DataRecord {
    /// Checks that `found`, just read from `place`, is what was recorded.
    ///
    /// # Errors
    /// Other rows, columns, classes or content, each named with what was recorded and what was found.
    pub fn same(&self, found: &Self, place: &str) -> Result<()> {
        let (mut was, mut is) = (Vec::new(), Vec::new());
        let mut compare = |what: &str, a: String, b: String| {
            if a != b {
                was.push(format!("{what} {a}"));
                is.push(format!("{what} {b}"));
            }
        };
        let rows = |r: &Self| format!("{} + {} + {}", r.train, r.validation, r.test);
        let short = |r: &Self| r.checksum.chars().take(16).collect::<String>();
        compare("rows (training + validation + test)", rows(self), rows(found));
        compare("shape", format!("{:?}", self.shape), format!("{:?}", found.shape));
        if !self.feature_names.is_empty() {
            compare("columns", self.feature_names.join(", "), found.feature_names.join(", "));
        }
        compare("number of classes", self.classes.to_string(), found.classes.to_string());
        compare("classes", self.class_names.join(", "), found.class_names.join(", "));
        compare("checksum", short(self), short(found));
        if was.is_empty() {
            return Ok(());
        }
        let expected = format!("what the networks were trained on: {}", was.join("; "));
        let found = format!(
            "data that differ: {}. Put the recorded data back, or name these as other data to judge the networks on",
            is.join("; ")
        );
        Err(Error::parameter(format!("data {place}"), expected, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        let record = DataRecord {
            name: "csv".into(),
            shape: [2, 1, 1],
            classes: 2,
            train: 6,
            validation: 2,
            test: 2,
            checksum: "0123456789abcdef0123".into(),
            class_names: vec!["no".into(), "yes".into()],
            feature_names: vec!["a".into(), "b".into()],
            normalisation: Normalisation::identity([2, 1, 1]),
        };
        assert!(record.same(&record, "x").is_ok());
        let found = DataRecord { train: 5, checksum: "ff".into(), ..record.clone() };
        let said = record.same(&found, "csv:/d.csv").unwrap_err().to_string();
        for part in [
            "csv:/d.csv",
            "6 + 2 + 2",
            "5 + 2 + 2",
            "checksum 0123456789abcdef;",
            "checksum ff",
            "Put the recorded data back",
        ] {
            assert!(said.replace(", found", ";").contains(part), "no {part} in {said}");
        }
        assert!(!said.contains("columns"), "{said}");
        let found = DataRecord { feature_names: vec!["a".into(), "c".into()], ..record.clone() };
        assert!(record.same(&found, "x").unwrap_err().to_string().contains("columns a, b"));
        // A record of an earlier version does not know the columns.
        assert!(DataRecord { feature_names: vec![], ..record.clone() }.same(&record, "x").is_ok());
    }
}
