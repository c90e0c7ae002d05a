//! Tests of harmful covariate shift.
use crate::architecture::Architecture;
use crate::arrays::{line, shape, slice};
use crate::calibrated::{Answered, Given, Plain, Rows, answered, labelled, of_data, read, stood_in};
use crate::data;
use crate::errors::{Raise, Raised};
use crate::module::Module;
use crate::settings;
use crate::work::{self, Watch};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use thalweg::network::Network;
use thalweg::shift::method::{Config, Needs};
use thalweg::shift::reference::quarters;
use thalweg::shift::{Base, Method, Reference, Sample};
use thalweg::{Calibration, Error};

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
        out.set_item("caveats", verdict.caveats)?;
        out.set_item("estimate", verdict.estimate.map(|estimate| settings::dict(py, &estimate)).transpose()?)?;
        Ok(out)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Detector is not pickled: save(file) writes it and Detector.open(file) reads it"))
    }
}

/// All parameters of tests with their defaults, for rows of features or for images.
#[pyfunction]
pub fn shift_defaults(py: Python<'_>, images: bool) -> PyResult<Bound<'_, PyAny>> {
    settings::dict(py, &Config::like(images))
}
