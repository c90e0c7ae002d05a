//! Couplings between two sets of points, and chains of them through many (M4, M5).
//!
//! Every coupling returns index pairs, so that whatever belongs to a point (its run, its context) can follow it. Points of
//! different classes of context are never paired: the coupling works within each class.
pub mod assignment;
pub mod distance;
pub mod jonker_volgenant;
use crate::coupling::assignment::assign;
use crate::coupling::distance::Points;
use crate::{Error, Result, Streams};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A coupling of source and target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Coupling {
    /// Both ends from one run: point i with point i. The default, and what training recordings are for.
    #[default]
    Paired,
    /// A random permutation: nothing is known of who becomes whom.
    Independent,
    /// The exact assignment of least total squared distance within the batch (Tong et al. 2024).
    OptimalTransport,
}

impl Coupling {
    /// Index pairs (i, j) between the rows of `a` and of `b`, both `[B, dimension]`, sorted by j: every row once.
    /// `classes` gives the class of each row of `a` and of `b`; both must hold each class equally often.
    ///
    /// # Errors
    /// Unequal numbers of rows, or of rows of one class; for `Paired`, unlike classes at one index.
    pub fn pairs(
        self,
        a: &[f32],
        b: &[f32],
        dimension: usize,
        classes: Option<(&[u32], &[u32])>,
        streams: &Streams,
    ) -> Result<Vec<(usize, usize)>> {
        if dimension == 0 || a.len() != b.len() || !a.len().is_multiple_of(dimension) {
            let found = format!("[{}] and [{}]", a.len(), b.len());
            return Err(Error::shape("points to couple", format!("[B, {dimension}] twice"), found));
        }
        let size = a.len() / dimension;
        let one = vec![0; size];
        let (class_a, class_b) = classes.unwrap_or((&one, &one));
        let found = || format!("classes {class_a:?} and {class_b:?}");
        if class_a.len() != size || class_b.len() != size {
            return Err(Error::shape("classes to couple", format!("[{size}] twice"), found()));
        }
        if self == Coupling::Paired {
            return match class_a == class_b {
                true => Ok((0..size).map(|i| (i, i)).collect()),
                false => Err(Error::parameter("coupling", "paired points of one class", found())),
            };
        }
        let mut kinds = class_b.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        let mut pairs = Vec::with_capacity(size);
        let mut rng = streams.rng();
        for kind in kinds {
            let members = |classes: &[u32]| (0..size).filter(|&i| classes[i] == kind).collect::<Vec<_>>();
            let (mut from, to) = (members(class_a), members(class_b));
            if from.len() != to.len() {
                return Err(Error::parameter("coupling", "each class equally often on both sides", found()));
            }
            if self == Coupling::Independent {
                from.shuffle(&mut rng);
            } else {
                let gather = |x: &[f32], rows: &[usize]| -> Vec<f32> {
                    rows.iter().flat_map(|&i| &x[i * dimension..(i + 1) * dimension]).copied().collect()
                };
                let (to_points, from_points) = (gather(b, &to), gather(a, &from));
                let mut cost = Points::new(&to_points, &from_points, dimension)?.all()?;
                cost.iter_mut().for_each(|d| *d *= *d);
                let columns = assign(&cost, to.len(), from.len())?;
                from = columns.into_iter().map(|i| from[i]).collect();
            }
            pairs.extend(from.into_iter().zip(to));
        }
        pairs.sort_unstable_by_key(|&(_, j)| j);
        Ok(pairs)
    }

    /// Couples neighbouring marginals, last to first, and returns for each marginal the row that every curve passes:
    /// `[A][B]`, where curve i ends in row i of the last marginal. `classes[a][i]` is the class of row i of marginal a.
    ///
    /// # Errors
    /// As [`Self::pairs`].
    pub fn chain(
        self,
        marginals: &[&[f32]],
        dimension: usize,
        classes: Option<&[&[u32]]>,
        streams: &Streams,
    ) -> Result<Vec<Vec<usize>>> {
        let Some(last) = marginals.last() else { return Ok(vec![]) };
        let links = (0..marginals.len() - 1).into_par_iter().map(|k| {
            let classes = classes.map(|c| (c[k], c[k + 1]));
            self.pairs(marginals[k], marginals[k + 1], dimension, classes, &streams.index(k as u64))
        });
        let links: Vec<_> = links.collect::<Result<_>>()?;
        let mut rows = vec![(0..last.len() / dimension.max(1)).collect::<Vec<_>>(); marginals.len()];
        for (k, link) in links.iter().enumerate().rev() {
            // Sorted by j and complete: link[j].0 is the partner of row j.
            rows[k] = rows[k + 1].iter().map(|&j| link[j].0).collect();
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    fn points(seed: u64, n: usize, d: usize) -> Vec<f32> {
        let mut rng = Streams::new(seed).rng();
        (0..n * d).map(|_| rng.random::<f32>()).collect()
    }

    fn cost(a: &[f32], b: &[f32], d: usize, pairs: impl Iterator<Item = (usize, usize)>) -> f64 {
        pairs.map(|(i, j)| (0..d).map(|k| f64::from(a[i * d + k] - b[j * d + k]).powi(2)).sum::<f64>()).sum()
    }

    fn permutations(n: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![vec![]];
        }
        let mut all = vec![];
        for shorter in permutations(n - 1) {
            for place in 0..n {
                let mut longer = shorter.clone();
                longer.insert(place, n - 1);
                all.push(longer);
            }
        }
        all
    }

    #[test]
    fn optimal_transport_equals_brute_force() {
        for n in 1..=7 {
            let (a, b) = (points(1, n, 3), points(2, n, 3));
            let pairs = Coupling::OptimalTransport.pairs(&a, &b, 3, None, &Streams::new(0)).unwrap();
            let best = permutations(n)
                .into_iter()
                .map(|p| cost(&a, &b, 3, p.into_iter().enumerate()))
                .fold(f64::INFINITY, f64::min);
            assert!((cost(&a, &b, 3, pairs.into_iter()) - best).abs() < 1e-5);
        }
    }

    #[test]
    fn classes_are_never_crossed_and_every_point_is_used_once() {
        let (a, b) = (points(3, 30, 2), points(4, 30, 2));
        let class_a: Vec<u32> = (0..30).map(|i| i % 3).collect();
        let class_b: Vec<u32> = (0..30).map(|i| i / 10).collect();
        for coupling in [Coupling::Independent, Coupling::OptimalTransport] {
            let pairs = coupling.pairs(&a, &b, 2, Some((&class_a, &class_b)), &Streams::new(5)).unwrap();
            assert!(pairs.iter().all(|&(i, j)| class_a[i] == class_b[j]));
            assert_eq!(pairs.iter().map(|p| p.1).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
            let mut from: Vec<usize> = pairs.iter().map(|p| p.0).collect();
            from.sort_unstable();
            assert_eq!(from, (0..30).collect::<Vec<_>>());
        }
        let message = Coupling::Paired.pairs(&a, &b, 2, Some((&class_a, &class_b)), &Streams::new(5)).unwrap_err();
        assert!(message.to_string().contains("paired points of one class"));
        let message = Coupling::Independent.pairs(&a, &b, 2, Some((&[0; 30], &class_b)), &Streams::new(5)).unwrap_err();
        assert!(message.to_string().contains("equally often"));
    }

    #[test]
    fn a_chain_follows_separated_curves_through_shuffled_marginals() {
        // Curves far apart move a little at each marginal and are shuffled: the chain must find every one again.
        let (n, d) = (12, 4);
        let start = points(6, n, d);
        let mut shuffles = vec![];
        let marginals: Vec<Vec<f32>> = (0..5)
            .map(|k| {
                let mut order: Vec<usize> = (0..n).collect();
                order.shuffle(&mut Streams::new(7).index(k).rng());
                let rows = order
                    .iter()
                    .flat_map(|&i| (0..d).map(move |j| (i, j)))
                    .map(|(i, j)| 10.0 * start[i * d + j] + 0.01 * k as f32);
                let rows = rows.collect();
                shuffles.push(order);
                rows
            })
            .collect();
        let views: Vec<&[f32]> = marginals.iter().map(Vec::as_slice).collect();
        let rows = Coupling::OptimalTransport.chain(&views, d, None, &Streams::new(8)).unwrap();
        for curve in 0..n {
            let who: Vec<usize> = (0..5).map(|k| shuffles[k][rows[k][curve]]).collect();
            assert!(who.iter().all(|&w| w == who[4]), "{who:?}");
        }
    }

    #[test]
    fn an_independent_coupling_depends_on_its_stream_alone() {
        let a = points(9, 20, 1);
        let pairs = |seed| Coupling::Independent.pairs(&a, &a, 1, None, &Streams::new(seed)).unwrap();
        assert_eq!(pairs(1), pairs(1));
        assert_ne!(pairs(1), pairs(2));
    }
}
