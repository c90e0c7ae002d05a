use super::*;
use rand::RngExt;

fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Streams::new(seed).rng();
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// A layer with its parameters; biases are not zero.
fn layer(width: usize, answering: usize, heads: usize) -> (Attention, Vec<f32>) {
    let (mut tensors, mut end) = (vec![], 0);
    let layer = Attention::push(&mut tensors, &mut end, "a", [width, answering], heads).unwrap();
    assert_eq!(end, tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>());
    let mut parameters = vec![0.0; end];
    layer.draw(&mut parameters, &Streams::new(3));
    (layer, parameters)
}

fn forward(
    layer: &Attention,
    q: &[f32],
    items: usize,
    x: &[f32],
    y: Option<&[f32]>,
    mask: Option<&[bool]>,
) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    layer.forward(q, items, x, y, mask, &mut out, &mut AttentionBuffers::default());
    out
}

/// The definition in f64, one number at a time.
#[allow(clippy::too_many_arguments)]
fn defined(layer: &Attention, q: &[f32], items: usize, x: &[f32], y: &[f32], mask: Option<&[bool]>) -> Vec<f64> {
    let (w, v) = (layer.width, layer.key.inputs);
    let (n, m) = (x.len() / (items * w), y.len() / (items * v));
    let affine = |layer: &Affine, row: &[f64]| -> Vec<f64> {
        let (weight, bias) = (layer.weight(q), layer.bias(q));
        (0..layer.outputs)
            .map(|o| {
                let sum: f64 = (0..layer.inputs).map(|i| f64::from(weight[o * layer.inputs + i]) * row[i]).sum();
                sum + f64::from(bias[o])
            })
            .collect()
    };
    let row = |all: &[f32], wide: usize, i: usize| {
        all[i * wide..(i + 1) * wide].iter().map(|v| f64::from(*v)).collect::<Vec<_>>()
    };
    let d = w / layer.heads;
    let mut out = vec![];
    for item in 0..items {
        for i in 0..n {
            let query = affine(&layer.query, &row(x, w, item * n + i));
            let keys: Vec<usize> = (0..m).map(|j| item * m + j).filter(|&j| mask.is_none_or(|mask| mask[j])).collect();
            let mut joined = vec![0.0; w];
            for h in 0..layer.heads {
                let part = h * d..(h + 1) * d;
                let scores: Vec<f64> = keys
                    .iter()
                    .map(|&j| {
                        let key = affine(&layer.key, &row(y, v, j));
                        (part.clone().map(|c| query[c] * key[c]).sum::<f64>() / (d as f64).sqrt()).exp()
                    })
                    .collect();
                let total: f64 = scores.iter().sum();
                for (&j, score) in keys.iter().zip(&scores) {
                    let value = affine(&layer.value, &row(y, v, j));
                    part.clone().for_each(|c| joined[c] += score / total * value[c]);
                }
            }
            out.extend(affine(&layer.output, &joined));
        }
    }
    out
}

#[test]
fn it_is_what_its_definition_says() {
    for (items, n, m, width, answering, heads) in [(1, 1, 1, 4, 4, 1), (3, 5, 7, 12, 6, 3), (2, 20, 9, 32, 8, 4)] {
        let (layer, q) = layer(width, answering, heads);
        let (x, y) = (random(items * n * width, 1), random(items * m * answering, 2));
        let mask: Vec<bool> = (0..items * m).map(|i| i % 3 != 1).collect();
        for mask in [None, Some(&mask[..])] {
            let out = forward(&layer, &q, items, &x, Some(&y), mask);
            let truth = defined(&layer, &q, items, &x, &y, mask);
            assert!(out.iter().zip(&truth).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
        }
    }
    let (layer, q) = layer(8, 8, 2);
    let x = random(2 * 6 * 8, 4);
    let truth = defined(&layer, &q, 2, &x, &x, None);
    assert!(forward(&layer, &q, 2, &x, None, None).iter().zip(&truth).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
}

#[test]
fn a_query_without_keys_gets_the_bias_and_no_gradient() {
    let (layer, q) = layer(4, 4, 2);
    let (x, y, mask) = (random(2 * 4, 1), random(3 * 4, 2), [false; 3]);
    let mut b = AttentionBuffers::default();
    let mut out = vec![1.0; 8];
    layer.forward(&q, 1, &x, Some(&y), Some(&mask), &mut out, &mut b);
    assert!(out.chunks(4).all(|row| row == layer.output.bias(&q)));
    let (mut dx, mut dy) = (vec![1.0; 8], vec![1.0; 12]);
    layer.backward(&q, &[1.0; 8], &mut b, &mut Gradient::Skip, Some(&mut dx), Some(&mut dy));
    assert!(dx.iter().chain(&dy).all(|d| *d == 0.0));
}

/// Σ weight · out, the scalar whose derivatives are tested.
fn scalar(out: &[f32], weight: &[f32]) -> f64 {
    out.iter().zip(weight).map(|(o, w)| f64::from(*o) * f64::from(*w)).sum()
}

#[test]
fn derivatives_are_those_of_finite_differences() {
    let (items, n, m, width, answering) = (2, 3, 4, 8, 6);
    let (layer, q) = layer(width, answering, 2);
    let weight = random(items * n * width, 9);
    let mask: Vec<bool> = (0..items * m).map(|i| i != 2).collect();
    for own in [false, true] {
        let x = random(items * n * width, 1);
        let y = (!own).then(|| random(items * m * answering, 2));
        let (q, layer) = if own {
            let (layer, q) = self::layer(width, width, 2);
            (q, layer)
        } else {
            (q.clone(), layer.clone())
        };
        let mask = (!own).then_some(&mask[..]);
        let value = |q: &[f32], x: &[f32], y: Option<&[f32]>| scalar(&forward(&layer, q, items, x, y, mask), &weight);
        let mut b = AttentionBuffers::default();
        let mut out = vec![0.0; x.len()];
        layer.forward(&q, items, &x, y.as_deref(), mask, &mut out, &mut b);
        let (mut gradient, mut dx) = (vec![f32::NAN; q.len()], vec![f32::NAN; x.len()]);
        let mut dy = y.as_ref().map(|y| vec![f32::NAN; y.len()]);
        layer.backward(&q, &weight, &mut b, &mut Gradient::Write(&mut gradient), Some(&mut dx), dy.as_deref_mut());
        let h = 1e-2f32;
        let check = |found: &[f32], at: &[f32], f: &dyn Fn(&[f32]) -> f64| {
            for i in 0..at.len() {
                let mut moved = at.to_vec();
                let mut shift = |by: f32| {
                    moved[i] = at[i] + by;
                    f(&moved)
                };
                let slope = (shift(h) - shift(-h)) / f64::from(2.0 * h);
                assert!((slope - f64::from(found[i])).abs() < 2e-3 * (1.0 + slope.abs()), "{i}: {slope} {}", found[i]);
            }
        };
        check(&gradient, &q, &|q| value(q, &x, y.as_deref()));
        check(&dx, &x, &|x| value(&q, x, y.as_deref()));
        if let (Some(dy), Some(y)) = (&dy, &y) {
            check(dy, y, &|y| value(&q, &x, Some(y)));
        }
        // Added to what is there, it is twice the same.
        layer.backward(&q, &weight, &mut b, &mut Gradient::Add(&mut gradient), None, None);
        let twice = gradient.clone();
        layer.backward(&q, &weight, &mut b, &mut Gradient::Write(&mut gradient), None, None);
        assert!(twice.iter().zip(&gradient).all(|(a, b)| (a - 2.0 * b).abs() < 1e-5));
    }
}

#[test]
fn it_is_equivariant_to_queries_and_invariant_to_keys() {
    let (n, m, width) = (6, 9, 16);
    let (layer, q) = layer(width, width, 4);
    let (x, y) = (random(n * width, 1), random(m * width, 2));
    let permuted = |all: &[f32], order: &dyn Fn(usize) -> usize| -> Vec<f32> {
        (0..all.len() / width).flat_map(|i| all[order(i) * width..][..width].to_vec()).collect()
    };
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-6);
    let (queries, keys) = (|i: usize| (i * 5 + 2) % n, |j: usize| (j * 4 + 1) % m);
    let out = forward(&layer, &q, 1, &x, Some(&y), None);
    assert!(close(&forward(&layer, &q, 1, &permuted(&x, &queries), Some(&y), None), &permuted(&out, &queries)));
    assert!(close(&forward(&layer, &q, 1, &x, Some(&permuted(&y, &keys)), None), &out));
    let own = forward(&layer, &q, 1, &x, None, None);
    assert!(close(&forward(&layer, &q, 1, &permuted(&x, &queries), None, None), &permuted(&own, &queries)));
}

#[test]
fn bytes_depend_neither_on_threads_nor_on_the_other_items() {
    let (items, n, width) = (13, 11, 32);
    let (layer, q) = layer(width, width, 4);
    let x = random(items * n * width, 1);
    let run = || {
        let mut b = AttentionBuffers::default();
        let (mut out, mut dx, mut gradient) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; q.len()]);
        layer.forward(&q, items, &x, None, None, &mut out, &mut b);
        layer.backward(&q, &out, &mut b, &mut Gradient::Write(&mut gradient), Some(&mut dx), None);
        (out, dx, gradient)
    };
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
    let all = with(1);
    assert!(all == with(4));
    assert_eq!(forward(&layer, &q, 1, &x[..n * width], None, None), all.0[..n * width]);
}
