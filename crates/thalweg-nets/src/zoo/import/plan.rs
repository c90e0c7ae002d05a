//! [`ImportPlan`]: what was recognised in a folder of checkpoints, before anything is written.
use super::super::origin::check_times;
use super::ImportOptions;
use super::beside::beside;
use super::canonical::Canonical;
use super::parts::Parts;
use super::survey::Survey;
use crate::data::{DataRecord, DataSpec};
use crate::engine::{Engine, Packed};
use crate::error::{Error, Result};
use crate::layout::{Layout, Role, Slot};
use crate::progress::{Progress, Silent};
use crate::train::{evenly, fits};
use crate::zoo::checkpoints::network::Reading;
use crate::zoo::checkpoints::{Found, Network, networks, runs};
use crate::zoo::template::Template;
use std::borrow::Cow;
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
    /// The tensors of θ: those that are modelled, of tied ones the first.
    pub layout: Layout,
    /// What the file of a network looks like.
    pub template: Template,
    /// The data, tied to what was found there.
    pub data: Option<DataSpec>,
    pub(super) options: ImportOptions,
    pub(super) judge: Option<Judge>,
    pub(super) parts: Parts,
    pub(super) survey: Survey,
    /// The checkpoint whose counters and frozen tensors are written.
    pub(super) base: Network,
    canonical: Option<Canonical>,
    /// How each network is read, `[R, K]`, as the tensors of `layout`.
    pub(super) readings: Vec<Reading>,
    /// Whether times were given.
    pub(super) timed: bool,
    /// What is to be known of the data and of what stands beside the networks.
    pub(super) own_notes: Vec<String>,
}

impl ImportPlan {
    /// As [`Self::watched`], watched by nobody.
    ///
    /// # Errors
    /// As [`Self::watched`].
    pub fn new(source: &Path, options: &ImportOptions) -> Result<Self> {
        Self::watched(source, options, &Silent)
    }

    /// Looks at everything under `source` without writing: all headers are read, so that a wrong file is found at once, and the numbers of what θ does
    /// not hold (frozen tensors, counters) and of what may be tied are compared in all networks.
    ///
    /// # Errors
    /// No network; files beside sub-folders; runs of different lengths; a file of another format, one that lies, lacks a tensor, has one more, or one
    /// of another shape or kind, each named with file and tensor; frozen tensors that differ between networks; adapters of different ranks or scales;
    /// patterns that match nothing; data that cannot be read or do not fit the architecture; an initialisation without an architecture.
    pub fn watched(source: &Path, options: &ImportOptions, progress: &dyn Progress) -> Result<Self> {
        if let (Some(law), None) = (options.initialisation, &options.architecture) {
            let expected = "an architecture beside it (the law is one of layers, which names of tensors do not tell)";
            return Err(Error::parameter("initialisation", expected, format!("{law:?} alone")));
        }
        let found = runs::find(source)?;
        let k = found.runs[0].checkpoints.len();
        let times = options.times.clone().unwrap_or_else(|| evenly(k));
        check_times(&times, k)?;
        let networks: Vec<&Network> = found.runs.iter().flat_map(|run| &run.checkpoints).collect();
        let base = match &options.base {
            Some(path) => single(path)?,
            None => networks[k - 1].clone(),
        };
        let parts = Parts::of(networks[0], &base, options)?;
        let survey = Survey::of(&networks, &base, &parts, progress)?;
        let slots = parts.slots(&survey.ties);
        let slot = |at: &usize| match survey.variances.contains(at) {
            true => Slot { role: Role::RunningVariance, ..parts.whole.slots()[*at].clone() },
            false => parts.whole.slots()[*at].clone(),
        };
        let layout = Layout::of_slots(slots.iter().map(slot));
        let (beside, mut own_notes) = beside(&base, &networks)?;
        let template = parts.template(&layout, &survey.ties, beside)?;
        let readings: Vec<Reading> = survey.readings.iter().map(|reading| reading.only(&slots)).collect();
        let canonical = match options.canonical {
            true => {
                let form = Canonical::of(&layout, networks[k - 1].read(&layout, &readings[k - 1])?);
                let none = || Error::parameter("canonical", "low-rank adapters, lora_A with lora_B", "none");
                Some(form.ok_or_else(none)?)
            }
            false => None,
        };
        if let Some(form) = &canonical {
            own_notes.push(format!("{} adapters in their balanced form", form.len()));
        }
        let (data, judge, data_notes) = judge(options)?;
        own_notes.extend(data_notes);
        let (source, timed, options) = (source.to_path_buf(), options.times.is_some(), options.clone());
        Ok(Self {
            source,
            found,
            times,
            layout,
            template,
            data,
            options,
            judge,
            parts,
            survey,
            base,
            canonical,
            readings,
            timed,
            own_notes,
        })
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
        let mut theta = self.network(at).read(&self.layout, &self.readings[at])?;
        if let Some(form) = &self.canonical {
            form.apply(&mut theta);
        }
        Ok(theta)
    }

    /// Whole networks `[n, Q]` of the architecture, of which `theta [n, P]` is what is modelled.
    pub(super) fn whole<'a>(&self, theta: &'a [f32]) -> Result<Cow<'a, [f32]>> {
        match self.parts.frozen.is_empty() {
            true => Ok(Cow::Borrowed(theta)),
            false => {
                Ok(Cow::Owned(self.template.whole(&self.layout, &self.parts.whole, &self.parts.names(), theta)?))
            }
        }
    }

    /// What was found in the data, where they are known.
    pub fn record(&self) -> Option<&DataRecord> {
        self.data.as_ref()?.record.as_deref()
    }
}

/// The one network that `path` names.
fn single(path: &Path) -> Result<Network> {
    let (networks, _) = networks(path)?;
    match &networks[..] {
        [one] => Ok(one.clone()),
        several => {
            Err(Error::format(path, "base checkpoint", "one whole network", format!("{} of them", several.len())))
        }
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
