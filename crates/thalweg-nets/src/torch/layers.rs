//! The layers of an architecture as lines of Python.
use crate::architecture::{Layer, Operation, Over, Projections, Shape, Sides, name_of, shape_after, shortcut_name};
use crate::error::Result;
use std::fmt::Write;

/// Where a forward pass has come to.
pub(super) struct State {
    pub shape: Shape,
    /// Whether activations are `[N, features]` and not `[N, channels, height, width]`.
    pub flat: bool,
}

/// The lines of the module's constructor and of its forward pass.
#[derive(Default)]
pub(super) struct Lines {
    pub init: String,
    pub forward: String,
}

fn python(b: bool) -> &'static str {
    if b { "True" } else { "False" }
}

/// One number, or a tuple.
fn sides(Sides([h, w]): Sides) -> String {
    if h == w { h.to_string() } else { format!("({h}, {w})") }
}

impl Lines {
    pub(super) fn run(&mut self, line: &str) {
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

    pub(super) fn layers(
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
pub(super) fn text(text: &str) -> String {
    // JSON's strings are Python's.
    serde_json::Value::from(text).to_string()
}
