//! The one error type of this crate: every message names what was wrong, where, what was expected and what was found.
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
    /// Work that the memory budget does not hold; nothing was allocated for it.
    #[error(
        "{work}: needs {needed} of memory, and the budget is {budget} bytes ({parts}){}",
        instead.as_ref().map_or(String::new(), |instead| format!("; what fits: {instead}"))
    )]
    Memory {
        /// What was to be done.
        work: String,
        /// What it would hold at its peak.
        needed: String,
        /// The budget in bytes.
        budget: u64,
        /// What it would hold, part by part, the largest first.
        parts: String,
        /// Settings that fit, if any do.
        instead: Option<String>,
    },
    /// More rows asked of a data set than it has; nothing takes fewer rows in silence.
    #[error("parameter {field}: expected {expected}, found {found}")]
    TooFewRows {
        /// What asked for them, e.g. `data.train`.
        field: String,
        /// How many there are.
        expected: String,
        /// How many were asked for.
        found: String,
    },
    /// An iteration that did not reach its tolerance.
    #[error("{what} did not converge: expected {expected}, reached {reached}")]
    NotConverged {
        /// The iteration: a solver, a fixed point, ….
        what: String,
        /// Its tolerance or end, and within how many iterations.
        expected: String,
        /// How far it came.
        reached: String,
    },
    /// Something that this kind of object cannot do, whatever the values of its parameters.
    #[error("{what} is not supported by {by}: expected {expected}")]
    Unsupported {
        /// The capability asked for.
        what: String,
        /// The object asked.
        by: String,
        /// What supports it.
        expected: String,
    },
    /// A path that does not hold what was asked for.
    #[error("{}: {artefact}: expected {expected}, found {found}", path.display())]
    NotThis {
        /// The path.
        path: PathBuf,
        /// What was asked for.
        artefact: Artefact,
        /// How that is known.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A tensor that is not modelled, and yet not the same in all networks.
    #[error("{}: tensor {tensor}: expected the numbers that it has in {} (it is not modelled, so all networks share them), found {found}", path.display(), base.display())]
    Frozen {
        /// The network's file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The base checkpoint.
        base: PathBuf,
        /// How far it is from them.
        found: String,
    },
    /// A zoo whose training was interrupted.
    #[error("{}: shard: expected runs {runs:?}, found no such file: the zoo is not finished", path.display())]
    Unfinished {
        /// The first shard that is missing.
        path: PathBuf,
        /// Its runs.
        runs: std::ops::Range<usize>,
    },
    /// Files of a data set that are not where they should be.
    #[error("{}: data {name}: expected {expected}, found {found}", folder.display())]
    NoData {
        /// The set's name.
        name: String,
        /// Where they should be.
        folder: PathBuf,
        /// Which files, and how they can be named.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Training rows of one class alone: networks cannot learn from them to tell classes apart.
    #[error("data: expected training rows of at least two classes, found {rows} rows of class {class} alone")]
    OneClass {
        /// The rows.
        rows: usize,
        /// Their class.
        class: String,
    },
    /// The saved state of other work than what is to go on from it.
    #[error("{}: identity: expected the state of this very {work}, found {found}", path.display())]
    OtherState {
        /// The file of the state.
        path: PathBuf,
        /// What was to go on.
        work: String,
        /// Whose state stands there.
        found: String,
    },
    /// A model with contexts where only one without can be used, or the other way round.
    #[error("{what}: expected a model {}, found one {}", with_contexts(*wanted), with_contexts(!wanted))]
    Contexts {
        /// What was to be done.
        what: String,
        /// Whether it takes a model with contexts.
        wanted: bool,
    },
    /// The target exists, and nothing is overwritten unasked.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The user asked to stop. What was finished is safe where the work keeps any of it (see [`crate::progress::Progress::kept`]).
    #[error("interrupted")]
    Interrupted,
}

/// What these libraries write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Artefact {
    /// Many training runs.
    Zoo,
    /// A generative model of networks.
    Model,
    /// A test of shift, made ready.
    Calibration,
}

impl std::fmt::Display for Artefact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Zoo => "zoo",
            Self::Model => "model",
            Self::Calibration => "calibration",
        })
    }
}

fn with_contexts(with: bool) -> &'static str {
    if with { "with contexts" } else { "without contexts" }
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

    /// The same, of a parameter that was read from the file at `path`; other errors stay as they are.
    pub fn in_file(self, path: impl AsRef<Path>) -> Error {
        match self {
            Error::Parameter { field, expected, found } => {
                Error::Format { path: path.as_ref().to_path_buf(), field, expected, found }
            }
            other => other,
        }
    }

    /// A path that does not hold the `artefact` asked for.
    pub fn not_this(
        path: impl AsRef<Path>,
        artefact: Artefact,
        expected: impl ToString,
        found: impl ToString,
    ) -> Error {
        let path = path.as_ref().to_path_buf();
        Error::NotThis { path, artefact, expected: expected.to_string(), found: found.to_string() }
    }

    /// A model with contexts, or without, for `what` takes the other.
    pub fn contexts(what: impl Into<String>, wanted: bool) -> Error {
        Error::Contexts { what: what.into(), wanted }
    }

    /// An argument of the wrong shape.
    pub fn shape(what: impl Into<String>, expected: impl ToString, found: impl ToString) -> Error {
        Error::Shape { what: what.into(), expected: expected.to_string(), found: found.to_string() }
    }

    /// An iteration that ended before its tolerance.
    pub fn not_converged(what: impl Into<String>, expected: impl ToString, reached: impl ToString) -> Error {
        Error::NotConverged { what: what.into(), expected: expected.to_string(), reached: reached.to_string() }
    }

    /// A capability that `by` lacks.
    pub fn unsupported(what: impl Into<String>, by: impl ToString, expected: impl ToString) -> Error {
        Error::Unsupported { what: what.into(), by: by.to_string(), expected: expected.to_string() }
    }

    /// More rows than a data set has.
    pub fn too_few_rows(field: impl Into<String>, expected: impl ToString, found: impl ToString) -> Error {
        Error::TooFewRows { field: field.into(), expected: expected.to_string(), found: found.to_string() }
    }

    /// A parameter outside its range.
    pub fn parameter(field: impl Into<String>, expected: impl ToString, found: impl ToString) -> Error {
        Error::Parameter { field: field.into(), expected: expected.to_string(), found: found.to_string() }
    }
}
