//! `fit`, `tune` and `sample`.
use crate::Row;

pub const ROWS: &[Row] = &[
    (
        "fit hollow --out new",
        &[
            "hollow: zoo",
            "expected a folder with a zoo.toml",
            "`thalweg zoo train` and `thalweg zoo import` make zoos",
            "found an empty folder",
        ],
    ),
    (
        "fit model --out new",
        &[
            "model: zoo",
            "expected a folder with a zoo.toml",
            "`thalweg zoo train` and `thalweg zoo import` make zoos",
            "found a model (it has a model.toml)",
        ],
    ),
    (
        "fit nets --out new",
        &[
            "nets: zoo",
            "expected a folder with a zoo.toml",
            "`thalweg zoo train` and `thalweg zoo import` make zoos",
            "found a folder of .safetensors files",
        ],
    ),
    (
        "fit zoo-flipped --out new",
        &[
            "zoo-flipped/shard-00001.safetensors: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    (
        "fit zoo-edited --out new",
        &[
            "zoo-edited/zoo.toml: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    ("fit zoo zoo-csv --out new", &["2 zoos: a fit of several is one with --context"]),
    (
        "fit --context zoo zoo-csv --out new",
        &["parameter zoos", "expected the layout and checkpoints of zoo", "found others in zoo-csv"],
    ),
    ("fit --context hollow/ --out new", &["hollow/", "expected a zoo or a folder of zoos", "found neither"]),
    ("fit zoo --steps 0 --out new", &["parameter steps", "expected 1 to 1000000000", "found 0"]),
    ("fit zoo --batch 0 --out new", &["parameter batch", "expected 1 to 1000000", "found 0"]),
    (
        "fit zoo --batch 9000000000000000000 --out new",
        &["parameter batch", "expected 1 to 1000000", "found 9000000000000000000"],
    ),
    (
        "fit zoo --config fit.toml --out new",
        &[
            "fit.toml: fit configuration",
            "line 2",
            "unknown field `stpes`, expected one of `seed`, `steps`, `batch`, `validate-every`,",
        ],
    ),
    (
        "fit zoo --config broken.toml --out new",
        &["broken.toml: fit configuration", "line 1", "extra `=`, expected nothing"],
    ),
    ("fit zoo --config nowhere.toml --out new", &["cannot read nowhere.toml: No such file or directory (os error 2)"]),
    ("fit zoo --config zoo --out new", &["cannot read zoo: Is a directory (os error 21)"]),
    ("fit zoo --set field.residual-mlp.width=0 --out new", &["parameter field.width", "expected 1 to 8192", "found 0"]),
    (
        "fit zoo --set field.transformer.width=4 --out new",
        &[
            "the fit's settings with --set field.transformer.width=4",
            "line 9",
            "expected one choice, found two: one of them may be the default or come from a flag;",
        ],
    ),
    (
        "fit zoo --set optimiser.learning-rate=-1 --out new",
        &["parameter optimiser.learning-rate", "expected above 0", "found -1"],
    ),
    ("fit zoo --set split.test=1.5 --out new", &["parameter split.test", "expected a share in [0, 1)", "found 1.5"]),
    (
        "fit zoo --set split.validation=0.9 --set split.test=0.9 --out new",
        &[
            "parameter split",
            "expected parts that leave at least one of 24 runs to learn from",
            "found validation 22, test 22",
        ],
    ),
    (
        "fit zoo --set latent.pca.dimension=0 --out new",
        &["parameter latent.pca.dimension", "expected 1 to 1,024", "found 0"],
    ),
    (
        "fit zoo --set latent.pca.dimension=5000 --out new",
        &["parameter latent.pca.dimension", "expected 1 to 1,024", "found 5000"],
    ),
    (
        "fit zoo --set latent.umap.dimension=2 --out new",
        &[
            "the fit's settings with --set latent.umap.dimension=2",
            "line 17",
            "unknown variant `umap`, expected one of `pca`, `vae`, `denoising`",
        ],
    ),
    (
        "fit zoo --set standardiser=zca --out new",
        &[
            "the fit's settings with --set standardiser=zca",
            "line 3",
            "unknown variant `zca`, expected one of `per-parameter`, `per-tensor`, `global`, `none`",
        ],
    ),
    (
        "fit zoo --set method.cfm.width=-1 --out new",
        &["the fit's settings with --set method.cfm.width=-1", "line 21", "wanted string or table"],
    ),
    (
        "fit zoo --method mmfm --set method.mmfm.marginals=9 --out new",
        &["mmfm trains on 11 marginals", "runs have 3 checkpoints", "add --set method.mmfm.marginals=1"],
    ),
    (
        "fit zoo --method kde --set method.kde.bandwidth=-2 --out new",
        &["parameter method.kde.bandwidth", "expected a finite number above 0", "found -2"],
    ),
    (
        "fit zoo --set validation-points=1000000000000 --out new",
        &["parameter validation-points", "expected 1 to 1000000", "found 1000000000000"],
    ),
    ("fit zoo --out text.txt", &["text.txt is a file", "--out takes a folder here"]),
    (
        "fit zoo --out zoo/inner",
        &[
            "--out zoo/inner: it lies within an input of this command, zoo, which is never written over",
            "choose another path",
        ],
    ),
    ("fit zoo --steps 3 --out /proc/new", &["cannot create /proc/new: No such file or directory (os error 2)"]),
    ("fit zoo --steps 3 --out text.txt/new", &["cannot create", "text.txt/new: Not a directory (os error 20)"]),
    (
        "fit zoo --steps 3 --resume --out nets",
        &[
            "nets: command",
            "expected sample, as this output was begun with (by `thalweg sample model -n 4 --steps 5",
            "found fit; choose another path, or pass --force to start anew",
        ],
    ),
    (
        "tune zoo --reward loss:digits --out new",
        &[
            "zoo: model",
            "expected a folder with a model.toml",
            "`thalweg fit` and `thalweg tune` make models",
            "found a zoo (it has a zoo.toml)",
        ],
    ),
    (
        "tune model-flipped --reward loss:digits --out new",
        &[
            "model-flipped/model.safetensors: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    (
        "tune model --reward loss --out new",
        &[
            "--reward loss",
            "expected loss:DATA or margin:DATA, e.g. loss:fashion-mnist",
            "expected loss:DATA or margin:DATA, e.g. loss:fashion-mnist",
        ],
    ),
    (
        "tune model --reward loss:csv:none.csv --out new",
        &["cannot read none.csv: No such file or directory (os error 2)"],
    ),
    (
        "tune model --reward loss:csv:good.csv --out new",
        &[
            "data csv: inputs",
            "expected shape [1, 8, 8] [channels, height, width], as the networks take",
            "found [2, 1, 1]",
        ],
    ),
    (
        "tune model --reward margin:digits --margin nan --out new",
        &["parameter margin", "expected a finite number", "found NaN"],
    ),
    (
        "tune model --reward loss:digits --iterations 0 --out new",
        &["parameter iterations", "expected 1 to 1000000000", "found 0"],
    ),
    (
        "tune model --reward loss:digits --rows 0 --out new",
        &["parameter reward.rows", "expected at least 1 in a batch", "found 0"],
    ),
    ("tune model --reward loss:digits --samples 0 --out new", &["--samples", "expected at least 1", "found 0"]),
    (
        "tune model --reward loss:digits --set trajectories=0 --out new",
        &["parameter trajectories", "expected 1 to 1000000", "found 0"],
    ),
    (
        "tune model --reward loss:digits --set trajectories=1000000000000 --out new",
        &["parameter trajectories", "expected 1 to 1000000", "found 1000000000000"],
    ),
    (
        "tune model --reward loss:digits --config tune.toml --out new",
        &["tune.toml: tuning configuration", "line 1", "invalid value: integer `-1`, expected u64"],
    ),
    (
        "tune model --reward loss:digits --strength inf --out new",
        &["parameter strength", "expected a finite number above 0", "found inf"],
    ),
    (
        "tune model --reward loss:digits --out model",
        &["--out model: it is an input of this command, model, which is never written over", "choose another path"],
    ),
    (
        "sample zoo --out new",
        &[
            "zoo: model",
            "expected a folder with a model.toml",
            "`thalweg fit` and `thalweg tune` make models",
            "found a zoo (it has a zoo.toml)",
        ],
    ),
    (
        "sample hollow --out new",
        &[
            "hollow: model",
            "expected a folder with a model.toml",
            "`thalweg fit` and `thalweg tune` make models",
            "found an empty folder",
        ],
    ),
    ("sample text.txt --out new", &["cannot read text.txt: Not a directory (os error 20)"]),
    (
        "sample model-bare --out new",
        &["cannot read model-bare/model.safetensors: No such file or directory (os error 2)"],
    ),
    (
        "sample model-edited --out new",
        &[
            "model-edited/model.toml: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    (
        "sample model-swapped --out new",
        &["model-swapped/model.safetensors: BLAKE3", "expected", ", as model.toml says", "found"],
    ),
    (
        "sample model-flipped --out new",
        &[
            "model-flipped/model.safetensors: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    (
        "sample model --solver leapfrog --out new",
        &["parameter solver", "expected euler, heun, midpoint, rk4, dormand-prince, euler-maruyama", "found leapfrog"],
    ),
    ("sample model --steps 0 --out new", &["parameter steps", "expected 1 to 1000000000", "found 0"]),
    ("sample model --at 0,2 --out new", &["parameter at", "expected times from 0 to 1", "found 2"]),
    ("sample model --at half --out new", &["invalid value 'half' for '--at <T,…>': expected a number", "try '--help'"]),
    ("sample model -n 10000000000 --out new", &["parameter n: expected 1 to 1000000, found 10000000000"]),
    (
        "sample model --format onnx --out new",
        &["invalid value 'onnx' for '--format <FORMAT>'", "[possible values: stack, per-network]", "try '--help'"],
    ),
    (
        "sample model --guidance 2 --out new",
        &["the following required arguments were not provided", "--context <DATA[:N]>", "try '--help'"],
    ),
    (
        "sample model --context digits:3 --out new",
        &[
            "context: expected a model with contexts",
            "found one without contexts",
            "`thalweg fit --context` makes such",
        ],
    ),
    (
        "sample model --format per-network --at 0,1 --out new",
        &["--at keeps states in the stacked file", "leave --format per-network out"],
    ),
    ("sample model --out hollow", &["hollow is a folder", "--out takes a file here"]),
    (
        "sample model --out s.safetensors",
        &["s.safetensors exists already", "choose another path, or pass --force to replace it"],
    ),
    (
        "sample model --out model/s.safetensors",
        &[
            "--out model/s.safetensors: it lies within an input of this command, model, which is never",
            "choose another path",
        ],
    ),
];
