//! Data sets by name.
use crate::errors::Raise;
use crate::settings;
use crate::work::{self, Watch};
use crate::zoo::Zoo;
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use thalweg::{Error, Result};
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

/// The data that networks are judged on: those named, seen as the zoo's networks expect, or else the zoo's own; none where neither is known.
///
/// # Errors
/// As [`load`]; data that cannot be seen as the zoo's.
pub fn of_zoo(home: Option<&DataSpec>, named: Option<&DataSpec>, watch: &Watch) -> Result<Option<Splits>> {
    let record = home.and_then(|home| home.record.as_deref());
    match (named, record, home) {
        (Some(named), Some(record), _) => {
            fetch::ensure(named, watch)?;
            Ok(Some(noted(named.load_as(record)?, watch)))
        }
        (Some(spec), None, _) | (None, _, Some(spec)) => load(spec, watch).map(Some),
        (None, _, None) => Ok(None),
    }
}

/// The three parts of a data set as the networks of `zoo` take them, of `data` or else of its own.
#[pyfunction]
pub fn load_data<'py>(
    py: Python<'py>,
    data: Option<&Bound<'py, PyAny>>,
    zoo: Option<PyRef<'py, Zoo>>,
    observer: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let named = data.map(spec).transpose()?;
    let home = zoo.as_ref().and_then(|zoo| zoo.inner.data());
    let nothing = || Error::parameter("data", "a name", "none");
    let splits = work::run(py, observer, |watch| of_zoo(home, named.as_ref(), watch)?.ok_or_else(nothing))?;
    let name = named.as_ref().or(home).map_or("", |spec| &spec.name);
    let out = PyDict::new(py);
    let part = |set: Dataset| Ok::<_, PyErr>((set.inputs.into_pyarray(py), set.labels.into_pyarray(py)));
    out.set_item("shape", splits.train.shape)?;
    out.set_item("classes", splits.train.classes)?;
    out.set_item("name", name)?;
    out.set_item("train", part(splits.train)?)?;
    out.set_item("validation", part(splits.validation)?)?;
    out.set_item("test", part(splits.test)?)?;
    Ok(out)
}
