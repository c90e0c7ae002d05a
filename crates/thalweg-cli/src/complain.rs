//! Errors on stderr.
use std::io::{IsTerminal, Write};

/// Says on stderr what went wrong.
pub fn complain(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = match std::io::stderr().is_terminal() {
        true => writeln!(stderr, "\u{1b}[31mthalweg:\u{1b}[0m {text}"),
        false => writeln!(stderr, "thalweg: {text}"),
    };
}
