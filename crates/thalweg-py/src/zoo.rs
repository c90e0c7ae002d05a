//! Zoos: trained, imported, opened.
use crate::architecture::{Architecture, tensors};
use crate::arrays;
use crate::data;
use crate::errors::Raise;
use crate::settings;
use crate::spec::{Arguments, Wanted};
use crate::template::Template;
use crate::work;
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::Arc;
use thalweg::{Error, Layout, Split};
use thalweg_nets::data::{Dataset, fetch};
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{ImportOptions, ImportPlan, TrainOptions, ZooStore, train_zoo};

/// An opened zoo.
#[pyclass(frozen, module = "thalweg._core")]
pub struct Zoo {
    /// The library's.
    pub inner: Arc<ZooStore>,
}

impl From<ZooStore> for Zoo {
    fn from(store: ZooStore) -> Self {
        Self { inner: Arc::new(store) }
    }
}

#[pymethods]
impl Zoo {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf, observer: &Bound<'_, PyAny>) -> PyResult<Self> {
        work::run(py, observer, |_| ZooStore::open(&path)).map(Self::from)
    }

    /// Trains a zoo into the folder `out`.
    #[staticmethod]
    fn train(
        py: Python<'_>,
        architecture: &Bound<'_, PyAny>,
        widths: Vec<usize>,
        data: &Bound<'_, PyAny>,
        arguments: &Bound<'_, PyAny>,
        out: PathBuf,
        resume: bool,
        force: bool,
        observer: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let wanted = Wanted::of(architecture, &widths)?;
        let mut data = data::spec(data)?;
        let arguments: Arguments = settings::read("Zoo.train", arguments)?;
        data.train = arguments.train_rows.or(data.train);
        let options = TrainOptions { resume, force, ..TrainOptions::default() };
        let work = |watch: &work::Watch| {
            fetch::ensure(&data, watch)?;
            let train = data.load()?.train;
            let (spec, note) = arguments.spec(&wanted, &data, &train)?;
            note.iter().for_each(|note| watch.note(note));
            train_zoo(&spec, &out, &options, watch)
        };
        work::run(py, observer, work).map(Self::from)
    }

    /// Imports the checkpoints in the folder `source` into the folder `out`. What was recognised is noted.
    #[staticmethod]
    fn import_(
        py: Python<'_>,
        source: PathBuf,
        out: PathBuf,
        architecture: Option<&Architecture>,
        layout: Option<Vec<(String, Vec<usize>)>>,
        data: Option<&Bound<'_, PyAny>>,
        times: Option<Vec<f64>>,
        name: String,
        initialisation: Option<&Bound<'_, PyAny>>,
        tensors: Vec<String>,
        exclude: Vec<String>,
        base: Option<PathBuf>,
        force: bool,
        observer: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let options = ImportOptions {
            name,
            architecture: architecture.map(|a| a.inner.clone()),
            layout: layout.map(Layout::of_tensors),
            data: data.map(data::spec).transpose()?,
            initialisation: initialisation.map(|law| settings::read("initialisation", law)).transpose()?,
            times,
            tensors,
            except: exclude,
            base,
            force,
            ..ImportOptions::default()
        };
        let work = |watch: &work::Watch| {
            if let Some(data) = &options.data {
                fetch::ensure(data, watch)?;
            }
            let plan = ImportPlan::watched(&source, &options, watch)?;
            plan.notes().iter().for_each(|note| watch.note(note));
            plan.write(&out, force, watch)
        };
        work::run(py, observer, work).map(Self::from)
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.inner.dir().to_path_buf()
    }

    #[getter]
    fn name(&self) -> &str {
        self.inner.origin().name()
    }

    #[getter]
    fn id(&self) -> &str {
        self.inner.origin().id()
    }

    #[getter]
    fn kind(&self) -> Option<&'static str> {
        self.inner.spec().map(|spec| spec.kind.name())
    }

    #[getter]
    fn runs(&self) -> usize {
        self.inner.runs()
    }

    #[getter]
    fn checkpoints(&self) -> usize {
        self.inner.checkpoints()
    }

    #[getter]
    fn parameters(&self) -> usize {
        self.inner.parameters()
    }

    #[getter]
    fn times<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        self.inner.times().to_vec().into_pyarray(py)
    }

    #[getter]
    fn finished_runs<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<usize>> {
        self.inner.finished_runs().into_pyarray(py)
    }

    /// Validation losses `[R, K]`; none where they are not known.
    #[getter]
    fn losses<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        self.scores(py, self.inner.losses())
    }

    /// Validation accuracies `[R, K]`; none where they are not known.
    #[getter]
    fn accuracies<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        self.scores(py, self.inner.accuracies())
    }

    #[getter]
    fn architecture(&self) -> Option<Architecture> {
        self.inner.architecture().map(|inner| Architecture { inner: inner.clone() })
    }

    #[getter]
    fn layout(&self) -> Vec<(String, Vec<usize>)> {
        tensors(self.inner.layout())
    }

    /// What the files of its networks hold besides θ.
    #[getter]
    fn template(&self) -> PyResult<Template> {
        Ok(Template::new(self.inner.layout(), self.inner.template().raise()?.map(Arc::new)))
    }

    /// The data that its networks are for, tied to what was found there.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.inner.data().map(|data| settings::dict(py, data)).transpose()
    }

    /// The networks `[items, P]` of (run, checkpoint).
    fn gather<'py>(&self, py: Python<'py>, items: Vec<(usize, usize)>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let p = self.inner.parameters();
        let read = || {
            let mut out = vec![0.0; items.len() * p];
            self.inner.gather(&items, &mut out).map(|()| out)
        };
        arrays::rows(py, py.detach(read).raise()?, p)
    }

    /// Which runs a fit with this split trains on, chooses by and never sees.
    fn split<'py>(&self, py: Python<'py>, split: &Bound<'py, PyAny>) -> PyResult<[Bound<'py, PyArray1<usize>>; 3]> {
        let split: Split = settings::read("split", split)?;
        let parts = split.of(&self.inner).raise()?;
        Ok([parts.train, parts.validation, parts.test].map(|runs| runs.into_pyarray(py)))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Zoo is not pickled: it is a folder, and Zoo.open(zoo.path) opens it"))
    }
}

impl Zoo {
    fn scores<'py>(&self, py: Python<'py>, values: &[f32]) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        let known = self.inner.is_scored().then(|| values.to_vec());
        known.map(|values| arrays::rows(py, values, self.inner.checkpoints())).transpose()
    }
}

/// The three parts of a data set as the networks of `zoo` take them, of `data` or else of its own.
#[pyfunction]
pub fn load_data<'py>(
    py: Python<'py>,
    data: Option<&Bound<'py, PyAny>>,
    zoo: Option<PyRef<'py, Zoo>>,
    observer: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let named = data.map(data::spec).transpose()?;
    let home = zoo.as_ref().and_then(|zoo| zoo.inner.data());
    let nothing = || Error::parameter("data", "a name", "none");
    let splits = work::run(py, observer, |watch| data::of_zoo(home, named.as_ref(), watch)?.ok_or_else(nothing))?;
    let name = named.as_ref().or(home).map_or("", |spec| &spec.name);
    let out = PyDict::new(py);
    let part = |set: Dataset| Ok::<_, PyErr>((set.inputs.into_pyarray(py), set.labels.into_pyarray(py)));
    out.set_item("shape", splits.train.shape)?;
    out.set_item("classes", splits.train.classes)?;
    out.set_item("name", name)?;
    out.set_item("train", part(splits.train)?)?;
    out.set_item("validation", part(splits.validation)?)?;
    out.set_item("test", part(splits.test)?)?;
    Ok(out)
}
