//! The CPU engine of `thalweg-nets` against automatic differentiation: logits, gradients of losses and of any
//! dL/dlogits, for every layer kind and preset, every instruction set of this machine, and batches that fill no block.
#![allow(clippy::unwrap_used)] // a test fails by panicking
mod support;

use support::{labels, layer_cases, normal, preset_cases, relative, relative_by_tensor, theta};
use thalweg_burn::{Device, Network, Statistics};
use thalweg_nets::architecture::{Layer, Operation};
use thalweg_nets::engine::{Engine, Instructions, Mode};
use thalweg_nets::loss::{CrossEntropy, Disagreement, LogitLoss, SoftCrossEntropy};
use thalweg_nets::{Architecture, Streams};

const TOLERANCE: f64 = 1e-4;

/// Σ dlogits · logits: its gradient is the vector–Jacobian product with `d [N, C]`.
struct Linear<'a> {
    d: &'a [f32],
    classes: usize,
}

impl LogitLoss for Linear<'_> {
    fn rows(&self, first: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        d.copy_from_slice(&self.d[first * self.classes..][..d.len()]);
        logits.iter().zip(&*d).map(|(z, d)| f64::from(z * d)).sum()
    }
}

fn engines(architecture: &Architecture) -> Vec<Engine> {
    let sets = [Instructions::Portable, Instructions::Avx2, Instructions::Avx512];
    sets.iter().filter_map(|&set| Engine::with_instructions(architecture, set).ok()).collect()
}

fn drops(layers: &[Layer]) -> bool {
    layers.iter().any(|layer| match &layer.operation {
        Operation::Dropout { p } => *p > 0.0,
        Operation::Residual { layers, shortcut } => drops(layers) || drops(shortcut),
        _ => false,
    })
}

/// The worst relative differences seen, and how many gradients were compared and found [`unsteady`].
#[derive(Debug, Default)]
struct Seen {
    logits: f64,
    gradients: f64,
    compared: usize,
    unsteady: usize,
}

/// How far Burn's own gradient moves when each weight moves by a millionth. Where two numbers of a pooling window, or a
/// sum and zero, differ by no more than rounding, a gradient may jump: there no two implementations agree, and this
/// says so without the engine.
fn unsteady(network: &Network, theta: &[f32], streams: &Streams, gradient: impl Fn(&[f32]) -> Vec<f32>) -> f64 {
    let truth = gradient(theta);
    let moved = |i: u64| {
        let noise = normal(theta.len(), &streams.child("jitter").index(i));
        let near: Vec<f32> = theta.iter().zip(noise).map(|(t, e)| t * (1.0 + 1e-6 * e)).collect();
        relative_by_tensor(network.layout(), &gradient(&near), &truth).0
    };
    (0..8).map(moved).fold(0.0, f64::max)
}

fn compare(name: &str, architecture: &Architecture, sizes: &[usize], seen: &mut Seen) {
    let network = Network::new(architecture, Device::Flex).unwrap();
    let (classes, layout) = (architecture.classes(), network.layout());
    for (&n, statistics) in sizes.iter().flat_map(|n| [(n, Statistics::Running), (n, Statistics::Batch)]) {
        // A batch of one has no variance, and Burn's networks drop nothing.
        if statistics == Statistics::Batch && (n == 1 || drops(architecture.layers())) {
            continue;
        }
        let streams = Streams::new(3).child(name).index(n as u64);
        let theta = theta(layout, &streams);
        let inputs = normal(n * architecture.input_len(), &streams.child("inputs"));
        let labels = labels(n, classes, &streams.child("labels"));
        let d = normal(n * classes, &streams.child("dlogits"));

        let logits = network.logits(&theta, &inputs, statistics).unwrap();
        let (loss, gradient) = network.gradient(&theta, &inputs, &labels, statistics).unwrap();
        let pulled = network.pullback(&theta, &inputs, &d, statistics).unwrap();

        for engine in engines(architecture) {
            let place = format!("{name}, {n} images, {statistics:?}, {:?}", engine.instructions());
            let x = engine.pack(&inputs).unwrap();
            let mut workspace = engine.workspace();
            if statistics == Statistics::Running {
                let mut found = vec![f32::NAN; n * classes];
                engine.logits(&theta, &x, &mut found, &mut workspace);
                let difference = relative(&found, &logits);
                assert!(difference < TOLERANCE, "{place}: logits {difference}");
                seen.logits = seen.logits.max(difference);
            }
            let mode = match statistics {
                Statistics::Running => Mode::Evaluate,
                Statistics::Batch => Mode::Train { dropout: streams.child("dropout") },
            };
            let entropy = CrossEntropy::new(&labels, classes, 0.0).unwrap();
            let linear = Linear { d: &d, classes };
            for (what, loss, truth, value) in [
                ("cross-entropy", &entropy as &dyn LogitLoss, &gradient, Some(loss)),
                ("dlogits", &linear, &pulled, None),
            ] {
                let mut found = vec![f32::NAN; layout.len()];
                let found_value = engine.gradient(&theta, &x, mode, loss, &mut found, &mut workspace);
                if let Some(value) = value {
                    assert!((found_value - value).abs() < TOLERANCE * value, "{place}: {found_value}, Burn {value}");
                }
                let (difference, tensor) = relative_by_tensor(layout, &found, truth);
                seen.compared += 1;
                if difference < TOLERANCE {
                    seen.gradients = seen.gradients.max(difference);
                    continue;
                }
                let own = unsteady(&network, &theta, &streams, |near| match value {
                    Some(_) => network.gradient(near, &inputs, &labels, statistics).unwrap().1,
                    None => network.pullback(near, &inputs, &d, statistics).unwrap(),
                });
                assert!(difference < own, "{place}: gradient of {what} at {tensor}: {difference}, Burn's own {own}");
                println!("{place}: gradient of {what} at {tensor}: {difference}, Burn's own {own}");
                seen.unsteady += 1;
            }
        }
    }
}

fn report(what: &str, seen: &Seen) {
    println!("{what}: {seen:?}");
    assert!(10 * seen.unsteady <= seen.compared, "{what}: {seen:?}");
}

#[test]
fn every_layer_agrees() {
    let mut seen = Seen::default();
    for (name, architecture) in layer_cases() {
        compare(&name, &architecture, &[1, 3, 5, 16, 33], &mut seen);
    }
    report("layers", &seen);
}

#[test]
fn batches_beyond_one_chunk_agree() {
    let mut seen = Seen::default();
    for (name, architecture) in layer_cases() {
        if ["all at once", "residual of convolutions", "batch norm after dense", "max pool first"].contains(&&*name) {
            compare(&name, &architecture, &[128, 259], &mut seen);
        }
    }
    report("many images", &seen);
}

#[test]
fn every_preset_agrees() {
    let mut seen = Seen::default();
    for (name, architecture) in preset_cases() {
        compare(&name, &architecture, &[1, 3, 19], &mut seen);
    }
    report("presets", &seen);
}

#[test]
fn every_loss_pulls_back_through_many_models_as_through_burn() {
    let (_, architecture) = layer_cases().into_iter().find(|(name, _)| name == "all at once").unwrap();
    let network = Network::new(&architecture, Device::Flex).unwrap();
    let (engine, streams) = (Engine::new(&architecture).unwrap(), Streams::new(9));
    let (n, m, classes) = (37, 3, architecture.classes());
    let p = network.layout().len();
    let thetas: Vec<f32> = (0..m).flat_map(|i| theta(network.layout(), &streams.index(i))).collect();
    let inputs = normal(n * architecture.input_len(), &streams.child("inputs"));
    let labels = labels(n, classes, &streams.child("labels"));
    let disagree: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
    let mut soft: Vec<f32> = normal(n * classes, &streams.child("soft")).iter().map(|v| v.exp()).collect();
    soft.chunks_mut(classes).for_each(|row| {
        let total: f32 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= total);
    });
    let losses: [&dyn LogitLoss; 3] = [
        &CrossEntropy::new(&labels, classes, 0.1).unwrap(),
        &SoftCrossEntropy::new(&soft, classes).unwrap(),
        &Disagreement::new(&labels, &disagree, 0.25, classes).unwrap(),
    ];
    let x = engine.pack(&inputs).unwrap();
    let logits = engine.logits_of_many(&thetas, &x).unwrap();
    for loss in losses {
        let (_, gradients) = engine.gradients_of_many(&thetas, &x, Mode::Evaluate, loss).unwrap();
        for (i, theta) in thetas.chunks(p).enumerate() {
            let truth = network.logits(theta, &inputs, Statistics::Running).unwrap();
            assert!(relative(&logits[i * n * classes..][..n * classes], &truth) < TOLERANCE);
            let mut d = vec![0.0; n * classes];
            loss.rows(0, &truth, &mut d);
            let truth = network.pullback(theta, &inputs, &d, Statistics::Running).unwrap();
            let (difference, tensor) = relative_by_tensor(network.layout(), &gradients[i * p..][..p], &truth);
            assert!(difference < TOLERANCE, "model {i}, {tensor}: {difference}");
        }
    }
}

#[test]
fn of_equal_maxima_the_first_is_taken() {
    // Equal kernel weights on inputs of 0 and 1: windows full of equal sums whose patches differ.
    let architecture = support::net(
        "[1, 9, 9]",
        &[
            r#""conv", out = 2, kernel = 2, bias = false"#,
            r#""max-pool", size = 3, stride = 2"#,
            r#""relu""#,
            r#""flatten""#,
            r#""dense", out = 3"#,
        ],
    );
    let network = Network::new(&architecture, Device::Flex).unwrap();
    let (streams, n) = (Streams::new(2), 21);
    let mut theta = theta(network.layout(), &streams);
    theta[..8].fill(0.5);
    let inputs = normal(n * 81, &streams.child("inputs"));
    let inputs: Vec<f32> = inputs.iter().map(|&v| if v > 0.5 { 1.0 } else { 0.0 }).collect();
    let labels = labels(n, 3, &streams.child("labels"));
    let (_, truth) = network.gradient(&theta, &inputs, &labels, Statistics::Running).unwrap();
    for engine in engines(&architecture) {
        let (mut found, loss) = (vec![0.0; theta.len()], CrossEntropy::new(&labels, 3, 0.0).unwrap());
        let x = engine.pack(&inputs).unwrap();
        engine.gradient(&theta, &x, Mode::Evaluate, &loss, &mut found, &mut engine.workspace());
        let (difference, tensor) = relative_by_tensor(network.layout(), &found, &truth);
        assert!(difference < TOLERANCE, "{tensor}: {difference}");
    }
}

#[test]
fn inputs_and_features_lie_in_the_same_order() {
    // Images whose every number is another; a dense layer whose weight picks one number: the logit names its place.
    let architecture = support::net("[2, 3, 4]", &[r#""flatten""#, r#""dense", out = 24, bias = false"#]);
    let theta: Vec<f32> = (0..24 * 24).map(|i| if i / 24 == i % 24 { 1.0 } else { 0.0 }).collect();
    let inputs: Vec<f32> = (0..3 * 24).map(|i| i as f32).collect();
    let network = Network::new(&architecture, Device::Flex).unwrap();
    assert_eq!(network.logits(&theta, &inputs, Statistics::Running).unwrap(), inputs);
    for engine in engines(&architecture) {
        let mut found = vec![f32::NAN; inputs.len()];
        engine.logits(&theta, &engine.pack(&inputs).unwrap(), &mut found, &mut engine.workspace());
        assert_eq!(found, inputs);
    }
}
