//! How far two sets of networks overlap in weight space: precision and recall of k-nearest-neighbour manifolds (Kynkäänniemi et al. 2019).
//!
//! A point is within a set where it lies in a ball around one of its points that reaches to that point's k-th nearest other. Precision: the share of generated
//! networks within the training networks'; recall: the share of training networks within the generated ones'. Needs no data.
use crate::Result;
use crate::coupling::distance::{Points, count};

/// k of the paper.
const NEIGHBOURS: usize = 3;

/// Precision and recall; NaN where a set has a single point, whose ball has no radius.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// Share of the generated networks within the training networks' manifold.
    pub precision: f64,
    /// Share of the training networks within the generated networks' manifold.
    pub recall: f64,
}

/// The overlap of `generated [n, P]` with `training [R, P]`: O((n + R)² P).
///
/// # Errors
/// Slices that are no such, weights that are not finite, [`crate::Error::Interrupted`].
pub fn overlap(generated: &[f32], training: &[f32], p: usize) -> Result<Overlap> {
    let (n, r) = (count("generated networks", generated, p)?, count("training networks", training, p)?);
    let across = Points::new(generated, training, p)?.all()?;
    let (of_training, of_generated) = (radii(training, r, p)?, radii(generated, n, p)?);
    let share = |hits: usize, all: usize| hits as f64 / all as f64;
    let precise = (0..n).filter(|i| (0..r).any(|j| across[i * r + j] <= of_training[j])).count();
    let recalled = (0..r).filter(|j| (0..n).any(|i| across[i * r + j] <= of_generated[i])).count();
    Ok(Overlap {
        precision: if r > 1 { share(precise, n) } else { f64::NAN },
        recall: if n > 1 { share(recalled, r) } else { f64::NAN },
    })
}

/// Distance of each of `n` points to its k-th nearest other; the farthest where there are fewer.
fn radii(points: &[f32], n: usize, p: usize) -> Result<Vec<f64>> {
    if n < 2 {
        return Ok(vec![0.0; n]);
    }
    let all = Points::new(points, points, p)?.all()?;
    let radius = |i: usize| {
        let mut row: Vec<f64> = (0..n).filter(|&j| j != i).map(|j| all[i * n + j]).collect();
        row.sort_unstable_by(f64::total_cmp);
        row[NEIGHBOURS.min(n - 1) - 1]
    };
    Ok((0..n).map(radius).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_points_on_a_line_are_those_by_hand() {
        // Training at 0, 1, 2, 3: each third nearest other is 3, 2, 2, 3 away.
        let training = [0.0, 1.0, 2.0, 3.0];
        // 5 lies within the ball of 3; 7 in none. Third nearest others of −1, 5, 5.5, 7: 8, 6, 6.5, 8.
        let found = overlap(&[-1.0, 5.0, 5.5, 7.0], &training, 1).unwrap();
        assert_eq!(found, Overlap { precision: 0.75, recall: 1.0 });
        // Close together and far away: neither holds the other.
        let apart = overlap(&[100.0, 100.1, 100.2, 100.3], &training, 1).unwrap();
        assert_eq!(apart, Overlap { precision: 0.0, recall: 0.0 });
        // The middle alone is right and does not cover the ends: radii of at most .2 about 1.5.
        let narrow = overlap(&[1.4, 1.5, 1.55, 1.6], &training, 1).unwrap();
        assert_eq!(narrow, Overlap { precision: 1.0, recall: 0.0 });
        let one = overlap(&[1.0], &training, 1).unwrap();
        assert!(one.precision == 1.0 && one.recall.is_nan());
        assert!(overlap(&[f32::NAN], &training, 1).is_err());
    }
}
