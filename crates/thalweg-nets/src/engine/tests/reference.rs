//! The layers by their definitions, in f64.
use crate::architecture::{Convolution, Layer, Operation, Over, Shape, shape_after};

/// A batch of activations `[N][c·h·w]`.
pub(super) type Batch = Vec<Vec<f64>>;

/// A shape with its places: index of (channel, row, column).
#[derive(Clone, Copy)]
struct Grid(Shape);

impl Grid {
    fn at(self, c: usize, y: usize, x: usize) -> usize {
        (c * self.0[1] + y) * self.0[2] + x
    }

    /// Every (channel, row, column) in order.
    fn all(self) -> impl Iterator<Item = [usize; 3]> {
        let [c, h, w] = self.0;
        (0..c * h * w).map(move |i| [i / (h * w), i / w % h, i % w])
    }

    /// The number at (row, column) before `padding` in channel `c`, where it lies in the image.
    fn padded(self, image: &[f64], c: usize, y: usize, x: usize, padding: [usize; 2]) -> Option<f64> {
        let (y, x) = (y.checked_sub(padding[0])?, x.checked_sub(padding[1])?);
        (y < self.0[1] && x < self.0[2]).then(|| image[self.at(c, y, x)])
    }
}

fn each(batch: &Batch, f: impl Fn(&[f64]) -> Vec<f64>) -> Batch {
    batch.iter().map(|image| f(image)).collect()
}

fn take<'a>(theta: &mut &'a [f64], n: usize) -> &'a [f64] {
    let (head, tail) = theta.split_at(n);
    *theta = tail;
    head
}

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
        let ([c, h, w], [oc, ..]) = (shape, after);
        let (inner, outer) = (Grid(shape), Grid(after));
        let map = |f: &dyn Fn(f64) -> f64| each(&batch, |x| x.iter().map(|&v| f(v)).collect());
        batch = match &layer.operation {
            Operation::Conv { .. } | Operation::Conv1d { .. } => {
                convolution(&layer.operation.convolution().unwrap(), inner, outer, theta, &batch)
            }
            Operation::Dense { bias, .. } | Operation::Linear { bias, .. } => {
                linear([c, oc], h * w, *bias, theta, &batch)
            }
            Operation::MaxPool { size, stride, padding } => {
                let (size, stride) = (size.0, stride.unwrap_or(*size).0);
                windows(inner, outer, size, stride, padding.0, &batch, &|v| {
                    v.iter().flatten().fold(f64::MIN, |a, &b| a.max(b))
                })
            }
            Operation::AvgPool { size, stride, padding, count_padding } => {
                let (size, stride) = (size.0, stride.unwrap_or(*size).0);
                windows(inner, outer, size, stride, padding.0, &batch, &|v| {
                    let counted = if *count_padding { v.len() } else { v.iter().flatten().count() };
                    v.iter().flatten().sum::<f64>() / counted as f64
                })
            }
            Operation::AdaptiveAvgPool { size } => {
                let [oh, ow] = size.0;
                let range = |at: usize, n: usize, of: usize| {
                    let share = n as f64 / of as f64;
                    ((at as f64 * share).floor() as usize)..(((at + 1) as f64 * share).ceil() as usize)
                };
                each(&batch, |x| {
                    let mean = |[c, oy, ox]: [usize; 3]| {
                        let rows = range(oy, h, oh);
                        let of = |y: usize| range(ox, w, ow).map(move |xx| x[inner.at(c, y, xx)]);
                        let all: Vec<f64> = rows.flat_map(of).collect();
                        all.iter().sum::<f64>() / all.len() as f64
                    };
                    outer.all().map(mean).collect()
                })
            }
            Operation::Relu => map(&|v| v.max(0.0)),
            Operation::Relu6 => map(&|v| v.clamp(0.0, 6.0)),
            Operation::LeakyRelu { slope } => map(&|v| if v > 0.0 { v } else { f64::from(*slope) * v }),
            Operation::Prelu { channels } => {
                let slopes = take(theta, if *channels { c } else { 1 });
                let value = |(i, &v): (usize, &f64)| {
                    if v > 0.0 { v } else { slopes[if *channels { i / (h * w) } else { 0 }] * v }
                };
                each(&batch, |x| x.iter().enumerate().map(value).collect())
            }
            Operation::Elu { alpha } => map(&|v| if v > 0.0 { v } else { f64::from(*alpha) * v.exp_m1() }),
            Operation::Tanh => map(&f64::tanh),
            Operation::Sigmoid => map(&|v| 1.0 / (1.0 + (-v).exp())),
            Operation::Gelu => map(&|v| v * normal_distribution(v)),
            Operation::Silu => map(&|v| v / (1.0 + (-v).exp())),
            Operation::HardSwish => map(&|v| v * (v + 3.0).clamp(0.0, 6.0) / 6.0),
            Operation::Softplus => map(&|v| v.exp().ln_1p()),
            Operation::Identity | Operation::Dropout { .. } | Operation::Flatten | Operation::Tokens => batch,
            Operation::BatchNorm { eps, .. } => batch_norm(inner, f64::from(*eps), theta, &batch, train),
            Operation::GroupNorm { groups, eps } => {
                let of = |c: usize, _: usize| c / (inner.0[0] / groups);
                image_norm(inner, *groups, f64::from(*eps), &of, &|i| i / (h * w), c, theta, &batch)
            }
            Operation::LayerNorm { over: Over::Features, eps } => {
                let of = |_: usize, position: usize| position;
                image_norm(inner, h * w, f64::from(*eps), &of, &|i| i / (h * w), c, theta, &batch)
            }
            Operation::LayerNorm { over: Over::All, eps } => {
                image_norm(inner, 1, f64::from(*eps), &|_, _| 0, &|i| i, c * h * w, theta, &batch)
            }
            Operation::Residual { layers, shortcut } => {
                let branch = reference(layers, shape, theta, batch.clone(), train);
                let beside = match shortcut.is_empty() {
                    true => batch,
                    false => reference(shortcut, shape, theta, batch, train),
                };
                beside.iter().zip(branch).map(|(x, y)| x.iter().zip(y).map(|(a, b)| a + b).collect()).collect()
            }
            Operation::PadChannels { before, after } => {
                let zeros = |n: &usize| vec![0.0; n * h * w];
                each(&batch, |x| [zeros(before), x.to_vec(), zeros(after)].concat())
            }
            Operation::Transpose => each(&batch, |x| (0..c * w).map(|i| x[i % c * w + i / c]).collect()),
            Operation::ClassToken => {
                let token = take(theta, c);
                each(&batch, |x| (0..c).flat_map(|c| [&token[c..c + 1], &x[c * w..(c + 1) * w]].concat()).collect())
            }
            Operation::PositionEmbedding => {
                let positions = take(theta, w * c);
                each(&batch, |x| (0..c * w).map(|i| x[i] + positions[i % w * c + i / w]).collect())
            }
            Operation::SelfAttention { heads, bias, .. } => attention(c, w, *heads, *bias, theta, &batch),
            Operation::TakeToken { index } => each(&batch, |x| (0..c).map(|c| x[c * w + index]).collect()),
        };
        shape = after;
    }
    batch
}

fn convolution(conv: &Convolution, inner: Grid, outer: Grid, theta: &mut &[f64], batch: &Batch) -> Batch {
    let (inputs, [tall, wide]) = (inner.0[0] / conv.groups, conv.kernel);
    let weight = take(theta, conv.out * inputs * tall * wide);
    let bias = if conv.bias { take(theta, conv.out).to_vec() } else { vec![0.0; conv.out] };
    each(batch, |x| {
        let out = |[o, oy, ox]: [usize; 3]| {
            let mut sum = bias[o];
            for i in 0..inputs {
                let channel = o / (conv.out / conv.groups) * inputs + i;
                for ky in 0..tall {
                    let y = oy * conv.stride[0] + ky * conv.dilation[0];
                    let taps = &weight[((o * inputs + i) * tall + ky) * wide..][..wide];
                    for (kx, tap) in taps.iter().enumerate() {
                        let xx = ox * conv.stride[1] + kx * conv.dilation[1];
                        sum += tap * inner.padded(x, channel, y, xx, conv.padding).unwrap_or(0.0);
                    }
                }
            }
            sum
        };
        outer.all().map(out).collect()
    })
}

/// A product at each of `area` positions.
fn linear([c, out]: [usize; 2], area: usize, bias: bool, theta: &mut &[f64], batch: &Batch) -> Batch {
    let weight = take(theta, out * c);
    let bias = if bias { take(theta, out).to_vec() } else { vec![0.0; out] };
    each(batch, |x| {
        let dot = |i: usize| {
            let (o, at) = (i / area, i % area);
            (0..c).map(|i| weight[o * c + i] * x[i * area + at]).sum::<f64>() + bias[o]
        };
        (0..out * area).map(dot).collect()
    })
}

fn windows(
    inner: Grid,
    outer: Grid,
    size: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    batch: &Batch,
    f: &dyn Fn(&[Option<f64>]) -> f64,
) -> Batch {
    each(batch, |x| {
        let window = |[c, oy, ox]: [usize; 3]| {
            let at = |[_, ky, kx]: [usize; 3]| inner.padded(x, c, oy * stride[0] + ky, ox * stride[1] + kx, padding);
            f(&Grid([1, size[0], size[1]]).all().map(at).collect::<Vec<_>>())
        };
        outer.all().map(window).collect()
    })
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

fn batch_norm(inner: Grid, eps: f64, theta: &mut &[f64], batch: &Batch, train: bool) -> Batch {
    let [c, h, w] = inner.0;
    let [scale, shift, mean, variance] = [(); 4].map(|()| take(theta, c));
    let area = h * w;
    let statistics: Vec<(f64, f64)> = (0..c)
        .map(|c| {
            let values: Vec<f64> = batch.iter().flat_map(|x| x[c * area..(c + 1) * area].to_vec()).collect();
            if train { mean_and_variance(&values) } else { (mean[c], variance[c]) }
        })
        .collect();
    let one = |(i, v): (usize, &f64)| {
        let (m, s) = statistics[i / area];
        scale[i / area] * (v - m) / (s + eps).sqrt() + shift[i / area]
    };
    each(batch, |x| x.iter().enumerate().map(one).collect())
}

/// `of(channel, position)` gives the set of a number, `unit(index)` its scale and shift among `units`.
#[allow(clippy::too_many_arguments)]
fn image_norm(
    inner: Grid,
    sets: usize,
    eps: f64,
    of: &dyn Fn(usize, usize) -> usize,
    unit: &dyn Fn(usize) -> usize,
    units: usize,
    theta: &mut &[f64],
    batch: &Batch,
) -> Batch {
    let (scale, shift, area) = (take(theta, units), take(theta, units), inner.0[1] * inner.0[2]);
    let set = |i: usize| of(i / area, i % area);
    each(batch, |x| {
        let own = |s: usize| (0..x.len()).filter(|&i| set(i) == s).map(|i| x[i]).collect::<Vec<_>>();
        let statistics: Vec<_> = (0..sets).map(|s| mean_and_variance(&own(s))).collect();
        let one = |i: usize| {
            let (m, v) = statistics[set(i)];
            scale[unit(i)] * (x[i] - m) / (v + eps).sqrt() + shift[unit(i)]
        };
        (0..x.len()).map(one).collect()
    })
}

fn attention(f: usize, t: usize, heads: usize, bias: bool, theta: &mut &[f64], batch: &Batch) -> Batch {
    let three = linear([f, 3 * f], t, bias, theta, batch);
    let width = f / heads;
    let mixed = each(&three, |x| {
        let at = |part: usize, k: usize, token: usize| x[(part * f + k) * t + token];
        let mut out = vec![0.0; f * t];
        for head in 0..heads {
            let own = head * width..(head + 1) * width;
            for token in 0..t {
                let score =
                    |u: usize| own.clone().map(|k| at(0, k, token) * at(1, k, u)).sum::<f64>() / (width as f64).sqrt();
                let weights: Vec<f64> = (0..t).map(|u| score(u).exp()).collect();
                let total: f64 = weights.iter().sum();
                for k in own.clone() {
                    out[k * t + token] = (0..t).map(|u| weights[u] / total * at(2, k, u)).sum();
                }
            }
        }
        out
    });
    linear([f, f], t, bias, theta, &mixed)
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
