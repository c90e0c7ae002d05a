//! The Burn forward against a naive f64 forward, and its gradients against finite differences of that forward.
#![allow(clippy::unwrap_used)] // a test fails by panicking
mod support;

use support::{labels, layer_cases, naive, normal, preset_cases, relative, theta};
use thalweg_burn::{Device, Network, Statistics};
use thalweg_nets::{Architecture, Streams};

const STEP: f64 = 1e-7; // in f64; small, so that hardly a kink lies within it

/// Compares logits and `probes` entries of the gradient (all, where P is smaller) at batch size `n`.
fn check(name: &str, architecture: &Architecture, statistics: Statistics, n: usize, probes: usize) {
    let network = Network::new(architecture, Device::Flex).unwrap();
    let (layout, streams) = (network.layout(), Streams::new(11).child(name));
    let theta = theta(layout, &streams);
    let inputs = normal(n * architecture.input_len(), &streams.child("inputs"));
    let labels = labels(n, architecture.classes(), &streams.child("labels"));
    let batch = statistics == Statistics::Batch;
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let (mut theta64, inputs64) = (wide(&theta), wide(&inputs));

    let truth: Vec<f32> = naive::logits(architecture, &theta64, &inputs64, batch).iter().map(|&v| v as f32).collect();
    let found = network.logits(&theta, &inputs, statistics).unwrap();
    assert!(relative(&found, &truth) < 1e-5, "{name}, {statistics:?}: logits {}", relative(&found, &truth));

    let (value, gradient) = network.gradient(&theta, &inputs, &labels, statistics).unwrap();
    let truth = naive::loss(architecture, &theta64, &inputs64, &labels, batch);
    assert!((value - truth).abs() < 1e-5 * truth, "{name}: loss {value}, {truth}");

    let trained = layout.slots().iter().filter(|s| s.role.is_trained()).flat_map(|s| s.range());
    let trained: Vec<usize> = trained.collect();
    let mut difference = |i: usize| {
        let old = theta64[i];
        let mut at = |shift| {
            theta64[i] = old + shift;
            naive::loss(architecture, &theta64, &inputs64, &labels, batch)
        };
        let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        theta64[i] = old;
        slope as f32
    };
    let picked: Vec<usize> = trained.iter().copied().step_by(trained.len().div_ceil(probes)).collect();
    let truth: Vec<f32> = picked.iter().map(|&i| difference(i)).collect();
    let found: Vec<f32> = picked.iter().map(|&i| gradient[i]).collect();
    assert!(relative(&found, &truth) < 2e-5, "{name}, {statistics:?}: gradient {}", relative(&found, &truth));
}

#[test]
fn every_layer_follows_its_definition() {
    for (name, architecture) in layer_cases() {
        check(&name, &architecture, Statistics::Running, 3, 400);
    }
}

#[test]
fn batch_statistics_follow_their_definition_and_carry_gradients() {
    for (name, architecture) in layer_cases() {
        check(&name, &architecture, Statistics::Batch, 5, 200);
    }
}

#[test]
fn every_preset_follows_its_definition() {
    for (name, architecture) in preset_cases() {
        check(&name, &architecture, Statistics::Running, 2, 60);
    }
}

#[test]
fn the_pullback_of_the_losss_derivative_is_the_gradient() {
    let (_, architecture) = layer_cases().into_iter().find(|(name, _)| name == "all at once").unwrap();
    let network = Network::new(&architecture, Device::Flex).unwrap();
    let streams = Streams::new(5);
    let (n, classes) = (7, architecture.classes());
    let theta = theta(network.layout(), &streams);
    let inputs = normal(n * architecture.input_len(), &streams.child("inputs"));
    let labels = labels(n, classes, &streams.child("labels"));
    for statistics in [Statistics::Running, Statistics::Batch] {
        let mut d = network.logits(&theta, &inputs, statistics).unwrap();
        for (z, &label) in d.chunks_mut(classes).zip(&labels) {
            let total: f32 = z.iter().map(|v| v.exp()).sum();
            z.iter_mut().for_each(|v| *v = v.exp() / total / n as f32);
            z[label as usize] -= 1.0 / n as f32;
        }
        let (_, truth) = network.gradient(&theta, &inputs, &labels, statistics).unwrap();
        let found = network.pullback(&theta, &inputs, &d, statistics).unwrap();
        assert!(relative(&found, &truth) < 1e-6, "{}", relative(&found, &truth));
    }
}

#[test]
fn observed_statistics_stand_in_the_slots_of_the_running_ones() {
    let architecture = support::net("[2, 2, 2]", &[r#""batch-norm""#, r#""flatten""#, r#""dense", out = 2"#]);
    let network = Network::new(&architecture, Device::Flex).unwrap();
    let theta = theta(network.layout(), &Streams::new(1));
    let inputs: Vec<f32> = (0..16).map(|i| i as f32).collect();
    let (_, gradient) = network.gradient(&theta, &inputs, &[0, 1], Statistics::Batch).unwrap();
    // Channel 0 sees 0 … 3 and 8 … 11, channel 1 the same plus 4; the variance is over 8 − 1.
    let means = [5.5, 9.5];
    let variance =
        [0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 10.0, 11.0].iter().map(|v: &f32| (v - 5.5).powi(2)).sum::<f32>() / 7.0;
    assert_eq!(gradient[4..6], means);
    assert!(gradient[6..8].iter().all(|v| (v - variance).abs() < 1e-4), "{:?} {variance}", &gradient[6..8]);
    let (_, gradient) = network.gradient(&theta, &inputs, &[0, 1], Statistics::Running).unwrap();
    assert_eq!(gradient[4..8], [0.0; 4]);
}

#[test]
fn wrong_arguments_are_typed_errors() {
    let architecture = support::net("[3]", &[r#""dense", out = 2"#]);
    let network = Network::new(&architecture, Device::Flex).unwrap();
    let theta = vec![0.5; 8];
    let running = Statistics::Running;
    let message = |result: Result<(f64, Vec<f32>), thalweg_burn::Error>| result.unwrap_err().to_string();
    assert!(message(network.gradient(&theta[1..], &[0.0; 3], &[0], running)).contains("[8]"));
    assert!(message(network.gradient(&theta, &[0.0; 4], &[0], running)).contains("[n, 3]"));
    assert!(message(network.gradient(&theta, &[], &[], running)).contains("[n, 3]"));
    assert!(message(network.gradient(&theta, &[0.0; 3], &[2], running)).contains("below 2"));
    assert!(message(network.gradient(&[f32::NAN; 8], &[0.0; 3], &[0], running)).contains("0.weight"));
    assert!(network.pullback(&theta, &[0.0; 3], &[0.0; 3], running).is_err());
}
