//! Black-box shift detection (M16; Lipton, Wang, Smola 2018; Rabanser et al. 2019): are f's outputs distributed as at home?
//!
//! Two statistics: the greatest Kolmogorov–Smirnov distance over the classes' probabilities (all have the same sizes, so the greatest
//! distance is the least Bonferroni-corrected p-value), and χ² of the predicted classes against those at home. Both are two-sided: they fire
//! on benign shift and on shifted label shares. Needs logits only.
use super::base::Sample;
use super::entropy::ks_distance;
use super::test::{self, ShiftTest, Statistic};
use crate::{Result, Streams, interrupt};
use rayon::prelude::*;

/// The test.
#[derive(Clone, Debug)]
pub struct Bbsd {
    /// Probabilities of each class at home, `[C][N]`.
    home: Vec<Vec<f64>>,
    /// Shares of predicted classes at home, each at least that of half a row.
    shares: Vec<f64>,
    like: Sample,
}

impl Bbsd {
    /// With validation rows as home.
    pub fn new(home: &Sample) -> Self {
        let c = home.classes();
        let mut counts = vec![0.5; c];
        home.predictions().iter().for_each(|&p| counts[p as usize] += 1.0);
        let total: f64 = counts.iter().sum();
        Self { home: columns(home), shares: counts.iter().map(|n| n / total).collect(), like: home.rows(&[0]) }
    }

    fn of(&self, query: &Sample) -> Result<[f64; 2]> {
        test::check(query, &self.like, false)?;
        let mut furthest: f64 = 0.0;
        for (q, home) in columns(query).iter().zip(&self.home) {
            furthest = furthest.max(ks_distance(q, home));
        }
        let mut counts = vec![0usize; self.shares.len()];
        query.predictions().iter().for_each(|&p| counts[p as usize] += 1);
        let expected = self.shares.iter().map(|s| s * query.len() as f64);
        let chi = counts.iter().zip(expected).map(|(&n, e)| (n as f64 - e) * (n as f64 - e) / e).sum();
        Ok([furthest, chi])
    }
}

fn columns(rows: &Sample) -> Vec<Vec<f64>> {
    let (p, c) = (rows.probabilities(), rows.classes());
    (0..c).map(|k| p.iter().skip(k).step_by(c).map(|v| f64::from(*v)).collect()).collect()
}

impl ShiftTest for Bbsd {
    fn name(&self) -> &'static str {
        "bbsd"
    }

    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("ks"), Statistic::printed("chi2")] }
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Vec<f64>> {
        let each: Vec<[f64; 2]> =
            queries.par_iter().map(|q| interrupt::check().and_then(|()| self.of(q))).collect::<Result<_>>()?;
        Ok(each.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_statistics_by_hand() {
        // Home: classes 0 and 1, three rows each.
        let home =
            Sample::of_logits([[2.0, 0.0]; 3].iter().chain(&[[0.0, 2.0]; 3]).flatten().copied().collect(), 2).unwrap();
        let test = Bbsd::new(&home);
        let one_sided = Sample::of_logits(vec![2.0, 0.0, 2.0, 0.0], 2).unwrap();
        let s = test.measure(&[home.clone(), one_sided], &Streams::new(0)).unwrap();
        assert!(s[0] < 1e-12 && s[1] < 1e-12, "{s:?}");
        // Half of home lies below every row of the query; χ² = (2 − 1)²/1 + (0 − 1)²/1.
        assert!((s[2] - 0.5).abs() < 1e-12 && (s[3] - 2.0).abs() < 1e-12, "{s:?}");
    }
}
