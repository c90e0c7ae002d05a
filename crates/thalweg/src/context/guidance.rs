//! Classifier-free guidance (Ho & Salimans 2022; M10): samples follow v_g = v_∅ + g (v_c − v_∅), two evaluations of the field a step.
use crate::method::{Method, Transport};
use crate::nn::tape::Tape;
use crate::solver::{Solution, Solver};
use crate::{Error, Result};

/// Carries `x [B, P]` along the guided field of `method` for contexts `c [B, D]`.
///
/// # Errors
/// A solver of SDEs, for which no guided score is known here; a state that is not finite.
pub fn guided(
    method: &dyn Method,
    x: &mut [f32],
    c: &[f32],
    g: f64,
    how: &Transport,
    dimension: usize,
) -> Result<Solution> {
    if let Solver::EulerMaruyama { .. } = how.solver {
        return Err(Error::parameter("solver", "an ODE solver with guidance other than 1", "euler-maruyama"));
    }
    let (mut tapes, mut without, nothing) =
        ([Tape::default(), Tape::default()], vec![0.0; x.len()], vec![0.0; c.len()]);
    let (g, wide) = (g as f32, c.len() / (x.len() / dimension));
    let mut drift = |x: &[f32], t: &[f32], v: &mut [f32]| {
        let rows = t.len() * wide;
        without.resize(v.len(), 0.0);
        method.velocity(x, t, Some(&c[..rows]), v, &mut tapes[0]);
        method.velocity(x, t, Some(&nothing[..rows]), &mut without[..v.len()], &mut tapes[1]);
        v.iter_mut().zip(&without).for_each(|(v, w)| *v = w + g * (*v - w));
    };
    how.integration().run(x, dimension, &mut drift, None)
}
