//! [`Template`]: what the file of one network looked like, so that networks are written as those that came in were.
//!
//! | of the file | what is written |
//! | --- | --- |
//! | names, shapes, types | those of the template: weights are rounded to their type (f16, bf16) or widened (f64) |
//! | weights | from θ; tensors that were tied are one parameter, and are the same bytes under all of their names |
//! | counters, masks, empty tensors | the values that they had in the template |
//! | frozen tensors | their bytes in the base checkpoint |
//! | words of the header | those that came in, and `format: pt`, which Hugging Face's readers ask for |
//! | files beside it (`config.json`, `adapter_config.json`) | their text; each network then has a folder of its own |
//!
//! A zoo of imported checkpoints keeps one in `template.safetensors`, and so does every model that is fitted to it.
mod assembly;
mod file;

pub use assembly::Assembly;

use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::layout::Layout;
use crate::numbers::{decoded, encoded, is_float};
use crate::sealed;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The name of a template's file.
pub const FILE: &str = "template.safetensors";

/// Where the numbers of a tensor come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The tensor of this name in the layout of θ.
    Weights(String),
    /// These bytes, row-major and little-endian, whatever θ is.
    Kept(Vec<u8>),
}

/// One tensor of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Its name in the file.
    pub name: String,
    /// Its type.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where its numbers come from.
    pub source: Source,
}

/// What the file of one network looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    tensors: Vec<Described>,
    words: BTreeMap<String, String>,
    beside: Beside,
}

/// What stands beside the file of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// The name of the network's own file.
    pub name: String,
    /// Texts by the names of their files; where there is one, each network has a folder of its own.
    pub texts: BTreeMap<String, String>,
}

impl Template {
    /// A template of these tensors, in the order of the file, for the weights of `layout`.
    ///
    /// # Errors
    /// A name twice; weights that are no tensor of the layout, of another shape or of no float type; a tensor of the layout that is not there; bytes
    /// that do not fill a shape; a name of a file that leads out of its folder.
    pub fn new(
        tensors: Vec<Described>,
        words: BTreeMap<String, String>,
        beside: Beside,
        layout: &Layout,
    ) -> Result<Self> {
        let template = Self { tensors, words, beside };
        template.check(layout)?;
        Ok(template)
    }

    /// Checks that it is one for the weights of `layout`, as [`Self::new`] does.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn check(&self, layout: &Layout) -> Result<()> {
        let slots: HashMap<&str, &[usize]> = layout.slots().iter().map(|s| (s.name.as_str(), &s.shape[..])).collect();
        let (mut names, mut used) = (HashSet::new(), HashSet::new());
        for tensor in &self.tensors {
            let wrong = |expected: String, found: String| {
                Err(Error::parameter(format!("template, tensor {}", tensor.name), expected, found))
            };
            if !names.insert(tensor.name.as_str()) {
                return wrong("one of this name".into(), "two".into());
            }
            match &tensor.source {
                Source::Weights(slot) => match slots.get(slot.as_str()) {
                    Some(shape) if *shape == tensor.shape && is_float(tensor.dtype) => {
                        used.insert(slot.as_str());
                    }
                    Some(shape) => {
                        return wrong(format!("floats {shape:?}"), format!("{:?} {:?}", tensor.dtype, tensor.shape));
                    }
                    None => return wrong("a tensor of the layout".into(), slot.clone()),
                },
                Source::Kept(bytes) => {
                    if TensorView::new(tensor.dtype, tensor.shape.clone(), bytes).is_err() {
                        let expected = format!("the bytes of {:?} {:?}", tensor.dtype, tensor.shape);
                        return wrong(expected, format!("{} bytes", bytes.len()));
                    }
                }
            }
        }
        if let Some(slot) = layout.slots().iter().find(|slot| !used.contains(slot.name.as_str())) {
            return Err(Error::parameter("template", format!("weights of {}", slot.name), "none"));
        }
        let plain = |name: &String| Path::new(name).file_name() == Some(name.as_ref());
        match self.beside.texts.keys().chain([&self.beside.name]).find(|name| !plain(name)) {
            Some(name) => Err(Error::parameter("template, files", "names of files", name)),
            None => Ok(()),
        }
    }

    /// The tensors in the order of the file.
    pub fn tensors(&self) -> &[Described] {
        &self.tensors
    }

    /// What stands beside the file.
    pub fn beside(&self) -> &Beside {
        &self.beside
    }

    /// The tensors whose bytes are kept.
    pub fn kept(&self) -> impl Iterator<Item = (&Described, &[u8])> {
        self.tensors.iter().filter_map(|tensor| match &tensor.source {
            Source::Kept(bytes) => Some((tensor, &bytes[..])),
            Source::Weights(_) => None,
        })
    }

    /// The bytes of every tensor, in order, of the network with the weights `theta [P]`.
    ///
    /// # Errors
    /// Weights that are not `[P]` or not finite; a number beyond the largest of its type.
    pub fn filled(&self, layout: &Layout, theta: &[f32]) -> Result<Vec<Cow<'_, [u8]>>> {
        if layout.check("theta", theta)? != 1 {
            return Err(Error::shape("theta", format!("[{}]", layout.len()), format!("[{}]", theta.len())));
        }
        let slots: HashMap<&str, std::ops::Range<usize>> =
            layout.slots().iter().map(|slot| (slot.name.as_str(), slot.range())).collect();
        let mut filled = Vec::with_capacity(self.tensors.len());
        for tensor in &self.tensors {
            filled.push(match &tensor.source {
                Source::Kept(bytes) => Cow::Borrowed(&bytes[..]),
                Source::Weights(slot) => {
                    let range = slots.get(slot.as_str()).cloned().unwrap_or_default();
                    Cow::Owned(encoded(&format!("tensor {}", tensor.name), tensor.dtype, &theta[range])?)
                }
            });
        }
        Ok(filled)
    }

    /// The safetensors bytes of the network with the weights `theta [P]`, which `load_state_dict(…, strict=True)` takes.
    ///
    /// # Errors
    /// As [`Self::filled`].
    pub fn network(&self, layout: &Layout, theta: &[f32]) -> Result<Vec<u8>> {
        let filled = self.filled(layout, theta)?;
        let views = self.tensors.iter().zip(&filled).map(|(tensor, bytes)| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), bytes);
            view.map(|view| (tensor.name.as_str(), view))
        });
        let wrong = |e| Error::parameter("template", "numbers that fit their shapes", e);
        sealed::plain(views.collect::<std::result::Result<Vec<_>, _>>().map_err(wrong)?, &self.words)
    }

    /// Writes the network with the weights `theta [P]` into `dir`, called `name`: a file, or a folder where others stand beside it. Gives the path.
    ///
    /// # Errors
    /// As [`Self::filled`]; whatever the system refuses.
    pub fn write(&self, layout: &Layout, theta: &[f32], dir: &Path, name: &str) -> Result<PathBuf> {
        let bytes = self.network(layout, theta)?;
        if self.beside.texts.is_empty() {
            let path = dir.join(format!("{name}.safetensors"));
            return write_whole(&path, &bytes).map(|()| path);
        }
        let folder = dir.join(name);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        for (other, text) in &self.beside.texts {
            write_whole(&folder.join(other), text.as_bytes())?;
        }
        let path = folder.join(&self.beside.name);
        write_whole(&path, &bytes).map(|()| path)
    }

    /// Whole networks `[n, Q]` in the order of the layout `whole`, of which `theta [n, P]` holds the tensors of `part`: the others are those that the
    /// template keeps, as `names` (of every tensor of `whole`) calls them in its file.
    ///
    /// # Errors
    /// Weights that are not `[n, P]`; a tensor that is neither in θ nor kept as floats of its shape.
    pub fn whole(&self, part: &Layout, whole: &Layout, names: &[&str], theta: &[f32]) -> Result<Vec<f32>> {
        let (n, p, q) = (part.check("theta", theta)?, part.len(), whole.len());
        let mut all = vec![0.0; n * q];
        for (slot, name) in whole.slots().iter().zip(names) {
            let tensor = self.tensors.iter().find(|tensor| tensor.name == *name && tensor.shape == slot.shape);
            match tensor.map(|tensor| &tensor.source) {
                Some(Source::Weights(own)) => {
                    let own = part.slots().iter().find(|slot| slot.name == *own).map(|slot| slot.range());
                    let from = own.unwrap_or_default();
                    for (row, theta) in all.chunks_exact_mut(q).zip(theta.chunks_exact(p)) {
                        row[slot.range()].copy_from_slice(&theta[from.clone()]);
                    }
                }
                Some(Source::Kept(bytes)) => {
                    let dtype = tensor.map_or(Dtype::F32, |tensor| tensor.dtype);
                    let values = decoded(Path::new(FILE), name, dtype, bytes)?;
                    all.chunks_exact_mut(q).for_each(|row| row[slot.range()].copy_from_slice(&values));
                }
                None => {
                    return Err(Error::parameter("template", format!("tensor {name} {:?}", slot.shape), "none"));
                }
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
