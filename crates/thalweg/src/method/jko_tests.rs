//! NM-JKO against energies with known gradients, Ornstein–Uhlenbeck marginals, and finite differences.
use super::*;
use crate::field::MlpPotentialConfig;
use crate::field::feature_potential::FeatureConfig;
use crate::method::MethodConfig;
use crate::nn::optimiser::{AdamW, AdamWConfig};
use crate::path::anchors::MarginalPoints;
use crate::testing::energy::Energy;
use rand_distr::StandardNormal;
use std::borrow::Cow;
use thalweg_nets::testing;

fn normals(seed: u64, n: usize, scale: f64) -> Vec<f64> {
    testing::normals(&Streams::new(seed), n).iter().map(|z| scale * f64::from(*z)).collect()
}

fn narrow(x: &[f64]) -> impl Iterator<Item = f32> + '_ {
    x.iter().map(|v| *v as f32)
}

fn even_times(k: usize) -> Vec<f64> {
    (0..=k).map(|i| i as f64 / k as f64).collect()
}

/// Curves `[k + 1, n, 2]` along the gradient flow of `energy` over time 1.
fn flow_curves(energy: &Energy, n: usize, k: usize, seed: u64) -> Vec<f32> {
    let mut x = normals(seed, n * 2, 0.7);
    let mut curves: Vec<f32> = narrow(&x).collect();
    for _ in 0..k {
        energy.flow(&mut x, 2, 1.0 / k as f64, 200 / k);
        curves.extend(narrow(&x));
    }
    curves
}

/// Curves `[k + 1, n, 2]` of explicit steps of length 1/k: what NM-JKO assumes, exactly.
fn step_curves(energy: &Energy, n: usize, k: usize, seed: u64) -> Vec<f32> {
    let (mut x, mut g) = (normals(seed, n * 2, 1.0), [0.0; 2]);
    let mut curves: Vec<f32> = narrow(&x).collect();
    for _ in 0..k {
        for x in x.chunks_exact_mut(2) {
            energy.gradient(x, &mut g);
            x.iter_mut().zip(&g).for_each(|(x, g)| *x -= g / k as f64);
        }
        curves.extend(narrow(&x));
    }
    curves
}

/// Relative root mean square error of `method`'s drift at time 0 where p₀ lies.
fn drift_error(method: &Jko, energy: &Energy) -> f64 {
    let x = normals(99, 800, 0.5);
    let x32: Vec<f32> = narrow(&x).collect();
    let mut v = vec![0.0; x.len()];
    method.velocity(&x32, &vec![0.0; x.len() / 2], None, &mut v, &mut Tape::default());
    let (mut g, mut wrong, mut total) = ([0.0; 2], 0.0, 0.0);
    for (x, v) in x.chunks_exact(2).zip(v.chunks_exact(2)) {
        energy.gradient(x, &mut g);
        wrong += (f64::from(v[0]) + g[0]).powi(2) + (f64::from(v[1]) + g[1]).powi(2);
        total += g[0] * g[0] + g[1] * g[1];
    }
    (wrong / total).sqrt()
}

fn features(fourier: usize) -> PotentialConfig {
    PotentialConfig::Features(FeatureConfig { fourier, ridge: 1e-8, ..FeatureConfig::default() })
}

fn solved(config: &JkoConfig, curves: &[f32], dimension: usize) -> Jko {
    let mut method = config.build(&even_times(config.steps), dimension, &Streams::new(1)).unwrap();
    method.closed_form().unwrap()(curves).unwrap();
    method
}

fn trained(config: &JkoConfig, curves: &[f32], rows: usize, steps: u64) -> Jko {
    let mut method = config.build(&even_times(config.steps), 2, &Streams::new(1)).unwrap();
    let n = curves.len() / (2 * (config.steps + 1));
    let optimiser = AdamWConfig { learning_rate: 5e-3, weight_decay: 0.0, ..AdamWConfig::default() };
    let mut optimiser = AdamW::new(&optimiser, steps, method.parameters()).unwrap();
    let (mut scratch, mut gradient) = (Scratch::default(), vec![0.0; method.parameters().len()]);
    for step in 0..steps {
        let streams = Streams::new(2).index(step);
        let chosen: Vec<usize> = {
            let mut rng = streams.child("rows").rng();
            (0..rows).map(|_| rng.random_range(0..n)).collect()
        };
        let points = curves.chunks_exact(2 * n).map(Cow::Borrowed);
        let rows = points.map(|points| MarginalPoints { points, row_of_curve: chosen.clone() }).collect();
        let batch = method.batch(&Anchors::new(2, rows).unwrap(), None, &streams).unwrap();
        method.loss(&batch, &mut scratch, Some(&mut gradient));
        optimiser.step(method.parameters_mut(), &gradient).unwrap();
    }
    method.parameters_mut().copy_from_slice(optimiser.average());
    method
}

#[test]
fn the_network_recovers_the_gradients_of_energies() {
    let config = JkoConfig {
        steps: 10,
        noise: 0.0,
        potential: PotentialConfig::Mlp(MlpPotentialConfig { width: 64, layers: 2, time_features: 2 }),
        time_dependent: false,
        ..JkoConfig::default()
    };
    for energy in [Energy::DoubleWell, Energy::LogCosh, Energy::Ring { radius: 1.5 }] {
        let method = trained(&config, &step_curves(&energy, 2_000, 10, 3), 128, 800);
        let error = drift_error(&method, &energy);
        assert!(error < 0.15, "{energy:?}: relative error {error}");
    }
}

#[test]
fn the_closed_form_converges_with_k_and_with_n() {
    // Three of the library have ripples or petals shorter than the features' length: their floor is the features'.
    let smooth = |e: &Energy| !matches!(e, Energy::Rastrigin { .. } | Energy::Bohachevsky | Energy::Flower { .. });
    for energy in Energy::library(2).into_iter().filter(smooth) {
        let error = |k: usize, n: usize, noise: f32| {
            let config = JkoConfig { steps: k, noise: 0.0, potential: features(80), ..JkoConfig::default() };
            let mut curves = flow_curves(&energy, n, k, 4);
            let errors = normals(5, curves.len(), 1.0);
            curves.iter_mut().zip(narrow(&errors)).for_each(|(x, e)| *x += noise * e);
            drift_error(&solved(&config, &curves, 2), &energy)
        };
        // In k: the explicit step sees the mean gradient over τ, an error of order τ. In n: observations with errors.
        let in_k = [error(2, 400, 0.0), error(5, 400, 0.0), error(40, 400, 0.0)];
        let in_n = [error(40, 100, 0.005), error(40, 800, 0.005)];
        assert!(in_k[0] > in_k[1] && in_k[2] < 0.3 * in_k[1] && in_k[2] < 0.1, "{energy:?}: in k {in_k:?}");
        assert!(in_n[1] < 0.9 * in_n[0], "{energy:?}: in n {in_n:?}");
    }
}

#[test]
fn ornstein_uhlenbeck_marginals_are_matched_with_internal_energy() {
    // dX = −a X dt + √(2β) dW from N(m, s²): mean m e^{−at}, variance s² e^{−2at} + β/a (1 − e^{−2at}).
    let (a, beta, k, n) = (1.2, 0.3, 20, 4_000);
    let law = |t: f64| (1.5 * (-a * t).exp(), (0.4 * (-2.0 * a * t).exp() + beta / a * (1.0 - (-2.0 * a * t).exp())));
    // Marginals joined by their optimal coupling, which on a line is the monotone one.
    let z = normals(5, n, 1.0);
    let curves: Vec<f32> = (0..=k)
        .flat_map(|i| {
            let (mean, variance) = law(i as f64 / k as f64);
            z.iter().map(move |z| (mean + variance.sqrt() * z) as f32)
        })
        .collect();
    let config = JkoConfig {
        steps: k,
        noise: 0.0,
        internal_energy: true,
        time_dependent: false,
        potential: features(0),
        ..JkoConfig::default()
    };
    let method = solved(&config, &curves, 1);
    assert!((method.beta(0) - beta).abs() < 0.05, "β {}", method.beta(0));
    let mut x: Vec<f32> = curves[..n].to_vec();
    let streams: Vec<Streams> = (0..n as u64).map(|i| Streams::new(6).index(i)).collect();
    let at = vec![0.25, 0.5, 1.0];
    let how = Transport { solver: Solver::Euler, steps: 1, at: at.clone() };
    let solution = method.transport(&mut x, None, &how, &streams).unwrap();
    assert_eq!(solution.evaluations, k);
    for (t, states) in at.iter().zip(solution.states.chunks_exact(n)) {
        let mean = states.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
        let variance = states.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n as f64;
        let truth = law(*t);
        assert!((mean - truth.0).abs() < 0.04, "t = {t}: mean {mean} of {}", truth.0);
        assert!((variance / truth.1 - 1.0).abs() < 0.12, "t = {t}: variance {variance} of {}", truth.1);
    }
}

#[test]
fn implicit_steps_retrace_implicit_data() {
    // x' = (x + τ a m)/(1 + τ a), step by step.
    let (a, m, k, n) = (2.0, 0.7, 4, 200);
    let mut x = normals(7, 2 * n, 1.0);
    let mut curves: Vec<f32> = narrow(&x).collect();
    for _ in 0..k {
        x.iter_mut().for_each(|x| *x = (*x + a * m / k as f64) / (1.0 + a / k as f64));
        curves.extend(narrow(&x));
    }
    let config =
        JkoConfig { steps: k, form: StepForm::Implicit, noise: 0.0, potential: features(0), ..JkoConfig::default() };
    let method = solved(&config, &curves, 2);
    let mut moved = curves[..2 * n].to_vec();
    let how = Transport { solver: Solver::Euler, steps: 1, at: vec![0.0, 0.5] };
    let solution = method.transport(&mut moved, None, &how, &vec![Streams::new(0); n]).unwrap();
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
    assert!(close(&moved, &curves[k * 2 * n..]) && close(&solution.states[2 * n..], &curves[2 * 2 * n..]));
    assert_eq!(solution.states[..2 * n], curves[..2 * n]);
    // Over a step of 1/τ < the largest stiffness the fixed point is no longer attracting.
    let steep: Vec<f32> = [1.0f32, 2.0, -3.0, 4.0].into_iter().chain([0.1, 0.2, -0.3, 0.4]).collect();
    let one = JkoConfig { steps: 1, potential: features(0), ..config };
    let one = JkoConfig {
        potential: PotentialConfig::Features(FeatureConfig {
            quadratic: true,
            ridge: 1e-6,
            ..FeatureConfig::default()
        }),
        ..one
    };
    let method = {
        let mut method = one.build(&[0.0, 1.0], 1, &Streams::new(1)).unwrap();
        method.closed_form().unwrap()(&steep).unwrap();
        method
    };
    let message = method.transport(&mut [1.0], None, &how_one(), &[Streams::new(0)]).unwrap_err().to_string();
    assert!(message.contains("implicit") && message.contains("fixed point"), "{message}");
}

fn how_one() -> Transport {
    Transport { solver: Solver::Euler, steps: 1, at: vec![] }
}

#[test]
fn loss_and_gradient_agree_by_finite_differences_with_and_without_internal_energy() {
    for (internal_energy, form) in [(false, StepForm::Explicit), (true, StepForm::Implicit)] {
        let config = JkoConfig {
            steps: 3,
            internal_energy,
            form,
            potential: PotentialConfig::Mlp(MlpPotentialConfig { width: 8, layers: 2, time_features: 4 }),
            ..JkoConfig::default()
        };
        let mut method = config.build(&[0.0, 0.2, 0.7, 1.0], 3, &Streams::new(8)).unwrap();
        let mut rng = Streams::new(9).rng();
        method.parameters_mut().iter_mut().for_each(|p| *p += 0.3 * rng.sample::<f32, _>(StandardNormal));
        let curves: Vec<f32> = narrow(&normals(10, 4 * 20 * 3, 1.0)).collect();
        let batch = method.batch(&Anchors::dense(&curves, 4, 3).unwrap(), None, &Streams::new(11)).unwrap();
        assert_eq!(batch.scores.is_some(), internal_energy);
        let (mut scratch, mut gradient) = (Scratch::default(), vec![0.0; method.parameters().len()]);
        method.loss(&batch, &mut scratch, Some(&mut gradient));
        let own = method.parameters().to_vec();
        let mut loss = |q: &[f32]| {
            method.parameters_mut().copy_from_slice(q);
            method.loss(&batch, &mut scratch, None)
        };
        assert!(testing::gradient_error(&own, &gradient, 1e-4, &mut loss) < 0.02);
        let last = own.len() - 1;
        let (slope, said) = (testing::partial(&own, last, 1e-2, &mut loss), f64::from(gradient[last]));
        assert!((slope - said).abs() < 1e-3 * (1.0 + said.abs()), "{internal_energy}");
    }
}

#[test]
fn steps_are_balanced_and_rows_stand_alone() {
    let config = JkoConfig { steps: 3, noise: 0.0, ..JkoConfig::default() };
    let method = config.build(&even_times(3), 2, &Streams::new(12)).unwrap();
    let curves: Vec<f32> = narrow(&normals(13, 4 * 9 * 2, 1.0)).collect();
    let batch = method.batch(&Anchors::dense(&curves, 4, 2).unwrap(), None, &Streams::new(14)).unwrap();
    for time in [0.0f32, 1.0 / 3.0, 2.0 / 3.0] {
        assert_eq!(batch.t.iter().filter(|t| **t == time).count(), 3);
    }
    for (i, t) in batch.t.iter().enumerate() {
        let step = (t * 3.0).round() as usize;
        for d in 0..2 {
            let (old, new) = (curves[step * 18 + 2 * i + d], curves[(step + 1) * 18 + 2 * i + d]);
            assert_eq!(batch.x[2 * i + d], old);
            assert!((batch.u[2 * i + d] - 3.0 * (new - old)).abs() < 1e-5);
        }
    }
    assert_eq!([0.0, 0.3, 0.34, 0.99, 1.0].map(|t| method.step_at(t)), [0, 0, 1, 2, 2]);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let message = |config: JkoConfig, d| config.build(&even_times(5), d, &Streams::new(0)).err().unwrap().to_string();
    assert!(message(JkoConfig { steps: 64, ..JkoConfig::default() }, 2).contains("method.jko.steps"));
    assert!(message(JkoConfig { noise: -1.0, ..JkoConfig::default() }, 2).contains("method.jko.noise"));
    assert!(message(JkoConfig { steps: 4, ..JkoConfig::default() }, 2).contains("5 times that rise"));
    assert!(message(JkoConfig { potential: features(0), ..JkoConfig::default() }, 100).contains("latent"));
    let method = JkoConfig::default().build(&even_times(5), 2, &Streams::new(0)).unwrap();
    let how = Transport { solver: Solver::Heun, steps: 5, at: vec![] };
    let refused = method.transport(&mut [0.0; 2], None, &how, &[Streams::new(0)]).unwrap_err().to_string();
    assert!(refused.contains("euler"), "{refused}");
    assert!(method.batch(&Anchors::dense(&[0.0; 14], 7, 2).unwrap(), None, &Streams::new(0)).is_err());
    let read: MethodConfig = toml::from_str("[jko]\nsteps = 3\npotential = { features = { fourier = 10 } }").unwrap();
    assert_eq!(read.marginals(), 4);
}
