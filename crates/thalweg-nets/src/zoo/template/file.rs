//! A template on disk: one safetensors file of ours, with the kept tensors under their own names and all else in its header.
//!
//! | in the file | what |
//! | --- | --- |
//! | tensors | those that are kept, under their names, types and shapes |
//! | word `format` | `thalweg template 1` |
//! | word `template` | JSON: every tensor in order (`name`; `dtype`, `shape` and `slot` of those from θ), `words`, `beside` |
//! | word `blake3` | the checksum |
use super::{Beside, Described, Source, Template};
use crate::checksum;
use crate::error::{Error, Result};
use crate::layout::{Layout, open};
use crate::sealed;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The header's word for a template, with its version.
const FORMAT: &str = "thalweg template 1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    tensors: Vec<Entry>,
    words: BTreeMap<String, String>,
    beside: Beside,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    /// What is from θ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<Weights>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    slot: String,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Template {
    /// The bytes of its file: a function of the template alone.
    ///
    /// # Errors
    /// What cannot be serialised.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let entry = |tensor: &Described| Entry {
            name: tensor.name.clone(),
            weights: match &tensor.source {
                Source::Weights(slot) => {
                    Some(Weights { slot: slot.clone(), dtype: tensor.dtype, shape: tensor.shape.clone() })
                }
                Source::Kept(_) => None,
            },
        };
        let head = Head {
            tensors: self.tensors.iter().map(entry).collect(),
            words: self.words.clone(),
            beside: self.beside.clone(),
        };
        let wrong = |e: &dyn std::fmt::Display| Error::parameter("template", "what a file can hold", e);
        let head = serde_json::to_string(&head).map_err(|e| wrong(&e))?;
        let words = BTreeMap::from([("format".into(), FORMAT.into()), ("template".into(), head)]);
        let views = self.kept().map(|(tensor, bytes)| {
            TensorView::new(tensor.dtype, tensor.shape.clone(), bytes).map(|view| (tensor.name.as_str(), view))
        });
        sealed::serialise(views.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| wrong(&e))?, &words)
    }

    /// Reads `bytes`, the content of the file `path`: a template for the weights of `layout`.
    ///
    /// # Errors
    /// Damage; another format; a template that is not one for `layout`.
    pub fn from_bytes(path: &Path, bytes: &[u8], layout: &Layout) -> Result<Self> {
        let file = open(path, bytes)?;
        checksum::check(path, bytes)?;
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|e| Error::format(path, "header", "a safetensors header", e))?;
        let words = header.metadata().clone().unwrap_or_default();
        let word = |key: &str| words.get(key).map_or("", String::as_str);
        if word("format") != FORMAT {
            return Err(Error::format(path, "format", FORMAT, format!("\"{}\"", word("format"))));
        }
        let head: Head = serde_json::from_str(word("template"))
            .map_err(|e| Error::format(path, "header, template", "a description of the tensors", e))?;
        let described = |entry: Entry| {
            if let Some(Weights { slot, dtype, shape }) = entry.weights {
                return Ok(Described { name: entry.name, dtype, shape, source: Source::Weights(slot) });
            }
            let missing = |_| Error::format(path, format!("tensor {}", entry.name), "its kept numbers", "none");
            let view = file.tensor(&entry.name).map_err(missing)?;
            let (dtype, shape) = (view.dtype(), view.shape().to_vec());
            Ok(Described { dtype, shape, source: Source::Kept(view.data().to_vec()), name: entry.name })
        };
        let tensors = head.tensors.into_iter().map(described).collect::<Result<Vec<_>>>()?;
        let template = Self { tensors, words: head.words, beside: head.beside };
        template.check(layout).map_err(|e| Error::format(path, "template", "one for the zoo's weights", e))?;
        Ok(template)
    }
}
