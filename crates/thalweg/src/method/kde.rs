//! Sampling by kernel density, as SANE does on the latents of trained networks (Schürholt et al. 2022, 2024): a generator without a field.
//!
//! p₁ is a mixture of Gaussians around M training points y_j with the bandwidths of Scott's rule, h_d = b · s_d · M^(−1/(k + 4)). Each dimension has a
//! mixture of its own (k = 1; SANE's choice, which takes latents for independent), or all have one together (k = D; what it makes lies
//! among the training points). A sample is y_j + h x₀ with x₀ from a standard Gaussian; the drift that carries x₀ there is M4's closed form, weighted over j.
//! Solved at once from the ends of the curves. Meant for a latent space: on weights the rule's bandwidth is nearly s_d, a diagonal Gaussian.
//! Cost: a sample O(D); a velocity O(M D).
use super::{ClosedForm, Method, MethodParameters, Scratch, Transport};
use crate::field::FieldConfig;
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::path::anchors::Anchors;
use crate::path::{Batch, Path, ProbabilityPath};
use crate::solver::{Solution, Solver};
use crate::{Error, Layout, Result, Streams};
use rand::RngExt;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of sampling by kernel density.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KdeConfig {
    /// M, training points that carry a kernel, at most (1,024; 2 to 4,096).
    pub points: usize,
    /// b, over the bandwidth of Scott's rule (1; above 0).
    pub bandwidth: f64,
    /// One mixture for all dimensions together (false: one for each).
    pub joint: bool,
}

impl Default for KdeConfig {
    fn default() -> Self {
        Self { points: 1024, bandwidth: 1.0, joint: false }
    }
}

impl KdeConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        if !(2..=4096).contains(&self.points) {
            return Err(Error::parameter("method.kde.points", "2 to 4,096", self.points));
        }
        if !(self.bandwidth > 0.0 && self.bandwidth.is_finite()) {
            return Err(Error::parameter("method.kde.bandwidth", "a finite number above 0", self.bandwidth));
        }
        Ok(())
    }

    /// The method, still to be solved.
    ///
    /// # Errors
    /// A number outside its range, or times that are not 0 and 1.
    pub fn build(&self, times: &[f64], dimension: usize) -> Result<Kde> {
        self.check()?;
        let path = Path::straight(times)?;
        let mut kde =
            Kde { config: self.clone(), path, dimension, layout: Layout::of_tensors([]), parameters: vec![], rows: 0 };
        kde.set_rows(1);
        Ok(kde)
    }
}

impl MethodParameters for KdeConfig {
    fn check(&self) -> Result<()> {
        KdeConfig::check(self)
    }

    fn build(
        &self,
        times: &[f64],
        dimension: usize,
        field: &FieldConfig,
        streams: &Streams,
    ) -> Result<Box<dyn Method>> {
        let _ = (field, streams);
        Ok(Box::new(KdeConfig::build(self, times, dimension)?))
    }

    fn is_solved(&self) -> bool {
        true
    }

    fn numbers(&self, curves: usize, dimension: usize, _field: &FieldConfig) -> usize {
        (self.points.min(curves) + 1).saturating_mul(dimension)
    }
}

/// See the module's text.
pub struct Kde {
    config: KdeConfig,
    path: Path,
    dimension: usize,
    layout: Layout,
    /// y `[rows, D]`, h `[D]`, how many rows are used.
    parameters: Vec<f32>,
    /// Rows of y: as many as there are points, once it is solved. Files of older versions have one for every point that there may be, at 0
    /// where it is not used.
    rows: usize,
}

impl Kde {
    /// Makes room for `rows` points.
    fn set_rows(&mut self, rows: usize) {
        let d = self.dimension;
        self.rows = rows;
        self.layout = Layout::of_tensors([
            ("points".to_string(), vec![rows, d]),
            ("bandwidth".to_string(), vec![d]),
            ("count".to_string(), vec![1]),
        ]);
        self.parameters = vec![0.0; self.layout.len()];
    }

    /// How many points carry a kernel.
    fn count(&self) -> usize {
        (self.parameters[self.parameters.len() - 1] as usize).clamp(1, self.rows)
    }

    fn points(&self) -> &[f32] {
        &self.parameters[..self.count() * self.dimension]
    }

    /// h `[D]`.
    fn bandwidth(&self) -> &[f32] {
        let start = self.rows * self.dimension;
        &self.parameters[start..start + self.dimension]
    }

    /// Kernels at the ends of curves `[2, N, D]`: all of them, or as many, evenly chosen, as there may be points.
    fn solve(&mut self, curves: &[f32]) -> Result<()> {
        let (d, most) = (self.dimension, self.config.points);
        let anchors = Anchors::dense(curves, 2, d)?;
        let (n, last) = (anchors.curves(), anchors.marginals() - 1);
        if n < 2 {
            return Err(Error::parameter("training runs", "at least 2, to have a bandwidth", n));
        }
        let m = n.min(most);
        self.set_rows(m);
        for (j, row) in self.parameters.chunks_exact_mut(d).take(m).enumerate() {
            row.copy_from_slice(anchors.point(last, j * n / m));
        }
        let k = if self.config.joint { d as f64 } else { 1.0 };
        let rule = self.config.bandwidth * (m as f64).powf(-1.0 / (k + 4.0));
        for i in 0..d {
            let column = || anchors.marginal(last).map(|y| f64::from(y[i]));
            let mean = column().sum::<f64>() / n as f64;
            let variance = column().map(|y| (y - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
            self.parameters[m * d + i] = (rule * variance.sqrt()) as f32;
        }
        let end = self.parameters.len() - 1;
        self.parameters[end] = m as f32;
        Ok(())
    }

    /// E[x₁ − x₀ | x_t = x] of one row.
    fn velocity_at(&self, x: &[f32], t: f32, out: &mut [f32]) {
        let (d, t) = (self.dimension, f64::from(t));
        let spread = |h: f32| (1.0 - t).powi(2) + (t * f64::from(h)).powi(2);
        // log N(x; t y, S) without what all j share.
        let exponent = |x: f32, y: f32, h: f32| -(f64::from(x) - t * f64::from(y)).powi(2) / (2.0 * spread(h));
        let mean = |weights: &[f64], k: usize| {
            let (x, h) = (f64::from(x[k]), self.bandwidth()[k]);
            let pull = (t * f64::from(h).powi(2) - (1.0 - t)) / spread(h);
            let of = |(w, y): (&f64, &[f32])| w * (f64::from(y[k]) + pull * (x - t * f64::from(y[k])));
            weights.iter().zip(self.points().chunks_exact(d)).map(of).sum::<f64>() as f32
        };
        let along = |y: &[f32], k: usize| exponent(x[k], y[k], self.bandwidth()[k]);
        if self.config.joint {
            let logs = self.points().chunks_exact(d).map(|y| (0..d).map(|k| along(y, k)).sum());
            let weights = softmax(logs.collect());
            out.iter_mut().enumerate().for_each(|(k, out)| *out = mean(&weights, k));
        } else {
            for (k, out) in out.iter_mut().enumerate() {
                let weights = softmax(self.points().chunks_exact(d).map(|y| along(y, k)).collect());
                *out = mean(&weights, k);
            }
        }
    }
}

fn softmax(mut logs: Vec<f64>) -> Vec<f64> {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.iter_mut().for_each(|l| *l = (*l - top).exp());
    let sum: f64 = logs.iter().sum();
    logs.iter_mut().for_each(|l| *l /= sum);
    logs
}

impl_parameters!(Kde);

impl Method for Kde {
    fn closed_form(&mut self) -> Option<ClosedForm<'_>> {
        Some(Box::new(|curves| self.solve(curves)))
    }

    fn shaped(&mut self, shape: &dyn Fn(&str) -> Option<Vec<usize>>) {
        // What the file says of the rest is held against this when it is read.
        if let Some(&[rows, d]) = shape("points").as_deref()
            && (1..=self.config.points).contains(&rows)
            && d == self.dimension
        {
            self.set_rows(rows);
        }
    }

    fn batch(&self, curves: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch> {
        self.path.batch(curves, c, streams)
    }

    /// mean over B and D of (v − u)², as NM-CFM's; nothing is trained by it.
    fn loss(&self, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64 {
        scratch.output.resize(batch.x.len(), 0.0);
        self.velocity(&batch.x, &batch.t, None, &mut scratch.output, &mut scratch.tape);
        if let Some(gradient) = gradient {
            gradient.fill(0.0);
        }
        let squares = scratch.output.iter().zip(&batch.u).map(|(v, u)| f64::from(v - u).powi(2));
        squares.sum::<f64>() / batch.x.len() as f64
    }

    fn velocity(&self, x: &[f32], t: &[f32], _: Option<&[f32]>, out: &mut [f32], _: &mut Tape) {
        let rows = out.par_chunks_exact_mut(self.dimension).zip(x.par_chunks_exact(self.dimension)).zip(t);
        rows.for_each(|((out, x), t)| self.velocity_at(x, *t, out));
    }

    /// x₁ = y_j + h x₀ with j drawn for each row (and dimension); states on the straight way there.
    fn transport(&self, x: &mut [f32], _: Option<&[f32]>, how: &Transport, streams: &[Streams]) -> Result<Solution> {
        if how.solver != Solver::Euler {
            let expected = "euler (the default): a kernel density is drawn from at once, and no solver is used";
            return Err(Error::parameter("solver", expected, format!("{:?}", how.solver)));
        }
        if let Some(t) = how.at.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            return Err(Error::parameter("at", "times from 0 to 1", t));
        }
        let (d, m, start) = (self.dimension, self.count() as u64, x.to_vec());
        for (x, streams) in x.chunks_exact_mut(d).zip(streams) {
            let mut rng = streams.rng();
            let all = rng.random_range(0..m) as usize;
            for (k, x) in x.iter_mut().enumerate() {
                let j = if self.config.joint { all } else { rng.random_range(0..m) as usize };
                *x = self.points()[j * d + k] + self.bandwidth()[k] * *x;
            }
        }
        let between = |t: f64| start.iter().zip(&*x).map(move |(a, b)| a + t as f32 * (b - a));
        Ok(Solution { states: how.at.iter().copied().flat_map(between).collect(), evaluations: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::normal;
    use crate::nn::parameters::Parameters;
    use crate::solver::Integration;

    /// Two clusters in the plane, along the diagonal: dimensions that depend on each other.
    fn curves(n: usize) -> Vec<f32> {
        let mut out = vec![0.0; 2 * n * 2];
        normal::fill(&mut Streams::new(1).rng(), &mut out);
        for (i, y) in out[n * 2..].chunks_exact_mut(2).enumerate() {
            let side = if i % 2 == 0 { 2.0 } else { -2.0 };
            y.iter_mut().for_each(|y| *y = side + 0.3 * *y);
        }
        out
    }

    fn solved(joint: bool) -> Kde {
        let mut kde = KdeConfig { joint, ..KdeConfig::default() }.build(&[0.0, 1.0], 2).unwrap();
        kde.solve(&curves(200)).unwrap();
        kde
    }

    fn sampled(kde: &Kde, n: usize) -> Vec<f32> {
        let mut x = vec![0.0; n * 2];
        normal::fill(&mut Streams::new(2).rng(), &mut x);
        let streams: Vec<_> = (0..n as u64).map(|i| Streams::new(3).index(i)).collect();
        kde.transport(&mut x, None, &Transport { solver: Solver::Euler, steps: 1, at: vec![] }, &streams).unwrap();
        x
    }

    #[test]
    fn samples_have_the_moments_of_the_density_and_joint_ones_its_dependence() {
        let ends = &curves(200)[400..];
        for joint in [true, false] {
            let kde = solved(joint);
            let x = sampled(&kde, 20_000);
            for k in 0..2 {
                let moment = |points: &[f32], power: i32| {
                    points.chunks_exact(2).map(|y| f64::from(y[k]).powi(power)).sum::<f64>() / (points.len() / 2) as f64
                };
                // A kernel adds its own variance to that of the points.
                let truth = moment(ends, 2) + f64::from(kde.bandwidth()[k]).powi(2);
                assert!((moment(&x, 2) / truth - 1.0).abs() < 0.04, "{} {truth}", moment(&x, 2));
                assert!((moment(&x, 1) - moment(ends, 1)).abs() < 0.08);
            }
            let product = x.chunks_exact(2).map(|x| f64::from(x[0] * x[1])).sum::<f64>() / 20_000.0;
            assert!((product - if joint { 4.0 } else { 0.0 }).abs() < 0.2, "{joint}: {product}");
        }
    }

    #[test]
    fn the_drift_carries_the_source_to_the_law_that_is_drawn_from() {
        for joint in [true, false] {
            let kde = solved(joint);
            let mut x = vec![0.0; 4000 * 2];
            normal::fill(&mut Streams::new(5).rng(), &mut x);
            let mut tape = Tape::default();
            let mut drift = |x: &[f32], t: &[f32], v: &mut [f32]| kde.velocity(x, t, None, v, &mut tape);
            let integration = Integration { solver: Solver::Heun, steps: 60, span: [0.0, 1.0], at: vec![] };
            integration.run(&mut x, 2, &mut drift, None).unwrap();
            let drawn = sampled(&kde, 4000);
            for of in
                [|x: &[f32]| f64::from(x[0]), |x: &[f32]| f64::from(x[0] * x[0]), |x: &[f32]| f64::from(x[0] * x[1])]
            {
                let mean = |x: &[f32]| x.chunks_exact(2).map(of).sum::<f64>() / 4000.0;
                assert!((mean(&x) - mean(&drawn)).abs() < 0.25, "{joint}: {} {}", mean(&x), mean(&drawn));
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_a_few_points_are_enough() {
        let message = |c: KdeConfig| c.check().unwrap_err().to_string();
        assert!(message(KdeConfig { points: 1, ..KdeConfig::default() }).contains("method.kde.points"));
        assert!(message(KdeConfig { bandwidth: 0.0, ..KdeConfig::default() }).contains("method.kde.bandwidth"));
        let mut kde = KdeConfig { points: 8, ..KdeConfig::default() }.build(&[0.0, 1.0], 2).unwrap();
        assert!(kde.solve(&[0.0; 4]).unwrap_err().to_string().contains("at least 2"));
        kde.solve(&curves(20)).unwrap();
        assert_eq!(kde.count(), 8);
        kde.solve(&curves(3)).unwrap();
        assert_eq!((kde.count(), kde.parameters().len()), (3, 3 * 2 + 2 + 1));
        // As a file of an older version has it: more rows than points.
        let (of_three, bandwidth) = (kde.points().to_vec(), kde.bandwidth().to_vec());
        kde.shaped(&|name| (name == "points").then(|| vec![8, 2]));
        let all = kde.parameters_mut();
        all[..6].copy_from_slice(&of_three);
        all[16..18].copy_from_slice(&bandwidth);
        all[18] = 3.0;
        assert_eq!((kde.points(), kde.bandwidth()), (&of_three[..], &bandwidth[..]));
        for wrong in [vec![9, 2], vec![0, 2], vec![8, 3], vec![8]] {
            kde.shaped(&|_| Some(wrong.clone()));
            assert_eq!(kde.rows, 8, "{wrong:?}");
        }
    }
}
