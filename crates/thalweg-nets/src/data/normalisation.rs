//! Standardisation per channel: x = (raw − mean) / std. A row of D features is D channels of 1×1, so one rule serves both.
use crate::architecture::Shape;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Mean and deviation of every channel in raw units (pixels in [0, 1], or a feature's own unit).
///
/// Taken over the whole training pool of a set, before rows are chosen from it, so that it does not depend on how many
/// rows a run trains on; never over test rows where the set has a test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Mean per channel `[c]`.
    pub mean: Vec<f32>,
    /// Standard deviation per channel `[c]` (population); 1 for a channel that never varies.
    pub std: Vec<f32>,
    /// Least and greatest raw value that a pixel can have; absent for rows of features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f32; 2]>,
}

impl Normalisation {
    /// Leaves values as they are.
    pub fn identity(shape: Shape) -> Self {
        Self { mean: vec![0.0; shape[0]], std: vec![1.0; shape[0]], range: None }
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
        let fine = self.mean.iter().all(|m| m.is_finite()) && self.std.iter().all(|s| s.is_finite() && *s > 0.0);
        if !fine {
            return Err(Error::parameter(
                "normalisation",
                "finite means and positive deviations",
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

    /// Standardises one raw input `[D]` in place; D is a multiple of the channels.
    pub fn standardise(&self, input: &mut [f32]) {
        let plane = input.len() / self.mean.len();
        for ((values, &mean), &std) in input.chunks_exact_mut(plane).zip(&self.mean).zip(&self.std) {
            values.iter_mut().for_each(|x| *x = (*x - mean) / std);
        }
    }

    /// Brings one standardised input `[D]` back to raw values in place.
    pub fn to_raw(&self, input: &mut [f32]) {
        let plane = input.len() / self.mean.len();
        for ((values, &mean), &std) in input.chunks_exact_mut(plane).zip(&self.mean).zip(&self.std) {
            values.iter_mut().for_each(|x| *x = *x * std + mean);
        }
    }
}

/// Means and deviations from sums in f64: `moments` gives (count, sum, sum of squares about `shift`) per channel.
pub(super) fn from_moments(moments: &[(f64, f64, f64, f64)], range: Option<[f32; 2]>) -> Normalisation {
    let mut normal = Normalisation { mean: Vec::new(), std: Vec::new(), range };
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
        let normal = Normalisation { mean: vec![1.0, -2.0], std: vec![2.0, 0.5], range: None };
        let mut x = vec![1.0, 3.0, -2.0, -1.0];
        normal.standardise(&mut x);
        assert_eq!(x, [0.0, 1.0, 0.0, 2.0]);
        normal.to_raw(&mut x);
        assert_eq!(x, [1.0, 3.0, -2.0, -1.0]);
    }

    #[test]
    fn bad_normalisations_are_refused() {
        let refuse =
            |mean: Vec<f32>, std: Vec<f32>, range| Normalisation { mean, std, range }.check([1, 2, 2]).is_err();
        assert!(refuse(vec![0.0, 0.0], vec![1.0, 1.0], None));
        assert!(refuse(vec![0.0], vec![0.0], None));
        assert!(refuse(vec![f32::NAN], vec![1.0], None));
        assert!(refuse(vec![0.0], vec![1.0], Some([1.0, 1.0])));
        assert!(!refuse(vec![0.0], vec![1.0], Some([0.0, 1.0])));
    }
}
