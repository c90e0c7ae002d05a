//! Tests of harmful covariate shift.
use crate::architecture::Architecture;
use crate::arrays::{line, shape, slice};
use crate::data;
use crate::errors::{Raise, Raised};
use crate::module::Module;
use crate::settings;
use crate::work::{self, Watch};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use thalweg::network::Network;
use thalweg::shift::disagreement::distil::distilled;
use thalweg::shift::method::{Config, Needs, Parts};
use thalweg::shift::reference::{drawn, kept, quarters};
use thalweg::shift::{Base, Method, Reference, Sample};
use thalweg::{Calibration, Error, Request, Result, Streams};
use thalweg_nets::data::{DataRecord, DataSpec};
use thalweg_nets::progress::Progress;

/// Calibrated tests of one classifier.
#[pyclass(frozen, module = "thalweg._core")]
pub struct Detector {
    inner: Calibration,
    /// What evaluates the classifier, where that is neither the engine nor only known by its answers.
    module: Option<Arc<Module>>,
}

impl From<Calibration> for Detector {
    fn from(inner: Calibration) -> Self {
        Self { inner, module: None }
    }
}

/// How a calibration is made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    size: usize,
    methods: Option<Vec<String>>,
    null: usize,
    level: f64,
    seed: u64,
    name: String,
    probabilities: bool,
    columns: Vec<String>,
    choose: bool,
}

/// The names of all tests, what each looks at, and whether it needs logits alone, inputs, the network, or one that the engine knows.
#[pyfunction]
pub fn methods() -> Vec<(&'static str, &'static str, &'static str)> {
    let needs = |method: Method| match method.needs() {
        Needs::Logits => "logits",
        Needs::Inputs => "inputs",
        Needs::Network => "network",
        Needs::Engine => "engine",
    };
    Method::ALL.iter().map(|&method| (method.name(), method.looks_at(), needs(method))).collect()
}

/// The parts of P that a calibration is made from.
struct Rows {
    reference: Reference,
    labels: Vec<u32>,
    /// Of the held-out rows; empty where they are not known.
    held_out_labels: Vec<u32>,
    source: Option<DataRecord>,
    name: String,
    /// On which share of validation rows a network that stands in for the classifier names its class.
    stand_in: Option<f64>,
}

#[pymethods]
impl Detector {
    /// From a network of a known architecture, and rows of P as it takes them; `held` rows are those that it was not trained on.
    #[staticmethod]
    fn of_network(
        py: Python<'_>,
        architecture: &Architecture,
        theta: PyReadonlyArray1<'_, f32>,
        train: (PyReadonlyArray2<'_, f32>, Option<PyReadonlyArray1<'_, u32>>),
        validation: Option<PyReadonlyArray2<'_, f32>>,
        held: Option<(PyReadonlyArray2<'_, f32>, Option<PyReadonlyArray1<'_, u32>>)>,
        arguments: &Bound<'_, PyAny>,
        settings: &Bound<'_, PyAny>,
        observer: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let (arguments, config) = read(arguments, settings, architecture.inner.input()[1] > 1)?;
        let base = Base::new(&architecture.inner, line("theta", &theta)?.to_vec()).raise()?;
        let rows = Plain::of(&train, validation.as_ref(), held.as_ref())?;
        rows.calibrated(py, Arc::new(base), &arguments, &config, observer).map(Self::from)
    }

    /// From a network that an object of Python ([`Module`]) evaluates and differentiates, with weights `theta [P]`, and rows of P as inputs `[N, D]`.
    #[staticmethod]
    fn of_module(
        py: Python<'_>,
        module: &Bound<'_, PyAny>,
        theta: PyReadonlyArray1<'_, f32>,
        train: (PyReadonlyArray2<'_, f32>, Option<PyReadonlyArray1<'_, u32>>),
        validation: Option<PyReadonlyArray2<'_, f32>>,
        held: Option<(PyReadonlyArray2<'_, f32>, Option<PyReadonlyArray1<'_, u32>>)>,
        images: bool,
        arguments: &Bound<'_, PyAny>,
        settings: &Bound<'_, PyAny>,
        observer: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let (arguments, config) = read(arguments, settings, images)?;
        let module = Module::new(module)?;
        let base = Base::other(module.clone(), module.identity(), line("theta", &theta)?.to_vec()).raise()?;
        let rows = Plain::of(&train, validation.as_ref(), held.as_ref())?;
        let inner = module.cause(rows.calibrated(py, Arc::new(base), &arguments, &config, observer))?;
        Ok(Self { inner, module: Some(module) })
    }

    /// From a network of a known architecture and data by name: the same calibration as the program's.
    #[staticmethod]
    fn of_data(
        py: Python<'_>,
        architecture: &Architecture,
        theta: PyReadonlyArray1<'_, f32>,
        data: &Bound<'_, PyAny>,
        arguments: &Bound<'_, PyAny>,
        settings: &Bound<'_, PyAny>,
        observer: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let (arguments, config) = read(arguments, settings, architecture.inner.input()[1] > 1)?;
        let base = Arc::new(Base::new(&architecture.inner, line("theta", &theta)?.to_vec()).raise()?);
        let data = data::spec(data)?;
        let work = |watch: &Watch| {
            let rows = of_data(&base, &data, arguments.seed, watch)?;
            arguments.make(rows, Some(base.clone()), &config, watch)
        };
        work::run(py, observer, work).map(Self::from)
    }

    /// From a classifier known by its logits `[N, C]` on rows of P that it was not trained on, with their labels where an estimate is wanted.
    #[staticmethod]
    fn of_logits(
        py: Python<'_>,
        rows: (PyReadonlyArray2<'_, f32>, Option<PyReadonlyArray1<'_, u32>>),
        arguments: &Bound<'_, PyAny>,
        settings: &Bound<'_, PyAny>,
        observer: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let (arguments, config) = read(arguments, settings, false)?;
        let ((values, labels), [_, classes]) = (labelled("P", &rows)?, shape(&rows.0));
        let work = |watch: &Watch| {
            let rows = Sample::of_logits(values.to_vec(), classes)?;
            let [train, validation, held] = quarters(rows.len(), arguments.seed)?;
            let reference = Reference::new(rows.rows(&train), rows.rows(&validation), rows.rows(&held))?;
            let held_out_labels = held.iter().filter_map(|&i| labels.get(i).copied()).collect();
            let name = arguments.name.clone();
            let rows = Rows { reference, labels: Vec::new(), held_out_labels, source: None, name, stand_in: None };
            arguments.make(rows, None, &config, watch)
        };
        work::run(py, observer, work).map(Self::from)
    }

    /// From rows of P with the logits that a classifier known by its answers alone gives them: a network that is fitted to these stands in for it
    /// where a test needs one. `held` rows are those that the classifier was not trained on.
    #[staticmethod]
    fn of_answers(
        py: Python<'_>,
        train: Answered<'_>,
        validation: Option<Answered<'_>>,
        held: Option<Answered<'_>>,
        images: bool,
        arguments: &Bound<'_, PyAny>,
        settings: &Bound<'_, PyAny>,
        observer: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let (arguments, config) = read(arguments, settings, images)?;
        let (all, labels) = answered("P", &train)?;
        let validation = validation.as_ref().map(|rows| answered("validation", rows)).transpose()?;
        let held = held.as_ref().map(|rows| answered("held", rows)).transpose()?;
        let given = Given { all, labels, validation: validation.map(|(rows, _)| rows), held };
        let work = |watch: &Watch| {
            let (rows, base) = stood_in(given.rows(&arguments)?, arguments.seed, watch)?;
            arguments.make(rows, Some(base), &config, watch)
        };
        work::run(py, observer, work).map(Self::from)
    }

    /// Reads a file; where a network that the engine does not know was calibrated for, `module(name)` gives what evaluates it, or None.
    #[staticmethod]
    fn open(path: PathBuf, module: &Bound<'_, PyAny>, observer: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (py, given, raised) = (module.py(), module.clone().unbind(), Raised::default());
        let found: OnceLock<Arc<Module>> = OnceLock::new();
        let network = |name: &str| {
            let made = raised.keep(Python::attach(|py| {
                let object = given.bind(py).call1((name,))?;
                if object.is_none() { Ok(None) } else { Module::new(&object).map(Some) }
            }))?;
            Ok(made.map(|made| {
                let name = made.identity().to_owned();
                (found.get_or_init(|| made).clone() as Arc<dyn Network>, name)
            }))
        };
        let read = work::run(py, observer, |_| Calibration::read_with(&path, &network));
        let read = raised.take().map_or(read, Err);
        let module = found.get().cloned();
        match &module {
            Some(module) => Ok(Self { inner: module.cause(read)?, module: Some(module.clone()) }),
            None => read.map(Self::from),
        }
    }

    fn save(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        match path.exists() && !force {
            true => Err(Error::Exists(path)).raise(),
            false => py.detach(|| self.inner.write(&path)).raise(),
        }
    }

    #[getter]
    fn record<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        settings::dict(py, &self.inner.record)
    }

    /// Whether queries are inputs (the network is known) and not logits.
    #[getter]
    fn takes_inputs(&self) -> bool {
        self.inner.base().is_some()
    }

    #[getter]
    fn columns(&self) -> usize {
        let base = self.inner.base();
        base.map_or(self.inner.record.classes, |base| base.network().input_len())
    }

    /// What the tests say of rows: inputs `[N, D]` where the network is known, with the classifier's logits `[N, C]` where it only stands in, else
    /// logits alone.
    fn test<'py>(
        &self,
        py: Python<'py>,
        query: PyReadonlyArray2<'py, f32>,
        logits: Option<PyReadonlyArray2<'py, f32>>,
        level: Option<f64>,
        seed: u64,
        observer: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (values, [_, wide], of) = (slice("Q", &query)?, shape(&query), &self.inner);
        let level = level.unwrap_or(of.record.level);
        let logits = logits.as_ref().map(|logits| slice("logits", logits)).transpose()?;
        let work = |watch: &Watch| {
            let query = match (of.base(), logits) {
                (Some(base), Some(logits)) => base.sample(values)?.with_logits(logits.to_vec())?,
                (Some(_), None) if of.record.stand_in.is_some() => {
                    return Err(Error::parameter(
                        "logits",
                        "the classifier's, as a network only stands in for it",
                        "none",
                    ));
                }
                (Some(base), None) => base.sample(values)?,
                (None, _) => Sample::of_logits(values.to_vec(), wide)?,
            };
            of.test(&query, level, seed, watch)
        };
        let verdict = work::run(py, observer, work);
        let verdict = self.module.as_ref().map_or_else(|| Ok(()), |module| module.cause(Ok(()))).and(verdict)?;
        let out = PyDict::new(py);
        out.set_item("outcome", settings::dict(py, &verdict.outcome)?)?;
        out.set_item("words", verdict.outcome.words())?;
        out.set_item("p_value", verdict.p_value)?;
        out.set_item("level", verdict.level)?;
        out.set_item("answer", settings::dict(py, &verdict.answer)?)?;
        out.set_item("harmless_change", verdict.explained.map(|found| settings::dict(py, &found)).transpose()?)?;
        out.set_item("findings", settings::dict(py, &verdict.findings)?)?;
        let scores: Bound<'_, PyArray1<f64>> = verdict.row_scores.into_pyarray(py);
        out.set_item("row_scores", scores)?;
        out.set_item("estimate", verdict.estimate.map(|estimate| settings::dict(py, &estimate)).transpose()?)?;
        Ok(out)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Detector is not pickled: save(file) writes it and Detector.open(file) reads it"))
    }
}

/// Inputs of P `[N, D]` with labels, where they are known: to train on, to choose on, and rows that the network was not trained on.
struct Plain<'a> {
    train: (&'a [f32], &'a [u32]),
    validation: Option<&'a [f32]>,
    held: Option<(&'a [f32], &'a [u32])>,
}

impl<'a> Plain<'a> {
    fn of(
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

    fn calibrated(
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
type Answered<'py> = (PyReadonlyArray2<'py, f32>, PyReadonlyArray2<'py, f32>, Option<PyReadonlyArray1<'py, u32>>);

/// Rows with a classifier's answers, and their labels, as many where there are any.
fn answered<'a>(what: &str, (x, logits, y): &'a Answered<'_>) -> PyResult<(Sample, &'a [u32])> {
    let labels = labels_of(what, shape(x)[0], y.as_ref())?;
    let sample =
        Sample::of_rows(slice(what, x)?.to_vec(), slice("logits", logits)?.to_vec(), shape(logits)[1]).raise()?;
    Ok((sample, labels))
}

/// Rows with their labels, as many where there are any.
fn labelled<'a>(
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
fn read(arguments: &Bound<'_, PyAny>, settings: &Bound<'_, PyAny>, images: bool) -> PyResult<(Arguments, Config)> {
    let config = match settings.is_none() {
        true => Config::like(images),
        false => settings::read("the parameters of tests", settings)?,
    };
    Ok((settings::read("Detector.calibrate", arguments)?, config))
}

/// All parameters of tests with their defaults, for rows of features or for images.
#[pyfunction]
pub fn shift_defaults(py: Python<'_>, images: bool) -> PyResult<Bound<'_, PyAny>> {
    settings::dict(py, &Config::like(images))
}

/// Rows of P as the classifier, or what stands in for it, sees them.
struct Given<'a> {
    all: Sample,
    labels: &'a [u32],
    validation: Option<Sample>,
    held: Option<(Sample, &'a [u32])>,
}

impl Given<'_> {
    fn rows(self, arguments: &Arguments) -> Result<Rows> {
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
fn stood_in(rows: Rows, seed: u64, watch: &Watch) -> Result<(Rows, Arc<Base>)> {
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
fn of_data(base: &Base, data: &DataSpec, seed: u64, watch: &Watch) -> Result<Rows> {
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
    fn make(&self, rows: Rows, base: Option<Arc<Base>>, config: &Config, watch: &Watch) -> Result<Calibration> {
        let methods = self.methods(base.is_some())?;
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
