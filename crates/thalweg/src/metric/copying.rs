//! The data-copying score (M20; Meehan, Chaudhuri and Dasgupta, AISTATS 2020): whether generated networks lie nearer to the training runs than held-out
//! runs of the same law do.
//!
//! z of the Mann–Whitney U of generated against held-out distances to the nearest training run: about standard normal for a generator of the zoo's own
//! law, far below 0 for one that copies, above 0 for one that keeps away. How far below 0 it can fall grows with both numbers of networks.

/// z of the Mann–Whitney U statistic of `x` against `y`: below 0 where values of `x` are smaller. Ties have their mean rank, and the variance is that
/// given the ties; NaN where either is empty or all values are equal.
pub fn mann_whitney_z(x: &[f64], y: &[f64]) -> f64 {
    let (n, m) = (x.len() as f64, y.len() as f64);
    let mut all: Vec<(f64, bool)> = x.iter().map(|v| (*v, true)).chain(y.iter().map(|v| (*v, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut ties, mut before) = (0.0, 0.0, 0.0);
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let t = equal.len() as f64;
        let of_x = equal.iter().filter(|v| v.1).count() as f64;
        ranks += of_x * (before + (t + 1.0) / 2.0);
        ties += t * t * t - t;
        before += t;
    }
    let u = ranks - n * (n + 1.0) / 2.0;
    let total = n + m;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    if variance > 0.0 { (u - n * m / 2.0) / variance.sqrt() } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// U by its definition: pairs with x above y, ties half.
    fn u(x: &[f64], y: &[f64]) -> f64 {
        let pair = |a: &f64, b: &f64| {
            if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            }
        };
        x.iter().map(|a| y.iter().map(|b| pair(a, b)).sum::<f64>()).sum()
    }

    #[test]
    fn moments_over_all_divisions_are_zero_and_one() {
        // Every way to choose three of seven values, ties among them: the exact permutation law has mean 0 and variance 1.
        let values = [1.0, 2.0, 2.0, 3.0, 5.0, 5.0, 5.0];
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
        for mask in 0u32..128 {
            if mask.count_ones() != 3 {
                continue;
            }
            let part = |inside: bool| -> Vec<f64> {
                let of = |i: &usize| (mask >> i & 1 == 1) == inside;
                (0..7).filter(of).map(|i| values[i]).collect()
            };
            let (x, y) = (part(true), part(false));
            let z = mann_whitney_z(&x, &y);
            assert_eq!(z > 0.0, u(&x, &y) > 6.0, "{x:?} {y:?}");
            (sum, squares, count) = (sum + z, squares + z * z, count + 1.0);
        }
        assert!(sum.abs() < 1e-9 && (squares / count - 1.0).abs() < 1e-9, "{sum} {squares}");
    }

    #[test]
    fn copies_are_far_below_zero_and_equal_values_have_no_score() {
        let (near, far): (Vec<f64>, Vec<f64>) = (0..40).map(|i| (f64::from(i), f64::from(i) + 100.0)).unzip();
        // Without ties and fully apart: U = 0, so z = −(n m/2)/√(n m (n + m + 1)/12).
        let truth = -800.0 / (1600.0 * 81.0 / 12.0f64).sqrt();
        assert!((mann_whitney_z(&near, &far) - truth).abs() < 1e-12);
        assert!((mann_whitney_z(&far, &near) + truth).abs() < 1e-12);
        assert!(mann_whitney_z(&[1.0], &[1.0, 1.0]).is_nan());
        assert!(mann_whitney_z(&[], &[1.0]).is_nan() && mann_whitney_z(&[1.0], &[]).is_nan());
    }
}
