//! Files into memory or as a stream, gzip told by its magic bytes, never more than a stated number of bytes: a lying file costs an error, not the machine.
use crate::error::{Error, Result};
use crate::{files, memory};
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Largest file, unpacked, that readers take on any machine: 4 GiB.
pub(in crate::data) const LIMIT: u64 = 4 << 30;

/// Deflate cannot shrink better than this; a claim beyond it is a lie.
pub(in crate::data) const BEST_RATIO: u64 = 1032;

/// Most bytes, unpacked, of one file on this machine: [`LIMIT`], or half of the memory budget where that is less.
pub(in crate::data) fn limit() -> u64 {
    LIMIT.min(memory::half())
}

/// The bytes of a regular file, unpacked if it is gzip.
///
/// # Errors
/// No regular file; unreadable, damaged or cut gzip; more than [`limit`] bytes.
pub(in crate::data) fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = files::read_regular(path, limit())?;
    if is_gzip(&bytes) { unzip(&bytes, path) } else { Ok(bytes) }
}

/// A regular file's bytes as they come, unpacked if it is gzip: nothing but a buffer is held. After [`limit`] bytes, and where the stream is
/// damaged, reading fails.
///
/// # Errors
/// No regular file, or one that cannot be read.
pub(in crate::data) fn stream(path: &Path) -> Result<Box<dyn Read>> {
    let mut file = BufReader::with_capacity(1 << 16, files::open_regular(path)?);
    let zipped = is_gzip(file.fill_buf().map_err(Error::io("read", path))?);
    let left = limit();
    Ok(if zipped {
        Box::new(Bounded { inner: Members::new(file), left })
    } else {
        Box::new(Bounded { inner: file, left })
    })
}

/// Fails after so many bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(format!("more than {} bytes, unpacked", limit())))?;
        Ok(read)
    }
}

/// The members of a gzip file one after another, with zeros after the last one passed over: tapes and some mirrors pad with them.
struct Members<R: BufRead> {
    current: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(inner: R) -> Self {
        Self { current: Some(GzDecoder::new(inner)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.current.take() {
            let read = if buffer.is_empty() { 0 } else { member.read(buffer)? };
            if read > 0 || buffer.is_empty() {
                self.current = Some(member);
                return Ok(read);
            }
            let mut rest = member.into_inner();
            match after_member(&mut rest)? {
                true => self.current = Some(GzDecoder::new(rest)),
                false => return Ok(0),
            }
        }
        Ok(0)
    }
}

/// Passes over zeros; whether another member follows.
fn after_member(rest: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let held = rest.fill_buf()?;
        let zeros = held.iter().take_while(|&&byte| byte == 0).count();
        match held.get(zeros) {
            Some(0x1f) => {
                rest.consume(zeros);
                return Ok(true);
            }
            Some(other) => {
                let text = format!(
                    "byte {other:#04x} behind the end of the gzip stream, where only zeros or another one may stand"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            None if zeros == 0 => return Ok(false),
            None => rest.consume(zeros),
        }
    }
}

/// Whether the bytes begin as gzip does.
pub(in crate::data) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Unpacks gzip; `path` is for errors.
///
/// # Errors
/// Damaged or cut streams, more than [`limit`] bytes.
pub(in crate::data) fn unzip(bytes: &[u8], path: &Path) -> Result<Vec<u8>> {
    let limit = limit().min((bytes.len() as u64).saturating_mul(BEST_RATIO));
    let mut out = Vec::new();
    Members::new(bytes)
        .take(limit + 1)
        .read_to_end(&mut out)
        .map_err(|e| Error::format(path, "gzip stream", "a whole gzip file", e))?;
    if out.len() as u64 > limit {
        return Err(Error::format(path, "size unpacked", format!("at most {limit} bytes"), "more"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    #[test]
    fn unpacks_what_was_packed_and_refuses_what_was_cut() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(b"a thalweg is the line of deepest descent").unwrap();
        let packed = packer.finish().unwrap();
        let path = Path::new("x.gz");
        assert!(is_gzip(&packed));
        assert_eq!(unzip(&packed, path).unwrap(), b"a thalweg is the line of deepest descent");
        for cut in 2..packed.len() {
            let message = unzip(&packed[..cut], path).unwrap_err().to_string();
            assert!(message.contains("x.gz") && message.contains("gzip"), "{message}");
        }
    }

    #[test]
    fn members_follow_each_other_and_zeros_behind_the_last_are_padding() {
        let packed = |text: &str| {
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            packer.write_all(text.as_bytes()).unwrap();
            packer.finish().unwrap()
        };
        let (a, b, path) = (packed("one "), packed("two"), Path::new("x.gz"));
        assert_eq!(unzip(&[&a[..], &b].concat(), path).unwrap(), b"one two");
        for padding in [1, 511, 512, 100_000] {
            let padded = [&a[..], &b, &vec![0; padding]].concat();
            assert_eq!(unzip(&padded, path).unwrap(), b"one two");
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &padded).unwrap();
            let mut text = String::new();
            stream(file.path()).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "one two");
        }
        let message = unzip(&[&a[..], &[0, 0, 7]].concat(), path).unwrap_err().to_string();
        assert!(message.contains("0x07") && message.contains("behind the end"), "{message}");
    }
}
