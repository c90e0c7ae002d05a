//! Parameters of NM-JKO.
use super::base::Method;
use super::parameters::MethodParameters;
use crate::coupling::Coupling;
use crate::field::feature_potential::{FeatureConfig, StepForm};
use crate::field::{FieldConfig, MlpPotentialConfig};
use crate::space::source::SourceKind;
use crate::{Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of NM-JKO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct JkoConfig {
    /// k, steps from source to target (5; 1 to 63, and fewer than the zoo has checkpoints).
    pub steps: usize,
    /// Coupling of source and target (paired).
    pub coupling: Coupling,
    /// What sampling starts from (the zoo's own law).
    pub source: SourceKind,
    /// At which end of a step the gradient is taken (explicit: the old one).
    pub form: StepForm,
    /// Whether V depends on time (true).
    pub time_dependent: bool,
    /// Standard deviation of normal noise on the points where gradients are taken, in standardised units (0.3; at least 0): what teaches
    /// the potential to bring points from around the data along with the data.
    pub noise: f64,
    /// Whether β is learned (false: β = 0).
    pub internal_energy: bool,
    /// V (mlp 16 × 2: wider ones measured no better on zoos of some hundred runs).
    pub potential: PotentialConfig,
}

/// What the potential of NM-JKO is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum PotentialConfig {
    /// A network, trained by steps.
    Mlp(MlpPotentialConfig),
    /// Linear in features, solved in closed form.
    Features(FeatureConfig),
}

impl Default for JkoConfig {
    fn default() -> Self {
        Self {
            steps: 5,
            coupling: Coupling::default(),
            source: SourceKind::default(),
            form: StepForm::default(),
            time_dependent: true,
            noise: 0.3,
            internal_energy: false,
            potential: PotentialConfig::Mlp(MlpPotentialConfig { width: 16, ..MlpPotentialConfig::default() }),
        }
    }
}

impl MethodParameters for JkoConfig {
    fn check(&self) -> Result<()> {
        JkoConfig::check(self)
    }

    fn marginals(&self) -> usize {
        self.steps + 1
    }

    fn most_marginals(&self, checkpoints: usize) -> Option<(&'static str, usize)> {
        Some(("steps", checkpoints.saturating_sub(1).max(1)))
    }

    fn set_marginals(&mut self, value: usize) {
        self.steps = value;
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
        Ok(Box::new(JkoConfig::build(self, times, dimension, streams)?))
    }

    fn is_solved(&self) -> bool {
        matches!(self.potential, PotentialConfig::Features(_))
    }

    fn numbers(&self, _curves: usize, dimension: usize, _field: &FieldConfig) -> usize {
        match &self.potential {
            PotentialConfig::Mlp(potential) => potential.numbers(dimension),
            PotentialConfig::Features(features) => features.numbers(dimension),
        }
    }
}
