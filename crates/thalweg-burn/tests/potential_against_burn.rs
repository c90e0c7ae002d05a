//! The MLP potential of `thalweg` against automatic differentiation: its jet, and the derivatives of scalars of the jet.
#![allow(clippy::unwrap_used)] // a test fails by panicking
mod support;

use support::{normal, relative, relative_by_tensor};
use thalweg::field::potential::{Cotangents, Jet};
use thalweg::field::{Field, Gradient, MlpPotential, MlpPotentialConfig, Parameters, Potential, Tape};
use thalweg_burn::{BurnPotential, Device};
use thalweg_nets::Streams;

const TOLERANCE: f64 = 1e-4;

/// A potential away from the zero tensors of its start, so that every path carries something.
fn potential(dimension: usize, config: &MlpPotentialConfig, streams: &Streams) -> MlpPotential {
    let mut potential = MlpPotential::new(dimension, config, streams).unwrap();
    let noise = normal(potential.parameters().len(), &streams.child("noise"));
    potential.parameters_mut().iter_mut().zip(noise).for_each(|(p, e)| *p += 0.1 * e);
    potential
}

fn cases() -> Vec<(usize, MlpPotentialConfig)> {
    vec![
        (530, MlpPotentialConfig::default()),
        (11, MlpPotentialConfig { width: 20, layers: 1, time_features: 2 }),
        (7, MlpPotentialConfig { width: 33, layers: 3, time_features: 6 }),
    ]
}

/// V, ∇V and ∂V/∂t at `x [B, P]`, `t [B]`.
fn jet(potential: &dyn Potential, x: &[f32], t: &[f32], tape: &mut Tape) -> [Vec<f32>; 3] {
    let [mut value, mut rate] = [vec![f32::NAN; t.len()], vec![f32::NAN; t.len()]];
    let mut gradient = vec![f32::NAN; x.len()];
    let out = Jet { value: Some(&mut value), gradient: &mut gradient, rate: Some(&mut rate) };
    potential.evaluate(x, t, out, tape);
    [value, gradient, rate]
}

#[test]
fn jets_and_their_derivatives_agree() {
    let mut worst = [0.0f64; 5];
    for (i, (dimension, config)) in cases().into_iter().enumerate() {
        let streams = Streams::new(8).index(i as u64);
        let native = potential(dimension, &config, &streams);
        let burn = BurnPotential::new(&native, Device::Flex).unwrap();
        for (rows, one_time) in [(1, false), (6, true), (48, false)] {
            let x = normal(rows * dimension, &streams.child("x"));
            let mut t: Vec<f32> = normal(rows, &streams.child("t")).iter().map(|t| 0.5 + 0.5 * t.tanh()).collect();
            if one_time {
                t.fill(0.61); // as samplers call it
            }
            let [a, w, b] = ["a", "w", "b"].map(|name| {
                let n = if name == "w" { rows * dimension } else { rows };
                normal(n, &streams.child(name))
            });
            let (mut tape, mut tape_burn) = (Tape::default(), Tape::default());
            let found = jet(&native, &x, &t, &mut tape);
            let truth = jet(&burn, &x, &t, &mut tape_burn);
            for k in 0..3 {
                let difference = relative(&found[k], &truth[k]);
                assert!(difference < TOLERANCE, "{config:?}, {rows} rows, part {k} of the jet: {difference}");
                worst[k] = worst[k].max(difference);
            }
            // Every subset of the three cotangents.
            for subset in 1..8 {
                let take = |bit: usize, v: &[f32]| (subset >> bit & 1 == 1).then(|| v.to_vec());
                let [a, w, b] = [take(0, &a), take(1, &w), take(2, &b)];
                let weights = Cotangents { value: a.as_deref(), gradient: w.as_deref(), rate: b.as_deref() };
                let run = |potential: &dyn Potential, tape: &mut Tape| {
                    let (mut gradient, mut dx) = (vec![f32::NAN; native.parameters().len()], vec![f32::NAN; x.len()]);
                    potential.vjp(&weights, tape, Gradient::Write(&mut gradient), Some(&mut dx));
                    (gradient, dx)
                };
                let ((gradient, dx), (truth, dx_truth)) = (run(&native, &mut tape), run(&burn, &mut tape_burn));
                let (by_tensor, tensor) = relative_by_tensor(native.layout(), &gradient, &truth);
                let difference = relative(&dx, &dx_truth);
                let place = format!("{config:?}, {rows} rows, one time {one_time}, cotangents {subset:03b}");
                assert!(by_tensor < TOLERANCE, "{place}: {tensor}: {by_tensor}");
                assert!(difference < TOLERANCE, "{place}: product in x: {difference}");
                (worst[3], worst[4]) = (worst[3].max(by_tensor), worst[4].max(difference));
            }
        }
    }
    println!("V, ∇V, ∂V/∂t, gradient, product in x: {worst:?}");
}

#[test]
fn the_written_gradient_is_the_derivative_of_the_value() {
    // Burn against itself: ∇V from the explicit graph, and V differentiated.
    let (dimension, config) = cases().remove(2);
    let burn = BurnPotential::new(&potential(dimension, &config, &Streams::new(2)), Device::Flex).unwrap();
    let (x, t) = (normal(5 * dimension, &Streams::new(3)), [0.0, 0.2, 0.5, 0.9, 1.0]);
    let mut tape = Tape::default();
    let [_, gradient, _] = jet(&burn, &x, &t, &mut tape);
    let mut dx = vec![f32::NAN; x.len()];
    let ones = Cotangents { value: Some(&[1.0; 5]), ..Cotangents::default() };
    burn.vjp(&ones, &mut tape, Gradient::Skip, Some(&mut dx));
    assert!(relative(&gradient, &dx) < 1e-6, "{}", relative(&gradient, &dx));
}

#[test]
fn as_fields_they_drift_alike() {
    let (dimension, config) = cases().remove(1);
    let native = potential(dimension, &config, &Streams::new(2));
    let burn = BurnPotential::new(&native, Device::Flex).unwrap();
    let (x, dv) = (normal(4 * dimension, &Streams::new(3)), normal(4 * dimension, &Streams::new(4)));
    let run = |field: &dyn Field| {
        let mut tape = Tape::default();
        let (mut v, mut dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        field.velocity(&x, &[0.1, 0.4, 0.4, 0.8], None, &mut v, &mut tape);
        field.backward(&dv, &mut tape, Gradient::Skip, Some(&mut dx));
        (v, dx)
    };
    let ((v, dx), (v_truth, dx_truth)) = (run(&native), run(&burn));
    assert!(relative(&v, &v_truth) < TOLERANCE && relative(&dx, &dx_truth) < TOLERANCE);
}
