//! An [`Architecture`] as a PyTorch module: the text of a Python file whose parameters have the names and shapes of the [`Layout`](crate::Layout), so that
//! `load_state_dict` takes a network's file as it is, with what its inputs and outputs mean.
use crate::architecture::{Architecture, Layer, Operation, Shape, shape_after};
use crate::data::Normalisation;
use crate::error::Result;
use std::fmt::Write;

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
    let mut lines = Lines { init: String::new(), forward: String::new() };
    let [c, h, w] = architecture.input();
    let input = if [h, w] == [1, 1] { format!("[N, {c}]") } else { format!("[N, {c}, {h}, {w}]") };
    let mut state = State { shape: architecture.input(), flat: [h, w] == [1, 1] };
    lines.layers("", architecture.layers(), &mut state, 0)?;
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


class Network(nn.Module):
    \"\"\"{name}: {input} -> logits [N, {out}].\"\"\"

    def __init__(self):
        super().__init__()
{init}
    def forward(self, x):
        at = self.get_submodule
{forward}        return x
",
        version = env!("CARGO_PKG_VERSION"),
        classes = classes(meaning.class_names, architecture.classes()),
        features = features(meaning.feature_names),
        normalise = normalise(meaning.normalisation, architecture.input(), &input),
        name = architecture.name().replace(['"', '\\', '\n', '\r'], " "),
        out = architecture.classes(),
        forward = lines.forward,
    ))
}

/// Where a forward pass has come to.
struct State {
    shape: Shape,
    /// Whether activations are `[N, features]` and not `[N, channels, height, width]`.
    flat: bool,
}

struct Lines {
    init: String,
    forward: String,
}

impl Lines {
    fn run(&mut self, line: &str) {
        self.forward += "        ";
        self.forward += line;
        self.forward.push('\n');
    }

    /// A layer with tensors: made under `name`, called by it.
    fn call(&mut self, name: &str, layer: &str) {
        let name = text(name);
        let _ = writeln!(self.init, "        _put(self, {name}, {layer})");
        self.run(&format!("x = at({name})(x)"));
    }

    fn layers(&mut self, prefix: &str, layers: &[Layer], state: &mut State, depth: usize) -> Result<()> {
        for (i, layer) in layers.iter().enumerate() {
            let own = layer.name.clone().unwrap_or_else(|| i.to_string());
            let name = if prefix.is_empty() { own } else { format!("{prefix}.{own}") };
            let after = shape_after(&layer.operation, state.shape, &name)?;
            self.layer(&name, &layer.operation, state, depth)?;
            state.shape = after;
        }
        Ok(())
    }

    fn layer(&mut self, name: &str, operation: &Operation, state: &mut State, depth: usize) -> Result<()> {
        let [c, h, w] = state.shape;
        let spatial =
            matches!(operation, Operation::Conv { .. } | Operation::MaxPool { .. } | Operation::AvgPool { .. });
        if spatial && state.flat {
            self.run(&format!("x = x.unflatten(1, ({c}, {h}, {w}))"));
            state.flat = false;
        }
        let python = |b: bool| if b { "True" } else { "False" };
        match operation {
            Operation::Conv { out, kernel, stride, padding, bias } => self.call(
                name,
                &format!("nn.Conv2d({c}, {out}, {kernel}, stride={stride}, padding={padding}, bias={})", python(*bias)),
            ),
            Operation::Dense { out, bias } => {
                if !state.flat {
                    self.run("x = x.flatten(1)");
                    state.flat = true;
                }
                self.call(name, &format!("nn.Linear({c}, {out}, bias={})", python(*bias)));
            }
            Operation::BatchNorm { eps, momentum } => {
                let kind = if state.flat { "nn.BatchNorm1d" } else { "nn.BatchNorm2d" };
                self.call(name, &format!("{kind}({c}, eps={eps:?}, momentum={momentum:?})"));
            }
            Operation::MaxPool { size, stride } => {
                self.run(&format!("x = F.max_pool2d(x, {size}, stride={})", stride.unwrap_or(*size)));
            }
            Operation::AvgPool { size, stride } => {
                self.run(&format!("x = F.avg_pool2d(x, {size}, stride={})", stride.unwrap_or(*size)));
            }
            Operation::Relu => self.run("x = F.relu(x)"),
            Operation::LeakyRelu { slope } => self.run(&format!("x = F.leaky_relu(x, {slope:?})")),
            Operation::Tanh => self.run("x = torch.tanh(x)"),
            Operation::Gelu => self.run("x = F.gelu(x)"),
            Operation::Silu => self.run("x = F.silu(x)"),
            Operation::Softplus => self.run("x = F.softplus(x)"),
            Operation::Dropout { p } => self.run(&format!("x = F.dropout(x, {p:?}, self.training)")),
            Operation::Residual { layers } => self.residual(name, layers, state, depth)?,
            Operation::Flatten => {
                if !state.flat {
                    self.run("x = x.flatten(1)");
                    state.flat = true;
                }
            }
        }
        Ok(())
    }

    /// x + layers(x), of the same rank before and after.
    fn residual(&mut self, name: &str, layers: &[Layer], state: &mut State, depth: usize) -> Result<()> {
        let (flat, [c, h, w]) = (state.flat, state.shape);
        let _ = writeln!(self.forward, "        kept{depth} = x");
        self.layers(name, layers, state, depth + 1)?;
        match (flat, state.flat) {
            (true, false) => self.run("x = x.flatten(1)"),
            (false, true) => self.run(&format!("x = x.unflatten(1, ({c}, {h}, {w}))")),
            _ => {}
        }
        state.flat = flat;
        self.run(&format!("x = kept{depth} + x"));
        Ok(())
    }
}

/// A Python string.
fn text(text: &str) -> String {
    // JSON's strings are Python's.
    serde_json::Value::from(text).to_string()
}

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
