//! Which rows of Q lie within reach of P: no further from P's training rows than nearly all held-out rows are.
//!
//! The distance of a row is that to the nearest of at most `ROWS` training rows. Beyond, neither f's confidence nor networks that were held to f on P
//! need to have anything to do with what f gets right. Cost: |Q| times `ROWS` distances.
use crate::nn::dense::vectorised;
use crate::shift::base::Sample;
use rayon::prelude::*;

/// Training rows that distances are taken to, at most: evenly from among all.
const ROWS: usize = 1000;
/// Rows that are compared side by side.
const BLOCK: usize = 32;
/// Share of held-out rows within reach.
const WITHIN: f64 = 0.95;

/// Squared distance of every row of `rows` to the nearest of `train`.
fn distances(train: &Sample, rows: &Sample) -> Vec<f64> {
    let d = train.width().max(1);
    let count = train.len().min(ROWS);
    let chosen: Vec<&[f32]> =
        (0..count).map(|i| i * train.len() / count).map(|r| &train.inputs[r * d..(r + 1) * d]).collect();
    rows.inputs.par_chunks(d * BLOCK).flat_map_iter(|block| nearest(block, &chosen)).collect()
}

/// Squared distance of each of up to [`BLOCK`] rows `[n, D]` to the nearest of `chosen`: the rows are the lanes of vectors.
fn nearest(block: &[f32], chosen: &[&[f32]]) -> impl Iterator<Item = f64> + use<> {
    let (d, n) = (chosen[0].len(), block.len() / chosen[0].len());
    let mut columns = vec![[0f32; BLOCK]; d];
    for (k, row) in block.chunks_exact(d).enumerate() {
        columns.iter_mut().zip(row).for_each(|(column, v)| column[k] = *v);
    }
    let mut least = [f32::INFINITY; BLOCK];
    vectorised(|| {
        for other in chosen {
            let mut sums = [0f32; BLOCK];
            for (column, v) in columns.iter().zip(*other) {
                sums.iter_mut().zip(column).for_each(|(sum, x)| *sum += (x - v) * (x - v));
            }
            least.iter_mut().zip(sums).for_each(|(least, sum)| *least = least.min(sum));
        }
    });
    least.into_iter().take(n).map(f64::from)
}

/// The squared distance that 95 of 100 held-out rows keep; none where inputs are not known.
pub fn limit(train: &Sample, held_out: &Sample) -> Option<f64> {
    if held_out.width() == 0 || train.width() != held_out.width() {
        return None;
    }
    let some: Vec<usize> = (0..held_out.len().min(ROWS)).collect();
    let mut all = distances(train, &held_out.rows(&some));
    all.sort_by(f64::total_cmp);
    Some(all[((WITHIN * all.len() as f64) as usize).min(all.len() - 1)])
}

/// The share of `query` beyond `limit`.
pub fn outside(train: &Sample, query: &Sample, limit: f64) -> f64 {
    let beyond = distances(train, query).into_iter().filter(|d| *d > limit).count();
    beyond as f64 / query.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use thalweg_nets::testing::normals;

    #[test]
    fn rows_side_by_side_have_the_distances_of_rows_one_by_one() {
        let d = 5;
        let rows = |n: usize, seed| {
            let mut rows = Sample::of_logits([1.0, 0.0].repeat(n), 2).unwrap();
            rows.inputs = normals(&Streams::new(seed), n * d);
            rows
        };
        let train = rows(40, 1);
        let squared = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let nearest =
            |row: &[f32]| train.inputs.chunks(d).map(|other| squared(row, other)).fold(f32::INFINITY, f32::min);
        for n in [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let rows = rows(n, 2);
            let expected: Vec<f64> = rows.inputs.chunks(d).map(|row| f64::from(nearest(row))).collect();
            assert_eq!(distances(&train, &rows), expected, "{n}");
        }
    }
}
