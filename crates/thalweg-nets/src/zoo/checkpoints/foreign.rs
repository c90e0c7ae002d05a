//! Files of weights in other formats than safetensors: recognised by what they hold rather than by what they are called. PyTorch's own are read
//! ([`super::pytorch`]); others are refused.
use super::pytorch::LEGACY;
use crate::error::{Error, Result};
use crate::files::open_regular;
use std::io::Read;
use std::path::Path;

/// What a file that is no safetensors file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// `torch.save`: a zip archive with `data.pkl`.
    TorchZip,
    /// A pickle, as `torch.save` wrote before PyTorch 1.6, or any other.
    Pickle,
    /// HDF5, as Keras writes.
    Hdf5,
    /// NumPy's arrays.
    NumPy,
    /// GGUF.
    Gguf,
    /// A zip archive whose end is missing or damaged.
    CutZip,
    /// A zip archive of something else.
    Zip,
    /// Compressed by gzip.
    Gzip,
    /// The pointer that Git LFS leaves in the place of a file.
    LfsPointer,
    /// Text: HTML, JSON and the like.
    Text,
    /// Nothing.
    Empty,
}

/// Endings of files of weights in other formats.
const ENDINGS: [&str; 14] =
    ["pt", "pth", "bin", "ckpt", "pkl", "pickle", "h5", "hdf5", "keras", "npz", "npy", "onnx", "gguf", "msgpack"];

/// Whether a file's name ends as those of files of weights in other formats do.
pub fn named_as_weights(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

impl Foreign {
    /// What `path` holds, where its first bytes say that it is something known and no safetensors file.
    ///
    /// # Errors
    /// A file that cannot be read, or is none.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let mut file = open_regular(path)?;
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(64).read_to_end(&mut head).map_err(Error::io("read", path))?;
        // A safetensors file begins with the length of its header and `{`.
        if head.len() > 8 && head[8] == b'{' && !head.starts_with(b"PK") {
            return Ok(None);
        }
        Ok(match &head[..] {
            [] => Some(Self::Empty),
            [b'P', b'K', 3, 4, ..] => Some(of_zip(path)),
            [0x80, 2..=5, ..] => Some(Self::Pickle),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            _ if head.starts_with(b"\x89HDF\r\n\x1a\n") => Some(Self::Hdf5),
            _ if head.starts_with(b"\x93NUMPY") => Some(Self::NumPy),
            _ if head.starts_with(b"GGUF") => Some(Self::Gguf),
            _ if head.starts_with(b"version https://git-lfs") => Some(Self::LfsPointer),
            _ if head.len() >= 8 && head.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) => {
                Some(Self::Text)
            }
            _ => None,
        })
    }

    /// In words.
    pub fn what(self) -> &'static str {
        match self {
            Self::TorchZip => "a file of PyTorch's torch.save (a zip archive with data.pkl)",
            Self::Pickle => "a pickle of Python",
            Self::Hdf5 => "an HDF5 file, as Keras writes",
            Self::NumPy => "arrays of NumPy",
            Self::Gguf => "a GGUF file",
            Self::Zip => "a zip archive",
            Self::CutZip => {
                "a zip archive whose end is missing or damaged (a file cut short, as by a copy or a save that broke off)"
            }
            Self::Gzip => "a file compressed by gzip (unpack it first)",
            Self::LfsPointer => "a pointer of Git LFS in the place of the file (git lfs pull fetches it)",
            Self::Text => "text (perhaps a web page in the place of a download)",
            Self::Empty => "an empty file",
        }
    }

    /// The error that refuses `path`.
    pub fn refuse(self, path: &Path) -> Error {
        Error::format(path, "network", "a file of safetensors, or of PyTorch's torch.save", self.what())
    }
}

/// Whether `path` is called and begins as a file of `torch.save`.
pub fn is_torch(path: &Path) -> bool {
    let begins = |start: &[u8]| {
        let mut head = Vec::new();
        open_regular(path).is_ok_and(|file| file.take(start.len() as u64).read_to_end(&mut head).is_ok())
            && head == start
    };
    named_as_weights(path)
        && match Foreign::of(path) {
            Ok(Some(Foreign::TorchZip)) => true,
            Ok(Some(Foreign::Pickle)) => begins(LEGACY),
            _ => false,
        }
}

fn of_zip(path: &Path) -> Foreign {
    // The list of an archive's files stands at its end.
    let Some(archive) = open_regular(path).ok().map(zip::ZipArchive::new) else { return Foreign::Zip };
    let Ok(archive) = archive else { return Foreign::CutZip };
    let holds = |ending: &str| archive.file_names().flatten().any(|name| name.ends_with(ending));
    match () {
        () if holds("data.pkl") => Foreign::TorchZip,
        () if holds(".npy") => Foreign::NumPy,
        () if holds(".h5") => Foreign::Hdf5,
        () => Foreign::Zip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn formats_are_told_by_their_content_whatever_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a net.safetensors");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        zip.start_file("archive/data.pkl", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"\x80\x02}.").unwrap();
        zip.finish().unwrap();
        assert_eq!(Foreign::of(&path).unwrap(), Some(Foreign::TorchZip));
        assert!(!is_torch(&path), "by its name it is another file");
        let named = dir.path().join("net.pt");
        fs::copy(&path, &named).unwrap();
        assert!(is_torch(&named));
        let whole = fs::read(&named).unwrap();
        fs::write(&named, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(Foreign::of(&named).unwrap(), Some(Foreign::CutZip));
        let said = Foreign::Gguf.refuse(&path).to_string();
        assert!(said.contains("safetensors") && said.contains("a GGUF file"), "{said}");
        for (bytes, what) in [
            (&b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02"[..], Some(Foreign::Pickle)),
            (b"\x89HDF\r\n\x1a\n....", Some(Foreign::Hdf5)),
            (b"GGUF\x03\0\0\0....", Some(Foreign::Gguf)),
            (b"version https://git-lfs.github.com/spec/v1\n", Some(Foreign::LfsPointer)),
            (b"<!DOCTYPE html><html>", Some(Foreign::Text)),
            (b"", Some(Foreign::Empty)),
            (b"\x02\0\0\0\0\0\0\0{}", None),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(Foreign::of(&path).unwrap(), what);
        }
        assert!(named_as_weights(Path::new("a/b.PT")) && !named_as_weights(Path::new("a/b.safetensors")));
    }
}
