//! DDPM against the closed form for Gaussians: with the optimal ε̂ ancestral sampling reaches mean and variance, DDIM is the flow map of the ODE.
use super::*;
use crate::Layout;
use crate::field::{ResidualMlp, ResidualMlpConfig};
use crate::nn::gradient::Gradient;
use crate::nn::parameters::Parameters;
use thalweg_nets::testing;

const MEAN: [f64; 3] = [1.0, -2.0, 0.5];
const SPREAD: f64 = 0.5;
const P: usize = 3;

/// E[ε | x_k] for data N(m, s² I): √(1 − ᾱ) (x − √ᾱ m)/V with V = ᾱ s² + 1 − ᾱ.
struct Optimal {
    schedule: Ddpm,
    layout: Layout,
}

impl Parameters for Optimal {
    fn layout(&self) -> &Layout {
        &self.layout
    }
    fn parameters(&self) -> &[f32] {
        &[]
    }
    fn parameters_mut(&mut self) -> &mut [f32] {
        &mut []
    }
}

impl Field for Optimal {
    fn dimension(&self) -> usize {
        P
    }
    fn context(&self) -> usize {
        0
    }
    fn velocity(&self, x: &[f32], t: &[f32], _: Option<&[f32]>, out: &mut [f32], _: &mut Tape) {
        for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
            let k = (1.0 - f64::from(t[i / P])) * self.schedule.config.steps as f64;
            let a = self.schedule.alpha_bar(k);
            *out = ((1.0 - a).sqrt() * (f64::from(*x) - a.sqrt() * MEAN[i % P]) / variance(a)) as f32;
        }
    }
    fn backward(&self, _: &[f32], _: &mut Tape, _: Gradient<'_>, _: Option<&mut [f32]>) {}
}

fn variance(alpha_bar: f64) -> f64 {
    alpha_bar * SPREAD * SPREAD + 1.0 - alpha_bar
}

fn net() -> ResidualMlp {
    let config = ResidualMlpConfig { width: 8, blocks: 1, time_features: 8, embedding: 8, ..Default::default() };
    let mut net = ResidualMlp::new(P, &config, &Streams::new(6)).unwrap();
    let mut rng = Streams::new(7).rng();
    net.parameters_mut().iter_mut().for_each(|p| *p += 0.3 * rng.sample::<f32, _>(StandardNormal));
    net
}

fn learned(config: &DdpmConfig) -> Ddpm {
    config.build(Box::new(net())).unwrap()
}

fn optimal(config: &DdpmConfig) -> Ddpm {
    let layout = Layout::of_tensors([("none".to_string(), vec![1])]);
    config.build(Box::new(Optimal { schedule: learned(config), layout })).unwrap()
}

fn normals(seed: u64, n: usize) -> Vec<f32> {
    testing::normals(&Streams::new(seed), n * P)
}

fn rows(n: u64) -> Vec<Streams> {
    (0..n).map(|i| Streams::new(5).index(i)).collect()
}

const COSINE: DdpmConfig =
    DdpmConfig { steps: 1000, schedule: NoiseSchedule::Cosine, sampler: Sampler::Ancestral, clip: f64::INFINITY };

#[test]
fn the_schedules_are_those_of_their_papers() {
    let linear = learned(&DdpmConfig::default());
    assert_eq!((linear.alpha_bar(0.0), linear.log_alpha_bar.len()), (1.0, 1001));
    // Ho et al.: β_1 = 1e-4, β_T = .02; √ᾱ_T = .00635 by any of the public implementations.
    assert!((1.0 - linear.alpha_bar(1.0) - 1e-4).abs() < 1e-12);
    assert!((1.0 - linear.alpha_bar(1000.0) / linear.alpha_bar(999.0) - 0.02).abs() < 1e-12);
    assert!((linear.alpha_bar(1000.0).sqrt() - 0.00635).abs() < 1e-5);
    let cosine = learned(&COSINE);
    let f = |u: f64| ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    for k in [1, 250, 500, 900, 990] {
        let share = k as f64 / 1000.0;
        assert!((cosine.alpha_bar(k as f64) - f(share) / f(0.0)).abs() < 1e-9);
    }
    assert!((1.0 - cosine.alpha_bar(1000.0) / cosine.alpha_bar(999.0) - 0.999).abs() < 1e-12);
    for method in [linear, cosine] {
        assert!((1..=1000).all(|k| method.alpha_bar(f64::from(k)) < method.alpha_bar(f64::from(k - 1))));
        let between = (method.alpha_bar(41.0) * method.alpha_bar(42.0)).sqrt();
        assert!((method.alpha_bar(41.5) / between - 1.0).abs() < 1e-12);
    }
}

#[test]
fn ancestral_sampling_with_the_optimal_noise_reaches_mean_and_variance() {
    for config in [DdpmConfig::default(), COSINE] {
        let method = optimal(&config);
        let mut x = normals(4, 4000);
        let how = Transport { solver: Solver::Euler, steps: 1000, at: vec![0.0, 0.5504, 1.0] };
        let solution = method.transport(&mut x, None, &how, &rows(4000)).unwrap();
        assert_eq!((solution.evaluations, &solution.states[2 * x.len()..]), (1000, &x[..]));
        assert_eq!(solution.states[..x.len()], normals(4, 4000));
        let middle = method.alpha_bar(1000.0 - 550.4);
        for (points, a) in [(&solution.states[x.len()..2 * x.len()], middle), (&x[..], 1.0)] {
            let (means, covariance) = testing::moments(points, P);
            for k in 0..P {
                let (mean, found) = (means[k], covariance[k * (P + 1)]);
                assert!((mean - a.sqrt() * MEAN[k]).abs() < 0.05, "mean {mean} of {}", a.sqrt() * MEAN[k]);
                assert!((found / variance(a) - 1.0).abs() < 0.08, "variance {found} of {}", variance(a));
            }
        }
    }
}

#[test]
fn ddim_and_the_velocity_follow_the_flow_map_of_the_ode() {
    // For Gaussians the map from k to j is x ↦ √ᾱ_j m + √(V_j/V_k) (x − √ᾱ_k m).
    for schedule in [NoiseSchedule::Linear, NoiseSchedule::Cosine] {
        let config = DdpmConfig { schedule, sampler: Sampler::Ddim, clip: f64::INFINITY, ..DdpmConfig::default() };
        let method = optimal(&config);
        let map = |x: f32, i: usize, [k, j]: [f64; 2]| {
            let (from, to) = (method.alpha_bar(k), method.alpha_bar(j));
            to.sqrt() * MEAN[i % P]
                + (variance(to) / variance(from)).sqrt() * (f64::from(x) - from.sqrt() * MEAN[i % P])
        };
        let start = normals(8, 50);
        for (solver, steps, tolerance) in [
            (Solver::Euler, 1000, 0.02),
            (Solver::Euler, 100, 0.15),
            (Solver::DormandPrince { tolerance: 1e-6 }, 10, 0.02),
        ] {
            let mut x = start.clone();
            let how = Transport { solver, steps, at: vec![] };
            method.transport(&mut x, None, &how, &rows(50)).unwrap();
            for (i, (found, start)) in x.iter().zip(&start).enumerate() {
                let truth = map(*start, i, [1000.0, 0.0]);
                assert!((f64::from(*found) - truth).abs() < tolerance, "{schedule:?} {solver:?}: {found} {truth}");
            }
        }
        for k in [900.5, 500.5, 20.5] {
            let (x, t) = (normals(9, 2), [(1.0 - k / 1000.0) as f32; 2]);
            let mut v = vec![0.0; x.len()];
            method.velocity(&x, &t, None, &mut v, &mut Tape::default());
            for (i, v) in v.iter().enumerate() {
                // In t, a step of k of −.2 is one of 2e-4.
                let slope = (map(x[i], i, [k, k - 0.2]) - map(x[i], i, [k, k + 0.2])) / 4e-4;
                assert!((f64::from(*v) - slope).abs() < 0.01 * (1.0 + slope.abs()), "k = {k}: {v} {slope}");
            }
        }
    }
}

#[test]
fn a_batch_is_noise_and_data_by_the_schedule_and_the_gradient_that_of_differences() {
    let mut method = learned(&DdpmConfig::default());
    let curves = normals(8, 40);
    let batch = method.batch(&Anchors::dense(&curves, 2, P).unwrap(), None, &Streams::new(9)).unwrap();
    for (i, t) in batch.t.iter().enumerate() {
        let k = (1.0 - f64::from(*t)) * 1000.0;
        assert!((k - k.round()).abs() < 1e-2 && (1.0..=1000.0).contains(&k.round()));
        let a = method.alpha_bar(k.round());
        for j in 0..P {
            let (noise, data) = (curves[i * P + j], curves[(20 + i) * P + j]);
            assert_eq!(batch.u[i * P + j], noise);
            let truth = a.sqrt() * f64::from(data) + (1.0 - a).sqrt() * f64::from(noise);
            assert!((f64::from(batch.x[i * P + j]) - truth).abs() < 1e-5);
        }
    }
    let (mut scratch, mut gradient) = (Scratch::default(), vec![0.0; method.parameters().len()]);
    method.loss(&batch, &mut scratch, Some(&mut gradient));
    let own = method.parameters().to_vec();
    let error = testing::gradient_error(&own, &gradient, 1e-4, |q| {
        method.parameters_mut().copy_from_slice(q);
        method.loss(&batch, &mut scratch, None)
    });
    assert!(error < 0.02, "{error}");
    assert!(method.batch(&Anchors::dense(&curves, 4, P).unwrap(), None, &Streams::new(9)).is_err());
}

#[test]
fn the_same_bytes_on_any_number_of_threads_and_no_row_minds_the_others() {
    let method = learned(&DdpmConfig::default());
    let run = |threads, n: u64, solver| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let mut x = normals(3, 40)[..n as usize * P].to_vec();
            let how = Transport { solver, steps: 30, at: vec![0.33] };
            let states = method.transport(&mut x, None, &how, &rows(n)).unwrap().states;
            [states, x]
        })
    };
    for solver in [Solver::Euler, Solver::EulerMaruyama { noise: 0.5 }, Solver::Heun] {
        let all = run(1, 40, solver);
        assert!(all == run(2, 40, solver));
        let few = run(2, 7, solver);
        assert!((0..2).all(|i| all[i][..7 * P] == few[i]), "{solver:?}");
    }
    let strides = method.strides(3);
    assert_eq!((strides, method.strides(5000).len()), (vec![1000.0, 667.0, 334.0, 0.0], 1001));
}

#[test]
fn nonsense_is_refused_by_name() {
    let said = |config: DdpmConfig| config.check().unwrap_err().to_string();
    assert!(said(DdpmConfig { steps: 9, ..DdpmConfig::default() }).contains("method.ddpm.steps"));
    assert!(said(DdpmConfig { clip: 0.0, ..DdpmConfig::default() }).contains("method.ddpm.clip"));
    let method = learned(&DdpmConfig::default());
    let go = |solver, steps, at: &[f64]| {
        let how = Transport { solver, steps, at: at.to_vec() };
        method.transport(&mut normals(1, 1), None, &how, &rows(1)).unwrap_err().to_string()
    };
    assert!(go(Solver::EulerMaruyama { noise: 1.5 }, 10, &[]).contains("noise"));
    assert!(go(Solver::Euler, 0, &[]).contains("steps") && go(Solver::Euler, 5, &[1.5]).contains("at"));
}
