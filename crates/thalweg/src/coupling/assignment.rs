//! Exact minimum-cost assignment, and the distance of two points: optimal-transport couplings (M4, M5) and W₁ (M19) stand on it.
//!
//! [`assign`] takes rectangular costs to the square solver [`super::jonker_volgenant`] by rows that cost nothing: at n = 1,000 it takes
//! 0.03 to 0.07 s where crates `lapjv`, `lsap` and `pathfinding` take 0.1 to 0.6 s, with the same totals. Above some thousands of points
//! use a subsample: time grows with the cube.
use super::jonker_volgenant;
use crate::{Error, Result};

/// The columns assigned to rows 0, 1, … of `cost [n, m]`, n ≤ m, so that the total cost is least.
///
/// # Errors
/// A cost of another length, more rows than columns, or a cost that is not finite.
pub fn assign(cost: &[f64], n: usize, m: usize) -> Result<Vec<usize>> {
    if cost.len() != n * m || n > m {
        return Err(Error::shape(
            "cost",
            format!("[{n}, {m}] with no more rows than columns"),
            format!("[{}]", cost.len()),
        ));
    }
    if let Some(i) = cost.iter().position(|c| !c.is_finite()) {
        let place = format!("row {}, column {}", i / m, i % m);
        return Err(Error::NotFinite { what: "assignment cost".into(), place, value: cost[i] });
    }
    if n == m {
        return jonker_volgenant::assign(cost, n);
    }
    // The rows that are not there take the columns that nobody wants, at no cost.
    let mut square = cost.to_vec();
    square.resize(m * m, 0.0);
    let mut columns = jonker_volgenant::assign(&square, m)?;
    columns.truncate(n);
    Ok(columns)
}

/// ‖x − y‖², summed in f32 lanes within pieces of 1,024 and in f64 across them: a fixed order, and an error of about 1e-6.
pub fn squared_distance(x: &[f32], y: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut total = 0.0;
    for (x, y) in x.chunks(1024).zip(y.chunks(1024)) {
        let mut lanes = [0f32; LANES];
        let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
        let rest = xs.remainder().iter().zip(ys.remainder()).map(|(p, q)| (p - q) * (p - q)).sum::<f32>();
        for (p, q) in xs.zip(ys) {
            for l in 0..LANES {
                lanes[l] += (p[l] - q[l]) * (p[l] - q[l]);
            }
        }
        total += f64::from(rest) + lanes.iter().map(|&v| f64::from(v)).sum::<f64>();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;

    /// Least total over all injections of rows into columns.
    fn brute(cost: &[f64], m: usize, row: usize, free: &mut Vec<usize>) -> f64 {
        if row * m == cost.len() {
            return 0.0;
        }
        (0..free.len()).fold(f64::INFINITY, |best, i| {
            let j = free.swap_remove(i);
            let total = cost[row * m + j] + brute(cost, m, row + 1, free);
            free.push(j);
            let last = free.len() - 1;
            free.swap(i, last);
            best.min(total)
        })
    }

    #[test]
    fn equals_brute_force_up_to_seven() {
        let mut rng = Streams::new(1).rng();
        for n in 1..=7 {
            for m in n..=7 {
                let cost: Vec<f64> = (0..n * m).map(|_| rng.random::<f64>()).collect();
                let columns = assign(&cost, n, m).unwrap();
                let total: f64 = columns.iter().enumerate().map(|(i, &j)| cost[i * m + j]).sum();
                assert!((total - brute(&cost, m, 0, &mut (0..m).collect())).abs() < 1e-12);
                let mut seen = columns.clone();
                seen.sort_unstable();
                seen.dedup();
                assert_eq!(seen.len(), n, "one column each");
            }
        }
    }

    #[test]
    fn a_shuffled_line_is_sorted() {
        // In one dimension the optimal assignment for a convex cost is the monotone one.
        let mut rng = Streams::new(2).rng();
        let (x, y): (Vec<f32>, Vec<f32>) = (0..300).map(|_| (rng.random::<f32>(), rng.random::<f32>() + 5.0)).unzip();
        let cost = |x: f32, y: f32| (f64::from(x) - f64::from(y)).powi(2);
        let cost: Vec<f64> = x.iter().flat_map(|&x| y.iter().map(move |&y| cost(x, y))).collect();
        let columns = assign(&cost, 300, 300).unwrap();
        let mut order: Vec<usize> = (0..300).collect();
        order.sort_by(|&i, &j| x[i].total_cmp(&x[j]));
        assert!(order.windows(2).all(|w| y[columns[w[0]]] <= y[columns[w[1]]]));
    }

    #[test]
    fn distances_equal_the_sum_in_double_precision() {
        let mut rng = Streams::new(3).rng();
        let (a, b): (Vec<f32>, Vec<f32>) = (0..7 * 2500).map(|_| (rng.random::<f32>(), rng.random::<f32>())).unzip();
        for k in 0..49 {
            let (x, y) = (&a[k / 7 * 2500..][..2500], &b[k % 7 * 2500..][..2500]);
            let distance = squared_distance(x, y);
            let exact: f64 = x.iter().zip(y).map(|(p, q)| (f64::from(*p) - f64::from(*q)).powi(2)).sum();
            assert!((distance / exact - 1.0).abs() < 1e-6, "{distance} {exact}");
        }
    }

    #[test]
    fn bad_costs_are_refused() {
        assert!(assign(&[1.0; 6], 3, 2).unwrap_err().to_string().contains("no more rows than columns"));
        let message = assign(&[1.0, f64::NAN, 0.0, 0.0], 2, 2).unwrap_err().to_string();
        assert!(message.contains("row 0, column 1"), "{message}");
    }
}
