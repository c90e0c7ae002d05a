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
    /// A preset made to fit inputs `[channels, height, width]` and a number of classes; `widths` are the hidden layers of an `mlp`.
    #[staticmethod]
    #[pyo3(signature = (name, input, classes, widths))]
    fn preset(name: &str, input: [usize; 3], classes: usize, widths: Vec<usize>) -> PyResult<Self> {
        let inner = Preset::named(name, &widths).and_then(|preset| preset.build(input, classes)).raise()?;
        Ok(Self { inner })
    }

    /// Reads a TOML file.
    #[staticmethod]
    fn read(path: PathBuf) -> PyResult<Self> {
        Ok(Self { inner: thalweg_nets::Architecture::read(&path).raise()? })
    }

    /// An architecture of a dict: `name`, `input`, `layers`, as the TOML form has them.
    #[staticmethod]
    fn from_dict(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { inner: settings::read("architecture", value)? })
    }

    /// The dict that `from_dict` takes.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        settings::dict(py, &self.inner)
    }

    /// What the user called it.
    #[getter]
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// `(channels, height, width)` of one input.
    #[getter]
    fn input(&self) -> (usize, usize, usize) {
        self.inner.input().into()
    }

    /// Number of logits.
    #[getter]
    fn classes(&self) -> usize {
        self.inner.classes()
    }

    /// Names and shapes of the tensors in the order in which they lie in θ.
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
