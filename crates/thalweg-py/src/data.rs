//! Data sets by name.
use crate::errors::Raise;
use crate::settings;
use crate::work::{self, Watch};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use thalweg::Result;
use thalweg_nets::data::{DataSpec, Dataset, Splits, fetch};

/// Data as `NAME[:PATH]` or as a dict say them.
///
/// # Errors
/// An unknown name, unknown keys.
pub fn spec(value: &Bound<'_, PyAny>) -> PyResult<DataSpec> {
    match value.cast::<PyString>() {
        Ok(text) => DataSpec::parse(&text.to_cow()?).raise(),
        Err(_) => settings::read("data", value),
    }
}

/// The splits of `spec`, fetched where a package ships them and they are missing; what is to be known of them is noted.
///
/// # Errors
/// Data that cannot be had, or that differ from the record that `spec` is tied to.
pub fn load(spec: &DataSpec, watch: &Watch) -> Result<Splits> {
    fetch::ensure(spec, watch)?;
    Ok(noted(spec.load()?, watch))
}

/// The splits, after what is to be known of them was noted.
pub fn noted(splits: Splits, watch: &Watch) -> Splits {
    use thalweg_nets::progress::Progress;
    splits.train.notes.iter().for_each(|note| watch.note(note));
    splits
}

/// The three parts of a data set as the networks of its zoo take them.
#[pyfunction]
pub fn load_data<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    observer: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let spec = spec(data)?;
    let splits = work::run(py, observer, |watch| load(&spec, watch))?;
    let out = PyDict::new(py);
    let part = |set: Dataset| Ok::<_, PyErr>((set.inputs.into_pyarray(py), set.labels.into_pyarray(py)));
    out.set_item("shape", splits.train.shape)?;
    out.set_item("classes", splits.train.classes)?;
    out.set_item("name", spec.name)?;
    out.set_item("train", part(splits.train)?)?;
    out.set_item("validation", part(splits.validation)?)?;
    out.set_item("test", part(splits.test)?)?;
    Ok(out)
}
