//! `network.py` beside sampled networks: its text, and that PyTorch computes by it what the engine computes.
#![allow(clippy::unwrap_used)]

mod python;

use python::python;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs;
use std::process::Command;
use thalweg_nets::data::Normalisation;
use thalweg_nets::engine::Engine;
use thalweg_nets::layout::Role;
use thalweg_nets::torch::{Meaning, module};
use thalweg_nets::{Architecture, Layout};

const NESTED: &str = r#"
name = "all kinds"
input = [2, 9, 9]
layers = [
    { kind = "conv", name = "features.0", out = 4, kernel = 3, padding = 1, bias = false },
    { kind = "batch-norm", name = "features.1", eps = 0.001, momentum = 0.2 },
    { kind = "gelu" },
    { kind = "residual", name = "block", layers = [
        { kind = "conv", name = "a", out = 4, kernel = 3, padding = 1 },
        { kind = "silu" },
        { kind = "residual", layers = [{ kind = "conv", out = 4, kernel = 1 }, { kind = "tanh" }] },
    ] },
    { kind = "max-pool", size = 3, stride = 2 },
    { kind = "conv", name = "features.6", out = 3, kernel = 2, stride = 2 },
    { kind = "leaky-relu", slope = 0.2 },
    { kind = "avg-pool", size = 2 },
    { kind = "dropout", p = 0.5 },
    { kind = "dense", name = "head.fc", out = 6 },
    { kind = "batch-norm" },
    { kind = "softplus" },
    { kind = "relu" },
    { kind = "residual", layers = [{ kind = "flatten" }, { kind = "dense", out = 6, bias = false }] },
    { kind = "dense", out = 3 },
]
"#;

/// Architectures that between them have every layer, in every place that changes how PyTorch writes it.
fn architectures() -> Vec<Architecture> {
    let rows = "input = [5]\n[[layers]]\nkind = \"flatten\"\n[[layers]]\nkind = \"dense\"\nout = 4\n";
    let convolved =
        "input = [3]\n[[layers]]\nkind = \"conv\"\nout = 4\nkernel = 1\n[[layers]]\nkind = \"batch-norm\"\n";
    let digits = thalweg_nets::architecture::Preset::Digits.build([1, 8, 8], 10).unwrap();
    let mut all: Vec<Architecture> =
        [NESTED, rows, convolved].iter().map(|text| Architecture::from_toml_str(text).unwrap()).collect();
    all.push(digits);
    all
}

/// What the layers above leave out: attention with timm's names, shortcuts without names, and the goldens' architectures.
fn of_the_literature() -> Vec<Architecture> {
    let timm = r#"
input = [6, 11]
layers = [
    { kind = "class-token" },
    { kind = "residual", name = "a.0", layers = [{ kind = "layer-norm", name = "norm1" }, { kind = "self-attention", name = "attn", heads = 3, names = "timm" }] },
    { kind = "take-token", index = 3 },
    { kind = "layer-norm" },
    { kind = "dense", out = 3 },
]
"#;
    let shortcuts = r#"
input = [2, 9, 9]
layers = [
    { kind = "residual", layers = [{ kind = "conv", out = 6, kernel = [3, 1], stride = 2, padding = [1, 0], dilation = 1 }],
      shortcut = [{ kind = "avg-pool", size = 3, stride = 2, padding = 1, count-padding = false }, { kind = "conv", out = 6, kernel = 1, groups = 2 }] },
    { kind = "residual", layers = [{ kind = "conv", out = 7, kernel = 1 }], shortcut = [{ kind = "pad-channels", before = 1 }] },
    { kind = "elu", alpha = 0.5 }, { kind = "relu6" }, { kind = "sigmoid" }, { kind = "hard-swish" }, { kind = "prelu" }, { kind = "identity" },
    { kind = "adaptive-avg-pool", size = [2, 3] },
    { kind = "residual", layers = [{ kind = "flatten" }, { kind = "dense", out = 8 }], shortcut = [{ kind = "conv", out = 8, kernel = [2, 3] }] },
    { kind = "dense", out = 3 },
]
"#;
    let mut all: Vec<Architecture> =
        [timm, shortcuts].iter().map(|text| Architecture::from_toml_str(text).unwrap()).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/architectures");
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|end| end == "toml") {
            all.push(Architecture::read(&file).unwrap());
        }
    }
    all
}

/// Weights of every size and sign; running variances above 0.
fn theta(layout: &Layout) -> Vec<f32> {
    let value = |i: usize| (i as f32 * 0.731).sin() * 0.5;
    let mut theta: Vec<f32> = (0..layout.len()).map(value).collect();
    for slot in layout.slots().iter().filter(|slot| slot.role == Role::RunningVariance) {
        theta[slot.range()].iter_mut().for_each(|v| *v = v.abs() + 0.3);
    }
    theta
}

fn normalisation(channels: usize) -> Normalisation {
    let of = |a: f32| (0..channels).map(|c| a + 0.1 * c as f32).collect();
    Normalisation { mean: of(0.4), std: of(0.3), range: Some([0.0, 1.0]), offset: Vec::new() }
}

const CHECK: &str = r#"
import sys, torch
from safetensors.torch import load_file
from network import CLASSES, Network, normalise
network = Network()
network.load_state_dict(load_file("network.safetensors"), strict=True)
there = load_file("truth.safetensors")
with torch.no_grad():
    logits = network.eval()(normalise(there["x"]))
assert logits.shape == there["logits"].shape, (logits.shape, there["logits"].shape)
assert len(CLASSES) == logits.shape[1]
worst = ((logits - there["logits"]).abs() / (1 + there["logits"].abs())).max().item()
print(worst)
sys.exit(0 if worst < 1e-4 else 1)
"#;

#[test]
fn pytorch_computes_what_the_engine_computes() {
    let Some(python) = python() else { return };
    for architecture in architectures().into_iter().chain(of_the_literature()) {
        let dir = tempfile::tempdir().unwrap();
        let (layout, engine) = (Layout::of(&architecture), Engine::new(&architecture).unwrap());
        let theta = theta(&layout);
        let normal = normalisation(architecture.input()[0]);
        let text = module(&architecture, &Meaning { normalisation: Some(&normal), ..Meaning::default() }).unwrap();
        fs::write(dir.path().join("network.py"), &text).unwrap();
        fs::write(dir.path().join("network.safetensors"), layout.to_safetensors(&theta).unwrap()).unwrap();
        let n = 19;
        let raw: Vec<f32> = (0..n * architecture.input_len()).map(|i| ((i * 37 % 101) as f32) / 100.0).collect();
        let mut inputs = raw.clone();
        inputs.chunks_exact_mut(architecture.input_len()).for_each(|row| normal.standardise(row));
        let logits = engine.logits_of_many(&theta, &engine.pack(&inputs).unwrap()).unwrap();
        let bytes = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let [c, h, w] = architecture.input();
        let shape = if [h, w] == [1, 1] { vec![n, c] } else { vec![n, c, h, w] };
        let (raw, logits) = (bytes(&raw), bytes(&logits));
        let views = [
            ("x", TensorView::new(Dtype::F32, shape, &raw).unwrap()),
            ("logits", TensorView::new(Dtype::F32, vec![n, architecture.classes()], &logits).unwrap()),
        ];
        fs::write(dir.path().join("truth.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
        let output = Command::new(&python).args(["-c", CHECK]).current_dir(dir.path()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}\n{text}");
    }
}

#[test]
fn every_tensor_of_the_layout_belongs_to_a_submodule_of_its_name_and_size() {
    for architecture in architectures() {
        let text = module(&architecture, &Meaning::default()).unwrap();
        for slot in Layout::of(&architecture).slots() {
            let (module, _) = slot.name.rsplit_once('.').unwrap();
            let line = text.lines().find(|line| line.contains(&format!("_put(self, \"{module}\", ")));
            let line = line.unwrap_or_else(|| panic!("no submodule {module}:\n{text}"));
            let sizes = match (slot.role, &slot.shape[..]) {
                (Role::Weight, [out, input, kernel, _]) => format!("nn.Conv2d({input}, {out}, {kernel},"),
                (Role::Weight, [out, input]) => format!("nn.Linear({input}, {out},"),
                (Role::Bias, [out]) => format!(", {out}, "),
                (_, [channels]) => format!("d({channels}, eps="),
                other => panic!("{other:?}"),
            };
            assert!(line.contains(&sizes), "{line} has not {sizes}");
        }
    }
}

#[test]
fn the_text_is_golden() {
    let toml = "name = \"small\"\ninput = [1, 4, 4]\nlayers = [\n{ kind = \"conv\", name = \"conv\", out = 2, kernel = 3, bias = false },\n\
                { kind = \"relu\" },\n{ kind = \"residual\", layers = [{ kind = \"batch-norm\" }] },\n{ kind = \"flatten\" },\n{ kind = \"dense\", out = 2 },\n]\n";
    let architecture = Architecture::from_toml_str(toml).unwrap();
    let normal = Normalisation { mean: vec![0.25], std: vec![0.5], range: Some([0.0, 1.0]), offset: Vec::new() };
    let names = ["cat".to_owned(), "do\"g".to_owned()];
    let meaning = Meaning { normalisation: Some(&normal), class_names: &names, feature_names: &[] };
    let text = module(&architecture, &meaning).unwrap();
    let expected = r#"import torch
from torch import nn
from torch.nn import functional as F

# Classes by their logits' places.
CLASSES = ["cat", "do\"g"]
# Of every channel, in raw units.
MEAN = [0.25]
STD = [0.5]


def normalise(x):
    """The networks' inputs from raw ones [N, 1, 4, 4]: pixels from 0 to 1; divide those of bytes by 255."""
    mean = torch.tensor(MEAN, dtype=torch.float64).reshape(-1, 1, 1)
    std = torch.tensor(STD, dtype=torch.float64).reshape(-1, 1, 1)
    return ((x.double() - mean) / std).float()


def _put(parent, name, layer):
    """Makes `layer` the submodule `name` of `parent`; dots lead through modules that only hold others."""
    *path, last = name.split(".")
    for part in path:
        if part not in parent._modules:
            parent.add_module(part, nn.Module())
        parent = parent._modules[part]
    parent.add_module(last, layer)


class Network(nn.Module):
    """small: [N, 1, 4, 4] -> logits [N, 2]."""

    def __init__(self):
        super().__init__()
        _put(self, "conv", nn.Conv2d(1, 2, 3, stride=1, padding=0, bias=False))
        _put(self, "2.0", nn.BatchNorm2d(2, eps=1e-5, momentum=0.1))
        _put(self, "4", nn.Linear(8, 2, bias=True))

    def forward(self, x):
        at = self.get_submodule
        x = at("conv")(x)
        x = F.relu(x)
        kept0 = x
        x = at("2.0")(x)
        x = kept0 + x
        x = x.flatten(1)
        x = at("4")(x)
        return x
"#;
    let (_, after_title) = text.split_once('\n').unwrap();
    assert_eq!(after_title, expected);
    // What is not known is said and not invented.
    let unknown = module(&architecture, &Meaning::default()).unwrap();
    assert!(unknown.contains("is not known") && unknown.contains("range(2)") && !unknown.contains("MEAN"), "{unknown}");
    let (offset, features) = (vec![1.7e9, 0.0], ["t".to_owned(), "a".to_owned()]);
    let normal = Normalisation { mean: vec![0.0, 1.0], std: vec![1.0, 2.0], range: None, offset };
    let rows = Architecture::from_toml_str("input = [2]\n[[layers]]\nkind = \"dense\"\nout = 2\n").unwrap();
    let meaning = Meaning { normalisation: Some(&normal), class_names: &[], feature_names: &features };
    let text = module(&rows, &meaning).unwrap();
    for part in
        ["OFFSET = [1700000000.0, 0.0]", "x.double() - offset - mean", "FEATURES = [\"t\", \"a\"]", "[N, 2] -> logits"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}
