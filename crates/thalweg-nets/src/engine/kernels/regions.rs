//! Means over rectangles that may overlap and differ in size, `[c, h, w] → [c, oh, ow]`: adaptive pools, and pools that leave padding out.
use crate::engine::ops::Regions;
use crate::engine::vector::{Kernel, Simd, Vector};

/// Calls `f(output index, index of the first input, height, width)` for every rectangle.
#[inline(always)]
fn each(regions: &Regions, mut f: impl FnMut(usize, usize, usize, usize)) {
    let ([c, h, w], [_, oh, ow]) = (regions.input, regions.output);
    for c in 0..c {
        for oy in 0..oh {
            let (top, bottom) = regions.range(0, oy);
            for ox in 0..ow {
                let (left, right) = regions.range(1, ox);
                f((c * oh + oy) * ow + ox, (c * h + top) * w + left, bottom - top, right - left);
            }
        }
    }
}

pub(in crate::engine) struct Forward<'a> {
    pub regions: &'a Regions,
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let w = self.regions.input[2];
        each(self.regions, |to, from, height, width| {
            let share = S::splat(1.0 / (height * width) as f32);
            for part in 0..S::PARTS {
                let mut sum = S::splat(0.0);
                for row in 0..height {
                    for value in &self.x[from + row * w..][..width] {
                        sum = sum.add(S::load(value, part));
                    }
                }
                sum.mul(share).store(&mut self.y[to], part);
            }
        });
    }
}

pub(in crate::engine) struct Backward<'a> {
    pub regions: &'a Regions,
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let w = self.regions.input[2];
        self.dx.fill(Vector::ZERO);
        each(self.regions, |to, from, height, width| {
            let share = S::splat(1.0 / (height * width) as f32);
            for part in 0..S::PARTS {
                let d = S::load(&self.dy[to], part).mul(share);
                for row in 0..height {
                    for dx in &mut self.dx[from + row * w..][..width] {
                        S::load(dx, part).add(d).store(dx, part);
                    }
                }
            }
        });
    }
}
