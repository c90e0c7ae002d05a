//! Errors of the libraries as Python's exceptions, with the libraries' messages.
use pyo3::PyErr;
use pyo3::exceptions::{
    PyArithmeticError, PyFileExistsError, PyFileNotFoundError, PyIsADirectoryError, PyKeyboardInterrupt, PyMemoryError,
    PyNotADirectoryError, PyOSError, PyPermissionError, PyTypeError, PyValueError,
};
use std::io::ErrorKind;
use thalweg::Error;

/// The exception that stands for `error`.
pub fn raised(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Io { cause, .. } => match cause.kind() {
            ErrorKind::NotFound => PyFileNotFoundError::new_err(message),
            ErrorKind::PermissionDenied => PyPermissionError::new_err(message),
            ErrorKind::AlreadyExists => PyFileExistsError::new_err(message),
            ErrorKind::IsADirectory => PyIsADirectoryError::new_err(message),
            ErrorKind::NotADirectory => PyNotADirectoryError::new_err(message),
            _ => PyOSError::new_err(message),
        },
        Error::Memory { .. } => PyMemoryError::new_err(message),
        Error::Exists(_) => PyFileExistsError::new_err(message),
        Error::Interrupted => PyKeyboardInterrupt::new_err(message),
        Error::NoData { .. } => PyFileNotFoundError::new_err(message),
        Error::NotConverged { .. } => PyArithmeticError::new_err(message),
        Error::Unsupported { .. } => PyTypeError::new_err(message),
        Error::Format { .. }
        | Error::Frozen { .. }
        | Error::Shape { .. }
        | Error::Parameter { .. }
        | Error::TooFewRows { .. }
        | Error::NotThis { .. }
        | Error::Unfinished { .. }
        | Error::OneClass { .. }
        | Error::OtherState { .. }
        | Error::Contexts { .. }
        | Error::NotFinite { .. } => PyValueError::new_err(message),
    }
}

/// A [`PyErr`] in the place of a library's error, for `?`.
pub trait Raise<T> {
    /// The value, or the exception.
    ///
    /// # Errors
    /// As the library's.
    fn raise(self) -> Result<T, PyErr>;
}

impl<T> Raise<T> for Result<T, Error> {
    fn raise(self) -> Result<T, PyErr> {
        self.map_err(raised)
    }
}
