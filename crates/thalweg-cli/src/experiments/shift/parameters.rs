//! Parameters of the experiment, and its lines.
use super::world::Home;
use crate::results::Row;
use crate::row;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thalweg::shift::Method;
use thalweg::shift::law::power::Share;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Shifts {
    pub(super) seed: u64,
    pub(super) homes: Vec<String>,
    pub(super) sizes: Vec<usize>,
    pub(super) bases: u64,
    pub(super) draws: usize,
    pub(super) null: usize,
    pub(super) level: f64,
    pub(super) choose: bool,
    pub(super) methods: Vec<Method>,
    /// What differs from the parameters measured for the kind of rows (`Config::like`).
    #[serde(default)]
    pub(super) tests: toml::Table,
    pub(super) home: BTreeMap<String, Home>,
}

/// One statistic of one test in one cell, over the base networks.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) home: String,
    pub(super) shift: String,
    pub(super) size: usize,
    pub(super) method: &'static str,
    pub(super) statistic: String,
    /// Whether it counts for the verdict of harm.
    pub(super) verdict: bool,
    /// Of each base network: power, AUROC with its error, milliseconds, set-up seconds, f's accuracy at home and away.
    pub(super) of_base: Vec<OfBase>,
    /// Unshifted draws rejected, and all of them.
    pub(super) type_one: (usize, usize),
}

impl Line {
    /// Mean over the base networks with its standard error: of the draws where there is one network, else the spread over networks.
    pub(super) fn estimate(&self, of: impl Fn(&OfBase) -> (f64, f64)) -> (f64, f64) {
        let values: Vec<(f64, f64)> = self.of_base.iter().map(of).collect();
        let n = values.len() as f64;
        let mean = values.iter().map(|v| v.0).sum::<f64>() / n;
        let spread = (values.iter().map(|v| (v.0 - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
        let within = values.iter().map(|v| v.1 * v.1).sum::<f64>().sqrt() / n;
        (mean, if spread.is_finite() { spread.max(within) } else { within })
    }

    pub(super) fn power(&self) -> (f64, f64) {
        self.estimate(|b| (b.power.share, b.power.error))
    }

    pub(super) fn auroc(&self) -> (f64, f64) {
        self.estimate(|b| b.auroc)
    }

    pub(super) fn mean(&self, of: impl Fn(&OfBase) -> f64) -> f64 {
        self.estimate(|b| (of(b), 0.0)).0
    }

    pub(super) fn type_one(&self) -> Result<Share> {
        Ok(Share::of(self.type_one.0, self.type_one.1)?)
    }

    pub(super) fn row(&self) -> Result<Row> {
        let ((power, power_error), (auroc, auroc_error), one) = (self.power(), self.auroc(), self.type_one()?);
        let mut row = row! {
            "home" => self.home, "shift" => self.shift, "query_rows" => self.size, "method" => self.method,
            "statistic" => self.statistic, "verdict" => self.verdict, "base_networks" => self.of_base.len(),
            "tpr" => power, "tpr_standard_error" => power_error,
            "auroc" => auroc, "auroc_standard_error" => auroc_error,
            "type_one_error" => one.share, "type_one_low" => one.low, "type_one_high" => one.high, "unshifted_draws" => self.type_one.1,
            "milliseconds_a_query" => self.mean(|b| b.milliseconds), "set_up_seconds" => self.mean(|b| b.setup),
            "accuracy_on_p" => self.mean(|b| b.accuracy.0), "accuracy_on_q" => self.mean(|b| b.accuracy.1),
        };
        let agreements: Option<Vec<[f64; 2]>> = self.of_base.iter().map(|b| b.agreement).collect();
        if let Some(each) = agreements {
            let of = |i: usize| each.iter().map(|a| a[i]).sum::<f64>() / each.len() as f64;
            row.extend(row! { "cdc_agreement_trained" => of(0), "cdc_agreement_unseen" => of(1) });
        }
        Ok(row)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct OfBase {
    pub(super) power: Share,
    pub(super) auroc: (f64, f64),
    pub(super) milliseconds: f64,
    pub(super) setup: f64,
    pub(super) accuracy: (f64, f64),
    /// Agreement with f of CDCs for validation draws of P, on P's training rows and on its validation rows, where they were trained for queries.
    pub(super) agreement: Option<[f64; 2]>,
}
