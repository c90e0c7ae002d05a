//! The formula by hand, gradients against central differences, and equivariance under random reorderings of every hidden layer.
use super::*;
use crate::nn::parameters::Parameters;
use crate::space::symmetry::SymmetryTable;
use crate::testing::fields::{Asked, gradients_agree};
use crate::testing::reordered::{golden, orders};
use thalweg_nets::Architecture;
use thalweg_nets::testing::normals;

const ROWS: usize = 2;
const TIMES: [f32; ROWS] = [0.1, 0.8];

/// A plain perceptron; a convolutional network with batch normalisation whose channels become blocks of inputs; a residual one with a depthwise
/// layer; one with tokens, their places and attention; one whose residual branch joins a group of units to itself; layers of one unit.
const ARCHITECTURES: [&str; 6] = [
    r#"
    input = [1, 2, 3]
    layers = [ { kind = "flatten" }, { kind = "dense", out = 4 }, { kind = "relu" }, { kind = "dense", out = 3 } ]
    "#,
    r#"
    input = [2, 4, 4]
    layers = [
      { kind = "conv", out = 3, kernel = 3, padding = 1 }, { kind = "batch-norm" }, { kind = "relu" }, { kind = "max-pool", size = 2 },
      { kind = "flatten" }, { kind = "dense", out = 4, bias = false }, { kind = "relu" }, { kind = "dense", out = 2 } ]
    "#,
    r#"
    input = [1, 3, 3]
    layers = [
      { kind = "conv", out = 4, kernel = 3, padding = 1 },
      { kind = "residual", layers = [ { kind = "conv", out = 5, kernel = 1 }, { kind = "relu" }, { kind = "conv", out = 4, kernel = 1 } ] },
      { kind = "conv", out = 8, kernel = 3, padding = 1, groups = 4 }, { kind = "flatten" }, { kind = "dense", out = 2 } ]
    "#,
    r#"
    input = [3, 8]
    layers = [
      { kind = "transpose" }, { kind = "linear", out = 5 }, { kind = "tanh" }, { kind = "transpose" }, { kind = "position-embedding" },
      { kind = "linear", out = 6 }, { kind = "self-attention", heads = 2 }, { kind = "global-avg-pool" }, { kind = "dense", out = 4 } ]
    "#,
    r#"
    input = [4]
    layers = [
      { kind = "dense", out = 5 }, { kind = "residual", layers = [ { kind = "relu" }, { kind = "dense", out = 5 } ] }, { kind = "dense", out = 2 } ]
    "#,
    r#"
    input = [1, 3, 3]
    layers = [
      { kind = "conv", out = 1, kernel = 2 }, { kind = "batch-norm" }, { kind = "relu" }, { kind = "flatten" }, { kind = "dense", out = 1 },
      { kind = "relu" }, { kind = "dense", out = 3 }, { kind = "relu" }, { kind = "dense", out = 2 } ]
    "#,
];

/// Points of the first of them.
const P: usize = 43;

fn architecture(i: usize) -> Architecture {
    Architecture::from_toml_str(ARCHITECTURES[i]).unwrap()
}

fn config(i: usize, context: usize) -> EquivariantConfig {
    config_of(&architecture(i), context)
}

fn config_of(architecture: &Architecture, context: usize) -> EquivariantConfig {
    let wiring = Some(Wiring::of(architecture).unwrap());
    EquivariantConfig { width: 5, rounds: 2, time_features: 6, embedding: 4, context, wiring }
}

fn field(i: usize, context: usize) -> Equivariant {
    field_of(&architecture(i), context)
}

fn field_of(architecture: &Architecture, context: usize) -> Equivariant {
    let (config, dimension) = (config_of(architecture, context), Layout::of(architecture).len());
    let mut field = Equivariant::new(dimension, &config, &Streams::new(5)).unwrap();
    // Away from the zero tensors of the start, so that every path carries something.
    let noise = normals(&Streams::new(6), field.parameters().len());
    field.parameters_mut().iter_mut().zip(noise).for_each(|(q, e)| *q += 0.2 * e);
    field
}

fn random(n: usize, seed: u64) -> Vec<f32> {
    normals(&Streams::new(seed), n)
}

fn velocity(field: &Equivariant, x: &[f32], c: Option<&[f32]>) -> Vec<f32> {
    let mut out = vec![f32::NAN; x.len()];
    field.velocity(x, &TIMES[..x.len() / field.dimension()], c, &mut out, &mut Tape::default());
    out
}

#[test]
fn reordered_networks_have_reordered_velocities() {
    let zoo_papers = ["lenet5", "resnet8", "vgg-bn", "mixer", "vit", "mobilenet", "sequence", "groupnet"].map(golden);
    for (i, architecture) in (0..ARCHITECTURES.len()).map(architecture).chain(zoo_papers).enumerate() {
        let (field, table) = (field_of(&architecture, 0), SymmetryTable::of(&architecture));
        assert!(
            i >= ARCHITECTURES.len() || !table.symmetries.is_empty(),
            "architecture {i} has no hidden units to reorder"
        );
        let x = random(ROWS * field.dimension(), 1);
        for seed in 0..5 {
            let permutations = orders(&table, &mut Streams::new(seed).rng());
            let (mut moved, mut truth) = (x.clone(), velocity(&field, &x, None));
            let plain = truth.clone();
            table.permute(&mut moved, &permutations).unwrap();
            table.permute(&mut truth, &permutations).unwrap();
            let found = velocity(&field, &moved, None);
            let size = truth.iter().map(|v| v.abs()).fold(0.0, f32::max);
            let worst = found.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5 * size, "architecture {i}: {worst} of {size}");
            // And the reordering was one that is seen.
            let change = truth.iter().zip(&plain).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(permutations.iter().all(|order| order.is_sorted()) || change > 1e-2 * size);
        }
    }
}

#[test]
fn gradients_agree_with_central_differences_for_every_tensor() {
    // On one thread: the passes of fields as small as these are shorter than the wake of another.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for (i, context) in (0..ARCHITECTURES.len()).map(|i| (i, 3)).chain([(0, 0)]) {
        let mut field = field(i, context);
        let p = field.dimension();
        let (x, w, c) = (random(ROWS * p, 1), random(ROWS * p, 2), random(ROWS * context, 3));
        let c = (context > 0).then_some(c.as_slice());
        let asked = Asked { x: &x, t: &TIMES, c, w: &w };
        alone.install(|| gradients_agree(&mut field, Equivariant::velocity, &asked, 2e-2, 1e-2));
    }
}

/// The module's formula for a perceptron `[6, 4, 3]`, number by number in f64.
#[test]
fn the_velocity_is_the_formula() {
    let (field, x, c) = (field(0, 2), random(ROWS * P, 1), random(ROWS * 2, 2));
    let found = velocity(&field, &x, Some(&c));
    for row in 0..ROWS {
        let truth = by_hand::velocity(&field, &x[row * P..][..P], TIMES[row], &c[2 * row..][..2]);
        for (found, truth) in found[row * P..].iter().zip(truth) {
            assert!((f64::from(*found) - truth).abs() < 1e-4 * (1.0 + truth.abs()), "{found} {truth}");
        }
    }
}

mod by_hand {
    use super::super::*;
    use crate::nn::parameters::Parameters;
    use faer::Mat;

    fn tensor(field: &Equivariant, name: &str) -> Mat<f64> {
        let slot = field.layout().slots().iter().find(|slot| slot.name == name).unwrap_or_else(|| panic!("{name}"));
        let columns = slot.shape.get(1).copied().unwrap_or(1);
        matrix(&field.parameters()[slot.range()], slot.shape[0], columns)
    }

    fn matrix(numbers: &[f32], rows: usize, columns: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| f64::from(numbers[i * columns + j]))
    }

    fn silu(x: f64) -> f64 {
        x / (1.0 + (-x).exp())
    }

    /// norm(g) ⊙ (1 + γ) + β for one row.
    fn normal(g: &[f64], scale: &Mat<f64>, shift: &Mat<f64>) -> Mat<f64> {
        let n = g.len() as f64;
        let mean = g.iter().sum::<f64>() / n;
        let deviation = (g.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n + 1e-5).sqrt();
        Mat::from_fn(g.len(), 1, |k, _| (g[k] - mean) / deviation * (1.0 + scale[(k, 0)]) + shift[(k, 0)])
    }

    /// Groups: hidden units (0), inputs (1), logits (2). Tensors: weight `[4, 6]`, bias `[4]`, weight `[3, 4]`, bias `[3]`.
    pub(super) fn velocity(field: &Equivariant, x: &[f32], t: f32, c: &[f32]) -> Vec<f64> {
        let get = |name: &str| tensor(field, name);
        let weights = [matrix(&x[..24], 4, 6), matrix(&x[28..40], 3, 4)];
        let (joins, units) = ([(0, 1), (2, 0)], [4, 6, 3]);
        let biases = [Some((1, matrix(&x[24..28], 4, 1))), None, Some((3, matrix(&x[40..], 3, 1)))];
        let mut phi = vec![0.0; 6];
        crate::nn::time_features::features(&[t], 6, &mut phi);
        let e = get("time.weight") * matrix(&phi, 6, 1) + get("context.weight") * matrix(c, 2, 1) + get("time.bias");
        let e = Mat::from_fn(4, 1, |i, _| silu(e[(i, 0)]));

        let mut h = Vec::new();
        for g in 0..3 {
            let of_time = get(&format!("nodes.{g}.time.weight")) * &e + get(&format!("nodes.{g}.time.bias"));
            let mut state = Mat::from_fn(units[g], 5, |_, k| of_time[(k, 0)]);
            if g > 0 {
                state += get(&format!("nodes.{g}.table"));
            }
            if let Some((_, bias)) = &biases[g] {
                state += bias * get(&format!("nodes.{g}.write.weight")).transpose();
            }
            h.push(state);
        }
        for r in 0..2 {
            let mut heard = h.clone();
            for (i, (rows, columns)) in joins.into_iter().enumerate() {
                let part = |name: &str| get(&format!("tensors.{}.{r}.{name}.weight", 2 * i));
                let [n, m] = [rows, columns].map(|g: usize| (units[g] as f64).sqrt().recip());
                heard[rows] += &weights[i] * (&h[columns] * part("to_rows").transpose()) * faer::Scale(m);
                heard[columns] += weights[i].transpose() * &h[rows] * part("to_columns").transpose() * faer::Scale(n);
            }
            for g in 0..3 {
                let part = |name: &str| get(&format!("nodes.{g}.{r}.{name}"));
                for u in 0..units[g] {
                    let bias = part("bias");
                    let known: Vec<f64> = (0..5).map(|k| heard[g][(u, k)] + bias[(k, 0)]).collect();
                    let inner = part("up.weight") * normal(&known, &part("scale"), &part("shift")) + part("up.bias");
                    let new = part("down.weight") * Mat::from_fn(10, 1, |i, _| silu(inner[(i, 0)]));
                    known.iter().enumerate().for_each(|(k, known)| h[g][(u, k)] = known + new[(k, 0)]);
                }
            }
        }

        let gates = get("gates.weight") * &e + get("gates.bias");
        let read = |g: usize, name: &str| {
            let (read, bias) = (&h[g] * get(&format!("{name}.weight")).transpose(), get(&format!("{name}.bias")));
            Mat::from_fn(read.nrows(), read.ncols(), |u, k| read[(u, k)] + bias[(k, 0)])
        };
        let mut out = Vec::new();
        for (i, (rows, columns)) in joins.into_iter().enumerate() {
            let p = read(rows, &format!("tensors.{}.read_rows", 2 * i));
            let q = read(columns, &format!("tensors.{}.read_columns", 2 * i));
            for (u, v) in (0..units[rows]).flat_map(|u| (0..units[columns]).map(move |v| (u, v))) {
                let product: f64 = (0..5).map(|k| p[(u, k)] * q[(v, k)]).sum();
                out.push(product + (gates[(2 * i, 0)] + p[(u, 5)] + q[(v, 5)]) * weights[i][(u, v)]);
            }
            let (tensor, bias) = biases[rows].as_ref().unwrap();
            let read = read(rows, &format!("nodes.{rows}.read"));
            out.extend((0..units[rows]).map(|u| (gates[(*tensor, 0)] + read[(u, 0)]) * bias[(u, 0)] + read[(u, 1)]));
        }
        out
    }
}

#[test]
fn an_untrained_field_stands_still_and_rows_do_not_depend_on_one_another() {
    for i in 0..ARCHITECTURES.len() {
        let config = config(i, 0);
        let p = config.wiring.as_ref().unwrap().dimension();
        let x = random(ROWS * p, 1);
        let untrained = Equivariant::new(p, &config, &Streams::new(5)).unwrap();
        assert_eq!(velocity(&untrained, &x, None), vec![0.0; ROWS * p]);
        let (field, mut alone) = (field(i, 0), vec![0.0; p]);
        field.velocity(&x[p..2 * p], &TIMES[1..2], None, &mut alone, &mut Tape::default());
        assert_eq!(velocity(&field, &x, None)[p..2 * p], alone);
    }
}

/// Buffers follow the batch at hand and the field that they meet.
#[test]
fn a_tape_serves_batches_of_any_size_and_other_fields() {
    let (fields, mut tape) = ([field(1, 0), field(2, 0)], Tape::default());
    for (which, rows) in [(0, 2), (0, 1), (1, 2), (0, 2)] {
        let field = &fields[which];
        let (p, q) = (field.dimension(), field.parameters().len());
        let (x, w) = (random(rows * p, 1), random(rows * p, 2));
        let run = |tape: &mut Tape| {
            let (mut out, mut gradient, mut dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; q], vec![f32::NAN; x.len()]);
            field.velocity(&x, &TIMES[..rows], None, &mut out, tape);
            field.backward(&w, tape, Gradient::Write(&mut gradient), Some(&mut dx));
            [out, gradient, dx]
        };
        assert!(run(&mut tape) == run(&mut Tape::default()), "field {which}, {rows} rows");
    }
}

#[test]
fn a_wiring_that_cannot_be_is_refused() {
    // A residual branch that ends in blocks of a channel's places, and reads units as well.
    let blocks = r#"
        input = [2, 4, 4]
        layers = [
          { kind = "conv", out = 3, kernel = 1 }, { kind = "flatten" },
          { kind = "residual", layers = [ { kind = "dense", out = 7 }, { kind = "tanh" }, { kind = "dense", out = 48 } ] }, { kind = "dense", out = 2 } ]
    "#;
    let said = Wiring::of(&Architecture::from_toml_str(blocks).unwrap()).unwrap_err().to_string();
    assert!(said.contains("field equivariant") && said.contains(".weight of shape [48, 7]"), "{said}");
    let good = Wiring::of(&architecture(0)).unwrap();
    let nodes = |units| Nodes { units, fixed: true };
    for change in [
        (|w: &mut Wiring| w.tensors.clear()) as fn(&mut Wiring),
        |w| w.tensors[0].rows = 9,
        |w| w.tensors[0].columns = Some(9),
        |w| w.tensors[1].inner = 2,
        |w| w.groups[0].units = 0,
    ] {
        let mut wiring = good.clone();
        change(&mut wiring);
        assert!(wiring.check().unwrap_err().to_string().contains("field.equivariant.wiring"));
    }
    let idle = Wiring { groups: [good.groups.clone(), vec![nodes(1 << 60)]].concat(), ..good };
    assert!(idle.check().unwrap_err().to_string().contains("group 3"));
}

#[test]
fn the_number_of_parameters_is_told_before_they_are_made_and_sizes_have_their_ranges() {
    for i in 0..ARCHITECTURES.len() {
        let field = field(i, 3);
        assert_eq!(config(i, 3).numbers(), field.parameters().len());
        assert_eq!(config(i, 3).wiring.unwrap().dimension(), field.dimension());
    }
    for (wrong, name) in [
        (EquivariantConfig { width: 0, ..config(0, 0) }, "width"),
        (EquivariantConfig { rounds: 0, ..config(0, 0) }, "rounds"),
        (EquivariantConfig { time_features: 3, ..config(0, 0) }, "time-features"),
        (EquivariantConfig { wiring: None, ..config(0, 0) }, "wiring"),
        (config(1, 0), "wiring"),
    ] {
        let message = Equivariant::new(P, &wrong, &Streams::new(1)).err().unwrap().to_string();
        assert!(message.contains(&format!("field.equivariant.{name}")), "{message}");
    }
}
