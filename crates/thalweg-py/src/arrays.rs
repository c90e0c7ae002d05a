//! Arrays of NumPy as slices, and vectors as arrays, without copies.
use numpy::ndarray::{Array2, Array3};
use numpy::{Element, IntoPyArray, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The numbers of a C-contiguous array.
///
/// # Errors
/// Another order in memory.
pub fn slice<'a, T: Element>(what: &str, array: &'a PyReadonlyArray2<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| PyValueError::new_err(format!("{what}: expected a C-contiguous array")))
}

/// As [`slice`], of one dimension.
///
/// # Errors
/// Another order in memory.
pub fn line<'a, T: Element>(what: &str, array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| PyValueError::new_err(format!("{what}: expected a C-contiguous array")))
}

/// `values` as `[n, wide]`.
///
/// # Errors
/// Another length.
pub fn rows<T: Element>(py: Python<'_>, values: Vec<T>, wide: usize) -> PyResult<Bound<'_, PyArray2<T>>> {
    let n = values.len().checked_div(wide).unwrap_or(0);
    let array = Array2::from_shape_vec((n, wide), values).map_err(|e| PyValueError::new_err(e.to_string()))?;
    Ok(array.into_pyarray(py))
}

/// `values` as `[a, b, c]`.
///
/// # Errors
/// Another length.
pub fn block<T: Element>(py: Python<'_>, values: Vec<T>, shape: [usize; 3]) -> PyResult<Bound<'_, PyArray3<T>>> {
    let array = Array3::from_shape_vec(shape, values).map_err(|e| PyValueError::new_err(e.to_string()))?;
    Ok(array.into_pyarray(py))
}

/// `[rows, columns]`.
pub fn shape<T: Element>(array: &PyReadonlyArray2<'_, T>) -> [usize; 2] {
    [array.shape()[0], array.shape()[1]]
}
