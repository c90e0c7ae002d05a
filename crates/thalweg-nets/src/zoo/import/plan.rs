//! [`ImportPlan`]: what was recognised in a folder of checkpoints, before anything is written.
use super::super::origin::check_times;
use super::ImportOptions;
use crate::data::{DataRecord, DataSpec};
use crate::engine::{Engine, Packed};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::train::{evenly, fits};
use crate::zoo::checkpoints::network::Reading;
use crate::zoo::checkpoints::{By, Found, Network, PassedOver, names, runs};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// What scores imported checkpoints.
pub(super) struct Judge {
    pub engine: Engine,
    pub inputs: Packed,
    pub labels: Vec<u32>,
}

/// What was recognised in a folder of checkpoints. Its `Display` tells it.
pub struct ImportPlan {
    /// The folder.
    pub source: PathBuf,
    /// Runs with their checkpoints in order, and what was passed over.
    pub found: Found,
    /// When checkpoints were taken, `[K]`.
    pub times: Vec<f64>,
    /// Tensors of every network.
    pub layout: Layout,
    /// The data, tied to what was found there.
    pub data: Option<DataSpec>,
    pub(super) options: ImportOptions,
    pub(super) judge: Option<Judge>,
    /// How each network is read, `[R, K]`.
    readings: Vec<Reading>,
    /// Whether times were given.
    timed: bool,
    /// What is to be known of the data.
    data_notes: Vec<String>,
}

impl ImportPlan {
    /// Looks at everything under `source` without writing: all headers are read, so that a wrong file is found at once.
    ///
    /// # Errors
    /// No network; files beside sub-folders; runs of different lengths; a file of another format, one that lies, lacks a tensor, has one more, or one
    /// of another shape or kind, each named with file and tensor; data that cannot be read or do not fit the architecture; an initialisation without
    /// an architecture.
    pub fn new(source: &Path, options: &ImportOptions) -> Result<Self> {
        if let (Some(law), None) = (options.initialisation, &options.architecture) {
            let expected = "an architecture beside it (the law is one of layers, which names of tensors do not tell)";
            return Err(Error::parameter("initialisation", expected, format!("{law:?} alone")));
        }
        let found = runs::find(source)?;
        let k = found.runs[0].checkpoints.len();
        let times = options.times.clone().unwrap_or_else(|| evenly(k));
        check_times(&times, k)?;
        let layout = match (&options.architecture, &options.layout) {
            (Some(architecture), _) => Layout::of(architecture),
            (None, Some(layout)) => layout.clone(),
            (None, None) => found.runs[0].checkpoints[0].layout()?,
        };
        let networks = found.runs.iter().flat_map(|run| &run.checkpoints);
        let readings = networks.map(|network| network.reading(&layout)).collect::<Result<_>>()?;
        let (data, judge, data_notes) = judge(options)?;
        let (source, timed, options) = (source.to_path_buf(), options.times.is_some(), options.clone());
        Ok(Self { source, found, times, layout, data, options, judge, readings, timed, data_notes })
    }

    /// R.
    pub fn runs(&self) -> usize {
        self.found.runs.len()
    }

    /// K.
    pub fn checkpoints(&self) -> usize {
        self.times.len()
    }

    /// Network `at` of `[R, K]`.
    pub(super) fn network(&self, at: usize) -> &Network {
        &self.found.runs[at / self.checkpoints()].checkpoints[at % self.checkpoints()]
    }

    /// Its weights `[P]`.
    pub(super) fn theta(&self, at: usize) -> Result<Vec<f32>> {
        self.network(at).read(&self.layout, &self.readings[at])
    }

    /// What was found in the data, where they are known.
    pub fn record(&self) -> Option<&DataRecord> {
        self.data.as_ref()?.record.as_deref()
    }

    /// What a user should know, a sentence each: how names were read, what was passed over, how inputs are standardised.
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
        let passed: BTreeSet<&String> = self.readings.iter().flat_map(|r| &r.passed_over).collect();
        if !passed.is_empty() {
            let some: Vec<&str> = passed.iter().take(3).map(|s| s.as_str()).collect();
            let more =
                passed.len().checked_sub(3).filter(|n| *n > 0).map_or(String::new(), |n| format!(" and {n} more"));
            notes.push(format!("tensors passed over, no weights: {}{more}", some.join(", ")));
        }
        notes.extend(self.data_notes.iter().cloned());
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

/// The data tied to their record; what scores, where the architecture is known too; and what is to be known of the data.
fn judge(options: &ImportOptions) -> Result<(Option<DataSpec>, Option<Judge>, Vec<String>)> {
    let Some(spec) = &options.data else { return Ok((None, None, Vec::new())) };
    let splits = spec.load()?;
    let (data, notes) = (Some(spec.bound(&splits.record)), splits.train.notes);
    let Some(architecture) = &options.architecture else { return Ok((data, None, notes)) };
    fits(architecture, &splits.validation)?;
    let engine = Engine::new(architecture)?;
    let (inputs, labels) = (engine.pack(&splits.validation.inputs)?, splits.validation.labels);
    Ok((data, Some(Judge { engine, inputs, labels }), notes))
}
