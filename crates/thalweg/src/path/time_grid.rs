//! Where a zoo's checkpoints lie on the time axis [0, 1] of a flow (section 1 of book/src/mathematics.md).
//!
//! `Uniform` gives every recorded step the same time. Where checkpoints are dense early and sparse late that is already a change
//! of speed; `ArcLength` and `LossDecrease` make the mean speed of the runs, or of their losses, even instead.
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thalweg_nets::zoo::ZooStore;

/// How checkpoints are placed in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeGrid {
    /// Equal steps of the checkpoint's index.
    #[default]
    Uniform,
    /// Steps in proportion to the mean distance travelled between checkpoints.
    ArcLength,
    /// Steps in proportion to the mean decrease of the loss between checkpoints (increases count as none).
    LossDecrease,
}

/// No step is shorter than this share of an equal one: velocities stay bounded, and times increase.
const SHORTEST: f64 = 0.01;

impl TimeGrid {
    /// Times `[K]` from 0 to 1 for the checkpoints of `zoo`, by its `runs`, read one at a time. `[1.0]` where K = 1.
    ///
    /// # Errors
    /// A zoo without losses, for `LossDecrease`; runs that never move; a file that cannot be read.
    pub fn times(self, zoo: &ZooStore, runs: &[usize]) -> Result<Vec<f64>> {
        let (k, p) = (zoo.checkpoints(), zoo.parameters());
        if k == 1 {
            return Ok(vec![1.0]);
        }
        let mut steps = vec![0.0; k - 1];
        match self {
            TimeGrid::Uniform => steps.fill(1.0),
            TimeGrid::ArcLength => {
                for &run in runs {
                    let theta = zoo.trajectory(run)?;
                    for (step, pair) in steps.iter_mut().zip(theta.chunks_exact(p).zip(theta[p..].chunks_exact(p))) {
                        *step += crate::coupling::assignment::squared_distance(pair.0, pair.1).sqrt();
                    }
                }
            }
            TimeGrid::LossDecrease => {
                if !zoo.is_scored() {
                    return Err(Error::parameter(
                        "time-grid",
                        "uniform or arc-length for a zoo without losses",
                        "loss-decrease",
                    ));
                }
                for &run in runs {
                    let losses = &zoo.losses()[run * k..(run + 1) * k];
                    for (step, pair) in steps.iter_mut().zip(losses.windows(2)) {
                        *step += f64::from(pair[0] - pair[1]).max(0.0);
                    }
                }
            }
        }
        grid(&steps).ok_or_else(|| Error::parameter("time-grid", "runs that move", format!("{self:?} steps {steps:?}")))
    }
}

/// Cumulative shares of `steps`, each at least [`SHORTEST`] of an equal one; none where all are 0 or one is not finite.
fn grid(steps: &[f64]) -> Option<Vec<f64>> {
    let total: f64 = steps.iter().sum();
    if !total.is_finite() || total <= 0.0 {
        return None;
    }
    let steps: Vec<f64> = steps.iter().map(|s| (s / total).max(SHORTEST / steps.len() as f64)).collect();
    let total: f64 = steps.iter().sum();
    let mut times = vec![0.0];
    times.extend(steps.iter().scan(0.0, |t, s| {
        *t += s / total;
        Some(*t)
    }));
    // Exactly, whatever rounding made of the sum.
    times[steps.len()] = 1.0;
    Some(times)
}

/// Indices of `marginals` of K checkpoints at even distances, the first and the last among them.
///
/// # Errors
/// Fewer than two marginals, or more than there are checkpoints.
pub fn choose(checkpoints: usize, marginals: usize) -> Result<Vec<usize>> {
    if marginals < 2 || marginals > checkpoints {
        let expected = match checkpoints {
            0 | 1 => "a zoo whose runs have at least 2 checkpoints (this one has final networks only)".to_owned(),
            k => format!("2 to {k}, the checkpoints of the zoo's runs"),
        };
        return Err(Error::parameter("marginals, ends included", expected, marginals));
    }
    let last = marginals - 1;
    Ok((0..marginals).map(|i| (i * (checkpoints - 1) + last / 2) / last).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cumulative_shares_and_increase() {
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(&grid(&[1.0, 1.0, 1.0, 1.0]).unwrap(), &[0.0, 0.25, 0.5, 0.75, 1.0]));
        assert!(close(&grid(&[3.0, 1.0]).unwrap(), &[0.0, 0.75, 1.0]));
        let stalled = grid(&[1.0, 0.0, 1.0]).unwrap();
        assert!(stalled.windows(2).all(|w| w[1] - w[0] > 0.003), "{stalled:?}");
        assert_eq!(grid(&[0.0, 0.0]), None);
        assert_eq!(grid(&[f64::NAN, 1.0]), None);
    }

    #[test]
    fn marginals_are_spread_evenly_with_both_ends() {
        assert_eq!(choose(7, 7).unwrap(), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(choose(7, 4).unwrap(), [0, 2, 4, 6]);
        assert_eq!(choose(20, 2).unwrap(), [0, 19]);
        for (k, m) in (2..30).flat_map(|k| (2..=k).map(move |m| (k, m))) {
            let chosen = choose(k, m).unwrap();
            assert!(chosen[0] == 0 && chosen[m - 1] == k - 1 && chosen.windows(2).all(|w| w[0] < w[1]));
        }
        assert!(choose(3, 4).unwrap_err().to_string().contains("2 to 3"));
    }
}
