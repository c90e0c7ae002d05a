//! Fits, models, samples, tunings.
use crate::architecture::{Architecture, tensors};
use crate::arrays;
use crate::data;
use crate::errors::Raise;
use crate::module::Module;
use crate::reward::Callable;
use crate::settings;
use crate::template::Template;
use crate::work::{self, Watch};
use crate::zoo::Zoo;
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::path::PathBuf;
use std::sync::Arc;
use thalweg::fit::{Character, suited};
use thalweg::method::Scratch;
use thalweg::path::anchors::Anchors;
use thalweg::reward::{Kind, Request, Rows};
use thalweg::space::latent::Probes;
use thalweg::{
    Decoder, Error, FitConfig, FitOptions, MetaModel, MethodConfig, Result, Reward, SampleRequest, Solver, Streams,
    TuneConfig, TuneOptions,
};
use thalweg_nets::data::{DataSpec, Dataset, fetch};
use thalweg_nets::engine::Engine;
use thalweg_nets::train::fits;
use thalweg_nets::zoo::ZooStore;

/// Optimiser steps between two savings of a fit's state, and iterations between those of a tuning's.
const SAVE_FIT: u64 = 500;
const SAVE_TUNING: u64 = 50;

/// Validation rows that the looks of a tuning are taken on.
const LOOK_ROWS: usize = 2_000;

/// A fitted law over the weights of networks.
#[pyclass(frozen, module = "thalweg._core")]
pub struct Model {
    inner: Arc<MetaModel>,
}

impl From<MetaModel> for Model {
    fn from(model: MetaModel) -> Self {
        Self { inner: Arc::new(model) }
    }
}

/// All settings of a fit with their defaults, as a dict, and what of them follows from the zoo, in words; those of `method` where it is named. A fit
/// with contexts, to several zoos, has the same defaults whatever they are.
#[pyfunction]
pub fn fit_defaults<'py>(
    py: Python<'py>,
    zoo: Option<PyRef<'_, Zoo>>,
    method: Option<&str>,
) -> PyResult<(Bound<'py, PyAny>, Vec<String>)> {
    let Some(zoo) = zoo else {
        let mut config = FitConfig::for_tasks();
        if let Some(name) = method.filter(|name| config.method.name() != *name) {
            config.method = MethodConfig::named(name).raise()?;
        }
        return Ok((settings::dict(py, &config)?, Vec::new()));
    };
    let character = Character::of(&zoo.inner).raise()?;
    let suited = suited(&zoo.inner, &character, method).raise()?;
    Ok((settings::dict(py, &suited.config)?, suited.because))
}

/// All settings of a tuning with their defaults, as a dict.
#[pyfunction]
pub fn tune_defaults(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    settings::dict(py, &TuneConfig::default())
}

/// What evaluates networks for a functional term ([`Module`]), and inputs `[N, D]`: those that probes are drawn from, and those of validations.
type Probed<'py> = (Bound<'py, PyAny>, PyReadonlyArray2<'py, f32>, PyReadonlyArray2<'py, f32>);

/// Fits a model to a zoo, or to zoos of many tasks.
#[pyfunction]
pub fn fit(
    py: Python<'_>,
    zoos: Vec<PyRef<'_, Zoo>>,
    settings: &Bound<'_, PyAny>,
    probed: Option<Probed<'_>>,
    state: Option<PathBuf>,
    resume: bool,
    observer: &Bound<'_, PyAny>,
) -> PyResult<Model> {
    let config: FitConfig = settings::read("fit", settings)?;
    let zoos: Vec<Arc<ZooStore>> = zoos.iter().map(|zoo| zoo.inner.clone()).collect();
    let (module, probes) = match &probed {
        None => (None, None),
        Some((object, pool, held_out)) => {
            let module = Module::new(object)?;
            let [pool, held_out] =
                [arrays::slice("probe", pool)?, arrays::slice("probe", held_out)?].map(<[f32]>::to_vec);
            let name = module.identity().to_owned();
            (Some(module.clone()), Some(Probes { network: module, name, pool, held_out }))
        }
    };
    let options = FitOptions { state, save_every: SAVE_FIT, resume, latents: None, probes };
    let work = |watch: &Watch| {
        let zoos: Vec<&ZooStore> = zoos.iter().map(AsRef::as_ref).collect();
        let model = match (&zoos[..], &config.context) {
            ([zoo], None) => thalweg::fit(zoo, &config, &options, watch)?,
            ([], _) => return Err(Error::parameter("zoos", "at least one", "none")),
            (_, Some(_)) => thalweg::fit_tasks(&zoos, &config, &options, watch)?,
            (several, None) => {
                return Err(Error::parameter("zoos", "one (a fit of several is one with contexts)", several.len()));
            }
        };
        match &options.state {
            Some(path) if path.exists() => {
                std::fs::remove_file(path).map_err(Error::io("remove", path)).map(|()| model)
            }
            _ => Ok(model),
        }
    };
    let made = work::run(py, observer, work).map(Model::from);
    match module {
        Some(module) => module.cause(made),
        None => made,
    }
}

/// Weights `[n, P]`, times and states `[T, n, P]`, evaluations, seconds.
type Sampled<'py> = (Bound<'py, PyArray2<f32>>, Vec<f64>, Bound<'py, PyArray3<f32>>, usize, f64);

/// x `[B, D]`, t `[B]`, u `[B, D]`, the loss.
type Seen<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray1<f32>>, Bound<'py, PyArray2<f32>>, f64);

/// The task to sample for: data, rows a class, guidance.
type Task<'py> = (Bound<'py, PyAny>, usize, f64);

#[pymethods]
impl Model {
    #[staticmethod]
    fn open(path: PathBuf) -> PyResult<Self> {
        Ok(MetaModel::load(&path).raise()?.into())
    }

    fn save(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        py.detach(|| self.inner.save(&path, force)).raise()
    }

    #[getter]
    fn method(&self) -> &str {
        self.inner.config.method.name()
    }

    #[getter]
    fn parameters(&self) -> usize {
        self.inner.layout.len()
    }

    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        settings::dict(py, &self.inner.config)
    }

    #[getter]
    fn record<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        settings::dict(py, &self.inner.record)
    }

    /// Seconds of the fit and of the tuning.
    #[getter]
    fn seconds(&self) -> (f64, Option<f64>) {
        let record = &self.inner.record;
        (record.seconds, record.tuned.as_ref().map(|tuned| tuned.seconds))
    }

    #[getter]
    fn architecture(&self) -> Option<Architecture> {
        self.inner.architecture.as_ref().map(|inner| Architecture { inner: inner.clone() })
    }

    #[getter]
    fn layout(&self) -> Vec<(String, Vec<usize>)> {
        tensors(&self.inner.layout)
    }

    /// What the files of its networks hold besides θ.
    #[getter]
    fn template(&self) -> Template {
        Template::new(&self.inner.layout, self.inner.template.clone())
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.inner.data.as_ref().map(|data| settings::dict(py, data)).transpose()
    }

    fn sample<'py>(
        &self,
        py: Python<'py>,
        n: usize,
        seed: u64,
        solver: &str,
        steps: usize,
        at: Vec<f64>,
        task: Option<Task<'py>>,
        observer: &Bound<'py, PyAny>,
    ) -> PyResult<Sampled<'py>> {
        let solver = Solver::named(solver).raise()?;
        let task =
            task.map(|(data, each, guidance)| Ok::<_, PyErr>((data::spec(&data)?, each, guidance))).transpose()?;
        let model = &*self.inner;
        let work = |watch: &Watch| {
            let context = task.map(|(spec, each, guidance)| {
                let rows = data::load(&spec, watch)?.train;
                Ok::<_, Error>(model.condition(&rows, each, guidance, &Streams::new(seed).child("context"))?.0)
            });
            let request =
                SampleRequest { solver, steps, at, context: context.transpose()?, ..SampleRequest::new(n, seed) };
            model.sample(&request)
        };
        let made = work::run(py, observer, work)?;
        let p = self.parameters();
        let times = made.states.times;
        let states = arrays::block(py, made.states.theta, [times.len(), n, p])?;
        Ok((arrays::rows(py, made.theta, p)?, times, states, made.evaluations, made.seconds))
    }

    /// Points `[n, D]` of networks `theta [n, P]` where the method works: standardised and, in a latent space, encoded.
    fn points<'py>(&self, py: Python<'py>, theta: PyReadonlyArray2<'py, f32>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let theta = arrays::slice("theta", &theta)?;
        let space = self.inner.space();
        self.inner.layout.check("theta", theta).raise()?;
        arrays::rows(py, py.detach(|| space.points(theta.to_vec())), space.dimension())
    }

    /// What a step of training sees of curves through points `[A, B, D]`, and the loss there: x `[B, D]`, t `[B]`, u `[B, D]`, loss.
    fn batch<'py>(&self, py: Python<'py>, curves: PyReadonlyArray3<'py, f32>, seed: u64) -> PyResult<Seen<'py>> {
        let shape = (curves.shape()[0], curves.shape()[2]);
        let points = curves.as_slice().map_err(|_| PyValueError::new_err("curves: expected a C-contiguous array"))?;
        let model = &*self.inner;
        if model.context.is_some() || shape.1 != model.space().dimension() {
            let expected = format!("a model without contexts, and points [A, B, {}]", model.space().dimension());
            return Err(PyValueError::new_err(format!("curves: expected {expected}, found {:?}", curves.shape())));
        }
        let work = || {
            let anchors = Anchors::dense(points, shape.0, shape.1)?;
            let batch = model.method.batch(&anchors, None, &Streams::new(seed).child("batch"))?;
            let loss = model.method.loss(&batch, &mut Scratch::default(), None);
            Ok::<_, Error>((batch, loss))
        };
        let (batch, loss) = py.detach(work).raise()?;
        Ok((arrays::rows(py, batch.x, shape.1)?, batch.t.into_pyarray(py), arrays::rows(py, batch.u, shape.1)?, loss))
    }

    /// The drift dx/dt `[B, D]` at points `x [B, D]` and times `t [B]`.
    fn velocity<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f32>,
        t: PyReadonlyArray1<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (x, t, dimension) = (arrays::slice("x", &x)?, arrays::line("t", &t)?, self.inner.space().dimension());
        if self.inner.context.is_some() || x.len() != t.len() * dimension {
            let expected = "a model without contexts, points [B, D] and times [B]";
            return Err(PyValueError::new_err(format!(
                "velocity: expected {expected}, found {} numbers, {} times",
                x.len(),
                t.len()
            )));
        }
        let mut out = vec![0.0; x.len()];
        py.detach(|| self.inner.method.velocity(x, t, None, &mut out, &mut Scratch::default().tape));
        arrays::rows(py, out, dimension)
    }

    /// Tunes towards a reward: a text as the program takes it (`loss:NAME`, `margin:NAME`), or (callable, description).
    fn tune(
        &self,
        py: Python<'_>,
        reward: &Bound<'_, PyAny>,
        held_out: Option<&Bound<'_, PyAny>>,
        rows: usize,
        margin: f32,
        settings: &Bound<'_, PyAny>,
        state: Option<PathBuf>,
        resume: bool,
        observer: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let config: TuneConfig = settings::read("tune", settings)?;
        let options = TuneOptions { state, save_every: SAVE_TUNING, resume };
        let base = &*self.inner;
        if let Ok(text) = reward.cast::<PyString>() {
            let on_data = OnDataText::of(&text.to_cow()?, rows, margin)?;
            let work = |watch: &Watch| on_data.tune(base, &config, &options, watch);
            return work::run(py, observer, work).map(Self::from);
        }
        let callable = |given: &Bound<'_, PyAny>| {
            let (grade, description): (Py<PyAny>, String) = given.extract()?;
            Ok::<_, PyErr>(Callable::new(grade, description, base.layout.len()))
        };
        let (reward, held_out) = (callable(reward)?, held_out.map(callable).transpose()?);
        let work = |watch: &Watch| {
            let held_out = held_out.as_ref().map(|reward| reward as &dyn Reward);
            thalweg::tune(base, &reward, held_out, &config, &options, watch)
        };
        let tuned = work::run(py, observer, work);
        // What a reward raised is the cause, whatever the tuning says of it.
        match [Some(&reward), held_out.as_ref()].into_iter().flatten().find_map(Callable::raised) {
            Some(raised) => Err(raised),
            None => tuned.map(Self::from),
        }
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Model is not pickled: save(folder) writes it and Model.open(folder) reads it"))
    }
}

/// A reward on data as the program's `--reward` names it.
struct OnDataText {
    kind: Kind,
    margin: f32,
    data: DataSpec,
    rows: usize,
}

impl OnDataText {
    fn of(text: &str, rows: usize, margin: f32) -> PyResult<Self> {
        let (kind, data) = Kind::parse(text).raise()?;
        Ok(Self { kind, margin, data, rows })
    }

    /// Rewards are taken on training rows, the iteration that is kept is chosen on validation rows.
    fn tune(&self, base: &MetaModel, config: &TuneConfig, options: &TuneOptions, watch: &Watch) -> Result<MetaModel> {
        let unknown =
            || Error::parameter("reward", "a callable, for networks of an unknown architecture", "one on data");
        let architecture = base.architecture.as_ref().ok_or_else(unknown)?;
        let engine = Engine::new(architecture)?;
        fetch::ensure(&self.data, watch)?;
        let splits = match base.data.as_ref().and_then(|home| home.record.as_deref()) {
            Some(record) => self.data.load_as_other_task(record)?,
            None => self.data.load()?,
        };
        let splits = data::noted(splits, watch);
        fits(architecture, &splits.test)?;
        let bound = self.data.bound(&splits.record);
        let name = &self.data.name;
        let on = |name: &str, data: Dataset, rows: Rows| {
            (self.kind.make)(Request { name, engine: &engine, data, rows, margin: self.margin })
        };
        let reward = on(name, splits.train, Rows::Batch(self.rows))?;
        let held_out = on(&format!("{name}, validation"), splits.validation.first(LOOK_ROWS), Rows::All)?;
        let mut model = thalweg::tune(base, &*reward, Some(&*held_out), config, options, watch)?;
        model.data = Some(bound);
        Ok(model)
    }
}
