//! One sample of scores in a few numbers: mean, deviation, standard error, best, mean of the top five, quantiles (M17).
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use thalweg_nets::numbers::quantile_of_rising;

pub use crate::train::Better;

/// A sample `[n]` of scores, summarised. Numbers that n values cannot give (the deviation of one) are NaN, and null in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Size of the sample.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation, with n − 1; NaN for n = 1.
    #[serde(with = "finite_or_null")]
    pub sd: f64,
    /// Standard error of the mean, sd/√n; NaN for n = 1.
    #[serde(with = "finite_or_null")]
    pub sem: f64,
    /// The best value.
    pub best: f64,
    /// Mean of the five best, of all where there are fewer.
    pub top5: f64,
    /// 5 % quantile.
    pub q05: f64,
    /// Median.
    pub median: f64,
    /// 95 % quantile.
    pub q95: f64,
}

impl Summary {
    /// Summarises `values [n]`. An infinite loss is a finding and makes the mean infinite.
    ///
    /// ```
    /// use thalweg::metric::summary::{Better, Summary};
    /// let accuracies = Summary::of("accuracy", &[0.90, 0.94, 0.95], Better::Higher)?;
    /// assert!((accuracies.mean - 0.93).abs() < 1e-12 && accuracies.best == 0.95);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// No value, or a NaN; `what` names the score.
    pub fn of(what: &str, values: &[f64], better: Better) -> Result<Self> {
        let sorted = sorted(what, values)?;
        let n = values.len();
        let mean = mean(values);
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        let sd = if n > 1 { (squares / (n - 1) as f64).sqrt() } else { f64::NAN };
        let five = n.min(5);
        let top = match better {
            Better::Higher => &sorted[n - five..],
            Better::Lower => &sorted[..five],
        };
        Ok(Self {
            n,
            mean,
            sd,
            sem: sd / (n as f64).sqrt(),
            best: if better == Better::Higher { sorted[n - 1] } else { sorted[0] },
            top5: top.iter().sum::<f64>() / five as f64,
            q05: quantile_of_rising(&sorted, 0.05),
            median: quantile_of_rising(&sorted, 0.5),
            q95: quantile_of_rising(&sorted, 0.95),
        })
    }
}

/// Mean of `values [n]`; NaN of none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard error of the share q = k/n of `n` draws: the standard deviation of Beta(k + 1, n − k + 1), the law of the true share when every share was as
/// likely before. Unlike √(q (1 − q)/n) it is not 0 where none or all of a few draws count.
pub fn share_error(share: f64, n: usize) -> f64 {
    let n = n as f64;
    let middle = (share * n + 1.0) / (n + 2.0);
    (middle * (1.0 - middle) / (n + 3.0)).sqrt()
}

/// Mean and standard error of the finite ones of `values [n]`; NaN where there are too few.
pub fn mean_sem(values: &[f64]) -> (f64, f64) {
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let (n, mean) = (finite.len() as f64, mean(&finite));
    let variance = finite.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// The `q`-quantile of `values [n]`, linear between order statistics (NumPy's default, Hyndman and Fan's type 7).
///
/// # Errors
/// No value, a NaN, or q outside [0, 1]; `what` names the score.
pub fn quantile(what: &str, values: &[f64], q: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&q) {
        return Err(Error::parameter("quantile", "a share from 0 to 1", q));
    }
    Ok(quantile_of_rising(&sorted(what, values)?, q))
}

fn sorted(what: &str, values: &[f64]) -> Result<Vec<f64>> {
    if values.is_empty() {
        return Err(Error::shape(what, "[n] with n at least 1", "[0]"));
    }
    if let Some(i) = values.iter().position(|v| v.is_nan()) {
        return Err(Error::NotFinite { what: what.into(), place: format!("index {i}"), value: values[i] });
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Ok(sorted)
}

/// JSON has no NaN: numbers that are not finite are written as null, and null is read as NaN.
pub mod finite_or_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes a finite number, or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(serializer)
    }

    /// Reads a number, or null as NaN.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_one_to_nine() {
        let values = [3.0, 1.0, 2.0, 9.0, 8.0, 7.0, 4.0, 6.0, 5.0];
        let s = Summary::of("accuracy", &values, Better::Higher).unwrap();
        assert_eq!((s.n, s.mean, s.best, s.top5, s.median), (9, 5.0, 9.0, 7.0, 5.0));
        // Variance of 1..=9 with n − 1 is 60/8.
        assert!((s.sd - 7.5f64.sqrt()).abs() < 1e-12 && (s.sem - 7.5f64.sqrt() / 3.0).abs() < 1e-12);
        // numpy.quantile(range(1, 10), [.05, .95]) = [1.4, 8.6].
        assert!((s.q05 - 1.4).abs() < 1e-12 && (s.q95 - 8.6).abs() < 1e-12);
        let s = Summary::of("loss", &values, Better::Lower).unwrap();
        assert_eq!((s.best, s.top5), (1.0, 3.0));
    }

    #[test]
    fn the_error_of_a_share_is_that_of_a_beta_law() {
        // Beta(1, 3) has the variance 3/80, Beta(2, 2) 1/20, Beta(3, 1) 3/80.
        for (k, variance) in [(0.0, 3.0 / 80.0), (1.0, 0.05), (2.0, 3.0 / 80.0)] {
            assert!((share_error(k / 2.0, 2).powi(2) - variance).abs() < 1e-12, "{k}");
        }
        assert!((share_error(0.3, 1_000_000) / (0.21f64 / 1e6).sqrt() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn small_infinite_and_bad_samples() {
        let one = Summary::of("loss", &[2.0], Better::Lower).unwrap();
        assert!(one.sd.is_nan() && one.sem.is_nan());
        assert_eq!((one.top5, one.q05, one.q95), (2.0, 2.0, 2.0));
        let text = serde_json::to_string(&one).unwrap();
        assert!(text.contains("\"sd\":null"), "{text}");
        assert!(serde_json::from_str::<Summary>(&text).unwrap().sd.is_nan());
        let diverged = Summary::of("loss", &[1.0, f64::INFINITY, f64::INFINITY], Better::Lower).unwrap();
        assert_eq!((diverged.mean, diverged.best, diverged.q95), (f64::INFINITY, 1.0, f64::INFINITY));
        assert!(Summary::of("loss", &[], Better::Lower).is_err());
        assert!(Summary::of("loss", &[f64::NAN], Better::Lower).is_err());
        assert!(quantile("loss", &[1.0], 1.5).is_err());
    }
}
