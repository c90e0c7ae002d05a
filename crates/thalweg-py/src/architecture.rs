//! Architectures of base networks.
use crate::errors::Raise;
use crate::settings;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::path::PathBuf;
use thalweg::Layout;
use thalweg_nets::architecture::Preset;
use thalweg_nets::torch::{Meaning, module};

/// An architecture that the engine knows.
#[pyclass(frozen, eq, module = "thalweg._core")]
#[derive(Clone, PartialEq)]
pub struct Architecture {
    /// The library's.
    pub inner: thalweg_nets::Architecture,
}

#[pymethods]
impl Architecture {
    #[staticmethod]
    #[pyo3(signature = (name, input, classes, widths))]
    fn preset(name: &str, input: [usize; 3], classes: usize, widths: Vec<usize>) -> PyResult<Self> {
        let inner = Preset::named(name, &widths).and_then(|preset| preset.build(input, classes)).raise()?;
        Ok(Self { inner })
    }

    #[staticmethod]
    fn read(path: PathBuf) -> PyResult<Self> {
        Ok(Self { inner: thalweg_nets::Architecture::read(&path).raise()? })
    }

    #[staticmethod]
    fn from_dict(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { inner: settings::read("architecture", value)? })
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        settings::dict(py, &self.inner)
    }

    #[getter]
    fn name(&self) -> &str {
        self.inner.name()
    }

    #[getter]
    fn input(&self) -> (usize, usize, usize) {
        self.inner.input().into()
    }

    #[getter]
    fn classes(&self) -> usize {
        self.inner.classes()
    }

    #[getter]
    fn layout(&self) -> Vec<(String, Vec<usize>)> {
        tensors(&Layout::of(&self.inner))
    }

    /// The text of a module of PyTorch whose tensors have the layout's names.
    fn torch_source(&self) -> PyResult<String> {
        module(&self.inner, &Meaning::default()).raise()
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("an Architecture is not pickled: keep its to_dict()"))
    }
}

/// Names and shapes of a layout's tensors, in order.
pub fn tensors(layout: &Layout) -> Vec<(String, Vec<usize>)> {
    layout.slots().iter().map(|slot| (slot.name.clone(), slot.shape.clone())).collect()
}
