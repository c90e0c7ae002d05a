//! The loss of every method whose net is regressed on a target.
use super::Scratch;
use crate::field::Field;
use crate::nn::gradient::Gradient;
use crate::path::Batch;
use rayon::prelude::*;

/// Numbers of the points that are judged together where no gradient is asked for: a row's bytes do not depend on the others, so they decide
/// how much memory a look takes, and nothing else.
const JUDGED: usize = 1 << 21;

/// Points of so many numbers that are judged together.
pub(crate) fn judged_at_once(p: usize) -> usize {
    (JUDGED / p.max(1)).max(8)
}

/// Mean over B and P of (v − u)², v what `net` says at the batch's points, and its gradient over what was in `gradient [Q]` where that is asked for.
pub(super) fn loss(net: &dyn Field, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64 {
    let (p, rows) = (net.dimension(), batch.t.len());
    let at_once = if gradient.is_some() { rows } else { judged_at_once(p).min(rows) };
    let weight = 2.0 / batch.x.len() as f32;
    let mut squares: Vec<f64> = Vec::with_capacity(rows);
    for first in (0..rows).step_by(at_once.max(1)) {
        let some = first..(first + at_once).min(rows);
        let points = some.start * p..some.end * p;
        let c = batch.c.as_deref().map(|c| &c[some.start * (c.len() / rows)..some.end * (c.len() / rows)]);
        scratch.output.resize(points.len(), 0.0);
        let (x, t) = (&batch.x[points.clone()], &batch.t[some]);
        match gradient.is_some() {
            true => net.velocity_in_training(x, t, c, &mut scratch.output, &mut scratch.tape),
            false => net.velocity(x, t, c, &mut scratch.output, &mut scratch.tape),
        }
        let each = scratch.output.par_chunks_exact_mut(p).zip(batch.u[points].par_chunks_exact(p)).map(|(v, u)| {
            let mut total = 0.0;
            for (v, u) in v.iter_mut().zip(u) {
                let error = *v - u;
                total += f64::from(error * error);
                *v = weight * error;
            }
            total
        });
        squares.extend(each.collect::<Vec<f64>>());
    }
    if let Some(gradient) = gradient {
        net.backward(&scratch.output, &mut scratch.tape, Gradient::Write(gradient), None);
        scratch.context_gradient = batch.c.as_ref().and_then(|_| net.context_gradient(&mut scratch.tape));
    }
    // Row by row in order: the same sum on any number of threads.
    squares.iter().sum::<f64>() / batch.x.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use crate::field::{ResidualMlp, ResidualMlpConfig};
    use crate::nn::parameters::Parameters;
    use thalweg_nets::testing::normals;

    #[test]
    fn a_look_in_pieces_sees_what_a_step_sees() {
        // So many rows and numbers that a look takes three pieces.
        let (p, rows) = (150_000, 30);
        let config = ResidualMlpConfig { width: 3, blocks: 1, context: 2, ..ResidualMlpConfig::default() };
        let mut net = ResidualMlp::new(p, &config, &Streams::new(1)).unwrap();
        let drawn = normals(&Streams::new(2), net.parameters().len());
        net.parameters_mut().copy_from_slice(&drawn);
        let of = |i: u64, n: usize| normals(&Streams::new(i), n);
        let t = (0..rows).map(|i| i as f32 / rows as f32).collect();
        let batch = Batch { x: of(3, rows * p), t, u: of(4, rows * p), c: Some(of(5, rows * 2)), scores: None };
        let (mut scratch, mut gradient) = (Scratch::default(), vec![0.0; drawn.len()]);
        let look = loss(&net, &batch, &mut scratch, None);
        assert!(scratch.output.len() < rows * p / 2, "in pieces");
        assert_eq!(look, loss(&net, &batch, &mut scratch, Some(&mut gradient)));
    }
}
