//! Maximum and mean over windows, `[c, h, w] → [c, oh, ow]`; and the padding before convolutions and pools, `[c, h, w] → [c, h + 2p, w + 2q]`.
//!
//! Of several equal maxima the first in row-major order receives the gradient, as in PyTorch.
use crate::architecture::Shape;
use crate::engine::ops::Window;
use crate::engine::vector::{Kernel, LANES, Simd, Vector};

/// Calls `f(output index, index of the window's first input)` for every window.
#[inline(always)]
fn each_window(window: &Window, mut f: impl FnMut(usize, usize)) {
    let ([c, h, w], [_, oh, ow]) = (window.input, window.output);
    for c in 0..c {
        for oy in 0..oh {
            for ox in 0..ow {
                f((c * oh + oy) * ow + ox, (c * h + oy * window.stride[0]) * w + ox * window.stride[1]);
            }
        }
    }
}

pub(in crate::engine) struct MaxForward<'a> {
    pub window: &'a Window,
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for MaxForward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (w, [tall, wide]) = (self.window.input[2], self.window.size);
        each_window(self.window, |to, from| {
            for part in 0..S::PARTS {
                let mut most = S::load(&self.x[from], part);
                for dy in 0..tall {
                    for value in &self.x[from + dy * w..][..wide] {
                        most = most.max(S::load(value, part));
                    }
                }
                most.store(&mut self.y[to], part);
            }
        });
    }
}

pub(in crate::engine) struct MaxBackward<'a> {
    pub window: &'a Window,
    pub x: &'a [Vector],
    pub y: &'a [Vector],
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for MaxBackward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (w, [tall, wide]) = (self.window.input[2], self.window.size);
        self.dx.fill(Vector::ZERO);
        each_window(self.window, |to, from| {
            let (y, mut left) = (self.y[to].0, self.dy[to].0);
            for row in 0..tall {
                for place in from + row * w..from + row * w + wide {
                    let (x, dx) = (&self.x[place].0, &mut self.dx[place].0);
                    for lane in 0..LANES {
                        let here = x[lane] == y[lane];
                        dx[lane] += if here { left[lane] } else { 0.0 };
                        left[lane] = if here { 0.0 } else { left[lane] };
                    }
                }
            }
        });
    }
}

pub(in crate::engine) struct MeanForward<'a> {
    pub window: &'a Window,
    pub x: &'a [Vector],
    pub y: &'a mut [Vector],
}

impl Kernel for MeanForward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (w, [tall, wide]) = (self.window.input[2], self.window.size);
        let share = S::splat(1.0 / (tall * wide) as f32);
        each_window(self.window, |to, from| {
            for part in 0..S::PARTS {
                let mut sum = S::splat(0.0);
                for dy in 0..tall {
                    for value in &self.x[from + dy * w..][..wide] {
                        sum = sum.add(S::load(value, part));
                    }
                }
                sum.mul(share).store(&mut self.y[to], part);
            }
        });
    }
}

pub(in crate::engine) struct MeanBackward<'a> {
    pub window: &'a Window,
    pub dy: &'a [Vector],
    pub dx: &'a mut [Vector],
}

impl Kernel for MeanBackward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (w, [tall, wide]) = (self.window.input[2], self.window.size);
        let share = S::splat(1.0 / (tall * wide) as f32);
        self.dx.fill(Vector::ZERO);
        each_window(self.window, |to, from| {
            for part in 0..S::PARTS {
                let d = S::load(&self.dy[to], part).mul(share);
                for dy in 0..tall {
                    for dx in &mut self.dx[from + dy * w..][..wide] {
                        S::load(dx, part).add(d).store(dx, part);
                    }
                }
            }
        });
    }
}

/// Puts `x` of shape `inner` into the middle of `y`, with `value` around.
pub(in crate::engine) fn pad(inner: Shape, padding: [usize; 2], value: f32, x: &[Vector], y: &mut [Vector]) {
    y.fill(Vector([value; LANES]));
    each_row(inner, padding, |small, large, len| y[large..large + len].copy_from_slice(&x[small..small + len]));
}

/// The middle of `dy`.
pub(in crate::engine) fn crop(inner: Shape, padding: [usize; 2], dy: &[Vector], dx: &mut [Vector]) {
    each_row(inner, padding, |small, large, len| dx[small..small + len].copy_from_slice(&dy[large..large + len]));
}

fn each_row([c, h, w]: Shape, [above, left]: [usize; 2], mut f: impl FnMut(usize, usize, usize)) {
    for c in 0..c {
        for y in 0..h {
            f((c * h + y) * w, (c * (h + 2 * above) + y + above) * (w + 2 * left) + left, w);
        }
    }
}
