//! Gradients of both objectives, with and without a functional term, against central differences of their own values.
use super::*;
use crate::space::coordinates::{Coordinates, Standardiser};
use crate::space::latent::{CoderConfig, FunctionalConfig, Measure, StackConfig};
use crate::{Layout, Streams};
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::Engine;
use thalweg_nets::testing;

fn random(n: usize, seed: u64) -> Vec<f32> {
    testing::normals(&Streams::new(seed), n)
}

pub(in crate::space::latent) fn check_gradient(
    bottleneck: Bottleneck,
    coder: &CoderConfig,
    weights: &Layout,
    noise: f64,
    functional: Option<&Functional>,
) {
    let (d, rows) = (4, 6);
    let mut net = Learned::new(coder, weights, bottleneck, d, noise > 0.0, &Streams::new(1));
    let shake = random(net.trained().len(), 2);
    net.trained_mut().iter_mut().zip(&shake).for_each(|(q, s)| *q += 0.1 * s);
    let (z, streams) = (random(rows * weights.len(), 3), Streams::new(4));
    let mut objective = Objective::new(bottleneck, noise, functional);
    let mut gradient = vec![f32::NAN; net.trained().len()];
    let loss = objective.loss(&net, &z, &streams, Some(&mut gradient)).unwrap();
    assert!((objective.loss(&net, &z, &streams, None).unwrap() - loss).abs() < 1e-6 * loss.abs());
    let slots = crate::nn::parameters::Parameters::layout(&net).slots().to_vec();
    let end = net.trained().len();
    for slot in slots.iter().filter(|slot| slot.offset < end) {
        let own = net.trained()[slot.range()].to_vec();
        let direction: Vec<f32> = gradient[slot.range()].iter().map(|g| g.signum()).collect();
        let slope: f64 = gradient[slot.range()].iter().map(|g| f64::from(g.abs())).sum();
        let mut loss = |part: &[f32]| {
            net.trained_mut()[slot.range()].copy_from_slice(part);
            objective.loss(&net, &z, &streams, None).unwrap()
        };
        let numeric = testing::slope(&own, &direction, 1e-3, &mut loss);
        loss(&own);
        let tolerance = 0.02 * slope.abs() + 2e-4;
        assert!((numeric - slope).abs() < tolerance, "{bottleneck:?}, {}: {numeric} {slope}", slot.name);
        // A number that all keys share changes no softmax.
        assert!(slope > 1e-4 || slot.name.ends_with("key.bias"), "{} has no influence", slot.name);
    }
}

#[test]
fn gradients_agree_with_central_differences_for_every_tensor() {
    let engine = Engine::new(&Preset::Mlp { widths: vec![3] }.build([4, 1, 1], 3).unwrap()).unwrap();
    let (p, layout) = (engine.parameters(), engine.layout().clone());
    let coordinates = Coordinates::from_parts(Standardiser::PerParameter, &layout, random(p, 5), vec![0.7; p]).unwrap();
    let inputs = random(9 * 4, 6);
    let term = |measure| {
        let config = FunctionalConfig { weight: 0.5, rows: 5, measure };
        Functional::new(config, std::sync::Arc::new(engine.clone()), inputs.clone(), &inputs, coordinates.clone())
            .unwrap()
    };
    let (logits, answers) = (term(Measure::Logits), term(Measure::Answers));
    let coder = CoderConfig::Mlp(StackConfig { width: 12, blocks: 2 });
    for bottleneck in
        [Bottleneck::Variational { beta: 0.7 }, Bottleneck::Noisy { input: 0.2, latent: 0.4, penalty: 0.3 }]
    {
        check_gradient(bottleneck, &coder, &layout, 0.0, None);
        for term in [&logits, &answers] {
            check_gradient(bottleneck, &coder, &layout, 0.0, Some(term));
            check_gradient(bottleneck, &coder, &layout, 0.3, Some(term));
        }
    }
}

#[test]
fn one_point_far_out_does_not_decide_a_look() {
    let layout = Layout::of_tensors([("w".to_string(), vec![8])]);
    let coder = CoderConfig::Mlp(StackConfig { width: 6, blocks: 0 });
    let bottleneck = Bottleneck::Variational { beta: 1.0 };
    let mut net = Learned::new(&coder, &layout, bottleneck, 2, false, &Streams::new(1));
    let shake = random(net.trained().len(), 2);
    net.trained_mut().iter_mut().zip(&shake).for_each(|(q, s)| *q += 0.1 * s);
    let mut objective = Objective::new(bottleneck, 0.0, None);
    let (mut points, streams) = (random(20 * 8, 3), Streams::new(4));
    let [before, look] =
        [objective.loss(&net, &points, &streams, None).unwrap(), objective.look(&net, &points, &streams).unwrap()];
    assert!((before - look).abs() < 0.2 * before, "without one far out little changes: {before} {look}");
    points[..8].fill(300.0);
    let [loss, far] =
        [objective.loss(&net, &points, &streams, None).unwrap(), objective.look(&net, &points, &streams).unwrap()];
    assert!(loss > 100.0 * before && far < 2.0 * look, "{before} {loss}, {look} {far}");
}
