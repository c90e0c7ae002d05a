//! A library of potential energies V: ℝᵈ → ℝ with their exact gradients: the ground truth that trajectory inference is tested on (M1, M6, M7).
//!
//! Points are flat slices `[n, d]`. [`Energy::flow`] moves them along dx/dt = −∇V, which makes their laws a gradient flow (M1) with
//! known drift, and [`Energy::langevin`] adds noise. Everything is in f64, since truth should not be the thing that rounds.
use crate::{Error, Result, Streams};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::PI;

/// A potential with a known gradient. Formulas stand at [`Energy::value`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are the constants of the formulas")]
pub enum Energy {
    /// ½ Σ aᵢ (xᵢ − mᵢ)²: its flow and Ornstein–Uhlenbeck marginals are known in closed form.
    Quadratic { stiffness: Vec<f64>, centre: Vec<f64> },
    /// Σ (xᵢ² − 1)² / 4: wells at every corner of {−1, 1}ᵈ.
    DoubleWell,
    /// Σ (xᵢ⁴ − 16 xᵢ² + 5 xᵢ) / 20.
    StyblinskiTang,
    /// Σ (1 − xᵢ)² + b (xᵢ₊₁ − xᵢ²)²: a curved valley; d ≥ 2.
    Rosenbrock { b: f64 },
    /// (‖x‖² − r²)² / (4 r²): a circle of minima.
    Ring { radius: f64 },
    /// Σ xᵢ² + A (1 − cos 2πxᵢ): a bowl with ripples.
    Rastrigin { ripple: f64 },
    /// Σ xᵢ² + 2xᵢ₊₁² − 0.3 cos 3πxᵢ − 0.4 cos 4πxᵢ₊₁ + 0.7; d ≥ 2.
    Bohachevsky,
    /// −s² log Σₖ exp(−‖x − mₖ‖² / 2s²) over n centres on a circle of the given radius in the first two coordinates; d ≥ 2.
    Flower { petals: usize, radius: f64, width: f64 },
    /// Σ log cosh xᵢ: quadratic inside, linear outside.
    LogCosh,
    /// Σ cos πxᵢ + xᵢ⁴/2 − 3xᵢ² + 1, over 4.
    WavyPlateau,
    /// 2x² − 1.05x⁴ + x⁶/6 + xy + y²; d = 2 only.
    ThreeHumpCamel,
    /// ((x² + y − 11)² + (x + y² − 7)²) / 40, Himmelblau's four valleys; d = 2 only.
    Himmelblau,
}

impl Energy {
    /// One of each kind in dimension `d`, with constants of order one; those that need two dimensions only for `d == 2`.
    pub fn library(d: usize) -> Vec<Energy> {
        let mut all = vec![
            Energy::Quadratic {
                stiffness: (0..d).map(|i| 0.5 + i as f64 / d as f64).collect(),
                centre: (0..d).map(|i| (i as f64).sin()).collect(),
            },
            Energy::DoubleWell,
            Energy::StyblinskiTang,
            Energy::Ring { radius: 1.5 },
            Energy::Rastrigin { ripple: 0.2 },
            Energy::LogCosh,
            Energy::WavyPlateau,
        ];
        if d >= 2 {
            all.extend([
                Energy::Rosenbrock { b: 0.5 },
                Energy::Bohachevsky,
                Energy::Flower { petals: 5, radius: 2.0, width: 0.6 },
            ]);
        }
        if d == 2 {
            all.extend([Energy::ThreeHumpCamel, Energy::Himmelblau]);
        }
        all
    }

    /// Whether the formula makes sense in dimension `d`.
    ///
    /// # Errors
    /// Names the dimensions that do.
    pub fn check(&self, d: usize) -> Result<()> {
        let (fits, expected) = match self {
            Energy::Quadratic { stiffness, centre } => (
                stiffness.len() == d && centre.len() == d,
                format!("the length of stiffness and centre, {} and {}", stiffness.len(), centre.len()),
            ),
            Energy::Rosenbrock { .. } | Energy::Bohachevsky | Energy::Flower { .. } => (d >= 2, "at least 2".into()),
            Energy::ThreeHumpCamel | Energy::Himmelblau => (d == 2, "2".into()),
            _ => (d >= 1, "at least 1".into()),
        };
        if fits { Ok(()) } else { Err(Error::parameter("energy dimension", expected, d)) }
    }

    /// V(x) at one point `[d]`.
    pub fn value(&self, x: &[f64]) -> f64 {
        let sum = |f: &dyn Fn(f64) -> f64| x.iter().map(|&v| f(v)).sum::<f64>();
        let pairs = |f: &dyn Fn(f64, f64) -> f64| x.windows(2).map(|w| f(w[0], w[1])).sum::<f64>();
        match self {
            Energy::Quadratic { stiffness, centre } => {
                x.iter().zip(stiffness).zip(centre).map(|((x, a), m)| 0.5 * a * (x - m).powi(2)).sum()
            }
            Energy::DoubleWell => sum(&|v| (v * v - 1.0).powi(2) / 4.0),
            Energy::StyblinskiTang => sum(&|v| (v.powi(4) - 16.0 * v * v + 5.0 * v) / 20.0),
            Energy::Rosenbrock { b } => pairs(&|u, v| (1.0 - u).powi(2) + b * (v - u * u).powi(2)),
            Energy::Ring { radius } => (sum(&|v| v * v) - radius * radius).powi(2) / (4.0 * radius * radius),
            Energy::Rastrigin { ripple } => sum(&|v| v * v + ripple * (1.0 - (2.0 * PI * v).cos())),
            Energy::Bohachevsky => {
                pairs(&|u, v| u * u + 2.0 * v * v - 0.3 * (3.0 * PI * u).cos() - 0.4 * (4.0 * PI * v).cos() + 0.7)
            }
            Energy::Flower { width, .. } => {
                let exponents = self.petal_exponents(x);
                let top = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                -width * width * (top + exponents.iter().map(|e| (e - top).exp()).sum::<f64>().ln())
            }
            Energy::LogCosh => sum(&|v| v.abs() + (-2.0 * v.abs()).exp().ln_1p() - std::f64::consts::LN_2),
            Energy::WavyPlateau => sum(&|v| ((PI * v).cos() + 0.5 * v.powi(4) - 3.0 * v * v + 1.0) / 4.0),
            Energy::ThreeHumpCamel => {
                let (u, v) = (x[0], x[1]);
                2.0 * u * u - 1.05 * u.powi(4) + u.powi(6) / 6.0 + u * v + v * v
            }
            Energy::Himmelblau => {
                let (u, v) = (x[0], x[1]);
                ((u * u + v - 11.0).powi(2) + (u + v * v - 7.0).powi(2)) / 40.0
            }
        }
    }

    /// ∇V(x) at one point, into `out [d]`.
    pub fn gradient(&self, x: &[f64], out: &mut [f64]) {
        let each = |out: &mut [f64], f: &dyn Fn(f64) -> f64| out.iter_mut().zip(x).for_each(|(o, &v)| *o = f(v));
        match self {
            Energy::Quadratic { stiffness, centre } => {
                for i in 0..x.len() {
                    out[i] = stiffness[i] * (x[i] - centre[i]);
                }
            }
            Energy::DoubleWell => each(out, &|v| v * (v * v - 1.0)),
            Energy::StyblinskiTang => each(out, &|v| (4.0 * v.powi(3) - 32.0 * v + 5.0) / 20.0),
            Energy::Rosenbrock { b } => add_pairs(x, out, |u, v| {
                let r = v - u * u;
                (-2.0 * (1.0 - u) - 4.0 * b * u * r, 2.0 * b * r)
            }),
            Energy::Ring { radius } => {
                let factor = (x.iter().map(|v| v * v).sum::<f64>() - radius * radius) / (radius * radius);
                each(out, &|v| factor * v);
            }
            Energy::Rastrigin { ripple } => each(out, &|v| 2.0 * v + 2.0 * PI * ripple * (2.0 * PI * v).sin()),
            Energy::Bohachevsky => add_pairs(x, out, |u, v| {
                (2.0 * u + 0.9 * PI * (3.0 * PI * u).sin(), 4.0 * v + 1.6 * PI * (4.0 * PI * v).sin())
            }),
            Energy::Flower { petals, radius, .. } => {
                let exponents = self.petal_exponents(x);
                let top = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = exponents.iter().map(|e| (e - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                out.copy_from_slice(x);
                for (k, w) in weights.iter().enumerate() {
                    let angle = 2.0 * PI * k as f64 / *petals as f64;
                    out[0] -= w / total * radius * angle.cos();
                    out[1] -= w / total * radius * angle.sin();
                }
            }
            Energy::LogCosh => each(out, &f64::tanh),
            Energy::WavyPlateau => each(out, &|v| (-PI * (PI * v).sin() + 2.0 * v.powi(3) - 6.0 * v) / 4.0),
            Energy::ThreeHumpCamel => {
                let (u, v) = (x[0], x[1]);
                out[0] = 4.0 * u - 4.2 * u.powi(3) + u.powi(5) + v;
                out[1] = u + 2.0 * v;
            }
            Energy::Himmelblau => {
                let (u, v) = (x[0], x[1]);
                let (p, q) = (u * u + v - 11.0, u + v * v - 7.0);
                out[0] = (4.0 * u * p + 2.0 * q) / 40.0;
                out[1] = (2.0 * p + 4.0 * v * q) / 40.0;
            }
        }
    }

    /// −‖x − mₖ‖² / 2s² of every petal.
    fn petal_exponents(&self, x: &[f64]) -> Vec<f64> {
        let Energy::Flower { petals, radius, width } = self else { return Vec::new() };
        let rest: f64 = x[2..].iter().map(|v| v * v).sum();
        (0..*petals)
            .map(|k| {
                let angle = 2.0 * PI * k as f64 / *petals as f64;
                let d = (x[0] - radius * angle.cos()).powi(2) + (x[1] - radius * angle.sin()).powi(2) + rest;
                -d / (2.0 * width * width)
            })
            .collect()
    }

    /// Moves every point of `x [n, d]` along dx/dt = −∇V for `duration` by classical Runge–Kutta in `steps` steps.
    pub fn flow(&self, x: &mut [f64], d: usize, duration: f64, steps: usize) {
        let h = duration / steps as f64;
        let (mut k, mut y, mut total) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
        for point in x.chunks_exact_mut(d) {
            for _ in 0..steps {
                total.fill(0.0);
                k.fill(0.0);
                for (advance, weight) in [(0.0, 1.0), (0.5, 2.0), (0.5, 2.0), (1.0, 1.0)] {
                    for i in 0..d {
                        y[i] = point[i] - advance * h * k[i];
                    }
                    self.gradient(&y, &mut k);
                    for i in 0..d {
                        total[i] += weight * k[i];
                    }
                }
                for i in 0..d {
                    point[i] -= h / 6.0 * total[i];
                }
            }
        }
    }

    /// Moves every point of `x [n, d]` by dX = −∇V dt + √(2β) dB for `duration` in `steps` Euler–Maruyama steps; point i has its own stream.
    pub fn langevin(&self, x: &mut [f64], d: usize, beta: f64, duration: f64, steps: usize, streams: &Streams) {
        let h = duration / steps as f64;
        let mut g = vec![0.0; d];
        for (i, point) in x.chunks_exact_mut(d).enumerate() {
            let mut rng = streams.index(i as u64).rng();
            for _ in 0..steps {
                self.gradient(point, &mut g);
                for (v, g) in point.iter_mut().zip(&g) {
                    *v += -h * g + (2.0 * beta * h).sqrt() * rng.sample::<f64, _>(StandardNormal);
                }
            }
        }
    }
}

/// Sums the two partial derivatives of a term over every pair of neighbouring coordinates.
fn add_pairs(x: &[f64], out: &mut [f64], partials: impl Fn(f64, f64) -> (f64, f64)) {
    out.fill(0.0);
    for i in 0..x.len() - 1 {
        let (du, dv) = partials(x[i], x[i + 1]);
        out[i] += du;
        out[i + 1] += dv;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::testing::derivative;

    fn point(d: usize, i: u64) -> Vec<f64> {
        let mut rng = Streams::new(5).child("energy").index(i).rng();
        (0..d).map(|_| 1.3 * rng.sample::<f64, _>(StandardNormal)).collect()
    }

    #[test]
    fn gradients_are_those_of_the_values() {
        for d in [1, 2, 5] {
            for energy in Energy::library(d) {
                energy.check(d).unwrap();
                for i in 0..10 {
                    let x = point(d, i);
                    let mut g = vec![0.0; d];
                    energy.gradient(&x, &mut g);
                    for j in 0..d {
                        let mut moved = x.clone();
                        let slope = derivative(x[j], 1e-5, |v| {
                            moved[j] = v;
                            energy.value(&moved)
                        });
                        assert!(
                            (slope - g[j]).abs() < 1e-6 * (1.0 + slope.abs()),
                            "{energy:?} d{j} at {x:?}: {slope} {}",
                            g[j]
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn minima_are_where_and_as_deep_as_they_are_published() {
        let closed: [(Energy, &[[f64; 2]], f64); 11] = [
            (Energy::Quadratic { stiffness: vec![0.5, 2.0], centre: vec![1.0, -3.0] }, &[[1.0, -3.0]], 0.0),
            (Energy::DoubleWell, &[[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], 0.0),
            // Styblinski and Tang: −39.16617 a coordinate over 2, here over 20.
            (Energy::StyblinskiTang, &[[-2.903_534_03, -2.903_534_03]], -39.166_165_70 * 2.0 / 10.0),
            (Energy::Rosenbrock { b: 0.5 }, &[[1.0, 1.0]], 0.0),
            (Energy::Ring { radius: 1.5 }, &[[1.5, 0.0], [-0.9, 1.2]], 0.0),
            (Energy::Rastrigin { ripple: 0.2 }, &[[0.0, 0.0]], 0.0),
            (Energy::Bohachevsky, &[[0.0, 0.0]], 0.0),
            (Energy::LogCosh, &[[0.0, 0.0]], 0.0),
            (Energy::ThreeHumpCamel, &[[0.0, 0.0]], 0.0),
            (
                Energy::Himmelblau,
                &[
                    [3.0, 2.0],
                    [-2.805_118_09, 3.131_312_52],
                    [-3.779_310_25, -3.283_185_99],
                    [3.584_428_34, -1.848_126_53],
                ],
                0.0,
            ),
            // One petal is a Gaussian well: −s² log exp(0) = 0 at its centre.
            (Energy::Flower { petals: 1, radius: 2.0, width: 0.6 }, &[[2.0, 0.0]], 0.0),
        ];
        for (energy, minima, depth) in closed {
            for x in minima {
                let mut g = [0.0; 2];
                energy.gradient(x, &mut g);
                let value = energy.value(x);
                assert!((value - depth).abs() < 1e-6, "{energy:?} at {x:?}: {value}");
                assert!(g.iter().all(|g| g.abs() < 1e-5), "{energy:?} at {x:?}: {g:?}");
                // No neighbour lies deeper.
                for i in 0..16 {
                    let (s, c) = (f64::from(i) * PI / 8.0).sin_cos();
                    assert!(energy.value(&[x[0] + 0.05 * c, x[1] + 0.05 * s]) > value - 1e-9, "{energy:?} at {x:?}");
                }
            }
        }
    }

    #[test]
    fn wrong_dimensions_are_refused() {
        let message = Energy::Himmelblau.check(3).unwrap_err().to_string();
        assert!(message.contains("expected 2, found 3"), "{message}");
    }

    #[test]
    fn flows_descend_and_match_the_closed_form_of_the_quadratic() {
        let (a, m) = (vec![0.7, 2.0], vec![1.0, -1.0]);
        let energy = Energy::Quadratic { stiffness: a.clone(), centre: m.clone() };
        let mut x = vec![3.0, 4.0];
        energy.flow(&mut x, 2, 0.8, 40);
        for i in 0..2 {
            let exact = m[i] + ([3.0, 4.0][i] - m[i]) * (-a[i] * 0.8).exp();
            assert!((x[i] - exact).abs() < 1e-7);
        }
        for energy in Energy::library(2) {
            let mut x = point(2, 3);
            let before = energy.value(&x);
            energy.flow(&mut x, 2, 0.5, 200);
            assert!(energy.value(&x) <= before + 1e-9, "{energy:?}");
        }
    }

    #[test]
    fn langevin_of_a_quadratic_is_ornstein_uhlenbeck() {
        let energy = Energy::Quadratic { stiffness: vec![1.0], centre: vec![0.0] };
        let mut x = vec![2.0; 20_000];
        energy.langevin(&mut x, 1, 0.5, 1.0, 200, &Streams::new(1));
        let mean = x.iter().sum::<f64>() / 2e4;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2e4;
        // Law at time 1: mean 2e⁻¹, variance β(1 − e⁻²); Euler–Maruyama's bias at h = 0.005 is below the tolerance.
        assert!((mean - 2.0 * (-1f64).exp()).abs() < 0.02, "{mean}");
        assert!((variance - 0.5 * (1.0 - (-2f64).exp())).abs() < 0.02, "{variance}");
    }
}
