use super::*;
use crate::testing::energy::Energy;

fn normal_points(n: usize, scale: f64, seed: u64) -> Vec<f64> {
    let mut rng = Streams::new(seed).child("points").rng();
    (0..n).map(|_| scale * rng.sample::<f64, _>(StandardNormal)).collect()
}

#[test]
fn a_quadratic_is_recovered_from_implicit_steps() {
    let (a, m, tau) = ([0.7, 2.0, 1.1], [1.0, -1.0, 0.5], 0.3);
    let old = normal_points(60, 1.0, 1);
    // x' = x − τ a (x' − m) ⇔ x' = (x + τ a m)/(1 + τ a).
    let new: Vec<f64> =
        old.iter().enumerate().map(|(i, x)| (x + tau * a[i % 3] * m[i % 3]) / (1.0 + tau * a[i % 3])).collect();
    let step = StepPairs { old: &old, new: &new, tau };
    let fitted =
        FeaturePotential::fit(&FeatureConfig::default(), 3, &[step], StepForm::Implicit, false, &Streams::new(0))
            .unwrap();
    let truth = Energy::Quadratic { stiffness: a.to_vec(), centre: m.to_vec() };
    let (mut g, mut expected) = ([0.0; 3], [0.0; 3]);
    for x in normal_points(30, 2.0, 2).chunks_exact(3) {
        fitted.gradient(x, &mut g);
        truth.gradient(x, &mut expected);
        assert!(g.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{g:?} {expected:?}");
    }
    let mut predicted = old.clone();
    fitted.step(&mut predicted, tau, StepForm::Implicit).unwrap();
    assert!(predicted.iter().zip(&new).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn stiffness_and_internal_energy_of_an_ornstein_uhlenbeck_step_are_recovered() {
    // The JKO step of ½a x² + β ρ log ρ from N(m, s²) is Gaussian: m'(1 + τa) = m and s'²(1 + τa) − s s' − τβ = 0.
    let (a, beta, tau) = (1.5, 0.4, 0.2);
    let mut x = normal_points(400, 2.0, 3);
    let mut marginals = vec![x.clone()];
    for _ in 0..4 {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let s = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let k = 1.0 + tau * a;
        let s_new = (s + (s * s + 4.0 * k * tau * beta).sqrt()) / (2.0 * k);
        x = x.iter().map(|v| mean / k + s_new / s * (v - mean)).collect();
        marginals.push(x.clone());
    }
    let steps: Vec<StepPairs> = marginals.windows(2).map(|w| StepPairs { old: &w[0], new: &w[1], tau }).collect();
    let fitted =
        FeaturePotential::fit(&FeatureConfig::default(), 1, &steps, StepForm::Implicit, true, &Streams::new(0))
            .unwrap();
    assert!((fitted.beta - beta).abs() < 1e-4, "β {}", fitted.beta);
    let mut g = [0.0];
    fitted.gradient(&[1.0], &mut g);
    assert!((g[0] - a).abs() < 1e-4, "a {}", g[0]);
    // Without diffusion in the data β stays at its bound rather than below it.
    let shrunk: Vec<f64> = marginals[0].iter().map(|v| v / (1.0 + tau * a)).collect();
    let pair = [StepPairs { old: &marginals[0], new: &shrunk, tau }];
    let bound =
        FeaturePotential::fit(&FeatureConfig::default(), 1, &pair, StepForm::Implicit, true, &Streams::new(0)).unwrap();
    assert!(bound.beta >= 0.0 && bound.beta < 1e-3, "{}", bound.beta);
}

#[test]
fn gradients_of_the_library_are_recovered_better_with_more_features() {
    let tau = 0.01;
    for energy in [
        Energy::DoubleWell,
        Energy::Ring { radius: 1.5 },
        Energy::LogCosh,
        Energy::Flower { petals: 5, radius: 2.0, width: 0.8 },
    ] {
        let old = normal_points(4_000, 1.2, 4);
        let mut new = old.clone();
        energy.flow(&mut new, 2, tau, 2);
        let error = |fourier: usize| {
            let config = FeatureConfig { fourier, length: 1.0, ridge: 1e-10, ..FeatureConfig::default() };
            let pairs = [StepPairs { old: &old, new: &new, tau }];
            let fitted =
                FeaturePotential::fit(&config, 2, &pairs, StepForm::Explicit, false, &Streams::new(1)).unwrap();
            let (mut g, mut e, mut wrong, mut total) = ([0.0; 2], [0.0; 2], 0.0, 0.0);
            for x in normal_points(600, 1.0, 5).chunks_exact(2) {
                fitted.gradient(x, &mut g);
                energy.gradient(x, &mut e);
                wrong += (g[0] - e[0]).powi(2) + (g[1] - e[1]).powi(2);
                total += e[0] * e[0] + e[1] * e[1];
            }
            (wrong / total).sqrt()
        };
        let errors = [error(0), error(20), error(250)];
        assert!(errors[2] < 0.1 && errors[2] < 0.5 * errors[0], "{energy:?}: {errors:?}");
    }
}

#[test]
fn bad_pairs_are_named() {
    let fit = |old: &[f64], new: &[f64], tau| {
        FeaturePotential::fit(
            &FeatureConfig::default(),
            2,
            &[StepPairs { old, new, tau }],
            StepForm::Explicit,
            false,
            &Streams::new(0),
        )
        .unwrap_err()
        .to_string()
    };
    assert!(fit(&[], &[], 0.1).contains("n ≥ 1"));
    assert!(fit(&[1.0, 2.0], &[1.0], 0.1).contains("[2] and [1]"));
    assert!(fit(&[1.0, 2.0], &[1.0, 2.0], 0.0).contains("tau"));
    assert!(fit(&[1.0, 2.0], &[1.0, f64::NAN], 0.1).contains("not finite"));
    assert!(fit(&[1.0, 2.0], &[1.0, 2.0], 0.1).contains("at least 5 equations"));
}
