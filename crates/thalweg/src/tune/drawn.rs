//! Points that a field or a method makes of the starts of a controlled process, without its noise.
use super::process::Process;
use crate::Error;
use crate::field::Field;
use crate::method::{Method, Transport};
use crate::nn::tape::Tape;
use crate::solver::Solver;
use crate::{Result, Streams};

/// `n` points `[n, P]` of the ODE of `field`, by Euler steps from the process's starts.
///
/// # Errors
/// A state that is not finite.
pub fn draw(field: &dyn Field, process: &Process, n: usize, steps: usize, streams: &Streams) -> Result<Vec<f32>> {
    let p = field.dimension();
    let mut z = starts(process, n, p, streams)?;
    let mut tape = Tape::default();
    let mut drift = |x: &[f32], t: &[f32], v: &mut [f32]| field.velocity(x, t, None, v, &mut tape);
    Transport { solver: Solver::Euler, steps, at: vec![] }.integration().run(&mut z, p, &mut drift, None)?;
    Ok(z)
}

/// `n` points `[n, P]` that `method` makes of the process's starts, by so many Euler `steps` where it has no steps of its own.
pub(super) fn sampled(
    method: &dyn Method,
    process: &Process,
    n: usize,
    steps: usize,
    streams: &Streams,
) -> Result<Vec<f32>> {
    if let Some(field) = method.velocity_field() {
        return draw(field, process, n, steps, streams);
    }
    let own = method.explicit_steps().ok_or_else(not_tunable)?;
    let mut z = starts(process, n, own.potential.dimension(), streams)?;
    let row_streams: Vec<_> = (0..n as u64).map(|i| streams.child("noise").index(i)).collect();
    method.transport(&mut z, None, &Transport { solver: Solver::Euler, steps, at: vec![] }, &row_streams)?;
    Ok(z)
}

pub(super) fn starts(process: &Process, n: usize, p: usize, streams: &Streams) -> Result<Vec<f32>> {
    let mut z = vec![0.0; n * p];
    for (i, z) in z.chunks_exact_mut(p).enumerate() {
        process.start.draw(i as u64, &streams.child("start"), z)?;
    }
    Ok(z)
}

pub(super) fn not_tunable() -> Error {
    let expected = "a method with a velocity field (cfm, mmfm) or explicit noiseless steps (jko with an mlp potential)";
    Error::unsupported("tuning", "a model whose method has neither", expected)
}
