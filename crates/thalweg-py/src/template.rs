//! What the files of networks hold besides θ, and how they are written one by one: the library's template of a zoo or a model.
use crate::arrays::slice;
use crate::errors::Raise;
use crate::networks::{TYPES, Tensors};
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thalweg::{Error, Layout, Networks};
use thalweg_nets::numbers::{decoded, is_float};
use thalweg_nets::zoo::template::{Described, Source, Template as Inner};

/// The names, shapes and order of θ's tensors, with what the files that networks came from had besides.
#[pyclass(frozen)]
pub struct Template {
    layout: Layout,
    inner: Option<Arc<Inner>>,
}

impl Template {
    pub fn new(layout: &Layout, inner: Option<Arc<Inner>>) -> Self {
        Self { layout: layout.clone(), inner }
    }

    /// What stands before the names of θ's tensors: a wrapper's prefix.
    fn prefix(&self) -> &str {
        let before = |tensor: &&Described| match &tensor.source {
            Source::Weights(slot) => tensor.name.strip_suffix(slot.as_str()).map(str::len),
            Source::Kept(_) => None,
        };
        let mut all = self.inner.iter().flat_map(|template| template.tensors());
        all.find_map(|tensor| before(&tensor).map(|length| &tensor.name[..length])).unwrap_or("")
    }
}

#[pymethods]
impl Template {
    /// Tensors that θ does not hold: counters, masks, frozen ones. NumPy has no bfloat16, which becomes float32, and none of 8 bits, which are left out.
    #[getter]
    fn kept<'py>(&self, py: Python<'py>) -> PyResult<Tensors<'py>> {
        let Some(template) = &self.inner else { return Ok(Vec::new()) };
        let (before, mut all) = (self.prefix(), Vec::new());
        for (tensor, bytes) in template.kept() {
            let name = tensor.name.strip_prefix(before).unwrap_or(&tensor.name).to_owned();
            if let Some((kind, _)) = TYPES.iter().find(|(_, kind)| *kind == tensor.dtype) {
                all.push((name, *kind, tensor.shape.clone(), PyBytes::new(py, bytes)));
            } else if is_float(tensor.dtype) {
                let values = decoded(Path::new(&tensor.name), &tensor.name, tensor.dtype, bytes).raise()?;
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                all.push((name, "float32", tensor.shape.clone(), PyBytes::new(py, &bytes)));
            }
        }
        Ok(all)
    }

    /// Names of tensors that are the same numbers as another of θ's, with that one's.
    #[getter]
    fn tied(&self) -> Vec<(String, String)> {
        let before = self.prefix();
        let other = |tensor: &Described| match &tensor.source {
            Source::Weights(slot) => {
                let name = tensor.name.strip_prefix(before).unwrap_or(&tensor.name);
                (name != slot).then(|| (name.to_owned(), slot.clone()))
            }
            Source::Kept(_) => None,
        };
        self.inner.iter().flat_map(|template| template.tensors()).filter_map(other).collect()
    }

    /// Writes each of `theta [n, P]` into `folder`, as the program does: with the names, types and kept tensors of the files that the networks came from.
    fn write(&self, folder: PathBuf, theta: PyReadonlyArray2<'_, f32>) -> PyResult<()> {
        let theta = slice("theta", &theta)?;
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder)).raise()?;
        let written = match &self.inner {
            Some(template) => Networks::write_as(0, theta, &folder, &self.layout, template),
            None => Networks::write_some(0, theta, &folder, &self.layout),
        };
        written.raise()
    }
}
