//! Potentials that are linear in features, V(x) = Σⱼ wⱼ φⱼ(x), fitted to pairs of neighbouring checkpoints in closed form (M6; JKOnet*, Terpin et al. 2024).
//!
//! Points are `[n, d]` in f64; d is small: a plane, a PCA or a latent space. Features are the coordinates, all products xᵢxⱼ,
//! and random Fourier cosines. The JKOnet* loss is quadratic in w, so the fit is one symmetric solve of the size of the feature list; it costs
//! O(n d m²) for m features and wants n·d well above m. In weight space itself (d in the thousands) use the network potential instead.
use crate::{Error, Result, Streams};
use faer::linalg::solvers::Solve;
use rand::RngExt;
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which features a potential is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureConfig {
    /// All products xᵢ xⱼ, i ≤ j, beside the coordinates themselves.
    #[serde(default = "yes")]
    pub quadratic: bool,
    /// Number of random Fourier features cos(ωᵀx + b), ω ~ N(0, 1/length²).
    #[serde(default)]
    pub fourier: usize,
    /// Length scale of the Fourier features, in the units of x.
    #[serde(default = "one")]
    pub length: f64,
    /// Ridge added to the normal equations, relative to their mean diagonal.
    #[serde(default = "ridge")]
    pub ridge: f64,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self { quadratic: true, fourier: 0, length: 1.0, ridge: 1e-9 }
    }
}

impl FeatureConfig {
    /// Numbers that a fit over points `[dimension]` holds, m features with their normal equations `[m, m]` in double precision, told before it begins.
    pub(crate) fn numbers(&self, dimension: usize) -> usize {
        let products = if self.quadratic { dimension.saturating_mul(dimension.saturating_add(1)) / 2 } else { 0 };
        let features = dimension.saturating_add(products).saturating_add(self.fourier);
        let system = features.saturating_mul(features).saturating_mul(2);
        system.saturating_add(self.fourier.saturating_mul(dimension).saturating_mul(2))
    }

    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        if !(self.length > 0.0 && self.length.is_finite() && self.ridge >= 0.0 && self.ridge.is_finite()) {
            let found = format!("length {}, ridge {}", self.length, self.ridge);
            return Err(Error::parameter("features", "length > 0 and ridge ≥ 0", found));
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}
fn one() -> f64 {
    1.0
}
fn ridge() -> f64 {
    FeatureConfig::default().ridge
}

/// At which end of a step the gradient is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepForm {
    /// x' = x − τ∇V(x): stable to predict with where the potential is only known near the data.
    #[default]
    Explicit,
    /// x' = x − τ∇V(x'): the JKO step proper.
    Implicit,
}

/// Pairs (x, x') of one step of length τ, and the score of the new marginal where an internal energy is fitted.
#[derive(Clone, Copy, Debug)]
pub struct StepPairs<'a> {
    /// Points before the step, `[n, d]`.
    pub old: &'a [f64],
    /// Points after the step, `[n, d]`, in the same order.
    pub new: &'a [f64],
    /// Length τ of the step.
    pub tau: f64,
}

/// A fitted potential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeaturePotential {
    dimension: usize,
    quadratic: bool,
    frequencies: Vec<f64>,
    phases: Vec<f64>,
    weights: Vec<f64>,
    /// Weight β of the internal energy β∫ρ log ρ; 0 where it was not fitted.
    pub beta: f64,
}

impl FeaturePotential {
    /// Minimises Σ ‖τ (∇V + β ∇log ρ') + x' − x‖² over w, and over β ≥ 0 if `internal_energy`; ρ' is the Gaussian fitted to the new points of each step.
    ///
    /// # Errors
    /// Empty or mismatched pairs, a step that is not positive, fewer equations than features, or a singular system.
    pub fn fit(
        config: &FeatureConfig,
        dimension: usize,
        steps: &[StepPairs],
        form: StepForm,
        internal_energy: bool,
        streams: &Streams,
    ) -> Result<Self> {
        let mut potential = Self::unfitted(config, dimension, streams)?;
        let m = potential.features();
        let columns = m + usize::from(internal_energy);
        let (mut normal, mut moment) = (vec![0.0; columns * columns], vec![0.0; columns]);
        let mut equations = 0;
        for (k, step) in steps.iter().enumerate() {
            let n = check_step(k, step, dimension)?;
            equations += n * dimension;
            let scores = if internal_energy { gaussian_scores(step.new, dimension)? } else { Vec::new() };
            let mut rows = vec![0.0; dimension * columns];
            for i in 0..n {
                let point = i * dimension..(i + 1) * dimension;
                let (old, new) = (&step.old[point.clone()], &step.new[point.clone()]);
                let at = if form == StepForm::Explicit { old } else { new };
                potential.jacobian(at, columns, &mut rows);
                for (j, row) in rows.chunks_exact_mut(columns).enumerate() {
                    if internal_energy {
                        row[m] = scores[point.start + j];
                    }
                    accumulate(row, step.tau, old[j] - new[j], &mut normal, &mut moment);
                }
            }
        }
        if equations < columns {
            return Err(Error::parameter("pairs", format!("at least {columns} equations (features)"), equations));
        }
        let mut solution = solve_ridge(&normal, &moment, columns, config.ridge)?;
        if internal_energy && solution[m] < 0.0 {
            // β ≥ 0 binds: the constrained optimum of a convex quadratic with one bound is the solution on that bound.
            let reduced: Vec<f64> = (0..m).flat_map(|r| normal[r * columns..r * columns + m].to_vec()).collect();
            solution = solve_ridge(&reduced, &moment[..m], m, config.ridge)?;
        }
        potential.beta = if internal_energy { solution.get(m).copied().unwrap_or(0.0) } else { 0.0 };
        solution.truncate(m);
        potential.weights = solution;
        Ok(potential)
    }

    /// The flat potential V = 0 with its Fourier features drawn from `streams`.
    ///
    /// # Errors
    /// No dimension, or a number outside its range.
    pub(crate) fn unfitted(config: &FeatureConfig, dimension: usize, streams: &Streams) -> Result<Self> {
        if dimension == 0 {
            return Err(Error::parameter("dimension", "at least 1", dimension));
        }
        config.check()?;
        let mut rng = streams.rng();
        let frequencies =
            (0..config.fourier * dimension).map(|_| rng.sample::<f64, _>(StandardNormal) / config.length).collect();
        let phases = (0..config.fourier).map(|_| rng.random::<f64>() * std::f64::consts::TAU).collect();
        let mut flat =
            Self { dimension, quadratic: config.quadratic, frequencies, phases, weights: Vec::new(), beta: 0.0 };
        flat.weights = vec![0.0; flat.features()];
        Ok(flat)
    }

    /// All numbers in a fixed order: weights, frequencies, phases, β.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = f64> + '_ {
        let parts = [&self.weights, &self.frequencies, &self.phases];
        parts.into_iter().flatten().copied().chain([self.beta])
    }

    /// The potential with these [`Self::numbers`].
    pub(crate) fn from_numbers(
        config: &FeatureConfig,
        dimension: usize,
        mut numbers: impl Iterator<Item = f64>,
    ) -> Self {
        let mut take = |n: usize| numbers.by_ref().take(n).collect::<Vec<f64>>();
        let quadratic = if config.quadratic { dimension * (dimension + 1) / 2 } else { 0 };
        let weights = take(dimension + quadratic + config.fourier);
        let (frequencies, phases) = (take(config.fourier * dimension), take(config.fourier));
        let beta = take(1).first().copied().unwrap_or(0.0);
        Self { dimension, quadratic: config.quadratic, frequencies, phases, weights, beta }
    }

    /// Number of features m.
    pub fn features(&self) -> usize {
        let d = self.dimension;
        d + if self.quadratic { d * (d + 1) / 2 } else { 0 } + self.phases.len()
    }

    /// ∂φⱼ/∂xᵢ at one point, into row i of `rows [d, columns]`, columns ≥ m.
    fn jacobian(&self, x: &[f64], columns: usize, rows: &mut [f64]) {
        let d = self.dimension;
        rows.fill(0.0);
        for i in 0..d {
            rows[i * columns + i] = 1.0;
        }
        let mut feature = d;
        if self.quadratic {
            for i in 0..d {
                for j in i..d {
                    rows[i * columns + feature] += x[j];
                    rows[j * columns + feature] += x[i];
                    feature += 1;
                }
            }
        }
        for (omega, phase) in self.frequencies.chunks_exact(d).zip(&self.phases) {
            let angle: f64 = omega.iter().zip(x).map(|(o, v)| o * v).sum::<f64>() + phase;
            for i in 0..d {
                rows[i * columns + feature] = -angle.sin() * omega[i];
            }
            feature += 1;
        }
    }

    /// V(x) at one point `[d]`, up to a constant.
    pub fn value(&self, x: &[f64]) -> f64 {
        let d = self.dimension;
        let mut terms: Vec<f64> = x.to_vec();
        if self.quadratic {
            terms.extend((0..d).flat_map(|i| (i..d).map(move |j| x[i] * x[j])));
        }
        for (omega, phase) in self.frequencies.chunks_exact(d).zip(&self.phases) {
            terms.push((omega.iter().zip(x).map(|(o, v)| o * v).sum::<f64>() + phase).cos());
        }
        terms.iter().zip(&self.weights).map(|(t, w)| t * w).sum()
    }

    /// ∇V(x) at one point, into `out [d]`.
    pub fn gradient(&self, x: &[f64], out: &mut [f64]) {
        let m = self.features();
        let mut rows = vec![0.0; self.dimension * m];
        self.jacobian(x, m, &mut rows);
        for (o, row) in out.iter_mut().zip(rows.chunks_exact(m)) {
            *o = row.iter().zip(&self.weights).map(|(r, w)| r * w).sum();
        }
    }

    /// One step of length τ for every point of `x [n, d]`.
    ///
    /// # Errors
    /// The implicit step's fixed point x' = x − τ∇V(x') not reached to 1e-10 in 200 iterations: τ is too long for this potential.
    pub fn step(&self, x: &mut [f64], tau: f64, form: StepForm) -> Result<()> {
        let mut g = vec![0.0; self.dimension];
        for (n, point) in x.chunks_exact_mut(self.dimension).enumerate() {
            let start = point.to_vec();
            let iterations = if form == StepForm::Explicit { 1 } else { 200 };
            let mut moved = f64::INFINITY;
            for _ in 0..iterations {
                self.gradient(point, &mut g);
                moved = 0.0;
                for i in 0..point.len() {
                    let next = start[i] - tau * g[i];
                    moved = f64::max(moved, (next - point[i]).abs());
                    point[i] = next;
                }
                if moved < 1e-10 {
                    break;
                }
            }
            let converged = moved < 1e-10; // false for NaN
            if form == StepForm::Implicit && !converged {
                let expected =
                    format!("a fixed point to 1e-10 within {iterations} iterations (a smaller τ than {tau})");
                let reached = format!("a change of {moved:e} at point {n}");
                return Err(Error::not_converged("an implicit JKO step", expected, reached));
            }
        }
        Ok(())
    }
}

fn check_step(k: usize, step: &StepPairs, d: usize) -> Result<usize> {
    if step.old.is_empty() || !step.old.len().is_multiple_of(d) || step.old.len() != step.new.len() {
        return Err(Error::shape(
            format!("step {k}: old and new points"),
            format!("[n, {d}] each, n ≥ 1"),
            format!("[{}] and [{}]", step.old.len(), step.new.len()),
        ));
    }
    if !(step.tau > 0.0 && step.tau.is_finite()) {
        return Err(Error::parameter(format!("step {k}: tau"), "a positive number", step.tau));
    }
    match step.old.iter().chain(step.new).position(|v| !v.is_finite()) {
        Some(i) => {
            Err(Error::NotFinite { what: "point".into(), place: format!("step {k}, index {i}"), value: f64::NAN })
        }
        None => Ok(step.old.len() / d),
    }
}

/// Adds one equation τ row·w = target to the normal equations.
fn accumulate(row: &[f64], tau: f64, target: f64, normal: &mut [f64], moment: &mut [f64]) {
    let columns = row.len();
    for (a, &left) in row.iter().enumerate() {
        if left != 0.0 {
            moment[a] += tau * left * target;
            for (entry, right) in normal[a * columns..(a + 1) * columns].iter_mut().zip(row) {
                *entry += tau * tau * left * right;
            }
        }
    }
}

fn solve_ridge(normal: &[f64], moment: &[f64], n: usize, ridge: f64) -> Result<Vec<f64>> {
    let trace: f64 = (0..n).map(|i| normal[i * n + i]).sum();
    let lift = ridge * trace / n as f64;
    let matrix = faer::Mat::from_fn(n, n, |r, c| normal[r * n + c] + if r == c { lift } else { 0.0 });
    let rhs = faer::Mat::from_fn(n, 1, |r, _| moment[r]);
    let factor = matrix.llt(faer::Side::Lower).map_err(|e| {
        Error::parameter(
            "features",
            "independent features on these points (raise ridge, or give more pairs)",
            format!("{e:?}"),
        )
    })?;
    let solution = factor.solve(&rhs);
    Ok((0..n).map(|r| solution[(r, 0)]).collect())
}

/// ∇log ρ(x) = −C⁻¹(x − m) at the points themselves, for the Gaussian with their mean and covariance: `[n, d]`.
fn gaussian_scores(x: &[f64], d: usize) -> Result<Vec<f64>> {
    let n = x.len() / d;
    if n <= d {
        return Err(Error::parameter("pairs", format!("more than d = {d} points to fit a Gaussian density"), n));
    }
    let mean: Vec<f64> = (0..d).map(|j| x.iter().skip(j).step_by(d).sum::<f64>() / n as f64).collect();
    let centred = faer::Mat::from_fn(d, n, |j, i| x[i * d + j] - mean[j]);
    let covariance = (&centred * centred.transpose()) * faer::Scale(1.0 / n as f64);
    let factor = covariance.llt(faer::Side::Lower).map_err(|e| {
        Error::parameter("internal energy", "a marginal whose covariance is positive definite", format!("{e:?}"))
    })?;
    let solved = factor.solve(&centred);
    Ok((0..n * d).map(|k| -solved[(k % d, k / d)]).collect())
}

#[cfg(test)]
#[path = "feature_potential_tests.rs"]
mod tests;
