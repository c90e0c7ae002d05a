//! What a test is worth: power at a level with thresholds from other draws, type-I error with its binomial interval, AUROC with its
//! standard error.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF};

/// A share of draws with its standard error and exact (Clopper and Pearson) 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Hits over draws.
    pub share: f64,
    /// √(p(1 − p)/n).
    pub error: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Share {
    /// `hits` of `n ≥ 1`.
    ///
    /// # Errors
    /// No draw, more hits than draws.
    pub fn of(hits: usize, n: usize) -> Result<Self> {
        if n == 0 || hits > n {
            return Err(Error::parameter("hits", format!("at most {n} of at least one draw"), hits));
        }
        let share = hits as f64 / n as f64;
        let quantile = |a: usize, b: usize, q: f64| {
            Beta::new(a as f64, b as f64)
                .map(|beta| beta.inverse_cdf(q))
                .map_err(|e| Error::parameter("binomial interval", "a beta law", e))
        };
        let low = if hits == 0 { 0.0 } else { quantile(hits, n - hits + 1, 0.025)? };
        let high = if hits == n { 1.0 } else { quantile(hits + 1, n - hits, 0.975)? };
        Ok(Self { share, error: (share * (1.0 - share) / n as f64).sqrt(), low, high })
    }

    /// The share of `p_values` at or below `level`.
    ///
    /// # Errors
    /// No p-value.
    pub fn rejected(p_values: &[f64], level: f64) -> Result<Self> {
        Self::of(p_values.iter().filter(|p| **p <= level).count(), p_values.len())
    }
}

/// AUROC of `shifted` against `unshifted` statistics, ties counted half, with the standard error of DeLong et al. (1988).
///
/// # Errors
/// No draw on a side, a NaN.
pub fn auroc(shifted: &[f64], unshifted: &[f64]) -> Result<(f64, f64)> {
    if shifted.is_empty() || unshifted.is_empty() {
        return Err(Error::parameter(
            "AUROC",
            "draws on both sides",
            format!("{} and {}", shifted.len(), unshifted.len()),
        ));
    }
    if shifted.iter().chain(unshifted).any(|v| v.is_nan()) {
        return Err(Error::NotFinite { what: "statistic".into(), place: "AUROC".into(), value: f64::NAN });
    }
    let wins = |of: &[f64], against: &[f64], sign: f64| -> Vec<f64> {
        let mut sorted: Vec<f64> = against.iter().map(|v| sign * v).collect();
        sorted.sort_by(f64::total_cmp);
        let share = |v: &f64| {
            let v = sign * v;
            let below = sorted.partition_point(|a| *a < v);
            let upto = sorted.partition_point(|a| *a <= v);
            (below as f64 + 0.5 * (upto - below) as f64) / sorted.len() as f64
        };
        of.iter().map(share).collect()
    };
    let (a, b) = (wins(shifted, unshifted, 1.0), wins(unshifted, shifted, -1.0));
    let moments = |v: &[f64]| {
        let n = v.len() as f64;
        let mean = v.iter().sum::<f64>() / n;
        (mean, v.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0).max(1.0) / n)
    };
    let ((mean, of_a), (_, of_b)) = (moments(&a), moments(&b));
    Ok((mean, (of_a + of_b).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;

    #[test]
    fn auroc_is_the_share_of_pairs_in_order() {
        let mut rng = Streams::new(5).rng();
        for _ in 0..20 {
            let mut draw = |n: usize| (0..n).map(|_| rng.random_range(0..6u64) as f64).collect::<Vec<f64>>();
            let (a, b) = (draw(13), draw(17));
            let pairs = a.iter().flat_map(|x| {
                b.iter().map(move |y| {
                    if x > y {
                        1.0
                    } else if x == y {
                        0.5
                    } else {
                        0.0
                    }
                })
            });
            let brute = pairs.sum::<f64>() / (13.0 * 17.0);
            let (found, error) = auroc(&a, &b).unwrap();
            assert!((found - brute).abs() < 1e-12 && error < 0.2, "{found} {brute} {error}");
        }
        assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]).unwrap(), (1.0, 0.0));
        assert!(auroc(&[], &[1.0]).is_err() && auroc(&[f64::NAN], &[1.0]).is_err());
    }

    #[test]
    fn delongs_error_is_the_spread_over_repetitions() {
        let mut rng = Streams::new(6).rng();
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for _ in 0..400 {
            let a: Vec<f64> = (0..30).map(|_| rng.random::<f64>() + 0.2).collect();
            let b: Vec<f64> = (0..40).map(|_| rng.random::<f64>()).collect();
            let (value, error) = auroc(&a, &b).unwrap();
            values.push(value);
            errors.push(error);
        }
        let mean = values.iter().sum::<f64>() / 400.0;
        let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 399.0).sqrt();
        let error = errors.iter().sum::<f64>() / 400.0;
        assert!((error / spread - 1.0).abs() < 0.12, "{error} {spread}");
    }

    #[test]
    fn intervals_agree_with_published_ones() {
        // Clopper and Pearson's own example: 10 of 100 gives .0490 to .1762.
        let s = Share::of(10, 100).unwrap();
        assert!((s.low - 0.0490).abs() < 1e-4 && (s.high - 0.1762).abs() < 1e-4, "{s:?}");
        assert_eq!((Share::of(0, 5).unwrap().low, Share::of(5, 5).unwrap().high), (0.0, 1.0));
        assert!(Share::of(0, 0).is_err() && Share::of(3, 2).is_err());
        assert_eq!(Share::rejected(&[0.05, 0.06, 0.01, 1.0], 0.05).unwrap().share, 0.5);
    }
}
