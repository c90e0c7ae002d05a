//! Data sets by name.
use crate::errors::Raise;
use crate::settings;
use crate::work::Watch;
use pyo3::prelude::*;
use pyo3::types::PyString;
use thalweg::Result;
use thalweg_nets::data::{DataSpec, Splits, fetch};

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
