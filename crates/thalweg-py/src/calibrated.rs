//! What a calibration is made from: its arguments, and rows of P as a classifier, or what stands in for it, sees them.
use crate::arrays::{line, shape, slice};
use crate::data;
use crate::errors::Raise;
use crate::settings;
use crate::work::{self, Watch};
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Deserialize;
use std::sync::Arc;
use thalweg::shift::disagreement::distil::distilled;
use thalweg::shift::method::{Config, Parts};
use thalweg::shift::reference::{drawn, kept, quarters};
use thalweg::shift::{Base, Method, Reference, Sample};
use thalweg::{Calibration, Error, Request, Result, Streams};
use thalweg_nets::data::{DataRecord, DataSpec};
use thalweg_nets::progress::Progress;

/// How a calibration is made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    pub(super) size: usize,
    pub(super) methods: Option<Vec<String>>,
    pub(super) null: usize,
    pub(super) level: f64,
    pub(super) seed: u64,
    pub(super) name: String,
    pub(super) probabilities: bool,
    pub(super) columns: Vec<String>,
    pub(super) choose: bool,
    /// Whether the size of the bank is the caller's; where it is not, a large network has a smaller bank, as in the program.
    pub(super) bank_size_given: bool,
}

/// Inputs of P `[N, D]` with labels, where they are known: to train on, to choose on, and rows that the network was not trained on.
pub(super) struct Plain<'a> {
    train: (&'a [f32], &'a [u32]),
    validation: Option<&'a [f32]>,
    held: Option<(&'a [f32], &'a [u32])>,
}

impl<'a> Plain<'a> {
    pub(super) fn of(
        train: &'a (PyReadonlyArray2<'_, f32>, Option<PyReadonlyArray1<'_, u32>>),
        validation: Option<&'a PyReadonlyArray2<'_, f32>>,
        held: Option<&'a (PyReadonlyArray2<'_, f32>, Option<PyReadonlyArray1<'_, u32>>)>,
    ) -> PyResult<Self> {
        Ok(Self {
            train: labelled("P", train)?,
            validation: validation.map(|x| slice("validation", x)).transpose()?,
            held: held.map(|held| labelled("held", held)).transpose()?,
        })
    }

    pub(super) fn calibrated(
        &self,
        py: Python<'_>,
        base: Arc<Base>,
        arguments: &Arguments,
        config: &Config,
        observer: &Bound<'_, PyAny>,
    ) -> PyResult<Calibration> {
        let (inputs, labels) = self.train;
        let work = |watch: &Watch| {
            let validation = self.validation.map(|x| base.sample(x)).transpose()?;
            let held = self.held.map(|(x, labels)| Ok::<_, Error>((base.sample(x)?, labels))).transpose()?;
            let rows = Given { all: base.sample(inputs)?, labels, validation, held }.rows(arguments)?;
            arguments.make(rows, Some(base.clone()), config, watch)
        };
        work::run(py, observer, work)
    }
}

/// Inputs `[N, D]`, the classifier's logits `[N, C]` and labels `[N]`, where they are known.
pub(super) type Answered<'py> =
    (PyReadonlyArray2<'py, f32>, PyReadonlyArray2<'py, f32>, Option<PyReadonlyArray1<'py, u32>>);

/// Rows with a classifier's answers, and their labels, as many where there are any.
pub(super) fn answered<'a>(what: &str, (x, logits, y): &'a Answered<'_>) -> PyResult<(Sample, &'a [u32])> {
    let labels = labels_of(what, shape(x)[0], y.as_ref())?;
    let sample =
        Sample::of_rows(slice(what, x)?.to_vec(), slice("logits", logits)?.to_vec(), shape(logits)[1]).raise()?;
    Ok((sample, labels))
}

/// Rows with their labels, as many where there are any.
pub(super) fn labelled<'a>(
    what: &str,
    rows: &'a (PyReadonlyArray2<'_, f32>, Option<PyReadonlyArray1<'_, u32>>),
) -> PyResult<(&'a [f32], &'a [u32])> {
    Ok((slice(what, &rows.0)?, labels_of(what, shape(&rows.0)[0], rows.1.as_ref())?))
}

/// Labels of `n` rows; empty where they are not known.
fn labels_of<'a>(what: &str, n: usize, labels: Option<&'a PyReadonlyArray1<'_, u32>>) -> PyResult<&'a [u32]> {
    let labels = labels.map(|y| line("labels", y)).transpose()?.unwrap_or_default();
    if !labels.is_empty() && labels.len() != n {
        let found = labels.len();
        return Err(PyValueError::new_err(format!("labels: expected [{n}], as {what} has rows, found [{found}]")));
    }
    Ok(labels)
}

/// The arguments, and the parameters of all tests: the defaults where `settings` is None.
pub(super) fn read(
    arguments: &Bound<'_, PyAny>,
    settings: &Bound<'_, PyAny>,
    images: bool,
) -> PyResult<(Arguments, Config)> {
    let config = match settings.is_none() {
        true => Config::like(images),
        false => settings::read("the parameters of tests", settings)?,
    };
    Ok((settings::read("Detector.calibrate", arguments)?, config))
}

/// The parts of P that a calibration is made from.
pub(super) struct Rows {
    pub(super) reference: Reference,
    pub(super) labels: Vec<u32>,
    /// Of the held-out rows; empty where they are not known.
    pub(super) held_out_labels: Vec<u32>,
    pub(super) source: Option<DataRecord>,
    pub(super) name: String,
    /// On which share of validation rows a network that stands in for the classifier names its class.
    pub(super) stand_in: Option<f64>,
}

/// Rows of P as the classifier, or what stands in for it, sees them.
pub(super) struct Given<'a> {
    pub(super) all: Sample,
    pub(super) labels: &'a [u32],
    pub(super) validation: Option<Sample>,
    pub(super) held: Option<(Sample, &'a [u32])>,
}

impl Given<'_> {
    pub(super) fn rows(self, arguments: &Arguments) -> Result<Rows> {
        let (n, seed) = (self.all.len(), arguments.seed);
        let [train, validation, held] = match (&self.validation, &self.held) {
            (_, None) => quarters(n, seed)?,
            (Some(_), Some(_)) => [(0..n).collect(), Vec::new(), Vec::new()],
            (None, Some(_)) => {
                let order = drawn(n, n, &Streams::new(seed).child("rows"));
                let cut = (n / 4).max(1);
                [order[cut..].to_vec(), order[..cut].to_vec(), Vec::new()]
            }
        };
        let kept: Vec<usize> = kept(train.len(), "train", seed).iter().map(|&i| train[i]).collect();
        let of = |rows: &[usize]| rows.iter().filter_map(|&i| self.labels.get(i).copied()).collect();
        let labels = of(&kept);
        let validation = self.validation.unwrap_or_else(|| self.all.rows(&validation));
        let (held, held_out_labels) = match self.held {
            Some((held, labels)) => (held, labels.to_vec()),
            None => (self.all.rows(&held), of(&held)),
        };
        let reference = Reference::new(self.all.rows(&kept), validation, held)?;
        Ok(Rows { reference, labels, held_out_labels, source: None, name: arguments.name.clone(), stand_in: None })
    }
}

/// The same rows as a network sees them that was fitted to the classifier's answers on them, with its answers kept; and that network.
pub(super) fn stood_in(rows: Rows, seed: u64, watch: &Watch) -> Result<(Rows, Arc<Base>)> {
    let Reference { train, validation, held_out } = rows.reference;
    let (base, agreement) = distilled(&train, &validation, &Streams::new(seed).child("stand-in"))?;
    watch.note(&format!(
        "a network stands in for the classifier: it names the same class on {:.0} % of other rows of P; tests that need a network see less than with the classifier's own",
        100.0 * agreement
    ));
    let seen = |rows: Sample| base.sample(&rows.inputs)?.with_logits(rows.logits);
    let reference = Reference::new(seen(train)?, seen(validation)?, seen(held_out)?)?;
    Ok((Rows { reference, stand_in: Some(agreement), ..rows }, Arc::new(base)))
}

/// P by name: its training rows are agreed on, validation rows chosen on, test rows held out.
pub(super) fn of_data(base: &Base, data: &DataSpec, seed: u64, watch: &Watch) -> Result<Rows> {
    let splits = data::load(data, watch)?;
    let train = splits.train.subset(&kept(splits.train.len(), "train", seed));
    let validation = splits.validation.subset(&kept(splits.validation.len(), "validation", seed));
    let [x, z, held] = [&train, &validation, &splits.test].map(|part| base.sample(&part.inputs));
    let reference = Reference::new(x?, z?, held?)?;
    let held_out_labels = splits.test.labels;
    let (source, name) = (Some(splits.record), data.name.clone());
    Ok(Rows { reference, labels: train.labels, held_out_labels, source, name, stand_in: None })
}

impl Arguments {
    pub(super) fn make(
        &self,
        rows: Rows,
        base: Option<Arc<Base>>,
        config: &Config,
        watch: &Watch,
    ) -> Result<Calibration> {
        let methods = self.methods(base.is_some())?;
        let fitting =
            base.as_ref().filter(|_| !self.bank_size_given).map(|base| config.clone().within(base.theta().len()));
        let config = fitting.as_ref().unwrap_or(config);
        let request = Request {
            parts: Parts { base, reference: &rows.reference, labels: &rows.labels, size: self.size, config },
            held_out_labels: &rows.held_out_labels,
            methods: &methods,
            null: self.null,
            level: self.level,
            seed: self.seed,
            columns: self.columns.clone(),
            probabilities: self.probabilities,
            stand_in: rows.stand_in,
            encoding: None,
            source: rows.source,
            data: rows.name,
            choose: self.choose,
        };
        Calibration::make(&request, watch)
    }

    /// Those asked for; where none are, all that logits suffice for, or the program's choice for a network.
    fn methods(&self, network: bool) -> Result<Vec<Method>> {
        match &self.methods {
            Some(names) => names.iter().map(|name| Method::named(name)).collect(),
            None => Ok(Method::defaults(network)),
        }
    }
}
