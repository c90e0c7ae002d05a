//! An [`Architecture`] as a PyTorch module: the text of a Python file whose parameters have the names and shapes of the [`Layout`](crate::Layout), so that
//! `load_state_dict` takes a network's file as it is, with what its inputs and outputs mean.
use crate::architecture::{
    Architecture, Layer, Operation, Over, Projections, Shape, Sides, name_of, shape_after, shortcut_name,
};
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

fn python(b: bool) -> &'static str {
    if b { "True" } else { "False" }
}

/// One number, or a tuple.
fn sides(Sides([h, w]): Sides) -> String {
    if h == w { h.to_string() } else { format!("({h}, {w})") }
}

impl Lines {
    fn run(&mut self, line: &str) {
        self.forward += "        ";
        self.forward += line;
        self.forward.push('\n');
    }

    /// A layer with tensors, made under `name`; how it is called.
    fn made(&mut self, name: &str, layer: &str) -> String {
        let name = text(name);
        let _ = writeln!(self.init, "        _put(self, {name}, {layer})");
        format!("at({name})")
    }

    /// A layer with tensors: made under `name`, called by it.
    fn call(&mut self, name: &str, layer: &str) {
        let call = self.made(name, layer);
        self.run(&format!("x = {call}(x)"));
    }

    /// As [`Self::call`], for a layer that acts on the last axis, which the channels take meanwhile.
    fn call_on_channels(&mut self, name: &str, layer: &str, state: &State) {
        let call = self.made(name, layer);
        self.run(&match state.flat {
            true => format!("x = {call}(x)"),
            false => format!("x = {call}(x.movedim(1, -1)).movedim(-1, 1)"),
        });
    }

    /// A tensor that is no layer's: made under `name`; how it is had.
    fn tensor(&mut self, name: &str, shape: &str) -> String {
        let name = text(name);
        let _ = writeln!(self.init, "        _put_tensor(self, {name}, torch.zeros({shape}))");
        format!("_tensor(self, {name})")
    }

    fn flatten(&mut self, state: &mut State) {
        if !state.flat {
            self.run("x = x.flatten(1)");
            state.flat = true;
        }
    }

    fn unflatten(&mut self, state: &mut State) {
        if state.flat {
            let [c, h, w] = state.shape;
            self.run(&format!("x = x.unflatten(1, ({c}, {h}, {w}))"));
            state.flat = false;
        }
    }

    fn layers(
        &mut self,
        layers: &[Layer],
        name: &dyn Fn(&Layer, usize) -> String,
        state: &mut State,
        depth: usize,
    ) -> Result<()> {
        for (i, layer) in layers.iter().enumerate() {
            let name = name(layer, i);
            let after = shape_after(&layer.operation, state.shape, &name)?;
            self.layer(&name, &layer.operation, state, depth)?;
            state.shape = after;
        }
        Ok(())
    }

    fn layer(&mut self, name: &str, operation: &Operation, state: &mut State, depth: usize) -> Result<()> {
        let [c, h, w] = state.shape;
        match operation {
            Operation::Conv { out, kernel, stride, padding, dilation, groups, bias } => {
                self.unflatten(state);
                let (kernel, stride, padding) = (sides(*kernel), sides(*stride), sides(*padding));
                let mut layer = format!("nn.Conv2d({c}, {out}, {kernel}, stride={stride}, padding={padding}");
                if dilation.0 != [1; 2] {
                    layer += &format!(", dilation={}", sides(*dilation));
                }
                if *groups != 1 {
                    layer += &format!(", groups={groups}");
                }
                self.call(name, &format!("{layer}, bias={})", python(*bias)));
            }
            Operation::Conv1d { out, kernel, stride, padding, dilation, groups, bias } => {
                self.unflatten(state);
                let layer = format!(
                    "nn.Conv1d({c}, {out}, {kernel}, stride={stride}, padding={padding}, dilation={dilation}, groups={groups}, bias={})",
                    python(*bias)
                );
                let call = self.made(name, &layer);
                self.run(&format!("x = {call}(x.squeeze(2)).unsqueeze(2)"));
            }
            Operation::Dense { out, bias } => {
                self.flatten(state);
                self.call(name, &format!("nn.Linear({c}, {out}, bias={})", python(*bias)));
            }
            Operation::Linear { out, bias } => {
                self.call_on_channels(name, &format!("nn.Linear({c}, {out}, bias={})", python(*bias)), state);
            }
            Operation::BatchNorm { eps, momentum } => {
                let kind = if state.flat { "nn.BatchNorm1d" } else { "nn.BatchNorm2d" };
                self.call(name, &format!("{kind}({c}, eps={eps:?}, momentum={momentum:?})"));
            }
            Operation::GroupNorm { groups, eps } => {
                self.call(name, &format!("nn.GroupNorm({groups}, {c}, eps={eps:?})"));
            }
            Operation::LayerNorm { over: Over::Features, eps } => {
                self.call_on_channels(name, &format!("nn.LayerNorm({c}, eps={eps:?})"), state);
            }
            Operation::LayerNorm { over: Over::All, eps } => {
                self.unflatten(state);
                self.call(name, &format!("nn.LayerNorm(({c}, {h}, {w}), eps={eps:?})"));
            }
            Operation::Prelu { channels } => self.call(name, &format!("nn.PReLU({})", if *channels { c } else { 1 })),
            Operation::MaxPool { size, stride, padding } => {
                self.unflatten(state);
                let (size, stride) = (sides(*size), sides(stride.unwrap_or(*size)));
                let padding =
                    if padding.0 == [0; 2] { String::new() } else { format!(", padding={}", sides(*padding)) };
                self.run(&format!("x = F.max_pool2d(x, {size}, stride={stride}{padding})"));
            }
            Operation::AvgPool { size, stride, padding, count_padding } => {
                self.unflatten(state);
                let (size, stride) = (sides(*size), sides(stride.unwrap_or(*size)));
                let padding = match padding.0 == [0; 2] {
                    true => String::new(),
                    false => format!(", padding={}, count_include_pad={}", sides(*padding), python(*count_padding)),
                };
                self.run(&format!("x = F.avg_pool2d(x, {size}, stride={stride}{padding})"));
            }
            Operation::AdaptiveAvgPool { size } => {
                self.unflatten(state);
                self.run(&format!("x = F.adaptive_avg_pool2d(x, {})", sides(*size)));
            }
            Operation::Relu => self.run("x = F.relu(x)"),
            Operation::Relu6 => self.run("x = F.relu6(x)"),
            Operation::LeakyRelu { slope } => self.run(&format!("x = F.leaky_relu(x, {slope:?})")),
            Operation::Elu { alpha } => self.run(&format!("x = F.elu(x, {alpha:?})")),
            Operation::Tanh => self.run("x = torch.tanh(x)"),
            Operation::Sigmoid => self.run("x = torch.sigmoid(x)"),
            Operation::Gelu => self.run("x = F.gelu(x)"),
            Operation::Silu => self.run("x = F.silu(x)"),
            Operation::HardSwish => self.run("x = F.hardswish(x)"),
            Operation::Softplus => self.run("x = F.softplus(x)"),
            Operation::Identity => {}
            Operation::Dropout { p } => self.run(&format!("x = F.dropout(x, {p:?}, self.training)")),
            Operation::Residual { layers, shortcut } => self.residual(name, [layers, shortcut], state, depth)?,
            Operation::PadChannels { before, after } => {
                self.unflatten(state);
                self.run(&format!("x = F.pad(x, (0, 0, 0, 0, {before}, {after}))"));
            }
            Operation::Flatten => self.flatten(state),
            Operation::Tokens => {
                self.unflatten(state);
                self.run("x = x.flatten(2).unsqueeze(2)");
            }
            Operation::Transpose => {
                self.unflatten(state);
                self.run("x = x.transpose(1, 3)");
            }
            Operation::ClassToken => {
                self.unflatten(state);
                let token = self.tensor(name, &format!("1, 1, {c}"));
                let line = format!("x = torch.cat([{token}.reshape(1, {c}, 1, 1).expand(len(x), -1, -1, -1), x], 3)");
                self.run(&line);
            }
            Operation::PositionEmbedding => {
                self.unflatten(state);
                let positions = self.tensor(name, &format!("1, {w}, {c}"));
                self.run(&format!("x = x + {positions}.transpose(1, 2).unsqueeze(2)"));
            }
            Operation::SelfAttention { heads, bias, names } => {
                self.unflatten(state);
                self.attention(name, [c, *heads], *bias, *names);
            }
            Operation::TakeToken { index } => {
                self.unflatten(state);
                self.run(&format!("x = x[..., {index}:{}]", index + 1));
            }
        }
        Ok(())
    }

    fn attention(&mut self, name: &str, [c, heads]: [usize; 2], bias: bool, names: Projections) {
        let bias = python(bias);
        self.run("t = x.squeeze(2).transpose(1, 2)");
        match names {
            Projections::Torch => {
                let layer = format!("nn.MultiheadAttention({c}, {heads}, bias={bias}, batch_first=True)");
                let call = self.made(name, &layer);
                self.run(&format!("t = {call}(t, t, t, need_weights=False)[0]"));
            }
            Projections::Timm => {
                let three = self.made(&format!("{name}.qkv"), &format!("nn.Linear({c}, {}, bias={bias})", 3 * c));
                let last = self.made(&format!("{name}.proj"), &format!("nn.Linear({c}, {c}, bias={bias})"));
                let width = c / heads;
                self.run(&format!("q, k, v = {three}(t).unflatten(2, (3, {heads}, {width})).permute(2, 0, 3, 1, 4)"));
                self.run(&format!("t = torch.softmax(q @ k.transpose(2, 3) / {width} ** 0.5, 3) @ v"));
                self.run(&format!("t = {last}(t.transpose(1, 2).flatten(2))"));
            }
        }
        self.run("x = t.transpose(1, 2).unsqueeze(2)");
    }

    /// shortcut(x) + layers(x), of the rank that x had.
    fn residual(&mut self, name: &str, branches: [&[Layer]; 2], state: &mut State, depth: usize) -> Result<()> {
        let (flat, shape) = (state.flat, state.shape);
        let [layers, shortcut] = branches;
        let _ = writeln!(self.forward, "        kept{depth} = x");
        self.layers(layers, &|layer, i| name_of(name, layer, i), state, depth + 1)?;
        self.of_rank(flat, state);
        if !shortcut.is_empty() {
            let _ = writeln!(self.forward, "        kept{depth}, x = x, kept{depth}");
            *state = State { shape, flat };
            self.layers(shortcut, &|layer, i| shortcut_name(name, layer, i), state, depth + 1)?;
            self.of_rank(flat, state);
        }
        self.run(&format!("x = kept{depth} + x"));
        Ok(())
    }

    fn of_rank(&mut self, flat: bool, state: &mut State) {
        if flat {
            self.flatten(state);
        } else {
            self.unflatten(state);
        }
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
