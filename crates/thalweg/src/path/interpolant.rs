//! Curves through anchors as fixed linear weights on them (M5; Rohbeck et al. ICLR 2025).
//!
//! The anchors' times are fixed, so the curve at t is Σ_a w_a(t) · anchor_a with weights that do not depend on the anchors:
//! they are computed once per t (they sum to 1, their derivatives to 0), never a spline per weight.
//! Two anchors always give the line; three give the parabola (not-a-knot) or the natural spline. Cubics overshoot where
//! anchors turn sharply in time; `Linear` cannot, but its velocity jumps at anchors.
use crate::{Error, Result};
use faer::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolant {
    /// Straight pieces.
    Linear,
    /// Cubic spline whose first two and last two pieces are one cubic each: exact for cubics.
    #[default]
    CubicNotAKnot,
    /// Cubic spline without curvature at its ends.
    CubicNatural,
}

/// Weights of A anchors at fixed times, as one cubic a piece and anchor.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    times: Vec<f64>,
    /// `[A − 1, 4, A]`: coefficients of 1, τ, τ², τ³ with τ = t − t_piece.
    coefficients: Vec<f64>,
}

impl Basis {
    /// The basis of `interpolant` for anchors at `times [A]`.
    ///
    /// # Errors
    /// Fewer than two times, or times that do not increase strictly.
    pub fn new(interpolant: Interpolant, times: &[f64]) -> Result<Self> {
        let n = times.len();
        if n < 2 || !times.windows(2).all(|w| w[0] < w[1]) || !times.iter().all(|t| t.is_finite()) {
            return Err(Error::parameter("anchor times", "at least two, strictly increasing", format!("{times:?}")));
        }
        let h: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        let bend = curvatures(interpolant, &h);
        let mut coefficients = vec![0.0; (n - 1) * 4 * n];
        for (s, piece) in coefficients.chunks_exact_mut(4 * n).enumerate() {
            for a in 0..n {
                let unit = |i: usize| if i == a { 1.0 } else { 0.0 };
                let (m0, m1) = (bend[(s, a)], bend[(s + 1, a)]);
                piece[a] = unit(s);
                piece[n + a] = (unit(s + 1) - unit(s)) / h[s] - h[s] * (2.0 * m0 + m1) / 6.0;
                piece[2 * n + a] = m0 / 2.0;
                piece[3 * n + a] = (m1 - m0) / (6.0 * h[s]);
            }
        }
        Ok(Self { times: times.to_vec(), coefficients })
    }

    /// The anchors' times `[A]`.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// A: the number of anchors.
    pub fn anchors(&self) -> usize {
        self.times.len()
    }

    /// The piece that holds `t`: its index, its start and its length.
    pub fn piece(&self, t: f64) -> (usize, f64, f64) {
        let s = self.times[1..self.times.len() - 1].partition_point(|&start| start <= t);
        (s, self.times[s], self.times[s + 1] - self.times[s])
    }

    /// Weights w `[A]` of the curve at `t` and their derivatives ẇ `[A]`.
    pub fn weights(&self, t: f64) -> (Vec<f64>, Vec<f64>) {
        let n = self.anchors();
        let (s, start, _) = self.piece(t);
        let c = &self.coefficients[s * 4 * n..(s + 1) * 4 * n];
        let tau = t - start;
        let value = |a: usize| ((c[3 * n + a] * tau + c[2 * n + a]) * tau + c[n + a]) * tau + c[a];
        let slope = |a: usize| (3.0 * c[3 * n + a] * tau + 2.0 * c[2 * n + a]) * tau + c[n + a];
        ((0..n).map(value).collect(), (0..n).map(slope).collect())
    }
}

/// Second derivatives at the anchors as linear maps of the anchors `[A, A]`, for pieces of lengths `h [A − 1]`.
fn curvatures(interpolant: Interpolant, h: &[f64]) -> Mat<f64> {
    let n = h.len() + 1;
    if interpolant == Interpolant::Linear || n == 2 {
        return Mat::zeros(n, n);
    }
    let (mut system, mut right) = (Mat::<f64>::zeros(n, n), Mat::<f64>::zeros(n, n));
    for i in 1..n - 1 {
        // The slope is continuous at anchor i.
        system[(i, i - 1)] = h[i - 1];
        system[(i, i)] = 2.0 * (h[i - 1] + h[i]);
        system[(i, i + 1)] = h[i];
        right[(i, i - 1)] = 6.0 / h[i - 1];
        right[(i, i)] = -6.0 / h[i - 1] - 6.0 / h[i];
        right[(i, i + 1)] = 6.0 / h[i];
    }
    match (interpolant, n) {
        (Interpolant::CubicNotAKnot, 3) => {
            // Both end conditions coincide; the parabola is the curve that satisfies them.
            for (row, other) in [(0, 1), (2, 1)] {
                (system[(row, row)], system[(row, other)]) = (1.0, -1.0);
            }
        }
        (Interpolant::CubicNotAKnot, _) => {
            for (row, [i, j, k], [p, q]) in
                [(0, [0, 1, 2], [h[0], h[1]]), (n - 1, [n - 1, n - 2, n - 3], [h[n - 2], h[n - 3]])]
            {
                // The third derivative is continuous at the anchor next to the end.
                (system[(row, i)], system[(row, j)], system[(row, k)]) = (q, -(p + q), p);
            }
        }
        _ => (system[(0, 0)], system[(n - 1, n - 1)]) = (1.0, 1.0),
    }
    system.partial_piv_lu().solve(&right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Interpolant; 3] = [Interpolant::Linear, Interpolant::CubicNotAKnot, Interpolant::CubicNatural];

    fn at(basis: &Basis, t: f64, f: impl Fn(f64) -> f64) -> (f64, f64) {
        let (w, dw) = basis.weights(t);
        let sum = |w: &[f64]| w.iter().zip(basis.times()).map(|(w, &t)| w * f(t)).sum();
        (sum(&w), sum(&dw))
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_hit_the_anchors_and_differentiate(
            gaps in prop::collection::vec(0.1f64..1.0, 1..9), place in 0.0f64..1.0
        ) {
            let times: Vec<f64> = std::iter::once(0.0).chain(gaps.iter().scan(0.0, |t, g| { *t += g; Some(*t) })).collect();
            let (end, h) = (times[times.len() - 1], 1e-6);
            for kind in KINDS {
                let basis = Basis::new(kind, &times).unwrap();
                let t = h + place * (end - 2.0 * h);
                let (w, dw) = basis.weights(t);
                prop_assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-10);
                prop_assert!(dw.iter().sum::<f64>().abs() < 1e-8);
                for (a, &t) in times.iter().enumerate() {
                    let (w, _) = basis.weights(t);
                    prop_assert!(w.iter().enumerate().all(|(b, w)| (w - f64::from(u8::from(a == b))).abs() < 1e-9));
                }
                let (_, start, length) = basis.piece(t);
                if kind != Interpolant::Linear || (t - start > h && start + length - t > h) {
                    let (before, after) = (basis.weights(t - h).0, basis.weights(t + h).0);
                    for a in 0..times.len() {
                        prop_assert!(((after[a] - before[a]) / (2.0 * h) - dw[a]).abs() < 1e-3 * (1.0 + dw[a].abs()));
                    }
                }
            }
        }
    }

    #[test]
    fn polynomials_are_reproduced() {
        let times = [0.0, 0.15, 0.4, 0.5, 0.8, 1.0];
        let cubic = |t: f64| 2.0 - t + 3.0 * t * t - 4.0 * t * t * t;
        let slope = |t: f64| -1.0 + 6.0 * t - 12.0 * t * t;
        let cases: [(Interpolant, usize, [f64; 4]); 5] = [
            (Interpolant::CubicNotAKnot, 6, [2.0, -1.0, 3.0, -4.0]),
            (Interpolant::CubicNotAKnot, 4, [2.0, -1.0, 3.0, -4.0]),
            (Interpolant::CubicNotAKnot, 3, [2.0, -1.0, 3.0, 0.0]),
            (Interpolant::CubicNotAKnot, 2, [2.0, -1.0, 0.0, 0.0]),
            (Interpolant::CubicNatural, 6, [2.0, -1.0, 0.0, 0.0]),
        ];
        assert!((cubic(0.5) - 1.75).abs() < 1e-12 && (slope(0.5) + 1.0).abs() < 1e-12);
        for (kind, n, [a, b, c, d]) in cases {
            let basis = Basis::new(kind, &times[..n]).unwrap();
            for i in 0..=50 {
                let t = times[n - 1] * f64::from(i) / 50.0;
                let (value, derivative) = at(&basis, t, |t| a + b * t + c * t * t + d * t * t * t);
                assert!((value - (a + b * t + c * t * t + d * t * t * t)).abs() < 1e-12, "{kind:?} {n} {t}");
                assert!((derivative - (b + 2.0 * c * t + 3.0 * d * t * t)).abs() < 1e-11, "{kind:?} {n} {t}");
            }
        }
    }

    #[test]
    fn splines_equal_scipy() {
        // scipy 1.17.1: CubicSpline([0, .2, .5, .6, 1], [1, -1, 2, 0, 3], bc_type=…)([.1, .35, .55, .9]).
        let (times, values) = ([0.0, 0.2, 0.5, 0.6, 1.0], [1.0, -1.0, 2.0, 0.0, 3.0]);
        let value = |basis: &Basis, t| basis.weights(t).0.iter().zip(values).map(|(w, v)| w * v).sum::<f64>();
        for (kind, expected) in [(Interpolant::CubicNotAKnot, NOT_A_KNOT), (Interpolant::CubicNatural, NATURAL)] {
            let basis = Basis::new(kind, &times).unwrap();
            for (t, expected) in [0.1, 0.35, 0.55, 0.9].into_iter().zip(expected) {
                assert!((value(&basis, t) - expected).abs() < 1e-9, "{kind:?} {t}: {} {expected}", value(&basis, t));
            }
        }
    }
    const NOT_A_KNOT: [f64; 4] = [-1.25384615385, 1.28100961538, 1.21081730769, -3.11538461538];
    const NATURAL: [f64; 4] = [-0.549107142857, 1.1328125, 1.08370535714, 1.01116071429];

    #[test]
    fn times_must_increase() {
        for times in [&[0.0][..], &[0.0, 0.5, 0.5], &[0.0, f64::NAN]] {
            assert!(Basis::new(Interpolant::Linear, times).is_err());
        }
    }
}
