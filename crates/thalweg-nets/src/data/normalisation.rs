//! Standardisation per channel: x = (raw − mean) / std. A row of D features is D channels of 1×1, so one rule serves both.
use crate::architecture::Shape;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Mean and deviation of every channel in raw units (pixels in [0, 1], or a feature's own unit).
///
/// Taken over the whole training pool of a set, before rows are chosen from it, so that it does not depend on how many
/// rows a run trains on; never over test rows where the set has a test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Mean per channel `[c]`.
    pub mean: Vec<f32>,
    /// Standard deviation per channel `[c]` (population); 1 for a channel that never varies.
    pub std: Vec<f32>,
    /// Least and greatest raw value that a pixel can have; absent for rows of features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f32; 2]>,
    /// Taken from a raw value, in 64 bits, before its mean, per channel `[c]`: for columns whose differences 32 bits cannot hold, such as times
    /// in seconds; empty where no column needs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offset: Vec<f64>,
}

/// How the inputs of a set are standardised, where it is not left to the rule (by the set's own training pool, or as the networks at hand expect).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Standardise {
    /// By mean and deviation of the set's own training pool.
    Fitted,
    /// Not at all: pixels of bytes from 0 to 1, other values as they are in the file.
    Raw,
    /// By the mean and deviation given for every channel (or one of each for all), in raw units: pixels of bytes count from 0 to 1.
    Given {
        /// Mean per channel.
        mean: Vec<f32>,
        /// Standard deviation per channel.
        std: Vec<f32>,
    },
}

impl Standardise {
    /// Checks what can be checked without data.
    ///
    /// # Errors
    /// No means or deviations, not as many of one as of the other, a deviation that is not positive, a number that is not finite.
    pub fn check(&self) -> Result<()> {
        let Self::Given { mean, std } = self else { return Ok(()) };
        let normal = Normalisation { mean: mean.clone(), std: std.clone(), range: None, offset: Vec::new() };
        match mean.len() {
            0 => Err(Error::parameter("data.normalisation.given", "a mean and a deviation for every channel", "none")),
            n => normal.check([n, 1, 1]),
        }
    }

    /// The means and deviations given, for inputs of `shape`; one of each stands for all channels.
    ///
    /// # Errors
    /// Another number of channels.
    pub(super) fn given(mean: &[f32], std: &[f32], shape: Shape, range: Option<[f32; 2]>) -> Result<Normalisation> {
        let all = |values: &[f32]| if values.len() == 1 { vec![values[0]; shape[0]] } else { values.to_vec() };
        let normal = Normalisation { mean: all(mean), std: all(std), range, offset: Vec::new() };
        normal.check(shape).map(|()| normal)
    }
}

impl Normalisation {
    /// Leaves values as they are.
    pub fn identity(shape: Shape) -> Self {
        Self { mean: vec![0.0; shape[0]], std: vec![1.0; shape[0]], range: None, offset: Vec::new() }
    }

    /// Checks that it fits inputs of `shape` and can be inverted.
    ///
    /// # Errors
    /// Another number of channels, a deviation that is not positive, a number that is not finite.
    pub fn check(&self, shape: Shape) -> Result<()> {
        let channels = shape[0];
        if self.mean.len() != channels || self.std.len() != channels {
            return Err(Error::shape(
                "normalisation",
                format!("[{channels}] means and deviations"),
                format!("[{}] means, [{}] deviations", self.mean.len(), self.std.len()),
            ));
        }
        if !(self.offset.is_empty() || self.offset.len() == channels) {
            let expected = format!("[{channels}] offsets, or none");
            return Err(Error::shape("normalisation.offset", expected, format!("[{}]", self.offset.len())));
        }
        let fine = self.offset.iter().all(|o| o.is_finite())
            && self.mean.iter().all(|m| m.is_finite())
            && self.std.iter().all(|s| s.is_finite() && *s > 0.0);
        if !fine {
            return Err(Error::parameter(
                "normalisation",
                "finite means and offsets and positive deviations",
                format!("mean {:?}, std {:?}", self.mean, self.std),
            ));
        }
        match self.range {
            Some([low, high]) if !(low.is_finite() && high.is_finite() && low < high) => {
                Err(Error::parameter("normalisation.range", "low < high, both finite", format!("[{low}, {high}]")))
            }
            _ => Ok(()),
        }
    }

    /// The offset of a channel.
    pub fn offset_of(&self, channel: usize) -> f64 {
        self.offset.get(channel).copied().unwrap_or(0.0)
    }

    /// Whether values are left as they are.
    pub fn is_identity(&self) -> bool {
        self.offset.is_empty() && self.mean.iter().all(|m| *m == 0.0) && self.std.iter().all(|s| *s == 1.0)
    }

    /// One raw value of a channel, standardised; `offset` was taken from it in 64 bits already.
    pub(super) fn standardised(&self, channel: usize, value: f32, offset: f64) -> f32 {
        let (mean, std) = (self.mean[channel], self.std[channel]);
        match offset - self.offset_of(channel) {
            0.0 => (value - mean) / std,
            rest => ((f64::from(value) + rest - f64::from(mean)) / f64::from(std)) as f32,
        }
    }

    /// Standardises one raw input `[D]`, whose offsets were not taken yet, in place; D is a multiple of the channels.
    pub fn standardise(&self, input: &mut [f32]) {
        let plane = input.len() / self.mean.len();
        for (channel, values) in input.chunks_exact_mut(plane).enumerate() {
            values.iter_mut().for_each(|x| *x = self.standardised(channel, *x, 0.0));
        }
    }

    /// Brings one standardised input `[D]` back to raw values in place (rounded to 32 bits).
    pub fn to_raw(&self, input: &mut [f32]) {
        let plane = input.len() / self.mean.len();
        for (channel, values) in input.chunks_exact_mut(plane).enumerate() {
            let (mean, std, offset) = (self.mean[channel], self.std[channel], self.offset_of(channel));
            values.iter_mut().for_each(|x| *x = *x * std + mean);
            if offset != 0.0 {
                values.iter_mut().for_each(|x| *x = (f64::from(*x) + offset) as f32);
            }
        }
    }

    /// Brings an input `[D]` that was standardised by this to what `other` makes of the same raw values.
    pub(super) fn to_other(&self, other: &Self, input: &mut [f32]) {
        let plane = input.len() / self.mean.len();
        for (channel, values) in input.chunks_exact_mut(plane).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for x in values {
                *x = other.standardised(channel, *x * std + mean, self.offset_of(channel));
            }
        }
    }
}

/// Means and deviations from sums in f64: `moments` gives (count, sum, sum of squares about `shift`) per channel.
pub(super) fn from_moments(moments: &[(f64, f64, f64, f64)], range: Option<[f32; 2]>) -> Normalisation {
    let mut normal = Normalisation { mean: Vec::new(), std: Vec::new(), range, offset: Vec::new() };
    for &(count, shift, sum, squares) in moments {
        let offset = sum / count;
        let variance = (squares / count - offset * offset).max(0.0);
        let std = variance.sqrt() as f32;
        normal.mean.push((shift + offset) as f32);
        normal.std.push(if std > 0.0 { std } else { 1.0 });
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_told_apart_and_the_way_back_is_the_way_there() {
        let normal = Normalisation { mean: vec![1.0, -2.0], std: vec![2.0, 0.5], range: None, offset: vec![] };
        let mut x = vec![1.0, 3.0, -2.0, -1.0];
        normal.standardise(&mut x);
        assert_eq!(x, [0.0, 1.0, 0.0, 2.0]);
        normal.to_raw(&mut x);
        assert_eq!(x, [1.0, 3.0, -2.0, -1.0]);
    }

    #[test]
    fn bad_normalisations_are_refused() {
        let refuse = |mean: Vec<f32>, std: Vec<f32>, range| {
            Normalisation { mean, std, range, offset: vec![] }.check([1, 2, 2]).is_err()
        };
        assert!(refuse(vec![0.0, 0.0], vec![1.0, 1.0], None));
        assert!(refuse(vec![0.0], vec![0.0], None));
        assert!(refuse(vec![f32::NAN], vec![1.0], None));
        assert!(refuse(vec![0.0], vec![1.0], Some([1.0, 1.0])));
        assert!(!refuse(vec![0.0], vec![1.0], Some([0.0, 1.0])));
        let given = |mean: &[f32], std: &[f32]| Standardise::Given { mean: mean.into(), std: std.into() }.check();
        assert!(given(&[0.1, 0.2], &[1.0, 2.0]).is_ok());
        assert!(given(&[], &[]).is_err() && given(&[0.1], &[0.0]).is_err() && given(&[0.1, 0.2], &[1.0]).is_err());
        assert!(Standardise::given(&[0.5], &[0.25], [3, 2, 2], None).unwrap().std == [0.25; 3]);
        assert!(Standardise::given(&[0.5, 0.5], &[0.25, 0.25], [3, 2, 2], None).is_err());
    }
}
