//! Splits of a zoo by run, never by checkpoint: a run's checkpoints are one sample.
use crate::error::{Error, Result};
use crate::streams::{Streams, shuffle};
use serde::{Deserialize, Serialize};

/// How large the held-out parts are; training runs are the rest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Share of the runs to choose on, in [0, 1); at least one run where above 0.
    pub validation: f64,
    /// Share of the runs to report on, in [0, 1); at least one run where above 0.
    pub test: f64,
}

impl Default for Shares {
    /// A tenth each.
    fn default() -> Self {
        Self { validation: 0.1, test: 0.1 }
    }
}

/// Runs of each part, rising; disjoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSplit {
    /// Runs to learn from.
    pub train: Vec<usize>,
    /// Runs to choose on.
    pub validation: Vec<usize>,
    /// Runs to report on.
    pub test: Vec<usize>,
}

impl RunSplit {
    /// Splits `runs` by a permutation of `seed`.
    ///
    /// # Errors
    /// Shares outside [0, 1), or no run left to learn from.
    pub fn new(mut runs: Vec<usize>, shares: Shares, seed: u64) -> Result<Self> {
        let n = runs.len();
        if n == 0 {
            return Err(Error::parameter(
                "zoo",
                "at least one run that did not fail",
                "none: all of them failed in training",
            ));
        }
        let count = |field: &str, share: f64| match (0.0..1.0).contains(&share) {
            true if share == 0.0 => Ok(0),
            true => Ok(((share * n as f64).round() as usize).max(1)),
            false => Err(Error::parameter(format!("split.{field}"), "a share in [0, 1)", share)),
        };
        let (validation, test) = (count("validation", shares.validation)?, count("test", shares.test)?);
        if validation + test >= n {
            return Err(Error::parameter(
                "split",
                format!("parts that leave at least one of {n} runs to learn from"),
                format!("validation {validation}, test {test}"),
            ));
        }
        shuffle(&mut runs, &mut Streams::new(seed).child("zoo split").rng());
        let sorted = |part: &[usize]| {
            let mut part = part.to_vec();
            part.sort_unstable();
            part
        };
        let (test, rest) = runs.split_at(test);
        let (validation, train) = rest.split_at(validation);
        Ok(Self { train: sorted(train), validation: sorted(validation), test: sorted(test) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_disjoint_and_cover(n in 1usize..200, validation in 0.0f64..0.6, test in 0.0f64..0.6, seed: u64) {
            let runs: Vec<usize> = (0..n).map(|i| 3 * i).collect();
            let shares = Shares { validation, test };
            if let Ok(split) = RunSplit::new(runs.clone(), shares, seed) {
                let mut all = [&split.train[..], &split.validation, &split.test].concat();
                all.sort_unstable();
                prop_assert_eq!(&all, &runs);
                prop_assert!(!split.train.is_empty() && (validation == 0.0) == split.validation.is_empty());
                prop_assert_eq!(&split, &RunSplit::new(runs, shares, seed).unwrap());
            } else {
                prop_assert!((validation + test) * n as f64 >= n as f64 - 2.0 || n < 3);
            }
        }
    }

    #[test]
    fn seeds_differ_and_bad_shares_are_named() {
        let runs: Vec<usize> = (0..100).collect();
        let of = |seed| RunSplit::new(runs.clone(), Shares::default(), seed).unwrap();
        assert_ne!(of(0), of(1));
        assert_eq!((of(0).validation.len(), of(0).test.len()), (10, 10));
        let message =
            |validation, test| RunSplit::new(vec![0, 1], Shares { validation, test }, 0).unwrap_err().to_string();
        assert!(message(-0.1, 0.0).contains("split.validation"));
        assert!(message(0.1, f64::NAN).contains("split.test"));
        assert!(message(0.5, 0.5).contains("2 runs"));
    }
}
