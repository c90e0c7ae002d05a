//! BLAKE3 checksums inside of the files that Thalweg writes, so that damage is found when a file is read and not by its consequences.
//!
//! A safetensors file carries its checksum as the word `blake3` of its header: the hash of the whole file, header and data, with the 64 digits of the
//! checksum itself taken as zeros. A text file (TOML) carries it as a comment in its last line: the hash of all lines before. Any other reader of
//! these formats passes over both.
//!
//! Files without a checksum are refused: they were written before files had checksums, or the damage hit the very place.
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The word of a safetensors header that holds the checksum.
pub const WORD: &str = "blake3";

/// Digits of a checksum.
const DIGITS: usize = 64;

/// How the word stands in the header: quotes within other words are escaped, so nothing else looks like it.
const KEY: &[u8] = b"\"blake3\":\"";

/// How the last line of a text begins.
const LINE: &str = "# blake3 = ";

/// What stands in the place of the checksum while a file is serialised.
pub fn blank() -> String {
    "0".repeat(DIGITS)
}

/// Fills the [`blank`] of a serialised safetensors file, or writes the checksum anew after a change.
///
/// # Errors
/// A header without the word.
pub fn seal(bytes: &mut [u8]) -> Result<()> {
    let at = place(bytes).ok_or_else(|| Error::parameter("header", "a word for the checksum", "none"))?;
    bytes[at..at + DIGITS].copy_from_slice(blank().as_bytes());
    let digits = blake3::hash(bytes).to_hex();
    bytes[at..at + DIGITS].copy_from_slice(digits.as_bytes());
    Ok(())
}

/// Where in a file the digits of its checksum stand.
fn place(bytes: &[u8]) -> Option<usize> {
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk::<8>()?)).ok()?;
    let header = bytes.get(8..length.checked_add(8)?)?;
    let at = 8 + header.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    (at + DIGITS <= 8 + length).then_some(at)
}

/// Whether the content `bytes` of a safetensors file has a checksum at all; foreign files do not.
pub fn is_sealed(bytes: &[u8]) -> bool {
    place(bytes).is_some()
}

/// Checks the content `bytes` of the safetensors file `path`.
///
/// # Errors
/// No checksum, or another than its bytes have.
pub fn check(path: &Path, bytes: &[u8]) -> Result<()> {
    let at = place(bytes).ok_or_else(|| none(path))?;
    let (before, rest) = bytes.split_at(at);
    let (written, after) = rest.split_at(DIGITS);
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(blank().as_bytes()).update(after);
    compare(path, written, &hasher)
}

/// As [`check`], reading the file in pieces: memory does not grow with it. `start` is where its data begin.
///
/// # Errors
/// As [`check`], or a file that cannot be read.
pub fn check_file(path: &Path, start: u64) -> Result<()> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let (mut header, at) = head_of(&mut file, path, start)?;
    let written = header[at..at + DIGITS].to_vec();
    header[at..at + DIGITS].copy_from_slice(blank().as_bytes());
    compare(path, &written, &hashed(&header, &mut file, path, crate::interrupt::check)?)
}

/// Writes the checksum of a file under writing, whose data begin at byte `start`, in the place of the [`blank`].
///
/// # Errors
/// A header without the word; a file that cannot be read back or written.
pub(crate) fn seal_file(file: &mut File, path: &Path, start: u64) -> Result<()> {
    file.seek(SeekFrom::Start(0)).map_err(Error::io("read", path))?;
    let (header, at) = head_of(file, path, start)?;
    // What is written to be gone on from is written after an interruption, and then above all.
    let digits = hashed(&header, file, path, || Ok(()))?.finalize().to_hex();
    let put = file.seek(SeekFrom::Start(at as u64)).and_then(|_| file.write_all(digits.as_bytes()));
    put.map_err(Error::io("write", path))
}

/// The header of a file and the place of the digits in it.
fn head_of(file: &mut File, path: &Path, start: u64) -> Result<(Vec<u8>, usize)> {
    let mut header = vec![0; usize::try_from(start).map_err(|_| none(path))?];
    file.read_exact(&mut header).map_err(Error::io("read", path))?;
    let at = place(&header).ok_or_else(|| none(path))?;
    Ok((header, at))
}

/// The hash of `header` and of all that follows in `file`, read in pieces, as long as `goes_on` says so.
fn hashed(header: &[u8], file: &mut File, path: &Path, goes_on: impl Fn() -> Result<()>) -> Result<blake3::Hasher> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header);
    let mut piece = vec![0; 1 << 18];
    loop {
        goes_on()?;
        match file.read(&mut piece).map_err(Error::io("read", path))? {
            0 => return Ok(hasher),
            n => hasher.update(&piece[..n]),
        };
    }
}

/// `text` (whole lines) with a last line for its checksum, in the place of one that is there.
pub fn seal_text(mut text: String) -> String {
    if let Some(at) = last_line(&text) {
        text.truncate(at);
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let digits = blake3::hash(text.as_bytes()).to_hex();
    text + LINE + "\"" + digits.as_str() + "\"\n"
}

/// Checks the `text` of the file `path`.
///
/// # Errors
/// No checksum in its last line, or another than the lines before have.
pub fn check_text(path: &Path, text: &str) -> Result<()> {
    let at = last_line(text).ok_or_else(|| none(path))?;
    let written = text[at + LINE.len()..].strip_prefix('"').and_then(|line| line.strip_suffix("\"\n"));
    let written = written.ok_or_else(|| none(path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&text.as_bytes()[..at]);
    compare(path, written.as_bytes(), &hasher)
}

/// Where the line of the checksum begins.
fn last_line(text: &str) -> Option<usize> {
    text.rfind(LINE).filter(|&at| at == 0 || text[..at].ends_with('\n'))
}

fn compare(path: &Path, written: &[u8], hasher: &blake3::Hasher) -> Result<()> {
    let found = hasher.finalize().to_hex();
    if found.as_bytes() == written {
        return Ok(());
    }
    let expected = format!("{}, as it says of itself", String::from_utf8_lossy(written));
    let found = format!("{found}: it was changed or damaged after it was written; put back a copy, or make it again");
    Err(Error::format(path, "checksum (BLAKE3)", expected, found))
}

fn none(path: &Path) -> Error {
    let found = "none: it was written by a version without checksums, or damaged; make it again";
    Error::format(path, "checksum (BLAKE3)", "one, as every file of this version has", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::{Dtype, tensor::TensorView};
    use std::collections::HashMap;

    fn file(words: &[(&str, &str)]) -> Vec<u8> {
        let data: Vec<u8> = (0..40).collect();
        let words: HashMap<String, String> = words.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let view = TensorView::new(Dtype::F32, vec![10], &data).unwrap();
        safetensors::serialize([("a", view)], Some(words)).unwrap()
    }

    #[test]
    fn every_flipped_bit_of_a_file_is_found_and_the_file_named() {
        let blank = blank();
        let mut bytes = file(&[(WORD, &blank), ("note", "a \"blake3\":\"0\" within another word")]);
        seal(&mut bytes).unwrap();
        check(Path::new("x.st"), &bytes).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.st");
        let start = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap());
        std::fs::write(&path, &bytes).unwrap();
        check_file(&path, start).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let message = check(Path::new("x.st"), &damaged).unwrap_err().to_string();
            assert!(message.starts_with("x.st: checksum (BLAKE3)"), "bit {bit}: {message}");
        }
        bytes[start as usize + 7] ^= 4;
        std::fs::write(&path, &bytes).unwrap();
        assert!(check_file(&path, start).unwrap_err().to_string().contains("x.st: checksum"));
        let foreign = file(&[]);
        assert!(!is_sealed(&foreign) && check(&path, &foreign).unwrap_err().to_string().contains("without checksums"));
        assert!(seal(&mut file(&[])).is_err());
    }

    #[test]
    fn every_flipped_bit_of_a_text_is_found() {
        let text = seal_text("a = 1\n[b]\nc = \"d\"\n".into());
        assert_eq!(text, seal_text("a = 1\n[b]\nc = \"d\"".into()));
        assert_eq!(text, seal_text(text.clone()));
        check_text(Path::new("x.toml"), &text).unwrap();
        assert!(text.parse::<toml::Table>().unwrap().contains_key("b"));
        for bit in 0..8 * text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let Ok(damaged) = String::from_utf8(damaged) else { continue };
            assert!(check_text(Path::new("x.toml"), &damaged).is_err(), "bit {bit}: {damaged}");
        }
        for edited in [text.replace("a = 1", "a = 2"), text.clone() + "e = 5\n", "a = 1\n".into(), String::new()] {
            let message = check_text(Path::new("x.toml"), &edited).unwrap_err().to_string();
            assert!(message.contains("x.toml: checksum (BLAKE3)"), "{message}");
        }
    }
}
