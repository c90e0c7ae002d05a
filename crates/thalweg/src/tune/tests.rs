//! Adjoint matching against closed forms: Gaussian laws, quadratic rewards, their tilted laws; adjoints against differences.
use super::drawn::{sampled, starts};
use super::linear_field::{LinearField, method};
use super::process::Start;
use super::trajectory::{Simulation, Terminal, Trajectories};
use super::*;
use crate::Streams;
use crate::field::feature_potential::StepForm;
use crate::field::{Field, MlpPotentialConfig, ResidualMlp, ResidualMlpConfig};
use crate::method::JkoConfig;
use crate::method::jko::PotentialConfig;
use crate::nn::optimiser::{AdamWConfig, Schedule};
use crate::nn::parameters::Parameters;
use crate::nn::tape::Tape;
use crate::reward::{Graded, ToPoint};
use crate::train::Validation;
use rand::RngExt;
use thalweg_nets::progress::Silent;
use thalweg_nets::testing::{StopAfter, moments, partial};

/// −½ (w · x − c)²: tilts along one direction, so that a diagonal covariance becomes a full one.
struct Along {
    w: Vec<f64>,
    c: f64,
}

impl Reward for Along {
    fn dimension(&self) -> usize {
        self.w.len()
    }

    fn describe(&self) -> String {
        format!("along {:?} to {}", self.w, self.c)
    }

    fn grade(&self, x: &[f32], _: &Streams) -> Result<Graded> {
        let mut graded = Graded { values: vec![], gradients: vec![] };
        for row in x.chunks_exact(self.w.len()) {
            let off = row.iter().zip(&self.w).map(|(x, w)| f64::from(*x) * w).sum::<f64>() - self.c;
            graded.values.push(-0.5 * off * off);
            graded.gradients.extend(self.w.iter().map(|w| (-off * w) as f32));
        }
        Ok(graded)
    }
}

fn config(iterations: u64) -> TuneConfig {
    TuneConfig {
        strength: 2.0,
        iterations,
        trajectories: 128,
        updates: 2,
        validate_every: iterations,
        optimiser: AdamWConfig {
            learning_rate: 0.03,
            schedule: Schedule::Cosine,
            weight_decay: 0.0,
            clip: f64::INFINITY,
            average: 0.98,
            ..AdamWConfig::default()
        },
        ..TuneConfig::default()
    }
}

/// Tunes the linear field between N(m₀, S) and N(m, s²), and compares samples of its ODE with `mean` and `covariance`.
fn reaches(field: &LinearField, reward: &dyn Reward, mean: &[f64], covariance: &[f64]) {
    let (p, config) = (mean.len(), config(400));
    let process = Process::memoryless(field.start[0].clone(), field.start[1].clone(), config.steps);
    let (base, mut tuned) = (method(field.clone()), method(field.clone()));
    let task = Task { base: &base, process: &process, reward, held_out: None };
    task.run(&mut tuned, &config, &TuneOptions::default(), &Silent).unwrap();
    let z = draw(tuned.velocity_field().unwrap(), &process, 8000, 200, &Streams::new(77)).unwrap();
    let (m, c) = moments(&z, p);
    // Stated error: .06 deviations of the base in the mean; .06 of its variance in every covariance.
    for i in 0..p {
        let scale = f64::from(field.target[1][i]);
        assert!((m[i] - mean[i]).abs() < 0.06 * scale, "mean {m:?}, expected {mean:?}");
        for j in 0..p {
            let scale = scale * f64::from(field.target[1][j]);
            let (found, expected) = (c[i * p + j], covariance[i * p + j]);
            assert!((found - expected).abs() < 0.06 * scale, "covariance {c:?}, expected {covariance:?}");
        }
    }
}

#[test]
fn one_dimension_reaches_the_tilted_law() {
    let field = LinearField::between([&[0.0], &[1.0]], [&[1.0], &[0.5]], 10);
    // Precision 1/.25 + 2 · 2, mean (4 · 1 + 4 · 2)/8.
    reaches(&field, &ToPoint::new(vec![2.0], 2.0).unwrap(), &[1.5], &[0.125]);
}

#[test]
fn many_dimensions_reach_the_tilted_law_from_unit_and_from_diagonal_gaussian_sources() {
    let (m, s) = ([0.5f32, -1.0, 0.0], [1.0f32, 0.5, 0.8]);
    let (w, c, strength) = ([1.0f64, -1.0, 0.5], 0.0, 2.0);
    // Sherman and Morrison: Σ − Σw wᵀΣ λ/(1 + λ wᵀΣw), and the mean moves along Σw.
    let variance: Vec<f64> = s.iter().map(|s| f64::from(s * s)).collect();
    let sw: Vec<f64> = variance.iter().zip(&w).map(|(v, w)| v * w).collect();
    let gain = strength / (1.0 + strength * sw.iter().zip(&w).map(|(a, b)| a * b).sum::<f64>());
    let off = c - m.iter().zip(&w).map(|(m, w)| f64::from(*m) * w).sum::<f64>();
    let mean: Vec<f64> = m.iter().zip(&sw).map(|(m, sw)| f64::from(*m) + gain * off * sw).collect();
    let mut covariance: Vec<f64> = (0..9).map(|i| -gain * sw[i / 3] * sw[i % 3]).collect();
    (0..3).for_each(|i| covariance[4 * i] += variance[i]);
    let reward = Along { w: w.to_vec(), c };
    for start in [[[0.0f32; 3], [1.0; 3]], [[0.3, 0.0, -0.5], [0.6, 1.0, 1.4]]] {
        let field = LinearField::between([&start[0], &start[1]], [&m, &s], 10);
        reaches(&field, &reward, &mean, &covariance);
    }
}

/// `rows` trajectories of `field` under itself.
fn simulated(
    field: &dyn Field,
    process: &Process,
    reward: &dyn Reward,
    steps: usize,
    rows: usize,
) -> (Trajectories, Terminal) {
    let simulation = Simulation { base: field, tuned: field, process, reward, strength: 1.5, clip: f64::INFINITY };
    let streams = Streams::new(3);
    simulation.run(process::grid(steps, &streams), rows, &streams, &mut trajectory::Buffers::default()).unwrap()
}

#[test]
fn the_memoryless_process_forgets_its_start_and_ends_near_the_target() {
    let field = LinearField::between([&[0.2, 0.0], &[0.7, 1.0]], [&[1.0, -0.5], &[0.5, 0.8]], 4);
    let steps = 100;
    let process = Process::memoryless(field.start[0].clone(), field.start[1].clone(), steps);
    let (made, ends) = simulated(&field, &process, &ToPoint::new(vec![0.0; 2], 1.0).unwrap(), steps, 8000);
    let starts = &made.x[..ends.x.len()];
    let both: Vec<f32> = starts.chunks(2).zip(ends.x.chunks(2)).flat_map(|(a, b)| [a, b].concat()).collect();
    let (mean, covariance) = moments(&both, 4);
    for i in 0..2 {
        let correlation = covariance[i * 4 + i + 2] / (covariance[i * 5] * covariance[(i + 2) * 5]).sqrt();
        // The sampling error is .011.
        assert!(correlation.abs() < 0.04, "{correlation}");
        let (m, s) = (f64::from(field.target[0][i]), f64::from(field.target[1][i]));
        assert!((mean[i + 2] - m).abs() < 0.05 * s, "{mean:?}");
        assert!((covariance[(i + 2) * 5] / (s * s) - 1.0).abs() < 0.08, "{covariance:?}");
    }
    assert_eq!(ends.distances, vec![0.0; 8000], "the base is at no distance from itself");
}

#[test]
fn the_general_process_ends_near_the_target_and_where_its_control_leads() {
    // Source and target are independent here, so the tilted law is known: mean 1.5, variance .125 (as above).
    let field = LinearField::between([&[0.0], &[1.0]], [&[1.0], &[0.5]], 10);
    let reward = ToPoint::new(vec![2.0], 2.0).unwrap();
    let start = process::Start::Normal { mean: vec![0.0], deviation: vec![1.0] };
    let process = Process::general(start, 0.3, 20);
    let (_, ends) = simulated(&field, &process, &reward, 20, 8000);
    let (mean, variance) = moments(&ends.x, 1);
    // Without control it ends near N(1, .25): the noise adds .01.
    assert!((mean[0] - 1.0).abs() < 0.03 && (variance[0] - 0.26).abs() < 0.03, "{mean:?} {variance:?}");
    let config = config(200);
    let (base, mut tuned) = (method(field.clone()), method(field));
    let task = Task { base: &base, process: &process, reward: &reward, held_out: None };
    task.run(&mut tuned, &config, &TuneOptions::default(), &Silent).unwrap();
    let z = draw(tuned.velocity_field().unwrap(), &process, 4000, 200, &Streams::new(5)).unwrap();
    let (mean, variance) = moments(&z, 1);
    // Starts are not reweighted and the noise is left out, so the way to 1.5 is not gone: what is reached instead is known.
    let (expected_mean, expected_variance) = general_truth(0.3, 1.0 / 20.0, config.strength * 2.0, 2.0);
    // Stated error, of the knots, of 20 steps a trajectory and of the training: .03 in the mean, .03 in the variance.
    assert!((mean[0] - expected_mean).abs() < 0.03, "{mean:?}, expected {expected_mean}");
    assert!((variance[0] - expected_variance).abs() < 0.03, "{variance:?}, expected {expected_variance}");
    assert!(expected_mean > 1.08 && expected_variance < 0.21, "else not moving at all would pass");
}

/// Mean and variance that samples without noise end with under the optimal control of dX = v dt + σ dB, σ² = noise² (1 − t + h), towards
/// −½ precision (x − c)², for the closed-form velocity between N(0, 1) and N(1, ¼). With J = ½ P x² − q x the control adds −σ² J′ to
/// v = a x + b, and backwards in time Ṗ = −2aP + σ²P², q̇ = bP − aq + σ²Pq (Riccati).
fn general_truth(noise: f64, h: f64, precision: f64, c: f64) -> (f64, f64) {
    const N: usize = 20_000;
    let d = 1.0 / N as f64;
    let coefficients = |t: f64| {
        let slope = (0.25 * t - (1.0 - t)) / ((1.0 - t).powi(2) + 0.25 * t * t);
        (slope, 1.0 - slope * t, noise * noise * (1.0 - t + h))
    };
    let (mut p, mut q) = (precision, precision * c);
    let mut controlled = vec![(0.0, 0.0); N];
    for k in (0..N).rev() {
        let (a, b, s) = coefficients((k as f64 + 0.5) * d);
        controlled[k] = (a - s * p, b + s * q);
        (p, q) = (p + d * (2.0 * a * p - s * p * p), q - d * (b * p - a * q + s * p * q));
    }
    let (mut mean, mut deviation) = (0.0, 1.0);
    for (a, b) in controlled {
        mean += d * (a * mean + b);
        deviation *= 1.0 + d * a;
    }
    (mean, deviation * deviation)
}

#[test]
fn lean_adjoints_are_differences_through_the_solver() {
    let p = 3;
    let linear = LinearField::between([&[0.0; 3], &[1.0; 3]], [&[0.5, -1.0, 0.0], &[1.0, 0.5, 0.8]], 4);
    let small = ResidualMlpConfig { width: 8, blocks: 1, time_features: 4, embedding: 4, ..Default::default() };
    let mut net = ResidualMlp::new(p, &small, &Streams::new(1)).unwrap();
    let mut rng = Streams::new(2).rng();
    net.parameters_mut().iter_mut().for_each(|v| *v += 0.4 * (rng.random::<f32>() - 0.5));
    let reward = Along { w: vec![0.7, -0.4, 1.1], c: 0.3 };
    let unit = || process::Start::Normal { mean: vec![0.0; p], deviation: vec![1.0; p] };
    for field in [&linear as &dyn Field, &net] {
        for process in [Process::memoryless(vec![0.0; p], vec![1.0; p], 8), Process::general(unit(), 0.5, 8)] {
            let (steps, rows) = (8, 2);
            let (made, ends) = simulated(field, &process, &reward, steps, rows);
            let size = rows * p;
            let state = |k: usize| if k == steps { &ends.x[..] } else { &made.x[k * size..(k + 1) * size] };
            let step = |k: usize, x: &[f32]| {
                let c = process.at(made.grid[k], made.grid[k + 1] - made.grid[k]);
                let mut v = vec![0.0; size];
                field.velocity(x, &vec![made.grid[k] as f32; rows], None, &mut v, &mut Tape::default());
                let drift = |(x, v): (&f32, f32)| x + c.step * (c.velocity * v - c.reversion * x);
                x.iter().zip(v).map(drift).collect::<Vec<f32>>()
            };
            // The noise of a step is what its drift does not explain; the same noise carries the moved point on.
            let noise = |k: usize| -> Vec<f32> {
                step(k, state(k)).iter().zip(state(k + 1)).map(|(made, is)| is - made).collect()
            };
            let value = |mut x: Vec<f32>, from: usize, row: usize| {
                for k in from..steps {
                    x = step(k, &x).iter().zip(noise(k)).map(|(a, b)| a + b).collect();
                }
                reward.values(&x, &Streams::new(0)).unwrap()[row]
            };
            for (k, i) in [(0, 0), (0, 4), (3, 2), (5, 3), (7, 5)] {
                let slope = -1.5 * partial(state(k + 1), i, 0.01, |x| value(x.to_vec(), k + 1, i / p));
                let found = f64::from(made.adjoint[k * size + i]);
                assert!((slope - found).abs() < 4e-3 * (1.0 + slope.abs()), "step {k}: {slope} {found}");
            }
        }
    }
}

/// A nonlinear field with parameters that are not at rest, and its copy.
fn nets() -> [crate::method::FlowMatching; 2] {
    let small = ResidualMlpConfig { width: 16, blocks: 1, time_features: 8, embedding: 8, ..Default::default() };
    let mut net = ResidualMlp::new(40, &small, &Streams::new(1)).unwrap();
    let mut rng = Streams::new(2).rng();
    net.parameters_mut().iter_mut().for_each(|v| *v += 0.1 * (rng.random::<f32>() - 0.5));
    [method(net.clone()), method(net)]
}

fn small_config() -> TuneConfig {
    TuneConfig {
        iterations: 6,
        steps: 8,
        trajectories: 5,
        updates: 3,
        buffer: 2,
        validate_every: 2,
        validation_samples: 4,
        validation_steps: 5,
        strength: 10.0,
        ..TuneConfig::default()
    }
}

/// Tunes a copy of the net; the parameters kept and the validations without their seconds.
fn tuned(
    config: &TuneConfig,
    weight: f64,
    options: &TuneOptions,
    progress: &dyn Progress,
) -> Result<(Vec<f32>, Vec<Validation>)> {
    let [base, mut copy] = nets();
    let process = Process::memoryless(vec![0.0; 40], vec![1.0; 40], config.steps);
    let reward = ToPoint::new((0..40).map(|i| (i as f32).sin()).collect(), weight).unwrap();
    let task = Task { base: &base, process: &process, reward: &reward, held_out: Some(&reward) };
    let mut state = task.run(&mut copy, config, options, progress)?;
    state.validations.iter_mut().for_each(|v| v.seconds = 0.0);
    Ok((copy.parameters().to_vec(), state.validations))
}

#[test]
fn no_reward_no_move() {
    let (parameters, looks) = tuned(&small_config(), 0.0, &TuneOptions::default(), &Silent).unwrap();
    assert_eq!(parameters, nets()[0].parameters());
    assert!(looks.iter().all(|look| look.distance.unwrap_or(0.0) == 0.0));
}

#[test]
fn the_same_bytes_on_any_number_of_threads_and_after_a_resume() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tuned(&small_config(), 1.0, &TuneOptions::default(), &Silent).unwrap())
    };
    let one = run(1);
    assert!(one.1.last().unwrap().held_out > one.1[0].held_out, "{:?}", one.1);
    assert!(one.1.last().unwrap().distance.unwrap() > 0.0 && one.0 != nets()[0].parameters());
    assert_eq!(one, run(2));
    let dir = tempfile::tempdir().unwrap();
    let state = Some(dir.path().join("state.safetensors"));
    let options = TuneOptions { state, save_every: 0, resume: true };
    let stopped = tuned(&small_config(), 1.0, &options, &StopAfter::new(3));
    assert!(matches!(stopped, Err(Error::Interrupted)));
    let other = TuneConfig { strength: 11.0, ..small_config() };
    let message = tuned(&other, 1.0, &options, &Silent).unwrap_err().to_string();
    assert!(message.contains("identity"), "{message}");
    assert_eq!(one, tuned(&small_config(), 1.0, &options, &Silent).unwrap());
}

#[test]
fn it_stops_when_the_held_out_reward_stops_rising() {
    // A learning rate far too large: the first looks are the best.
    let optimiser = AdamWConfig { learning_rate: 0.3, ..TuneConfig::default().optimiser };
    let config = TuneConfig { iterations: 60, validate_every: 1, patience: 2, optimiser, ..small_config() };
    let (_, looks) = tuned(&config, 1.0, &TuneOptions::default(), &Silent).unwrap();
    let best = looks.iter().map(|l| l.held_out.unwrap()).fold(f64::NEG_INFINITY, f64::max);
    assert!(looks.len() < 61, "it went on to the end");
    assert_eq!(looks[looks.len() - 3].held_out, Some(best), "{looks:?}");
}

#[test]
fn rivals_raise_the_reward() {
    assert_eq!(rivals::best(&[0.5, 2.0, 2.0, -1.0], 3), [1, 2, 0]);
    let (reward, streams) = (ToPoint::new(vec![1.0; 40], 1.0).unwrap(), Streams::new(1));
    let mut theta = vec![0.0; 80];
    rivals::ascend(&mut theta, &reward, 300, 0.05, &streams, |_, _| Ok(true)).unwrap();
    assert!(theta.iter().all(|v| (v - 1.0).abs() < 0.05), "{theta:?}");
}

#[test]
fn guidance_is_a_push_of_fixed_length_towards_the_reward_of_the_predicted_end() {
    let (reward, streams) = (ToPoint::new(vec![1.0; 40], 1.0).unwrap(), Streams::new(1));
    // Over a field that stands still all of g √P is gone straight towards the centre: .3 of the .5 that are missing in every coordinate.
    let still = ResidualMlp::new(40, &ResidualMlpConfig::default(), &Streams::new(1)).unwrap();
    let mut z = vec![0.5; 80];
    rivals::guide(&still, &mut z, &reward, 0.3, 20, &streams).unwrap();
    assert!(z.iter().all(|z| (z - 0.8).abs() < 1e-5), "{z:?}");
    // One step of another field by the definition: z + v + g √P ∇r(z + v)/‖∇r(z + v)‖.
    let [base, _] = nets();
    let field = base.velocity_field().unwrap();
    let start: Vec<f32> = (0..80).map(|i| (i as f32 * 0.7).sin()).collect();
    let mut v = vec![0.0; 80];
    field.velocity(&start, &[0.0; 2], None, &mut v, &mut Tape::default());
    for strength in [0.0, 0.3] {
        let mut z = start.clone();
        rivals::guide(field, &mut z, &reward, strength, 1, &streams).unwrap();
        for row in 0..2 {
            let end: Vec<f64> = (0..40).map(|i| f64::from(start[row * 40 + i] + v[row * 40 + i])).collect();
            let far = end.iter().map(|e| (1.0 - e).powi(2)).sum::<f64>().sqrt();
            for (i, end) in end.iter().enumerate() {
                let expected = end + strength * 40f64.sqrt() * (1.0 - end) / far;
                assert!((f64::from(z[row * 40 + i]) - expected).abs() < 1e-5, "{strength}: {expected}");
            }
        }
    }
}

#[test]
fn potential_steps_reach_the_closed_form_optimum() {
    // From a flat potential, each row on its own: x_K = (x₀ + S λ c)/(1 + S λ) with S = Σ τ_k σ_k² minimises ½ λ ‖x_K − c‖² + Σ τ ‖u‖²/(2 σ²),
    // and its drift is linear in x, which the potential can say.
    let jko = JkoConfig {
        steps: 3,
        noise: 0.0,
        time_dependent: true,
        potential: PotentialConfig::Mlp(MlpPotentialConfig { width: 4, layers: 1, time_features: 8 }),
        ..JkoConfig::default()
    };
    let times = [0.0, 0.25, 0.5, 1.0];
    let build = || jko.build(&times, 2, &Streams::new(1)).unwrap();
    let (base, mut tuned) = (build(), build());
    let start = Start::Normal { mean: vec![0.0; 2], deviation: vec![1.0; 2] };
    let process = Process::general(start, 0.8, 20);
    let (c, strength) = ([1.5f64, -1.0], 3.0);
    let reward = ToPoint::new(c.iter().map(|c| *c as f32).collect(), 1.0).unwrap();
    let task = Task { base: &base, process: &process, reward: &reward, held_out: Some(&reward) };
    let config = TuneConfig { strength, ..config(300) };
    let state = task.run(&mut tuned, &config, &TuneOptions::default(), &Silent).unwrap();
    assert!(state.best_validation().unwrap().held_out > state.validations[0].held_out);
    let s: f64 = times.windows(2).map(|w| (w[1] - w[0]) * f64::from(process.at(w[0], w[1] - w[0]).sigma).powi(2)).sum();
    let streams = Streams::new(9);
    let (x0, x) = (starts(&process, 200, 2, &streams).unwrap(), sampled(&tuned, &process, 200, 1, &streams).unwrap());
    for (x0, x) in x0.chunks_exact(2).zip(x.chunks_exact(2)) {
        for k in 0..2 {
            let truth = (f64::from(x0[k]) + s * strength * c[k]) / (1.0 + s * strength);
            assert!((f64::from(x[k]) - truth).abs() < 0.1, "{truth} {}", x[k]);
        }
    }
    let implicit = JkoConfig { form: StepForm::Implicit, ..jko };
    let refused = implicit.build(&times, 2, &Streams::new(1)).unwrap();
    let task = Task { base: &refused, ..task };
    let said = task.run(&mut tuned, &config, &TuneOptions::default(), &Silent).err().unwrap().to_string();
    assert!(said.contains("explicit"), "{said}");
}
