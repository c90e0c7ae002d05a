//! Action matching (M7; Neklyudov et al. ICML 2023): a scalar action s(x, t) whose gradient is the drift, trained on marginals alone.
//!
//! L(s) = E_{p₀} s₀ − E_{p₁} s₁ + ∫ E_{p_t}[½‖∇s_t‖² + ∂_t s_t] dt needs no velocities; p_t is sampled from the path of M5. s = −V, V a potential
//! network. Rows at 0, t and 1 lie on the same curves with the same path noise, which leaves the mean as it is and takes most of the
//! variance out of the difference of the ends. The loss is minus the kinetic energy of the best gradient field at its minimum, so it is
//! negative, and compares fits on the same data only; the action gap ([`crate::judge::action_gap`]) compares methods.
//! When not: where curves are known, regression on their velocities (M5) has less variance for the same answer.
use super::{Method, MethodParameters, Scratch, Transport};
use crate::coupling::Coupling;
use crate::field::{Cotangents, Field, FieldConfig, Jet, MlpPotential, MlpPotentialConfig, Potential};
use crate::nn::gradient::Gradient;
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::path::anchors::Anchors;
use crate::path::interpolant::Interpolant;
use crate::path::{Batch, Path, ProbabilityPath, TimeLaw, Width};
use crate::solver::{Solution, Solver};
use crate::space::source::SourceKind;
use crate::{Error, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of action matching.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ActionConfig {
    /// k, marginals between source and target that the path goes through (5; 0 to 62).
    pub marginals: usize,
    /// The curve through the marginals (cubic-not-a-knot).
    pub interpolant: Interpolant,
    /// Coupling of source and target (paired).
    pub coupling: Coupling,
    /// What sampling starts from (the zoo's own law).
    pub source: SourceKind,
    /// σ of the path (constant 0.3).
    pub width: Width,
    /// The action's network (16 × 2).
    pub potential: MlpPotentialConfig,
}

impl Default for ActionConfig {
    fn default() -> Self {
        Self {
            marginals: 5,
            interpolant: Interpolant::default(),
            coupling: Coupling::default(),
            source: SourceKind::default(),
            width: Width::Constant { sigma: 0.3 },
            potential: MlpPotentialConfig { width: 16, ..MlpPotentialConfig::default() },
        }
    }
}

impl ActionConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        if self.marginals > 62 {
            return Err(Error::parameter("method.action.marginals", "0 to 62", self.marginals));
        }
        self.width.check("method.action.width")?;
        self.potential.check()
    }

    /// The method over points `[dimension]`; `times` are those of all marginals, from 0 to 1.
    ///
    /// # Errors
    /// A number outside its range, or times that do not increase from 0 to 1.
    pub fn build(&self, times: &[f64], dimension: usize, streams: &Streams) -> Result<ActionMatching> {
        self.check()?;
        // Times are uniform: M7 integrates over dt.
        let path = Path::new(self.interpolant, times, self.width, TimeLaw::Uniform)?;
        Ok(ActionMatching { path, potential: MlpPotential::new(dimension, &self.potential, streams)? })
    }
}

impl MethodParameters for ActionConfig {
    fn check(&self) -> Result<()> {
        ActionConfig::check(self)
    }

    fn marginals(&self) -> usize {
        self.marginals + 2
    }

    fn most_marginals(&self, checkpoints: usize) -> Option<(&'static str, usize)> {
        Some(("marginals", checkpoints.saturating_sub(2)))
    }

    fn set_marginals(&mut self, value: usize) {
        self.marginals = value;
    }

    fn coupling(&self) -> Coupling {
        self.coupling
    }

    fn source(&self) -> SourceKind {
        self.source
    }

    fn build(
        &self,
        times: &[f64],
        dimension: usize,
        field: &FieldConfig,
        streams: &Streams,
    ) -> Result<Box<dyn Method>> {
        let _ = field;
        Ok(Box::new(ActionConfig::build(self, times, dimension, streams)?))
    }

    fn numbers(&self, _curves: usize, dimension: usize, _field: &FieldConfig) -> usize {
        self.potential.numbers(dimension)
    }
}

/// A potential V = −s trained by action matching.
pub struct ActionMatching {
    path: Path,
    potential: MlpPotential,
}

impl_parameters!(ActionMatching, potential);

impl Method for ActionMatching {
    /// Three rows a curve: B at random times, B at 0, B at 1, on the same paths.
    fn batch(&self, curves: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch> {
        let mut batch = self.path.batch(curves, c, streams)?;
        for end in [0.0, 1.0] {
            let ends = self.path.batch_at(Some(end), curves, None, streams)?;
            batch.x.extend(ends.x);
            batch.t.extend(ends.t);
            batch.u.extend(ends.u);
        }
        Ok(batch)
    }

    /// M7 over P, with s = −V: mean over curves of V(x₁, 1) − V(x₀, 0) + ½‖∇V‖² − ∂_t V.
    fn loss(&self, batch: &Batch, scratch: &mut Scratch, gradient: Option<&mut [f32]>) -> f64 {
        let p = self.potential.dimension();
        let rows = batch.t.len() / 3;
        let scale = 1.0 / (rows * p) as f32;
        scratch.output.resize(batch.x.len(), 0.0);
        let (mut value, mut rate) = (vec![0.0; 3 * rows], vec![0.0; 3 * rows]);
        let jet = Jet { value: Some(&mut value), gradient: &mut scratch.output, rate: Some(&mut rate) };
        self.potential.evaluate(&batch.x, &batch.t, jet, &mut scratch.tape);
        let (inside, ends) = scratch.output.split_at_mut(rows * p);
        let mut total = 0.0;
        for (i, g) in inside.chunks_exact_mut(p).enumerate() {
            let squares: f64 = g.iter().map(|g| f64::from(g * g)).sum();
            let difference = f64::from(value[2 * rows + i]) - f64::from(value[rows + i]);
            total += 0.5 * squares - f64::from(rate[i]) + difference;
            g.iter_mut().for_each(|g| *g *= scale);
        }
        if let Some(gradient) = gradient {
            ends.fill(0.0);
            let sign = |row: usize| [0.0, -scale, scale][row / rows];
            let a: Vec<f32> = (0..3 * rows).map(sign).collect();
            let b: Vec<f32> = (0..3 * rows).map(|row| if row < rows { -scale } else { 0.0 }).collect();
            let weights = Cotangents { value: Some(&a), gradient: Some(&scratch.output), rate: Some(&b) };
            self.potential.vjp(&weights, &mut scratch.tape, Gradient::Write(gradient), None);
        }
        total / (rows * p) as f64
    }

    /// ∇s = −∇V.
    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        self.potential.velocity(x, t, c, out, tape);
    }

    /// dx/dt = ∇s.
    fn transport(&self, x: &mut [f32], c: Option<&[f32]>, how: &Transport, _: &[Streams]) -> Result<Solution> {
        if let Solver::EulerMaruyama { .. } = how.solver {
            return Err(Error::parameter("solver", "an ODE solver: action matching gives no score", "euler-maruyama"));
        }
        let mut tape = Tape::default();
        let mut drift = |x: &[f32], t: &[f32], v: &mut [f32]| self.potential.velocity(x, t, c, v, &mut tape);
        how.integration().run(x, self.potential.dimension(), &mut drift, None)
    }
}

#[cfg(test)]
#[path = "action_tests.rs"]
mod tests;
