//! What the engine is for, on cnn-s (2,464 weights, 28 × 28 inputs): training a zoo, evaluating many networks,
//! gradients of rewards. The same three in PyTorch: `benches/peers/engine.py`; both and their ratios: `benches/run engine`.
//!
//! `THREADS` sets the number of threads, 2 by default.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use std::time::Duration;
use thalweg_nets::Streams;
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::{Engine, Mode, Packed, Workspace};
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::init::Initialisation;
use thalweg_nets::loss::CrossEntropy;

const CLASSES: usize = 10;
const IMAGES: usize = 10_000;
const BATCH: usize = 64;
/// Models trained side by side, and networks whose reward gradients are taken.
const MODELS: usize = 64;
const REWARD_IMAGES: usize = 512;
/// Networks evaluated in one go; the rate is the same for 200.
const EVALUATED: usize = 20;

struct Data {
    engine: Engine,
    inputs: Vec<f32>,
    labels: Vec<u32>,
}

impl Data {
    fn new() -> Self {
        let engine = Engine::new(&Preset::CnnS.build([1, 28, 28], CLASSES).expect("a preset")).expect("a preset");
        let mut rng = Streams::new(1).child("data").rng();
        let inputs = (0..IMAGES * engine.input_len()).map(|_| rng.sample::<f32, _>(StandardNormal)).collect();
        let labels = (0..IMAGES).map(|_| rng.random_range(0..CLASSES as u32)).collect();
        Data { engine, inputs, labels }
    }

    fn thetas(&self, n: usize) -> Vec<f32> {
        let streams = Streams::new(2);
        let draw = |i| Initialisation::KaimingUniform.draw(self.engine.layout(), &streams.index(i as u64));
        (0..n).flat_map(draw).collect()
    }
}

/// One model of a zoo under Adam.
struct Run {
    theta: Vec<f32>,
    moments: [Vec<f32>; 2],
    gradient: Vec<f32>,
    order: Vec<usize>,
    step: usize,
    labels: Vec<u32>,
    packed: Packed,
    workspace: Workspace,
}

impl Run {
    fn new(data: &Data, theta: &[f32], seed: u64) -> Self {
        let mut rng = Streams::new(3).index(seed).rng();
        let zeros = || vec![0.0; theta.len()];
        Run {
            theta: theta.to_vec(),
            moments: [zeros(), zeros()],
            gradient: zeros(),
            order: (0..IMAGES).map(|_| rng.random_range(0..IMAGES)).collect(),
            step: 0,
            labels: vec![0; BATCH],
            packed: data.engine.pack(&[]).expect("no inputs fit"),
            workspace: data.engine.workspace(),
        }
    }

    /// A batch of the shuffled data, its gradient, Adam.
    fn step(&mut self, data: &Data) {
        let at = self.step * BATCH % (IMAGES - BATCH);
        let rows = &self.order[at..at + BATCH];
        data.engine.pack_rows(&data.inputs, rows, &mut self.packed).expect("rows of the data");
        for (label, &row) in self.labels.iter_mut().zip(rows) {
            *label = data.labels[row];
        }
        let loss = CrossEntropy::new(&self.labels, CLASSES, 0.0).expect("labels of the data");
        let mode = Mode::Train { dropout: Streams::new(0) };
        let (gradient, workspace) = (&mut self.gradient, &mut self.workspace);
        data.engine.gradient(&self.theta, &self.packed, mode, &loss, gradient, workspace);
        self.step += 1;
        let (rate, b1, b2, t) = (1e-3f32, 0.9f32, 0.999f32, self.step as i32);
        let (c1, c2) = (rate / (1.0 - b1.powi(t)), 1.0 / (1.0 - b2.powi(t)));
        let [first, second] = &mut self.moments;
        for (((theta, &g), m), v) in self.theta.iter_mut().zip(&self.gradient).zip(first).zip(second) {
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *theta -= c1 * *m / ((c2 * *v).sqrt() + 1e-8);
        }
    }
}

fn engine(criterion: &mut Criterion) {
    let threads = std::env::var("THREADS").ok().and_then(|v| v.parse().ok()).unwrap_or(2);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first pool");
    let data = Data::new();
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(4));

    let thetas = data.thetas(MODELS);
    let p = data.engine.parameters();
    let mut runs: Vec<Run> = thetas.chunks(p).enumerate().map(|(i, theta)| Run::new(&data, theta, i as u64)).collect();
    group.throughput(Throughput::Elements(MODELS as u64));
    group.bench_function("training", |b| b.iter(|| runs.par_iter_mut().for_each(|run| run.step(&data))));

    let x = data.engine.pack(&data.inputs[..REWARD_IMAGES * data.engine.input_len()]).expect("inputs of the engine");
    let loss = CrossEntropy::new(&data.labels[..REWARD_IMAGES], CLASSES, 0.0).expect("labels of the data");
    group.throughput(Throughput::Elements(MODELS as u64));
    group.bench_function("reward-gradients", |b| {
        b.iter(|| data.engine.gradients_of_many(&thetas, &x, Mode::Evaluate, &loss).expect("sizes fit"));
    });

    let x = data.engine.pack(&data.inputs).expect("inputs of the engine");
    let thetas = data.thetas(EVALUATED);
    group.throughput(Throughput::Elements((EVALUATED * IMAGES) as u64));
    group.bench_function("evaluation", |b| {
        b.iter(|| evaluate(&data.engine, &thetas, &x, &data.labels).expect("sizes fit"));
    });
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
