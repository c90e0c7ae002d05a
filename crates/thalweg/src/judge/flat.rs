//! Noise that a network hardly feels: the rival that a measure of novelty in weights alone takes for new.
//!
//! About a network θ the softmax changes by ½ δᵀ F δ in Kullback–Leibler divergence, F = mean over inputs of Jᵀ (diag p − p pᵀ) J the generalised
//! Gauss–Newton matrix (Martens 2020). With S the zoo's deviation of each weight, noise is drawn from N(0, S (I + κ S F S)⁻¹ S), a Laplace
//! approximation whose prior is the zoo's spread, and scaled to the length that is asked for. F is taken from sketches g = Jᵀ (diag p − p pᵀ)^{1/2} s with
//! signs s, one gradient each, E g gᵀ = F: at most 512, fewer for large networks, so that the eigendecomposition of their Gram matrix stays cheap.
//! Inputs need no labels.
use super::evaluator::Evaluator;
use crate::nn::dense::{Accumulate, View, product, sequential, view};
use crate::{Error, Result, Streams};
use faer::{Mat, MatMut, Side};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use thalweg_nets::loss::softmax;

/// κ: directions are left out from a divergence of 1e-6 a squared deviation of the zoo on.
const STIFFNESS: f64 = 1e6;
/// Most sketches.
const SKETCHES: usize = 512;
/// Most multiplications of the Gram matrix of the sketches.
const WORK: usize = 10_000_000_000;

/// The law of the noise about one network.
pub(super) struct FlatNoise<'a> {
    deviation: &'a [f64], // [P]
    sketches: Vec<f32>,   // G S [M, P]
    damping: Mat<f32>,    // Σ_k (1/√(1 + κ λ_k) − 1)/(M λ_k) u_k u_kᵀ [M, M]
}

impl<'a> FlatNoise<'a> {
    /// About `theta [P]`, for a zoo whose weights have `deviation [P]`, by the probe inputs of `probe`.
    ///
    /// # Errors
    /// No probe inputs; sketches that are not finite; [`Error::Interrupted`].
    pub fn about(theta: &[f32], deviation: &'a [f64], probe: &dyn Evaluator, streams: &Streams) -> Result<Self> {
        let p = theta.len();
        let m = SKETCHES.min((WORK / p.max(1)).isqrt()).max(1);
        let sketches = sketches(theta, deviation, probe, m, streams)?;
        let mut gram = vec![0.0; m * m];
        let g = view(&sketches, m, p);
        product(&mut gram, Accumulate::Overwrite, g, g.transpose());
        if let Some(i) = gram.iter().position(|v| !v.is_finite()) {
            let place = format!("sketch {}", i / m);
            return Err(Error::NotFinite { what: "gradient".into(), place, value: f64::from(gram[i]) });
        }
        let gram = Mat::from_fn(m, m, |i, j| f64::from(gram[i * m + j]) / m as f64);
        let eigen = gram
            .self_adjoint_eigen(Side::Lower)
            .map_err(|e| Error::parameter("sketches", "an eigendecomposition", format!("{e:?}")))?;
        let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
        let least = 1e-7 * values.iter().copied().fold(0.0, f64::max);
        let factor = |k: usize| match values[k] {
            value if value > least => ((1.0 + STIFFNESS * value).sqrt().recip() - 1.0) / (m as f64 * value),
            _ => 0.0,
        };
        let scaled = Mat::from_fn(m, m, |i, k| eigen.U()[(i, k)] * factor(k));
        let damping = &scaled * eigen.U().transpose();
        let damping = Mat::from_fn(m, m, |i, j| damping[(i, j)] as f32);
        Ok(Self { deviation, sketches, damping })
    }

    /// Noise `[P]` of length `length`.
    pub fn draw(&self, length: f64, streams: &Streams) -> Vec<f32> {
        let (p, m) = (self.deviation.len(), self.damping.nrows());
        let mut rng = streams.rng();
        let mut noise: Vec<f32> = (0..p).map(|_| rng.sample(StandardNormal)).collect();
        let g = view(&self.sketches, m, p);
        let (mut felt, mut damped, mut change) = (vec![0.0; m], vec![0.0; m], vec![0.0; p]);
        let times = |out: &mut Vec<f32>, left: View<'_>, x: &[f32]| {
            let out = MatMut::from_row_major_slice_mut(out, left.nrows(), 1);
            sequential(out, Accumulate::Overwrite, left, view(x, left.ncols(), 1), 1.0);
        };
        times(&mut felt, g, &noise);
        times(&mut damped, self.damping.as_ref(), &felt);
        times(&mut change, g.transpose(), &damped);
        noise.iter_mut().zip(&change).for_each(|(e, c)| *e += c);
        noise.iter_mut().zip(self.deviation).for_each(|(e, s)| *e *= *s as f32);
        let own = noise.iter().map(|e| f64::from(*e) * f64::from(*e)).sum::<f64>().sqrt();
        if own > 0.0 {
            noise.iter_mut().for_each(|e| *e *= (length / own) as f32);
        }
        noise
    }
}

/// Sketches of F^{1/2}, scaled by the deviations `[M, P]`: sketch k at probe input k modulo N.
fn sketches(theta: &[f32], deviation: &[f64], probe: &dyn Evaluator, m: usize, streams: &Streams) -> Result<Vec<f32>> {
    let (p, n, classes) = (theta.len(), probe.probes(), probe.classes());
    if n == 0 {
        return Err(Error::shape("probe", "[N, D] with N at least 1", "[0]"));
    }
    let signs = |k: usize| {
        let mut rng = streams.index(k as u64).rng();
        (0..classes).map(|_| if rng.random::<bool>() { 1.0 } else { -1.0 }).collect::<Vec<f32>>()
    };
    let rows: Vec<usize> = (0..m).map(|k| k % n).collect();
    let mut sketches = probe.pulled_back(theta, &rows, &|k, logits, d| root_times(&signs(k), logits, d))?;
    sketches.par_chunks_exact_mut(p.max(1)).for_each(|sketch| {
        sketch.iter_mut().zip(deviation).for_each(|(g, s)| *g *= *s as f32);
    });
    Ok(sketches)
}

/// (diag p − p pᵀ)^{1/2} s = √p ⊙ s − p (√p · s), written over `d`, p the softmax of the logits.
fn root_times(signs: &[f32], logits: &[f32], d: &mut [f32]) {
    softmax(logits, d);
    d.iter_mut().for_each(|p| *p = p.sqrt());
    let along: f32 = d.iter().zip(signs).map(|(r, s)| r * s).sum();
    d.iter_mut().zip(signs).for_each(|(r, s)| *r = *r * s - *r * *r * along);
}

#[cfg(test)]
mod tests {
    use super::super::evaluator::ByEngine;
    use super::*;
    use thalweg_nets::Architecture;
    use thalweg_nets::engine::Engine;
    use thalweg_nets::testing::normals;

    #[test]
    fn sketches_have_the_generalised_gauss_newton_matrix_in_the_mean() {
        // A linear classifier of one input: J is the input for each class, so F = (diag p − p pᵀ) ⊗ x xᵀ.
        let text = "input = [2, 1, 1]\n[[layers]]\nkind = \"dense\"\nout = 3\nbias = false\n";
        let engine = Engine::new(&Architecture::from_toml_str(text).unwrap()).unwrap();
        let (theta, x) = ([0.3, -0.2, 0.1, 0.5, -0.4, 0.2], [1.5, -0.5]);
        let test = engine.pack(&[]).unwrap();
        let probe = ByEngine { engine: &engine, test: &test, probe: &x };
        let m = 40_000;
        let found = sketches(&theta, &[1.0; 6], &probe, m, &Streams::new(1)).unwrap();
        let z: Vec<f64> = theta.chunks(2).map(|w: &[f32]| f64::from(w[0] * x[0] + w[1] * x[1])).collect();
        let total: f64 = z.iter().map(|z| z.exp()).sum();
        let p: Vec<f64> = z.iter().map(|z| z.exp() / total).collect();
        for i in 0..6 {
            for j in 0..6 {
                let (a, b) = (i / 2, j / 2);
                let curvature = if a == b { p[a] } else { 0.0 } - p[a] * p[b];
                let truth = curvature * f64::from(x[i % 2]) * f64::from(x[j % 2]);
                let mean = found.chunks(6).map(|g| f64::from(g[i]) * f64::from(g[j])).sum::<f64>() / m as f64;
                assert!((mean - truth).abs() < 0.02, "{i} {j}: {mean} {truth}");
            }
        }
    }

    #[test]
    fn noise_has_its_length_and_is_not_felt_on_the_probe() {
        // Inputs in three of twenty dimensions: a linear classifier can move freely in the others.
        let text = "input = [20, 1, 1]\n[[layers]]\nkind = \"dense\"\nout = 4\n";
        let engine = Engine::new(&Architecture::from_toml_str(text).unwrap()).unwrap();
        let p = engine.parameters();
        let theta = normals(&Streams::new(1), p);
        let mut inputs = normals(&Streams::new(2), 50 * 20);
        inputs.chunks_mut(20).for_each(|row| row[3..].fill(0.0));
        let deviation: Vec<f64> = (0..p).map(|i| 0.5 + (i % 3) as f64).collect();
        let packed = engine.pack(&inputs).unwrap();
        let probe = ByEngine { engine: &engine, test: &packed, probe: &inputs };
        let noise = FlatNoise::about(&theta, &deviation, &probe, &Streams::new(3)).unwrap();
        let probabilities = |theta: &[f32]| {
            let logits = engine.logits_of_many(theta, &packed).unwrap();
            let softmax = |z: &[f32]| {
                let total: f32 = z.iter().map(|z| z.exp()).sum();
                z.iter().map(|z| z.exp() / total).collect::<Vec<f32>>()
            };
            logits.chunks(4).flat_map(softmax).collect::<Vec<f32>>()
        };
        let moved = |noise: &[f32]| theta.iter().zip(noise).map(|(w, e)| w + e).collect::<Vec<f32>>();
        let change = |noise: &[f32]| {
            let (before, after) = (probabilities(&theta), probabilities(&moved(noise)));
            before.iter().zip(&after).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
        };
        for i in 0..5 {
            let e = noise.draw(3.0, &Streams::new(4).index(i));
            let length = e.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            assert!((length - 3.0).abs() < 1e-4, "{length}");
            let isotropic: Vec<f32> = normals(&Streams::new(5).index(i), p);
            let own = isotropic.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let isotropic: Vec<f32> = isotropic.iter().map(|v| (f64::from(*v) * 3.0 / own) as f32).collect();
            assert!(change(&e) < 0.02 && change(&isotropic) > 0.1, "{} {}", change(&e), change(&isotropic));
        }
        let none = ByEngine { probe: &[], ..probe };
        assert!(FlatNoise::about(&theta, &deviation, &none, &Streams::new(3)).is_err());
    }
}
