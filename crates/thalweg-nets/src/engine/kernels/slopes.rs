//! An activation with a learned slope below zero: y = x for x > 0, a x below.
use crate::engine::ops::Slopes;
use crate::engine::vector::{Kernel, LANES, Simd, Vector};

pub(in crate::engine) struct Forward<'a> {
    pub slopes: &'a Slopes,
    pub theta: &'a [f32],
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Slopes { weight, unit } = *self.slopes;
        for (c, (x, y)) in self.x.chunks_exact(unit).zip(self.y.chunks_exact_mut(unit)).enumerate() {
            let slope = self.theta[weight + c];
            for (x, y) in x.iter().zip(y) {
                for lane in 0..LANES {
                    y.0[lane] = if x.0[lane] <= 0.0 { slope * x.0[lane] } else { x.0[lane] };
                }
            }
        }
    }
}

/// Adds dL/da of one block of images to `gradient` `[P]`.
pub(in crate::engine) struct WeightGradient<'a> {
    pub slopes: &'a Slopes,
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
    pub gradient: &'a mut [f32],
}

impl Kernel for WeightGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Slopes { weight, unit } = *self.slopes;
        for (c, (x, dy)) in self.x.chunks_exact(unit).zip(self.dy.chunks_exact(unit)).enumerate() {
            let mut total = Vector::ZERO;
            for (x, dy) in x.iter().zip(dy) {
                for lane in 0..LANES {
                    total.0[lane] += if x.0[lane] <= 0.0 { dy.0[lane] * x.0[lane] } else { 0.0 };
                }
            }
            self.gradient[weight + c] += total.sum();
        }
    }
}

pub(in crate::engine) struct InputGradient<'a> {
    pub slopes: &'a Slopes,
    pub theta: &'a [f32],
    pub x: &'a [Vector],
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for InputGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Slopes { weight, unit } = *self.slopes;
        let units = self.x.chunks_exact(unit).zip(self.dy.chunks_exact(unit)).zip(self.dx.chunks_exact_mut(unit));
        for (c, ((x, dy), dx)) in units.enumerate() {
            let slope = self.theta[weight + c];
            for ((x, dy), dx) in x.iter().zip(dy).zip(dx) {
                for lane in 0..LANES {
                    dx.0[lane] = if x.0[lane] <= 0.0 { slope * dy.0[lane] } else { dy.0[lane] };
                }
            }
        }
    }
}
