//! Null laws and p-values (M14): p = (1 + #{null ≥ observed})/(1 + n), valid for exchangeable draws and any statistic.
//!
//! Several statistics become one p-value by the least of their ranks: among the n null draws and the observed one, every draw gets for each
//! statistic the share of draws at least as large, and keeps the smallest; the combined p-value is the share of draws whose smallest is at
//! most the observed one's. All n + 1 draws are treated alike, so the result is valid as it stands, whatever the dependence between the
//! statistics: no Bonferroni factor is paid for correlated ones. Cost: O(S n log n) to make, O(S n) a query.
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
    /// # Errors
    /// Another number of statistics, a NaN.
    pub fn p_values(&self, observed: &[f64]) -> Result<Vec<f64>> {
        self.check(observed)?;
        let n = self.draws() as f64;
        let above =
            |s: usize| self.values.iter().skip(s).step_by(self.statistics).filter(|v| **v >= observed[s]).count();
        Ok((0..self.statistics).map(|s| (1.0 + above(s) as f64) / (1.0 + n)).collect())
    }

    /// One p-value of the statistics marked in `used` `[S]`.
    ///
    /// # Errors
    /// As [`Self::p_values`]; none used.
    pub fn combined(&self, observed: &[f64], used: &[bool]) -> Result<f64> {
        self.check(observed)?;
        if used.len() != self.statistics || !used.contains(&true) {
            return Err(Error::parameter("statistics", format!("at least one of {} in use", self.statistics), "none"));
        }
        let n = self.draws();
        let mut least = vec![n + 1; n + 1];
        for s in (0..self.statistics).filter(|&s| used[s]) {
            let mut column = self.column(s);
            column.push(observed[s]);
            least.iter_mut().zip(as_large(&column)).for_each(|(least, rank)| *least = (*least).min(rank));
        }
        let as_small = least.iter().filter(|&&l| l <= least[n]).count();
        Ok(as_small as f64 / (n + 1) as f64)
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

/// For each value how many are at least as large, itself among them: its rank from above, ties at the worst.
pub(in crate::shift) fn as_large(values: &[f64]) -> Vec<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    values.iter().map(|v| values.len() - sorted.partition_point(|s| s < v)).collect()
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
        // The observed draw has the greatest first statistic: rank 1; draw 4 has the greatest second one: rank 1 too.
        assert_eq!(null.combined(&[9.0, 0.0], &[true, true]).unwrap(), 0.4);
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
