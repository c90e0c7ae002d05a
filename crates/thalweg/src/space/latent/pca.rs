//! Principal components as a weight autoencoder: the floor that learned ones have to beat (M8).
//!
//! y = W (z − m) with W the leading principal directions over their deviations, so latents are normalised; decoding is m + Wᵀ S² y. Without whitening
//! S = 1: W is the directions themselves.
//! By the Gram matrix of n points, read from where they lie in blocks of columns: O(n²P + n³), memory that of the directions and a block. The sign of
//! a direction is that which makes the largest number of its eigenvector of the Gram matrix positive. Linear, so it knows the affine hull of the training points only: what it decodes lies among
//! them, and is close to copies where there are few.
use super::{Autoencoder, Decoder};
use crate::nn::dense::{Accumulate, product, vectorised, view};
use crate::nn::parameters::impl_parameters;
use crate::space::points::{Held, Points};
use crate::space::principal::{self, Principal};
use crate::{Error, Layout, Result};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The size of a [`Pca`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PcaConfig {
    /// D, components kept (16; 1 to 1,024, and fewer than there are points).
    pub dimension: usize,
    /// Whether every component is divided by its deviation (true); false keeps the distances between points.
    #[serde(skip_serializing_if = "is_true")]
    pub whiten: bool,
}

/// Older files, and most fits, say nothing of it.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_true(whiten: &bool) -> bool {
    *whiten
}

impl Default for PcaConfig {
    fn default() -> Self {
        Self::of(16)
    }
}

impl PcaConfig {
    /// So many components, each divided by its deviation.
    pub fn of(dimension: usize) -> Self {
        Self { dimension, whiten: true }
    }

    /// # Errors
    /// A size outside its range.
    pub fn check(&self) -> Result<()> {
        super::autoencoder::check_dimension("latent.pca.dimension", self.dimension)
    }
}

/// See the module's text.
pub struct Pca {
    layout: Layout,
    /// m `[P]`, scaled directions S V `[D, P]`, deviations S `[D]`.
    parameters: Vec<f32>,
    p: usize,
    d: usize,
}

impl Pca {
    /// Fits to `points [n, P]`, n > D.
    ///
    /// # Errors
    /// Too few points, or points that span fewer than D directions.
    pub fn fit(config: &PcaConfig, points: &[f32], p: usize) -> Result<Self> {
        Self::fit_to(config, &Held::new(points, p)?)
    }

    /// Fits to points wherever they lie; they are read twice.
    ///
    /// # Errors
    /// As [`Self::fit`]; a file that cannot be read; [`Error::Interrupted`].
    pub fn fit_to(config: &PcaConfig, points: &dyn Points) -> Result<Self> {
        let (n, p, d) = (points.count(), points.dimension(), config.dimension);
        config.check()?;
        if n <= d {
            let expected = format!("[n, {p}] with n at least {}", d + 1);
            return Err(Error::shape("points to fit an autoencoder to", expected, format!("[{n}, {p}]")));
        }
        let principal = Principal::of("latent.pca", points)?;
        let value = |k: usize| principal.variances[k];
        if value(d - 1) <= 1e-12 * value(0).max(f64::MIN_POSITIVE) {
            let spanned = (0..d).take_while(|&k| value(k) > 1e-12 * value(0)).count();
            let expected = format!("at most {spanned}, the directions that the points span");
            return Err(Error::parameter("latent.pca.dimension", expected, d));
        }
        let mut pca = Self::unfitted(config, p)?;
        let (means, rest) = pca.parameters.split_at_mut(p);
        let (directions, deviations) = rest.split_at_mut(d * p);
        let deviation = |k: usize| if config.whiten { value(k).sqrt() } else { 1.0 };
        deviations.iter_mut().enumerate().for_each(|(k, s)| *s = deviation(k) as f32);
        for columns in principal::blocks(n, p) {
            let (centred, mean) = principal::centred(points, columns.clone())?;
            means[columns.clone()].iter_mut().zip(&mean).for_each(|(m, v)| *m = *v as f32);
            // Xᵀu/√(n − 1) is the k-th principal direction times √value.
            directions.par_chunks_exact_mut(p).enumerate().for_each(|(k, direction)| {
                let mut sum = vec![0.0f64; columns.len()];
                let scale = principal.sign(k) * if config.whiten { 1.0 } else { value(k).sqrt().recip() };
                for (row, x) in centred.chunks_exact(columns.len()).enumerate() {
                    let u = scale * principal.vector(row, k) / ((n - 1) as f64).sqrt();
                    vectorised(|| sum.iter_mut().zip(x).for_each(|(d, x)| *d += u * x));
                }
                direction[columns.clone()].iter_mut().zip(&sum).for_each(|(d, v)| *d = *v as f32);
            });
        }
        Ok(pca)
    }

    /// Room for a fitted one.
    ///
    /// # Errors
    /// A size outside its range.
    pub fn unfitted(config: &PcaConfig, p: usize) -> Result<Self> {
        config.check()?;
        let d = config.dimension;
        let layout = Layout::of_tensors([
            ("mean".to_string(), vec![p]),
            ("directions".to_string(), vec![d, p]),
            ("deviations".to_string(), vec![d]),
        ]);
        let parameters = vec![0.0; layout.len()];
        Ok(Self { layout, parameters, p, d })
    }

    fn mean(&self) -> &[f32] {
        &self.parameters[..self.p]
    }

    fn directions(&self) -> &[f32] {
        &self.parameters[self.p..self.p * (1 + self.d)]
    }

    /// x·(S_k V_k) of every row of `x [n, P]`: `[n, D]`.
    fn along_directions(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.p;
        let mut y = vec![0.0; n * self.d];
        product(&mut y, Accumulate::Overwrite, view(x, n, self.p), view(self.directions(), self.d, self.p).transpose());
        y
    }
}

impl Decoder for Pca {
    fn dimension(&self) -> usize {
        self.d
    }

    /// z = m + Σ_k y_k S_k V_k.
    fn decode(&self, y: &[f32]) -> Vec<f32> {
        let n = y.len() / self.d;
        let mut z: Vec<f32> = self.mean().repeat(n);
        product(&mut z, Accumulate::Add, view(y, n, self.d), view(self.directions(), self.d, self.p));
        z
    }

    fn pull_back(&self, _: &[f32], _: &[f32], dz: Vec<f32>) -> Vec<f32> {
        self.along_directions(&dz)
    }
}

impl_parameters!(Pca);

impl Autoencoder for Pca {
    /// y_k = (z − m)·(S_k V_k)/S_k².
    fn encode(&self, z: &[f32]) -> Vec<f32> {
        let centred: Vec<f32> =
            z.chunks_exact(self.p).flat_map(|z| z.iter().zip(self.mean()).map(|(z, m)| z - m)).collect();
        let mut y = self.along_directions(&centred);
        for y in y.chunks_exact_mut(self.d) {
            y.iter_mut().zip(self.scales()).for_each(|(y, s)| *y /= s * s);
        }
        y
    }

    fn scales(&self) -> &[f32] {
        &self.parameters[self.p * (1 + self.d)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;
    use rand_distr::StandardNormal;

    /// Points of a plane of dimension 3 in ℝ²⁰, with known deviations along it.
    fn points(n: usize) -> Vec<f32> {
        let mut rng = Streams::new(1).rng();
        let mut out = vec![];
        for _ in 0..n {
            let y: [f32; 3] = std::array::from_fn(|_| rng.sample(StandardNormal));
            out.extend((0..20).map(|i| 1.0 + if i < 3 { [3.0, 2.0, 0.5][i] * y[i] } else { 0.0 }));
        }
        out
    }

    #[test]
    fn a_plane_is_found_and_points_on_it_come_back() {
        let x = points(400);
        let pca = Pca::fit(&PcaConfig::of(3), &x, 20).unwrap();
        let scales = pca.scales();
        assert!((scales[0] - 3.0).abs() < 0.3 && (scales[1] - 2.0).abs() < 0.2 && (scales[2] - 0.5).abs() < 0.05);
        let y = pca.encode(&x);
        for k in 0..3 {
            let (mean, square) =
                y.chunks_exact(3).fold((0.0, 0.0), |(m, s), y| (m + y[k] / 400.0, s + y[k] * y[k] / 400.0));
            assert!(mean.abs() < 1e-4 && (square - 1.0).abs() < 0.01, "{mean} {square}");
        }
        assert!(pca.decode(&y).iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-4));
        assert_eq!(pca.encode(&x[40..60]), y[6..9]);
    }

    #[test]
    fn without_whitening_latents_are_as_far_apart_as_points() {
        let x = points(50);
        let config = PcaConfig { dimension: 3, whiten: false };
        let pca = Pca::fit(&config, &x, 20).unwrap();
        let whitened = Pca::fit(&PcaConfig::of(3), &x, 20).unwrap();
        let (y, z) = (pca.encode(&x), whitened.encode(&x));
        let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        for i in 1..50 {
            let (latents, points) = (far(&y[..3], &y[3 * i..][..3]), far(&x[..20], &x[20 * i..][..20]));
            assert!((latents - points).abs() < 1e-4 * (1.0 + points), "{latents} {points}");
        }
        for (y, z) in y.chunks_exact(3).zip(z.chunks_exact(3)) {
            let scaled = z.iter().zip(whitened.scales()).map(|(z, s)| z * s);
            assert!(y.iter().zip(scaled).all(|(y, z)| (y - z).abs() < 1e-4));
        }
        assert!(pca.decode(&y).iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-4));
        assert_eq!(pca.scales(), [1.0; 3]);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<PcaConfig>(&text).unwrap(), config);
        assert!(!toml::to_string(&PcaConfig::of(3)).unwrap().contains("whiten"));
    }

    /// The decomposition of all points at once in double precision, by the covariance matrix `[P, P]`.
    #[test]
    fn directions_from_blocks_are_those_of_the_covariance_matrix_with_signs_fixed() {
        // So many columns that there are three blocks.
        let (n, p) = (64, 140_000);
        let mut rng = Streams::new(4).rng();
        let basis: Vec<f32> = (0..2 * p).map(|_| rng.sample(StandardNormal)).collect();
        let x: Vec<f32> = (0..n)
            .flat_map(|_| {
                let [a, b]: [f32; 2] = std::array::from_fn(|_| rng.sample(StandardNormal));
                (0..p).map(|j| 3.0 * a * basis[j] + b * basis[p + j]).collect::<Vec<_>>()
            })
            .collect();
        assert!(principal::blocks(n, p).count() == 3);
        let pca = Pca::fit(&PcaConfig::of(2), &x, p).unwrap();
        let mut mean = vec![0.0; p];
        x.chunks_exact(p).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / n as f64));
        for (k, direction) in pca.directions().chunks_exact(p).enumerate() {
            // C v = s² v for v = S V: an eigenvector of the covariance, in every block.
            let along: Vec<f64> = x
                .chunks_exact(p)
                .map(|row| {
                    row.iter().zip(&mean).zip(direction).map(|((v, m), d)| (f64::from(*v) - m) * f64::from(*d)).sum()
                })
                .collect();
            let square = f64::from(pca.scales()[k]).powi(2);
            for j in [0, 1, 65_535, 65_536, 131_071, 131_072, p - 1] {
                let image = along.iter().zip(x.iter().skip(j).step_by(p));
                let image = image.map(|(a, v)| a * (f64::from(*v) - mean[j])).sum::<f64>() / (n - 1) as f64;
                assert!(
                    (image / square - f64::from(direction[j])).abs() < 1e-5 * f64::from(pca.scales()[k]),
                    "{k} {j}"
                );
            }
            // The largest latent by size is positive: the sign does not hang on the solver.
            let y: Vec<f32> = pca.encode(&x).chunks_exact(2).map(|y| y[k]).collect();
            assert!(y.iter().copied().reduce(|a, b| if b.abs() > a.abs() { b } else { a }).unwrap() > 0.0);
        }
    }

    #[test]
    fn gradients_pull_back_as_differences_say() {
        let pca = Pca::fit(&PcaConfig::of(2), &points(50), 20).unwrap();
        let dz: Vec<f32> = (0..20).map(|i| (i as f32).sin()).collect();
        let value = |y: &[f32]| pca.decode(y).iter().zip(&dz).map(|(z, d)| f64::from(z * d)).sum::<f64>();
        let dy = pca.pull_back(&[0.3, -0.2], &[], dz.clone());
        for k in 0..2 {
            let mut ends = [[0.3f32, -0.2]; 2];
            (ends[0][k], ends[1][k]) = (ends[0][k] + 0.1, ends[1][k] - 0.1);
            assert!(((value(&ends[0]) - value(&ends[1])) / 0.2 - f64::from(dy[k])).abs() < 1e-3);
        }
    }

    #[test]
    fn what_the_points_do_not_span_is_refused() {
        let message = |d| Pca::fit(&PcaConfig::of(d), &points(30), 20).err().unwrap().to_string();
        assert!(message(5).contains("at most 3"), "{}", message(5));
        assert!(message(30).contains("at least 31"), "{}", message(30));
        assert!(message(0).contains("latent.pca.dimension"));
    }
}
