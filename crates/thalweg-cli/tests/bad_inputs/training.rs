//! `zoo train`: specifications, architectures, data.
use crate::Row;

pub const ROWS: &[Row] = &[
    // Specifications.
    ("zoo train broken.toml --out new", &["broken.toml is not valid TOML", "line 1", "extra `=`, expected nothing"]),
    (
        "zoo train unknown.toml --out new",
        &[
            "unknown.toml: zoo specification",
            "line 2",
            "unknown field `speed`, expected one of `name`, `runs`, `seed`, `shard`, `kind`,",
        ],
    ),
    (
        "zoo train type.toml --out new",
        &["type.toml: zoo specification", "line 1", "invalid type: string \"many\", expected usize"],
    ),
    ("zoo train zero.toml --out new", &["zero.toml: runs", "expected at least 1, at most 1000000000", "found 0"]),
    (
        "zoo train nested.toml --out new",
        &["nested.toml is not valid TOML", "line 1", "cannot recurse further; max recursion depth met"],
    ),
    ("zoo train binary.toml --out new", &["cannot read binary.toml: stream did not contain valid UTF-8"]),
    ("zoo train hollow --out new", &["cannot read hollow: Is a directory (os error 21)"]),
    (
        "zoo train zoo-edited/zoo.toml --runs 0 --out new",
        &["parameter runs", "expected at least 1, at most 1000000000", "found 0"],
    ),
    (
        "zoo train --arch lenet --data digits --out new",
        &["parameter arch", "expected cnn-s, cnn-m, mlp, digits or the path of a TOML file", "found lenet"],
    ),
    (
        "zoo train --arch list.toml --data digits --out new",
        &["list.toml: architecture: expected a valid architecture in TOML, found", "line 1", "missing field `kind`"],
    ),
    (
        "zoo train --arch kind.toml --data digits --out new",
        &["kind.toml: architecture: expected a valid architecture in TOML, found", "line 3", "missing field `kind`"],
    ),
    (
        "zoo train --arch text.txt --data digits --out new",
        &["parameter arch", "expected cnn-s, cnn-m, mlp, digits or the path of a TOML file", "found text.txt"],
    ),
    ("zoo train --arch mlp --data digits --out new", &["--arch mlp wants its hidden widths: --widths 32,16"]),
    (
        "zoo train --arch mlp --widths 0 --data digits --out new",
        &["parameter layers[1]", "expected out of at least 1", "found 0"],
    ),
    (
        "zoo train --arch mlp --widths 4,x --data digits --out new",
        &["invalid value 'x' for '--widths <N,…>': expected a whole number, not negative", "try '--help'"],
    ),
    (
        "zoo train --arch mlp --widths 4000000000,4000000000 --data digits --out new",
        &[
            "parameter architecture: weights of one network",
            "expected at most",
            "(half of the memory budget)",
            "found more than 2^64 bytes",
        ],
    ),
    (
        "zoo train --arch digits --widths 4 --data digits --out new",
        &["--widths: digits has its own widths", "leave the flag out, or take --arch mlp"],
    ),
    (
        "zoo train --arch cnn-s --data digits --out new",
        &[
            "--arch cnn-s does not fit digits, inputs [1, 8, 8] [channels, height, width]; mlp fits all",
            "parameter layers[3]",
            "expected an input of at least the kernel 5",
            "found input [8, 2, 2]",
        ],
    ),
    (
        "zoo train --arch digits --data csv:good.csv --out new",
        &[
            "--arch digits does not fit csv, inputs [2, 1, 1] [channels, height, width]; mlp fits all",
            "parameter layers[0]",
            "expected an input of at least the kernel 3",
            "found input [2, 1, 1]",
        ],
    ),
    (
        "zoo train --arch digits --data digits --runs 0 --out new",
        &["parameter runs", "expected at least 1, at most 1000000000", "found 0"],
    ),
    (
        "zoo train --arch digits --data digits --runs 99999999999999999999 --out new",
        &["invalid value '99999999999999999999' for '--runs <N>': expected a smaller number", "try '--help'"],
    ),
    (
        "zoo train --arch digits --data digits --epochs 0 --out new",
        &["parameter recipe.length.epochs", "expected a finite number above 0", "found 0"],
    ),
    (
        "zoo train --arch digits --data digits --epochs 3 --steps 4 --out new",
        &["the argument '--epochs <E>' cannot be used with '--steps <T>'", "try '--help'"],
    ),
    (
        "zoo train --arch digits --data digits --batch 0 --out new",
        &["parameter recipe.batch", "expected at least one row", "found 0"],
    ),
    (
        "zoo train --arch digits --data digits --optimiser adagrad --out new",
        &["parameter optimiser", "expected sgd, adam or adamw", "found adagrad"],
    ),
    (
        "zoo train --arch digits --data digits --learning-rate 0 --out new",
        &["parameter recipe.learning-rate", "expected a finite number above 0", "found 0"],
    ),
    (
        "zoo train --arch digits --data digits --learning-rate nan --out new",
        &["parameter recipe.learning-rate", "expected a finite number above 0", "found NaN"],
    ),
    (
        "zoo train --arch digits --data digits --checkpoints 0 --out new",
        &[
            "parameter recipe.checkpoints",
            "expected rising shares from 0 (the initialisation) to 1 (the end), or [1.0] alone",
            "found []",
        ],
    ),
    (
        "zoo train --arch digits --data digits --steps 3 --checkpoints 9 --out new",
        &[
            "parameter recipe.checkpoints",
            "expected checkpoints at different steps of a run of 3 steps",
            "found 0 and 0.125, both at step 0",
        ],
    ),
    (
        "zoo train --arch digits --data digits --train-rows 0 --out new",
        &["parameter data.train", "expected at least one row", "found 0"],
    ),
    (
        "zoo train --arch digits --data digits --train-rows 5000 --out new",
        &["parameter data.train", "expected at most 1079 of 1797 rows (validation takes 359, test 359)", "found 5000"],
    ),
    (
        "zoo train --arch digits --data digits --set kind.fork.noise=3 --kind shared --out new",
        &[
            "the zoo's settings with --set kind.fork.noise=3",
            "line 46",
            "expected one choice, found two: one of them may be the default or come from a flag;",
        ],
    ),
    (
        "zoo train --arch digits --data digits --set shard=0 --out new",
        &["parameter shard", "expected at least 1, at most 1000000000", "found 0"],
    ),
    (
        "zoo train --arch digits --data digits --set recipe=3 --out new",
        &["the zoo's settings with --set recipe=3", "line 4", "invalid type: integer `3`, expected struct Recipe"],
    ),
    // Data.
    (
        "zoo train --arch mlp --widths 4 --data csv:empty.csv --out new",
        &["empty.csv: line 1", "expected a header with the names of the columns", "found nothing"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:header.csv --out new",
        &["header.csv: rows", "expected at least one row below the header", "found none"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:rag.csv --out new",
        &["rag.csv: line 3", "expected 3 cells", "found 2"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:words.csv --out new",
        &["words.csv: line 2, column 'b'", "expected a finite number", "found 'two'"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:latin.csv --out new",
        &[
            "latin.csv: line 2",
            "expected text in UTF-8",
            "found invalid utf-8: invalid UTF-8 in field 2 near byte index 3",
        ],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:regression.csv --out new",
        &[
            "regression.csv: header",
            "expected a column of labels named 'label' (say which it is: csv:regression.csv@label=NAME)",
            "found a, y",
        ],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:twice.csv --out new",
        &["twice.csv: header", "expected every name once", "found 'a' twice"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:none.csv --out new",
        &["cannot read none.csv: No such file or directory (os error 2)"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:hollow --out new",
        &["hollow: file", "expected a regular file (save what it gives to one first)", "found a folder"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv --out new",
        &["parameter data.folder", "expected a path, written csv:PATH", "found none"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:good.csv@label=colour --out new",
        &[
            "good.csv: header",
            "expected a column of labels named 'colour' (say which it is: csv:good.csv@label=NAME)",
            "found a, b, label",
        ],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:not.gz.csv --out new",
        &["not.gz.csv: text", "expected comma-separated values", "found corrupt deflate stream"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data npz:not.npz --out new",
        &[
            "not.npz: archive",
            "expected a NumPy .npz file (a zip archive)",
            "found invalid Zip archive: Could not find EOCD",
        ],
    ),
    (
        "zoo train --arch mlp --widths 4 --data npz:good.csv --out new",
        &[
            "good.csv: archive",
            "expected a NumPy .npz file (a zip archive)",
            "found invalid Zip archive: Could not find EOCD",
        ],
    ),
    (
        "zoo train --arch mlp --widths 4 --data idx:idx --out new",
        &["idx/train-images-idx3-ubyte: header", "expected 16 bytes", "found 8 bytes"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data cifar10:cifar --out new",
        &["cifar/data_batch_1.bin: label of record 0", "expected a class below 10", "found 11"],
    ),
    (
        "zoo train --arch mlp --widths 4 --data csv:/dev/zero --out new",
        &["/dev/zero: file", "expected a regular file (save what it gives to one first)", "found a device"],
    ),
    (
        "zoo train --arch digits --data digits@rotate=many --out new",
        &["parameter data digits@rotate=many", "expected whole degrees", "found @rotate=many"],
    ),
    (
        "zoo train --arch digits --data digits@turn=4 --out new",
        &[
            "parameter data digits@turn=4",
            "expected classes=A+B, relabel=SEED, rotate=DEGREES, area|crop|ink=SIDE,",
            "found @turn=4",
        ],
    ),
    (
        "zoo train --arch digits --data digits@classes=1,11 --out new",
        &["parameter data digits@classes=1,11", "expected classes joined by +, e.g. 3+7", "found @classes=1,11"],
    ),
    (
        "zoo train --arch digits --data digits@area=100000 --out new",
        &["parameter data.fit.side", "expected from 1 to 4096", "found 100000"],
    ),
    (
        "zoo train --arch digits --data digits@classes=3 --out new",
        &["data: expected training rows of at least two classes", "of class 0 alone", "`--set data.label=COLUMN`"],
    ),
    (
        "zoo train --arch digits --data heart:none --out new",
        &[
            "none: data heart",
            "`thalweg data get heart` fetches them",
            "expected heart_disease_uci.csv (name its folder:",
            "found no such folder",
        ],
    ),
];
