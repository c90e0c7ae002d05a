//! Functional forward of any [`Architecture`] from flat θ `[P]`, and its gradients by automatic differentiation.
//!
//! Inputs are `[N, D]` with D = channels · height · width in that order; logits `[N, C]`. Dropout is off always: its
//! masks belong to the engine's streams. Batch normalisation takes either set of [`Statistics`].
//!
//! When not to use it: to train or judge many small networks on a CPU, where the engine of `thalweg-nets` is several
//! times as fast.
use crate::device::{Device, numbers, rows, tensor};
use burn::tensor::activation::{gelu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus, tanh};
use burn::tensor::module::{adaptive_avg_pool2d, avg_pool2d, batch_norm, batch_norm_train, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Int, Tensor, TensorData};
use std::slice::Iter;
use thalweg_nets::architecture::{Convolution, Layer, Operation, Over};
use thalweg_nets::layout::Slot;
use thalweg_nets::{Architecture, Error, Layout, Result};

/// What batch normalisation normalises by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// The running statistics in θ, held constant: evaluation.
    Running,
    /// Mean and biased variance of the batch, through which gradients flow: training.
    Batch,
}

/// One architecture on one device.
#[derive(Clone, Debug)]
pub struct Network {
    architecture: Architecture,
    layout: Layout,
    device: burn::tensor::Device,
}

/// Mean `[channels]` and unbiased variance `[channels]` of one normalised batch, with their places in θ.
struct Observed {
    mean: (usize, Tensor<1>),
    variance: (usize, Tensor<1>),
}

impl Network {
    /// Puts `architecture` on `device`.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn new(architecture: &Architecture, device: Device) -> Result<Self> {
        let layout = Layout::of(architecture);
        Ok(Self { architecture: architecture.clone(), layout, device: device.open()? })
    }

    /// Where each tensor lies in θ.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Logits `[N, C]` of `inputs [N, D]` under `theta [P]`.
    ///
    /// # Errors
    /// Wrong shapes, θ that is not finite, or a failing device.
    pub fn logits(&self, theta: &[f32], inputs: &[f32], statistics: Statistics) -> Result<Vec<f32>> {
        let theta = self.theta(theta, &self.device)?;
        let inputs = self.inputs(inputs, &self.device)?;
        numbers(self.forward(&theta, inputs, statistics).0)
    }

    /// Mean cross-entropy over `labels [N]` and its gradient `[P]`.
    ///
    /// # Errors
    /// As [`Self::logits`], and a label that is no class.
    pub fn gradient(
        &self,
        theta: &[f32],
        inputs: &[f32],
        labels: &[u32],
        statistics: Statistics,
    ) -> Result<(f64, Vec<f32>)> {
        let (n, classes) = (rows("inputs", inputs, self.architecture.input_len())?, self.architecture.classes());
        if labels.len() != n {
            return Err(Error::shape("labels", format!("[{n}]"), format!("[{}]", labels.len())));
        }
        if let Some(label) = labels.iter().find(|&&l| l as usize >= classes) {
            return Err(Error::parameter("labels", format!("classes below {classes}"), label));
        }
        self.pull(theta, inputs, statistics, |logits| {
            let labels: Vec<i64> = labels.iter().map(|&l| i64::from(l)).collect();
            let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [n, 1]), &self.device);
            log_softmax(logits, 1).gather(1, labels).mean().neg()
        })
    }

    /// Gradient `[P]` of any loss, given its derivative `dlogits [N, C]` by the logits: the vector–Jacobian product.
    ///
    /// # Errors
    /// As [`Self::logits`].
    pub fn pullback(&self, theta: &[f32], inputs: &[f32], dlogits: &[f32], statistics: Statistics) -> Result<Vec<f32>> {
        let (n, classes) = (rows("inputs", inputs, self.architecture.input_len())?, self.architecture.classes());
        if dlogits.len() != n * classes {
            return Err(Error::shape("dlogits", format!("[{n}, {classes}]"), format!("[{}]", dlogits.len())));
        }
        let weights = tensor(dlogits, [n, classes], &self.device);
        let (_, gradient) = self.pull(theta, inputs, statistics, |logits| (logits * weights).sum())?;
        Ok(gradient)
    }

    /// Value and gradient of a scalar of the logits. The slots of running statistics hold 0, or, where the batch was
    /// normalised by its own, the statistics that were seen (the engine's convention).
    fn pull(
        &self,
        theta: &[f32],
        inputs: &[f32],
        statistics: Statistics,
        scalar: impl FnOnce(Tensor<2>) -> Tensor<1>,
    ) -> Result<(f64, Vec<f32>)> {
        let device = self.device.clone().autodiff();
        let theta = self.theta(theta, &device)?.require_grad();
        let (logits, observed) = self.forward(&theta, self.inputs(inputs, &device)?, statistics);
        let value = scalar(logits);
        let mut gradient = match value.is_tracked().then(|| theta.grad(&value.backward())).flatten() {
            Some(gradient) => numbers(gradient)?,
            None => vec![0.0; self.layout.len()], // an architecture without any weight
        };
        for (offset, seen) in observed.into_iter().flat_map(|o| [o.mean, o.variance]) {
            let seen = numbers(seen)?;
            gradient[offset..offset + seen.len()].copy_from_slice(&seen);
        }
        Ok((f64::from(numbers(value)?[0]), gradient))
    }

    fn theta(&self, theta: &[f32], device: &burn::tensor::Device) -> Result<Tensor<1>> {
        let p = self.layout.len();
        if theta.len() != p {
            return Err(Error::shape("theta", format!("[{p}]"), format!("[{}]", theta.len())));
        }
        if p > 0 {
            self.layout.check("theta", theta)?;
        }
        Ok(tensor(theta, [p], device))
    }

    fn inputs(&self, inputs: &[f32], device: &burn::tensor::Device) -> Result<Tensor<4>> {
        let [c, h, w] = self.architecture.input();
        Ok(tensor(inputs, [rows("inputs", inputs, c * h * w)?, c, h, w], device))
    }

    fn forward(&self, theta: &Tensor<1>, inputs: Tensor<4>, statistics: Statistics) -> (Tensor<2>, Vec<Observed>) {
        let mut walk = Walk { theta, slots: self.layout.slots().iter(), statistics, observed: Vec::new() };
        let logits = walk.layers(self.architecture.layers(), inputs);
        let [n, classes, ..] = logits.dims();
        (logits.reshape([n, classes]), walk.observed)
    }
}

/// A forward pass under way: the slots of θ are taken in the order of the layers.
struct Walk<'a> {
    theta: &'a Tensor<1>,
    slots: Iter<'a, Slot>,
    statistics: Statistics,
    observed: Vec<Observed>,
}

impl Walk<'_> {
    /// The next tensor of θ as `[D]` sizes, with its offset.
    fn next<const D: usize>(&mut self) -> (usize, Tensor<D>) {
        let slot = self.slots.next().expect("the layout has every tensor of the architecture");
        let shape: [usize; D] = slot.shape[..].try_into().expect("the layout gives the layer's shape");
        (slot.offset, self.theta.clone().slice([slot.range()]).reshape(shape))
    }

    fn bias(&mut self, present: bool) -> Option<Tensor<1>> {
        present.then(|| self.next().1)
    }

    fn layers(&mut self, layers: &[Layer], x: Tensor<4>) -> Tensor<4> {
        layers.iter().fold(x, |x, layer| self.operation(&layer.operation, x))
    }

    /// `[N, c, h, w] → [N, c', h', w']`.
    fn operation(&mut self, operation: &Operation, x: Tensor<4>) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        match operation {
            Operation::Conv { .. } => {
                let conv = operation.convolution().expect("a convolution");
                let (_, weight) = self.next::<4>();
                self.convolution(&conv, weight, x)
            }
            Operation::Conv1d { kernel, .. } => {
                let conv = operation.convolution().expect("a convolution");
                let (_, weight) = self.next::<3>();
                let [out, inputs, _] = weight.dims();
                self.convolution(&conv, weight.reshape([out, inputs, 1, *kernel]), x)
            }
            Operation::Dense { out, bias } => {
                let (_, weight) = self.next::<2>();
                let y = x.reshape([n, c]).matmul(weight.transpose());
                let y = match self.bias(*bias) {
                    Some(bias) => y + bias.unsqueeze(),
                    None => y,
                };
                y.reshape([n, *out, 1, 1])
            }
            Operation::Linear { out, bias } => {
                let (_, weight) = self.next::<2>();
                let y = self.positions(x, weight, *bias);
                y.reshape([n, *out, h, w])
            }
            Operation::MaxPool { size, stride, padding } => {
                let options = MaxPoolOptions::new(size.0).with_stride(stride.unwrap_or(*size).0);
                max_pool2d(x, options.with_padding(padding.0))
            }
            Operation::AvgPool { size, stride, padding, count_padding } => {
                let options = AvgPoolOptions::new(size.0).with_stride(stride.unwrap_or(*size).0);
                avg_pool2d(x, options.with_padding(padding.0).with_count_include_pad(*count_padding))
            }
            Operation::AdaptiveAvgPool { size } => adaptive_avg_pool2d(x, size.0),
            Operation::Relu => relu(x),
            Operation::Relu6 => x.clamp(0.0, 6.0),
            Operation::LeakyRelu { slope } => leaky_relu(x, f64::from(*slope)),
            Operation::Prelu { .. } => {
                let (_, slope) = self.next::<1>();
                let [slopes] = slope.dims();
                relu(x.clone()) - relu(x.neg()) * slope.reshape([1, slopes, 1, 1])
            }
            Operation::Elu { alpha } => {
                let below = (relu(x.clone().neg()).neg().exp() - 1.0) * f64::from(*alpha);
                relu(x) + below
            }
            Operation::Tanh => tanh(x),
            Operation::Sigmoid => sigmoid(x),
            Operation::Gelu => gelu(x),
            Operation::Silu => silu(x),
            Operation::HardSwish => x.clone() * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Operation::Softplus => softplus(x, 1.0),
            Operation::Identity | Operation::Dropout { .. } => x,
            Operation::BatchNorm { eps, .. } => self.batch_norm(x, f64::from(*eps)),
            Operation::GroupNorm { groups, eps } => {
                let y = normalised(x.reshape([n, *groups, c / groups * h * w]), f64::from(*eps));
                let (scale, shift) = (self.next::<1>().1, self.next::<1>().1);
                y.reshape([n, c, h, w]) * scale.reshape([1, c, 1, 1]) + shift.reshape([1, c, 1, 1])
            }
            Operation::LayerNorm { over: Over::Features, eps } => {
                let y = normalised(x.reshape([n, c, h * w]).swap_dims(1, 2), f64::from(*eps)).swap_dims(1, 2);
                let (scale, shift) = (self.next::<1>().1, self.next::<1>().1);
                y.reshape([n, c, h, w]) * scale.reshape([1, c, 1, 1]) + shift.reshape([1, c, 1, 1])
            }
            Operation::LayerNorm { over: Over::All, eps } => {
                let y = normalised(x.reshape([n, 1, c * h * w]), f64::from(*eps));
                let (scale, shift) = (self.next::<3>().1, self.next::<3>().1);
                y.reshape([n, c, h, w]) * scale.reshape([1, c, h, w]) + shift.reshape([1, c, h, w])
            }
            Operation::Residual { layers, shortcut } => {
                let branch = self.layers(layers, x.clone());
                self.layers(shortcut, x) + branch
            }
            Operation::PadChannels { before, after } => {
                let zeros = |channels: usize| Tensor::<4>::zeros([n, channels, h, w], &x.device());
                let mut parts = vec![x.clone()];
                if *before > 0 {
                    parts.insert(0, zeros(*before));
                }
                if *after > 0 {
                    parts.push(zeros(*after));
                }
                Tensor::cat(parts, 1)
            }
            Operation::Flatten => x.reshape([n, c * h * w, 1, 1]),
            Operation::Tokens => x.reshape([n, c, 1, h * w]),
            Operation::Transpose => x.swap_dims(1, 3),
            Operation::ClassToken => {
                let (_, token) = self.next::<3>();
                let token = token.reshape([1, c, 1, 1]).expand([n, c, 1, 1]);
                Tensor::cat(vec![token, x], 3)
            }
            Operation::PositionEmbedding => {
                let (_, positions) = self.next::<3>();
                x + positions.swap_dims(1, 2).reshape([1, c, 1, w])
            }
            Operation::SelfAttention { heads, bias, .. } => self.attention(x, *heads, *bias),
            Operation::TakeToken { index } => x.slice([0..n, 0..c, 0..1, *index..index + 1]),
        }
    }

    fn convolution(&mut self, conv: &Convolution, weight: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new(conv.stride, conv.padding, conv.dilation, conv.groups);
        conv2d(x, weight, self.bias(conv.bias), options)
    }

    /// `weight [out, c]` and a bias at every position: `[N, c, h, w] → [N, out, h·w]`.
    fn positions(&mut self, x: Tensor<4>, weight: Tensor<2>, bias: bool) -> Tensor<3> {
        let [n, c, h, w] = x.dims();
        let [out, _] = weight.dims();
        let y = weight.reshape([1, out, c]).expand([n, out, c]).matmul(x.reshape([n, c, h * w]));
        match self.bias(bias) {
            Some(bias) => y + bias.reshape([1, out, 1]),
            None => y,
        }
    }

    fn attention(&mut self, x: Tensor<4>, heads: usize, bias: bool) -> Tensor<4> {
        let [n, f, _, t] = x.dims();
        let width = f / heads;
        let (_, weight) = self.next::<2>();
        let three = self.positions(x, weight, bias).reshape([n, 3, heads, width, t]);
        let part = |i: usize| three.clone().slice([0..n, i..i + 1]).reshape([n, heads, width, t]);
        let (q, k, v) = (part(0), part(1), part(2));
        let scores = q.swap_dims(2, 3).matmul(k) / (width as f64).sqrt();
        let mixed = v.matmul(softmax(scores, 3).swap_dims(2, 3));
        let (_, weight) = self.next::<2>();
        self.positions(mixed.reshape([n, f, 1, t]), weight, bias).reshape([n, f, 1, t])
    }

    fn batch_norm(&mut self, x: Tensor<4>, eps: f64) -> Tensor<4> {
        let (scale, shift) = (self.next::<1>().1, self.next::<1>().1);
        let ((mean_at, mean), (variance_at, variance)) = (self.next::<1>(), self.next::<1>());
        match self.statistics {
            Statistics::Running => batch_norm(x, scale, shift, mean.detach(), variance.detach(), eps),
            Statistics::Batch => {
                let [n, _, h, w] = x.dims();
                let seen = batch_norm_train(x, scale, shift, eps);
                let count = (n * h * w) as f64;
                // PyTorch's running variance moves towards the unbiased one, though it normalises by the biased one.
                let unbiased = seen.variance.mul_scalar(count / (count - 1.0).max(1.0));
                self.observed.push(Observed { mean: (mean_at, seen.mean), variance: (variance_at, unbiased) });
                seen.output
            }
        }
    }
}

/// Rows of the last axis, less their mean and divided by √(σ² + ε).
fn normalised(x: Tensor<3>, eps: f64) -> Tensor<3> {
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().powf_scalar(2.0).mean_dim(2);
    centred / (variance + eps).sqrt()
}
