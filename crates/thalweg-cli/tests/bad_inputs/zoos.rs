//! `zoo import`, `align` and `info`: folders of networks, zoos.
use crate::Row;

pub const ROWS: &[Row] = &[
    // Foreign networks.
    (
        "zoo import hollow --out new",
        &["hollow: networks", "expected at least one .safetensors file or folder of them", "found none"],
    ),
    (
        "zoo import notes --out new",
        &["notes: networks", "expected at least one .safetensors file or folder of them", "found none"],
    ),
    ("zoo import nowhere --out new", &["cannot read nowhere: No such file or directory (os error 2)"]),
    (
        "zoo import pickles --out new",
        &["pickles/a.pt: network", "expected a file of safetensors, or of PyTorch's torch.save", "found a zip archive"],
    ),
    ("zoo import nan --out new", &["nan/a.safetensors: tensor w, index 0", "expected a finite number", "found NaN"]),
    (
        "zoo import uneven --out new",
        &["uneven/b: run", "expected 2 checkpoints, as in uneven/a", "found 1 checkpoints (they differ in [\"1\"])"],
    ),
    (
        "zoo import mixed --out new",
        &[
            "mixed: import",
            "expected networks in files or one sub-folder a run",
            "found both, e.g. mixed/b.safetensors and mixed/a",
        ],
    ),
    ("zoo import shapes --out new", &["shapes/b.safetensors: tensor w", "expected floats [2]", "found F32 [1]"]),
    (
        "zoo import shards --out new",
        &[
            "shards/model-00001-of-00003.safetensors: shard",
            "expected all 3 shards of its network in one folder (model-00001-of-00003.safetensors and",
            "found 1 of them",
        ],
    ),
    (
        "zoo import index --out new",
        &[
            "index/model.safetensors.index.json: weight_map",
            "expected names of tensors with names of files beside it",
            "found none",
        ],
    ),
    (
        "zoo import s.safetensors --out new",
        &["s.safetensors: import", "expected a folder of networks, or of one folder a run", "found a file"],
    ),
    (
        "zoo import nets --arch mlp --widths 3 --data digits --out new",
        &[
            "nets/network-00000.safetensors: tensor 1.weight",
            "expected floats [3, 64]",
            "found no such tensor, but 0.bias, 0.weight, 4.bias, …",
        ],
    ),
    ("zoo import nets --arch digits --out new", &["--arch digits takes its shape from --data, which is missing"]),
    (
        "zoo import nets --times 0,1 --out new",
        &["parameter times", "expected 1 rising times from 0 to 1 (for one checkpoint [1.0])", "found [0.0, 1.0]"],
    ),
    (
        "zoo import nets --times 2 --out new",
        &["parameter times", "expected 1 rising times from 0 to 1 (for one checkpoint [1.0])", "found [2.0]"],
    ),
    (
        "zoo import nets --initialisation magic --out new",
        &["the following required arguments were not provided", "--arch <NAME|FILE>", "try '--help'"],
    ),
    (
        "zoo import nets --initialisation kaiming-normal --out new",
        &["the following required arguments were not provided", "--arch <NAME|FILE>", "try '--help'"],
    ),
    (
        "zoo import nets --mean 1 --out new",
        &["the following required arguments were not provided", "--std <S,…>", "try '--help'"],
    ),
    (
        "zoo import nets --arch digits --data digits --raw --mean 0 --std 1 --out new",
        &["the argument '--raw' cannot be used with", "--mean <M,…>", "--std <S,…>", "try '--help'"],
    ),
    (
        "zoo import nets --arch digits --data digits --mean 0 --std 0 --out new",
        &[
            "parameter normalisation",
            "expected finite means and offsets and positive deviations",
            "found mean [0.0], std [0.0]",
        ],
    ),
    (
        "zoo import nets --arch digits --data csv:good.csv --out new",
        &[
            "--arch digits does not fit csv, inputs [2, 1, 1] [channels, height, width]; mlp fits all",
            "parameter layers[0]",
            "expected an input of at least the kernel 3",
            "found input [2, 1, 1]",
        ],
    ),
    (
        "zoo import nets --out nets",
        &["--out nets: it is an input of this command, nets, which is never written over", "choose another path"],
    ),
    // Zoos.
    ("zoo align nowhere --out new", &["cannot read nowhere/zoo.toml: No such file or directory (os error 2)"]),
    (
        "zoo align zoo-flipped --out new",
        &[
            "zoo-flipped/shard-00001.safetensors: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    (
        "zoo align zoo-short --out new",
        &[
            "zoo-short/shard-00002.safetensors: shard",
            "expected runs 12..18, found no such file: the zoo is not finished",
            "goes on with --resume",
            "found no such file",
        ],
    ),
    (
        "zoo align zoo-swapped --out new",
        &["zoo-swapped/shard-00000.safetensors: tensor run, index 0", "expected 0", "found 6"],
    ),
    ("zoo align zoo --reference 99 --out new", &["parameter reference", "expected a run below 24", "found 99"]),
    (
        "zoo align zoo --pairs -1 --out new",
        &["invalid value '-1' for '--pairs <N>': expected a whole number, not negative", "try '--help'"],
    ),
    (
        "zoo align zoo --data csv:good.csv --out new",
        &[
            "data csv: inputs",
            "expected shape [1, 8, 8] [channels, height, width], as the networks take",
            "found [2, 1, 1]",
        ],
    ),
    (
        "zoo align zoo --out zoo",
        &["--out zoo: it is an input of this command, zoo, which is never written over", "choose another path"],
    ),
    (
        "zoo align model --out new",
        &[
            "model: zoo",
            "expected a folder with a zoo.toml",
            "`thalweg zoo train` and `thalweg zoo import` make zoos",
            "found a model (it has a model.toml)",
        ],
    ),
    (
        "zoo info zoo-edited",
        &[
            "zoo-edited/zoo.toml: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    (
        "zoo info zoo-flipped",
        &[
            "zoo-flipped/shard-00001.safetensors: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    ("zoo info zoo-swapped", &["zoo-swapped/shard-00000.safetensors: tensor run, index 0", "expected 0", "found 6"]),
    ("zoo info text.txt", &["cannot read text.txt: Not a directory (os error 20)"]),
    (
        "zoo info model",
        &[
            "model: zoo",
            "expected a folder with a zoo.toml",
            "`thalweg zoo train` and `thalweg zoo import` make zoos",
            "found a model (it has a model.toml)",
        ],
    ),
    (
        "zoo info hollow",
        &[
            "hollow: zoo",
            "expected a folder with a zoo.toml",
            "`thalweg zoo train` and `thalweg zoo import` make zoos",
            "found an empty folder",
        ],
    ),
];
