//! Loss along inference (M18): how networks do at the states that a sampler passes through.
use super::summary::{Better, Summary};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use thalweg_nets::engine::{Engine, Packed};
use thalweg_nets::evaluate::evaluate;

/// The networks of one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct At {
    /// Time of the state.
    pub t: f64,
    /// Cross-entropy of its networks.
    pub loss: Summary,
    /// Accuracy of its networks.
    pub accuracy: Summary,
}

/// Loss and accuracy on `x [N, D]` with `labels [N]` of the `states` `[T][n, P]` at `times [T]`. Take the *validation* set: this
/// curve is looked at to choose (invariant 5 of ARCHITECTURE.md). A loss that overflows counts as +∞.
///
/// # Errors
/// No state, another number of times, slices that do not fit, weights that are not finite.
pub fn loss_along<S: AsRef<[f32]>>(
    engine: &Engine,
    times: &[f64],
    states: &[S],
    x: &Packed,
    labels: &[u32],
) -> Result<Vec<At>> {
    if times.len() != states.len() || states.is_empty() {
        return Err(Error::shape(
            "states",
            format!("[{}, n, P] with T at least 1", times.len()),
            format!("[{}, n, P]", states.len()),
        ));
    }
    let at = |(&t, theta): (&f64, &S)| {
        let scores = evaluate(engine, theta.as_ref(), x, labels)?;
        let losses: Vec<f64> = scores.iter().map(|s| if s.loss.is_nan() { f64::INFINITY } else { s.loss }).collect();
        let accuracies: Vec<f64> = scores.iter().map(|s| s.accuracy).collect();
        Ok(At {
            t,
            loss: Summary::of("loss", &losses, Better::Lower)?,
            accuracy: Summary::of("accuracy", &accuracies, Better::Higher)?,
        })
    };
    times.iter().zip(states).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::Architecture;

    #[test]
    fn a_classifier_scaled_up_along_time() {
        let text = "input = [2, 1, 1]\n[[layers]]\nkind = \"dense\"\nout = 2\nbias = false\n";
        let engine = Engine::new(&Architecture::from_toml_str(text).unwrap()).unwrap();
        let x = engine.pack(&[1.0, 0.0, 0.0, 1.0]).unwrap();
        let states: Vec<Vec<f32>> = [0.0f32, 1.0, 2.0].iter().map(|s| vec![*s, 0.0, 0.0, *s]).collect();
        let found = loss_along(&engine, &[0.0, 0.5, 1.0], &states, &x, &[0, 1]).unwrap();
        for (s, at) in found.iter().enumerate() {
            // Both inputs have margin s, so the loss is log(1 + e^{−s}).
            assert!((at.loss.mean - (-(s as f64)).exp().ln_1p()).abs() < 1e-6);
            assert_eq!((at.t, at.accuracy.n), (0.5 * s as f64, 1));
        }
        assert_eq!((found[0].accuracy.mean, found[2].accuracy.mean), (0.5, 1.0));
        assert!(loss_along(&engine, &[0.0], &states, &x, &[0, 1]).is_err());
    }
}
