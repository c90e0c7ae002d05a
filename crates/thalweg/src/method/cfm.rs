//! Conditional flow matching, NM-CFM (M4; Lipman et al. 2023, Tong et al. 2024): a velocity field learns u = x₁ − x₀ at
//! x_t = (1 − t) x₀ + t x₁ + σ ε, and samples follow dx/dt = v(x, t).
//!
//! [`FlowMatching`] is regression on any [`Path`]; NM-CFM is the path with two anchors. `Paired` with the zoo's own source is the
//! method of the paper; with `Independent` and a Gaussian source the field also gives the score, and Euler–Maruyama may be used.
//! Not for zoos of independent initialisations: no map from a start to its end can be learned from some hundred pairs.
use super::{Method, MethodParameters, Scratch, Transport, regression};
use crate::coupling::Coupling;
use crate::field::{Field, FieldConfig};
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::path::anchors::Anchors;
use crate::path::interpolant::Interpolant;
use crate::path::{Batch, Path, ProbabilityPath, TimeLaw, Width};
use crate::solver::{Diffusion, Solution, Solver};
use crate::space::source::SourceKind;
use crate::{Error, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of NM-CFM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CfmConfig {
    /// Coupling of source and target (paired).
    pub coupling: Coupling,
    /// What sampling starts from, and training where starts are not paired (the zoo's own law).
    pub source: SourceKind,
    /// Standard deviation of a Gaussian source (1; above 0).
    #[serde(skip_serializing_if = "is_one")]
    pub source_deviation: f64,
    /// Starts of a Gaussian source that are drawn once and trained on again and again (0: every step draws its own).
    #[serde(skip_serializing_if = "is_zero")]
    pub source_points: usize,
    /// σ of the path (constant 0).
    pub width: Width,
    /// The law of training times (uniform).
    pub time_law: TimeLaw,
}

/// Older files, and most fits, say nothing of it.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(deviation: &f64) -> bool {
    *deviation == 1.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(points: &usize) -> bool {
    *points == 0
}

impl Default for CfmConfig {
    fn default() -> Self {
        let width = Width::Constant { sigma: 0.0 };
        Self {
            coupling: Coupling::default(),
            source: SourceKind::default(),
            source_deviation: 1.0,
            source_points: 0,
            width,
            time_law: TimeLaw::default(),
        }
    }
}

impl CfmConfig {
    /// The method with its `field`; `times` are those of the two marginals, 0 and 1.
    ///
    /// # Errors
    /// A number outside its range, or other times.
    pub fn build(&self, times: &[f64], field: Box<dyn Field>) -> Result<FlowMatching> {
        let path = Path::new(Interpolant::Linear, times, self.width, self.time_law)?;
        let gaussian = self.coupling == Coupling::Independent && self.source == SourceKind::Gaussian;
        let has_score = gaussian && self.source_deviation == 1.0 && self.width == Width::Constant { sigma: 0.0 };
        Ok(FlowMatching::new(path, field, has_score))
    }
}

impl MethodParameters for CfmConfig {
    fn check(&self) -> Result<()> {
        if !self.source_deviation.is_finite() || self.source_deviation <= 0.0 {
            let expected = "a finite number above 0";
            return Err(Error::parameter("method.cfm.source-deviation", expected, self.source_deviation));
        }
        let plain = self.source_deviation == 1.0 && self.source_points == 0;
        if !plain && self.source != SourceKind::Gaussian {
            let found =
                format!("{:?} with source-deviation or source-points, which a Gaussian source has", self.source);
            return Err(Error::parameter("method.cfm.source", "gaussian", found));
        }
        self.width.check("method.cfm.width").and_then(|()| self.time_law.check("method.cfm.time-law"))
    }

    fn coupling(&self) -> Coupling {
        self.coupling
    }

    fn source(&self) -> SourceKind {
        self.source
    }

    fn source_deviation(&self) -> f64 {
        self.source_deviation
    }

    fn source_points(&self) -> usize {
        self.source_points
    }

    fn start_from(&mut self, source: SourceKind) {
        (self.source, self.coupling) = (source, Coupling::Independent);
    }

    fn build(
        &self,
        times: &[f64],
        dimension: usize,
        field: &FieldConfig,
        streams: &Streams,
    ) -> Result<Box<dyn Method>> {
        Ok(Box::new(CfmConfig::build(self, times, field.build(dimension, streams)?)?))
    }
}

/// A velocity field trained by regression on the velocities of a path.
pub struct FlowMatching {
    path: Box<dyn ProbabilityPath>,
    field: Box<dyn Field>,
    has_score: bool,
}

impl FlowMatching {
    /// A flow from a standard Gaussian along straight lines, their ends independent of each other.
    ///
    /// # Errors
    /// None: kept for what [`Path::straight`] refuses.
    pub fn from_gaussian(field: Box<dyn Field>) -> Result<Self> {
        Ok(Self::new(Path::straight(&[0.0, 1.0])?, field, true))
    }

    /// `has_score` says that the score is (t v − x)/(1 − t): a straight path from a standard Gaussian that is independent of the target.
    pub fn new(path: impl ProbabilityPath + 'static, field: Box<dyn Field>, has_score: bool) -> Self {
        Self { path: Box::new(path), field, has_score }
    }

    /// The field.
    pub fn field(&self) -> &dyn Field {
        &*self.field
    }
}

impl_parameters!(FlowMatching, field);

impl Method for FlowMatching {
    fn velocity_field(&self) -> Option<&dyn Field> {
        Some(&*self.field)
    }

    fn batch(&self, curves: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch> {
        self.path.batch(curves, c, streams)
    }

    /// mean over B and P of (v − u)². Deviates: M4 sums over P; the mean keeps the loss of one size for networks of any size.
    fn loss(&self, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64 {
        regression::loss(&*self.field, batch, scratch, gradient)
    }

    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        self.field.velocity(x, t, c, out, tape);
    }

    /// dx/dt = v. With Euler–Maruyama and noise η: dX = (v + ½ g² s) dt + g dW with g² = η² (1 − t), which has the same
    /// marginals, and ½ g² s = ½ η² (t v − x) without a pole.
    fn transport(&self, x: &mut [f32], c: Option<&[f32]>, how: &Transport, streams: &[Streams]) -> Result<Solution> {
        let mut scratch = Scratch::default();
        let mut noise = 0.0;
        if let Solver::EulerMaruyama { noise: eta } = how.solver {
            if !self.has_score {
                let expected = "an ODE solver: the score is known only for cfm with source gaussian, coupling independent and width 0";
                return Err(Error::parameter("solver", expected, "euler-maruyama"));
            }
            noise = eta;
        }
        let half = (noise * noise / 2.0) as f32;
        let p = self.field.dimension();
        let mut drift = |x: &[f32], t: &[f32], v: &mut [f32]| {
            self.field.velocity(x, t, c, v, &mut scratch.tape);
            if half > 0.0 {
                for ((v, x), t) in v.chunks_exact_mut(p).zip(x.chunks_exact(p)).zip(t) {
                    v.iter_mut().zip(x).for_each(|(v, x)| *v += half * (t * *v - x));
                }
            }
        };
        let scale = |t: f64| noise * (1.0 - t).max(0.0).sqrt();
        let mut rngs: Vec<_> = streams.iter().map(Streams::rng).collect();
        let diffusion = (noise > 0.0).then_some(Diffusion { scale: &scale, rngs: &mut rngs });
        how.integration().run(x, p, &mut drift, diffusion)
    }
}

#[cfg(test)]
#[path = "cfm_tests.rs"]
mod tests;
