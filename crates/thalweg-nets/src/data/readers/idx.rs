//! IDX, the format of MNIST and Fashion-MNIST: bytes 0, 0, type, rank, then rank sizes (u32 big-endian), then values; plain or gzipped.
//! Images are u8 `[N, h, w]` (magic 00 00 08 03), labels u8 `[N]` (magic 00 00 08 01).
use super::gzip;
use crate::data::table::Table;
use crate::error::{Error, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file with a wrong header that are read to see whether the file is damaged.
const LOOK: u64 = 64 << 20;

/// Unsigned bytes with their sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Sizes, slowest first.
    pub sizes: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<u8>,
}

/// Decodes an IDX file of unsigned bytes with `rank` sizes; `path` is for errors.
///
/// # Errors
/// Another magic number, a cut header, sizes that do not fit the length.
pub fn decode(mut bytes: Vec<u8>, rank: u8, path: &Path) -> Result<Idx> {
    let (sizes, expected) = header(&bytes, rank, path)?;
    let start = 4 + 4 * usize::from(rank);
    let found = bytes.len() - start;
    if expected != Some(found) {
        let said = expected.map_or("more than memory".into(), |n| n.to_string());
        let expected = format!("{said} bytes of values, as its sizes {sizes:?} say");
        return Err(Error::format(path, "sizes", expected, format!("{found} bytes")));
    }
    bytes.drain(..start);
    Ok(Idx { sizes, values: bytes })
}

/// Sizes and number of values as a header says them; no number where the product is beyond 64 bits.
fn header(bytes: &[u8], rank: u8, path: &Path) -> Result<(Vec<usize>, Option<usize>)> {
    let header = 4 + 4 * usize::from(rank);
    if bytes.len() < header {
        return Err(Error::format(path, "header", format!("{header} bytes"), format!("{} bytes", bytes.len())));
    }
    if bytes[..4] != [0, 0, 8, rank] {
        let found = format!("{:02x} {:02x} {:02x} {:02x}", bytes[0], bytes[1], bytes[2], bytes[3]);
        return Err(Error::format(path, "magic number", format!("00 00 08 {rank:02x} (u8, {rank} sizes)"), found));
    }
    let sizes: Vec<usize> =
        bytes[4..header].chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    Ok((sizes, product))
}

/// Reads images and labels into a table of `classes`.
///
/// # Errors
/// Either file is damaged, their counts differ, a label is no class.
pub fn read(name: &str, images: &Path, labels: &Path, classes: usize) -> Result<Table> {
    let x = load(images, 3)?;
    let y = load(labels, 1)?;
    if x.sizes[0] != y.sizes[0] {
        let expected = format!("{}, one label an image of {}", x.sizes[0], images.display());
        return Err(Error::format(labels, "number of labels", expected, y.sizes[0]));
    }
    if let Some(i) = y.values.iter().position(|&label| usize::from(label) >= classes) {
        return Err(Error::format(labels, format!("label {i}"), format!("a class below {classes}"), y.values[i]));
    }
    if x.values.is_empty() {
        return Err(Error::format(
            images,
            "sizes",
            "at least one image of at least one pixel",
            format!("{:?}", x.sizes),
        ));
    }
    let labels = y.values.iter().map(|&label| u32::from(label)).collect();
    Table::of_bytes(name, [1, x.sizes[1], x.sizes[2]], classes, x.values, 255, labels)
}

/// Reads images alone: a table whose labels are not known.
///
/// # Errors
/// A damaged file.
pub(in crate::data) fn read_unlabelled(name: &str, images: &Path) -> Result<Table> {
    let x = load(images, 3)?;
    let rows = vec![0; x.sizes[0]];
    Ok(Table::of_bytes(name, [1, x.sizes[1], x.sizes[2]], 1, x.values, 255, rows)?.labelled(false))
}

/// Reads a file of `rank` sizes: no more is read than its header claims.
fn load(path: &Path, rank: u8) -> Result<Idx> {
    let mut stream = gzip::stream(path)?;
    let unreadable = |e: std::io::Error| Error::format(path, "bytes", "a whole gzip file, or a plain one", e);
    let mut bytes = Vec::new();
    stream.by_ref().take(4 + 4 * u64::from(rank)).read_to_end(&mut bytes).map_err(unreadable)?;
    let claimed = match header(&bytes, rank, path) {
        Ok((_, claimed)) => claimed,
        Err(wrong) => {
            // Where the stream itself is damaged, that is what is wrong.
            std::io::copy(&mut stream.take(LOOK), &mut std::io::sink()).map_err(unreadable)?;
            return Err(wrong);
        }
    };
    // A little more than claimed tells whether the file goes on, and as a rule how far.
    let claimed = claimed.unwrap_or(0) as u64;
    stream.take(claimed.saturating_add(1 << 16)).read_to_end(&mut bytes).map_err(unreadable)?;
    decode(bytes, rank, path)
}

/// The file of the given MNIST name in `folder`, in any spelling that is about: plain, `.gz`, or with a dot before `idx`.
pub fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let spellings = [name.to_string(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    spellings.iter().map(|spelling| folder.join(spelling)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn images() -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(1..=12);
        bytes
    }

    #[test]
    fn golden_bytes_decode_and_gzip_gives_the_same_table() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("x"), images()).unwrap();
        std::fs::write(at("y"), [0, 0, 8, 1, 0, 0, 0, 2, 7, 3]).unwrap();
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&images()).unwrap();
        std::fs::write(at("x.gz"), packer.finish().unwrap()).unwrap();
        let plain = read("x", &at("x"), &at("y"), 10).unwrap();
        assert_eq!(plain.shape(), [1, 2, 3]);
        assert_eq!(plain.labels(), [7, 3]);
        assert_eq!(plain.raw(1)[5], 12.0 / 255.0);
        assert_eq!(plain, read("x", &at("x.gz"), &at("y"), 10).unwrap());
    }

    proptest! {
        #[test]
        fn cut_or_changed_bytes_never_panic(cut in 0usize..29, place in 0usize..28, value: u8) {
            let path = Path::new("x");
            let mut bytes = images();
            bytes[place] = value;
            bytes.truncate(cut);
            if let Ok(idx) = decode(bytes, 3, path) {
                prop_assert_eq!(idx.sizes.iter().product::<usize>(), idx.values.len());
            }
        }
    }

    #[test]
    fn sizes_whose_product_overflows_are_refused() {
        let mut bytes = vec![0, 0, 8, 3];
        bytes.extend([0xff; 12]);
        let message = decode(bytes, 3, Path::new("liar")).unwrap_err().to_string();
        assert!(message.contains("liar") && message.contains("4294967295"), "{message}");
    }
}
