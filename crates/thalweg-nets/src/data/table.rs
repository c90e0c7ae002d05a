//! What a reader gives: raw values `[N, D]` with labels `[N]`, before rows are chosen and standardised.
//!
//! Pixels stay bytes until a row is chosen, so 60,000 images cost 47 MB and not 188, and their moments are exact integer sums.
use super::dataset::Dataset;
use super::normalisation::{Normalisation, from_moments};
use crate::architecture::Shape;
use crate::error::{Error, Result};
use crate::memory;

/// Raw values `[N, D]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    /// Pixels; the raw value is byte / divisor.
    Bytes { bytes: Vec<u8>, divisor: f32 },
    /// Features or pixels in their own unit.
    Floats(Vec<f32>),
}

fn retain<T>(values: &mut Vec<T>, keep: impl Fn(usize) -> bool) {
    let mut i = 0;
    values.retain(|_| {
        i += 1;
        keep(i - 1)
    });
}

/// Raw labelled rows of one file or set.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) classes: usize,
    pub(super) values: Values,
    pub(super) labels: Vec<u32>,
    /// Least and greatest pixel value; absent for rows of features.
    pub(super) range: Option<[f32; 2]>,
    /// What the file calls the classes; empty where they are numbers from 0.
    pub(super) class_names: Vec<String>,
    /// What the file calls its columns, one a feature; empty where it does not name them.
    pub(super) feature_names: Vec<String>,
    /// To be added to the values of every channel, in 64 bits; empty where they are whole (see [`Normalisation::offset`]).
    pub(super) offset: Vec<f64>,
    /// Whether the labels are known; they are 0 where they are not.
    pub(super) labelled: bool,
    /// What a user should know of how the file was read.
    pub(super) notes: Vec<String>,
}

impl Table {
    /// Rows of pixels: raw value = byte / `divisor`, in [0, 1] where no byte exceeds the divisor.
    ///
    /// # Errors
    /// No row, lengths that do not fit, a label that is no class, a byte above the divisor.
    pub fn of_bytes(
        name: impl Into<String>,
        shape: Shape,
        classes: usize,
        bytes: Vec<u8>,
        divisor: u8,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let name = name.into();
        if let Some(i) = bytes.iter().position(|&b| b > divisor) {
            return Err(Error::parameter(format!("data {name}: value {i}"), format!("at most {divisor}"), bytes[i]));
        }
        let values = Values::Bytes { bytes, divisor: f32::from(divisor) };
        Self::plain(name, shape, classes, values, labels, Some([0.0, 1.0])).checked()
    }

    /// Rows of numbers in their own unit; `range` holds the least and greatest pixel value where they are images.
    ///
    /// # Errors
    /// As [`Self::of_bytes`], and for a value that is not finite.
    pub fn of_values(
        name: impl Into<String>,
        shape: Shape,
        classes: usize,
        values: Vec<f32>,
        labels: Vec<u32>,
        range: Option<[f32; 2]>,
    ) -> Result<Self> {
        Self::plain(name.into(), shape, classes, Values::Floats(values), labels, range).checked()
    }

    fn plain(
        name: String,
        shape: Shape,
        classes: usize,
        values: Values,
        labels: Vec<u32>,
        range: Option<[f32; 2]>,
    ) -> Self {
        Self {
            name,
            shape,
            classes,
            values,
            labels,
            range,
            class_names: Vec::new(),
            feature_names: Vec::new(),
            offset: Vec::new(),
            labelled: true,
            notes: Vec::new(),
        }
    }

    fn checked(self) -> Result<Self> {
        let what = |field: &str| format!("data {}: {field}", self.name);
        let wide = self.input_len();
        let numbers = match &self.values {
            Values::Bytes { bytes, .. } => bytes.len(),
            Values::Floats(values) => values.len(),
        };
        if self.labels.is_empty() || wide == 0 {
            let found = format!("{} rows of shape {:?}", self.labels.len(), self.shape);
            return Err(Error::parameter(what("rows"), "at least one row of at least one number", found));
        }
        if self.labels.len().checked_mul(wide) != Some(numbers) {
            let expected = format!("[{}, {wide}], as many rows as labels", self.labels.len());
            return Err(Error::shape(what("inputs"), expected, format!("[{numbers}]")));
        }
        if let Some(i) = self.labels.iter().position(|&y| y as usize >= self.classes) {
            let expected = format!("a class below {}", self.classes);
            return Err(Error::parameter(what(&format!("labels[{i}]")), expected, self.labels[i]));
        }
        if let Values::Floats(values) = &self.values
            && let Some(i) = values.iter().position(|x| !x.is_finite())
        {
            let place = format!("row {}, column {}", i / wide, i % wide);
            return Err(Error::NotFinite { what: what("inputs"), place, value: f64::from(values[i]) });
        }
        Ok(self)
    }

    pub(super) fn with_class_names(self, class_names: Vec<String>) -> Self {
        Self { class_names, ..self }
    }

    pub(super) fn with_feature_names(self, feature_names: Vec<String>) -> Self {
        Self { feature_names, ..self }
    }

    pub(super) fn with_offset(self, offset: Vec<f64>) -> Self {
        Self { offset, ..self }
    }

    /// The same rows, whose labels are known or not.
    pub(super) fn labelled(self, labelled: bool) -> Self {
        Self { labelled, ..self }
    }

    /// Something more for the user to know.
    pub(super) fn noting(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// The rows whose label becomes another (`becomes [C]`), under it; labels that become none are left out with their rows.
    pub(super) fn relabelled(mut self, becomes: &[Option<u32>]) -> Result<Self> {
        let wide = self.input_len();
        let new: Vec<Option<u32>> = self.labels.iter().map(|&label| becomes[label as usize]).collect();
        let keep = |i: usize| new[i / wide].is_some();
        match &mut self.values {
            _ if new.iter().all(Option::is_some) => {}
            Values::Bytes { bytes, .. } => retain(bytes, keep),
            Values::Floats(values) => retain(values, keep),
        }
        self.labels = new.into_iter().flatten().collect();
        self.class_names = Vec::new();
        self.checked()
    }

    /// More classes than the rows happen to name.
    pub(super) fn with_classes(self, classes: usize) -> Result<Self> {
        Self { classes, ..self }.checked()
    }

    /// Number of rows N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never so: a table without rows is refused.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Numbers in a row, D.
    pub fn input_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// `[channels, height, width]` of a row.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Number of classes C.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// What the file calls the classes; empty where they are numbers from 0.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Labels `[N]`.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The raw values of one row `[D]`, in [0, 1] for pixels from bytes.
    pub fn raw(&self, row: usize) -> Vec<f32> {
        let place = row * self.input_len()..(row + 1) * self.input_len();
        match &self.values {
            Values::Bytes { bytes, divisor } => bytes[place].iter().map(|&b| f32::from(b) / divisor).collect(),
            Values::Floats(values) if self.offset.is_empty() => values[place].to_vec(),
            Values::Floats(values) => {
                values[place].iter().zip(&self.offset).map(|(&v, &o)| (f64::from(v) + o) as f32).collect()
            }
        }
    }

    fn offset_of(&self, channel: usize) -> f64 {
        self.offset.get(channel).copied().unwrap_or(0.0)
    }

    /// Mean and deviation per channel over all rows.
    pub fn normalisation(&self) -> Normalisation {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        let moments: Vec<_> = match &self.values {
            Values::Bytes { bytes, divisor } => {
                let mut sums = vec![(0u64, 0u64); channels];
                for (i, values) in bytes.chunks_exact(plane).enumerate() {
                    let (sum, squares) = &mut sums[i % channels];
                    *sum += values.iter().map(|&b| u64::from(b)).sum::<u64>();
                    *squares += values.iter().map(|&b| u64::from(b) * u64::from(b)).sum::<u64>();
                }
                let (count, d) = ((self.len() * plane) as f64, f64::from(*divisor));
                sums.iter().map(|&(s, q)| (count, 0.0, s as f64 / d, q as f64 / (d * d))).collect()
            }
            Values::Floats(values) => {
                // Squares about the first value of the channel: no cancellation where a feature is large but varies little.
                let shifts: Vec<f64> = (0..channels).map(|c| f64::from(values[c * plane])).collect();
                let mut sums = vec![(0f64, 0f64); channels];
                for (i, values) in values.chunks_exact(plane).enumerate() {
                    for &x in values {
                        let off = f64::from(x) - shifts[i % channels];
                        sums[i % channels].0 += off;
                        sums[i % channels].1 += off * off;
                    }
                }
                let count = (self.len() * plane) as f64;
                sums.iter().zip(shifts).map(|(&(s, q), shift)| (count, shift, s, q)).collect()
            }
        };
        Normalisation { offset: self.offset.clone(), ..from_moments(&moments, self.range) }
    }

    /// The chosen rows, standardised.
    ///
    /// # Errors
    /// No row chosen, or a normalisation of another shape.
    pub fn standardised(&self, rows: &[usize], normalisation: &Normalisation) -> Result<Dataset> {
        normalisation.check(self.shape)?;
        let wide = self.input_len();
        let bytes = (rows.len() as u64).checked_mul(wide as u64).and_then(|n| n.checked_mul(4));
        memory::check(&format!("data {}: {} rows of {wide} numbers", self.name, rows.len()), bytes)?;
        let mut inputs = Vec::with_capacity(rows.len() * wide);
        match &self.values {
            Values::Bytes { bytes, divisor } => {
                // A byte has 256 values: standardise those, then look each pixel up.
                let channels = self.shape[0];
                let mut looked_up: Vec<f32> = Vec::with_capacity(256 * channels);
                for byte in 0..=255u8 {
                    let mut value = vec![f32::from(byte) / divisor; channels];
                    normalisation.standardise(&mut value);
                    looked_up.extend(value);
                }
                for &row in rows {
                    for (c, plane) in bytes[row * wide..(row + 1) * wide].chunks_exact(wide / channels).enumerate() {
                        inputs.extend(plane.iter().map(|&byte| looked_up[usize::from(byte) * channels + c]));
                    }
                }
            }
            Values::Floats(values) => {
                let plane = wide / self.shape[0];
                for &row in rows {
                    for (c, plane) in values[row * wide..(row + 1) * wide].chunks_exact(plane).enumerate() {
                        let offset = self.offset_of(c);
                        inputs.extend(plane.iter().map(|&x| normalisation.standardised(c, x, offset)));
                    }
                }
            }
        }
        let labels = rows.iter().map(|&row| self.labels[row]).collect();
        let data = Dataset::new(self.name.clone(), self.shape, self.classes, inputs, labels, normalisation.clone())?;
        Ok(Dataset {
            feature_names: self.feature_names.clone(),
            class_names: self.class_names.clone(),
            notes: self.notes.clone(),
            ..data
        })
    }

    /// Feeds everything that defines the content to a hash: the same data in another file format give the same sum.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) {
        for n in [self.len(), self.shape[0], self.shape[1], self.shape[2], self.classes] {
            hasher.update(&(n as u64).to_le_bytes());
        }
        match &self.values {
            Values::Bytes { bytes, divisor } => {
                hasher.update(b"bytes").update(&divisor.to_le_bytes()).update(bytes);
            }
            Values::Floats(values) => {
                hasher.update(b"floats");
                for offset in &self.offset {
                    hasher.update(&offset.to_le_bytes());
                }
                for part in values.chunks(4096) {
                    hasher.update(&part.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
                }
            }
        }
        for part in self.labels.chunks(4096) {
            hasher.update(&part.iter().flat_map(|y| y.to_le_bytes()).collect::<Vec<_>>());
        }
    }
}

impl Dataset {
    /// A data set of raw values, standardised by its own mean and deviation (small made-up sets in tests and examples).
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_raw(
        name: impl Into<String>,
        shape: Shape,
        classes: usize,
        raw: Vec<f32>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let table = Table::of_values(name, shape, classes, raw, labels, None)?;
        let all: Vec<usize> = (0..table.len()).collect();
        table.standardised(&all, &table.normalisation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_bytes_equal_moments_of_the_same_floats() {
        let bytes: Vec<u8> = (0..96u32).map(|i| (i * 37 % 251) as u8).collect();
        let floats = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
        let labels = vec![0; 8];
        let a = Table::of_bytes("a", [3, 2, 2], 1, bytes, 255, labels.clone()).unwrap();
        let b = Table::of_values("b", [3, 2, 2], 1, floats, labels, Some([0.0, 1.0])).unwrap();
        let (a, b) = (a.normalisation(), b.normalisation());
        for c in 0..3 {
            assert!((a.mean[c] - b.mean[c]).abs() < 1e-6 && (a.std[c] - b.std[c]).abs() < 1e-6);
        }
    }

    #[test]
    fn bytes_standardise_as_the_same_floats_do() {
        let bytes: Vec<u8> = (0..=255).collect();
        let floats = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
        let a = Table::of_bytes("x", [2, 8, 8], 1, bytes, 255, vec![0; 2]).unwrap();
        let b = Table::of_values("x", [2, 8, 8], 1, floats, vec![0; 2], Some([0.0, 1.0])).unwrap();
        let normal = a.normalisation();
        assert_eq!(a.standardised(&[1, 0, 1], &normal).unwrap(), b.standardised(&[1, 0, 1], &normal).unwrap());
    }

    #[test]
    fn a_large_offset_does_not_eat_the_deviation() {
        let values = vec![1e6, 1e6 + 1.0, 1e6 + 2.0, 1e6 + 3.0];
        let table = Table::of_values("x", [1, 1, 1], 1, values, vec![0; 4], None).unwrap();
        assert!((table.normalisation().std[0] - 1.25f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn a_constant_feature_standardises_to_zero() {
        let table = Table::of_values("x", [2, 1, 1], 1, vec![0.1, 1.0, 0.1, 2.0], vec![0; 2], None).unwrap();
        let data = table.standardised(&[0, 1], &table.normalisation()).unwrap();
        assert_eq!((data.input(0)[0], data.input(1)[0]), (0.0, 0.0));
        assert_eq!(data.normalisation.std[0], 1.0);
    }

    #[test]
    fn bytes_above_the_divisor_are_refused() {
        let message = Table::of_bytes("x", [1, 1, 2], 1, vec![3, 17], 16, vec![0]).unwrap_err().to_string();
        assert!(message.contains("at most 16") && message.contains("17"), "{message}");
    }
}
