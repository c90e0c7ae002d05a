//! The formula by hand, gradients against central differences of the field's own velocity, and dropout's law.
use super::*;
use crate::nn::parameters::Parameters;
use crate::testing::fields::{Asked, gradients_agree};
use thalweg_nets::testing::normals;

const ROWS: usize = 3;
const P: usize = 7;
const TIMES: [f32; ROWS] = [0.1, 0.5, 0.9];

fn config(context: usize, dropout: f64) -> MlpConfig {
    MlpConfig { widths: vec![12, 9, 10], embedding: 5, dropout, context }
}

fn field(context: usize, dropout: f64) -> Mlp {
    let mut field = Mlp::new(P, &config(context, dropout), &Streams::new(5)).unwrap();
    // Away from the zero tensors of the start, so that every path carries something.
    let noise = normals(&Streams::new(6), field.parameters().len());
    field.parameters_mut().iter_mut().zip(noise).for_each(|(q, e)| *q += 0.2 * e);
    field
}

fn random(n: usize, seed: u64) -> Vec<f32> {
    normals(&Streams::new(seed), n)
}

fn velocity(field: &Mlp, x: &[f32], c: Option<&[f32]>, training: bool) -> Vec<f32> {
    let (mut out, mut tape) = (vec![0.0; x.len()], Tape::default());
    match training {
        true => field.velocity_in_training(x, &TIMES, c, &mut out, &mut tape),
        false => field.velocity(x, &TIMES, c, &mut out, &mut tape),
    }
    out
}

/// The module's formula, number by number in f64.
#[test]
fn the_velocity_is_the_formula() {
    let (field, x, c) = (field(2, 0.3), random(ROWS * P, 1), random(ROWS * 2, 2));
    let tensor = |name: &str| {
        let slot = field.layout().slots().iter().find(|slot| slot.name == name).unwrap();
        field.parameters()[slot.range()].iter().map(|v| f64::from(*v)).collect::<Vec<f64>>()
    };
    let affine = |name: &str, x: &[f64]| -> Vec<f64> {
        let (w, b) = (tensor(&format!("{name}.weight")), tensor(&format!("{name}.bias")));
        let product = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
        w.chunks(x.len()).zip(b).map(|(row, b)| product(row) + b).collect()
    };
    let gelu = |x: f64| 0.5 * x * (1.0 + statrs::function::erf::erf(x / 2f64.sqrt()));
    let single = |x: &[f32]| x.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let found = velocity(&field, &x, Some(&c), false);
    for (row, t) in TIMES.iter().enumerate() {
        let time: Vec<f64> = affine("time.0", &[f64::from(*t)]).into_iter().map(gelu).collect();
        let mut h = [single(&x[row * P..][..P]), affine("time.2", &time), single(&c[row * 2..][..2])].concat();
        for i in 0..3 {
            let a = affine(&format!("hidden.{i}"), &h);
            let (n, mean) = (a.len() as f64, a.iter().sum::<f64>() / a.len() as f64);
            let deviation = (a.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n + 1e-5).sqrt();
            let (scale, shift) = (tensor(&format!("norm.{i}.scale")), tensor(&format!("norm.{i}.shift")));
            let each = a.iter().zip(scale.iter().zip(&shift));
            h = each.map(|(a, (g, b))| gelu((1.0 + g) * (a - mean) / deviation + b)).collect();
        }
        for (found, truth) in found[row * P..].iter().zip(affine("output", &h)) {
            assert!((f64::from(*found) - truth).abs() < 1e-5 * (1.0 + truth.abs()), "{found} {truth}");
        }
    }
}

#[test]
fn gradients_agree_with_central_differences_for_every_tensor() {
    // With dropout too: a mask follows from its row's time, so it stays while parameters and points move.
    for (context, dropout) in [(0, 0.0), (4, 0.0), (0, 0.4), (3, 0.4)] {
        let mut field = field(context, dropout);
        let (x, w, c) = (random(ROWS * P, 1), random(ROWS * P, 2), random(ROWS * context, 3));
        let c = (context > 0).then_some(c.as_slice());
        let asked = Asked { x: &x, t: &TIMES, c, w: &w };
        gradients_agree(&mut field, Mlp::velocity_in_training, &asked, 8e-3, 3e-3);
    }
}

#[test]
fn dropout_takes_its_share_in_training_alone_and_never_in_the_last_layer() {
    let config = MlpConfig { widths: vec![4000, 3000], embedding: 2, dropout: 0.25, context: 0 };
    let field = Mlp::new(P, &config, &Streams::new(1)).unwrap();
    let (x, mut out) = (random(ROWS * P, 1), vec![0.0; ROWS * P]);
    let [mut plain, mut dropped] = [Tape::default(), Tape::default()];
    field.velocity(&x, &TIMES, None, &mut out, &mut plain);
    field.velocity_in_training(&x, &TIMES, None, &mut out, &mut dropped);
    let (plain, dropped) = (plain.of::<Buffers>(), dropped.of::<Buffers>());
    let pairs: Vec<(f32, f32)> =
        plain.hidden[0].after.iter().copied().zip(dropped.hidden[0].after.iter().copied()).collect();
    let zeros = pairs.iter().filter(|(plain, dropped)| *dropped == 0.0 && *plain != 0.0).count() as f64;
    // 12,000 draws: four deviations are .016.
    assert!((zeros / pairs.len() as f64 - 0.25).abs() < 0.016, "{zeros}");
    assert!(pairs.iter().all(|(plain, dropped)| *dropped == 0.0 || (dropped / plain * 0.75 - 1.0).abs() < 1e-5));
    // Rows of other times have other masks.
    let mask = |row: usize| pairs[row * 4000..][..4000].iter().map(|(_, d)| *d == 0.0).collect::<Vec<_>>();
    assert_ne!(mask(0), mask(1));
    assert!(dropped.hidden[1].after.iter().all(|h| *h != 0.0));
}

#[test]
fn an_untrained_field_stands_still_and_rows_do_not_depend_on_one_another() {
    let x = random(ROWS * P, 1);
    let untrained = Mlp::new(P, &config(0, 0.1), &Streams::new(5)).unwrap();
    assert_eq!(velocity(&untrained, &x, None, true), vec![0.0; ROWS * P]);
    let (field, mut alone) = (field(0, 0.1), vec![0.0; P]);
    field.velocity(&x[P..2 * P], &TIMES[1..2], None, &mut alone, &mut Tape::default());
    assert_eq!(velocity(&field, &x, None, false)[P..2 * P], alone);
}

#[test]
fn the_number_of_parameters_is_told_before_they_are_made_and_sizes_have_their_ranges() {
    for context in [0, 3] {
        let config = config(context, 0.1);
        assert_eq!(config.numbers(P), Mlp::new(P, &config, &Streams::new(1)).unwrap().parameters().len());
    }
    for (wrong, field) in [
        (MlpConfig { widths: vec![], ..config(0, 0.0) }, "widths"),
        (MlpConfig { widths: vec![4, 0], ..config(0, 0.0) }, "widths"),
        (MlpConfig { embedding: 0, ..config(0, 0.0) }, "embedding"),
        (config(0, 1.0), "dropout"),
        (config(0, f64::NAN), "dropout"),
    ] {
        let message = Mlp::new(P, &wrong, &Streams::new(1)).unwrap_err().to_string();
        assert!(message.contains(&format!("field.mlp.{field}")), "{message}");
    }
}
