//! Networks in files and through the engine.
use crate::architecture::{Architecture, tensors};
use crate::arrays::{self, line, shape, slice};
use crate::errors::Raise;
use crate::settings;
use crate::work;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use safetensors::{Dtype, tensor::TensorView};
use std::path::{Path, PathBuf};
use thalweg::{Layout, Networks, Result, States};
use thalweg_nets::engine::{Engine, Mode};
use thalweg_nets::files::{read_regular, write_whole};
use thalweg_nets::layout::open;
use thalweg_nets::loss::CrossEntropy;
use thalweg_nets::sealed::{self, pytorch_words};
use thalweg_nets::zoo::checkpoints::networks;

/// Types of tensors by NumPy's names.
pub const TYPES: [(&str, Dtype); 12] = [
    ("float32", Dtype::F32),
    ("float64", Dtype::F64),
    ("float16", Dtype::F16),
    ("int64", Dtype::I64),
    ("int32", Dtype::I32),
    ("int16", Dtype::I16),
    ("int8", Dtype::I8),
    ("uint8", Dtype::U8),
    ("uint16", Dtype::U16),
    ("uint32", Dtype::U32),
    ("uint64", Dtype::U64),
    ("bool", Dtype::BOOL),
];

/// States along the way: times `[T]` and weights `[T, n, P]` as rows.
type Kept<'py> = (Vec<f64>, PyReadonlyArray2<'py, f32>);

/// Writes the stack `theta [n, P]` with what is known of the networks.
#[pyfunction]
pub fn write_stack(
    path: PathBuf,
    theta: PyReadonlyArray2<'_, f32>,
    architecture: Option<&Architecture>,
    data: Option<&Bound<'_, PyAny>>,
    split: Option<&Bound<'_, PyAny>>,
    states: Option<Kept<'_>>,
) -> PyResult<()> {
    let all = Networks {
        theta: slice("theta", &theta)?.to_vec(),
        parameters: shape(&theta)[1],
        architecture: architecture.map(|a| a.inner.clone()),
        data: data.map(|data| settings::read("data", data)).transpose()?,
        split: split.map(|split| settings::read("split", split)).transpose()?,
    };
    let states = match &states {
        Some((times, theta)) => States { times: times.clone(), theta: slice("states", theta)?.to_vec() },
        None => States::default(),
    };
    all.write_stack(&path, &states).raise()
}

/// What a file or folder of networks holds; the layout is empty where nothing says it.
type Read<'py> = (
    Bound<'py, PyArray2<f32>>,
    Option<Architecture>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Vec<(String, Vec<usize>)>,
);

/// Reads a stack, a network, or a folder of networks by the names of their tensors.
#[pyfunction]
pub fn read_networks<'py>(py: Python<'py>, path: PathBuf, architecture: Option<&Architecture>) -> PyResult<Read<'py>> {
    let known = architecture.map(|a| &a.inner);
    let (found, layout) = py.detach(|| read(&path, known)).raise()?;
    Ok((
        arrays::rows(py, found.theta, found.parameters)?,
        found.architecture.map(|inner| Architecture { inner }),
        found.data.map(|data| settings::dict(py, &data)).transpose()?,
        found.split.map(|split| settings::dict(py, &split)).transpose()?,
        layout.map_or(Vec::new(), |layout| tensors(&layout)),
    ))
}

/// Networks with their layout; single ones of an unknown architecture have that of the first.
fn read(path: &Path, known: Option<&thalweg_nets::Architecture>) -> Result<(Networks, Option<Layout>)> {
    let (single, _) = networks(path)?;
    if known.is_some() || single[0].is_stack()? {
        let found = Networks::read(path, known, &|_| ())?;
        let layout = found.architecture.as_ref().map(Layout::of);
        return Ok((found, layout));
    }
    let layout = single[0].layout()?;
    let mut theta = Vec::new();
    for network in &single {
        theta.extend(network.read(&layout, &network.reading(&layout)?)?);
    }
    let parameters = layout.len();
    Ok((Networks { theta, parameters, architecture: None, data: None, split: None }, Some(layout)))
}

/// Writes named tensors, (name, type, shape, bytes), as one plain safetensors file.
#[pyfunction]
pub fn write_tensors(path: PathBuf, tensors: Vec<(String, String, Vec<usize>, PyBackedBytes)>) -> PyResult<()> {
    let wrong = |e: &dyn std::fmt::Display| PyValueError::new_err(e.to_string());
    let views = tensors.iter().map(|(name, kind, shape, bytes)| {
        let view = TensorView::new(dtype(kind)?, shape.clone(), bytes).map_err(|e| wrong(&e))?;
        Ok((name.as_str(), view))
    });
    let views = views.collect::<PyResult<Vec<_>>>()?;
    write_whole(&path, &sealed::plain(views, &pytorch_words()).raise()?).raise()
}

/// Named tensors: name, type, shape, bytes.
pub type Tensors<'py> = Vec<(String, &'static str, Vec<usize>, Bound<'py, PyBytes>)>;

/// Named tensors of a plain safetensors file.
#[pyfunction]
pub fn read_tensors<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Tensors<'py>> {
    let bytes = read_regular(&path, u64::MAX).raise()?;
    let file = open(&path, &bytes).raise()?;
    let one = |(name, view): (String, TensorView<'_>)| {
        let known = TYPES.iter().find(|(_, kind)| *kind == view.dtype());
        let (kind, _) =
            known.ok_or_else(|| PyValueError::new_err(format!("{name}: tensors of type {:?}", view.dtype())))?;
        Ok((name, *kind, view.shape().to_vec(), PyBytes::new(py, view.data())))
    };
    file.tensors().into_iter().map(one).collect()
}

fn dtype(name: &str) -> PyResult<Dtype> {
    let known = TYPES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    known.ok_or_else(|| PyValueError::new_err(format!("tensors of type {name}: expected floats, integers or booleans")))
}

/// Logits `[n, N, C]` of `theta [n, P]` on inputs `[N, D]`.
#[pyfunction]
pub fn logits<'py>(
    py: Python<'py>,
    architecture: &Architecture,
    theta: PyReadonlyArray2<'py, f32>,
    inputs: PyReadonlyArray2<'py, f32>,
    observer: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray3<f32>>> {
    let (theta_, inputs_) = (slice("theta", &theta)?, slice("inputs", &inputs)?);
    let work = |_: &work::Watch| {
        let engine = Engine::new(&architecture.inner)?;
        let x = engine.pack(inputs_)?;
        engine.logits_of_many(theta_, &x)
    };
    let all = work::run(py, observer, work)?;
    arrays::block(py, all, [shape(&theta)[0], shape(&inputs)[0], architecture.inner.classes()])
}

/// Losses `[n]` and gradients `[n, P]`.
type Graded<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f32>>);

/// Mean cross-entropies `[n]` of `theta [n, P]` to labels `[N]`, and their gradients `[n, P]`, in evaluation mode.
#[pyfunction]
pub fn gradients<'py>(
    py: Python<'py>,
    architecture: &Architecture,
    theta: PyReadonlyArray2<'py, f32>,
    inputs: PyReadonlyArray2<'py, f32>,
    labels: PyReadonlyArray1<'py, u32>,
    observer: &Bound<'py, PyAny>,
) -> PyResult<Graded<'py>> {
    let (theta_, inputs_, labels_) = (slice("theta", &theta)?, slice("inputs", &inputs)?, line("labels", &labels)?);
    let work = |_: &work::Watch| {
        let engine = Engine::new(&architecture.inner)?;
        let x = engine.pack(inputs_)?;
        let loss = CrossEntropy::new(labels_, engine.classes(), 0.0)?;
        engine.gradients_of_many(theta_, &x, Mode::Evaluate, &loss)
    };
    let (losses, gradients) = work::run(py, observer, work)?;
    Ok((losses.into_pyarray(py), arrays::rows(py, gradients, shape(&theta)[1])?))
}

/// Accuracies and mean cross-entropies `[n]` of `theta [n, P]`.
#[pyfunction]
pub fn evaluate<'py>(
    py: Python<'py>,
    architecture: &Architecture,
    theta: PyReadonlyArray2<'py, f32>,
    inputs: PyReadonlyArray2<'py, f32>,
    labels: PyReadonlyArray1<'py, u32>,
    observer: &Bound<'py, PyAny>,
) -> PyResult<[Bound<'py, PyArray1<f64>>; 2]> {
    let (theta, inputs, labels) = (slice("theta", &theta)?, slice("inputs", &inputs)?, line("labels", &labels)?);
    let work = |_: &work::Watch| {
        let engine = Engine::new(&architecture.inner)?;
        thalweg_nets::evaluate::evaluate(&engine, theta, &engine.pack(inputs)?, labels)
    };
    let scores = work::run(py, observer, work)?;
    let (accuracies, losses): (Vec<f64>, Vec<f64>) = scores.iter().map(|s| (s.accuracy, s.loss)).unzip();
    Ok([accuracies.into_pyarray(py), losses.into_pyarray(py)])
}
