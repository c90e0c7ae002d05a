"""Architectures of the literature, as PyTorch modules and as Thalweg's TOML.

    python3 make.py goldens      # tiny widths: NAME.toml and NAME.safetensors beside this file (PyTorch 1.13.1)
    python3 make.py onnx DIR     # those that ONNX is read for as NAME-OPSET.onnx in DIR; `.onnx` files beside this file are such, of opset 14
    python3 make.py docs DIR     # usual widths: NAME.toml in DIR (docs/architectures of the repository)

The modules are written by hand in the usual style (torchvision's names), and the TOML by hand beside them, so that each is a test of the other. A
golden holds the module's state (f16, the module computes with those numbers), `logits` of rows x[n, i] = ((37 i + 11 n) mod 101)/50 - 1 in
evaluation, and `slopes`: for each trained tensor the gradient of the mean cross-entropy to labels n mod C in training (batch statistics), times
c[i] = ((29 i) mod 97)/48 - 1 and summed.
"""
import json
import struct
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).parent
ROWS = 5


# --- TOML ---------------------------------------------------------------------------------------------------------------------------------------


def value(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, str):
        return json.dumps(v)
    if isinstance(v, list):
        return "[" + ", ".join(layer(x) if isinstance(x, dict) else str(x) for x in v) + "]"
    return repr(v)


def layer(fields):
    return "{ " + ", ".join(f"{k.replace('_', '-')} = {value(v)}" for k, v in fields.items()) + " }"


def toml(name, about, shape, layers):
    def written(fields, indent):
        pad = "    " * indent
        inner = {k: v for k, v in fields.items() if k in ("layers", "shortcut")}
        if not inner:
            return pad + layer(fields) + ","
        head = ", ".join(f"{k} = {value(v)}" for k, v in fields.items() if k not in inner)
        parts = []
        for k, v in inner.items():
            parts.append(f"{k} = [\n" + "\n".join(written(x, indent + 1) for x in v) + f"\n{pad}]")
        return pad + "{ " + head + ", " + ", ".join(parts) + " },"

    lines = "\n".join(written(x, 1) for x in layers)
    return f"# {about}\nname = \"{name}\"\ninput = {list(shape)}\nlayers = [\n{lines}\n]\n"


def conv(name, out, kernel, **more):
    return {"kind": "conv", "name": name, "out": out, "kernel": kernel, **more}


def bn(name):
    return {"kind": "batch-norm", "name": name}


RELU = {"kind": "relu"}
GLOBAL = {"kind": "global-avg-pool"}
FLATTEN = {"kind": "flatten"}


def dense(name, out):
    return {"kind": "dense", "name": name, "out": out}


# --- LeNet-5 ------------------------------------------------------------------------------------------------------------------------------------


class LeNet(nn.Module):
    def __init__(self, widths, classes):
        super().__init__()
        a, b, c, d = widths
        self.conv1, self.conv2 = nn.Conv2d(1, a, 5, padding=2), nn.Conv2d(a, b, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(25 * b, c), nn.Linear(c, d), nn.Linear(d, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


def lenet(widths, classes):
    a, b, c, d = widths
    pool = {"kind": "max-pool", "size": 2}
    layers = [conv("conv1", a, 5, padding=2), RELU, pool, conv("conv2", b, 5), RELU, pool, FLATTEN]
    layers += [dense("fc1", c), RELU, dense("fc2", d), RELU, dense("fc3", classes)]
    return LeNet(widths, classes), [1, 28, 28], layers


# --- VGG with batch normalisation ---------------------------------------------------------------------------------------------------------------


class Vgg(nn.Module):
    def __init__(self, plan, classes):
        super().__init__()
        layers, channels = [], 3
        for width in plan:
            if width == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


def vgg(plan, size, classes):
    layers, i = [], 0
    for width in plan:
        if width == "M":
            layers.append({"kind": "max-pool", "size": 2})
            i += 1
        else:
            layers += [conv(f"features.{i}", width, 3, padding=1), bn(f"features.{i + 1}"), RELU]
            i += 3
    return Vgg(plan, classes), [3, size, size], layers + [GLOBAL, FLATTEN, dense("classifier", classes)]


# --- ResNets ------------------------------------------------------------------------------------------------------------------------------------


class Pad(nn.Module):
    """Option A of He et al. 2016."""

    def __init__(self, stride, channels):
        super().__init__()
        self.stride, self.channels = stride, channels

    def forward(self, x):
        x = x[:, :, :: self.stride, :: self.stride]
        more = self.channels - x.shape[1]
        return F.pad(x, (0, 0, 0, 0, more // 2, more - more // 2))


class BasicBlock(nn.Module):
    def __init__(self, channels, width, stride, option):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        if stride == 1 and channels == width:
            self.downsample = None
        elif option == "A":
            self.downsample = Pad(stride, width)
        else:
            self.downsample = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, widths, blocks, classes, stem, option):
        super().__init__()
        kernel, stride, padding = (7, 2, 3) if stem else (3, 1, 1)
        self.conv1, self.bn1 = nn.Conv2d(3, widths[0], kernel, stride, padding, bias=False), nn.BatchNorm2d(widths[0])
        self.stem = stem
        channels = widths[0]
        for i, width in enumerate(widths):
            stage = []
            for j in range(blocks):
                stage.append(BasicBlock(channels, width, 2 if i > 0 and j == 0 else 1, option))
                channels = width
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.stages = len(widths)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.stem:
            x = F.max_pool2d(x, 3, 2, 1)
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def resnet(widths, blocks, size, classes, stem=False, option="B"):
    if stem:
        layers = [conv("conv1", widths[0], 7, stride=2, padding=3, bias=False), bn("bn1"), RELU]
        layers.append({"kind": "max-pool", "size": 3, "stride": 2, "padding": 1})
    else:
        layers = [conv("conv1", widths[0], 3, padding=1, bias=False), bn("bn1"), RELU]
    channels = widths[0]
    for i, width in enumerate(widths):
        for j in range(blocks):
            stride = 2 if i > 0 and j == 0 else 1
            block = {
                "kind": "residual",
                "name": f"layer{i + 1}.{j}",
                "layers": [
                    conv("conv1", width, 3, stride=stride, padding=1, bias=False),
                    bn("bn1"),
                    RELU,
                    conv("conv2", width, 3, padding=1, bias=False),
                    bn("bn2"),
                ],
            }
            if stride != 1 or channels != width:
                more = width - channels
                block["shortcut"] = (
                    [
                        {"kind": "avg-pool", "size": 1, "stride": stride},
                        {"kind": "pad-channels", "before": more // 2, "after": more - more // 2},
                    ]
                    if option == "A"
                    else [conv("downsample.0", width, 1, stride=stride, bias=False), bn("downsample.1")]
                )
            layers += [block, RELU]
            channels = width
    layers += [GLOBAL, FLATTEN, dense("fc", classes)]
    return ResNet(widths, blocks, classes, stem, option), [3, size, size], layers


class GroupBlock(nn.Module):
    """Before the activations: x + conv(relu(norm(conv(relu(norm(x))))))."""

    def __init__(self, width, groups):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, width), nn.Conv2d(width, width, 3, padding=1, groups=groups)
        self.norm2, self.conv2 = nn.GroupNorm(1, width), nn.Conv2d(width, width, 3, padding=2, dilation=2)

    def forward(self, x):
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.elu(self.norm1(x))))))


class GroupNet(nn.Module):
    def __init__(self, width, groups, classes):
        super().__init__()
        self.stem = nn.Conv2d(3, width, (1, 3), stride=(1, 2), padding=(0, 1))
        self.block = GroupBlock(width, groups)
        self.norm, self.act, self.fc = nn.LayerNorm([width, 8, 4]), nn.PReLU(width), nn.Linear(width, classes)

    def forward(self, x):
        x = self.act(self.norm(self.block(self.stem(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def groupnet(width, groups, classes):
    layers = [
        conv("stem", width, [1, 3], stride=[1, 2], padding=[0, 1]),
        {
            "kind": "residual",
            "name": "block",
            "layers": [
                {"kind": "group-norm", "name": "norm1", "groups": groups},
                {"kind": "elu"},
                conv("conv1", width, 3, padding=1, groups=groups),
                {"kind": "group-norm", "name": "norm2", "groups": 1},
                {"kind": "silu"},
                conv("conv2", width, 3, padding=2, dilation=2),
            ],
        },
        {"kind": "layer-norm", "name": "norm", "over": "all"},
        {"kind": "prelu", "name": "act", "channels": True},
        GLOBAL,
        FLATTEN,
        dense("fc", classes),
    ]
    return GroupNet(width, groups, classes), [3, 8, 8], layers


# --- depthwise separable convolutions -----------------------------------------------------------------------------------------------------------


class MobileNet(nn.Module):
    def __init__(self, stem, widths, classes):
        super().__init__()
        layers = [nn.Conv2d(3, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU6()]
        channels = stem
        for width, stride in widths:
            layers += [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False), nn.BatchNorm2d(channels), nn.ReLU6()]
            layers += [nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.Hardswish()]
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenet(stem, widths, size, classes):
    layers = [conv("features.0", stem, 3, padding=1, bias=False), bn("features.1"), {"kind": "relu6"}]
    channels, i = stem, 3
    for width, stride in widths:
        layers += [conv(f"features.{i}", channels, 3, stride=stride, padding=1, groups=channels, bias=False)]
        layers += [bn(f"features.{i + 1}"), {"kind": "relu6"}]
        layers += [conv(f"features.{i + 3}", width, 1, bias=False), bn(f"features.{i + 4}"), {"kind": "hard-swish"}]
        channels, i = width, i + 6
    return MobileNet(stem, widths, classes), [3, size, size], layers + [GLOBAL, FLATTEN, dense("classifier", classes)]


# --- sequences ----------------------------------------------------------------------------------------------------------------------------------


class Sequence(nn.Module):
    def __init__(self, channels, widths, classes):
        super().__init__()
        a, b, c = widths
        self.conv1, self.norm1 = nn.Conv1d(channels, a, 7, stride=2, padding=3), nn.BatchNorm1d(a)
        self.conv2 = nn.Conv1d(a, b, 5, padding=4, dilation=2, groups=2)
        self.conv3 = nn.Conv1d(b, c, 3)
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = F.max_pool1d(F.relu(self.norm1(self.conv1(x))), 3, 2, 1)
        x = torch.sigmoid(self.conv3(F.relu(self.conv2(x))))
        return self.fc(x.mean(2))


def sequence(channels, length, widths, classes):
    a, b, c = widths
    layers = [
        {"kind": "conv1d", "name": "conv1", "out": a, "kernel": 7, "stride": 2, "padding": 3},
        bn("norm1"),
        RELU,
        {"kind": "max-pool", "size": [1, 3], "stride": [1, 2], "padding": [0, 1]},
        {"kind": "conv1d", "name": "conv2", "out": b, "kernel": 5, "padding": 4, "dilation": 2, "groups": 2},
        RELU,
        {"kind": "conv1d", "name": "conv3", "out": c, "kernel": 3},
        {"kind": "sigmoid"},
        GLOBAL,
        FLATTEN,
        dense("fc", classes),
    ]
    return Sequence(channels, widths, classes), [channels, length], layers


# --- tokens -------------------------------------------------------------------------------------------------------------------------------------


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class MixerBlock(nn.Module):
    def __init__(self, tokens, width, hidden):
        super().__init__()
        self.norm1, self.mlp_tokens = nn.LayerNorm(width, eps=1e-6), Mlp(tokens, hidden[0])
        self.norm2, self.mlp_channels = nn.LayerNorm(width, eps=1e-6), Mlp(width, hidden[1])

    def forward(self, x):
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp_channels(self.norm2(x))


class Mixer(nn.Module):
    """timm's names."""

    def __init__(self, size, patch, width, hidden, depth, classes):
        super().__init__()
        self.stem = nn.Module()
        self.stem.proj = nn.Conv2d(3, width, patch, patch)
        self.blocks = nn.Sequential(*[MixerBlock((size // patch) ** 2, width, hidden) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, classes)

    def forward(self, x):
        x = self.stem.proj(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))


def norm(name):
    return {"kind": "layer-norm", "name": name, "eps": 1e-06}


def mlp(name, width, hidden):
    fc1 = {"kind": "linear", "name": f"{name}.fc1", "out": hidden}
    return [fc1, {"kind": "gelu"}, {"kind": "linear", "name": f"{name}.fc2", "out": width}]


def mixer(size, patch, width, hidden, depth, classes):
    tokens = (size // patch) ** 2
    turn = {"kind": "transpose"}
    layers = [conv("stem.proj", width, patch, stride=patch), {"kind": "tokens"}]
    for i in range(depth):
        mixing = [norm("norm1"), turn, *mlp("mlp_tokens", tokens, hidden[0]), turn]
        layers.append({"kind": "residual", "name": f"blocks.{i}", "layers": mixing})
        layers.append({"kind": "residual", "name": f"blocks.{i}", "layers": [norm("norm2"), *mlp("mlp_channels", width, hidden[1])]})
    layers += [norm("norm"), GLOBAL, FLATTEN, dense("head", classes)]
    return Mixer(size, patch, width, hidden, depth, classes), [3, size, size], layers


class EncoderBlock(nn.Module):
    """torchvision's names."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.ln_1, self.self_attention = nn.LayerNorm(width, eps=1e-6), nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2, self.mlp = nn.LayerNorm(width, eps=1e-6), nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Vit(nn.Module):
    def __init__(self, size, patch, width, heads, hidden, depth, classes):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2 + 1, width))
        blocks = {f"encoder_layer_{i}": EncoderBlock(width, heads, hidden) for i in range(depth)}
        self.encoder.layers = nn.Sequential()
        for name, block in blocks.items():
            self.encoder.layers.add_module(name, block)
        self.encoder.ln = nn.LayerNorm(width, eps=1e-6)
        self.heads = nn.Module()
        self.heads.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.encoder.pos_embedding
        return self.heads.head(self.encoder.ln(self.encoder.layers(x))[:, 0])


def vit(size, patch, width, heads, hidden, depth, classes):
    layers = [conv("conv_proj", width, patch, stride=patch), {"kind": "tokens"}]
    layers += [{"kind": "class-token", "name": "class_token"}, {"kind": "position-embedding", "name": "encoder.pos_embedding"}]
    for i in range(depth):
        name = f"encoder.layers.encoder_layer_{i}"
        attention = {"kind": "self-attention", "name": "self_attention", "heads": heads}
        fc1 = {"kind": "linear", "name": "mlp.0", "out": hidden}
        fc2 = {"kind": "linear", "name": "mlp.2", "out": width}
        layers.append({"kind": "residual", "name": name, "layers": [norm("ln_1"), attention]})
        layers.append({"kind": "residual", "name": name, "layers": [norm("ln_2"), fc1, {"kind": "gelu"}, fc2]})
    layers += [norm("encoder.ln"), {"kind": "take-token"}, dense("heads.head", classes)]
    return Vit(size, patch, width, heads, hidden, depth, classes), [3, size, size], layers


# --- what is made -------------------------------------------------------------------------------------------------------------------------------

TINY = {
    "lenet5": lambda: lenet([2, 3, 12, 8], 4),
    "vgg-bn": lambda: vgg([3, "M", 4, 5, "M", 6, "M"], 12, 4),
    "resnet8": lambda: resnet([4, 5, 6], 1, 9, 4),
    "resnet20": lambda: resnet([2, 3, 4], 3, 8, 4, option="A"),
    "resnet18": lambda: resnet([2, 3, 4, 5], 2, 33, 4, stem=True),
    "mobilenet": lambda: mobilenet(4, [(6, 1), (8, 2)], 9, 4),
    "sequence": lambda: sequence(3, 40, [4, 6, 5], 4),
    "groupnet": lambda: groupnet(6, 3, 4),
    "mixer": lambda: mixer(8, 2, 6, [7, 9], 2, 4),
    "vit": lambda: vit(8, 4, 8, 2, 12, 2, 4),
}

USUAL = {
    "lenet5": ("LeNet-5 (LeCun et al. 1998) with ReLU and maximum pools, for 28 x 28 pixels: 61,706 weights.", lambda: lenet([6, 16, 120, 84], 10)),
    "vgg11-bn": (
        "VGG-11 with batch normalisation for CIFAR.",
        lambda: vgg([64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"], 32, 10),
    ),
    "resnet8": ("ResNet-8 for CIFAR (He et al. 2016, n = 1), with projections.", lambda: resnet([16, 32, 64], 1, 32, 10)),
    "resnet20": ("ResNet-20 for CIFAR (He et al. 2016, n = 3), option A: 269,722 weights and 1,376 statistics.", lambda: resnet([16, 32, 64], 3, 32, 10, option="A")),
    "resnet18": ("ResNet-18 as torchvision has it, for 224 x 224 pixels and 1,000 classes.", lambda: resnet([64, 128, 256, 512], 2, 224, 1000, stem=True)),
    "resnet18-cifar": ("ResNet-18 for CIFAR: a 3 x 3 stem without a pool.", lambda: resnet([64, 128, 256, 512], 2, 32, 10)),
    "mobilenet": ("Depthwise separable convolutions (Howard et al. 2017) for CIFAR.", lambda: mobilenet(16, [(32, 1), (64, 2), (64, 1), (128, 2)], 32, 10)),
    "sequence": ("One-dimensional convolutions for sequences [channels, length].", lambda: sequence(6, 128, [32, 64, 64], 6)),
    "groupnet": ("Group and layer normalisation, dilation and groups.", lambda: groupnet(24, 3, 10)),
    "mixer": ("A small MLP-mixer (Tolstikhin et al. 2021) for CIFAR, timm's names.", lambda: mixer(32, 4, 64, [32, 128], 4, 10)),
    "vit": ("A small vision transformer (Dosovitskiy et al. 2021) for CIFAR, torchvision's names.", lambda: vit(32, 4, 64, 4, 128, 4, 10)),
}


def spread(module):
    """Numbers that differ from unit to unit, exact in f16."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in module.state_dict().items():
        if tensor.dtype != torch.float32:
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.copy_(noise.abs() + 0.5)
        elif tensor.dim() == 1:
            tensor.copy_((1.0 if name.endswith("weight") else 0.0) + 0.3 * noise)
        else:
            fan_in = tensor[0].numel() if tensor.dim() != 3 or "conv" in name else 10
            tensor.copy_(1.2 * noise / fan_in**0.5)
        tensor.copy_(tensor.half().float())


def save(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().numpy().tobytes()
        kind = {torch.float16: "F16", torch.float32: "F32"}[tensor.dtype]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def rows(shape):
    d = torch.tensor(shape).prod().item()
    n, i = torch.arange(ROWS).reshape(-1, 1), torch.arange(d).reshape(1, -1)
    return (((37 * i + 11 * n) % 101).float() / 50 - 1).reshape(ROWS, *shape)


def golden(name):
    module, shape, layers = TINY[name]()
    (HERE / f"{name}.toml").write_text(toml(name, "Written by make.py.", shape, layers))
    spread(module)
    state = {k: v.half() for k, v in module.state_dict().items() if v.dtype == torch.float32}
    with torch.no_grad():
        logits = module.eval()(rows(shape))
    module.train()
    F.cross_entropy(module(rows(shape)), torch.arange(ROWS) % logits.shape[1]).backward()
    slopes = {}
    for key, parameter in module.named_parameters():
        c = ((29 * torch.arange(parameter.numel())) % 97).double() / 48 - 1
        slopes[key] = (parameter.grad.flatten().double() * c).sum().float().reshape(1)
    state = {f"state/{k}": v for k, v in state.items()}
    save(HERE / f"{name}.safetensors", {**state, "logits": logits, **{f"slope/{k}": v for k, v in slopes.items()}})


def main():
    torch.set_num_threads(1)
    if sys.argv[1] == "goldens":
        for name in TINY:
            torch.manual_seed(0)
            golden(name)
    elif sys.argv[1] == "onnx":
        for name in ["lenet5", "vgg-bn", "resnet8", "resnet18", "mobilenet", "sequence", "groupnet"]:
            torch.manual_seed(0)
            module, shape, _ = TINY[name]()
            spread(module)
            # Kept for one of them; for the others it goes into the convolutions, as it does by default.
            keep = name == "resnet8"
            training = torch.onnx.TrainingMode.PRESERVE if keep else torch.onnx.TrainingMode.EVAL
            for opset in (9, 11, 14, 17):
                path = Path(sys.argv[2]) / f"{name}-{opset}.onnx"
                torch.onnx.export(module.eval(), rows(shape), path, opset_version=opset, training=training)
    else:
        for name, (about, make) in USUAL.items():
            module, shape, layers = make()
            (Path(sys.argv[2]) / f"{name}.toml").write_text(toml(name, about, shape, layers))
            print(name, sum(p.numel() for p in module.parameters()), sum(b.numel() for b in module.buffers() if b.is_floating_point()))


if __name__ == "__main__":
    main()
