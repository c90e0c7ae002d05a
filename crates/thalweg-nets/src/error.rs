//! The one error type of the manifold crate: every message names what was wrong, where, what was expected and what was found.
use std::path::{Path, PathBuf};

/// Everything that can go wrong with networks, data and zoos.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read, write, create or rename a path.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried: "read", "write", "create", "rename", ….
        action: &'static str,
        /// The path concerned.
        path: PathBuf,
        /// The operating system's error. It is part of the message, so `source()` deliberately does not return it as well.
        cause: std::io::Error,
    },
    /// A file is not what it says, or not what was asked for.
    #[error("{}: {field}: expected {expected}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Field, tensor, key or line within the file.
        field: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A slice or tensor argument has the wrong shape.
    #[error("{what}: expected shape {expected}, found {found}")]
    Shape {
        /// The argument.
        what: String,
        /// The shape that fits, e.g. `[N, 784]`.
        expected: String,
        /// The shape given.
        found: String,
    },
    /// A parameter lies outside its range, or two of them do not fit together.
    #[error("parameter {field}: expected {expected}, found {found}")]
    Parameter {
        /// The parameter's full name, e.g. `recipe.batch`.
        field: String,
        /// Its range.
        expected: String,
        /// The value given.
        found: String,
    },
    /// A number that must be finite is not.
    #[error("{what} is not finite at {place}: {value}")]
    NotFinite {
        /// Loss, weight, gradient, ….
        what: String,
        /// Step, seed, index.
        place: String,
        /// The offending value.
        value: f64,
    },
    /// The target exists, and nothing is overwritten unasked.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The user asked to stop. What was finished is safe where the work keeps any of it (see [`crate::progress::Progress::kept`]).
    #[error("interrupted")]
    Interrupted,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps an I/O error with the action and path: `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |cause| Error::Io { action, path, cause }
    }

    /// A file whose `field` should have been `expected` but is `found`.
    pub fn format(
        path: impl AsRef<Path>,
        field: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
    ) -> Error {
        Error::Format {
            path: path.as_ref().to_path_buf(),
            field: field.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// An argument of the wrong shape.
    pub fn shape(what: impl Into<String>, expected: impl ToString, found: impl ToString) -> Error {
        Error::Shape { what: what.into(), expected: expected.to_string(), found: found.to_string() }
    }

    /// A parameter outside its range.
    pub fn parameter(field: impl Into<String>, expected: impl ToString, found: impl ToString) -> Error {
        Error::Parameter { field: field.into(), expected: expected.to_string(), found: found.to_string() }
    }
}
