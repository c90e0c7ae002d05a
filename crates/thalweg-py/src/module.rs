//! Networks that a module of PyTorch evaluates and differentiates, for all that the library trains on answers of networks.
use crate::arrays::{block, rows, slice};
use crate::errors::Raised;
use numpy::{PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;
use thalweg::network::{Inputs, Job, Network};
use thalweg::{Error, Layout, Result, interrupt};
use thalweg_nets::engine::Workspace;

/// An object of Python with `identity`, a text; numbers `input_len` D, `classes` C and `batch`, of networks at a time; `layout`; and
/// `logits(theta [n, P], inputs [N, D])` → `[n, N, C]`, `differentiable(theta [n, P], inputs [m, N, D])` with m = 1 or n → logits `[n, N, C]` and a
/// function from slopes `[n, N, C]` to gradients `[n, P]`.
#[derive(Debug)]
pub struct Module {
    object: Py<PyAny>,
    layout: Layout,
    identity: String,
    input_len: usize,
    classes: usize,
    batch: usize,
    raised: Raised,
}

impl Module {
    /// The object.
    ///
    /// # Errors
    /// One that lacks something.
    pub fn new(object: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let number = |name: &str| object.getattr(name)?.extract::<usize>();
        Ok(Arc::new(Self {
            object: object.clone().unbind(),
            layout: Layout::of_tensors(object.getattr("layout")?.extract::<Vec<(String, Vec<usize>)>>()?),
            identity: object.getattr("identity")?.extract()?,
            input_len: number("input_len")?,
            classes: number("classes")?,
            batch: number("batch")?.max(1),
            raised: Raised::default(),
        }))
    }

    /// What tells it from all other modules.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What it raised is the cause, whatever the library's work says of it.
    ///
    /// # Errors
    /// That, or the work's own.
    pub fn cause<T>(&self, work: PyResult<T>) -> PyResult<T> {
        match self.raised.take() {
            Some(raised) => Err(raised),
            None => work,
        }
    }

    fn call<T>(&self, work: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> Result<T> {
        interrupt::check()?;
        self.raised.keep(Python::attach(|py| work(self.object.bind(py))))
    }

    /// `[n, N, C]`, checked.
    fn answered(&self, given: &Bound<'_, PyAny>, n: usize, inputs: usize) -> PyResult<Vec<f32>> {
        let logits: PyReadonlyArray3<'_, f32> = given.extract()?;
        let (expected, found) = ([n, inputs, self.classes], logits.shape());
        match found == expected {
            true => Ok(logits.to_vec()?),
            false => Err(PyValueError::new_err(format!("logits: expected shape {expected:?}, found {found:?}"))),
        }
    }

    /// The losses of at most `batch` jobs, with their gradients written.
    fn learn(&self, object: &Bound<'_, PyAny>, jobs: &[Job<'_>], gradients: &mut [f32]) -> PyResult<Vec<f64>> {
        let (py, p, n) = (object.py(), self.layout.len(), jobs.len());
        let thetas: Vec<f32> = jobs.iter().flat_map(|job| job.theta).copied().collect();
        let [first, most] = [jobs[0].inputs, longest(jobs)];
        let shared = jobs.iter().all(|job| std::ptr::eq(job.inputs, first));
        // Jobs of fewer inputs are filled up with copies of one, whose answers nobody asks for.
        let filled = |job: &Job<'_>| {
            let mut values = plain(job.inputs).to_vec();
            let last = values[values.len() - self.input_len..].to_vec();
            (job.inputs.len()..most.len()).for_each(|_| values.extend_from_slice(&last));
            values
        };
        let inputs: Vec<f32> = jobs[..if shared { 1 } else { n }].iter().flat_map(filled).collect();
        let inputs = block(py, inputs, [if shared { 1 } else { n }, most.len(), self.input_len])?;
        let given = object.call_method1("differentiable", (rows(py, thetas, p)?, inputs))?;
        let (logits, pull): (Bound<'_, PyAny>, Bound<'_, PyAny>) = given.extract()?;
        let logits = self.answered(&logits, n, most.len())?;
        let (each, mut slopes) = (most.len() * self.classes, vec![0.0; logits.len()]);
        let parts = jobs.iter().zip(logits.chunks_exact(each)).zip(slopes.chunks_exact_mut(each));
        let losses = parts.map(|((job, logits), slopes)| {
            let own = job.inputs.len() * self.classes;
            job.loss.rows(0, &logits[..own], &mut slopes[..own])
        });
        let losses = losses.collect();
        let given = pull.call1((block(py, slopes, [n, most.len(), self.classes])?,))?;
        let pulled: PyReadonlyArray2<'_, f32> = given.extract()?;
        if pulled.shape() != [n, p] {
            let (expected, found) = ([n, p], pulled.shape());
            return Err(PyValueError::new_err(format!("gradients: expected shape {expected:?}, found {found:?}")));
        }
        gradients.copy_from_slice(slice("gradients", &pulled)?);
        Ok(losses)
    }
}

/// The inputs of most rows.
fn longest<'a>(jobs: &[Job<'a>]) -> &'a Inputs {
    jobs.iter().map(|job| job.inputs).max_by_key(|inputs| inputs.len()).unwrap_or(jobs[0].inputs)
}

/// `[N, D]`; the module's own inputs are never packed.
fn plain(inputs: &Inputs) -> &[f32] {
    match inputs {
        Inputs::Plain { values, .. } => values,
        Inputs::Packed(_) => &[],
    }
}

impl Network for Module {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn input_len(&self) -> usize {
        self.input_len
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn at_once(&self) -> usize {
        self.batch
    }

    fn inputs(&self, values: &[f32]) -> Result<Inputs> {
        match values.len().is_multiple_of(self.input_len) {
            true => Ok(Inputs::Plain { values: values.to_vec(), len: values.len() / self.input_len }),
            false => Err(Error::shape("inputs", format!("[N, {}]", self.input_len), format!("[{}]", values.len()))),
        }
    }

    fn logits(&self, thetas: &[f32], inputs: &Inputs) -> Result<Vec<f32>> {
        self.layout.check("theta", thetas)?;
        let p = self.layout.len();
        let mut all = Vec::with_capacity(thetas.len() / p * inputs.len() * self.classes);
        for some in thetas.chunks(self.batch * p) {
            all.extend(self.call(|object| {
                let py = object.py();
                let inputs_ = rows(py, plain(inputs).to_vec(), self.input_len)?;
                let given = object.call_method1("logits", (rows(py, some.to_vec(), p)?, inputs_))?;
                self.answered(&given, some.len() / p, inputs.len())
            })?);
        }
        Ok(all)
    }

    fn gradients(&self, jobs: &[Job<'_>], gradients: &mut [f32], _: &mut Workspace) -> Result<Vec<f64>> {
        let mut losses = Vec::with_capacity(jobs.len());
        for (jobs, gradients) in jobs.chunks(self.batch).zip(gradients.chunks_mut(self.batch * self.layout.len())) {
            losses.extend(self.call(|object| self.learn(object, jobs, gradients))?);
        }
        Ok(losses)
    }
}
