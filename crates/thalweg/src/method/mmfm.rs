//! Multi-marginal flow matching, NM-MMFM(k) (M5; Rohbeck et al. ICLR 2025): [`FlowMatching`] on a path through k intermediate
//! marginals besides source and target.
//!
//! x_t = μ_t + σ_t ε with μ_t a cubic spline through k + 2 checkpoints of one run, u = μ̇_t + σ̇_t ε. Everything else (loss, transport) is NM-CFM's,
//! and k = 0 with a linear interpolant is NM-CFM by the same code. Keep σ above 0: recorded curves are smooth, and a field
//! that has only seen them is unconstrained off them (on a shared zoo σ = 0 ends at .28 accuracy where σ = .5 ends at .76).
//! Where runs are not paired across time, `Independent` and `OptimalTransport` join neighbouring marginals batch by batch.
use super::{FlowMatching, Method, MethodParameters};
use crate::coupling::Coupling;
use crate::field::{Field, FieldConfig};
use crate::path::interpolant::Interpolant;
use crate::path::{Path, TimeLaw, Width};
use crate::space::source::SourceKind;
use crate::{Error, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of NM-MMFM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MmfmConfig {
    /// k, intermediate marginals (5; 0 to 62, and no more than the zoo has checkpoints between first and last).
    pub marginals: usize,
    /// The curve through the marginals (cubic-not-a-knot).
    pub interpolant: Interpolant,
    /// Coupling of source and target (paired).
    pub coupling: Coupling,
    /// What sampling starts from (the zoo's own law).
    pub source: SourceKind,
    /// σ of the path (constant 0.3).
    pub width: Width,
    /// The law of training times (uniform).
    pub time_law: TimeLaw,
}

impl Default for MmfmConfig {
    fn default() -> Self {
        Self {
            marginals: 5,
            interpolant: Interpolant::default(),
            coupling: Coupling::default(),
            source: SourceKind::default(),
            width: Width::Constant { sigma: 0.3 },
            time_law: TimeLaw::default(),
        }
    }
}

impl MmfmConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        if self.marginals > 62 {
            return Err(Error::parameter("method.mmfm.marginals", "0 to 62", self.marginals));
        }
        self.width.check("method.mmfm.width")?;
        self.time_law.check("method.mmfm.time-law")
    }

    /// The method with its `field`; `times` are those of all marginals, from 0 to 1.
    ///
    /// # Errors
    /// A number outside its range, or times that do not increase from 0 to 1.
    pub fn build(&self, times: &[f64], field: Box<dyn Field>) -> Result<FlowMatching> {
        self.check()?;
        Ok(FlowMatching::new(Path::new(self.interpolant, times, self.width, self.time_law)?, field, false))
    }
}

impl MethodParameters for MmfmConfig {
    fn check(&self) -> Result<()> {
        MmfmConfig::check(self)
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
        Ok(Box::new(MmfmConfig::build(self, times, field.build(dimension, streams)?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{CfmConfig, Scratch};
    use crate::path::anchors::Anchors;
    use rand::RngExt;

    #[test]
    fn without_intermediate_marginals_it_is_paired_cfm_bit_for_bit() {
        let mut rng = Streams::new(1).rng();
        let curves: Vec<f32> = (0..2 * 16 * 9).map(|_| rng.random::<f32>()).collect();
        let field = || FieldConfig::default().build(9, &Streams::new(2)).unwrap();
        let width = Width::Constant { sigma: 0.3 };
        for interpolant in [Interpolant::Linear, Interpolant::CubicNotAKnot] {
            let mmfm = MmfmConfig { marginals: 0, interpolant, width, ..MmfmConfig::default() };
            let mmfm = mmfm.build(&[0.0, 1.0], field()).unwrap();
            let cfm = CfmConfig { width, ..CfmConfig::default() }.build(&[0.0, 1.0], field()).unwrap();
            for step in 0..5 {
                let (streams, curves) = (Streams::new(3).index(step), Anchors::dense(&curves, 2, 9).unwrap());
                let (a, b) =
                    (mmfm.batch(&curves, None, &streams).unwrap(), cfm.batch(&curves, None, &streams).unwrap());
                assert_eq!(a, b);
                assert_eq!(mmfm.loss(&a, &mut Scratch::default(), None), cfm.loss(&b, &mut Scratch::default(), None));
            }
        }
    }

    #[test]
    fn parameters_are_checked_by_name() {
        let bad = MmfmConfig { marginals: 63, ..MmfmConfig::default() };
        assert!(bad.check().unwrap_err().to_string().contains("method.mmfm.marginals"));
        let unknown = toml::from_str::<MmfmConfig>("marginal = 3").unwrap_err().to_string();
        assert!(unknown.contains("marginal"), "{unknown}");
        let read: MmfmConfig = toml::from_str("width = { bridge = { sigma = 0.5, floor = 0.05 } }").unwrap();
        assert_eq!(read.width, Width::Bridge { sigma: 0.5, floor: 0.05 });
    }
}
