//! Rewards that are Python's: any callable θ `[n, P]` → (values `[n]`, gradients `[n, P]`).
use crate::arrays;
use crate::errors::Raised;
use numpy::{PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rand::Rng;
use thalweg::reward::Graded;
use thalweg::{Result, Reward, Streams};

/// A callable `grade(theta, seed, gradients)` that gives values, and gradients where they are asked for.
pub struct Callable {
    grade: Py<PyAny>,
    description: String,
    dimension: usize,
    raised: Raised,
}

impl Callable {
    /// A reward over networks of `dimension` weights.
    pub fn new(grade: Py<PyAny>, description: String, dimension: usize) -> Self {
        Self { grade, description, dimension, raised: Raised::default() }
    }

    /// What it raised.
    pub fn raised(&self) -> Option<PyErr> {
        self.raised.take()
    }

    fn call(&self, theta: &[f32], streams: &Streams, gradients: bool) -> Result<Graded> {
        let seed = streams.child("python").rng().next_u64() >> 1;
        self.raised.keep(Python::attach(|py| self.graded(py, theta, seed, gradients)))
    }

    fn graded(&self, py: Python<'_>, theta: &[f32], seed: u64, gradients: bool) -> PyResult<Graded> {
        let n = theta.len() / self.dimension;
        let array = arrays::rows(py, theta.to_vec(), self.dimension)?;
        let given = self.grade.bind(py).call1((array, seed, gradients))?;
        if !gradients {
            return Ok(Graded { values: self.values(given.extract()?, n)?, gradients: Vec::new() });
        }
        let (values, slopes): (PyReadonlyArray1<'_, f64>, PyReadonlyArray2<'_, f32>) = given.extract()?;
        let found = arrays::shape(&slopes);
        if found != [n, self.dimension] {
            let expected = format!("gradients of shape [{n}, {}]", self.dimension);
            return Err(PyValueError::new_err(format!(
                "reward {}: expected {expected}, found {found:?}",
                self.description
            )));
        }
        Ok(Graded { values: self.values(values, n)?, gradients: arrays::slice("gradients", &slopes)?.to_vec() })
    }

    fn values(&self, values: PyReadonlyArray1<'_, f64>, n: usize) -> PyResult<Vec<f64>> {
        let values = values.to_vec()?;
        match values.len() == n {
            true => Ok(values),
            false => {
                let found = values.len();
                Err(PyValueError::new_err(format!("reward {}: expected {n} values, found {found}", self.description)))
            }
        }
    }
}

impl Reward for Callable {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn grade(&self, theta: &[f32], streams: &Streams) -> Result<Graded> {
        self.call(theta, streams, true)
    }

    fn values(&self, theta: &[f32], streams: &Streams) -> Result<Vec<f64>> {
        Ok(self.call(theta, streams, false)?.values)
    }
}
