//! Animal silhouettes, 10,000 of 28×28 in ten classes: images far from any digit. Two gzipped pickles of one NumPy array each; the
//! arrays lie in them as plain bytes, at places that are checked rather than searched for.
use super::gzip;
use crate::data::table::Table;
use crate::error::{Error, Result};
use std::path::Path;

const IMAGES: usize = 10_000;
const PIXELS: usize = 28 * 28;

/// The bytes of the array within the pickle: at `start`, behind the opcode `B` and the array's length in 32 bits.
fn payload(bytes: &[u8], start: usize, length: usize, path: &Path) -> Result<Vec<u8>> {
    let held = bytes.get(start..).and_then(|rest| rest.get(..length));
    let opcode = bytes.get(start - 5..start);
    let length_said = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    match (opcode, held) {
        (Some([b'B', said @ ..]), Some(held)) if *said == length_said => Ok(held.to_vec()),
        _ => {
            let expected = format!("a pickled array of {length} bytes from byte {start} on");
            Err(Error::format(path, "pickle", expected, format!("{} bytes of something else", bytes.len())))
        }
    }
}

/// Reads both files.
///
/// # Errors
/// Files that are not the published ones.
pub fn read(images: &Path, labels: &Path) -> Result<Table> {
    let pixels = payload(&gzip::read(images)?, 150, IMAGES * PIXELS, images)?;
    let wide = payload(&gzip::read(labels)?, 146, IMAGES * 8, labels)?;
    let mut classes = Vec::with_capacity(IMAGES);
    for (i, bytes) in wide.chunks_exact(8).enumerate() {
        match bytes {
            [class @ 0..10, 0, 0, 0, 0, 0, 0, 0] => classes.push(u32::from(*class)),
            _ => return Err(Error::format(labels, format!("label {i}"), "a class below 10", format!("{bytes:02x?}"))),
        }
    }
    Table::of_bytes("silhouettes", [1, 28, 28], 10, pixels, 255, classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_taken_only_behind_its_own_length() {
        let path = Path::new("x");
        let bytes = [&[0; 3][..], &[b'B', 4, 0, 0, 0], &[9, 8, 7, 6], &[1; 2]].concat();
        assert_eq!(payload(&bytes, 8, 4, path).unwrap(), [9, 8, 7, 6]);
        for (start, length) in [(7, 4), (8, 5), (8, 3), (8, 400), (400, 4), (5, 1)] {
            assert!(payload(&bytes, start, length, path).is_err());
        }
    }
}
