//! [`TensorFile`]: tensors of a file that is too large to be held beside what is made of it.
use crate::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use thalweg_nets::checksum;

/// Bytes that are read together.
const PIECE: usize = 1 << 18;

/// Larger headers are refused, as the format's own library does.
const LARGEST: u64 = 100_000_000;

/// Tensors of a file with a checksum, each read from where it lies, in pieces, to where it belongs.
pub struct TensorFile<'a> {
    path: &'a Path,
    file: Mutex<File>,
    metadata: Metadata,
    /// Where the data begin.
    start: u64,
}

impl<'a> TensorFile<'a> {
    /// Reads the header of the file at `path` and compares the checksum, which takes one pass over the file.
    ///
    /// # Errors
    /// No safetensors file; one that lies about its length or has changed since it was written.
    pub fn open(path: &'a Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io("read", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let wrong = |found: String| Error::format(path, "header", "a safetensors header", found);
        let mut prefix = [0; 8];
        if length < 8 {
            return Err(wrong(format!("{length} bytes")));
        }
        file.read_exact(&mut prefix).map_err(Error::io("read", path))?;
        let n = u64::from_le_bytes(prefix);
        if n > LARGEST || n > length - 8 {
            return Err(wrong(format!("one of {n} bytes in a file of {length}")));
        }
        let mut text = vec![0; n as usize];
        file.read_exact(&mut text).map_err(Error::io("read", path))?;
        let metadata: Metadata = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
        let whole = (metadata.data_len() as u64).checked_add(8 + n);
        if whole != Some(length) {
            return Err(wrong(format!("tensors that do not fill the file's {length} bytes")));
        }
        checksum::check_file(path, 8 + n)?;
        Ok(Self { path, file: Mutex::new(file), metadata, start: 8 + n })
    }

    /// The shape of a tensor; none where there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.metadata.info(name).map(|info| info.shape.clone())
    }

    /// The finite f32 numbers of a tensor of exactly this shape.
    ///
    /// # Errors
    /// No such tensor, another shape or type, a number that is not finite.
    pub fn single(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let at = self.place(name, shape)?;
        let mut out = vec![0.0; shape.iter().product()];
        self.read(name, at, &mut out).map(|()| out)
    }

    /// The same, to where they belong.
    ///
    /// # Errors
    /// As [`Self::single`].
    pub fn single_into(&self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<()> {
        let at = self.place(name, shape)?;
        if shape.iter().product::<usize>() != out.len() {
            return Err(Error::shape(format!("tensor {name}"), format!("{shape:?}"), format!("[{}]", out.len())));
        }
        self.read(name, at, out)
    }

    fn place(&self, name: &str, shape: &[usize]) -> Result<u64> {
        let wrong =
            |expected: String, found: String| Error::format(self.path, format!("tensor {name}"), expected, found);
        match self.metadata.info(name) {
            None => Err(wrong(format!("shape {shape:?}"), "no such tensor".into())),
            Some(info) if info.shape == shape && info.dtype == Dtype::F32 => {
                Ok(self.start + info.data_offsets.0 as u64)
            }
            Some(info) => {
                Err(wrong(format!("shape {shape:?} of F32"), format!("shape {:?} of {:?}", info.shape, info.dtype)))
            }
        }
    }

    fn read(&self, name: &str, at: u64, out: &mut [f32]) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at)).map_err(Error::io("read", self.path))?;
        let mut bytes = vec![0; PIECE];
        let mut first = 0;
        for piece in out.chunks_mut(PIECE / 4) {
            let bytes = &mut bytes[..4 * piece.len()];
            file.read_exact(bytes).map_err(Error::io("read", self.path))?;
            piece.iter_mut().zip(bytes.as_chunks::<4>().0).for_each(|(value, b)| *value = f32::from_le_bytes(*b));
            if let Some(i) = piece.iter().position(|v| !v.is_finite()) {
                let field = format!("tensor {name}, index {}", first + i);
                return Err(Error::format(self.path, field, "a finite number", piece[i]));
            }
            first += piece.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors::TensorWriter;

    #[test]
    fn tensors_are_read_as_they_were_written_and_what_is_wrong_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let values: Vec<f32> = (0..150_000).map(|i| i as f32 * 0.5).collect();
        let mut out = TensorWriter::default();
        out.single("a", &[3, 50_000], &values);
        out.double("b", &[1], &[f64::NAN]);
        out.single("c", &[2], &[1.0, f32::INFINITY]);
        out.write_state(&path).unwrap();
        let file = TensorFile::open(&path).unwrap();
        assert_eq!(file.single("a", &[3, 50_000]).unwrap(), values);
        let mut into = vec![0.0; 150_000];
        file.single_into("a", &[3, 50_000], &mut into).unwrap();
        assert!(into == values && file.shape("b") == Some(vec![1]) && file.shape("d").is_none());
        let said = |name: &str, shape: &[usize]| file.single(name, shape).unwrap_err().to_string();
        assert!(said("a", &[2]).contains("tensor a: expected shape [2] of F32, found shape [3, 50000] of F32"));
        assert!(said("b", &[1]).contains("of F64") && said("d", &[1]).contains("no such tensor"));
        assert!(said("c", &[2]).contains("tensor c, index 1: expected a finite number, found inf"));
        assert!(file.single_into("a", &[3, 50_000], &mut into[1..]).is_err());
        let whole = std::fs::read(&path).unwrap();
        let opened = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            TensorFile::open(&path).err().unwrap().to_string()
        };
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(opened(&flipped).contains("checksum"));
        for cut in [0, 7, 8, 40, whole.len() - 1] {
            assert!(opened(&whole[..cut]).contains("header"), "{cut}");
        }
    }
}
