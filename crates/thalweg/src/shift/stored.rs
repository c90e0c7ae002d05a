//! What a prepared test keeps in a calibration file: named tensors under the test's own name.
use crate::tensors::{TensorReader, TensorWriter};
use crate::{Error, Result};

/// Where a test writes what it was trained to.
pub struct Store<'a> {
    out: &'a mut TensorWriter,
    test: &'static str,
}

impl<'a> Store<'a> {
    /// Of the test called `test`.
    pub fn new(out: &'a mut TensorWriter, test: &'static str) -> Self {
        Self { out, test }
    }

    /// Adds numbers of this shape in single precision.
    pub fn single(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.out.single(format!("{}.{name}", self.test), shape, values);
    }

    /// Adds a list of numbers in double precision.
    pub fn double(&mut self, name: &str, values: &[f64]) {
        self.out.double(format!("{}.{name}", self.test), &[values.len()], values);
    }
}

/// What [`Store`] wrote, under reading.
pub struct Stored<'a> {
    file: &'a TensorReader<'a>,
    test: &'static str,
}

impl<'a> Stored<'a> {
    /// Of the test called `test`.
    pub fn new(file: &'a TensorReader<'a>, test: &'static str) -> Self {
        Self { file, test }
    }

    /// Numbers of exactly this shape.
    ///
    /// # Errors
    /// None of that name, another shape, a number that is not finite.
    pub fn single(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.file.single(&format!("{}.{name}", self.test), shape)
    }

    /// Rows of `width` numbers, at least one.
    ///
    /// # Errors
    /// None of that name, another shape, a number that is not finite.
    pub fn rows(&self, name: &str, width: usize) -> Result<Vec<f32>> {
        let name = format!("{}.{name}", self.test);
        let (shape, values) = self.file.any(&name)?;
        match shape[..] {
            [n, found] if n > 0 && found == width => Ok(values),
            _ => Err(Error::shape(format!("tensor {name}"), format!("[n ≥ 1, {width}]"), format!("{shape:?}"))),
        }
    }

    /// A list of finite numbers in double precision.
    ///
    /// # Errors
    /// None of that name, another type, a number that is not finite.
    pub fn double(&self, name: &str) -> Result<Vec<f64>> {
        let name = format!("{}.{name}", self.test);
        let values = self.file.double(&name)?;
        match values.iter().position(|v| !v.is_finite()) {
            Some(i) => Err(Error::NotFinite { what: format!("tensor {name}"), place: i.to_string(), value: values[i] }),
            None => Ok(values),
        }
    }

    /// Numbers of exactly this shape, where there are any of this name: files of older versions may lack them.
    ///
    /// # Errors
    /// Another shape, a number that is not finite.
    pub fn single_if_there(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        self.file.shape(&format!("{}.{name}", self.test)).map(|_| self.single(name, shape)).transpose()
    }

    /// A list of exactly `n` finite numbers, where there is one of this name: files of older versions may lack it.
    ///
    /// # Errors
    /// As [`Self::doubles`].
    pub fn doubles_if_there(&self, name: &str, n: usize) -> Result<Option<Vec<f64>>> {
        self.file.shape(&format!("{}.{name}", self.test)).map(|_| self.doubles(name, n)).transpose()
    }

    /// A list of exactly `n` finite numbers in double precision.
    ///
    /// # Errors
    /// As [`Self::double`]; another number of them.
    pub fn doubles(&self, name: &str, n: usize) -> Result<Vec<f64>> {
        let values = self.double(name)?;
        if values.len() == n {
            return Ok(values);
        }
        Err(Error::shape(format!("tensor {}.{name}", self.test), format!("[{n}]"), format!("[{}]", values.len())))
    }
}
