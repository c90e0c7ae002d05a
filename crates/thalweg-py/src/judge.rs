//! Judgement of networks beside those of their zoo.
use crate::arrays::{shape, slice};
use crate::data;
use crate::errors::Raise;
use crate::settings;
use crate::work;
use crate::zoo::Zoo;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thalweg::judge::{Row, ZooRuns, table};
use thalweg::metric::wasserstein::{wasserstein_1, wasserstein_2};
use thalweg::{Error, Split, Streams};
use thalweg_nets::data::{Splits, fetch};
use thalweg_nets::engine::Engine;
use thalweg_nets::train::fits;

/// Rows of the table, and the accuracies and distances of each network.
type Judged<'py> = (Bound<'py, PyAny>, Bound<'py, PyDict>);

/// The exact Wasserstein distance of this order between two samples `[n, P]`.
#[pyfunction]
pub fn wasserstein(
    py: Python<'_>,
    a: PyReadonlyArray2<'_, f32>,
    b: PyReadonlyArray2<'_, f32>,
    order: u32,
) -> PyResult<f64> {
    let (points, others, p) = (slice("a", &a)?, slice("b", &b)?, shape(&a)[1]);
    py.detach(|| match order {
        1 => wasserstein_1(points, others, p),
        2 => wasserstein_2(points, others, p),
        _ => Err(Error::parameter("order", "1 or 2", order)),
    })
    .raise()
}

/// Judges `theta [n, P]`: rows for the samples, the zoo, held-out runs and the trivial baselines.
#[pyfunction]
pub fn judge<'py>(
    py: Python<'py>,
    zoo: &Zoo,
    theta: PyReadonlyArray2<'py, f32>,
    split: &Bound<'py, PyAny>,
    data: Option<&Bound<'py, PyAny>>,
    baselines: bool,
    seed: u64,
    observer: &Bound<'py, PyAny>,
) -> PyResult<Judged<'py>> {
    let split: Split = settings::read("split", split)?;
    let data = data.map(data::spec).transpose()?;
    let (theta, zoo) = (slice("theta", &theta)?, &*zoo.inner);
    let work = |watch: &work::Watch| {
        let unknown = |what: &str| {
            let expected = format!("a zoo that knows its {what} (import it with one)");
            Error::parameter("zoo", expected, zoo.dir().display())
        };
        let architecture = zoo.architecture().ok_or_else(|| unknown("architecture"))?;
        let engine = Engine::new(architecture)?;
        let test = test_rows(zoo.data(), data.as_ref(), watch)?.ok_or_else(|| unknown("data"))?.test;
        fits(architecture, &test)?;
        let runs = ZooRuns::of(zoo, &split.of(zoo)?)?;
        let inputs = engine.pack(&test.inputs)?;
        let streams = baselines.then(|| Streams::new(seed).child("eval"));
        let reference = runs.reference(&engine, &inputs, &test.labels);
        table(reference, &[("samples", theta)], streams.as_ref(), watch)
    };
    let judged = work::run(py, observer, work)?;
    let rows: Vec<&Row> = judged.iter().map(|judged| &judged.row).collect();
    let rows = settings::dict(py, &rows)?;
    let own = judged.into_iter().next().map(|judged| judged.networks);
    let own = own.ok_or_else(|| PyRuntimeError::new_err("a defect of thalweg: a table without rows"))?;
    let each = PyDict::new(py);
    let numbers = [
        ("accuracy", own.accuracy),
        ("loss", own.loss),
        ("d_w", own.d_weights),
        ("d_f", own.d_behaviour),
        ("overlap", own.similarity),
        ("d", own.d),
    ];
    for (name, values) in numbers {
        let values: Bound<'_, PyArray1<f64>> = values.into_pyarray(py);
        each.set_item(name, values)?;
    }
    each.set_item("novel_and_performing", own.novel_and_performing.into_pyarray(py))?;
    each.set_item("nearest_run", own.nearest.iter().map(|nearest| nearest.index).collect::<Vec<_>>().into_pyarray(py))?;
    Ok((rows, each))
}

/// The data that networks are judged on: those named, seen as the zoo's networks expect, or else the zoo's own.
fn test_rows(
    home: Option<&thalweg_nets::data::DataSpec>,
    named: Option<&thalweg_nets::data::DataSpec>,
    watch: &work::Watch,
) -> thalweg::Result<Option<Splits>> {
    let record = home.and_then(|home| home.record.as_deref());
    match (named, record, home) {
        (Some(named), Some(record), _) => {
            fetch::ensure(named, watch)?;
            Ok(Some(data::noted(named.load_as(record)?, watch)))
        }
        (Some(spec), None, _) | (None, _, Some(spec)) => data::load(spec, watch).map(Some),
        (None, _, None) => Ok(None),
    }
}
