//! Named tensors with string metadata, in one safetensors file: models, samples, states of fits and tunings, calibrations.
//!
//! [`TensorWriter`] collects and serialises; [`TensorReader`] reads back what it is asked for, with name, shape and type checked and every number finite
//! (but for f64, whose NaNs mean something to their owners); [`TensorFile`] reads large files tensor by tensor. Every such file carries a checksum, which is compared as soon as it is opened.
mod file;

pub use file::TensorFile;

use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;
use std::path::Path;
use thalweg_nets::sealed::SealedFile;
use thalweg_nets::{checksum, layout, sealed};

/// In the identity of work, what comes before the name of what evaluates networks, where that is not the engine.
pub(crate) const BY: &str = " by ";

/// Tensors about to be written.
#[derive(Default)]
pub struct TensorWriter {
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
    words: BTreeMap<String, String>,
}

impl TensorWriter {
    /// Adds numbers of this shape in single precision.
    pub fn single(&mut self, name: impl Into<String>, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.push((name.into(), Dtype::F32, shape.to_vec(), bytes));
    }

    /// Adds numbers of this shape in double precision.
    pub fn double(&mut self, name: impl Into<String>, shape: &[usize], values: &[f64]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.push((name.into(), Dtype::F64, shape.to_vec(), bytes));
    }

    /// Adds a word to the header.
    pub fn word(&mut self, key: &str, value: impl ToString) {
        self.words.insert(key.into(), value.to_string());
    }

    /// The file's bytes: a function of what was added, words in the order of their keys, a [`checksum`] among them.
    ///
    /// # Errors
    /// Numbers that do not fill their shape, or names that are not unique.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let wrong = |e| Error::parameter("tensors", "numbers that fit their shapes", e);
        let views = self.tensors.iter().map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        sealed::serialise(views.collect::<Result<Vec<_>, _>>().map_err(wrong)?, &self.words)
    }

    /// Writes the file, whole or not at all, into a folder that is made if it is not there.
    ///
    /// # Errors
    /// As [`Self::bytes`], or whatever the system refuses.
    pub fn write_state(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        self.write_with(path, &[])
    }

    /// Writes the file, whole or not at all, with `large` tensors in single precision beside those that were added: they are written from where they
    /// lie, piece by piece.
    ///
    /// # Errors
    /// As [`Self::bytes`], or whatever the system refuses.
    pub fn write_with(&self, path: &Path, large: &[Large<'_>]) -> Result<()> {
        let own = self.tensors.iter().map(|(name, dtype, shape, _)| (name.clone(), *dtype, shape.clone()));
        let all = own.chain(large.iter().map(|(name, shape, _)| (name.clone(), Dtype::F32, shape.clone())));
        let mut file = SealedFile::begin(path, all.collect(), &self.words)?;
        for (name, dtype, shape, bytes) in &self.tensors {
            full(name, shape, bytes.len() * 8 / dtype.bitsize())?;
            file.whole(name, *dtype, bytes)?;
        }
        for (name, shape, values) in large {
            full(name, shape, values.len())?;
            file.single(name, 0, values)?;
        }
        file.finish()
    }
}

/// A tensor in single precision that stays where it lies: name, shape, numbers.
pub type Large<'a> = (String, Vec<usize>, &'a [f32]);

fn full(name: &str, shape: &[usize], found: usize) -> Result<()> {
    match shape.iter().product::<usize>() == found {
        true => Ok(()),
        false => Err(Error::parameter(format!("tensors, {name}"), "numbers that fit their shapes", found)),
    }
}

/// Tensors under reading.
pub struct TensorReader<'a> {
    path: &'a Path,
    file: SafeTensors<'a>,
    words: BTreeMap<String, String>,
}

impl<'a> TensorReader<'a> {
    /// Reads the header of `bytes`, the content of `path`, and compares the checksum.
    ///
    /// # Errors
    /// Bytes that are no safetensors file, or that have changed since they were written.
    pub fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let read = Self::unchecked(path, bytes)?;
        checksum::check(path, bytes)?;
        Ok(read)
    }

    /// As [`Self::open`], for a file that may have been written by another program: one without a checksum is taken as it is, unless it names a format
    /// of ours.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_any(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let read = Self::unchecked(path, bytes)?;
        if checksum::is_sealed(bytes) || read.word("format").starts_with("thalweg ") {
            checksum::check(path, bytes)?;
        }
        Ok(read)
    }

    fn unchecked(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let file = layout::open(path, bytes)?;
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|e| Error::format(path, "header", "a safetensors header", e))?;
        Ok(Self { path, file, words: header.metadata().clone().unwrap_or_default().into_iter().collect() })
    }

    /// A word of the header; empty where it is not there.
    pub fn word(&self, key: &str) -> &str {
        self.words.get(key).map_or("", String::as_str)
    }

    /// A number of the header.
    ///
    /// # Errors
    /// None there.
    pub fn number(&self, key: &str) -> Result<f64> {
        self.word(key).parse().map_err(|_| Error::format(self.path, key, "a number", self.word(key)))
    }

    /// Checks that this is the state of the work that names itself `identity`; `whose` says in words what that would be.
    ///
    /// # Errors
    /// The state of another.
    pub fn check_identity(&self, identity: &str, whose: &str) -> Result<()> {
        let own = self.word("identity");
        if own == identity {
            return Ok(());
        }
        // The same work but for what evaluates its networks?
        let (wanted, found) = match (identity.split_once(BY), own.split_once(BY)) {
            (Some((work, by)), Some((same, other))) if work == same => {
                (format!("{whose} with networks by {by}"), format!("that with networks by {other}"))
            }
            _ => (whose.to_owned(), "that of another".to_owned()),
        };
        Err(Error::OtherState { path: self.path.to_path_buf(), work: wanted, found })
    }

    /// The shape of a tensor; none where there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.file.tensor(name).ok().map(|view| view.shape().to_vec())
    }

    fn view(&self, name: &str, expected: &str) -> Result<TensorView<'_>> {
        let missing = |_| Error::format(self.path, format!("tensor {name}"), expected, "no such tensor");
        self.file.tensor(name).map_err(missing)
    }

    /// The finite f32 numbers of a tensor of exactly this shape.
    ///
    /// # Errors
    /// No such tensor, another shape or type, a number that is not finite.
    pub fn single(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let view = self.view(name, &format!("shape {shape:?}"))?;
        if view.shape() != shape || view.dtype() != Dtype::F32 {
            let found = format!("shape {:?} of {:?}", view.shape(), view.dtype());
            return Err(Error::format(self.path, format!("tensor {name}"), format!("shape {shape:?} of F32"), found));
        }
        layout::floats(self.path, name, &view)
    }

    /// The shape and the finite numbers of a tensor of any float type.
    ///
    /// # Errors
    /// No such tensor, no floats, a number that is not finite.
    pub fn any(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let view = self.view(name, "a tensor")?;
        Ok((view.shape().to_vec(), layout::floats(self.path, name, &view)?))
    }

    /// The f64 numbers of a tensor of any shape, NaNs among them.
    ///
    /// # Errors
    /// No such tensor, or another type.
    pub fn double(&self, name: &str) -> Result<Vec<f64>> {
        let view = self.view(name, "numbers in F64")?;
        match view.dtype() {
            Dtype::F64 => Ok(view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()),
            other => Err(Error::format(self.path, format!("tensor {name}"), "numbers in F64", format!("{other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_was_not_is_named() {
        let mut out = TensorWriter::default();
        out.single("a", &[2, 1], &[1.5, -2.0]);
        out.double("b", &[2], &[f64::NAN, 3.0]);
        out.word("step", 7);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/state");
        out.write_state(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let read = TensorReader::open(&path, &bytes).unwrap();
        assert_eq!(read.single("a", &[2, 1]).unwrap(), [1.5, -2.0]);
        assert_eq!(read.any("a").unwrap(), (vec![2, 1], vec![1.5, -2.0]));
        assert!(read.double("b").unwrap()[0].is_nan() && read.number("step").unwrap() == 7.0);
        // The library's own order of the words is another each time: with four of them, six equal files are no accident.
        for (key, value) in [("a", "\"quoted\""), ("z", "grün\n"), ("m", "")] {
            out.word(key, value);
        }
        let bytes = out.bytes().unwrap();
        assert!((0..5).all(|_| out.bytes().unwrap() == bytes));
        let words = TensorReader::open(&path, &bytes).unwrap();
        assert_eq!([words.word("a"), words.word("z"), words.word("step")], ["\"quoted\"", "grün\n", "7"]);
        let said = |e: Option<Error>| e.unwrap().to_string();
        assert!(said(read.single("a", &[2]).err()).contains("tensor a"));
        assert!(said(read.single("c", &[2]).err()).contains("no such tensor"));
        assert!(said(read.double("a").err()).contains("F64"));
        assert!(said(read.number("stop").err()).contains("stop"));
        assert!(said(read.check_identity("x", "fit").err()).contains("this very fit"));
        assert!(TensorReader::open(&path, b"no").is_err());
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(said(TensorReader::open(&path, &damaged).err()).contains("checksum"));
        let rows: (String, Vec<usize>, &[f32]) = ("large".into(), vec![2, 2], &[1.0, 2.0, 3.0, 4.0]);
        out.write_with(&path, std::slice::from_ref(&rows)).unwrap();
        let written = std::fs::read(&path).unwrap();
        out.single("large", &[2, 2], rows.2);
        assert!(out.bytes().unwrap() == written, "the bytes of a file that is made in memory");
        out.single("d", &[3], &[0.0]);
        assert!(said(out.write_with(&path, &[]).err()).contains("fit their shapes"));
        assert!(said(out.bytes().err()).contains("fit their shapes"));
    }
}
