//! Euclidean distances between many points: in tiles by matrix products, exact where points nearly coincide (M19, M20).
//!
//! ‖a − b‖² = ‖a‖² + ‖b‖² − 2 a·b, all in f64 from f32 points, so the error is about 1e-16 (‖a‖² + ‖b‖²); where the result
//! is below 1e-6 of that sum it is computed again by differences. So a copy is at distance 0 and a near-copy keeps its
//! digits, which is what novelty stands on. Tiles are fixed, so the bytes do not depend on the number of threads;
//! memory is 4 MiB a thread beyond the result.
use crate::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::ops::Range;

/// Points in the side of a tile.
const TILE: usize = 128;
/// Coordinates taken at once.
const DEPTH: usize = 2048;
/// Share of ‖a‖² + ‖b‖² below which a squared distance is computed by differences.
const NEAR: f64 = 1e-6;

/// Two sets of points `[n, P]` and `[m, P]` whose distances are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    a: &'a [f32],
    b: &'a [f32],
    n: usize,
    m: usize,
    p: usize,
}

/// The closest point of the other set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// Its row.
    pub index: usize,
    /// Its Euclidean distance.
    pub distance: f64,
}

/// The number of points in `points [n, P]`.
///
/// # Errors
/// A length that is no multiple of P ≥ 1, no point, or a coordinate that is not finite.
pub fn count(what: &str, points: &[f32], p: usize) -> Result<usize> {
    if p == 0 || points.is_empty() || !points.len().is_multiple_of(p) {
        return Err(Error::shape(what, format!("[n, {p}] with n at least 1"), format!("[{}]", points.len())));
    }
    match points.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(Error::NotFinite {
            what: what.into(),
            place: format!("row {}, index {}", i / p, i % p),
            value: f64::from(points[i]),
        }),
        None => Ok(points.len() / p),
    }
}

impl<'a> Points<'a> {
    /// The pairs of `a [n, P]` with `b [m, P]`.
    ///
    /// # Errors
    /// As [`count`].
    pub fn new(a: &'a [f32], b: &'a [f32], p: usize) -> Result<Self> {
        Ok(Self { a, b, n: count("first points", a, p)?, m: count("second points", b, p)?, p })
    }

    /// All distances `[n, m]`.
    pub fn all(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.n * self.m];
        out.par_chunks_mut(TILE * self.m).enumerate().for_each_init(Scratch::default, |scratch, (block, out)| {
            let rows = block * TILE..block * TILE + out.len() / self.m;
            for columns in tiles(self.m) {
                self.tile(rows.clone(), columns.clone(), scratch);
                let wide = columns.len();
                for (out, tile) in out.chunks_exact_mut(self.m).zip(scratch.tile.chunks_exact(wide)) {
                    out[columns.clone()].copy_from_slice(tile);
                }
            }
        });
        out
    }

    /// The nearest point of b for each point of a `[n]`; the first of equally near ones.
    pub fn nearest(&self) -> Vec<Nearest> {
        self.scan(|_, _| true)
    }

    /// The sum of all distances, row by row in a fixed order.
    pub fn sum(&self) -> f64 {
        let parts = self.blocks(|rows, scratch| {
            let part = |columns| {
                self.tile(rows.clone(), columns, scratch);
                scratch.tile.iter().sum::<f64>()
            };
            vec![tiles(self.m).map(part).sum::<f64>()]
        });
        parts.into_iter().sum()
    }

    fn scan(&self, allowed: impl Fn(usize, usize) -> bool + Sync) -> Vec<Nearest> {
        self.blocks(|rows, scratch| {
            let mut best = vec![Nearest { index: usize::MAX, distance: f64::INFINITY }; rows.len()];
            for columns in tiles(self.m) {
                self.tile(rows.clone(), columns.clone(), scratch);
                for ((i, best), tile) in rows.clone().zip(&mut best).zip(scratch.tile.chunks_exact(columns.len())) {
                    for (index, &distance) in columns.clone().zip(tile) {
                        if distance < best.distance && allowed(i, index) {
                            *best = Nearest { index, distance };
                        }
                    }
                }
            }
            best
        })
    }

    /// Applies `f` to every block of rows in parallel and joins the results in order.
    fn blocks<T: Send>(&self, f: impl Fn(Range<usize>, &mut Scratch) -> Vec<T> + Sync) -> Vec<T> {
        let rows: Vec<Range<usize>> = tiles(self.n).collect();
        let parts: Vec<Vec<T>> =
            rows.into_par_iter().map_init(Scratch::default, |scratch, rows| f(rows, scratch)).collect();
        parts.into_iter().flatten().collect()
    }

    /// Fills `scratch.tile` with the distances `[rows, columns]`.
    fn tile(&self, rows: Range<usize>, columns: Range<usize>, scratch: &mut Scratch) {
        let (high, wide) = (rows.len(), columns.len());
        let Scratch { left, right, tile, norms } = scratch;
        tile.clear();
        tile.resize(high * wide, 0.0);
        norms.clear();
        norms.resize(high + wide, 0.0);
        for start in (0..self.p).step_by(DEPTH) {
            let depth = start..(start + DEPTH).min(self.p);
            widen(self.a, self.p, rows.clone(), depth.clone(), left, &mut norms[..high]);
            widen(self.b, self.p, columns.clone(), depth.clone(), right, &mut norms[high..]);
            let left = MatRef::from_row_major_slice(left, high, depth.len());
            let right = MatRef::from_row_major_slice(right, wide, depth.len());
            let dots = MatMut::from_row_major_slice_mut(tile, high, wide);
            matmul(dots, Accum::Add, left, right.transpose(), 1.0, Par::Seq);
        }
        for (r, i) in rows.enumerate() {
            for (c, j) in columns.clone().enumerate() {
                let (dot, scale) = (tile[r * wide + c], norms[r] + norms[high + c]);
                let square = scale - 2.0 * dot;
                tile[r * wide + c] = if square > NEAR * scale {
                    square.sqrt()
                } else {
                    by_differences(&self.a[i * self.p..][..self.p], &self.b[j * self.p..][..self.p])
                };
            }
        }
    }
}

/// The nearest other point for each of `points [n, P]`: leave-one-out.
///
/// # Errors
/// As [`count`], or a single point.
pub fn nearest_others(points: &[f32], p: usize) -> Result<Vec<Nearest>> {
    let pairs = Points::new(points, points, p)?;
    if pairs.n < 2 {
        return Err(Error::shape("points", format!("[n, {p}] with n at least 2"), format!("[1, {p}]")));
    }
    Ok(pairs.scan(|i, j| i != j))
}

#[derive(Default)]
struct Scratch {
    left: Vec<f64>,
    right: Vec<f64>,
    tile: Vec<f64>,
    norms: Vec<f64>,
}

fn tiles(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(TILE).map(move |start| start..(start + TILE).min(n))
}

/// Copies coordinates `depth` of the points `rows` to f64 and adds their squares to `norms`.
fn widen(points: &[f32], p: usize, rows: Range<usize>, depth: Range<usize>, out: &mut Vec<f64>, norms: &mut [f64]) {
    out.clear();
    for (i, norm) in rows.zip(norms) {
        let row = &points[i * p..(i + 1) * p][depth.clone()];
        out.extend(row.iter().map(|&v| f64::from(v)));
        *norm += row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
    }
}

/// ‖a − b‖ of two points `[P]`.
pub fn by_differences(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;
    use rand_distr::StandardNormal;

    fn gaussian(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Streams::new(seed).rng();
        (0..n).map(|_| rng.sample::<f32, _>(StandardNormal)).collect()
    }

    #[test]
    fn tiles_agree_with_differences() {
        for (n, m, p) in [(1, 1, 1), (3, 300, 5), (130, 129, 7), (200, 40, 2500)] {
            let (a, b) = (gaussian(n * p, 1), gaussian(m * p, 2));
            let pairs = Points::new(&a, &b, p).unwrap();
            let all = pairs.all();
            for (i, x) in a.chunks(p).enumerate() {
                for (j, y) in b.chunks(p).enumerate() {
                    assert!((all[i * m + j] - by_differences(x, y)).abs() < 1e-9);
                }
            }
            assert!((pairs.sum() / all.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (i, found) in pairs.nearest().into_iter().enumerate() {
                let row = &all[i * m..(i + 1) * m];
                let least = row.iter().copied().fold(f64::INFINITY, f64::min);
                assert_eq!((found.distance, row[found.index]), (least, least));
            }
        }
    }

    #[test]
    fn copies_are_at_zero_and_near_copies_keep_their_digits() {
        let p = 1000;
        let mut points = gaussian(150 * p, 3);
        points.iter_mut().for_each(|v| *v += 10.0);
        let (first, rest) = points.split_at_mut(p);
        rest[99 * p..100 * p].copy_from_slice(first);
        rest[99 * p + 17] += 1e-3;
        let exact = f64::from(rest[99 * p + 17] - first[17]);
        let points = points;
        assert!(
            Points::new(&points, &points, p)
                .unwrap()
                .nearest()
                .iter()
                .enumerate()
                .all(|(i, x)| x.index == i && x.distance == 0.0)
        );
        let others = nearest_others(&points, p).unwrap();
        assert_eq!((others[0].index, others[100].index), (100, 0));
        assert!((others[0].distance / exact - 1.0).abs() < 1e-12);
        assert!(others.iter().enumerate().all(|(i, x)| x.index != i));
    }

    #[test]
    fn bytes_do_not_depend_on_threads() {
        let (a, b) = (gaussian(300 * 33, 4), gaussian(290 * 33, 5));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (Points::new(&a, &b, 33).unwrap().all(), Points::new(&a, &b, 33).unwrap().sum()))
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn bad_points_are_refused() {
        assert!(Points::new(&[0.0; 3], &[0.0; 4], 2).is_err());
        assert!(Points::new(&[0.0; 4], &[], 2).is_err());
        assert!(matches!(Points::new(&[f32::NAN, 0.0], &[0.0; 2], 2), Err(Error::NotFinite { .. })));
        assert!(nearest_others(&[0.0; 2], 2).is_err());
    }
}
