//! The loss of every method whose net is regressed on a target.
use super::Scratch;
use crate::field::Field;
use crate::nn::gradient::Gradient;
use crate::path::Batch;
use rayon::prelude::*;

/// Mean over B and P of (v − u)², v what `net` says at the batch's points, and its gradient over what was in `gradient [Q]` where that is asked for.
pub(super) fn loss(net: &dyn Field, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64 {
    let p = net.dimension();
    scratch.output.resize(batch.x.len(), 0.0);
    net.velocity(&batch.x, &batch.t, batch.c.as_deref(), &mut scratch.output, &mut scratch.tape);
    let weight = 2.0 / batch.x.len() as f32;
    let rows = scratch.output.par_chunks_exact_mut(p).zip(batch.u.par_chunks_exact(p));
    let squares: Vec<f64> = rows
        .map(|(v, u)| {
            let mut total = 0.0;
            for (v, u) in v.iter_mut().zip(u) {
                let error = *v - u;
                total += f64::from(error * error);
                *v = weight * error;
            }
            total
        })
        .collect();
    if let Some(gradient) = gradient {
        net.backward(&scratch.output, &mut scratch.tape, Gradient::Write(gradient), None);
        scratch.context_gradient = batch.c.as_ref().and_then(|_| net.context_gradient(&mut scratch.tape));
    }
    // Row by row in order: the same sum on any number of threads.
    squares.iter().sum::<f64>() / batch.x.len() as f64
}
