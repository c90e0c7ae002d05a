//! CIFAR-10 in its published binary form: records of 3,073 bytes, one label and 3×32×32 pixels (red, green, blue planes).
//! A folder holds `data_batch_1.bin` … `data_batch_5.bin` and `test_batch.bin`; no package ships them, so the user names the folder.
use super::gzip;
use super::source::Source;
use crate::data::place::missing;
use crate::data::table::Table;
use crate::error::{Error, Result};
use std::path::Path;

const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;

/// The labels and pixels of one file; `path` is for errors.
///
/// # Errors
/// No record, a size that is no multiple of 3,073 bytes, a label above 9.
pub fn decode(bytes: &[u8], path: &Path, labels: &mut Vec<u32>, pixels: &mut Vec<u8>) -> Result<()> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        let expected = format!("a positive multiple of {RECORD} bytes (label and 3×32×32 pixels)");
        return Err(Error::format(path, "size", expected, bytes.len()));
    }
    for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
        if record[0] > 9 {
            return Err(Error::format(path, format!("label of record {i}"), "a class below 10", record[0]));
        }
        labels.push(u32::from(record[0]));
        pixels.extend_from_slice(&record[1..]);
    }
    Ok(())
}

/// Reads the folder, or the `cifar-10-batches-bin` within it.
///
/// # Errors
/// A batch that is missing or damaged.
pub fn read(folder: &Path) -> Result<Source> {
    let inner = folder.join("cifar-10-batches-bin");
    let folder = if inner.is_dir() { inner.as_path() } else { folder };
    let part = |names: &[String]| -> Result<Table> {
        let (mut labels, mut pixels) = (Vec::new(), Vec::new());
        for name in names {
            let path = folder.join(name);
            if !path.is_file() {
                return Err(missing(
                    "cifar10",
                    folder,
                    name,
                    "the published binary version, which no package ships; name its folder: cifar10:DIR",
                ));
            }
            decode(&gzip::read(&path)?, &path, &mut labels, &mut pixels)?;
        }
        Table::of_bytes("cifar10", [3, 32, 32], 10, pixels, 255, labels)
    };
    let batches: Vec<String> = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect();
    Ok(Source { pool: part(&batches)?, test: Some(part(&["test_batch.bin".into()])?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(label: u8, first: u8) -> Vec<u8> {
        let mut bytes = vec![label];
        bytes.extend((0..PIXELS).map(|i| first.wrapping_add(i as u8)));
        bytes
    }

    #[test]
    fn golden_records_decode_plane_by_plane() {
        let folder = tempfile::tempdir().unwrap();
        for i in 1..=5u8 {
            let bytes = [record(i, 0), record(9, i)].concat();
            std::fs::write(folder.path().join(format!("data_batch_{i}.bin")), bytes).unwrap();
        }
        std::fs::write(folder.path().join("test_batch.bin"), record(0, 7)).unwrap();
        let source = read(folder.path()).unwrap();
        assert_eq!(source.pool.labels(), [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
        assert_eq!(source.pool.shape(), [3, 32, 32]);
        // Second record of the third batch: pixel i holds 3 + i modulo 256.
        assert_eq!(source.pool.raw(5)[1025], f32::from((3 + 1025 % 256) as u8) / 255.0);
        assert_eq!(source.test.unwrap().len(), 1);
        std::fs::remove_file(folder.path().join("data_batch_4.bin")).unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("data_batch_4.bin"));
    }

    proptest! {
        #[test]
        fn cut_files_are_refused_and_never_panic(cut in 0usize..(2 * RECORD)) {
            let bytes = [record(1, 0), record(2, 0)].concat();
            let (mut y, mut x) = (Vec::new(), Vec::new());
            let fine = decode(&bytes[..cut], Path::new("x"), &mut y, &mut x).is_ok();
            prop_assert_eq!(fine, cut == RECORD);
        }
    }
}
