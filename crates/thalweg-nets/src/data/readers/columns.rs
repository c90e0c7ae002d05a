//! Columns of 64-bit numbers kept in 32 bits: as they are where that tells their values apart, else less an offset of their own.
//!
//! A column of times in seconds (about 1.7e9) has steps of 128 in 32 bits; a day of them would be a constant. Where the rounding of a column's
//! greatest value is more than a thousandth of its deviation, its mean is taken from every value first, in 64 bits.

use crate::data::table::{Table, Values};

/// The rounding that is still fine, relative to the deviation of the column.
const FINE: f64 = 1.0 / 1024.0;

/// Half of the relative distance between two numbers of 32 bits.
const ROUNDING: f64 = 1.0 / (1u64 << 24) as f64;

/// What is learnt of a column while its values pass.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::data) struct Spread {
    count: f64,
    first: f64,
    sum: f64,
    squares: f64,
    most: f64,
    rounded: bool,
}

impl Spread {
    /// One more value.
    pub(in crate::data) fn add(&mut self, value: f64) {
        if self.count == 0.0 {
            self.first = value;
        }
        let off = value - self.first;
        self.count += 1.0;
        self.sum += off;
        self.squares += off * off;
        self.most = self.most.max(value.abs());
        self.rounded |= f64::from(value as f32) != value;
    }

    /// What has to be taken from the column's values; none where 32 bits hold them well enough.
    fn offset(&self) -> Option<f64> {
        let mean = self.sum / self.count.max(1.0);
        let deviation = (self.squares / self.count.max(1.0) - mean * mean).max(0.0).sqrt();
        (self.rounded && self.most * ROUNDING > deviation * FINE).then_some(self.first + mean)
    }
}

/// The offsets of all columns; empty where none needs one.
pub(in crate::data) fn offsets(spreads: &[Spread]) -> Vec<f64> {
    match spreads.iter().any(|spread| spread.offset().is_some()) {
        true => spreads.iter().map(|spread| spread.offset().unwrap_or(0.0)).collect(),
        false => Vec::new(),
    }
}

/// Values `[N, wide]` in 32 bits, with what has to be added to every column.
pub(in crate::data) fn narrowed(values: &[f64], wide: usize) -> (Vec<f32>, Vec<f64>) {
    let mut spreads = vec![Spread::default(); wide];
    for row in values.chunks_exact(wide) {
        row.iter().zip(&mut spreads).for_each(|(&value, spread)| spread.add(value));
    }
    let offset = offsets(&spreads);
    let less = |(i, &value): (usize, &f64)| (value - offset.get(i % wide).unwrap_or(&0.0)) as f32;
    (values.iter().enumerate().map(less).collect(), offset)
}

impl Table {
    /// The features that never vary over at least two rows; none for images.
    pub(in crate::data) fn constant_features(&self) -> Vec<usize> {
        let Values::Floats(values) = &self.values else { return Vec::new() };
        let wide = self.input_len();
        if self.shape[1..] != [1, 1] || self.len() < 2 {
            return Vec::new();
        }
        let mut constant: Vec<usize> = (0..wide).collect();
        for row in values.chunks_exact(wide) {
            constant.retain(|&c| row[c] == values[c]);
            if constant.is_empty() {
                break;
            }
        }
        constant
    }

    /// What a feature is called in messages: its name, or its number from 0.
    pub(in crate::data) fn feature(&self, i: usize) -> String {
        self.feature_names.get(i).map_or_else(|| format!("column {i}"), |name| format!("'{name}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_steps_and_ordinary_columns_stay_as_they_are() {
        let rows: Vec<f64> = (0..50).flat_map(|i| [1.7e9 + f64::from(i), 0.1 * f64::from(i)]).collect();
        let (values, offset) = narrowed(&rows, 2);
        assert_eq!(offset, [1.7e9 + 24.5, 0.0]);
        assert_eq!(values[..4], [-24.5, 0.0, -23.5, 0.1]);
        assert!(narrowed(&[0.1, 0.2, 0.3], 1).1.is_empty());
        // Large whole numbers that 32 bits hold need nothing, nor do large numbers that vary widely.
        assert!(narrowed(&[16_777_216.0, 16_777_218.0], 1).1.is_empty());
        assert!(narrowed(&[1.7e9 + 1.0, 2.5e9 + 1.0, 3e8 + 1.0], 1).1.is_empty());
        // A constant that 32 bits do not hold is its own offset.
        assert_eq!(narrowed(&[1_700_000_001.0; 3], 1), (vec![0.0; 3], vec![1_700_000_001.0]));
    }
}
