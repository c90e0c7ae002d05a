//! The header of a safetensors file, read and checked without its data: files from outside may be huge or lie.
use crate::error::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Larger headers are refused, as the format's own library does.
const LARGEST: u64 = 100_000_000;

/// What a safetensors file says that it holds; sizes agree with the file's length.
#[derive(Debug)]
pub(crate) struct Header {
    metadata: Metadata,
    /// Where the data begin in the file.
    start: u64,
}

impl Header {
    /// Reads the header of `path`.
    ///
    /// # Errors
    /// A file too short for its header or its data, a header that is no valid JSON, tensors that overlap or leave gaps.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io("read", path))?;
        let len = file.metadata().map_err(Error::io("read", path))?.len();
        let wrong = |expected: String, found: String| Err(Error::format(path, "safetensors header", expected, found));
        let mut prefix = [0; 8];
        if len < 8 {
            return wrong("a file of at least 8 bytes".into(), format!("{len} bytes"));
        }
        file.read_exact(&mut prefix).map_err(Error::io("read", path))?;
        let n = u64::from_le_bytes(prefix);
        if n > LARGEST || n > len - 8 {
            return wrong(format!("a header within the file's {len} bytes"), format!("a header of {n} bytes"));
        }
        let mut text = vec![0; n as usize];
        file.read_exact(&mut text).map_err(Error::io("read", path))?;
        let metadata: Metadata = match serde_json::from_slice(&text) {
            Ok(metadata) => metadata,
            Err(e) => return wrong("valid JSON with tensors side by side".into(), e.to_string()),
        };
        let whole = (metadata.data_len() as u64).checked_add(8 + n);
        if whole != Some(len) {
            let expected = whole.map_or("sizes below 2^64".into(), |w| format!("{w} bytes by its header"));
            return Err(Error::format(path, "file size", expected, format!("{len} bytes")));
        }
        Ok(Self { metadata, start: 8 + n })
    }

    /// Where the data begin in the file.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Names of the tensors in the order of the file.
    pub(crate) fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// What the header says of tensor `name`.
    pub(crate) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    /// A word that the writer left under `key`.
    pub(crate) fn word(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// All words that the writer left.
    pub(crate) fn words(&self) -> BTreeMap<String, String> {
        self.metadata.metadata().clone().unwrap_or_default().into_iter().collect()
    }

    /// Where in the file tensor `name` begins, after checking its type and shape.
    ///
    /// # Errors
    /// A tensor that is missing, or of another type or shape.
    pub(crate) fn expect(&self, path: &Path, name: &str, dtype: Dtype, shape: &[usize]) -> Result<u64> {
        let expected = format!("{dtype:?} {shape:?}");
        match self.info(name) {
            Some(info) if info.dtype == dtype && info.shape == shape => Ok(self.start + info.data_offsets.0 as u64),
            other => {
                let found = other.map_or("no such tensor".into(), |i| format!("{:?} {:?}", i.dtype, i.shape));
                Err(Error::format(path, format!("tensor {name}"), expected, found))
            }
        }
    }
}
