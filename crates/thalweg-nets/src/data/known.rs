//! The sets known by name and the formats of a user's own files: which reader opens what, from where.
use super::place::{self, fetchable, missing};
use super::spec::DataSpec;
use super::table::Table;
use super::{digits, idx};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// What a reader found: a pool to train on, and the official test rows where the set has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Rows to cut training and validation rows from (and test rows where there are no official ones).
    pub pool: Table,
    /// Official test rows.
    pub test: Option<Table>,
}

/// The names that [`DataSpec`] accepts.
pub const NAMES: [&str; 4] = ["digits", "mnist", "fashion-mnist", "idx"];

/// Opens the set that `spec` names.
pub(super) fn open(spec: &DataSpec) -> Result<Source> {
    match spec.name.as_str() {
        "digits" => Ok(Source { pool: digits::table()?, test: None }),
        "mnist" | "fashion-mnist" => mnist(&spec.name, &folder(spec, &spec.name)?, &fetchable(&spec.name)),
        "idx" => mnist("idx", &given(spec)?, "files laid as MNIST's are"),
        other => Err(unknown(other)),
    }
}

/// The error for a name that nothing is known by.
pub(super) fn unknown(name: &str) -> Error {
    Error::parameter("data", format!("one of {}, or NAME:DIR", NAMES.join(", ")), name)
}

fn folder(spec: &DataSpec, own: &str) -> Result<PathBuf> {
    match &spec.folder {
        Some(folder) => Ok(folder.clone()),
        None => Ok(place::root()?.join(own)),
    }
}

fn given(spec: &DataSpec) -> Result<PathBuf> {
    spec.folder
        .clone()
        .ok_or_else(|| Error::parameter("data.folder", format!("a path, written {}:PATH", spec.name), "none"))
}

fn mnist(name: &str, folder: &Path, remedy: &str) -> Result<Source> {
    let part = |part: &str| -> Result<Table> {
        let [images, labels] = [format!("{part}-images-idx3-ubyte"), format!("{part}-labels-idx1-ubyte")];
        let find = |file: &str| idx::find(folder, file).ok_or_else(|| missing(name, folder, file, remedy));
        idx::read(name, &find(&images)?, &find(&labels)?, 10)
    };
    Ok(Source { pool: part("train")?, test: Some(part("t10k")?) })
}
