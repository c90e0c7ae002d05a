//! A forward pass in f64 written from the definitions of the layers, one output at a time: truth without Burn.
use statrs::function::erf::erf;
use thalweg_nets::Architecture;
use thalweg_nets::architecture::{Layer, Operation, Shape, Sides, shape_after};

/// A batch `[N][c][h][w]` of activations.
struct Batch {
    shape: Shape,
    images: Vec<Vec<f64>>,
}

impl Batch {
    fn at(&self, n: usize, c: usize, y: isize, x: isize) -> f64 {
        let [_, h, w] = self.shape;
        let inside = (0..h as isize).contains(&y) && (0..w as isize).contains(&x);
        if inside { self.images[n][(c * h + y as usize) * w + x as usize] } else { 0.0 }
    }

    /// Fills a batch of `shape` from a function of (image, channel, row, column).
    fn build(shape: Shape, n: usize, value: impl Fn(usize, usize, usize, usize) -> f64) -> Batch {
        let [c, h, w] = shape;
        let image = |i: usize| (0..c * h * w).map(|k| value(i, k / (h * w), k / w % h, k % w)).collect();
        Batch { shape, images: (0..n).map(image).collect() }
    }
}

/// Logits `[N, C]`; `batch_statistics` chooses what batch norm normalises by.
pub fn logits(architecture: &Architecture, theta: &[f64], inputs: &[f64], batch_statistics: bool) -> Vec<f64> {
    let images = inputs.chunks(architecture.input_len()).map(<[f64]>::to_vec).collect();
    let mut rest = theta;
    let x = Batch { shape: architecture.input(), images };
    let y = layers(architecture.layers(), x, &mut rest, batch_statistics);
    assert!(rest.is_empty());
    y.images.concat()
}

/// Mean cross-entropy.
pub fn loss(architecture: &Architecture, theta: &[f64], inputs: &[f64], labels: &[u32], batch_statistics: bool) -> f64 {
    let logits = logits(architecture, theta, inputs, batch_statistics);
    let rows = logits.chunks(architecture.classes()).zip(labels);
    let total: f64 = rows.map(|(z, &l)| z.iter().map(|v| v.exp()).sum::<f64>().ln() - z[l as usize]).sum();
    total / labels.len() as f64
}

fn layers(layers: &[Layer], x: Batch, theta: &mut &[f64], batch_statistics: bool) -> Batch {
    layers.iter().fold(x, |x, layer| operation(&layer.operation, x, theta, batch_statistics))
}

fn take<'a>(theta: &mut &'a [f64], n: usize) -> &'a [f64] {
    let (head, tail) = theta.split_at(n);
    *theta = tail;
    head
}

fn operation(operation: &Operation, x: Batch, theta: &mut &[f64], batch_statistics: bool) -> Batch {
    let (n, [c, h, w]) = (x.images.len(), x.shape);
    let after = shape_after(operation, x.shape, "").unwrap();
    let each = |f: &dyn Fn(f64) -> f64| Batch::build(x.shape, n, |i, c, y, z| f(x.at(i, c, y as isize, z as isize)));
    match *operation {
        Operation::Conv {
            out,
            kernel: Sides([k, _]),
            stride: Sides([stride, _]),
            padding: Sides([padding, _]),
            bias,
            ..
        } => {
            let weight = take(theta, out * c * k * k);
            let bias = if bias { take(theta, out).to_vec() } else { vec![0.0; out] };
            Batch::build(after, n, |i, o, row, column| {
                let mut sum = bias[o];
                for (ci, ky, kx) in (0..c * k * k).map(|j| (j / (k * k), j / k % k, j % k)) {
                    let y = (row * stride + ky) as isize - padding as isize;
                    let z = (column * stride + kx) as isize - padding as isize;
                    sum += weight[((o * c + ci) * k + ky) * k + kx] * x.at(i, ci, y, z);
                }
                sum
            })
        }
        Operation::Dense { out, bias } => {
            let weight = take(theta, out * c);
            let bias = if bias { take(theta, out).to_vec() } else { vec![0.0; out] };
            Batch::build(after, n, |i, o, _, _| {
                bias[o] + (0..c).map(|j| weight[o * c + j] * x.images[i][j]).sum::<f64>()
            })
        }
        Operation::MaxPool { size, stride, .. } => Batch::build(after, n, |i, c, row, column| {
            window(&x, (i, c, row, column), size.0[0], stride.unwrap_or(size).0[0])
                .into_iter()
                .fold(f64::NEG_INFINITY, f64::max)
        }),
        Operation::AvgPool { size, stride, .. } => Batch::build(after, n, |i, c, row, column| {
            let window = window(&x, (i, c, row, column), size.0[0], stride.unwrap_or(size).0[0]);
            window.iter().sum::<f64>() / window.len() as f64
        }),
        Operation::Relu => each(&|v| v.max(0.0)),
        Operation::LeakyRelu { slope } => each(&|v| if v > 0.0 { v } else { f64::from(slope) * v }),
        Operation::Tanh => each(&f64::tanh),
        Operation::Gelu => each(&|v| 0.5 * v * (1.0 + erf(v / 2f64.sqrt()))),
        Operation::Silu => each(&|v| v / (1.0 + (-v).exp())),
        Operation::Softplus => each(&|v| v.exp().ln_1p()),
        Operation::Dropout { .. } => x,
        Operation::BatchNorm { eps, .. } => {
            let [scale, shift, mean, variance] = [(); 4].map(|()| take(theta, c).to_vec());
            let channel = |k: usize| x.images.iter().flat_map(move |image| &image[k * h * w..(k + 1) * h * w]);
            let count = (n * h * w) as f64;
            let moments: Vec<(f64, f64)> = (0..c)
                .map(|k| {
                    if !batch_statistics {
                        return (mean[k], variance[k]);
                    }
                    let mean = channel(k).sum::<f64>() / count;
                    (mean, channel(k).map(|v| (v - mean) * (v - mean)).sum::<f64>() / count)
                })
                .collect();
            Batch::build(x.shape, n, |i, k, y, z| {
                let (mean, variance) = moments[k];
                let normal = (x.at(i, k, y as isize, z as isize) - mean) / (variance + f64::from(eps)).sqrt();
                scale[k] * normal + shift[k]
            })
        }
        Operation::Residual { layers: ref branch, .. } => {
            let copy = Batch { shape: x.shape, images: x.images.clone() };
            let y = layers(branch, copy, theta, batch_statistics);
            Batch::build(after, n, |i, c, row, column| {
                x.at(i, c, row as isize, column as isize) + y.at(i, c, row as isize, column as isize)
            })
        }
        Operation::Flatten => Batch { shape: after, images: x.images },
        ref other => panic!("{other:?}: the engine's own tests hold it against its definition"),
    }
}

fn window(x: &Batch, (i, c, row, column): (usize, usize, usize, usize), size: usize, stride: usize) -> Vec<f64> {
    let at = |k: usize| x.at(i, c, (row * stride + k / size) as isize, (column * stride + k % size) as isize);
    (0..size * size).map(at).collect()
}
