//! The maxima against brute force in f64, and logits against those within a gradient: presets and random networks.
use super::*;
use crate::architecture::{Architecture, Layer, Operation, Preset};
use crate::engine::vector::{LANES, Machine};
use crate::engine::{Engine, Instructions, Mode};
use crate::init::Initialisation;
use crate::loss::LogitLoss;
use crate::streams::Streams;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::sync::Mutex;

fn normal(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.sample::<f32, _>(StandardNormal)).collect()
}

/// The largest difference from brute force in f64, relative to the largest output.
fn error(conv: &Conv, rng: &mut ChaCha8Rng, machine: Machine) -> f64 {
    let Conv { input: [inputs, h, w], output: [outputs, oh, ow], kernel: [_, k], relu, .. } = *conv;
    let (ph, pw) = (oh / 2, ow / 2);
    let theta = normal(rng, conv.weights() + outputs);
    let x: Vec<Vector> =
        (0..inputs * h * w).map(|_| Vector(std::array::from_fn(|_| rng.sample::<f32, _>(StandardNormal)))).collect();
    let mut points = vec![f32::NAN; weights(conv)];
    transform_weights(conv, &theta, &mut points);
    let mut y = vec![Vector([f32::NAN; LANES]); outputs * ph * pw];
    let mut space = vec![Vector([f32::NAN; LANES]); room(conv)];
    machine.run(Forward { conv, theta: &theta, weights: &points, x: &x, y: &mut y, room: &mut space });
    let at = |o: usize, oy: usize, ox: usize, lane: usize| -> f64 {
        let mut sum = conv.bias.map_or(0.0, |place| f64::from(theta[place + o]));
        for i in 0..inputs {
            for t in 0..k * k {
                let pixel = x[(i * h + oy + t / k) * w + ox + t % k].0[lane];
                sum += f64::from(theta[(o * inputs + i) * k * k + t]) * f64::from(pixel);
            }
        }
        sum
    };
    let (mut worst, mut largest) = (0.0f64, 0.0f64);
    for (j, y) in y.iter().enumerate() {
        let (o, py, px) = (j / (ph * pw), j / pw % ph, j % pw);
        for lane in 0..LANES {
            let most = (0..4).map(|c| at(o, 2 * py + c / 2, 2 * px + c % 2, lane)).fold(f64::MIN, f64::max);
            let truth = if relu { most.max(0.0) } else { most };
            let error = (f64::from(y.0[lane]) - truth).abs();
            assert!(error.is_finite(), "{conv:?}");
            (worst, largest) = (worst.max(error), largest.max(truth.abs()));
        }
    }
    worst / largest.max(1.0)
}

#[test]
fn maxima_of_random_convolutions_agree_with_brute_force() {
    let mut rng = Streams::new(5).child("winograd").rng();
    for _ in 0..60 {
        let kernel = if rng.random() { 3 } else { 5 };
        let [inputs, outputs] = [rng.random_range(1..5), rng.random_range(1..6)];
        let [oh, ow] = [rng.random_range(2..12), rng.random_range(2..12)];
        let weights = inputs * outputs * kernel * kernel;
        let conv = Conv {
            input: [inputs, oh + kernel - 1, ow + kernel - 1],
            output: [outputs, oh, ow],
            kernel: [kernel; 2],
            stride: [1; 2],
            dilation: [1; 2],
            groups: 1,
            weight: 0,
            bias: rng.random::<bool>().then_some(weights),
            forward: 0,
            forward_block: 0,
            backward: 0,
            backward_block: 0,
            relu: rng.random(),
        };
        for machine in [Instructions::Avx2, Instructions::Avx512].into_iter().filter_map(Machine::new) {
            let error = error(&conv, &mut rng, machine);
            assert!(error < 5e-6, "{conv:?}: {error:e}");
        }
    }
}

/// A loss that keeps the logits within a gradient, which are those of the direct kernels.
struct Keep(Mutex<Vec<f32>>);

impl LogitLoss for Keep {
    fn rows(&self, _: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        self.0.lock().unwrap().extend_from_slice(logits);
        d.fill(0.0);
        0.0
    }
}

/// A few layers, the first with its pool, of random sizes.
fn random_architecture(rng: &mut ChaCha8Rng, name: usize) -> Architecture {
    let mut operations = Vec::new();
    let relu_first = rng.random();
    for _ in 0..2 {
        let (out, kernel) = (rng.random_range(3..10), if rng.random() { 3 } else { 5 });
        let (kernel, padding) = (kernel.into(), rng.random_range(0..2).into());
        operations.push(Operation::Conv {
            out,
            kernel,
            stride: 1.into(),
            padding,
            dilation: 1.into(),
            groups: 1,
            bias: rng.random(),
        });
        let pool = Operation::MaxPool { size: 2.into(), stride: None, padding: 0.into() };
        let both = if relu_first { [Operation::Relu, pool] } else { [pool, Operation::Relu] };
        operations.extend(both);
    }
    operations.extend([Operation::Flatten, Operation::Dense { out: 5, bias: true }]);
    let layers = operations.into_iter().map(|operation| Layer { name: None, operation }).collect();
    let input = [rng.random_range(1..4), rng.random_range(20..30), rng.random_range(20..30)];
    Architecture::new(format!("random {name}"), input, layers).unwrap()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|v| v * v).sum::<f32>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied())
}

#[test]
fn logits_agree_with_those_of_gradients_and_depend_on_no_company() {
    let mut rng = Streams::new(6).child("winograd").rng();
    let mut architectures = vec![
        Preset::CnnS.build([1, 28, 28], 10).unwrap(),
        Preset::CnnS.build([3, 28, 28], 10).unwrap(),
        Preset::CnnM.build([3, 32, 32], 10).unwrap(),
    ];
    architectures.extend((0..12).map(|i| random_architecture(&mut rng, i)));
    let mut fast = 0;
    for architecture in &architectures {
        let (name, n, m) = (architecture.name(), 37, 3);
        let inputs = normal(&mut rng, n * architecture.input_len());
        let streams = Streams::new(7).child(name);
        let mut first = None;
        for instructions in Instructions::ALL.into_iter().filter(|i| i.is_available()) {
            let engine = Engine::with_instructions(architecture, instructions).unwrap();
            let draw = |i| Initialisation::KaimingUniform.draw(engine.layout(), &streams.index(i));
            let thetas: Vec<f32> = (0..m).flat_map(draw).collect();
            let x = engine.pack(&inputs).unwrap();
            let all = engine.logits_of_many(&thetas, &x).unwrap();
            fast += usize::from(engine.plan.fast_weights > 0);
            let (p, mut workspace) = (engine.parameters(), engine.workspace());
            for (theta, logits) in thetas.chunks(p).zip(all.chunks(n * engine.classes())) {
                let keep = Keep(Mutex::new(Vec::new()));
                engine.gradient(theta, &x, Mode::Evaluate, &keep, &mut vec![0.0; p], &mut workspace);
                let direct = keep.0.into_inner().unwrap();
                assert!(distance(logits, &direct) < 1e-5, "{name}: {}", distance(logits, &direct));
                // Alone, and with other images in the other lanes.
                let mut alone = vec![0.0; logits.len()];
                engine.logits(theta, &x, &mut alone, &mut workspace);
                assert!(alone == logits, "{name}");
                let few = engine.pack(&inputs[..5 * engine.input_len()]).unwrap();
                assert!(engine.logits_of_many(theta, &few).unwrap() == logits[..5 * engine.classes()], "{name}");
            }
            let threads = |t| rayon::ThreadPoolBuilder::new().num_threads(t).build().unwrap();
            assert!(
                [1, 3].map(threads).iter().all(|t| t.install(|| engine.logits_of_many(&thetas, &x)).unwrap() == all)
            );
            let first = first.get_or_insert_with(|| all.clone());
            assert!(distance(&all, first) < 1e-5, "{name}: {}", distance(&all, first));
        }
    }
    assert!(fast >= 10 || Instructions::best() == Instructions::Portable, "{fast}");
}
