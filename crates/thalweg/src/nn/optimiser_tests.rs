//! The optimiser against the published formula in double precision, its resumption and its refusals.
use super::*;
use rand::RngExt;
use thalweg_nets::Streams;

const Q: usize = 40_000;

fn gradient(step: u64) -> Vec<f32> {
    let mut rng = Streams::new(step).rng();
    (0..Q).map(|i| rng.random_range(-1.0..1.0) * 1e-2 * (1.0 + (i % 7) as f32)).collect()
}

/// The published formula in f64, kept apart from the code above: moments corrected first, decay as a separate product.
fn reference(config: &AdamWConfig, steps: u64) -> (Vec<f64>, Vec<f64>) {
    let (mut p, mut m, mut v) = (vec![0.5f64; Q], vec![0.0f64; Q], vec![0.0f64; Q]);
    let mut average = p.clone();
    for s in 1..=steps {
        let g = gradient(s);
        let norm = g.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let rate = config.rate(s, steps);
        for i in 0..Q {
            let g = f64::from(g[i]) * if norm > config.clip { config.clip / norm } else { 1.0 };
            p[i] *= 1.0 - rate * config.weight_decay;
            m[i] = config.betas[0] * m[i] + (1.0 - config.betas[0]) * g;
            v[i] = config.betas[1] * v[i] + (1.0 - config.betas[1]) * g * g;
            let m_hat = m[i] / (1.0 - config.betas[0].powi(s as i32));
            let v_hat = v[i] / (1.0 - config.betas[1].powi(s as i32));
            p[i] -= rate * m_hat / (v_hat.sqrt() + config.epsilon);
            let a = config.average.min(s as f64 / (s as f64 + 9.0));
            average[i] = a * average[i] + (1.0 - a) * p[i];
        }
    }
    (p, average)
}

#[test]
fn agrees_with_the_formula_in_double_precision() {
    for (clip, schedule) in [(1.0, Schedule::Cosine), (f64::INFINITY, Schedule::Constant)] {
        let config = AdamWConfig { clip, schedule, warm_up: 5, average: 0.7, ..AdamWConfig::default() };
        let mut p = vec![0.5; Q];
        let mut optimiser = AdamW::new(&config, 30, &p).unwrap();
        for s in 1..=30 {
            let done = optimiser.step(&mut p, &gradient(s)).unwrap();
            assert_eq!((done.step, done.rate), (s, config.rate(s, 30)));
        }
        let (truth, average) = reference(&config, 30);
        for i in 0..Q {
            assert!((f64::from(p[i]) - truth[i]).abs() < 2e-6, "{i}: {} {}", p[i], truth[i]);
            assert!((f64::from(optimiser.average()[i]) - average[i]).abs() < 2e-6);
        }
    }
}

/// Golden numbers of an independent implementation: PyTorch 2.8's AdamW, as in `thalweg_nets::train::optimiser`, six steps at rate .1 and weight decay
/// .2 from (1, −2, .5) with gradients sin(t + i): `o = torch.optim.AdamW([w], lr=.1, weight_decay=.2)`, `w.grad = torch.tensor([sin(t + i) for i in
/// range(3)]); o.step()`, t = 1 … 6.
#[test]
fn clipping_is_scaling_to_the_norm_and_steps_are_those_of_later_versions_too() {
    let run = |clip: f64, scaled_to: Option<f64>| {
        let (learning_rate, schedule) = (0.1, Schedule::Constant);
        let config = AdamWConfig { learning_rate, schedule, weight_decay: 0.2, clip, ..AdamWConfig::default() };
        let mut p = vec![1.0f32, -2.0, 0.5];
        let mut optimiser = AdamW::new(&config, 6, &p).unwrap();
        for t in 1..=6 {
            let gradient = [0, 1, 2].map(|i| f64::from(t + i).sin());
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let scale = scaled_to.map_or(1.0, |length| length / norm);
            optimiser.step(&mut p, &gradient.map(|g| (g * scale) as f32)).unwrap();
        }
        p
    };
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-6);
    let found = run(f64::INFINITY, None);
    assert!(close(&found, &[0.622_391_64, -1.862_121_5, 0.580_424_5]), "{found:?}");
    // Clipping is scaling to the norm, here of every gradient.
    let clipped = run(0.01, None);
    assert!(close(&clipped, &run(f64::INFINITY, Some(0.01))) && !close(&clipped, &found), "{clipped:?}");
}

/// Golden numbers: PyTorch 1.13, twelve steps from (1, −2, .5, .25) at rate .05 and weight decay .1 with gradients (i + 1) sin(t + i), clipped by
/// `clip_grad_norm_([w], .75)` or not, the rate rising over five steps: `o = AdamW([w], lr=.05, weight_decay=.1)`,
/// `s = LambdaLR(o, lambda k: min(1, (k + 1) / 5))`; `w.grad = …; clip; o.step(); s.step()`, t = 1 … 12.
#[test]
fn steps_are_pytorchs() {
    let golden = [
        (0.75, [0.875_996_7, -1.891_304_4, 0.568_817_14, 0.324_365_02]),
        (f64::INFINITY, [0.872_620_3, -1.896_749_7, 0.566_381, 0.325_529_37]),
    ];
    for (clip, expected) in golden {
        let config = AdamWConfig {
            learning_rate: 0.05,
            schedule: Schedule::Constant,
            warm_up: 5,
            weight_decay: 0.1,
            clip,
            ..AdamWConfig::default()
        };
        let mut w = vec![1.0, -2.0, 0.5, 0.25];
        let mut optimiser = AdamW::new(&config, 12, &w).unwrap();
        for t in 1..=12 {
            let gradient: Vec<f32> = (0..4).map(|i| (f64::from(t + i).sin() * f64::from(i + 1)) as f32).collect();
            optimiser.step(&mut w, &gradient).unwrap();
        }
        for (w, e) in w.iter().zip(expected) {
            assert!((w - e).abs() < 2e-6, "{clip}: {w} {e}");
        }
    }
}

#[test]
fn resumed_steps_and_other_thread_counts_give_the_same_bytes() {
    let config = AdamWConfig::default();
    let run = |threads, stop_at: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut p = vec![0.5; Q];
            let mut optimiser = AdamW::new(&config, 9, &p).unwrap();
            for s in 1..=9 {
                optimiser.step(&mut p, &gradient(s)).unwrap();
                if s == stop_at {
                    let state = optimiser.state().map(<[f32]>::to_vec);
                    optimiser = AdamW::resume(&config, 9, optimiser.steps_done(), state).unwrap();
                }
            }
            (p, optimiser.average().to_vec())
        })
    };
    let truth = run(1, 0);
    assert!(truth == run(2, 0));
    assert!(truth == run(2, 4));
}

#[test]
fn the_rate_rises_then_falls_to_nothing() {
    let config = AdamWConfig { learning_rate: 1e-3, warm_up: 10, ..AdamWConfig::default() };
    assert!((config.rate(5, 110) - 5e-4).abs() < 1e-12);
    assert!((config.rate(10, 110) - 1e-3).abs() < 1e-12);
    assert!((config.rate(60, 110) - 5e-4).abs() < 1e-12);
    assert!(config.rate(110, 110).abs() < 1e-12);
}

#[test]
fn bad_numbers_are_refused_and_leave_the_parameters_alone() {
    assert!(AdamWConfig { clip: 0.0, ..AdamWConfig::default() }.check().is_err());
    let mut p = vec![1.0; 3];
    let mut optimiser = AdamW::new(&AdamWConfig::default(), 10, &p).unwrap();
    let error = optimiser.step(&mut p, &[0.0, f32::NAN, 0.0]).unwrap_err().to_string();
    assert!(error.contains("step 1"), "{error}");
    assert_eq!((p.as_slice(), optimiser.steps_done()), ([1.0; 3].as_slice(), 0));
    assert!(optimiser.step(&mut p, &[0.0; 2]).is_err());
}
