//! Deep-kernel MMD (M16; Liu et al. 2020): maximum mean discrepancy with a kernel that is trained to tell this query from P.
//!
//! k(x, y) = [(1 − ε) κ(φ(x), φ(y)) + ε] q(x, y), κ and q Gaussian, φ a small MLP on the inputs `[D]`. On half of the query's rows X against as
//! many rows Y of P, φ is trained to maximise J = MMD²ᵤ/σ, the power of the test up to constants, with the paper's regularised variance:
//! H_ij = k(x_i, x_j) + k(y_i, y_j) − k(x_i, y_j) − k(y_i, x_j), MMD²ᵤ = mean of H_ij over i ≠ j,
//! σ² = 4/n³ Σ_i (Σ_j H_ij)² − 4/n⁴ (Σ_ij H_ij)² + λ. The statistic is MMD²ᵤ of the other half against validation rows, so that its mean under P
//! is 0 whatever was trained; then the halves change places, and the two are averaged.
//!
//! Deviates: ε = .1 and the widths of κ and q are not trained but those of the median heuristic on P (κ's on the φ that all trainings start
//! from; φ's last layer can make κ as narrow as it likes); thresholds come from the project's null law instead of permutations.
//! Two-sided: fires on any difference, harmful or not. Cost: 2 × `STEPS` gradients on |Q| rows and as many |Q|² kernels.
use super::halves::Halves;
use super::mmd::{median, squared};
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs};
use crate::shift::test::{Measured, ShiftTest, Statistic};
use crate::train::descend;
use crate::{Error, Result, Streams};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use thalweg_nets::Architecture;
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::{Engine, Mode, Packed, Workspace};
use thalweg_nets::init::Initialisation;
use thalweg_nets::loss::LogitLoss;
use thalweg_nets::streams::shuffle;
use thalweg_nets::train::{Optimiser, Stepper};

/// Hidden units of φ, and its outputs.
const WIDTH: usize = 32;
const FEATURES: usize = 16;
/// Steps of a training, and rows of the query (and of P) a step, at most.
const STEPS: usize = 60;
const BATCH: usize = 64;
/// Adam's learning rate.
const RATE: f64 = 0.01;
/// Rows of P that batches are drawn from, and validation rows that are judged on, at most.
const POOL: usize = 4096;
const SOURCE: usize = 128;
/// ε, the part of k that φ does not touch.
const MIX: f64 = 0.1;
/// λ, added to the variance.
const RIDGE: f64 = 1e-8;

/// The test.
#[derive(Clone, Debug)]
pub struct DeepKernel {
    net: Architecture,
    engine: Engine,
    /// φ before training, the same for every query.
    start: Vec<f32>,
    /// Rows of P to train against `[N, D]`.
    pool: Vec<f32>,
    /// Rows of P to judge against `[H, D]`, and q between them, below the diagonal row by row.
    source: Vec<f32>,
    packed: Packed,
    of_source: Vec<f64>,
    /// 1/(2σ²) of κ and of q.
    inner: f64,
    outer: f64,
    schema: Schema,
}

impl DeepKernel {
    /// Trains against `train`, judges against `validation`.
    ///
    /// # Errors
    /// Rows without inputs, fewer than two validation rows, validation rows that are all the same.
    pub fn new(train: &Sample, validation: &Sample, streams: &Streams) -> Result<Self> {
        let d = train.width();
        if d == 0 {
            return Err(Error::parameter("deep-kernel-mmd", "rows with inputs", "logits alone"));
        }
        let net = Preset::Mlp { widths: vec![WIDTH] }.build([d, 1, 1], FEATURES)?;
        let engine = Engine::new(&net)?;
        let mut order: Vec<usize> = (0..train.len()).collect();
        shuffle(&mut order, &mut streams.child("pool").rng());
        order.truncate(POOL);
        let source = validation.rows(&(0..validation.len().min(SOURCE)).collect::<Vec<_>>()).inputs;
        let start = Initialisation::default().draw(engine.layout(), &streams.child("start"));
        let packed = engine.pack(&source)?;
        let mut features = vec![0.0; packed.len() * FEATURES];
        engine.logits(&start, &packed, &mut features, &mut engine.workspace());
        let outer = 1.0 / median("deep-kernel-mmd", &source, d)?;
        let inner = 1.0 / median("deep-kernel-mmd", &features, FEATURES)?;
        let rows: Vec<&[f32]> = source.chunks_exact(d).collect();
        let pairs = (1..rows.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let of_source = pairs.map(|(i, j)| (-outer * squared(rows[i], rows[j])).exp()).collect();
        let (pool, schema) = (train.rows(&order).inputs, validation.schema());
        Ok(Self { net, engine, start, pool, source, packed, of_source, inner, outer, schema })
    }

    /// φ that maximises J on `rows [n, D]` against rows of P.
    fn trained(&self, rows: &[f32], rng: &mut ChaCha8Rng, workspace: &mut Workspace) -> Result<Vec<f32>> {
        let (engine, d) = (&self.engine, self.schema.width);
        let mut theta = self.start.clone();
        let mut stepper = Stepper::new(Optimiser::default(), 0.0, &self.net);
        let n = (rows.len() / d).min(BATCH);
        let mut order: Vec<usize> = (0..rows.len() / d).collect();
        let mut z = vec![0.0; 2 * n * FEATURES];
        descend(&mut theta, &mut stepper, (STEPS, RATE), |_, theta, gradient| {
            if order.len() > n {
                shuffle(&mut order, rng);
            }
            let mut x: Vec<f32> = order[..n].iter().flat_map(|&r| &rows[r * d..(r + 1) * d]).copied().collect();
            for _ in 0..n {
                let r = rng.random_range(0..(self.pool.len() / d) as u64) as usize;
                x.extend_from_slice(&self.pool[r * d..(r + 1) * d]);
            }
            let packed = engine.pack(&x)?;
            engine.logits(theta, &packed, &mut z, workspace);
            let exact: Vec<f64> = z.iter().map(|z| f64::from(*z)).collect();
            let mut slope = vec![0.0; exact.len()];
            power(&exact, FEATURES, &self.outers(&x), self.inner, &mut slope);
            let climb = Climb(slope.iter().map(|s| -*s as f32).collect());
            engine.gradient(theta, &packed, Mode::Evaluate, &climb, gradient, workspace);
            Ok(())
        })?;
        Ok(theta)
    }

    /// q between all of `x [m, D]`, `[m, m]`.
    fn outers(&self, x: &[f32]) -> Vec<f64> {
        let rows: Vec<&[f32]> = x.chunks_exact(self.schema.width).collect();
        gaussian(rows.len(), |a, b| self.outer * squared(rows[a], rows[b]))
    }

    /// MMD²ᵤ of `rows [n, D]` against rows of P.
    fn discrepancy(&self, theta: &[f32], rows: &[f32], workspace: &mut Workspace) -> Result<f64> {
        let d = self.schema.width;
        let mut features = |packed: &Packed| {
            let mut z = vec![0.0; packed.len() * FEATURES];
            self.engine.logits(theta, packed, &mut z, workspace);
            z
        };
        let (query, source) = (features(&self.engine.pack(rows)?), features(&self.packed));
        let query: Vec<_> = rows.chunks_exact(d).zip(query.chunks_exact(FEATURES)).collect();
        let source: Vec<_> = self.source.chunks_exact(d).zip(source.chunks_exact(FEATURES)).collect();
        let mixed = |a: &[f32], b: &[f32]| (1.0 - MIX) * (-self.inner * squared(a, b)).exp() + MIX;
        let kernel =
            |a: &(&[f32], &[f32]), b: &(&[f32], &[f32])| mixed(a.1, b.1) * (-self.outer * squared(a.0, b.0)).exp();
        let (n, h) = (query.len() as f64, source.len() as f64);
        let within: f64 = (1..query.len()).map(|i| (0..i).map(|j| kernel(&query[i], &query[j])).sum::<f64>()).sum();
        let pairs = (1..source.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let under_p: f64 = pairs.zip(&self.of_source).map(|((i, j), q)| q * mixed(source[i].1, source[j].1)).sum();
        let across: f64 = query.iter().map(|a| source.iter().map(|b| kernel(a, b)).sum::<f64>()).sum();
        let value = 2.0 * within / (n * (n - 1.0)) + 2.0 * under_p / (h * (h - 1.0)) - 2.0 * across / (n * h);
        if value.is_finite() {
            return Ok(value);
        }
        Err(Error::NotFinite { what: "deep-kernel MMD".into(), place: format!("after {STEPS} steps of φ"), value })
    }
}

/// exp(−distance) between all of m rows, `[m, m]`.
fn gaussian(m: usize, distance: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut k = vec![1.0; m * m];
    for a in 1..m {
        for b in 0..a {
            k[a * m + b] = (-distance(a, b)).exp();
            k[b * m + a] = k[a * m + b];
        }
    }
    k
}

/// J of features `z [2n, wide]`, the query's rows first, with `outer [2n, 2n]` between the inputs; its derivative in z goes to `slope [2n, wide]`.
fn power(z: &[f64], wide: usize, outer: &[f64], rate: f64, slope: &mut [f64]) -> f64 {
    let (m, n) = (z.len() / wide, z.len() / wide / 2);
    let row = |a: usize| &z[a * wide..(a + 1) * wide];
    let inner = gaussian(m, |a, b| rate * row(a).iter().zip(row(b)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>());
    let k = |a: usize, b: usize| ((1.0 - MIX) * inner[a * m + b] + MIX) * outer[a * m + b];
    let h = |i: usize, j: usize| k(i, j) + k(n + i, n + j) - k(i, n + j) - k(n + i, j);
    let sums: Vec<f64> = (0..n).map(|i| (0..n).map(|j| h(i, j)).sum()).collect();
    let (total, trace) = (sums.iter().sum::<f64>(), (0..n).map(|i| h(i, i)).sum::<f64>());
    let size = n as f64;
    let share = 1.0 / (size * (size - 1.0));
    let cubed = 4.0 / size.powi(3);
    let variance = cubed * (sums.iter().map(|s| s * s).sum::<f64>() - total * total / size) + RIDGE;
    let deviation = variance.sqrt();
    let value = (total - trace) * share / deviation;
    // dJ/dH_ij; H_ij holds four kernels, those between the samples with a minus.
    let of_h = |i: usize, j: usize| {
        let of_mean = if i == j { 0.0 } else { share / deviation };
        of_mean - value / variance * cubed * (sums[i] - total / size)
    };
    slope.fill(0.0);
    for a in 0..m {
        for b in (0..m).filter(|b| *b != a) {
            let sign = if (a < n) == (b < n) { 1.0 } else { -1.0 };
            let weight = sign * (of_h(a % n, b % n) + of_h(b % n, a % n));
            let along = -2.0 * rate * weight * (1.0 - MIX) * inner[a * m + b] * outer[a * m + b];
            let to = &mut slope[a * wide..(a + 1) * wide];
            to.iter_mut().zip(row(a).iter().zip(row(b))).for_each(|(s, (a, b))| *s += along * (a - b));
        }
    }
    value
}

/// A loss whose derivative in φ's outputs `[2n, F]` is known beforehand.
struct Climb(Vec<f32>);

impl LogitLoss for Climb {
    fn rows(&self, first: usize, _: &[f32], d: &mut [f32]) -> f64 {
        d.copy_from_slice(&self.0[first * FEATURES..][..d.len()]);
        0.0
    }

    fn len(&self) -> Option<usize> {
        Some(self.0.len() / FEATURES)
    }
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "deep-kernel-mmd",
    looks_at: "distribution of the inputs, by a kernel trained for these rows",
    needs: Needs::Inputs,
    trains_per_query: true,
    prepare: |parts, _, streams| {
        Ok(Box::new(DeepKernel::new(&parts.reference.train, &parts.reference.validation, streams)?))
    },
    trained: None,
};

impl ShiftTest for DeepKernel {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("mmd")] }
    }

    fn measure(&self, queries: &[Sample], streams: &Streams) -> Result<Measured> {
        let least = (4, "for two rows in either half");
        let halves = Halves { schema: &self.schema, least, engine: &self.engine };
        halves.measure(queries, streams, |fold| {
            let theta = self.trained(&fold.train.inputs, fold.rng, fold.workspace)?;
            self.discrepancy(&theta, &fold.judge.inputs, fold.workspace)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::world;

    #[test]
    fn the_gradient_of_the_power_is_its_slope() {
        let (n, wide, rate) = (5, 3, 0.4);
        let mut z: Vec<f64> =
            (0..2 * n * wide).map(|i| (i as f64 * 1.7).sin() + if i < n * wide { 0.5 } else { 0.0 }).collect();
        let outer = gaussian(2 * n, |a, b| 0.1 * ((a * 7 + b * 7) % 11) as f64);
        let mut slope = vec![0.0; z.len()];
        let value = power(&z, wide, &outer, rate, &mut slope);
        for i in 0..z.len() {
            let mut at = |h: f64| {
                z[i] += h;
                let value = power(&z, wide, &outer, rate, &mut vec![0.0; 2 * n * wide]);
                z[i] -= h;
                value
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((numeric - slope[i]).abs() < 1e-6 * (1.0 + value.abs()), "{i}: {numeric} {}", slope[i]);
        }
    }

    #[test]
    fn the_power_is_the_papers_ratio() {
        // Two rows a sample at distances so great that only rows equal to each other have a kernel: k = 1 or 0 but for the diagonal.
        // x₁ = x₂, y₁ and y₂ apart: H = [[2, 1], [1, 2]], MMD² = 1, σ² = 4/8 · 18 − 4/16 · 36 + λ = λ.
        let z = [0.0, 0.0, 100.0, 200.0];
        let same = |a: usize, b: usize| if a < 2 && b < 2 { 0.0 } else { f64::INFINITY };
        let value = power(&z, 1, &gaussian(4, same), 1.0, &mut [0.0; 4]);
        assert!((value - RIDGE.sqrt().recip()).abs() < 1e-3 * value, "{value}");
    }

    #[test]
    fn a_planted_shift_is_found_and_rows_of_p_average_to_nothing() {
        let world = world::two_clouds(1);
        let test = DeepKernel::new(&world.reference.train, &world.reference.validation, &Streams::new(1)).unwrap();
        let queries: Vec<Sample> = (0..24).map(|i| world.near(20, i)).chain([world.far(20, 1)]).collect();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| test.measure(&queries, &Streams::new(0)).unwrap().values)
        };
        let s = on(1);
        let near = s[..24].iter().sum::<f64>() / 24.0;
        let most = s[..24].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(near.abs() < 0.04 && s[24] > most + 0.3, "{s:?}");
        assert_eq!(s, on(2));
        assert_eq!(s[..1], test.measure(&queries[..1], &Streams::new(0)).unwrap().values);
        let few = test.measure(&[world.near(3, 0)], &Streams::new(0)).unwrap_err().to_string();
        assert!(few.contains("N ≥ 4") && few.contains("[3, D]"), "{few}");
        let logits = Sample::of_logits(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
        assert!(DeepKernel::new(&logits, &logits, &Streams::new(0)).unwrap_err().to_string().contains("logits alone"));
    }
}
