//! Null laws and p-values (M14): p = (1 + #{null ≥ observed})/(1 + n), valid for exchangeable draws and any statistic.
use super::combined::combined;
use crate::{Error, Result};

/// The null law of S statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct NullLaw {
    statistics: usize,
    /// `[n, S]`.
    values: Vec<f64>,
}

impl NullLaw {
    /// From statistics `[n, S]` of null draws.
    ///
    /// # Errors
    /// No draw, a length that is no multiple of S, a NaN.
    pub fn new(values: Vec<f64>, statistics: usize) -> Result<Self> {
        if statistics == 0 || values.is_empty() || !values.len().is_multiple_of(statistics) {
            return Err(Error::shape(
                "null statistics",
                format!("[n ≥ 1, {statistics}]"),
                format!("[{}]", values.len()),
            ));
        }
        if let Some(i) = values.iter().position(|v| v.is_nan()) {
            let place = format!("draw {}, statistic {}", i / statistics, i % statistics);
            return Err(Error::NotFinite { what: "null statistic".into(), place, value: f64::NAN });
        }
        Ok(Self { statistics, values })
    }

    /// n.
    pub fn draws(&self) -> usize {
        self.values.len() / self.statistics
    }

    /// Statistic `s` of every draw.
    pub fn column(&self, s: usize) -> Vec<f64> {
        self.values.iter().skip(s).step_by(self.statistics).copied().collect()
    }

    /// All statistics `[n, S]`.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The p-value of each statistic, `[S]`.
    ///
    /// ```
    /// use thalweg::shift::NullLaw;
    /// // Four draws of one statistic: how often networks disagreed with f on rows like P.
    /// let null = NullLaw::new(vec![0.1, 0.2, 0.2, 0.4], 1)?;
    /// assert_eq!(null.p_values(&[0.9])?, [0.2]); // above all: 1 of 5
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// Another number of statistics, a NaN.
    pub fn p_values(&self, observed: &[f64]) -> Result<Vec<f64>> {
        self.check(observed)?;
        let n = self.draws() as f64;
        let above =
            |s: usize| self.values.iter().skip(s).step_by(self.statistics).filter(|v| **v >= observed[s]).count();
        Ok((0..self.statistics).map(|s| (1.0 + above(s) as f64) / (1.0 + n)).collect())
    }

    /// One p-value of the statistics marked in `used` `[S]`, as [`combined`] has it.
    ///
    /// # Errors
    /// As [`Self::p_values`]; none used.
    pub fn combined(&self, observed: &[f64], used: &[bool]) -> Result<f64> {
        self.check(observed)?;
        if used.len() != self.statistics || !used.contains(&true) {
            return Err(Error::parameter("statistics", format!("at least one of {} in use", self.statistics), "none"));
        }
        let column = |s: usize| [self.column(s), vec![observed[s]]].concat();
        let all = combined((0..self.statistics).filter(|&s| used[s]).map(column));
        Ok(all.and_then(|p| p.last().copied()).unwrap_or(1.0))
    }

    fn check(&self, observed: &[f64]) -> Result<()> {
        if observed.len() != self.statistics {
            return Err(Error::shape("statistics", format!("[{}]", self.statistics), format!("[{}]", observed.len())));
        }
        match observed.iter().position(|v| v.is_nan()) {
            Some(s) => Err(Error::NotFinite { what: "statistic".into(), place: s.to_string(), value: f64::NAN }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;

    #[test]
    fn p_values_by_hand() {
        let null = NullLaw::new(vec![1.0, 5.0, 2.0, 5.0, 3.0, 6.0, 4.0, 7.0], 2).unwrap();
        assert_eq!(null.p_values(&[3.5, 5.0]).unwrap(), [0.4, 1.0]);
        assert_eq!(null.p_values(&[9.0, 9.0]).unwrap(), [0.2, 0.2]);
        // The observed draw has the greatest first statistic, draw 4 the greatest second one: both of rank 1. The first lies 1.9 deviations above the
        // mean of 1, 2, 3, 4, 9, the second 1.0 above that of 5, 5, 6, 7, 0.
        assert_eq!(null.combined(&[9.0, 0.0], &[true, true]).unwrap(), 0.2);
        assert_eq!(null.combined(&[4.1, 8.0], &[true, true]).unwrap(), 0.2);
        assert_eq!(null.combined(&[3.5, 7.0], &[true, true]).unwrap(), 0.4);
        assert_eq!(null.combined(&[9.0, 0.0], &[true, false]).unwrap(), 0.2);
    }

    #[test]
    fn all_p_values_are_super_uniform_with_ties_and_dependence() {
        // Statistics of every kind: continuous, a count with few values, a copy of the first with a little noise.
        let mut rng = Streams::new(3).rng();
        let mut draw = || {
            let (a, b, c) = (rng.random::<f64>(), rng.random::<f64>(), rng.random::<f64>());
            [a, (4.0 * b).floor(), a + 0.1 * c]
        };
        let (mut hits, trials) = ([0usize; 4], 4000);
        for _ in 0..trials {
            let null: Vec<f64> = (0..39).flat_map(|_| draw()).collect();
            let null = NullLaw::new(null, 3).unwrap();
            let observed = draw();
            let mut p = null.p_values(&observed).unwrap();
            p.push(null.combined(&observed, &[true; 3]).unwrap());
            hits.iter_mut().zip(p).for_each(|(h, p)| *h += usize::from(p <= 0.1));
        }
        // P(p ≤ .1) ≤ .1, with equality for the continuous ones: within four standard errors of 400.
        assert!(hits.iter().all(|&h| h <= 476), "{hits:?}");
        assert!(hits[0] > 324 && hits[3] > 300, "{hits:?}");
    }

    #[test]
    fn bad_statistics_are_named() {
        assert!(NullLaw::new(vec![], 1).is_err());
        assert!(NullLaw::new(vec![0.0, f64::NAN], 2).unwrap_err().to_string().contains("draw 0, statistic 1"));
        let null = NullLaw::new(vec![0.0, 1.0], 2).unwrap();
        assert!(null.p_values(&[0.0]).unwrap_err().to_string().contains("[2]"));
        assert!(null.p_values(&[0.0, f64::NAN]).is_err());
        assert!(null.combined(&[0.0, 0.0], &[false, false]).is_err());
    }
}
