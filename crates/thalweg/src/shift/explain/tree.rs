//! A shallow regression tree (CART; Breiman et al. 1984) of the rows' scores on their features: which subgroups of Q look most out of place.
use super::feature::Feature;

/// Levels of splits.
const DEPTH: usize = 2;
/// Fewest rows of a subgroup, and their least share of Q.
const FEWEST: usize = 5;
const LEAST: f64 = 0.1;
/// The share of a group's variance that a split has to explain.
const WORTH: f64 = 0.05;

/// A question asked of a row: its input `column` above `threshold`, or not above.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Among the inputs.
    pub column: usize,
    /// Half-way between two values.
    pub threshold: f32,
    /// Which side.
    pub above: bool,
}

impl Split {
    /// Whether a row of inputs is on its side.
    pub fn holds(&self, row: &[f32]) -> bool {
        (row[self.column] > self.threshold) == self.above
    }
}

/// A leaf: the splits that lead to it, and its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// All of them hold.
    pub splits: Vec<Split>,
    /// Row numbers.
    pub rows: Vec<usize>,
}

/// The leaves of the tree of `scores [N]` on `inputs [N, width]`; one without splits where none is worth it.
pub fn grown(inputs: &[f32], scores: &[f64], width: usize) -> Vec<Leaf> {
    let fewest = FEWEST.max((LEAST * scores.len() as f64).ceil() as usize);
    let mut leaves = vec![Leaf { splits: Vec::new(), rows: (0..scores.len()).collect() }];
    for _ in 0..DEPTH {
        leaves = leaves.into_iter().flat_map(|leaf| divided(leaf, (inputs, scores), width, fewest)).collect();
    }
    leaves
}

fn divided(leaf: Leaf, (inputs, scores): (&[f32], &[f64]), width: usize, fewest: usize) -> Vec<Leaf> {
    let Some((column, threshold)) = best(&leaf.rows, (inputs, scores), width, fewest) else { return vec![leaf] };
    let side = |above: bool| {
        let split = Split { column, threshold, above };
        let rows = leaf.rows.iter().copied().filter(|&r| split.holds(&inputs[r * width..(r + 1) * width])).collect();
        Leaf { splits: leaf.splits.iter().cloned().chain([split]).collect(), rows }
    };
    vec![side(false), side(true)]
}

/// The split that leaves the least sum of squares; none where it explains too little.
fn best(rows: &[usize], (inputs, scores): (&[f32], &[f64]), width: usize, fewest: usize) -> Option<(usize, f32)> {
    let n = rows.len();
    let mean = rows.iter().map(|&r| scores[r]).sum::<f64>() / n.max(1) as f64;
    let variance: f64 = rows.iter().map(|&r| (scores[r] - mean).powi(2)).sum();
    let (mut found, mut gain) = (None, WORTH * variance);
    let mut order = rows.to_vec();
    for column in 0..width {
        let value = |r: usize| inputs[r * width + column];
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
        let mut below = 0.0;
        for (i, pair) in order.windows(2).enumerate() {
            below += scores[pair[0]] - mean;
            let (left, right) = ((i + 1) as f64, (n - i - 1) as f64);
            // About the mean, the sums of both sides are opposite: what a split explains is below²/left + below²/right.
            let explained = below * below * (1.0 / left + 1.0 / right);
            let (low, high) = (value(pair[0]), value(pair[1]));
            if i + 1 >= fewest && n - i > fewest && high > low && explained > gain {
                let middle = low + (high - low) / 2.0;
                // Between neighbouring numbers there is none.
                (found, gain) = (Some((column, if middle < high { middle } else { low })), explained);
            }
        }
    }
    found
}

/// What holds of a leaf's rows, in the users' words.
pub fn told(leaf: &Leaf, features: &[Feature]) -> Vec<String> {
    let of = |split: &Split| {
        let feature = features.iter().find(|f| f.columns.contains(&split.column))?;
        Some(feature.condition(split.column - feature.columns.start, split.threshold, split.above))
    };
    leaf.splits.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use thalweg_nets::testing;

    fn normals(n: usize, seed: u64) -> Vec<f32> {
        testing::normals(&Streams::new(seed), n)
    }

    #[test]
    fn a_planted_subgroup_is_found_and_noise_in_few_rows_is_left_whole() {
        let inputs = normals(300, 3);
        let planted: Vec<f64> =
            inputs.chunks_exact(3).map(|x| if x[1] > 0.3 && x[2] <= 0.1 { 1.0 } else { 0.0 }).collect();
        let leaves = grown(&inputs, &planted, 3);
        let sum: usize = leaves.iter().map(|leaf| leaf.rows.len()).sum();
        let pure = leaves.iter().find(|leaf| leaf.rows.iter().all(|&r| planted[r] == 1.0)).unwrap();
        // Every row of the pure leaf is planted; a greedy tree may leave one at its edge elsewhere.
        assert_eq!(sum, 100);
        assert!(pure.rows.len() as f64 >= planted.iter().sum::<f64>() - 1.0, "{leaves:?}");
        let mut columns: Vec<usize> = pure.splits.iter().map(|split| split.column).collect();
        columns.sort_unstable();
        assert_eq!(columns, [1, 2]);
        assert!(pure.rows.iter().all(|&r| pure.splits.iter().all(|s| s.holds(&inputs[r * 3..r * 3 + 3]))));
        assert_eq!(grown(&inputs[..27], &planted[..9], 3).len(), 1, "nine rows are no two groups of five");
        assert_eq!(grown(&inputs, &[0.5; 100], 3).len(), 1);
    }

    #[test]
    fn the_best_split_is_that_of_brute_force() {
        let (inputs, scores) = (normals(120, 5), normals(40, 6));
        let scores: Vec<f64> = scores.iter().map(|v| f64::from(*v)).collect();
        let rows: Vec<usize> = (0..40).collect();
        let squares = |rows: &[usize]| {
            let mean = rows.iter().map(|&r| scores[r]).sum::<f64>() / rows.len() as f64;
            rows.iter().map(|&r| (scores[r] - mean).powi(2)).sum::<f64>()
        };
        let left_over = |(column, threshold): (usize, f32)| {
            let (above, below): (Vec<usize>, Vec<usize>) =
                rows.iter().partition(|&&r| inputs[r * 3 + column] > threshold);
            (above.len() >= 5 && below.len() >= 5).then(|| squares(&above) + squares(&below))
        };
        let brute = (0..3)
            .flat_map(|c| rows.iter().map(move |&r| (c, r)))
            .filter_map(|(c, r)| left_over((c, inputs[r * 3 + c])));
        let least = brute.fold(f64::INFINITY, f64::min);
        let found = best(&rows, (&inputs, &scores), 3, 5).unwrap();
        assert!((left_over(found).unwrap() - least).abs() < 1e-9);
    }
}
