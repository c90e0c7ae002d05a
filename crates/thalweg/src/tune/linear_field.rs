//! A field for tests: the closed-form velocity between two Gaussians (M4) plus a trainable A(t) x + b(t), piecewise linear in t.
use crate::Layout;
use crate::field::Field;
use crate::method::FlowMatching;
use crate::nn::gradient::Gradient;
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;

/// v = v*(x, t) + A(t) x + b(t).
#[derive(Clone)]
pub struct LinearField {
    /// Mean and deviation of the source, `[P]` each.
    pub start: [Vec<f32>; 2],
    /// Mean and deviation of the target, `[P]` each.
    pub target: [Vec<f32>; 2],
    knots: usize,
    parameters: Vec<f32>,
    layout: Layout,
}

/// A method whose field this is.
pub fn method(field: impl Field + 'static) -> FlowMatching {
    FlowMatching::from_gaussian(Box::new(field)).unwrap()
}

impl LinearField {
    /// Between N(m₀, s₀²) and N(m, s²) with independent coupling, as `[mean, deviation]`; `pieces` in time.
    pub fn between(start: [&[f32]; 2], target: [&[f32]; 2], pieces: usize) -> Self {
        let (p, knots) = (start[0].len(), pieces + 1);
        let layout = Layout::of_tensors([("linear".to_string(), vec![knots, p, p + 1])]);
        let parameters = vec![0.0; knots * p * (p + 1)];
        Self { start: start.map(<[f32]>::to_vec), target: target.map(<[f32]>::to_vec), knots, parameters, layout }
    }

    /// m and κ of v* = m + κ (x − c) in coordinate i at t.
    fn truth(&self, i: usize, t: f32) -> [f32; 3] {
        let ([m0, s0], [m, s]) = (self.start.each_ref().map(|v| v[i]), self.target.each_ref().map(|v| v[i]));
        let (a, b) = ((1.0 - t) * s0 * s0, t * s * s);
        [m - m0, (b - a) / ((1.0 - t) * a + t * b), (1.0 - t) * m0 + t * m]
    }

    /// The two knots around t with their weights.
    fn hats(&self, t: f32) -> [(usize, f32); 2] {
        let at = (t * (self.knots - 1) as f32).clamp(0.0, (self.knots - 1) as f32);
        let low = (at as usize).min(self.knots - 2);
        [(low, 1.0 - (at - low as f32)), (low + 1, at - low as f32)]
    }

    /// The trainable row i: weights of x, then the constant.
    fn row(&self, knot: usize, i: usize) -> std::ops::Range<usize> {
        let wide = self.dimension() + 1;
        let first = (knot * self.dimension() + i) * wide;
        first..first + wide
    }
}

impl_parameters!(LinearField);

impl Field for LinearField {
    fn dimension(&self) -> usize {
        self.start[0].len()
    }

    fn context(&self) -> usize {
        0
    }

    fn velocity(&self, x: &[f32], t: &[f32], _: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        let p = self.dimension();
        *tape.of::<(Vec<f32>, Vec<f32>)>() = (x.to_vec(), t.to_vec());
        for ((x, &t), out) in x.chunks_exact(p).zip(t).zip(out.chunks_exact_mut(p)) {
            for (i, out) in out.iter_mut().enumerate() {
                let [m, k, c] = self.truth(i, t);
                *out = m + k * (x[i] - c);
                for (knot, weight) in self.hats(t) {
                    let row = &self.parameters[self.row(knot, i)];
                    *out += weight * (row[p] + row.iter().zip(x).map(|(a, x)| a * x).sum::<f32>());
                }
            }
        }
    }

    fn backward(&self, dv: &[f32], tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
        let p = self.dimension();
        let (xs, ts) = tape.of::<(Vec<f32>, Vec<f32>)>();
        if let Gradient::Write(gradient) = gradient {
            gradient.fill(0.0);
            for ((x, &t), dv) in xs.chunks_exact(p).zip(&*ts).zip(dv.chunks_exact(p)) {
                for (i, dv) in dv.iter().enumerate() {
                    for (knot, weight) in self.hats(t) {
                        let row = &mut gradient[self.row(knot, i)];
                        row.iter_mut().zip(x.iter().chain([&1.0])).for_each(|(g, x)| *g += dv * weight * x);
                    }
                }
            }
        }
        if let Some(dx) = dx {
            dx.fill(0.0);
            for ((&t, dv), dx) in ts.iter().zip(dv.chunks_exact(p)).zip(dx.chunks_exact_mut(p)) {
                for (i, dv) in dv.iter().enumerate() {
                    dx[i] += dv * self.truth(i, t)[1];
                    for (knot, weight) in self.hats(t) {
                        let row = &self.parameters[self.row(knot, i)];
                        dx.iter_mut().zip(row).for_each(|(dx, a)| *dx += dv * weight * a);
                    }
                }
            }
        }
    }
}
