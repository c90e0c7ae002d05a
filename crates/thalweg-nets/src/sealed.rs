//! Safetensors files of our own: as the format's library lays them, with a [`checksum`] in the header.
//!
//! The library writes the words of a header in another order each time, so the header is written here, with words in the order of their keys: the same
//! tensors and words are the same bytes.
use crate::checksum;
use crate::error::{Error, Result};
use crate::files::{self, part_of};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo, View};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The bytes of a file with these tensors and these `words` in its header. Tensors lie by falling alignment of their types, then by name.
///
/// # Errors
/// Numbers that do not fill their shape, or names that are not unique.
pub fn serialise<S: AsRef<str>, V: View>(
    tensors: impl IntoIterator<Item = (S, V)>,
    words: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut bytes = plain(tensors, &with_checksum(words))?;
    checksum::seal(&mut bytes)?;
    Ok(bytes)
}

/// As [`serialise`], without a checksum: a file for other programs.
///
/// # Errors
/// As [`serialise`].
pub fn plain<S: AsRef<str>, V: View>(
    tensors: impl IntoIterator<Item = (S, V)>,
    words: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut tensors: Vec<(S, V)> = tensors.into_iter().collect();
    tensors.sort_by(|(a, left), (b, right)| right.dtype().cmp(&left.dtype()).then(a.as_ref().cmp(b.as_ref())));
    let described =
        tensors.iter().map(|(name, tensor)| (name.as_ref(), tensor.dtype(), tensor.shape(), tensor.data_len()));
    let (mut bytes, end) = head(described, words)?;
    bytes.reserve_exact(end);
    tensors.iter().for_each(|(_, tensor)| bytes.extend_from_slice(&tensor.data()));
    Ok(bytes)
}

/// What the header of a file for PyTorch says: Hugging Face's readers refuse a file without it.
pub fn pytorch_words() -> BTreeMap<String, String> {
    BTreeMap::from([("format".into(), "pt".into())])
}

/// `words` and room for a checksum.
fn with_checksum(words: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut words = words.clone();
    words.insert(checksum::WORD.into(), checksum::blank());
    words
}

/// A file's bytes before its data, and how many bytes of data follow; `tensors` (name, type, shape, bytes) in the order in which they lie.
fn head<'a>(
    tensors: impl Iterator<Item = (&'a str, Dtype, &'a [usize], usize)>,
    words: &BTreeMap<String, String>,
) -> Result<(Vec<u8>, usize)> {
    let wrong = |e| Error::parameter("tensors", "numbers that fit their shapes, under names that are unique", e);
    let mut header = format!("{{\"__metadata__\":{}", json(words)?);
    let mut end = 0;
    for (name, dtype, shape, length) in tensors {
        let start = end;
        end += length;
        let info = TensorInfo { dtype, shape: shape.to_vec(), data_offsets: (start, end) };
        header += &format!(",{}:{}", json(name)?, json(&info)?);
    }
    header.push('}');
    // What the library would not read is not written.
    serde_json::from_str::<Metadata>(&header).map_err(wrong)?;
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut bytes = Vec::with_capacity(8 + header.len());
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    Ok((bytes, end))
}

/// A file of ours that is written piece by piece, in any order: the bytes are those of [`serialise`], and no more than a piece of them is ever
/// held. The file appears when it is finished, whole; one that is dropped before leaves nothing.
#[derive(Debug)]
pub struct SealedFile {
    path: PathBuf,
    /// The name under which it is written.
    part: PathBuf,
    file: File,
    /// Name, type, first byte and byte after the last of every tensor.
    places: Vec<(String, Dtype, u64, u64)>,
    /// Bytes before the data.
    head: u64,
    /// Room for the bytes of a piece.
    bytes: Vec<u8>,
    finished: bool,
}

/// Numbers that are turned into bytes together.
const PIECE: usize = 1 << 16;

impl SealedFile {
    /// Begins the file `path` with tensors of these names, types and shapes, and these words.
    ///
    /// # Errors
    /// Names that are not unique; sizes beyond 64 bits; whatever the system refuses.
    pub fn begin(
        path: &Path,
        tensors: Vec<(String, Dtype, Vec<usize>)>,
        words: &BTreeMap<String, String>,
    ) -> Result<Self> {
        Self::begin_as(path, part_of(path), tensors, words)
    }

    /// As [`Self::begin`], for a file that other processes may be writing at the same time ([`files::write_among_others`]).
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_among_others(
        path: &Path,
        tensors: Vec<(String, Dtype, Vec<usize>)>,
        words: &BTreeMap<String, String>,
    ) -> Result<Self> {
        Self::begin_as(path, files::own_part_of(path), tensors, words)
    }

    fn begin_as(
        path: &Path,
        part: PathBuf,
        mut tensors: Vec<(String, Dtype, Vec<usize>)>,
        words: &BTreeMap<String, String>,
    ) -> Result<Self> {
        tensors.sort_by(|(a, left, _), (b, right, _)| right.cmp(left).then(a.cmp(b)));
        let mut lengths = Vec::with_capacity(tensors.len());
        for (name, dtype, shape) in &tensors {
            let length = shape.iter().try_fold(dtype.bitsize() / 8, |n, &size| n.checked_mul(size));
            let beyond = || Error::parameter(format!("tensor {name}"), "fewer than 2^64 bytes", format!("{shape:?}"));
            lengths.push(length.ok_or_else(beyond)?);
        }
        let described =
            tensors.iter().zip(&lengths).map(|((name, dtype, shape), n)| (name.as_str(), *dtype, &shape[..], *n));
        let (head, end) = head(described, &with_checksum(words))?;
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&part);
        let mut file = file.map_err(Error::io("write", path))?;
        let sized = file.write_all(&head).and_then(|()| file.set_len((head.len() + end) as u64));
        let (mut places, mut at) = (Vec::with_capacity(tensors.len()), head.len() as u64);
        for ((name, dtype, _), length) in tensors.into_iter().zip(lengths) {
            places.push((name, dtype, at, at + length as u64));
            at += length as u64;
        }
        let begun =
            Self { path: path.into(), part, file, places, head: head.len() as u64, bytes: Vec::new(), finished: false };
        sized.map_err(Error::io("write", path)).map(|()| begun)
    }

    /// Writes numbers of the tensor `name`, from its number `first` on.
    ///
    /// # Errors
    /// No such tensor in single precision, numbers beyond its end, whatever the system refuses.
    pub fn single(&mut self, name: &str, first: usize, values: &[f32]) -> Result<()> {
        self.seek(name, Dtype::F32, first, values.len())?;
        for piece in values.chunks(PIECE) {
            self.bytes.resize(4 * piece.len(), 0);
            put_bytes(piece, &mut self.bytes);
            self.file.write_all(&self.bytes).map_err(Error::io("write", &self.path))?;
        }
        Ok(())
    }

    /// Writes all bytes of the tensor `name`.
    ///
    /// # Errors
    /// As [`Self::single`].
    pub fn whole(&mut self, name: &str, dtype: Dtype, bytes: &[u8]) -> Result<()> {
        self.seek(name, dtype, 0, bytes.len() / (dtype.bitsize() / 8))?;
        self.file.write_all(bytes).map_err(Error::io("write", &self.path))
    }

    fn seek(&mut self, name: &str, dtype: Dtype, first: usize, count: usize) -> Result<()> {
        let each = (dtype.bitsize() / 8) as u64;
        let place = self.places.iter().find(|place| place.0 == name && place.1 == dtype);
        let at = place.map(|(_, _, start, end)| (start + each * first as u64, *end));
        match at.filter(|(at, end)| at + each * count as u64 <= *end) {
            Some((at, _)) => self.file.seek(SeekFrom::Start(at)).map(drop).map_err(Error::io("write", &self.path)),
            None => {
                let found = format!("{count} numbers of {dtype:?} from {first} on");
                Err(Error::parameter(format!("tensor {name}"), "numbers within its shape", found))
            }
        }
    }

    /// Writes the checksum and gives the file its name.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn finish(mut self) -> Result<()> {
        checksum::seal_file(&mut self.file, &self.path, self.head)?;
        self.file.sync_all().map_err(Error::io("write", &self.path))?;
        fs::rename(&self.part, &self.path).map_err(Error::io("rename", &self.path))?;
        self.finished = true;
        files::sync_folder(&self.path)
    }
}

impl Drop for SealedFile {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the error that ended the work is the one that tells the user something.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Puts `values` as little-endian bytes to `out`, four for each.
pub(crate) fn put_bytes(values: &[f32], out: &mut [u8]) {
    for (bytes, value) in out.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
}

fn json(value: &(impl serde::Serialize + ?Sized)) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::parameter("header", "what JSON can hold", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::{Dtype, SafeTensors, tensor::TensorView};
    use std::path::Path;

    const DATA: [u8; 40] = [7; 40];

    fn tensors() -> Vec<(&'static str, TensorView<'static>)> {
        let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), &DATA[..bytes]).unwrap();
        vec![
            ("b \"quoted\"", view(Dtype::F32, &[2, 3], 24)),
            ("a", view(Dtype::F32, &[1], 4)),
            ("z", view(Dtype::F64, &[5], 40)),
            ("none", view(Dtype::I64, &[0], 0)),
        ]
    }

    #[test]
    fn files_are_those_of_the_library_with_words_in_order() {
        // With one word there is one order, and the library's own bytes are to be met.
        let ours = serialise(tensors(), &BTreeMap::new()).unwrap();
        let word = [(checksum::WORD.to_owned(), checksum::blank())].into();
        let mut theirs = safetensors::serialize(tensors(), Some(word)).unwrap();
        checksum::seal(&mut theirs).unwrap();
        assert!(ours == theirs);
        let words = [("grün", "\"quoted\"\n"), ("format", "x 1"), ("zoo", ""), ("architecture", "a = 1")];
        let words = words.map(|(key, word)| (key.to_owned(), word.to_owned())).into();
        let bytes = serialise(tensors(), &words).unwrap();
        checksum::check(Path::new("x"), &bytes).unwrap();
        let (_, read) = SafeTensors::read_metadata(&bytes).unwrap();
        let read = read.metadata().clone().unwrap();
        assert!(read.len() == 5 && words.iter().all(|(key, word)| read[key] == *word));
        // Golden: files must never change between versions.
        assert_eq!(&blake3::hash(&bytes).to_hex()[..16], "94b8d47c164e84d3");
    }

    #[test]
    fn files_written_in_pieces_have_the_bytes_of_those_written_whole_and_appear_when_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let values: Vec<f32> = (0..70_000).map(|i| i as f32 * 0.37).collect();
        let singles: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let words: Vec<u8> = (0..16).collect();
        let kept = [("zoo".to_owned(), "an \"id\"".to_owned())].into();
        let view = |dtype, shape: Vec<usize>, bytes| TensorView::new(dtype, shape, bytes).unwrap();
        let whole = serialise(
            [
                ("theta", view(Dtype::F32, vec![7, 10_000], &singles[..])),
                ("run", view(Dtype::I64, vec![2], &words[..])),
            ],
            &kept,
        );
        let tensors = || vec![("theta".into(), Dtype::F32, vec![7, 10_000]), ("run".into(), Dtype::I64, vec![2])];
        let mut file = SealedFile::begin(&path, tensors(), &kept).unwrap();
        for row in [3, 0, 6, 1, 2, 5, 4] {
            file.single("theta", row * 10_000, &values[row * 10_000..][..10_000]).unwrap();
        }
        file.whole("run", Dtype::I64, &words).unwrap();
        for (name, first) in [("theta", 69_999), ("run", 0), ("none", 0)] {
            let said = file.single(name, first, &[0.0, 0.0]).unwrap_err().to_string();
            assert!(said.contains(&format!("tensor {name}")), "{said}");
        }
        assert!(!path.exists());
        file.finish().unwrap();
        assert!(std::fs::read(&path).unwrap() == whole.unwrap());
        drop(SealedFile::begin(&path, tensors(), &kept).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "what is not finished leaves nothing");
    }

    #[test]
    fn what_the_library_would_not_read_is_refused() {
        let twice = || tensors().into_iter().chain(tensors().into_iter().take(1));
        let message = serialise(twice(), &BTreeMap::new()).unwrap_err().to_string();
        assert!(message.contains("unique"), "{message}");
    }
}
