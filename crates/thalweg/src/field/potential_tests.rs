//! Every output and every gradient of the potential against central differences, by way of V alone.
use super::*;
use crate::nn::parameters::Parameters;
use rand::RngExt;
use thalweg_nets::testing::derivative;

const ROWS: usize = 3;
const P: usize = 7;

fn small(layers: usize) -> MlpPotential {
    let config = MlpPotentialConfig { width: 12, layers, time_features: 4 };
    let mut net = MlpPotential::new(P, &config, &Streams::new(5)).unwrap();
    let mut rng = Streams::new(6).rng();
    let end = net.parameters.len();
    for (i, value) in net.parameters.iter_mut().enumerate() {
        // The last tensors start at zero; large ones would drown the rest in ω = 100.
        *value += rng.random_range(-0.3..0.3) * if i > end / 2 { 0.5 } else { 1.0 };
    }
    net
}

fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Streams::new(seed).rng();
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn jet(net: &MlpPotential, x: &[f32], t: &[f32], tape: &mut Tape) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (mut value, mut gradient, mut rate) = (vec![0.0; t.len()], vec![0.0; x.len()], vec![0.0; t.len()]);
    let out = Jet { value: Some(&mut value), gradient: &mut gradient, rate: Some(&mut rate) };
    net.evaluate(x, t, out, tape);
    (value, gradient, rate)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Richardson's extrapolation of central differences, of fourth order.
fn slope(at: f32, step: f32, mut f: impl FnMut(f32) -> f64) -> f64 {
    (4.0 * derivative(at, step, &mut f) - derivative(at, 2.0 * step, &mut f)) / 3.0
}

fn close(found: f32, truth: f64, what: &str) {
    assert!((f64::from(found) - truth).abs() < 1e-3 * (1.0 + truth.abs()), "{what}: {found} {truth}");
}

#[test]
fn gradient_and_rate_agree_with_differences_of_the_value() {
    for (layers, t) in [(1, [0.2, 0.5, 0.8]), (3, [0.2, 0.5, 0.8]), (2, [0.4; 3])] {
        let net = small(layers);
        let x = random(ROWS * P, 1);
        let (value, gradient, rate) = jet(&net, &x, &t, &mut Tape::default());
        assert!(value.iter().all(|v| v.abs() > 1e-3));
        for row in 0..ROWS {
            let one = |x: &[f32], t: f32| f64::from(jet(&net, x, &[t], &mut Tape::default()).0[0]);
            let own = &x[row * P..][..P];
            close(value[row], one(own, t[row]), "value");
            for i in 0..P {
                let mut y = own.to_vec();
                let truth = slope(own[i], 5e-2, |v| {
                    y[i] = v;
                    one(&y, t[row])
                });
                close(gradient[row * P + i], truth, "gradient");
            }
            close(rate[row], slope(t[row], 1e-3, |t| one(own, t)), "rate");
        }
    }
}

#[test]
fn vector_jacobian_products_agree_with_differences_of_value_gradient_and_rate() {
    let (a, w, b) = (random(ROWS, 2), random(ROWS * P, 3), random(ROWS, 4).iter().map(|b| 0.1 * b).collect::<Vec<_>>());
    let (x, times) = (random(ROWS * P, 1), [0.2, 0.5, 0.8]);
    for (layers, t, has) in [
        (2, times, [true, true, true]),
        (3, [0.4; 3], [true, true, true]),
        (1, times, [false, true, true]),
        (2, times, [true, false, false]),
        (2, times, [false, true, false]),
        (2, times, [false, false, true]),
    ] {
        let mut net = small(layers);
        let scalar = |net: &MlpPotential, x: &[f32]| {
            let (value, gradient, rate) = jet(net, x, &t, &mut Tape::default());
            let parts = [dot(&value, &a), dot(&gradient, &w), dot(&rate, &b)];
            parts.iter().zip(has).map(|(part, has)| if has { *part } else { 0.0 }).sum::<f64>()
        };
        let weights = Cotangents {
            value: has[0].then_some(a.as_slice()),
            gradient: has[1].then_some(w.as_slice()),
            rate: has[2].then_some(b.as_slice()),
        };
        let (mut tape, mut found) = (Tape::default(), vec![f32::NAN; net.parameters.len()]);
        jet(&net, &x, &t, &mut tape);
        let mut dx = vec![f32::NAN; x.len()];
        net.vjp(&weights, &mut tape, Gradient::Write(&mut found), Some(&mut dx));
        for slot in net.layout().clone().slots() {
            let mut largest: f64 = 0.0;
            for i in slot.range().step_by(slot.len().div_ceil(40)) {
                let old = net.parameters[i];
                let truth = slope(old, 2e-2, |value| {
                    net.parameters[i] = value;
                    scalar(&net, &x)
                });
                net.parameters[i] = old;
                close(found[i], truth, &format!("{} {i} {has:?}", slot.name));
                largest = largest.max(truth.abs());
            }
            // Above the tolerance of `close`, or the comparison would show nothing.
            assert!(has != [true; 3] || largest > 4e-3, "{} has no influence", slot.name);
        }
        for i in 0..x.len() {
            let mut y = x.clone();
            let truth = slope(x[i], 5e-2, |value| {
                y[i] = value;
                scalar(&net, &y)
            });
            close(dx[i], truth, "dx");
        }
        let mut twice = found.clone();
        net.vjp(&weights, &mut tape, Gradient::Add(&mut twice), None);
        assert!(twice.iter().zip(&found).all(|(two, one)| (two - 2.0 * one).abs() < 1e-4 * (1.0 + one.abs())));
    }
}

#[test]
fn as_a_field_it_is_the_negative_gradient() {
    let net = small(2);
    let (x, t, w) = (random(ROWS * P, 1), [0.2, 0.5, 0.8], random(ROWS * P, 3));
    let (mut tape, mut v, mut dx) = (Tape::default(), vec![0.0; ROWS * P], vec![0.0; ROWS * P]);
    let gradient = jet(&net, &x, &t, &mut tape).1;
    net.velocity(&x, &t, None, &mut v, &mut tape);
    assert!(v.iter().zip(&gradient).all(|(v, g)| *v == -g));
    net.backward(&w, &mut tape, Gradient::Skip, Some(&mut dx));
    // −∇² V is symmetric: its product with w, tried along another direction, is that direction's, tried along w.
    let (other, mut d_other) = (random(ROWS * P, 9), vec![0.0; ROWS * P]);
    net.backward(&other, &mut tape, Gradient::Skip, Some(&mut d_other));
    assert!((dot(&dx, &other) - dot(&d_other, &w)).abs() < 1e-4);
}

#[test]
fn an_untrained_potential_is_flat() {
    let net = MlpPotential::new(P, &MlpPotentialConfig::default(), &Streams::new(1)).unwrap();
    let (value, gradient, rate) = jet(&net, &random(ROWS * P, 1), &[0.0, 0.3, 1.0], &mut Tape::default());
    assert!(value.iter().chain(&gradient).chain(&rate).all(|v| *v == 0.0));
}

#[test]
fn one_thread_and_two_give_the_same_bytes() {
    let mut net = MlpPotential::new(700, &MlpPotentialConfig::default(), &Streams::new(1)).unwrap();
    let noise = random(net.parameters.len(), 9);
    net.parameters.iter_mut().zip(&noise).for_each(|(p, n)| *p += 0.01 * n);
    let (x, t, w) = (random(70 * 700, 1), random(70, 2), random(70 * 700, 3));
    let run = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let (mut tape, mut found) = (Tape::default(), vec![0.0; net.parameters.len()]);
            let all = jet(&net, &x, &t, &mut tape);
            let weights = Cotangents { value: Some(&t), gradient: Some(&w), rate: Some(&t) };
            net.vjp(&weights, &mut tape, Gradient::Write(&mut found), None);
            (all, found)
        })
    };
    assert!(run(1) == run(2));
}
