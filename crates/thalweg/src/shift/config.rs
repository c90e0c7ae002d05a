//! Parameters of all tests, as TOML and `--set` hold them.
use super::baselines::ensemble_config::EnsembleConfig;
use super::disagreement::bank_config::BankConfig;
use super::disagreement::cdc::{Agree, CdcConfig};
use super::disagreement::conditional_config::ConditionalConfig;
use super::disagreement::meta_config::MetaConfig;
use super::disagreement::rounds::Rounds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Numbers that a bank has at most where nobody says its size: 64 MiB.
pub const BANK: usize = 1 << 24;
/// Its fewest networks then.
pub const SMALLEST: usize = 50;

/// Parameters of all tests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// CDCs for a query.
    pub cdc: CdcConfig,
    /// Rounds of CDCs for a query.
    pub detectron: Rounds,
    /// CDCs of the bank; those of its members.
    pub bank: BankConfig,
    /// How members of the bank are trained.
    #[serde(alias = "bank_cdc")]
    pub bank_cdc: BankCdc,
    /// The flow over CDCs.
    pub meta: MetaConfig,
    /// How the zoo of the flow is trained.
    #[serde(alias = "meta_cdc")]
    pub meta_cdc: MetaCdc,
    /// The generator conditioned on the query; its zoo is trained as the bank is.
    pub conditional: ConditionalConfig,
    /// The deep ensemble.
    pub ensemble: EnsembleConfig,
}

impl Config {
    /// Parameters measured to work for rows of features (`images` false: κ .004, learning rate .02, 120 steps on all of P, rows of the bank moved) or for
    /// images (κ .1, learning rate .003, 30 steps, three rounds, batches of 64; a bank of 50 on rows as they are).
    pub fn like(images: bool) -> Self {
        if !images {
            return Self::default();
        }
        let cdc =
            CdcConfig { kappa: 0.1, learning_rate: 3e-3, steps: 30, batch: 64, jitter: 0.0, ..CdcConfig::default() };
        Self {
            cdc,
            detectron: Rounds { rounds: 3, ..Rounds::default() },
            bank: BankConfig { size: 50, members: 5, rows: 32, offset: 0.0 },
            bank_cdc: BankCdc(CdcConfig { steps: 90, agree: Agree::Class, ..cdc }),
            meta: MetaConfig {
                zoo: 50,
                dimension: 32,
                rows: 32,
                kappa: 0.1,
                strength: 1000.0,
                ..MetaConfig::default()
            },
            meta_cdc: MetaCdc(CdcConfig { steps: 90, agree: Agree::Class, ..cdc }),
            conditional: ConditionalConfig { dimension: 32, ..ConditionalConfig::default() },
            ensemble: EnsembleConfig::default(),
        }
    }

    /// For a network of so many `parameters`: where the bank would have more than [`BANK`] numbers it is smaller, down to [`SMALLEST`] networks.
    pub fn within(mut self, parameters: usize) -> Self {
        let most = (BANK / parameters.max(1)).max(SMALLEST);
        self.bank.size = self.bank.size.min(most);
        self
    }
}

/// [`CdcConfig`] with the bank's defaults: κ .01, learning rate .01, 100 steps, batches of 128. (On ten networks for UCI Heart at |Q| = 10, held to f's
/// probabilities: AUROC of the probability taken .998 ± .001, and of the whole entropy, f's own in it, .91 ± .02; held to f's class .983 ± .006 and
/// .961 ± .012, for the class sharpens members.)
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct BankCdc(pub CdcConfig);

impl Default for BankCdc {
    fn default() -> Self {
        Self(CdcConfig { kappa: 0.01, learning_rate: 0.01, steps: 100, batch: 128, ..CdcConfig::default() })
    }
}

/// [`CdcConfig`] with the defaults of the meta-detectron's zoo: those of [`BankCdc`], held to f's class. (On UCI Heart at |Q| = 10, with κ .03, a zoo of
/// 400 and f's own entropy in it, tuning brought ℓ_cdc down 2.8 times and the AUROC of the entropy from .59 to .95; over CDCs held to probabilities 1.4
/// times, and from .72 to .92.)
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MetaCdc(pub CdcConfig);

impl Default for MetaCdc {
    fn default() -> Self {
        Self(CdcConfig { agree: Agree::Class, batch: CdcConfig::default().batch, ..BankCdc::default().0 })
    }
}

/// Banks of `size`, and flows over them of moments, for tests.
#[cfg(test)]
pub(super) fn small(size: usize) -> Config {
    let meta = MetaConfig {
        zoo: size,
        dimension: 6,
        width: 16,
        iterations: 1,
        trajectories: 2,
        samples: 4,
        ..MetaConfig::default()
    };
    let conditional =
        ConditionalConfig { dimension: 6, width: 16, steps: 50, samples: 6, ..ConditionalConfig::default() };
    Config { bank: BankConfig { size, ..BankConfig::default() }, meta, conditional, ..Config::default() }
}
