//! Networks that Python evaluates, under judgement by the library.
use crate::arrays::{rows, slice};
use crate::errors::Raised;
use crate::work::Watch;
use numpy::{IntoPyArray, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thalweg::judge::{Evaluator, Probe, Slope};
use thalweg::{Error, Layout, Result};
use thalweg_nets::progress::Progress;

/// An object of Python: `logits(theta [n, P])` → `[n, N, C]`; `probe_logits(theta [1, P], rows [K])` → `[K, C]` and
/// `pull_back(theta [1, P], rows [K], slopes [K, C])` → `[K, P]` on its probe inputs; numbers `rows`, `classes`, `probes`, and `batch`, of networks at a time.
pub struct ByPython<'a> {
    /// The object.
    pub object: &'a Py<PyAny>,
    /// Names and places of the weights.
    pub layout: &'a Layout,
    /// N, C, M and networks at a time.
    pub sizes: [usize; 4],
    /// Whose interruption is heard between calls.
    pub watch: &'a Watch,
    /// What it raised.
    pub raised: &'a Raised,
}

/// The numbers `rows`, `classes`, `probes` and `batch` of the object.
///
/// # Errors
/// One that is no number.
pub fn sizes(object: &Bound<'_, PyAny>) -> PyResult<[usize; 4]> {
    let number = |name: &str| object.getattr(name)?.extract::<usize>();
    Ok([number("rows")?, number("classes")?, number("probes")?, number("batch")?.max(1)])
}

impl ByPython<'_> {
    fn call<T>(&self, work: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> Result<T> {
        if self.watch.interrupted() {
            return Err(Error::Interrupted);
        }
        self.raised.keep(Python::attach(|py| work(self.object.bind(py))))
    }

    fn logits_of(&self, object: &Bound<'_, PyAny>, theta: &[f32]) -> PyResult<Vec<f32>> {
        let [n_rows, classes, ..] = self.sizes;
        let p = self.layout.len();
        let given = object.call_method1("logits", (rows(object.py(), theta.to_vec(), p)?,))?;
        let logits: PyReadonlyArray3<'_, f32> = given.extract()?;
        let expected = [theta.len() / p, n_rows, classes];
        if logits.shape() != expected {
            let found = logits.shape();
            return Err(PyValueError::new_err(format!("logits: expected shape {expected:?}, found {found:?}")));
        }
        Ok(logits.to_vec()?)
    }

    fn logits_at(&self, object: &Bound<'_, PyAny>, theta: &[f32], at: &[usize]) -> PyResult<Vec<f32>> {
        let (py, [_, classes, ..]) = (object.py(), self.sizes);
        let theta = rows(py, theta.to_vec(), self.layout.len())?;
        let given = object.call_method1("probe_logits", (&theta, at.to_vec().into_pyarray(py)))?;
        let logits: PyReadonlyArray2<'_, f32> = given.extract()?;
        if logits.shape() != [at.len(), classes] {
            let (expected, found) = ([at.len(), classes], logits.shape());
            return Err(PyValueError::new_err(format!("probe logits: expected shape {expected:?}, found {found:?}")));
        }
        Ok(slice("probe logits", &logits)?.to_vec())
    }

    /// Jᵀ slope `[K, P]` at each of the inputs `at` by itself, whose numbers begin at `first`.
    fn pulled(
        &self,
        object: &Bound<'_, PyAny>,
        theta: &[f32],
        (first, at): (usize, &[usize]),
        slope: Slope<'_>,
    ) -> PyResult<Vec<f32>> {
        let (py, p, [_, classes, ..]) = (object.py(), self.layout.len(), self.sizes);
        let logits = self.logits_at(object, theta, at)?;
        let mut slopes = vec![0.0; at.len() * classes];
        let each = logits.chunks_exact(classes).zip(slopes.chunks_exact_mut(classes));
        each.enumerate().for_each(|(k, (logits, d))| slope(first + k, logits, d));
        let arguments = (rows(py, theta.to_vec(), p)?, at.to_vec().into_pyarray(py), rows(py, slopes, classes)?);
        let given = object.call_method1("pull_back", arguments)?;
        let pulled: PyReadonlyArray2<'_, f32> = given.extract()?;
        if pulled.shape() != [at.len(), p] {
            let (expected, found) = ([at.len(), p], pulled.shape());
            return Err(PyValueError::new_err(format!("gradients: expected shape {expected:?}, found {found:?}")));
        }
        Ok(slice("gradients", &pulled)?.to_vec())
    }
}

impl Evaluator for ByPython<'_> {
    fn layout(&self) -> &Layout {
        self.layout
    }

    fn rows(&self) -> usize {
        self.sizes[0]
    }

    fn logits(&self, theta: &[f32]) -> Result<Vec<f32>> {
        self.layout.check("theta", theta)?;
        let [n_rows, classes, _, batch] = self.sizes;
        let p = self.layout.len().max(1);
        let mut all = Vec::with_capacity(theta.len() / p * n_rows * classes);
        for some in theta.chunks(batch * p) {
            all.extend(self.call(|object| self.logits_of(object, some))?);
        }
        Ok(all)
    }
}

impl Probe for ByPython<'_> {
    fn probes(&self) -> usize {
        self.sizes[2]
    }

    fn classes(&self) -> usize {
        self.sizes[1]
    }

    fn probe_logits(&self, theta: &[f32], rows: &[usize]) -> Result<Vec<f32>> {
        self.call(|object| self.logits_at(object, theta, rows))
    }

    fn pulled_back(&self, theta: &[f32], rows: &[usize], group: usize, slope: Slope<'_>) -> Result<Vec<f32>> {
        let p = self.layout.len().max(1);
        let mut sums = Vec::with_capacity(rows.len() / group * p);
        // Every input has a gradient of its own there.
        for (k, at) in rows.chunks_exact(group).enumerate() {
            let pulled = self.call(|object| self.pulled(object, theta, (k * group, at), slope))?;
            let mut sum = vec![0.0; p];
            pulled.chunks_exact(p).for_each(|g| sum.iter_mut().zip(g).for_each(|(s, g)| *s += g));
            sums.extend(sum);
        }
        Ok(sums)
    }
}
