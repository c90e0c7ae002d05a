//! Euclidean distances between many points, in tiles of vector kernels (M19, M20).
//!
//! By differences, not by inner products: a copy is at distance 0 and a near-copy keeps its digits, which is what novelty
//! stands on. Squares are summed in f32 lanes over pieces of 512 coordinates and in f64 across pieces: a relative error
//! of about 1e-7. A square sum that f32 cannot hold is taken again in f64. Each pair's value depends on its two points
//! alone, so the bytes do not depend on the number of threads; beyond the result, memory is one tile a thread.
use crate::{Error, Result, interrupt};
use rayon::prelude::*;
use std::ops::Range;

/// Points in the side of a tile.
const TILE: usize = 128;
/// Coordinates taken at once: two sides of a tile then lie in the second-level cache.
const DEPTH: usize = 512;
/// Rows of a and of b that one kernel holds in registers.
const HIGH: usize = 4;
const WIDE: usize = 2;
/// Square sums beyond these bounds have lost digits in f32.
const SAFE: Range<f64> = 1e-25..1e37;

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

/// The nearest of M others for each of N things by `distance(i, j)`, among those that are `allowed(i, j)`, `[N]`; the first of equally near ones. For what
/// is compared by other distances than [`Points`] are.
pub fn nearest_by(
    [n, m]: [usize; 2],
    allowed: impl Fn(usize, usize) -> bool + Sync,
    distance: impl Fn(usize, usize) -> f64 + Sync,
) -> Vec<Nearest> {
    let of = |i: usize| {
        let all = (0..m).filter(|&j| allowed(i, j)).map(|index| Nearest { index, distance: distance(i, index) });
        let nearer = |a: Nearest, b: Nearest| if b.distance < a.distance { b } else { a };
        all.reduce(nearer).unwrap_or(Nearest { index: usize::MAX, distance: f64::INFINITY })
    };
    (0..n).into_par_iter().map(of).collect()
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
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn all(&self) -> Result<Vec<f64>> {
        let mut out = vec![0.0; self.n * self.m];
        out.par_chunks_mut(TILE * self.m).enumerate().try_for_each_init(Vec::new, |tile, (block, out)| {
            let rows = block * TILE..block * TILE + out.len() / self.m;
            for columns in tiles(self.m) {
                self.tile(rows.clone(), columns.clone(), tile)?;
                let wide = columns.len();
                for (out, tile) in out.chunks_exact_mut(self.m).zip(tile.chunks_exact(wide)) {
                    out[columns.clone()].copy_from_slice(tile);
                }
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// The nearest point of b for each point of a `[n]`; the first of equally near ones.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn nearest(&self) -> Result<Vec<Nearest>> {
        self.scan(|_, _| true)
    }

    /// The sum of all distances, row by row in a fixed order.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn sum(&self) -> Result<f64> {
        let parts = self.blocks(|rows, tile| {
            let part = |columns| {
                self.tile(rows.clone(), columns, tile)?;
                Ok(tile.iter().sum::<f64>())
            };
            Ok(vec![tiles(self.m).map(part).sum::<Result<f64>>()?])
        })?;
        Ok(parts.into_iter().sum())
    }

    fn scan(&self, allowed: impl Fn(usize, usize) -> bool + Sync) -> Result<Vec<Nearest>> {
        self.blocks(|rows, tile| {
            let mut best = vec![Nearest { index: usize::MAX, distance: f64::INFINITY }; rows.len()];
            for columns in tiles(self.m) {
                self.tile(rows.clone(), columns.clone(), tile)?;
                for ((i, best), tile) in rows.clone().zip(&mut best).zip(tile.chunks_exact(columns.len())) {
                    for (index, &distance) in columns.clone().zip(tile) {
                        if distance < best.distance && allowed(i, index) {
                            *best = Nearest { index, distance };
                        }
                    }
                }
            }
            Ok(best)
        })
    }

    /// Applies `f` to every block of rows in parallel and joins the results in order.
    fn blocks<T: Send>(&self, f: impl Fn(Range<usize>, &mut Vec<f64>) -> Result<Vec<T>> + Sync) -> Result<Vec<T>> {
        let rows: Vec<Range<usize>> = tiles(self.n).collect();
        let parts = rows.into_par_iter().map_init(Vec::new, |tile, rows| f(rows, tile));
        Ok(parts.collect::<Result<Vec<Vec<T>>>>()?.into_iter().flatten().collect())
    }

    /// Fills `tile` with the distances `[rows, columns]`.
    fn tile(&self, rows: Range<usize>, columns: Range<usize>, tile: &mut Vec<f64>) -> Result<()> {
        interrupt::check()?;
        tile.clear();
        tile.resize(rows.len() * columns.len(), 0.0);
        let (a, b) =
            (&self.a[rows.start * self.p..rows.end * self.p], &self.b[columns.start * self.p..columns.end * self.p]);
        pulp::Arch::new().dispatch(Squares { a, b, p: self.p, out: tile });
        for (tile, x) in tile.chunks_exact_mut(columns.len()).zip(a.chunks_exact(self.p)) {
            for (value, y) in tile.iter_mut().zip(b.chunks_exact(self.p)) {
                *value = if SAFE.contains(value) { value.sqrt() } else { by_differences(x, y) };
            }
        }
        Ok(())
    }
}

/// The nearest other point for each of `points [n, P]`: leave-one-out.
///
/// # Errors
/// As [`count`], or a single point; [`Error::Interrupted`].
pub fn nearest_others(points: &[f32], p: usize) -> Result<Vec<Nearest>> {
    let pairs = Points::new(points, points, p)?;
    if pairs.n < 2 {
        return Err(Error::shape("points", format!("[n, {p}] with n at least 2"), format!("[1, {p}]")));
    }
    pairs.scan(|i, j| i != j)
}

fn tiles(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(TILE).map(move |start| start..(start + TILE).min(n))
}

/// Adds the squared distances of `a [n, P]` and `b [m, P]` to `out [n, m]`; a job for pulp, which compiles it once an instruction set.
struct Squares<'a> {
    a: &'a [f32],
    b: &'a [f32],
    p: usize,
    out: &'a mut [f64],
}

impl pulp::WithSimd for Squares<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let (p, n, m) = (self.p, self.a.len() / self.p, self.b.len() / self.p);
        for start in (0..p).step_by(DEPTH) {
            let end = (start + DEPTH).min(p);
            for i in (0..n).step_by(HIGH) {
                // Past the last row the last one stands in again, and its result is dropped.
                let x = [i, i + 1, i + 2, i + 3].map(|i| &self.a[i.min(n - 1) * p + start..i.min(n - 1) * p + end]);
                for j in (0..m).step_by(WIDE) {
                    let y = [j, j + 1].map(|j| &self.b[j.min(m - 1) * p + start..j.min(m - 1) * p + end]);
                    for (i, sums) in (i..n).zip(squares(simd, x, y)) {
                        for (j, sum) in (j..m).zip(sums) {
                            self.out[i * m + j] += f64::from(sum);
                        }
                    }
                }
            }
        }
    }
}

/// ‖x_i − y_j‖² of a few short pieces, all sums in registers.
#[inline(always)]
fn squares<S: pulp::Simd>(simd: S, x: [&[f32]; HIGH], y: [&[f32]; WIDE]) -> [[f32; WIDE]; HIGH] {
    let [x0, x1, x2, x3] = x.map(S::as_simd_f32s);
    let [y0, y1] = y.map(S::as_simd_f32s);
    let mut sums = [[simd.splat_f32s(0.0); WIDE]; HIGH];
    // One zipped iterator, so that no index is checked in the loop.
    let columns = x0.0.iter().zip(x1.0).zip(x2.0).zip(x3.0).zip(y0.0).zip(y1.0);
    for (((((&x0, &x1), &x2), &x3), &y0), &y1) in columns {
        let (x, y) = ([x0, x1, x2, x3], [y0, y1]);
        for i in 0..HIGH {
            for j in 0..WIDE {
                let difference = simd.sub_f32s(x[i], y[j]);
                sums[i][j] = simd.mul_add_e_f32s(difference, difference, sums[i][j]);
            }
        }
    }
    let (x, y) = ([x0.1, x1.1, x2.1, x3.1], [y0.1, y1.1]);
    let mut totals = [[0.0; WIDE]; HIGH];
    for i in 0..HIGH {
        for j in 0..WIDE {
            totals[i][j] = simd.reduce_sum_f32s(sums[i][j]);
            for (x, y) in x[i].iter().zip(y[j]) {
                totals[i][j] += (x - y) * (x - y);
            }
        }
    }
    totals
}

/// ‖a − b‖ of two points `[P]`.
pub fn by_differences(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use thalweg_nets::testing::normals;

    fn gaussian(n: usize, seed: u64) -> Vec<f32> {
        normals(&Streams::new(seed), n)
    }

    #[test]
    fn tiles_agree_with_differences() {
        for (n, m, p) in [(1, 1, 1), (3, 300, 5), (130, 129, 7), (200, 40, 2500)] {
            let (a, b) = (gaussian(n * p, 1), gaussian(m * p, 2));
            let pairs = Points::new(&a, &b, p).unwrap();
            let all = pairs.all().unwrap();
            for (i, x) in a.chunks(p).enumerate() {
                for (j, y) in b.chunks(p).enumerate() {
                    assert!((all[i * m + j] / by_differences(x, y) - 1.0).abs() < 1e-6);
                }
            }
            assert!((pairs.sum().unwrap() / all.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (i, found) in pairs.nearest().unwrap().into_iter().enumerate() {
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
                .unwrap()
                .iter()
                .enumerate()
                .all(|(i, x)| x.index == i && x.distance == 0.0)
        );
        let others = nearest_others(&points, p).unwrap();
        assert_eq!((others[0].index, others[100].index), (100, 0));
        assert!((others[0].distance / exact - 1.0).abs() < 1e-6);
        assert!(others.iter().enumerate().all(|(i, x)| x.index != i));
    }

    #[test]
    fn tiny_and_huge_points_keep_their_distances() {
        for scale in [1e-30f32, 1e-15, 1e15, 1e30] {
            let (a, b) = ([3.0 * scale, 0.0], [0.0, 4.0 * scale]);
            let found = Points::new(&a, &b, 2).unwrap().all().unwrap()[0];
            assert!((found / (5.0 * f64::from(scale)) - 1.0).abs() < 1e-6, "{scale} {found}");
        }
    }

    #[test]
    fn bytes_do_not_depend_on_threads() {
        let (a, b) = (gaussian(300 * 33, 4), gaussian(290 * 33, 5));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let points = Points::new(&a, &b, 33).unwrap();
            pool.install(|| (points.all().unwrap(), points.sum().unwrap()))
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
