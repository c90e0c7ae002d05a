//! `shift calibrate` and `shift test`.
use crate::Row;

pub const ROWS: &[Row] = &[
    (
        "shift calibrate --out new",
        &[
            "name f by --classifier, --arch and --reference, by --logits or by --predict",
            "e.g. thalweg shift calibrate --classifier f.safetensors --arch cnn-s --reference mnist --size 20",
        ],
    ),
    (
        "shift calibrate --model nets --out new",
        &["name the rows that f was trained on by --reference (--p) NAME[:DIR] or FILE.csv"],
    ),
    (
        "shift calibrate --model nets --arch digits --out new",
        &["name the rows that f was trained on by --reference (--p) NAME[:DIR] or FILE.csv"],
    ),
    (
        "shift calibrate --model nets --p digits --out new",
        &["nets: its architecture is not in the file: name it by --arch FILE.toml or a preset"],
    ),
    ("shift calibrate --model nothing.pt --p digits --out new", &["nothing.pt", "No such file"]),
    (
        "shift calibrate --model nets --arch digits --p digits --network 99 --out new",
        &["--network 99: nets holds 4, counted from 0"],
    ),
    (
        "shift calibrate --model hollow --arch digits --p digits --out new",
        &["hollow: networks", "expected at least one .safetensors file", "found none"],
    ),
    (
        "shift calibrate --model other.safetensors --arch digits --p digits --out new",
        &["other.safetensors: tensor 0.weight", "expected floats [6, 1, 3, 3]", "found no such tensor, but w"],
    ),
    (
        "shift calibrate --model nan --arch digits --p digits --out new",
        &["nan/a.safetensors: tensor 0.weight", "expected floats [6, 1, 3, 3]", "found no such tensor, but w"],
    ),
    (
        "shift calibrate --model nets --arch digits --p csv:good.csv --out new",
        &[
            "--arch digits does not fit csv, inputs [2, 1, 1] [channels, height, width]; mlp fits all",
            "parameter layers[0]",
            "expected an input of at least the kernel 3",
            "found input [2, 1, 1]",
        ],
    ),
    (
        "shift calibrate --model nets --arch digits --p minst --out new",
        &[
            "parameter data",
            "expected one of digits, mnist, fashion-mnist, silhouettes, heart, wine, breast-cancer,",
            "found minst",
        ],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --held csv:good.csv --out new",
        &[
            "data csv: inputs",
            "expected shape [1, 8, 8] [channels, height, width], as the networks take",
            "found [2, 1, 1]",
        ],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --methods mmd,mmd --out new",
        &["parameter methods", "expected at least one, none twice", "found mmd, mmd"],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --methods tarot --out new",
        &[
            "parameter method",
            "expected one of bank, detectron, meta-detectron, conditional, ensemble, d3m, entropy, bbsd,",
            "found tarot",
        ],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --size 0 --out new",
        &["parameter query size |Q|", "expected at least 1", "found 0"],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --null 3 --out new",
        &[
            "parameter null draws",
            "expected at least 19: the least p-value of N draws is 1/(N + 1), and the level is 0.05;",
            "found 3",
        ],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --null 100000000000 --out new",
        &["parameter null draws", "expected at most 100000", "found 100000000000"],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --level 0 --out new",
        &["parameter level", "expected a number between 0 and 1", "found 0"],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --level 1.5 --out new",
        &["parameter level", "expected a number between 0 and 1", "found 1.5"],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --set cdc.stpes=3 --out new",
        &[
            "the parameters of tests with --set cdc.stpes=3",
            "line 22",
            "unknown field `stpes`, expected one of `kappa`, `learning-rate`, `steps`, `batch`,",
        ],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --set cdc.steps=0 --methods detectron --out new",
        &["parameter cdc.steps", "expected 1 to 1000000000", "found 0"],
    ),
    (
        "shift calibrate --model nets --arch digits --p digits --probabilities --out new",
        &["the argument '--classifier <FILE>' cannot be used with '--probabilities'", "try '--help'"],
    ),
    (
        "shift calibrate --logits l-good.csv --model nets --out new",
        &["the argument '--logits <FILE>' cannot be used with '--classifier <FILE>'", "try '--help'"],
    ),
    (
        "shift calibrate --logits nowhere.csv --out new",
        &["cannot read nowhere.csv: No such file or directory (os error 2)"],
    ),
    (
        "shift calibrate --logits empty.csv --out new",
        &["empty.csv: logits", "expected [N ≥ 1, C ≥ 2] finite numbers", "found no row"],
    ),
    (
        "shift calibrate --logits l-words.csv --out new",
        &["l-words.csv: line 2, column 'q'", "expected a logit, a finite number", "found 'high'"],
    ),
    (
        "shift calibrate --logits l-one.csv --out new",
        &[
            "l-one.csv: logits",
            "expected at least 2 columns, one a class (of a model with one output z for two classes,",
            "found 1",
        ],
    ),
    ("shift calibrate --logits l-few.csv --out new", &["l-few.csv", "expected at least 8 rows of logits", "found 2"]),
    (
        "shift calibrate --logits l-percent.csv --out new",
        &[
            "l-percent.csv",
            "expected logits, or probabilities",
            "found rows that are not negative and sum to 100: divide them by 100",
        ],
    ),
    (
        "shift calibrate --logits l-rag.csv --out new",
        &["l-rag.csv: line 2", "expected 2 cells, as in the first line", "found 3"],
    ),
    (
        "shift calibrate --logits latin.csv --out new",
        &[
            "latin.csv: line 2",
            "expected text in UTF-8",
            "found invalid utf-8: invalid UTF-8 in field 2 near byte index 3",
        ],
    ),
    (
        "shift calibrate --logits hollow --out new",
        &["hollow: file", "expected a regular file (save what it gives to one first)", "found a folder"],
    ),
    (
        "shift calibrate --logits l-good.csv --methods mahalanobis --out new",
        &["parameter method mahalanobis", "expected rows with inputs", "found logits alone"],
    ),
    (
        "shift calibrate --logits l-good.csv --out l-good.csv --force",
        &[
            "--out l-good.csv: it is an input of this command, l-good.csv, which is never written over",
            "choose another path",
        ],
    ),
    ("shift test nowhere.cal --q digits", &["cannot read nowhere.cal: No such file or directory (os error 2)"]),
    ("shift test hollow --q digits", &["cannot read hollow: Is a directory (os error 21)"]),
    (
        "shift test text.txt --q digits",
        &["text.txt: safetensors header", "expected a valid safetensors file", "found header too small (6 bytes)"],
    ),
    (
        "shift test s.safetensors --q digits",
        &[
            "s.safetensors: calibration: expected thalweg shift calibration 7",
            "`thalweg shift calibrate` makes calibrations",
            "found thalweg networks 1",
        ],
    ),
    (
        "shift test flipped.cal --q digits",
        &[
            "flipped.cal: checksum (BLAKE3)",
            "expected",
            ", as it says of itself",
            "found",
            "it was changed or damaged after it was written; put back a copy, or make it again",
        ],
    ),
    (
        "shift test cut.cal --q digits",
        &[
            "cut.cal: safetensors header",
            "expected a valid safetensors file",
            "found incomplete metadata, file not fully covered",
        ],
    ),
    (
        "shift test c.cal",
        &["the following required arguments were not provided", "--query <NAME[:DIR]>", "try '--help'"],
    ),
    (
        "shift test c.cal --q minst",
        &[
            "parameter data",
            "expected one of digits, mnist, fashion-mnist, silhouettes, heart, wine, breast-cancer,",
            "found minst",
        ],
    ),
    (
        "shift test c.cal --q digits --probabilities",
        &["the argument '--query <NAME[:DIR]>' cannot be used with '--probabilities'", "try '--help'"],
    ),
    (
        "shift test c.cal --q csv:good.csv",
        &[
            "data csv: inputs",
            "expected shape [1, 8, 8] [channels, height, width], as the networks take",
            "found [2, 1, 1]",
        ],
    ),
    ("shift test c.cal --q csv:none.csv", &["cannot read none.csv: No such file or directory (os error 2)"]),
    (
        "shift test c.cal --q digits --site hungary",
        &["parameter data.site", "expected nothing (it belongs to heart)", "found a value"],
    ),
    (
        "shift test c.cal --q heart --site berlin",
        &["--site", "expected one of cleveland, hungary, switzerland, long-beach, others", "found berlin"],
    ),
    (
        "shift test c.cal --q digits --q-logits l-good.csv",
        &["the argument '--query <NAME[:DIR]>' cannot be used with '--query-logits <FILE>'", "try '--help'"],
    ),
    ("shift test c.cal --q digits --level 0", &["--level", "expected a number between 0 and 1", "found 0"]),
    (
        "shift test c.cal --q digits --fail-on sometimes",
        &[
            "invalid value 'sometimes' for '--fail-on <OUTCOME>'",
            "[possible values: shifted, harmful, never]",
            "try '--help'",
        ],
    ),
    (
        "shift test c.cal --q digits --out c.cal --force",
        &["--out c.cal: it is an input of this command, c.cal, which is never written over", "choose another path"],
    ),
    ("shift test l.cal --q digits", &["l.cal was calibrated on logits alone: give Q's by --query-logits"]),
    (
        "shift test l.cal --q-logits l-three.csv",
        &["l-three.csv: logits", "expected 2 columns, as at calibration", "found 3"],
    ),
    (
        "shift test l.cal --q-logits l-words.csv",
        &["l-words.csv: line 2, column 'q'", "expected a logit, a finite number", "found 'high'"],
    ),
    ("shift test l.cal --q-logits nowhere.csv", &["cannot read nowhere.csv: No such file or directory (os error 2)"]),
    (
        "shift test l.cal --q-logits l-good.csv --probabilities",
        &[
            "l-good.csv: row 1 of numbers",
            "expected probabilities, as --probabilities says: not negative, with sum 1",
            "found 0.5, 0.25",
        ],
    ),
];
