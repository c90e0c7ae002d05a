//! Families of points: clusters with nothing between them, as networks from two origins form.
//!
//! The points are seen along their leading principal directions and halved by 2-means, from the sign of each direction. A cut stands where the two parts are
//! further apart, in Ashman's D = √2 |μ₁ − μ₂| / √(σ₁² + σ₂²) along the line of their means, than the parts of one cluster ever come by such a search: D is
//! about 2.7 for a normal law, 3.5 for a uniform one, 4.2 for an arcsine law (a random walk's first direction). Each part is then looked at again.
//! Three or more clusters evenly in a row are taken for one, as no cut of theirs is far enough from its own parts.
//! The bar is 5.5 + 110/n: of 300 draws each of normal, uniform, arcsine, exponential and t₃ laws, at n from 10 to 400, none but one of the arcsine
//! law at n = 10 comes above it. Cost: O(n² D + n³) once a cut.
use super::points::Held;
use super::principal::Principal;
use crate::Result;

/// Fewest points that are looked at.
const FEWEST: usize = 8;
/// Most principal directions that are looked along.
const DIRECTIONS: usize = 8;
/// Most families.
const MOST: usize = 8;
/// Rounds of 2-means.
const ROUNDS: usize = 50;

/// Which family each point is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Families {
    /// Family of every point `[n]`; the largest family is 0.
    pub of_point: Vec<usize>,
    /// Points of each, the largest first.
    pub sizes: Vec<usize>,
}

impl Families {
    /// The families of `points [n, D]`: one where nothing speaks for more.
    ///
    /// # Errors
    /// Points without an eigendecomposition.
    pub fn of(points: &[f32], dimension: usize) -> Result<Self> {
        let n = points.len() / dimension;
        let (mut whole, mut open) = (Vec::new(), vec![(0..n).collect::<Vec<usize>>()]);
        while let Some(part) = open.pop() {
            match cut(points, dimension, &part, n)? {
                Some([a, b]) if whole.len() + open.len() + 2 <= MOST => open.extend([a, b]),
                _ => whole.push(part),
            }
        }
        // By size, then by the first point: an order that does not depend on how they were found.
        whole.sort_by_key(|part| (std::cmp::Reverse(part.len()), part.first().copied()));
        let mut of_point = vec![0; n];
        for (family, part) in whole.iter().enumerate() {
            part.iter().for_each(|&i| of_point[i] = family);
        }
        Ok(Self { of_point, sizes: whole.iter().map(Vec::len).collect() })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }
}

/// The two families that `part` of `n` points falls into, where it does.
fn cut(points: &[f32], d: usize, part: &[usize], n: usize) -> Result<Option<[Vec<usize>; 2]>> {
    let m = part.len();
    if m < FEWEST {
        return Ok(None);
    }
    let rows: Vec<f32> = part.iter().flat_map(|&i| &points[i * d..(i + 1) * d]).copied().collect();
    let principal = Principal::of("points", &Held::new(&rows, d)?)?;
    let q = (m / 8).clamp(1, DIRECTIONS);
    let score = |row: usize, k: usize| principal.vector(row, k) * (principal.variances[k] * (m - 1) as f64).sqrt();
    let scores: Vec<f64> = (0..m).flat_map(|row| (0..q).map(move |k| (row, k))).map(|(row, k)| score(row, k)).collect();
    let least = (n.div_ceil(20)).max(3);
    let starts = (0..q).flat_map(|k| [(k, 0..q), (k, k..k + 1)]);
    let found = starts.filter_map(|(k, columns)| {
        halved(&scores, q, k, columns).filter(|side| {
            let upper = side.iter().filter(|side| **side).count();
            upper >= least && m - upper >= least
        })
    });
    let best = found.map(|side| (ashman(&scores, q, &side), side)).max_by(|a, b| a.0.total_cmp(&b.0));
    let bar = 5.5 + 110.0 / m as f64;
    Ok(best.filter(|(apart, _)| *apart > bar).map(|(_, side)| {
        let of = |upper: bool| part.iter().zip(&side).filter(|(_, side)| **side == upper).map(|(&i, _)| i).collect();
        [of(false), of(true)]
    }))
}

/// 2-means of `scores [m, q]` within some columns, from the median of column `k`; none where one half is empty.
fn halved(scores: &[f64], q: usize, k: usize, columns: std::ops::Range<usize>) -> Option<Vec<bool>> {
    let mut column: Vec<f64> = scores.chunks_exact(q).map(|row| row[k]).collect();
    let values = column.clone();
    column.sort_unstable_by(f64::total_cmp);
    let median = column[(column.len() - 1) / 2];
    let mut side: Vec<bool> = values.iter().map(|v| *v > median).collect();
    for _ in 0..ROUNDS {
        let [low, high] = centres(scores, q, &side)?;
        let distance = |row: &[f64], centre: &[f64]| columns.clone().map(|c| (row[c] - centre[c]).powi(2)).sum::<f64>();
        let next: Vec<bool> = scores.chunks_exact(q).map(|row| distance(row, &high) < distance(row, &low)).collect();
        if next == side {
            break;
        }
        side = next;
    }
    Some(side)
}

/// Means `[q]` of the two sides; none where one is empty.
fn centres(scores: &[f64], q: usize, side: &[bool]) -> Option<[Vec<f64>; 2]> {
    let mut sums = [vec![0.0; q], vec![0.0; q]];
    let mut counts = [0usize; 2];
    for (row, side) in scores.chunks_exact(q).zip(side) {
        let at = usize::from(*side);
        counts[at] += 1;
        sums[at].iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
    }
    if counts.contains(&0) {
        return None;
    }
    for (sum, count) in sums.iter_mut().zip(counts) {
        sum.iter_mut().for_each(|v| *v /= count as f64);
    }
    Some(sums)
}

/// Ashman's D of the two sides along the line of their means.
fn ashman(scores: &[f64], q: usize, side: &[bool]) -> f64 {
    let Some([low, high]) = centres(scores, q, side) else { return 0.0 };
    let along = |row: &[f64]| row.iter().zip(low.iter().zip(&high)).map(|(v, (l, h))| v * (h - l)).sum::<f64>();
    let moments = |upper: bool| {
        let values: Vec<f64> =
            scores.chunks_exact(q).zip(side).filter(|(_, s)| **s == upper).map(|(row, _)| along(row)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        (mean, square / (values.len().max(2) - 1) as f64)
    };
    let ((a, va), (b, vb)) = (moments(false), moments(true));
    2f64.sqrt() * (a - b).abs() / (va + vb).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use crate::nn::normal;
    use rand::RngExt;

    /// `n` normal points of `d` numbers, each moved by what `shift` says of its number.
    fn points(n: usize, d: usize, seed: u64, shift: impl Fn(usize) -> f32) -> Vec<f32> {
        let mut x = vec![0.0; n * d];
        normal::fill(&mut Streams::new(seed).rng(), &mut x);
        x.chunks_exact_mut(d).enumerate().for_each(|(i, row)| row.iter_mut().for_each(|v| *v += shift(i)));
        x
    }

    #[test]
    fn families_are_found_with_their_members_and_one_cluster_stays_one() {
        // Means 1 apart in each of 400 numbers: 20 standard deviations along the line between them.
        let two = Families::of(&points(40, 400, 1, |i| f32::from(u8::from(i % 4 == 0))), 400).unwrap();
        assert_eq!(two.sizes, [30, 10]);
        assert!((0..40).all(|i| two.of_point[i] == usize::from(i % 4 == 0)));
        // Three at the corners of a triangle.
        let mut corners = points(90, 400, 2, |_| 0.0);
        let mut moved = |corner: usize, number: usize| {
            corners.chunks_exact_mut(400).skip(corner).step_by(3).for_each(|row| row[number] += 1.5);
        };
        (0..200).for_each(|k| moved(1, 2 * k));
        (0..200).for_each(|k| moved(2, 2 * k + 1));
        let three = Families::of(&corners, 400).unwrap();
        assert_eq!(three.sizes, [30, 30, 30]);
        assert!((0..90).all(|i| three.of_point[i] == i % 3));
        for seed in 0..5 {
            for n in [8, 20, 60] {
                assert_eq!(Families::of(&points(n, 300, seed, |_| 0.0), 300).unwrap().count(), 1);
            }
        }
        assert_eq!(Families::of(&points(3, 5, 1, |i| 100.0 * i as f32), 5).unwrap().sizes, [3], "too few to tell");
    }

    #[test]
    fn outliers_walks_and_stretched_clusters_are_no_families() {
        let mut outlier = points(40, 100, 3, |_| 0.0);
        outlier[..100].iter_mut().for_each(|v| *v += 50.0);
        assert_eq!(Families::of(&outlier, 100).unwrap().count(), 1);
        // A random walk in many dimensions: its first principal score has an arcsine law, the least unimodal of all.
        let mut walk = points(60, 500, 4, |_| 0.0);
        for i in 500..walk.len() {
            walk[i] += walk[i - 500];
        }
        assert_eq!(Families::of(&walk, 500).unwrap().count(), 1);
        let mut rng = Streams::new(5).rng();
        let uniform: Vec<f32> = (0..100).map(|_| rng.random_range(-30.0..30.0)).collect();
        let stretched = points(100, 50, 6, |i| uniform[i]);
        assert_eq!(Families::of(&stretched, 50).unwrap().count(), 1);
    }
}
