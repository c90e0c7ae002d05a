//! `eval` and `encode`.
use crate::Row;

pub const ROWS: &[Row] = &[
    ("eval s.safetensors --zoo nowhere", &["cannot read nowhere/zoo.toml: No such file or directory (os error 2)"]),
    ("eval nowhere.safetensors", &["cannot read nowhere.safetensors: No such file or directory (os error 2)"]),
    (
        "eval hollow --arch digits --data digits",
        &["hollow: networks", "expected at least one .safetensors file", "found none"],
    ),
    (
        "eval hello.safetensors --arch digits --data digits",
        &["hello.safetensors: safetensors header", "expected a file of at least 8 bytes", "found 5 bytes"],
    ),
    (
        "eval empty.safetensors --arch digits --data digits",
        &[
            "empty.safetensors: network",
            "expected a file of safetensors, or of PyTorch's torch.save",
            "found an empty file",
        ],
    ),
    (
        "eval cut.safetensors --arch digits --data digits",
        &["cut.safetensors: file size", "expected 4880 bytes by its header", "found 600 bytes"],
    ),
    (
        "eval long.safetensors --arch digits --data digits",
        &["long.safetensors: file size", "expected 79 bytes by its header", "found 71 bytes"],
    ),
    (
        "eval ints.safetensors --arch digits --data digits",
        &["ints.safetensors: tensor 0.weight", "expected floats [6, 1, 3, 3]", "found no weights"],
    ),
    (
        "eval other.safetensors --arch digits --data digits",
        &["other.safetensors: tensor 0.weight", "expected floats [6, 1, 3, 3]", "found no such tensor, but w"],
    ),
    (
        "eval flipped.safetensors",
        &[
            "flipped.safetensors: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    (
        "eval pickles --arch digits --data digits",
        &["pickles/a.pt: network", "expected a file of safetensors, or of PyTorch's torch.save", "found a zip archive"],
    ),
    (
        "eval text.txt --arch digits --data digits",
        &["text.txt: safetensors header", "expected a file of at least 8 bytes", "found 6 bytes"],
    ),
    (
        "eval nets/network-00000.safetensors",
        &[
            "nets/network-00000.safetensors holds a network by its tensors' names",
            "say which with --arch and --data, or --zoo",
        ],
    ),
    ("eval nets --arch digits", &["--arch digits takes its shape from --data, which is missing"]),
    (
        "eval nets --arch mlp --widths 3 --data digits",
        &[
            "nets/network-00000.safetensors: tensor 1.weight",
            "expected floats [3, 64]",
            "found no such tensor, but 0.bias, 0.weight, 4.bias, …",
        ],
    ),
    (
        "eval s.safetensors --data csv:good.csv",
        &[
            "data csv: inputs",
            "expected shape [1, 8, 8] [channels, height, width], as the networks take",
            "found [2, 1, 1]",
        ],
    ),
    (
        "eval s.safetensors --zoo zoo-csv",
        &["s.safetensors: architecture", "expected mlp", "found digits (1110 weights)"],
    ),
    (
        "eval s.safetensors --zoo zoo-flipped",
        &[
            "zoo-flipped/shard-00001.safetensors: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    (
        "eval s.safetensors --at-least much",
        &["invalid value 'much' for '--at-least <ACCURACY>': expected a number from 0 to 1", "try '--help'"],
    ),
    (
        "eval s.safetensors --at-least 1.5",
        &["invalid value '1.5' for '--at-least <ACCURACY>': expected a number from 0 to 1", "try '--help'"],
    ),
    (
        "eval s.safetensors --mean 1,2 --std 1,2",
        &["normalisation", "expected shape [1] means and deviations", "found [2] means, [2] deviations"],
    ),
    ("eval s.safetensors --raw --std 1", &["the argument '--raw' cannot be used with '--std <S,…>'", "try '--help'"]),
    (
        "eval s.safetensors --set batch=3",
        &["--set batch=3: `thalweg eval` has no settings beyond its flags and --set data.KEY=VALUE"],
    ),
    ("eval s.safetensors --out text.txt", &["text.txt is a file", "--out takes a folder here"]),
    ("eval c.cal", &["c.cal holds a network by its tensors' names", "say which with --arch and --data, or --zoo"]),
    (
        "encode model --zoo zoo --out new",
        &["model runs on weights, not in a latent space", "fit one with --set latent.vae.dimension=32 (or latent.pca)"],
    ),
    ("encode latent --zoo zoo-csv --out new", &["zoo-csv: its networks are not those of latent"]),
    ("encode latent --zoo zoo --runs 0 --out new", &["--runs", "expected at least 1", "found 0"]),
    (
        "encode latent --zoo zoo-short --out new",
        &[
            "zoo-short/shard-00002.safetensors: shard",
            "expected runs 12..18, found no such file: the zoo is not finished",
            "goes on with --resume",
        ],
    ),
    (
        "encode latent other.safetensors --out new",
        &["other.safetensors: tensor 0.weight", "expected floats [6, 1, 3, 3]", "found no such tensor, but w"],
    ),
    ("encode latent nets/none --out new", &["cannot read nets/none: No such file or directory (os error 2)"]),
    ("encode latent --out new", &["the following required arguments were not provided", "<NETWORKS>", "try '--help'"]),
    (
        "encode zoo --zoo zoo --out new",
        &[
            "zoo: model",
            "expected a folder with a model.toml",
            "`thalweg fit` and `thalweg tune` make models",
            "found a zoo (it has a zoo.toml)",
        ],
    ),
];
