//! Settings as dicts: the libraries' configurations through serde.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A configuration of a dict, with unknown keys and values of wrong types refused under the name `what`.
///
/// # Errors
/// Those.
pub fn read<T: DeserializeOwned>(what: &str, value: &Bound<'_, PyAny>) -> PyResult<T> {
    pythonize::depythonize(value).map_err(|e| PyValueError::new_err(format!("{what}: {e}")))
}

/// A configuration, or a record, as a dict.
///
/// # Errors
/// Never for what the libraries' files hold.
pub fn dict<'py, T: Serialize>(py: Python<'py>, value: &T) -> PyResult<Bound<'py, PyAny>> {
    Ok(pythonize::pythonize(py, value)?)
}
