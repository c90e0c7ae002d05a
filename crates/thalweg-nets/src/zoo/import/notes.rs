//! What an [`ImportPlan`] tells before anything is written.
use super::plan::ImportPlan;
use crate::numbers::is_float;
use crate::zoo::checkpoints::{By, Network, PassedOver, names};
use crate::zoo::template::Source;
use safetensors::Dtype;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// `a, b, c and 4 more`.
fn some<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = all.len().checked_sub(3).filter(|n| *n > 0).map_or(String::new(), |n| format!(" and {n} more"));
    format!("{}{more}", all.take(3).collect::<Vec<_>>().join(", "))
}

impl ImportPlan {
    /// What a user should know, a sentence each: how names were read, what is frozen, tied, kept and passed over, how inputs are standardised.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.found.notes.clone();
        notes.extend(self.spacing());
        notes.extend(PassedOver::told(&self.found.passed_over, &self.source));
        let renamed: BTreeSet<&str> = self.readings.iter().filter_map(|r| r.renamed.as_deref()).collect();
        notes.extend(renamed.into_iter().map(str::to_owned));
        let own: Vec<&str> = self.layout.slots().iter().map(|slot| slot.name.as_str()).collect();
        if let Some(prefix) = names::wrapped(&own) {
            notes.push(format!("all names begin with {prefix}, as a wrapper wrote them; they are kept so"));
        }
        notes.extend(self.frozen());
        notes.extend(self.tied());
        notes.extend(self.kept());
        let kept: BTreeSet<&str> = self.parts.rest.keys().map(String::as_str).collect();
        let all = self.readings.iter().flat_map(|r| &r.passed_over);
        let passed: BTreeSet<&str> = all
            .map(String::as_str)
            .filter(|told| !told.rsplit_once(" (").is_some_and(|(name, _)| self.is_kept(&kept, name)))
            .collect();
        if !passed.is_empty() {
            notes.push(format!("passed over, no tensors of the network: {}", some(passed.into_iter())));
        }
        let variances: Vec<&str> =
            self.survey.variances.iter().map(|slot| self.parts.whole.slots()[*slot].name.as_str()).collect();
        if !variances.is_empty() {
            notes.push(format!("kept positive, as running variances are: {}", some(variances.into_iter())));
        }
        notes.extend(self.own_notes.iter().cloned());
        notes
    }

    fn is_kept(&self, kept: &BTreeSet<&str>, name: &str) -> bool {
        kept.contains(name) || kept.iter().any(|own| names::plain(own) == names::plain(name))
    }

    /// Which tensors are frozen, and as they stand where.
    fn frozen(&self) -> Vec<String> {
        let (slots, base) = (self.parts.whole.slots(), self.base.place().display());
        if self.parts.frozen.is_empty() {
            return Vec::new();
        }
        let modelled = slots.len() - self.parts.frozen.len();
        let which = if self.parts.based { "" } else { ", the last checkpoint of the first run" };
        let mut notes = vec![format!(
            "{modelled} of {} tensors are modelled, {} of {} weights; the others are frozen as they stand in {base}{which}",
            slots.len(),
            self.layout.len(),
            self.parts.whole.len()
        )];
        if let Some((drift, count)) = &self.survey.drift {
            let others = if *count > 1 { format!("; {count} such tensors") } else { String::new() };
            notes.push(format!("frozen, yet not the same in all networks: {}{others}", drift.told()));
        }
        notes
    }

    fn tied(&self) -> Vec<String> {
        let name = |slot: usize| self.parts.whole.slots()[slot].name.as_str();
        let pairs: Vec<String> =
            self.survey.ties.iter().map(|[a, b]| format!("{} and {}", name(*a), name(*b))).collect();
        let mut notes = Vec::new();
        if !pairs.is_empty() {
            notes.push(format!("one parameter, equal in every network: {}", some(pairs.iter().map(String::as_str))));
        }
        for ([a, b], place) in &self.survey.untied {
            let (a, b, place) = (name(*a), name(*b), place.display());
            notes.push(format!(
                "{a} and {b} are equal in {}, but not in {place}: two parameters",
                self.base.place().display()
            ));
        }
        notes
    }

    /// How networks are written: their types, and what is kept beside weights.
    fn kept(&self) -> Vec<String> {
        let mut types: BTreeMap<String, usize> = BTreeMap::new();
        for tensor in self.template.tensors() {
            if matches!(tensor.source, Source::Weights(_)) && tensor.dtype != Dtype::F32 {
                *types.entry(format!("{:?}", tensor.dtype)).or_default() += 1;
            }
        }
        let mut notes = Vec::new();
        if !types.is_empty() {
            let all = self.template.tensors().iter().filter(|t| matches!(t.source, Source::Weights(_))).count();
            let types: Vec<String> =
                types.iter().map(|(dtype, n)| format!("{n} of {all} tensors in {dtype}")).collect();
            notes.push(format!("modelled in single precision, written as they came: {}", types.join(", ")));
        }
        let others: Vec<String> = self
            .template
            .kept()
            .filter(|(tensor, _)| !is_float(tensor.dtype) || tensor.shape.contains(&0))
            .map(|(tensor, _)| format!("{} ({:?} {:?})", tensor.name, tensor.dtype, tensor.shape))
            .collect();
        if !others.is_empty() {
            let differ = match self.survey.differing.len() {
                0 => String::new(),
                _ => format!(
                    "; not the same in all networks: {}",
                    some(self.survey.differing.iter().map(String::as_str))
                ),
            };
            let others = some(others.iter().map(String::as_str));
            notes.push(format!(
                "no weights, written as they stand in {}: {others}{differ}",
                self.base.place().display()
            ));
        }
        notes
    }

    /// Where the names give times that are not those taken.
    fn spacing(&self) -> Option<String> {
        let numbers = self.found.numbers.as_ref().filter(|n| n.len() > 2 && !self.timed)?;
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        let by_name: Vec<f64> = numbers.iter().map(|n| (n - first) / (last - first)).collect();
        let rising = by_name.windows(2).all(|w| w[0] < w[1]);
        let even = by_name.iter().zip(&self.times).all(|(a, b)| (a - b).abs() < 1e-3);
        (rising && !even).then(|| {
            let shown: Vec<String> = by_name
                .iter()
                .map(|t| format!("{t:.6}").trim_end_matches('0').trim_end_matches('.').to_owned())
                .collect();
            format!("times are equally spaced, the numbers in the names are not: by them they are {}", shown.join(","))
        })
    }
}

impl fmt::Display for ImportPlan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (runs, k) = (&self.found.runs, self.checkpoints());
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let names: Vec<&str> = match &runs[..] {
            all if all.len() <= 4 => all.iter().map(|r| r.name.as_str()).collect(),
            [a, b, .., z] => vec![&a.name, &b.name, "…", &z.name],
            _ => Vec::new(),
        };
        writeln!(f, "{}: {} of {}", self.source.display(), plural(runs.len(), "run"), plural(k, "checkpoint"))?;
        writeln!(f, "  runs: {}", names.join(", "))?;
        if k > 1 {
            writeln!(f, "  checkpoints {}, as in {}:", self.found.by, runs[0].name)?;
            let checkpoints: Vec<(&f64, &Network)> = self.times.iter().zip(&runs[0].checkpoints).collect();
            for (i, (time, network)) in checkpoints.iter().enumerate() {
                match i {
                    i if k <= 12 || i < 6 || i + 5 >= k => writeln!(f, "    at {time:.4}  {}", network.name)?,
                    6 => writeln!(f, "    … {} more", k - 11)?,
                    _ => {}
                }
            }
            if self.found.by == By::Alphabet {
                writeln!(
                    f,
                    "    (rename them where this is not the order in which they were written: step-0, step-1, …)"
                )?;
            }
        }
        writeln!(f, "  tensors: {} of {} weights", self.layout.slots().len(), self.layout.len())?;
        for note in self.notes() {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}
