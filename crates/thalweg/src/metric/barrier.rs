//! Loss barriers (M3): how much worse the networks on the straight line between two networks are than the line's ends say.
//!
//! barrier(a, b) = max_α L((1 − α) a + α b) − ((1 − α) L(a) + α L(b)), over equal steps of α (Frankle et al. 2020; Ainsworth et al. 2023).
//! Alignment should lower it; networks in one basin have about 0. Running statistics of batch normalisation are interpolated like weights,
//! which overstates the barrier of networks that have them. Cost: `points` evaluations a pair.
use super::summary::{Better, Summary};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use thalweg_nets::engine::{Engine, Packed};
use thalweg_nets::evaluate::evaluate;

/// What the line between two networks is like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Barrier {
    /// The barrier in the loss.
    pub loss: f64,
    /// Accuracy at the middle of the line.
    pub middle_accuracy: f64,
}

/// Barriers of `pairs` (a, b), each network `[P]`, on inputs `x [N, D]` with `labels [N]`, at `points` ≥ 3 values of α from 0 to 1.
///
/// # Errors
/// Fewer points, weights or labels that do not fit.
pub fn barriers(
    engine: &Engine,
    pairs: &[(&[f32], &[f32])],
    x: &Packed,
    labels: &[u32],
    points: usize,
) -> Result<Vec<Barrier>> {
    if points < 3 || points.is_multiple_of(2) {
        return Err(Error::parameter("points of a line", "an odd number, at least 3", points));
    }
    let share = |i: usize| i as f64 / (points - 1) as f64;
    let of_pair = |(a, b): &(&[f32], &[f32])| {
        let between = |i: usize| {
            let alpha = share(i) as f32;
            a.iter().zip(*b).map(move |(a, b)| (1.0 - alpha) * a + alpha * b)
        };
        let line: Vec<f32> = (0..points).flat_map(between).collect();
        let scores = evaluate(engine, &line, x, labels)?;
        let (first, last) = (scores[0].loss, scores[points - 1].loss);
        let above = |i: usize| scores[i].loss - ((1.0 - share(i)) * first + share(i) * last);
        let loss = (0..points).map(above).fold(f64::NEG_INFINITY, f64::max);
        Ok(Barrier { loss, middle_accuracy: scores[points / 2].accuracy })
    };
    pairs.iter().map(of_pair).collect()
}

/// Barriers in the loss and accuracies at the middle, over pairs.
///
/// # Errors
/// No pair, or a loss that is not finite.
pub fn summaries(barriers: &[Barrier]) -> Result<[Summary; 2]> {
    let of = |f: fn(&Barrier) -> f64| barriers.iter().map(f).collect::<Vec<_>>();
    Ok([
        Summary::of("barrier", &of(|b| b.loss), Better::Lower)?,
        Summary::of("accuracy at the middle", &of(|b| b.middle_accuracy), Better::Higher)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::Architecture;
    use thalweg_nets::architecture::Preset;

    #[test]
    fn a_line_through_a_worse_network_has_its_height_and_a_point_has_none() {
        // z = w x for one input x = 1 and two classes: loss(w) = ln(1 + exp(w₁ − w₀)), convex in w, so nothing rises above the chord;
        // networks of one hidden unit z = v u x are not: between (u, v) and (−u, −v) lies the zero network.
        let net: Architecture = Preset::Mlp { widths: vec![1] }.build([1, 1, 1], 2).unwrap();
        let engine = Engine::new(&net).unwrap();
        let x = engine.pack(&[1.0]).unwrap();
        let layout = engine.layout();
        let of = |u: f32, v: [f32; 2]| {
            let mut theta = vec![0.0; layout.len()];
            let slots = layout.slots();
            theta[slots[0].range()].copy_from_slice(&[u]);
            theta[slots[2].range()].copy_from_slice(&v);
            theta
        };
        let (a, b) = (of(2.0, [1.0, -1.0]), of(0.0, [-3.0, 3.0]));
        let loss = |margin: f64| (-margin).exp().ln_1p();
        // At α: u = 2(1 − α), v = (1 − 4α)(1, −1): margin 4 (1 − α)(1 − 4α) for class 0.
        let truth = (0..=10)
            .map(|i| f64::from(i) / 10.0)
            .map(|t| loss(4.0 * (1.0 - t) * (1.0 - 4.0 * t)) - ((1.0 - t) * loss(4.0) + t * loss(0.0)))
            .fold(f64::NEG_INFINITY, f64::max);
        let found = barriers(&engine, &[(&a, &b), (&a, &a)], &x, &[0], 11).unwrap();
        assert!((found[0].loss - truth).abs() < 1e-5, "{found:?} {truth}");
        assert!(found[1].loss.abs() < 1e-6 && found[1].middle_accuracy == 1.0);
        assert!(barriers(&engine, &[], &x, &[0], 4).is_err());
    }
}
