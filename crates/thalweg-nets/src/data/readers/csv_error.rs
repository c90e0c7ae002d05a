//! Errors of the csv crate with file and line.
use crate::error::Error;
use std::path::Path;

/// An error of the csv crate as one of this crate, with the line.
pub(in crate::data) fn unreadable(path: &Path, e: &csv::Error) -> Error {
    match e.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            Error::format(path, format!("line {line}"), format!("{expected_len} cells"), len)
        }
        csv::ErrorKind::Utf8 { pos, err } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            Error::format(path, format!("line {line}"), "text in UTF-8", err)
        }
        _ => Error::format(path, "text", "comma-separated values", e),
    }
}
