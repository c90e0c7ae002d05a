//! [`Watch`]: one batch of rows after the other, day after day, with a bound on false alarms over all time.
//!
//! Testing every batch at level α alarms sooner or later, shift or none. Here the batches' p-values become [`Evidence`] that may be looked at after
//! each of them: without shift, the probability that a watch *ever* alarms is at most α.
//!
//! **Why that holds.** Let the held-out rows and all rows watched be exchangeable. The p-value of batch b compares it by permutation
//! ([`super::law::permutation`]) with the held-out rows and the batches before it. Given the rows up to b as an unordered set, and everything after b, it
//! is uniform or larger; p-values of later batches are functions of those sets and of independent random numbers. So each p-value is uniform or larger
//! given all later ones, they are as good as independent, and the bets are fair. A null law that is drawn once and used for every batch has no such
//! property: its own error is in every p-value. Where there are more rows than [`HELD_OUT`], a fresh random part of them serves.
//!
//! What it does not cover: rows of a batch that depend on each other (the same customer ten times) are not exchangeable with held-out rows. Rows that were
//! watched before are recognised and not counted twice.
mod evidence;
mod file;
#[cfg(test)]
mod tests;

pub use evidence::Evidence;

use super::base::Sample;
use super::calibration::{Calibration, HELD_OUT, Verdict};
use super::law::outcome::Outcome;
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};
use thalweg_nets::progress::Progress;

/// One batch, as it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Batch {
    /// What it was called.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// Whether they were appended to those of the last batch of this name.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub appended: bool,
    /// What it would come to by itself, were it the only one.
    pub alone: Outcome,
    /// Its p-value of harm; none where no test asks for harm.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub harm: Option<f64>,
    /// Its p-value of both questions.
    pub overall: f64,
    /// The evidence of any shift after it.
    pub evidence: f64,
    /// The evidence of harm after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence_of_harm: Option<f64>,
    /// What the watch came to after it.
    pub outcome: Outcome,
}

/// What of a watch is kept as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Record {
    /// BLAKE3 of the calibration.
    calibration: String,
    /// The level over all time.
    level: f64,
    /// The seed.
    seed: u64,
    /// Evidence of any shift.
    overall: Evidence,
    /// Evidence of harm.
    harm: Evidence,
    /// The batches so far.
    #[serde(default)]
    batches: Vec<Batch>,
}

/// A watch over rows that come in batches.
#[derive(Clone, Debug)]
pub struct Watch {
    record: Record,
    /// All rows so far.
    rows: Sample,
}

/// What became of rows that were shown to a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// They are a new batch: what the tests say of it alone.
    New(Box<Verdict>),
    /// All of them were watched before: nothing has changed.
    Before,
}

impl Watch {
    /// A watch that has seen nothing, at `level` over all time.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn new(calibration: &Calibration, level: f64, seed: u64) -> Result<Self> {
        if !(level > 0.0 && level < 1.0) {
            return Err(Error::parameter("level", "a number between 0 and 1", level));
        }
        let (overall, harm) = (Evidence::default(), Evidence::default());
        let record = Record { calibration: identity(calibration), level, seed, overall, harm, batches: Vec::new() };
        Ok(Self { record, rows: calibration.reference().held_out.rows(&[]) })
    }

    /// The batches so far.
    pub fn batches(&self) -> &[Batch] {
        &self.record.batches
    }

    /// All rows so far.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The level over all time.
    pub fn level(&self) -> f64 {
        self.record.level
    }

    /// What it has come to so far. An alarm stays: whoever has acted on it begins another watch.
    pub fn outcome(&self) -> Outcome {
        let Record { overall, harm, level, .. } = &self.record;
        match (overall.alarms(*level), harm.alarms(*level)) {
            (true, true) => Outcome::HarmfulShift,
            (true, false) => Outcome::ShiftedHarmNotEstablished,
            (false, _) => Outcome::NoEvidenceOfHarm,
        }
    }

    /// A p-value of any shift so far, valid whenever it is looked at.
    pub fn p_value(&self) -> f64 {
        self.record.overall.p_value()
    }

    /// The first batch after which it had an outcome other than none.
    pub fn since(&self) -> Option<&Batch> {
        self.batches().iter().find(|batch| batch.outcome != Outcome::NoEvidenceOfHarm)
    }

    /// Shows it the rows called `name`. Of a file that is appended to, what was watched before is left out: rows that begin with those watched last
    /// under the same name, as they were. Rows that are all those of an earlier batch are not watched again.
    ///
    /// # Errors
    /// The calibration of another watch; no rows, or ones that do not fit; as the tests' own; interruption. Nothing is then taken in.
    pub fn add(
        &mut self,
        calibration: &Calibration,
        name: &str,
        rows: &Sample,
        progress: &dyn Progress,
    ) -> Result<Seen> {
        if self.record.calibration != identity(calibration) {
            return Err(Error::parameter("calibration", "the one that the watch was begun with", "another"));
        }
        let Some((new, appended)) = self.unseen(name, rows) else { return Ok(Seen::Before) };
        let streams = Streams::new(self.record.seed).child("watch").index(self.batches().len() as u64);
        let pool = calibration.reference().held_out.clone().joined(&self.rows);
        let pool = pool.rows(&pool.part(HELD_OUT, &mut streams.child("pool").rng()));
        let verdict = calibration.against(&pool, &new, self.record.level, None, &streams.child("test"), progress)?;
        self.enter(name, &new, appended, &verdict)?;
        Ok(Seen::New(Box::new(verdict)))
    }

    fn enter(&mut self, name: &str, new: &Sample, appended: bool, verdict: &Verdict) -> Result<()> {
        let overall = verdict.answer.overall;
        let explained = verdict.explained.map_or(0.0, |explained| explained.p_value);
        let harm = verdict.answer.harm.map(|p| p.max(explained));
        self.record.overall.add(overall)?;
        if let Some(p) = harm {
            self.record.harm.add(p)?;
        }
        self.rows = std::mem::take(&mut self.rows).joined(new);
        let batch = Batch {
            name: name.to_owned(),
            rows: new.len(),
            appended,
            alone: verdict.outcome,
            harm,
            overall,
            evidence: self.record.overall.capital(),
            evidence_of_harm: harm.map(|_| self.record.harm.capital()),
            outcome: self.outcome(),
        };
        self.record.batches.push(batch);
        Ok(())
    }

    /// The rows that were not watched yet, and whether they were appended to others; none where all were watched.
    fn unseen(&self, name: &str, rows: &Sample) -> Option<(Sample, bool)> {
        let mut start = 0;
        let mut of_name = Vec::new();
        for batch in self.batches() {
            let these: Vec<usize> = (start..start + batch.rows).collect();
            start += batch.rows;
            if batch.rows == rows.len() && same(&self.rows.rows(&these), rows) {
                return None;
            }
            if batch.name == name {
                if !batch.appended {
                    of_name.clear();
                }
                of_name.extend(these);
            }
        }
        let known = of_name.len();
        let first = |n: usize| rows.rows(&(0..n).collect::<Vec<_>>());
        let grown = known > 0 && known <= rows.len() && same(&first(known), &self.rows.rows(&of_name));
        match grown {
            true if known == rows.len() => None,
            true => Some((rows.rows(&(known..rows.len()).collect::<Vec<_>>()), true)),
            false => Some((rows.clone(), false)),
        }
    }
}

/// Whether two samples are of the same rows.
fn same(a: &Sample, b: &Sample) -> bool {
    if a.width() > 0 { a.inputs == b.inputs } else { a.logits == b.logits }
}

/// What tells a calibration from others: its record and its rows.
fn identity(calibration: &Calibration) -> String {
    let mut hasher = blake3::Hasher::new();
    // Fields that older records do not have: what they were begun with must stay the same text.
    let record = format!("{:?}", calibration.record).replace(" stand_in: None,", "").replace(" encoding: None,", "");
    hasher.update(record.as_bytes());
    let held_out = &calibration.reference().held_out;
    for values in [&held_out.inputs, &held_out.logits] {
        for v in values.iter() {
            hasher.update(&v.to_le_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}
