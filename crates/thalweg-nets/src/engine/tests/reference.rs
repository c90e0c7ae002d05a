//! The layers by their definitions, in f64.
use crate::architecture::{Layer, Operation, Shape, shape_after};

/// A batch of activations `[N][c·h·w]`.
pub(super) type Batch = Vec<Vec<f64>>;

/// The layers by their definitions, with numbers taken from the front of `theta`.
pub(super) fn reference(
    layers: &[Layer],
    mut shape: Shape,
    theta: &mut &[f64],
    mut batch: Batch,
    train: bool,
) -> Batch {
    for layer in layers {
        let after = shape_after(&layer.operation, shape, "").unwrap();
        let ([c, h, w], [oc, oh, ow]) = (shape, after);
        let mut take = |n: usize| {
            let (head, tail) = theta.split_at(n);
            *theta = tail;
            head
        };
        let map =
            |f: &dyn Fn(f64) -> f64| -> Batch { batch.iter().map(|x| x.iter().map(|&v| f(v)).collect()).collect() };
        let windows = |size: usize, stride: usize, f: &dyn Fn(&[f64]) -> f64| -> Batch {
            let window = |x: &[f64], c: usize, oy: usize, ox: usize| -> Vec<f64> {
                let at = |k: usize| x[(c * h + oy * stride + k / size) * w + ox * stride + k % size];
                (0..size * size).map(at).collect()
            };
            let one =
                |x: &Vec<f64>| (0..c * oh * ow).map(|i| f(&window(x, i / (oh * ow), i / ow % oh, i % ow))).collect();
            batch.iter().map(one).collect()
        };
        batch = match &layer.operation {
            Operation::Conv { kernel, stride, padding, bias, .. } => {
                let k = *kernel;
                let weight = take(oc * c * k * k);
                let bias = if *bias { take(oc).to_vec() } else { vec![0.0; oc] };
                let pixel = |x: &[f64], i: usize, y: usize, xx: usize| -> f64 {
                    match (y.checked_sub(*padding), xx.checked_sub(*padding)) {
                        (Some(y), Some(xx)) if y < h && xx < w => x[(i * h + y) * w + xx],
                        _ => 0.0,
                    }
                };
                let out = |x: &[f64], o: usize, oy: usize, ox: usize| -> f64 {
                    let mut sum = bias[o];
                    for i in 0..c {
                        for ky in 0..k {
                            for kx in 0..k {
                                let tap = weight[((o * c + i) * k + ky) * k + kx];
                                sum += tap * pixel(x, i, oy * stride + ky, ox * stride + kx);
                            }
                        }
                    }
                    sum
                };
                let one =
                    |x: &Vec<f64>| (0..oc * oh * ow).map(|j| out(x, j / (oh * ow), j / ow % oh, j % ow)).collect();
                batch.iter().map(one).collect()
            }
            Operation::Dense { bias, .. } => {
                let weight = take(oc * c);
                let bias = if *bias { take(oc).to_vec() } else { vec![0.0; oc] };
                let dot = |x: &[f64], o: usize| (0..c).map(|i| weight[o * c + i] * x[i]).sum::<f64>() + bias[o];
                batch.iter().map(|x| (0..oc).map(|o| dot(x, o)).collect()).collect()
            }
            Operation::MaxPool { size, stride } => {
                windows(*size, stride.unwrap_or(*size), &|v| v.iter().fold(f64::MIN, |a, &b| a.max(b)))
            }
            Operation::AvgPool { size, stride } => {
                windows(*size, stride.unwrap_or(*size), &|v| v.iter().sum::<f64>() / v.len() as f64)
            }
            Operation::Relu => map(&|v| v.max(0.0)),
            Operation::LeakyRelu { slope } => map(&|v| if v > 0.0 { v } else { f64::from(*slope) * v }),
            Operation::Tanh => map(&f64::tanh),
            Operation::Gelu => map(&|v| v * normal_distribution(v)),
            Operation::Silu => map(&|v| v / (1.0 + (-v).exp())),
            Operation::Softplus => map(&|v| v.exp().ln_1p()),
            Operation::Dropout { .. } | Operation::Flatten => batch,
            Operation::BatchNorm { eps, .. } => {
                let (scale, shift, mean, variance) = (take(c), take(c), take(c), take(c));
                let area = h * w;
                let statistics: Vec<(f64, f64)> = (0..c)
                    .map(|c| {
                        let values: Vec<f64> =
                            batch.iter().flat_map(|x| x[c * area..(c + 1) * area].to_vec()).collect();
                        let m = values.iter().sum::<f64>() / values.len() as f64;
                        let v = values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / values.len() as f64;
                        if train { (m, v) } else { (mean[c], variance[c]) }
                    })
                    .collect();
                let one = |(i, v): (usize, &f64)| {
                    let (m, s) = statistics[i / area];
                    scale[i / area] * (v - m) / (s + f64::from(*eps)).sqrt() + shift[i / area]
                };
                batch.iter().map(|x| x.iter().enumerate().map(one).collect()).collect()
            }
            Operation::Residual { layers } => {
                let branch = reference(layers, shape, theta, batch.clone(), train);
                batch.iter().zip(branch).map(|(x, y)| x.iter().zip(y).map(|(a, b)| a + b).collect()).collect()
            }
        };
        shape = after;
    }
    batch
}

/// Φ(x) from the series Σ (−1)ⁿ x²ⁿ⁺¹ / (n! 2ⁿ (2n + 1)), which converges for the x of these tests.
pub(super) fn normal_distribution(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..80 {
        term *= -x * x / (2.0 * f64::from(n));
        sum += term / f64::from(2 * n + 1);
    }
    0.5 + sum / std::f64::consts::TAU.sqrt()
}
