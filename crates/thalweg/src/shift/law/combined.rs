//! One p-value of several statistics, by the least of their ranks.
//!
//! Among all draws, the observed one with them, every draw gets for each statistic the number of draws at least as large, and keeps the smallest; its
//! p-value is the share of draws whose smallest is at most its own. All draws are treated alike, so the result is valid as it stands, whatever
//! the dependence between the statistics: no Bonferroni factor is paid for correlated ones. Ties, of which few draws make many, are broken by how
//! many standard deviations a statistic lies above the mean of all draws. Cost: O(S n log n).

/// The p-value of every draw from the statistics `columns`, each `[n]`; none without a column.
pub fn combined(columns: impl IntoIterator<Item = Vec<f64>>) -> Option<Vec<f64>> {
    let mut extremes: Option<Vec<Extreme>> = None;
    for column in columns {
        let of = Extreme::of(&column);
        extremes = Some(match extremes {
            Some(before) => before.into_iter().zip(of).map(|(a, b)| a.further(b)).collect(),
            None => of,
        });
    }
    let extremes = extremes?;
    let mut sorted = extremes.clone();
    sorted.sort_by(Extreme::compare);
    let share = |e: &Extreme| sorted.partition_point(|s| s.compare(e).is_le()) as f64 / sorted.len() as f64;
    Some(extremes.iter().map(share).collect())
}

/// For each value how many are at least as large, itself among them: its rank from above, ties at the worst.
pub(in crate::shift) fn as_large(values: &[f64]) -> Vec<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    values.iter().map(|v| values.len() - sorted.partition_point(|s| s < v)).collect()
}

/// How far out a draw is among all draws, by the statistic that shows it best.
#[derive(Clone, Copy)]
struct Extreme {
    /// Draws that are as large or larger, the draw itself among them: the least over statistics.
    rank: usize,
    /// Standard deviations above the mean of all draws: the greatest over statistics.
    deviations: f64,
}

impl Extreme {
    /// Every draw of one statistic.
    fn of(values: &[f64]) -> Vec<Self> {
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let n = finite.len().max(1) as f64;
        let mean = finite.iter().sum::<f64>() / n;
        let deviation = (finite.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        // Where all draws are alike, 0/0 is no deviation.
        let deviations = |v: f64| if v == mean { 0.0 } else { (v - mean) / deviation };
        as_large(values).into_iter().zip(values).map(|(rank, &v)| Self { rank, deviations: deviations(v) }).collect()
    }

    /// The same draw seen by two statistics.
    fn further(self, other: Self) -> Self {
        Self { rank: self.rank.min(other.rank), deviations: self.deviations.max(other.deviations) }
    }

    /// The more extreme first.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank).then(other.deviations.total_cmp(&self.deviations))
    }
}
