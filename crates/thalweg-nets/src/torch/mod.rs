//! An [`Architecture`] as a PyTorch module: the text of a Python file whose parameters have the names and shapes of the [`Layout`](crate::Layout), so that
//! `load_state_dict` takes a network's file as it is, with what its inputs and outputs mean.
mod layers;

use crate::architecture::{Architecture, Shape, name_of};
use crate::data::Normalisation;
use crate::error::Result;
use layers::{Lines, State, text};

/// What is known of a network's inputs and outputs.
#[derive(Clone, Debug, Default)]
pub struct Meaning<'a> {
    /// How raw inputs become the network's; not known where none.
    pub normalisation: Option<&'a Normalisation>,
    /// The classes' names in order; numbers from 0 where empty.
    pub class_names: &'a [String],
    /// The columns' names in order; empty where they have none.
    pub feature_names: &'a [String],
}

/// The text of `network.py`: a class `Network` of layers of `torch.nn`, `normalise` for its inputs, `CLASSES`.
///
/// # Errors
/// Layers that do not fit together: never for a checked architecture.
pub fn module(architecture: &Architecture, meaning: &Meaning) -> Result<String> {
    let mut lines = Lines::default();
    let [c, h, w] = architecture.input();
    let sequence = h == 1 && w > 1;
    let input = match [h, w] {
        [1, 1] => format!("[N, {c}]"),
        [1, _] => format!("[N, {c}, {w}]"),
        _ => format!("[N, {c}, {h}, {w}]"),
    };
    let mut state = State { shape: architecture.input(), flat: [h, w] == [1, 1] };
    lines.layers(architecture.layers(), &|layer, i| name_of("", layer, i), &mut state, 0)?;
    if !state.flat {
        lines.run("x = x.flatten(1)");
    }
    let init = if lines.init.is_empty() { "        pass\n".into() } else { lines.init };
    Ok(format!(
        "\"\"\"The networks beside this file, for PyTorch: see README.md. Written by thalweg {version}.\"\"\"
import torch
from torch import nn
from torch.nn import functional as F

{classes}{features}{normalise}

def _put(parent, name, layer):
    \"\"\"Makes `layer` the submodule `name` of `parent`; dots lead through modules that only hold others.\"\"\"
    *path, last = name.split(\".\")
    for part in path:
        if part not in parent._modules:
            parent.add_module(part, nn.Module())
        parent = parent._modules[part]
    parent.add_module(last, layer)

{helpers}
class Network(nn.Module):
    \"\"\"{name}: {input} -> logits [N, {out}].\"\"\"

    def __init__(self):
        super().__init__()
{init}
    def forward(self, x):
        at = self.get_submodule
{sequence}{forward}        return x
",
        version = env!("CARGO_PKG_VERSION"),
        classes = classes(meaning.class_names, architecture.classes()),
        features = features(meaning.feature_names),
        normalise = normalise(meaning.normalisation, architecture.input(), &input),
        name = architecture.name().replace(['"', '\\', '\n', '\r'], " "),
        out = architecture.classes(),
        helpers = if init.contains("_put_tensor") { TENSORS } else { "" },
        sequence = if sequence { "        x = x.unsqueeze(2) if x.dim() == 3 else x\n" } else { "" },
        forward = lines.forward,
    ))
}

/// Beside `_put`, where tensors belong to no layer.
const TENSORS: &str = "
def _put_tensor(parent, name, value):
    \"\"\"Makes `value` the parameter `name` of `parent`; dots lead through modules that only hold others.\"\"\"
    *path, last = name.split(\".\")
    for part in path:
        if part not in parent._modules:
            parent.add_module(part, nn.Module())
        parent = parent._modules[part]
    parent.register_parameter(last, nn.Parameter(value))


def _tensor(parent, name):
    path, _, last = name.rpartition(\".\")
    return parent.get_submodule(path)._parameters[last]

";

fn classes(names: &[String], n: usize) -> String {
    match names.is_empty() {
        true => format!("# Classes by their logits' places.\nCLASSES = [str(i) for i in range({n})]\n"),
        false => format!("# Classes by their logits' places.\nCLASSES = {}\n", list(names, |name| text(name))),
    }
}

fn features(names: &[String]) -> String {
    match names.is_empty() {
        true => String::new(),
        false => format!("# Columns of the inputs, in order.\nFEATURES = {}\n", list(names, |name| text(name))),
    }
}

fn list<T>(values: &[T], shown: impl Fn(&T) -> String) -> String {
    format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(", "))
}

fn normalise(normalisation: Option<&Normalisation>, [_, h, w]: Shape, input: &str) -> String {
    let Some(normal) = normalisation else {
        return format!(
            "
def normalise(x):
    \"\"\"The networks' inputs {input}. How they follow from raw ones is not known: put here what the networks were trained with.\"\"\"
    return x.float()
"
        );
    };
    let raw = match normal.range {
        Some([low, high]) => format!("pixels from {low} to {high}; divide those of bytes by 255"),
        None => "values as they are in the file".into(),
    };
    if normal.is_identity() {
        return format!(
            "
def normalise(x):
    \"\"\"The networks' inputs {input}: raw ones as they are ({raw}).\"\"\"
    return x.float()
"
        );
    }
    let shape = if [h, w] == [1, 1] { "(-1,)" } else { "(-1, 1, 1)" };
    let offset = if normal.offset.is_empty() {
        ("", "")
    } else {
        ("    offset = torch.tensor(OFFSET, dtype=torch.float64).reshape(SHAPE)\n", " - offset")
    };
    let offsets = match normal.offset.is_empty() {
        true => String::new(),
        false => format!("OFFSET = {}\n", list(&normal.offset, |v| format!("{v:?}"))),
    };
    format!(
        "# Of every channel, in raw units.
MEAN = {mean}
STD = {std}
{offsets}

def normalise(x):
    \"\"\"The networks' inputs from raw ones {input}: {raw}.\"\"\"
    mean = torch.tensor(MEAN, dtype=torch.float64).reshape{shape}
    std = torch.tensor(STD, dtype=torch.float64).reshape{shape}
{taken}    return ((x.double(){minus} - mean) / std).float()
",
        mean = list(&normal.mean, |v| format!("{v:?}")),
        std = list(&normal.std, |v| format!("{v:?}")),
        taken = offset.0.replace("(SHAPE)", shape),
        minus = offset.1,
    )
}
