//! The program `thalweg`, which the package's script of that name runs in the interpreter's own process.
use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs the program with `words`, the first of which is its own name. The exit code.
#[pyfunction]
pub fn program(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| thalweg_cli::run(words))
}
