//! Judgement of networks beside those of their zoo.
use crate::arrays::{line, shape, slice};
use crate::data;
use crate::errors::{Raise, Raised};
use crate::evaluator::{ByPython, sizes};
use crate::settings;
use crate::work;
use crate::zoo::Zoo;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thalweg::judge::{ByEngine, Evaluation, Judged, PROBES, Row, ZooRuns, table};
use thalweg::metric::wasserstein::{wasserstein_1, wasserstein_2};
use thalweg::{Error, Split, Streams};
use thalweg_nets::data::Splits;
use thalweg_nets::engine::Engine;
use thalweg_nets::train::fits;

/// Rows of the table, and the accuracies and distances of each network.
type Told<'py> = (Bound<'py, PyAny>, Bound<'py, PyDict>);

/// Test inputs `[N, D]` with labels `[N]`, and probe inputs `[M, D]`.
type Given<'py> = (PyReadonlyArray2<'py, f32>, PyReadonlyArray1<'py, u32>, PyReadonlyArray2<'py, f32>);

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

/// Judges `theta [n, P]` by the engine, on the rows `given` or else on data by name: rows for the samples, the zoo, held-out runs and the baselines.
#[pyfunction]
pub fn judge<'py>(
    py: Python<'py>,
    zoo: &Zoo,
    theta: PyReadonlyArray2<'py, f32>,
    split: &Bound<'py, PyAny>,
    data: Option<&Bound<'py, PyAny>>,
    given: Option<Given<'py>>,
    baselines: bool,
    seed: u64,
    observer: &Bound<'py, PyAny>,
) -> PyResult<Told<'py>> {
    let split: Split = settings::read("split", split)?;
    let data = data.map(data::spec).transpose()?;
    let given = match &given {
        Some((x, y, probe)) => Some((slice("inputs", x)?, line("labels", y)?, slice("probe", probe)?)),
        None => None,
    };
    let (theta, zoo) = (slice("theta", &theta)?, &*zoo.inner);
    let work = |watch: &work::Watch| {
        let unknown = |what: &str| {
            let expected = format!("a zoo that knows its {what} (import it with one)");
            Error::parameter("zoo", expected, zoo.dir().display())
        };
        let architecture = zoo.architecture().ok_or_else(|| unknown("architecture"))?;
        let engine = Engine::new(architecture)?;
        let loaded = match given {
            Some(_) => None,
            None => Some(data::of_zoo(zoo.data(), data.as_ref(), watch)?.ok_or_else(|| unknown("data"))?),
        };
        let probe = loaded.as_ref().map(|splits| splits.train.first(PROBES).inputs);
        let (inputs, labels, probe) = match (&loaded, &probe, given) {
            (Some(Splits { test, .. }), Some(probe), _) => {
                fits(architecture, test)?;
                (&test.inputs[..], &test.labels[..], &probe[..])
            }
            (_, _, Some(given)) => given,
            _ => return Err(unknown("data")),
        };
        let test = engine.pack(inputs)?;
        let runs = ZooRuns::of(zoo, &split.of(zoo)?)?;
        let by = ByEngine { engine: &engine, test: &test, probe };
        let streams = baselines.then(|| Streams::new(seed).child("eval"));
        table(runs.evaluated(Evaluation::Engine(by), labels), &[("samples", theta)], streams.as_ref(), watch)
    };
    let judged = work::run(py, observer, work)?;
    told(py, judged)
}

/// As [`judge`], for networks that `evaluator`, an object of Python ([`ByPython`]), evaluates on its test inputs with `labels [N]`.
#[pyfunction]
pub fn judge_by<'py>(
    py: Python<'py>,
    zoo: &Zoo,
    theta: PyReadonlyArray2<'py, f32>,
    split: &Bound<'py, PyAny>,
    evaluator: &Bound<'py, PyAny>,
    labels: PyReadonlyArray1<'py, u32>,
    baselines: bool,
    seed: u64,
    observer: &Bound<'py, PyAny>,
) -> PyResult<Told<'py>> {
    let split: Split = settings::read("split", split)?;
    let (theta, labels, zoo) = (slice("theta", &theta)?, line("labels", &labels)?, &*zoo.inner);
    let (sizes, object, raised) = (sizes(evaluator)?, evaluator.clone().unbind(), Raised::default());
    let work = |watch: &work::Watch| {
        let runs = ZooRuns::modelled(zoo, &split.of(zoo)?)?;
        let by = ByPython { object: &object, layout: zoo.layout(), sizes, watch, raised: &raised };
        let streams = baselines.then(|| Streams::new(seed).child("eval"));
        table(runs.evaluated(Evaluation::Other(&by), labels), &[("samples", theta)], streams.as_ref(), watch)
    };
    let judged = work::run(py, observer, work);
    // What the evaluator raised is the cause, whatever the judgement says of it.
    match raised.take() {
        Some(raised) => Err(raised),
        None => told(py, judged?),
    }
}

fn told(py: Python<'_>, judged: Vec<Judged>) -> PyResult<Told<'_>> {
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
