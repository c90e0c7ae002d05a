//! Whole files into memory, gzip told by its magic bytes, never more than a stated number of bytes: a lying file costs an error, not the machine.
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::Path;

/// Largest file, unpacked, that readers of whole files take: 4 GiB.
pub(super) const LIMIT: u64 = 4 << 30;

/// Deflate cannot shrink better than this; a claim beyond it is a lie.
pub(super) const BEST_RATIO: u64 = 1032;

/// The bytes of a file, unpacked if it is gzip.
///
/// # Errors
/// Unreadable, damaged or cut gzip, more than 4 GiB.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let length = std::fs::metadata(path).map_err(Error::io("read", path))?.len();
    if length > LIMIT {
        return Err(Error::format(path, "size", format!("at most {LIMIT} bytes"), length));
    }
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    if is_gzip(&bytes) { unzip(&bytes, path) } else { Ok(bytes) }
}

/// Whether the bytes begin as gzip does.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Unpacks gzip; `path` is for errors.
///
/// # Errors
/// Damaged or cut streams, more than 4 GiB.
pub(super) fn unzip(bytes: &[u8], path: &Path) -> Result<Vec<u8>> {
    let limit = LIMIT.min((bytes.len() as u64).saturating_mul(BEST_RATIO));
    let mut out = Vec::new();
    MultiGzDecoder::new(bytes)
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
}
