//! Files of PyTorch's `torch.save`, without PyTorch: zip archives with `data.pkl` (since 1.6), and the pickles that were written before.
//!
//! | piece | what |
//! | --- | --- |
//! | [`pickle`] | Python's pickles as data; nothing in them is called |
//! | [`state`] | the tensors of a network among those data: its names, storages and shapes |
//! | [`TorchFile`] | the file: what it holds, and its numbers |
pub mod pickle;
pub mod state;

use crate::error::{Error, Result};
use crate::files::open_regular;
use crate::numbers::decoded;
use pickle::{Broken, Pickle};
use safetensors::Dtype;
use state::{Place, State};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use zip::{CompressionMethod, ZipArchive};

/// Largest pickle that is read: the names and shapes of a network, not its numbers.
const LARGEST_PICKLE: u64 = 100 << 20;

/// The first bytes of a file that `torch.save` wrote before 1.6: the pickle of a number.
pub const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// One file, with what it holds.
#[derive(Debug)]
pub struct TorchFile {
    path: PathBuf,
    state: State,
    storages: Storages,
}

/// Where the numbers lie.
#[derive(Debug)]
enum Storages {
    /// In the archive's entries, named by this prefix and a key.
    Zip(Box<ZipArchive<BufReader<File>>>, String),
    /// At these places of the file, with their lengths in bytes.
    Legacy(File, HashMap<String, (u64, u64)>),
}

/// The numbers of the storage that was read last, which the next tensor may share.
#[derive(Default)]
pub struct Last(Option<(String, Vec<u8>)>);

impl TorchFile {
    /// Reads what the file `path` holds; its numbers stay where they are.
    ///
    /// # Errors
    /// No file of `torch.save`; one with no network, or with several of which none is named as such; tensors of a kind that is not read.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = open_regular(path)?;
        let mut head = [0; 4];
        let zip = matches!(file.read(&mut head), Ok(4)) && head == *b"PK\x03\x04";
        file.seek(SeekFrom::Start(0)).map_err(Error::io("read", path))?;
        if zip { Self::of_zip(path, file) } else { Self::of_pickles(path, file) }
    }

    fn of_zip(path: &Path, file: File) -> Result<Self> {
        let wrong = |expected: &str, found: String| Error::format(path, "zip archive", expected, found);
        let mut zip =
            ZipArchive::new(BufReader::new(file)).map_err(|e| wrong("a whole file of torch.save", e.to_string()))?;
        let prefix = |name: std::borrow::Cow<str>| name.strip_suffix("data.pkl").map(str::to_owned);
        let pickles: Vec<String> = zip.file_names().flatten().filter_map(prefix).collect();
        let [prefix] = &pickles[..] else {
            return Err(wrong("one data.pkl, as torch.save writes", format!("{} of them", pickles.len())));
        };
        let order = entry(path, &mut zip, &format!("{prefix}byteorder"), 16);
        if order.is_ok_and(|order| order != b"little") {
            return Err(Error::format(path, "byteorder", "little", "another"));
        }
        let bytes = entry(path, &mut zip, &format!("{prefix}data.pkl"), LARGEST_PICKLE)?;
        let (pickle, _) = Pickle::read(&bytes).map_err(|broken| told(path, &broken, 0))?;
        let state = State::of(&pickle).map_err(|wrong| wrong.in_file(path))?;
        Ok(Self { path: path.into(), state, storages: Storages::Zip(Box::new(zip), prefix.clone()) })
    }

    /// A number, the protocol, facts of the system, the values, the keys of the storages: five pickles one after the other; then the storages,
    /// each behind its count of numbers.
    fn of_pickles(path: &Path, mut file: File) -> Result<Self> {
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(LARGEST_PICKLE).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        if !bytes.starts_with(LEGACY) {
            let found = "a pickle of something else (its first value is not torch's number)";
            return Err(Error::format(path, "network", "a file of torch.save", found));
        }
        let (mut at, mut last) = (0, Vec::new());
        for _ in 0..5 {
            let (pickle, length) = Pickle::read(&bytes[at..]).map_err(|broken| told(path, &broken, at))?;
            at += length;
            last.push(pickle);
        }
        let (keys, values) = (last.pop().unwrap_or_default(), last.pop().unwrap_or_default());
        let state = State::of(&values).map_err(|wrong| wrong.in_file(path))?;
        let lacking = |found: String| Error::format(path, "storages", "a list of their keys", found);
        let keys = keys.elements(keys.root()).and_then(|all| all.iter().map(|id| keys.text(*id)).collect());
        let keys: Vec<&str> = keys.ok_or_else(|| lacking("another value".into()))?;
        let (mut places, length) = (HashMap::new(), file.metadata().map_err(Error::io("read", path))?.len());
        let mut at = at as u64;
        for key in keys {
            let mut count = [0; 8];
            let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut count));
            read.map_err(Error::io("read", path))?;
            let width = state.width(key).ok_or_else(|| lacking(format!("{key}, which no tensor lies in")))?;
            let size = u64::from_le_bytes(count).checked_mul(width).filter(|size| at + 8 + *size <= length);
            let size = size.ok_or_else(|| lacking(format!("{key}, which goes beyond the file's {length} bytes")))?;
            places.insert(key.to_owned(), (at + 8, size));
            at += 8 + size;
        }
        Ok(Self { path: path.into(), state, storages: Storages::Legacy(file, places) })
    }

    /// What it holds.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Type, shape and bytes of the tensor called `name`, in row-major order. `last` spares a storage that several tensors share from being read
    /// again.
    ///
    /// # Errors
    /// No such tensor; a storage that is missing, compressed, or shorter than its tensors need.
    pub fn raw(&mut self, name: &str, last: &mut Last) -> Result<(Dtype, Vec<usize>, Vec<u8>)> {
        let field = format!("tensor {name}");
        let Some(tensor) = self.state.tensors.iter().find(|t| t.name == name) else {
            return Err(Error::format(&self.path, field, "a tensor", "none any more"));
        };
        let Place { key, dtype, .. } = &tensor.place;
        let bytes = match last.0.take() {
            Some((other, bytes)) if other == *key => bytes,
            _ => self.storages.read(&self.path, key)?,
        };
        let numbers = tensor.place.gathered(&bytes).map_err(|(expected, found)| {
            Error::format(&self.path, format!("{field}, storage {key}"), expected, found)
        })?;
        last.0 = Some((key.clone(), bytes));
        Ok((*dtype, tensor.place.shape().to_vec(), numbers))
    }

    /// The numbers of the tensor called `name`, in row-major order.
    ///
    /// # Errors
    /// As [`Self::raw`]; a tensor of no floats; numbers that are not finite.
    pub fn read(&mut self, name: &str, last: &mut Last) -> Result<Vec<f32>> {
        let (dtype, _, bytes) = self.raw(name, last)?;
        decoded(&self.path, name, dtype, &bytes)
    }
}

impl Storages {
    fn read(&mut self, path: &Path, key: &str) -> Result<Vec<u8>> {
        match self {
            Self::Zip(zip, prefix) => entry(path, zip, &format!("{prefix}data/{key}"), u64::MAX),
            Self::Legacy(file, places) => {
                let missing = || Error::format(path, format!("storage {key}"), "its numbers", "none");
                let (at, size) = places.get(key).ok_or_else(missing)?;
                file.seek(SeekFrom::Start(*at)).map_err(Error::io("read", path))?;
                let mut bytes = Vec::new();
                file.take(*size).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
                Ok(bytes)
            }
        }
    }
}

/// An entry of the archive, stored as it is and no larger than the file says.
fn entry(path: &Path, zip: &mut ZipArchive<BufReader<File>>, name: &str, limit: u64) -> Result<Vec<u8>> {
    let field = format!("entry {name}");
    let mut entry = zip.by_name(name).map_err(|e| Error::format(path, &field, "an entry of the archive", e))?;
    if entry.compression() != CompressionMethod::Stored || entry.size() > limit {
        let found = format!("{} bytes, {:?}", entry.size(), entry.compression());
        return Err(Error::format(path, field, format!("at most {limit} bytes, stored without compression"), found));
    }
    // What is stored is in the file: its size cannot ask for more memory than the file has bytes.
    let (size, mut bytes) = (entry.size(), Vec::new());
    // One byte more is asked for than there can be: the checksum is compared at the end.
    let read = Read::by_ref(&mut entry).take(size.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|e| Error::format(path, &field, "bytes that agree with their checksum", e))?;
    Ok(bytes)
}

fn told(path: &Path, broken: &Broken, before: usize) -> Error {
    let field = format!("pickle, byte {}", before + broken.at);
    Error::format(path, field, "values as torch.save writes them", &broken.found)
}
