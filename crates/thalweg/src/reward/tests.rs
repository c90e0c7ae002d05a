//! Every reward against finite differences, in weights and in standardised coordinates.
use super::*;
use crate::Layout;
use crate::space::coordinates::{Coordinates, Standardiser};
use crate::space::latent::{LatentConfig, LatentTask, PcaConfig, Space, TrainingConfig, VaeConfig};
use rand::RngExt;
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Silent;

/// A small network, 40 inputs with labels, and three points of weights.
fn setting() -> (Engine, Vec<f32>, Vec<u32>, Vec<f32>) {
    let engine = Engine::new(&Preset::Mlp { widths: vec![6] }.build([5, 1, 1], 3).unwrap()).unwrap();
    let mut rng = Streams::new(4).rng();
    let inputs = (0..200).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect();
    let labels = (0..40).map(|_| rng.random_range(0..3)).collect();
    let theta = (0..3 * engine.parameters()).map(|_| rng.random::<f32>() - 0.5).collect();
    (engine, inputs, labels, theta)
}

/// Directional differences of each row's value, along random directions, against the gradient.
fn check(reward: &dyn Reward, theta: &[f32], tolerance: f64) {
    let (p, streams) = (reward.dimension(), Streams::new(9));
    let graded = reward.grade(theta, &streams).unwrap();
    let values = reward.values(theta, &streams).unwrap();
    let n = theta.len() / p;
    assert_eq!((graded.values.len(), graded.gradients.len(), values.len()), (n, n * p, n));
    let mut rng = Streams::new(11).rng();
    let mut compared = 0;
    for row in 0..n {
        assert!((values[row] - graded.values[row]).abs() < 1e-6 * (1.0 + values[row].abs()), "{}", reward.describe());
        for _ in 0..8 {
            let direction: Vec<f32> = (0..p).map(|_| rng.random::<f32>() - 0.5).collect();
            let h = 5e-4f32;
            let at = |h: f32| {
                let mut moved = theta.to_vec();
                moved[row * p..(row + 1) * p].iter_mut().zip(&direction).for_each(|(t, d)| *t += h * d);
                reward.values(&moved, &streams).unwrap()[row]
            };
            let slopes = [at(h) - values[row], values[row] - at(-h)].map(|change| change / f64::from(h));
            let g = &graded.gradients[row * p..(row + 1) * p];
            let along: f64 = g.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
            // Slopes that differ to the two sides have a kink of some ReLU between them, where nothing is to be compared.
            if (slopes[0] - slopes[1]).abs() < tolerance * (1.0 + along.abs()) {
                let slope = 0.5 * (slopes[0] + slopes[1]);
                assert!(
                    (slope - along).abs() < tolerance * (1.0 + along.abs()),
                    "{}: {slope} {along}",
                    reward.describe()
                );
                compared += 1;
            }
        }
    }
    assert!(2 * compared > 8 * n, "{}: {compared} directions without a kink", reward.describe());
}

#[test]
fn gradients_are_differences() {
    let (engine, inputs, labels, theta) = setting();
    let p = engine.parameters();
    let loss = |rows| OnData::loss("rows", &engine, inputs.clone(), labels.clone(), rows).unwrap();
    check(&loss(Rows::All), &theta, 5e-3);
    check(&loss(Rows::Batch(16)), &theta, 5e-3);
    check(&OnData::margin("rows", &engine, inputs.clone(), labels.clone(), 9.0, Rows::All).unwrap(), &theta, 5e-3);
    let disagree: Vec<bool> = (0..40).map(|i| i % 5 == 0).collect();
    let cdc =
        OnData::disagreement("rows", &engine, inputs.clone(), labels.clone(), disagree, 0.3, Rows::Batch(20)).unwrap();
    check(&cdc, &theta, 5e-3);
    check(&ToPoint::new(vec![0.25; p], 1.5).unwrap(), &theta, 5e-3);
    check(&Diversity::new(p, 2.0).unwrap(), &theta, 5e-3);
    let sum = WeightedSum::new(vec![
        (2.0, Box::new(loss(Rows::Batch(16))) as Box<dyn Reward>),
        (-0.5, Box::new(ToPoint::new(vec![0.0; p], 1.0).unwrap())),
    ])
    .unwrap();
    check(&sum, &theta, 5e-3);
    let layout = Layout::of(&Preset::Mlp { widths: vec![6] }.build([5, 1, 1], 3).unwrap());
    let mut rng = Streams::new(5).rng();
    let scale = (0..p).map(|_| 0.2 + rng.random::<f32>()).collect();
    let coordinates = Coordinates::from_parts(Standardiser::PerParameter, &layout, vec![0.1; p], scale).unwrap();
    let inner = loss(Rows::All);
    let space = Space { coordinates: &coordinates, latent: None };
    check(&InSpace { reward: &inner, space: &space }, &theta, 5e-3);
    let points: Vec<f32> = (0..30 * p).map(|_| rng.random::<f32>() - 0.5).collect();
    let training = TrainingConfig { steps: 60, ..TrainingConfig::default() };
    let vae = VaeConfig { dimension: 5, beta: 1e-3, training, ..VaeConfig::default() };
    for config in [LatentConfig::Pca(PcaConfig::of(5)), LatentConfig::Vae(vae)] {
        let streams = Streams::new(9);
        let task = LatentTask {
            layout: &layout,
            points: &points,
            held_out: &[],
            functional: None,
            streams: &streams,
            saving: None,
            progress: &Silent,
        };
        let (latent, _) = config.fit(&task).unwrap();
        let space = Space { coordinates: &coordinates, latent: Some(&*latent) };
        check(&InSpace { reward: &inner, space: &space }, &theta[..15], 5e-3);
    }
}

#[test]
fn batches_are_a_function_of_the_stream_and_hold_all_that_is_to_be_disagreed_on() {
    let (engine, inputs, labels, theta) = setting();
    let batch = OnData::loss("rows", &engine, inputs.clone(), labels.clone(), Rows::Batch(8)).unwrap();
    let value = |seed| batch.values(&theta, &Streams::new(seed)).unwrap();
    assert_eq!(value(1), value(1));
    assert_ne!(value(1), value(2));
    // On the rows to disagree on alone, the loss of a batch that can hold no other is that of those rows.
    let disagree: Vec<bool> = (0..40).map(|i| i < 12).collect();
    let cdc = |inputs: &[f32], labels: &[u32], disagree: &[bool], rows| {
        OnData::disagreement("rows", &engine, inputs.to_vec(), labels.to_vec(), disagree.to_vec(), 0.3, rows)
    };
    let small = cdc(&inputs, &labels, &disagree, Rows::Batch(12)).unwrap();
    let only = cdc(&inputs[..60], &labels[..12], &disagree[..12], Rows::All).unwrap();
    assert_eq!(small.values(&theta, &Streams::new(3)).unwrap(), only.values(&theta, &Streams::new(4)).unwrap());
    assert!(cdc(&inputs, &labels, &disagree, Rows::Batch(11)).is_err());
}

#[test]
fn repulsion_points_away_and_nonsense_is_refused() {
    let two = [0.0f32, 0.0, 1.0, 0.0];
    let graded = Diversity::new(2, 1.0).unwrap().grade(&two, &Streams::new(0)).unwrap();
    assert_eq!(graded.values, [-0.5, -0.5]);
    assert_eq!(graded.gradients, [-0.5, 0.0, 0.5, 0.0]);
    assert_eq!(Diversity::new(2, 1.0).unwrap().values(&two[..2], &Streams::new(0)).unwrap(), [0.0]);
    assert!(Diversity::new(2, 0.0).is_err() && ToPoint::new(vec![], 1.0).is_err());
    assert!(ToPoint::new(vec![0.0; 2], 1.0).unwrap().grade(&two[..3], &Streams::new(0)).is_err());
    assert!(WeightedSum::new(vec![]).is_err());
    let (engine, inputs, labels, _) = setting();
    assert!(OnData::loss("x", &engine, inputs[1..].to_vec(), labels.clone(), Rows::All).is_err());
    assert!(OnData::loss("x", &engine, inputs, labels, Rows::Batch(0)).is_err());
}
