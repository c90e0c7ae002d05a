//! Parameters of the experiment, and what follows from them for each zoo and fit.
use crate::experiments::flows::Named;
use crate::experiments::methods::Methods;
use crate::settings;
use anyhow::Result;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Connectivity {
    pub(super) seed: u64,
    pub(super) data: Vec<String>,
    /// Hidden units of the perceptrons, one layer.
    pub(super) widths: Vec<usize>,
    /// Weight decays.
    pub(super) decays: Vec<f64>,
    pub(super) fits: u64,
    pub(super) samples: usize,
    /// Whether the first method is also fitted to weights shuffled within tensors, as a control.
    pub(super) control: bool,
    /// New runs whose course says what training comes to in a method's seconds; none where 0.
    pub(super) new_runs: usize,
    /// Only these of the methods; all where empty.
    pub(super) only: Vec<String>,
    /// What all zoos share; width, decay and data are filled in.
    pub(super) zoo: toml::Table,
    /// What all fits share.
    pub(super) fit: toml::Table,
    pub(super) methods: Vec<Named>,
}

impl Connectivity {
    /// The methods to run.
    pub(super) fn methods(&self) -> Methods<'_> {
        let methods = self.methods.iter().filter(|m| self.only.is_empty() || self.only.contains(&m.name)).collect();
        let Self { seed, fits, samples, control, ref fit, .. } = *self;
        Methods { seed, fits, samples, control, fit, methods }
    }

    /// What decides the zoo.
    ///
    /// # Errors
    /// A width beyond all numbers.
    pub(super) fn table(&self, data: &str, width: usize, decay: f64) -> Result<toml::Table> {
        let mut own = toml::Table::from_iter([("architecture".to_owned(), "mlp".into())]);
        own.insert("data".into(), data.into());
        own.insert("widths".into(), vec![i64::try_from(width)?].into());
        own.insert("recipe".into(), toml::Table::from_iter([("weight-decay".to_owned(), decay.into())]).into());
        Ok(settings::over(&self.zoo, &own))
    }
}
