//! Errors of the libraries as Python's exceptions, with the libraries' messages.
use pyo3::exceptions::{
    PyArithmeticError, PyFileExistsError, PyFileNotFoundError, PyIsADirectoryError, PyKeyboardInterrupt, PyMemoryError,
    PyNotADirectoryError, PyOSError, PyPermissionError, PyTypeError, PyValueError,
};
use pyo3::{PyErr, PyResult};
use std::io::ErrorKind;
use std::sync::{Mutex, PoisonError};
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

/// What Python raised in the middle of the libraries' work: the work then ends as interrupted, and this is what its caller is told.
#[derive(Debug, Default)]
pub struct Raised(Mutex<Option<PyErr>>);

impl Raised {
    /// The value; an exception is kept, if it is the first.
    ///
    /// # Errors
    /// [`Error::Interrupted`] in the exception's place.
    pub fn keep<T>(&self, given: PyResult<T>) -> Result<T, Error> {
        given.map_err(|e| {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
            Error::Interrupted
        })
    }

    /// The exception, where there was one.
    pub fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
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
