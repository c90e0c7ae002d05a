//! Action matching against the closed form for Gaussians, its identity with regression, and finite differences.
use super::*;
use crate::nn::optimiser::{AdamW, AdamWConfig};
use crate::nn::parameters::Parameters;
use rand::RngExt;
use rand_distr::StandardNormal;
use thalweg_nets::testing::{gradient_error, moments, normals};

const P: usize = 2;

fn method(width: f64, seed: u64) -> ActionMatching {
    let config = ActionConfig {
        marginals: 0,
        interpolant: Interpolant::Linear,
        width: Width::Constant { sigma: width },
        potential: MlpPotentialConfig { width: 32, layers: 2, time_features: 4 },
        ..ActionConfig::default()
    };
    config.build(&[0.0, 1.0], P, &Streams::new(seed)).unwrap()
}

/// A batch of curves from N(0, I) to N(m, s² I), independent.
fn batch(method: &ActionMatching, from: &Streams, rows: usize, streams: &Streams) -> Batch {
    let mut x = normals(from, 2 * rows * P);
    x[rows * P..].iter_mut().enumerate().for_each(|(i, x)| *x = [1.0, -1.5][i % P] + 0.5 * *x);
    method.batch(&Anchors::dense(&x, 2, P).unwrap(), None, streams).unwrap()
}

#[test]
fn gaussians_without_pairs_are_carried_along_their_closed_form() {
    let mut method = method(0.0, 1);
    let (steps, rows) = (2000, 256);
    let optimiser = AdamWConfig { learning_rate: 3e-3, weight_decay: 0.0, ..AdamWConfig::default() };
    let mut optimiser = AdamW::new(&optimiser, steps, method.parameters()).unwrap();
    let (mut scratch, mut gradient) = (Scratch::default(), vec![0.0; method.parameters().len()]);
    for step in 0..steps {
        let streams = Streams::new(2).index(step);
        let batch = batch(&method, &streams.child("curves"), rows, &streams);
        method.loss(&batch, &mut scratch, Some(&mut gradient));
        optimiser.step(method.parameters_mut(), &gradient).unwrap();
    }
    method.parameters_mut().copy_from_slice(optimiser.average());
    let mut x = normals(&Streams::new(3), 3000 * P);
    let how = Transport { solver: Solver::Heun, steps: 50, at: vec![0.5] };
    let states = method.transport(&mut x, None, &how, &[]).unwrap().states;
    for (points, t, deviation) in [(&states, 0.5f64, (0.25f64 + 0.0625).sqrt()), (&x, 1.0, 0.5)] {
        let (means, covariance) = moments(points, P);
        for k in 0..P {
            let (mean, found) = (means[k], covariance[k * (P + 1)].sqrt());
            assert!((mean - t * [1.0, -1.5][k]).abs() < 0.08, "t = {t}, {k}: mean {mean}");
            assert!((found / deviation - 1.0).abs() < 0.12, "t = {t}, {k}: deviation {found} of {deviation}");
        }
    }
}

#[test]
fn the_loss_is_that_of_regression_up_to_the_kinetic_energy_of_the_path() {
    // Along each path s₁ − s₀ = ∫ ∂_t s + ∇s·u dt, so M7 is E ∫ ½‖∇s − u‖² − ½‖u‖² dt. Over many rows both means must agree.
    for width in [0.0, 0.4] {
        let mut method = method(width, 4);
        let mut rng = Streams::new(5).rng();
        method.parameters_mut().iter_mut().for_each(|p| *p += 0.05 * rng.sample::<f32, _>(StandardNormal));
        let n = 40_000;
        let batch = batch(&method, &Streams::new(6), n, &Streams::new(7));
        let loss = method.loss(&batch, &mut Scratch::default(), None);
        let mut v = vec![0.0; n * P];
        method.velocity(&batch.x[..n * P], &batch.t[..n], None, &mut v, &mut Tape::default());
        let regression: f64 =
            v.iter().zip(&batch.u).map(|(v, u)| 0.5 * f64::from(v * v - 2.0 * v * u)).sum::<f64>() / (n * P) as f64;
        assert!((loss - regression).abs() < 0.03 * (1.0 + regression.abs()), "{width}: {loss} {regression}");
    }
}

#[test]
fn loss_and_gradient_agree_by_finite_differences() {
    let mut method = method(0.3, 8);
    let mut rng = Streams::new(9).rng();
    method.parameters_mut().iter_mut().for_each(|p| *p += 0.1 * rng.sample::<f32, _>(StandardNormal));
    let batch = batch(&method, &Streams::new(10), 30, &Streams::new(11));
    let (mut scratch, mut gradient) = (Scratch::default(), vec![0.0; method.parameters().len()]);
    method.loss(&batch, &mut scratch, Some(&mut gradient));
    let own = method.parameters().to_vec();
    let error = gradient_error(&own, &gradient, 2e-5, |q| {
        method.parameters_mut().copy_from_slice(q);
        method.loss(&batch, &mut scratch, None)
    });
    assert!(error < 0.02, "{error}");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let bad = ActionConfig { marginals: 63, ..ActionConfig::default() };
    assert!(bad.check().unwrap_err().to_string().contains("method.action.marginals"));
    let how = Transport { solver: Solver::EulerMaruyama { noise: 1.0 }, steps: 5, at: vec![] };
    let refused = method(0.0, 0).transport(&mut [0.0; P], None, &how, &[Streams::new(0)]).unwrap_err().to_string();
    assert!(refused.contains("ODE"), "{refused}");
}
