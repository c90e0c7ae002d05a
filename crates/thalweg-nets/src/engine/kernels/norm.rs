//! Batch normalisation per channel: y = γ (x − μ)/√(σ² + ε) + β.
//!
//! In evaluation μ and σ² are the running statistics in θ, constants. In training they are those of the whole batch,
//! so statistics and the two sums of the backward pass each need a pass over all blocks; both are plain sums in block
//! order, in f64 across blocks.
use crate::engine::ops::Norm;
use crate::engine::vector::{Kernel, LANES, Simd, Vector};

/// Statistics of every channel of all batch normalisations, and the sums of the backward pass.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Statistics {
    pub mean: Vec<f32>,
    /// 1/√(σ² + ε).
    pub inverse: Vec<f32>,
    /// Σ dy and Σ dy x̂ over the batch.
    pub sums: Vec<[f64; 2]>,
}

impl Statistics {
    pub(in crate::engine) fn resize(&mut self, channels: usize) {
        self.mean.resize(channels, 0.0);
        self.inverse.resize(channels, 0.0);
        self.sums.clear();
        self.sums.resize(channels, [0.0; 2]);
    }

    /// Takes the running statistics of θ.
    pub(in crate::engine) fn take_running(&mut self, norm: &Norm, theta: &[f32]) {
        for c in 0..norm.channels {
            self.mean[norm.first + c] = theta[norm.mean + c];
            self.inverse[norm.first + c] = 1.0 / (theta[norm.variance + c] + norm.eps).sqrt();
        }
    }

    /// Measures the batch of `n` images and writes its mean and unbiased variance to the buffer slots of `gradient`.
    /// `blocks` gives the values of each block `[channels · area]` and its count of images.
    pub(in crate::engine) fn measure<'a>(
        &mut self,
        norm: &Norm,
        n: usize,
        blocks: impl Iterator<Item = (&'a [Vector], usize)> + Clone,
        gradient: &mut [f32],
    ) {
        let numbers = (n * norm.area) as f64;
        for c in 0..norm.channels {
            let total = |shift: f32, power: i32| -> f64 {
                let block = |(x, count): (&[Vector], usize)| {
                    let mut sums = [0.0f32; LANES];
                    for v in &x[c * norm.area..(c + 1) * norm.area] {
                        for lane in 0..LANES {
                            let d = v.0[lane] - shift;
                            sums[lane] += if power == 2 { d * d } else { d };
                        }
                    }
                    sums[..count].iter().map(|&s| f64::from(s)).sum::<f64>()
                };
                blocks.clone().map(block).sum()
            };
            let mean = (total(0.0, 1) / numbers) as f32;
            let squares = total(mean, 2);
            self.mean[norm.first + c] = mean;
            self.inverse[norm.first + c] = (1.0 / (squares / numbers + f64::from(norm.eps)).sqrt()) as f32;
            gradient[norm.mean + c] = mean;
            gradient[norm.variance + c] = (squares / (numbers - 1.0).max(1.0)) as f32;
        }
    }

    /// Adds dL/dγ and dL/dβ of the whole batch to `gradient`.
    pub(in crate::engine) fn finish(&self, norm: &Norm, gradient: &mut [f32]) {
        for c in 0..norm.channels {
            let [shift, scale] = self.sums[norm.first + c];
            gradient[norm.shift + c] += shift as f32;
            gradient[norm.scale + c] += scale as f32;
        }
    }
}

pub(in crate::engine) struct Forward<'a> {
    pub norm: &'a Norm,
    pub statistics: &'a Statistics,
    pub theta: &'a [f32],
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Norm { area, first, channels, scale, shift, .. } = *self.norm;
        for c in 0..channels {
            let (mean, inverse) = (self.statistics.mean[first + c], self.statistics.inverse[first + c]);
            let (scale, shift) = (self.theta[scale + c], self.theta[shift + c]);
            let range = c * area..(c + 1) * area;
            for (x, y) in self.x[range.clone()].iter().zip(&mut self.y[range]) {
                for lane in 0..LANES {
                    y.0[lane] = scale * ((x.0[lane] - mean) * inverse) + shift;
                }
            }
        }
    }
}

/// Adds Σ dy and Σ dy x̂ of one block to the sums.
pub(in crate::engine) struct Sums<'a> {
    pub norm: &'a Norm,
    pub statistics: &'a mut Statistics,
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
}

impl Kernel for Sums<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Norm { area, first, channels, .. } = *self.norm;
        for c in 0..channels {
            let (mean, inverse) = (self.statistics.mean[first + c], self.statistics.inverse[first + c]);
            let (mut plain, mut weighted) = (Vector::ZERO, Vector::ZERO);
            let range = c * area..(c + 1) * area;
            for (x, dy) in self.x[range.clone()].iter().zip(&self.dy[range]) {
                for lane in 0..LANES {
                    plain.0[lane] += dy.0[lane];
                    weighted.0[lane] += dy.0[lane] * ((x.0[lane] - mean) * inverse);
                }
            }
            let sums = &mut self.statistics.sums[first + c];
            sums[0] += f64::from(plain.sum());
            sums[1] += f64::from(weighted.sum());
        }
    }
}

/// dx of one block; with the batch's own statistics where `batch` gives its size in images.
pub(in crate::engine) struct Backward<'a> {
    pub norm: &'a Norm,
    pub statistics: &'a Statistics,
    pub theta: &'a [f32],
    pub batch: Option<usize>,
    /// Images in this block; the lanes beyond receive no gradient.
    pub count: usize,
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Norm { area, first, channels, scale, .. } = *self.norm;
        let mut present = [0.0; LANES];
        present[..self.count].fill(1.0);
        for c in 0..channels {
            let (mean, inverse) = (self.statistics.mean[first + c], self.statistics.inverse[first + c]);
            let factor = self.theta[scale + c] * inverse;
            let [plain, weighted] = match self.batch {
                Some(n) => self.statistics.sums[first + c].map(|s| (s / (n * area) as f64) as f32),
                None => [0.0; 2],
            };
            let range = c * area..(c + 1) * area;
            for ((x, dy), dx) in self.x[range.clone()].iter().zip(&self.dy[range.clone()]).zip(&mut self.dx[range]) {
                for lane in 0..LANES {
                    let normal = (x.0[lane] - mean) * inverse;
                    dx.0[lane] = present[lane] * (factor * (dy.0[lane] - plain - normal * weighted));
                }
            }
        }
    }
}
