//! The action gap (M7): how far a method's drift is from the empirical velocity of training, ½∫E‖v_t − u_t‖² dt.
//!
//! The empirical velocity is that of the straight lines between neighbouring recorded checkpoints of runs that the fit did not
//! see, in the model's own coordinates; the gap is a mean over weights, so that networks of any size compare. No drift that is a function
//! of (x, t) brings it to zero, since runs through one point part: read it beside `still`, the gap of a drift that is zero,
//! and `mean`, that of the mean velocity at each time.
use crate::coupling::Coupling;
use crate::model::MetaModel;
use crate::nn::tape::Tape;
use crate::path::curves::{self, Curves, Marginal};
use crate::path::{Path, ProbabilityPath};
use crate::space::latent::{Decoder, Space};
use crate::space::source::Source;
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};
use thalweg_nets::zoo::ZooStore;

/// The gap of a method and of two trivial drifts, a mean over weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionGap {
    /// Of the method.
    pub gap: f64,
    /// Of no drift at all: half the mean square of the empirical velocity.
    pub still: f64,
    /// Of the mean empirical velocity of the training runs between each two checkpoints.
    pub mean: f64,
}

/// The action gap of `model` on `points` random points along `runs` of `zoo`, which it should not have seen.
///
/// # Errors
/// No run, a zoo of final networks only, a file that cannot be read.
pub fn action_gap(
    model: &MetaModel,
    zoo: &ZooStore,
    runs: &[usize],
    points: usize,
    streams: &Streams,
) -> Result<ActionGap> {
    if model.context.is_some() {
        return Err(Error::contexts("action gap", false));
    }
    let k = zoo.checkpoints();
    if k < 2 || points == 0 {
        return Err(Error::parameter(
            "action gap",
            "runs with checkpoints, and at least one point",
            format!("{k} checkpoints, {points} points"),
        ));
    }
    let training = model.config.split.of(zoo)?.train;
    let times = model.config.time_grid.times(zoo, &training)?;
    let space = model.space();
    let marginals: Vec<_> = (0..k).map(Marginal::Checkpoint).collect();
    let curves = Curves::new(zoo, runs, space, &Source::STANDARD, Coupling::Paired, marginals, curves::budget())?;
    let d = curves.dimension();
    let path = Path::straight(&times)?;
    let drawn = curves.draw(runs, points, &streams.child("curves"))?;
    let batch = path.batch(&drawn, None, &streams.child("path"))?;
    let mut v = vec![0.0; batch.x.len()];
    model.method.velocity(&batch.x, &batch.t, None, &mut v, &mut Tape::default());
    let mean = mean_velocity(zoo, &training, space, &times)?;
    let piece = |t: f32| times[1..k - 1].iter().filter(|&&other| other <= f64::from(t)).count();
    let (mut gap, mut still, mut of_mean) = (0.0, 0.0, 0.0);
    for (i, (u, v)) in batch.u.chunks_exact(d).zip(v.chunks_exact(d)).enumerate() {
        let m = &mean[piece(batch.t[i]) * d..][..d];
        for ((u, v), m) in u.iter().zip(v).zip(m) {
            gap += 0.5 * f64::from(v - u).powi(2);
            still += 0.5 * f64::from(*u).powi(2);
            of_mean += 0.5 * f64::from(m - u).powi(2);
        }
    }
    let n = batch.x.len() as f64;
    Ok(ActionGap { gap: gap / n, still: still / n, mean: of_mean / n })
}

/// Mean velocity of `runs` between neighbouring checkpoints `[K − 1, D]`.
fn mean_velocity(zoo: &ZooStore, runs: &[usize], space: Space<'_>, times: &[f64]) -> Result<Vec<f32>> {
    let (d, k) = (space.dimension(), times.len());
    let mut mean = vec![0.0f64; k * d];
    for &run in runs {
        let points = space.points(zoo.trajectory(run)?);
        mean.iter_mut().zip(&points).for_each(|(m, x)| *m += f64::from(*x) / runs.len() as f64);
    }
    let step = |i: usize| {
        let tau = times[i + 1] - times[i];
        let (from, to) = (&mean[i * d..(i + 1) * d], &mean[(i + 1) * d..(i + 2) * d]);
        from.iter().zip(to).map(move |(a, b)| ((b - a) / tau) as f32).collect::<Vec<_>>()
    };
    Ok((0..k - 1).flat_map(step).collect())
}
