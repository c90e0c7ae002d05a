//! What commands there are.

/// Every command, as words.
pub const COMMANDS: &[&str] = &[
    "demo",
    "data list",
    "data get",
    "zoo train",
    "zoo import",
    "zoo align",
    "zoo info",
    "zoo export",
    "fit",
    "tune",
    "sample",
    "encode",
    "eval",
    "predict",
    "shift check",
    "shift calibrate",
    "shift test",
    "reproduce",
    "submit",
    "gather",
    "list",
    "config",
    "completions",
    "man",
];
