//! A checked, standardised data set: inputs `[N, D]` row-major with D = c·h·w, and labels `[N]`.
use super::normalisation::Normalisation;
use crate::architecture::Shape;
use crate::error::{Error, Result};

/// Labelled inputs as the engine takes them. Made by [`Dataset::new`], which checks every promise below.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What it is called in tables and records, e.g. `mnist`.
    pub name: String,
    /// `[channels, height, width]` of one input; `[features, 1, 1]` for rows.
    pub shape: Shape,
    /// Number of classes C.
    pub classes: usize,
    /// Standardised inputs `[N, D]`, all finite.
    pub inputs: Vec<f32>,
    /// Labels `[N]`, each below [`Self::classes`].
    pub labels: Vec<u32>,
    /// How the inputs were standardised, so that they can be brought back to raw values.
    pub normalisation: Normalisation,
    /// What the file calls its columns, one a feature; empty where it does not name them.
    pub feature_names: Vec<String>,
    /// What the file calls the classes; empty where they are numbers from 0.
    pub class_names: Vec<String>,
    /// What a user should know of how the file was read, a sentence each: columns left out, classes without rows.
    pub notes: Vec<String>,
}

impl Dataset {
    /// A data set of already standardised inputs.
    ///
    /// # Errors
    /// No row, lengths that do not fit, a value that is not finite, a label that is no class, a normalisation of another shape.
    pub fn new(
        name: impl Into<String>,
        shape: Shape,
        classes: usize,
        inputs: Vec<f32>,
        labels: Vec<u32>,
        normalisation: Normalisation,
    ) -> Result<Self> {
        let data = Self {
            name: name.into(),
            shape,
            classes,
            inputs,
            labels,
            normalisation,
            feature_names: Vec::new(),
            class_names: Vec::new(),
            notes: Vec::new(),
        };
        data.check()?;
        Ok(data)
    }

    /// Checks every promise of the type again (its fields are open).
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn check(&self) -> Result<()> {
        let wide = self.input_len();
        let what = |field: &str| format!("data {}: {field}", self.name);
        if wide == 0 {
            return Err(Error::parameter(what("shape"), "sizes of at least 1", format!("{:?}", self.shape)));
        }
        if self.labels.is_empty() {
            return Err(Error::parameter(what("rows"), "at least one row", 0));
        }
        if self.labels.len().checked_mul(wide) != Some(self.inputs.len()) {
            return Err(Error::shape(
                what("inputs"),
                format!("[{}, {wide}]", self.labels.len()),
                format!("[{}]", self.inputs.len()),
            ));
        }
        if let Some(i) = self.labels.iter().position(|&y| y as usize >= self.classes) {
            return Err(Error::parameter(
                what(&format!("labels[{i}]")),
                format!("a class below {}", self.classes),
                self.labels[i],
            ));
        }
        if let Some(i) = self.inputs.iter().position(|x| !x.is_finite()) {
            return Err(Error::NotFinite {
                what: what("inputs"),
                place: format!("row {}, column {}", i / wide, i % wide),
                value: f64::from(self.inputs[i]),
            });
        }
        self.normalisation.check(self.shape)
    }

    /// Number of rows N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no row; never so for a checked set.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Numbers in one input, D = c·h·w.
    pub fn input_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The `i`-th input `[D]`.
    pub fn input(&self, i: usize) -> &[f32] {
        let wide = self.input_len();
        &self.inputs[i * wide..(i + 1) * wide]
    }

    /// The named rows, in the given order; a row may come more than once. Panics where a row does not exist.
    pub fn subset(&self, rows: &[usize]) -> Dataset {
        let mut inputs = Vec::with_capacity(rows.len() * self.input_len());
        for &row in rows {
            inputs.extend_from_slice(self.input(row));
        }
        let labels = rows.iter().map(|&row| self.labels[row]).collect();
        Dataset {
            inputs,
            labels,
            name: self.name.clone(),
            normalisation: self.normalisation.clone(),
            feature_names: self.feature_names.clone(),
            class_names: self.class_names.clone(),
            notes: self.notes.clone(),
            ..*self
        }
    }

    /// The first `n` rows, or all if there are fewer: a nested family of subsets.
    pub fn first(&self, n: usize) -> Dataset {
        let rows: Vec<usize> = (0..n.min(self.len())).collect();
        self.subset(&rows)
    }

    /// Raw values `[N, D]`: pixels in [0, 1] for images read from bytes, features in their own units for rows.
    pub fn raw(&self) -> Vec<f32> {
        let mut raw = self.inputs.clone();
        for row in raw.chunks_exact_mut(self.input_len()) {
            self.normalisation.to_raw(row);
        }
        raw
    }

    /// The same rows standardised as `other` was: what a network trained on `other` expects of foreign inputs.
    ///
    /// # Errors
    /// Where the normalisation has another number of channels.
    pub fn standardised_as(&self, other: &Normalisation) -> Result<Dataset> {
        other.check(self.shape)?;
        let mut inputs = self.inputs.clone();
        for row in inputs.chunks_exact_mut(self.input_len()) {
            self.normalisation.to_other(other, row);
        }
        Ok(Dataset { inputs, normalisation: other.clone(), ..self.clone() })
    }

    /// Number of rows of every class `[C]`.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[label as usize] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Dataset {
        let raw = vec![1.0, 10.0, 2.0, 20.0, 3.0, 60.0];
        Dataset::of_raw("small", [2, 1, 1], 3, raw, vec![0, 2, 1]).unwrap()
    }

    #[test]
    fn features_have_mean_zero_and_deviation_one_and_come_back_raw() {
        let data = small();
        for feature in 0..2 {
            let x: Vec<f32> = (0..3).map(|i| data.input(i)[feature]).collect();
            assert!(x.iter().sum::<f32>().abs() < 1e-6);
            assert!((x.iter().map(|v| v * v).sum::<f32>() / 3.0 - 1.0).abs() < 1e-6);
        }
        for (found, expected) in data.raw().iter().zip([1.0, 10.0, 2.0, 20.0, 3.0, 60.0]) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn subsets_keep_order_and_repeats() {
        let data = small();
        let twice = data.subset(&[2, 0, 2]);
        assert_eq!(twice.labels, [1, 0, 1]);
        assert_eq!(twice.input(0), data.input(2));
        assert_eq!(twice.input(1), data.input(0));
        assert_eq!(data.first(2).labels, [0, 2]);
        assert_eq!(data.class_counts(), [1, 1, 1]);
    }

    #[test]
    fn foreign_rows_are_seen_through_the_home_normalisation() {
        let home = small();
        let foreign = Dataset::of_raw("foreign", [2, 1, 1], 3, vec![5.0, 5.0, 7.0, 9.0], vec![0, 0]).unwrap();
        let seen = foreign.standardised_as(&home.normalisation).unwrap();
        let expected = (5.0 - 2.0) / (2.0f32 / 3.0).sqrt();
        assert!((seen.input(0)[0] - expected).abs() < 1e-5);
    }

    #[test]
    fn every_promise_is_checked() {
        let normal = Normalisation::identity([2, 1, 1]);
        let message = |inputs: Vec<f32>, labels: Vec<u32>| {
            Dataset::new("x", [2, 1, 1], 2, inputs, labels, normal.clone()).unwrap_err().to_string()
        };
        assert!(message(vec![], vec![]).contains("at least one row"));
        assert!(message(vec![0.0; 3], vec![0, 1]).contains("[2, 2]"));
        assert!(message(vec![0.0; 4], vec![0, 2]).contains("labels[1]"));
        assert!(message(vec![0.0, 0.0, f32::NAN, 0.0], vec![0, 1]).contains("row 1, column 0"));
        let other = Normalisation::identity([3, 1, 1]);
        assert!(Dataset::new("x", [2, 1, 1], 2, vec![0.0; 2], vec![0], other).is_err());
    }
}
