//! Gradients against central differences of the field's own velocity, and the properties that callers rely on.
use super::*;
use crate::nn::parameters::Parameters;
use crate::testing::fields::{Asked, gradients_agree};
use rand::RngExt;

const ROWS: usize = 3;
const P: usize = 11;

fn small(context: usize, expansion: usize) -> ResidualMlp {
    gated(context, expansion, Gate::Full)
}

fn gated(context: usize, expansion: usize, gate: Gate) -> ResidualMlp {
    let config = ResidualMlpConfig { width: 20, blocks: 2, expansion, time_features: 6, embedding: 8, context, gate };
    let mut field = ResidualMlp::new(P, &config, &Streams::new(5)).unwrap();
    // Away from the zero tensors of the start, so that every path carries something.
    let mut rng = Streams::new(6).rng();
    for value in field.parameters_mut() {
        *value += rng.random_range(-0.3..0.3);
    }
    field
}

fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Streams::new(seed).rng();
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

#[test]
fn gradients_agree_with_central_differences_for_every_tensor() {
    for (context, expansion, gate, t) in [
        (0, 1, Gate::Full, [0.1, 0.5, 0.9]),
        (0, 1, Gate::Full, [0.4; 3]),
        (4, 2, Gate::Full, [0.1, 0.5, 0.9]),
        (4, 1, Gate::Full, [0.4; 3]),
        (0, 1, Gate::LowRank, [0.1, 0.5, 0.9]),
        (0, 1, Gate::LowRank, [0.4; 3]),
        (4, 1, Gate::Shared, [0.1, 0.5, 0.9]),
        (0, 1, Gate::Shared, [0.4; 3]),
    ] {
        let mut field = gated(context, expansion, gate);
        let (x, w) = (random(ROWS * P, 1), random(ROWS * P, 2));
        let c = random(ROWS * context, 3);
        let c = (context > 0).then_some(c.as_slice());
        let asked = Asked { x: &x, t: &t, c, w: &w };
        gradients_agree(&mut field, ResidualMlp::velocity, &asked, 1.6e-2, 2e-3);
    }
}

#[test]
fn an_untrained_field_stands_still_and_every_gate_can_be_learned() {
    for gate in [Gate::Full, Gate::LowRank, Gate::Shared] {
        let config = ResidualMlpConfig { gate, ..ResidualMlpConfig::default() };
        let field = ResidualMlp::new(P, &config, &Streams::new(1)).unwrap();
        let (mut out, mut tape) = (vec![f32::NAN; ROWS * P], Tape::default());
        field.velocity(&random(ROWS * P, 1), &[0.0, 0.3, 1.0], None, &mut out, &mut tape);
        assert!(out.iter().all(|v| *v == 0.0));
        let mut gradient = vec![0.0; field.parameters().len()];
        field.backward(&random(ROWS * P, 2), &mut tape, Gradient::Write(&mut gradient), None);
        let gates = field.layout().slots().iter().filter(|slot| slot.name.starts_with("gate."));
        gates.for_each(|slot| assert!(gradient[slot.range()].iter().any(|g| g.abs() > 1e-3), "{gate:?} {}", slot.name));
    }
}

#[test]
fn the_number_of_parameters_is_told_before_they_are_made() {
    for gate in [Gate::Full, Gate::LowRank, Gate::Shared] {
        for (context, blocks, expansion) in [(0, 2, 1), (3, 0, 1), (5, 3, 2)] {
            let base = ResidualMlpConfig { width: 7, time_features: 6, embedding: 5, ..ResidualMlpConfig::default() };
            let config = ResidualMlpConfig { context, blocks, expansion, gate, ..base };
            let made = ResidualMlp::new(P, &config, &Streams::new(1)).unwrap().parameters().len();
            assert_eq!(config.numbers(P), made, "{config:?}");
        }
    }
    // As a file of an older version has it, which knows one gate.
    let old: ResidualMlpConfig = toml::from_str("width = 4").unwrap();
    assert!(old.gate.is_full() && !toml::to_string(&old).unwrap().contains("gate"));
    assert_eq!(toml::from_str::<ResidualMlpConfig>("gate = \"low-rank\"").unwrap().gate, Gate::LowRank);
}

#[test]
fn a_row_has_the_same_bytes_in_any_company() {
    for (context, gate) in [(0, Gate::Full), (4, Gate::Full), (0, Gate::LowRank), (0, Gate::Shared)] {
        let field = gated(context, 1, gate);
        let (n, mut tape) = (300, Tape::default());
        let (x, t, c) = (random(n * P, 1), random(n, 2), random(n * context, 3));
        let mut run = |t: &[f32], from: usize, to: usize| {
            let mut out = vec![0.0; (to - from) * P];
            let c = (context > 0).then(|| &c[from * context..to * context]);
            field.velocity(&x[from * P..to * P], &t[from..to], c, &mut out, &mut tape);
            out
        };
        for t in [&t, &vec![0.3; n]] {
            let all = run(t, 0, n);
            for (from, to) in [(0, 1), (77, 78), (299, 300), (10, 42), (3, 300)] {
                assert!(run(t, from, to) == all[from * P..to * P], "{from} {to}");
            }
        }
    }
}

#[test]
fn one_thread_and_two_give_the_same_bytes() {
    let config = ResidualMlpConfig::default();
    let mut field = ResidualMlp::new(700, &config, &Streams::new(1)).unwrap();
    let noise = random(field.parameters().len(), 9);
    field.parameters_mut().iter_mut().zip(&noise).for_each(|(p, n)| *p += 0.01 * n);
    let rows = 70;
    let (x, t, dv) = (random(rows * 700, 1), random(rows, 2), random(rows * 700, 3));
    let run = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let (mut tape, mut out, mut dx) = (Tape::default(), vec![0.0; x.len()], vec![0.0; x.len()]);
            let mut gradient = vec![0.0; field.parameters().len()];
            field.velocity(&x, &t, None, &mut out, &mut tape);
            field.backward(&dv, &mut tape, Gradient::Write(&mut gradient), Some(&mut dx));
            (out, gradient, dx)
        })
    };
    assert!(run(1) == run(2));
}

#[test]
fn bad_sizes_and_slices_are_refused() {
    let text = toml::from_str::<ResidualMlpConfig>("width = 0").unwrap().check().unwrap_err().to_string();
    assert!(text.contains("field.width"), "{text}");
    assert!(toml::from_str::<ResidualMlpConfig>("depth = 8").is_err());
    let field = small(4, 1);
    assert!(field.check(&[0.0; 2 * P], &[0.0; 2], None).is_err());
    assert!(field.check(&[0.0; 2 * P], &[0.0; 2], Some(&[0.0; 7])).is_err());
    assert!(field.check(&[0.0; 2 * P - 1], &[0.0; 2], Some(&[0.0; 8])).is_err());
    assert_eq!(field.check(&[0.0; 2 * P], &[0.0; 2], Some(&[0.0; 8])).unwrap(), 2);
}
