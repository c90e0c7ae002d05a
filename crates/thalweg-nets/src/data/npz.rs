//! A user's NumPy archive: inputs and labels as two arrays of one `.npz`, with the official test rows beside them if they are there.
//!
//! Default names: `x` and `y`; or `x_train` and `y_train` (as Keras lays its sets); test rows `x_test` and `y_test`.
//! Inputs `[N, D]`, `[N, h, w]` or `[N, c, h, w]`; bytes are pixels of 0 to 255, other numbers are taken as they are.
use super::gzip::{BEST_RATIO, LIMIT};
use super::known::Source;
use super::npy::{self, Array, Numbers};
use super::table::Table;
use crate::architecture::Shape;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

type Archive = ZipArchive<BufReader<File>>;

/// Most classes that labels may name; a larger label is a mistake rather than a class.
pub(super) const MOST_CLASSES: i64 = 65_536;

/// Reads the archive; `inputs` and `labels` replace the default names of the training arrays.
///
/// # Errors
/// No archive, an array that is missing or damaged, shapes that do not fit, labels that are no integers from 0, values that are not finite.
pub fn read(path: &Path, inputs: Option<&str>, labels: Option<&str>) -> Result<Source> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|e| Error::format(path, "archive", "a NumPy .npz file (a zip archive)", e))?;
    let held: Vec<String> =
        archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_string())).collect();
    let default = |plain: &str, keras: &str| match held.iter().any(|name| name == plain) {
        false if held.iter().any(|name| name == keras) => keras.to_string(),
        _ => plain.to_string(),
    };
    let inputs = inputs.map_or_else(|| default("x", "x_train"), str::to_string);
    let labels = labels.map_or_else(|| default("y", "y_train"), str::to_string);
    let x = array(&mut archive, path, &inputs, &held)?;
    let y = array(&mut archive, path, &labels, &held)?;
    let mut tests = None;
    if held.iter().any(|name| name == "x_test") {
        tests = Some((array(&mut archive, path, "x_test", &held)?, array(&mut archive, path, "y_test", &held)?));
    }
    let (shape, y) = (shape(&x, path, &inputs)?, classes(y, path, &labels)?);
    let tests = match tests {
        Some((x, y)) => Some((self::shape(&x, path, "x_test")?, x, classes(y, path, "y_test")?)),
        None => None,
    };
    // Classes are those of all rows: a test row of a class that training rows lack must not be an error.
    let highest = y.iter().chain(tests.iter().flat_map(|(_, _, y)| y)).max();
    let count = highest.map_or(1, |&highest| highest as usize + 1);
    let range = range(&x.numbers, shape);
    let test = match tests {
        Some((shape, x, y)) => Some(table(path, "x_test", shape, count, x, y, range)?),
        None => None,
    };
    Ok(Source { pool: table(path, &inputs, shape, count, x, y, range)?, test })
}

fn array(archive: &mut Archive, path: &Path, name: &str, held: &[String]) -> Result<Array> {
    let field = || format!("array {name}");
    if !held.iter().any(|held| held == name) {
        let expected = format!("an array of this name among those of the archive: {}", held.join(", "));
        return Err(Error::format(path, field(), expected, "none"));
    }
    let damaged = |e: &dyn std::fmt::Display| Error::format(path, field(), "an undamaged array", e);
    let entry = archive.by_name(&format!("{name}.npy")).map_err(|e| damaged(&e))?;
    let (packed, claimed) = (entry.compressed_size(), entry.size());
    if claimed > LIMIT || claimed > packed.saturating_mul(BEST_RATIO).saturating_add(1024) {
        let expected = format!("at most {LIMIT} bytes, and no more than {packed} packed bytes can hold");
        return Err(Error::format(path, field(), expected, claimed));
    }
    let mut bytes = Vec::new();
    entry.take(claimed + 1).read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
    npy::decode(&bytes, path, name)
}

fn shape(x: &Array, path: &Path, name: &str) -> Result<Shape> {
    let refuse =
        |expected: &str| Err(Error::format(path, format!("array {name}: shape"), expected, format!("{:?}", x.sizes)));
    match x.sizes[..] {
        [_, h, w, c] if h == w && h > 4 && c <= 4 => {
            refuse("[N, channels, height, width] (this looks like channels last: transpose it)")
        }
        [n, d] if n > 0 && d > 0 => Ok([d, 1, 1]),
        [n, h, w] if n > 0 && h > 0 && w > 0 => Ok([1, h, w]),
        [n, c, h, w] if n > 0 && c > 0 && h > 0 && w > 0 => Ok([c, h, w]),
        _ => refuse("[N, D], [N, height, width] or [N, channels, height, width] without a zero"),
    }
}

fn classes(y: Array, path: &Path, name: &str) -> Result<Vec<u32>> {
    let numbers = match y.numbers {
        Numbers::Bytes(bytes) => bytes.into_iter().map(i64::from).collect(),
        Numbers::Integers(integers) => integers,
        Numbers::Floats(_) => {
            return Err(Error::format(path, format!("array {name}: dtype"), "integer labels", "floats"));
        }
    };
    if !matches!(y.sizes[..], [_] | [_, 1]) {
        return Err(Error::format(path, format!("array {name}: shape"), "[N]", format!("{:?}", y.sizes)));
    }
    let class = |(i, label): (usize, i64)| match label {
        0..MOST_CLASSES => Ok(label as u32),
        _ => Err(Error::format(
            path,
            format!("array {name}[{i}]"),
            format!("a class from 0 to {}", MOST_CLASSES - 1),
            label,
        )),
    };
    numbers.into_iter().enumerate().map(class).collect()
}

/// Least and greatest pixel of images in numbers of their own; bytes have 0 to 1 anyway, rows none.
fn range(numbers: &Numbers, shape: Shape) -> Option<[f32; 2]> {
    let ends = match numbers {
        _ if shape[1..] == [1, 1] => return None,
        Numbers::Bytes(_) => return None,
        Numbers::Integers(values) => [*values.iter().min()? as f32, *values.iter().max()? as f32],
        Numbers::Floats(values) => {
            [values.iter().copied().fold(f32::MAX, f32::min), values.iter().copied().fold(f32::MIN, f32::max)]
        }
    };
    (ends[0] < ends[1]).then_some(ends)
}

fn table(
    path: &Path,
    name: &str,
    shape: Shape,
    count: usize,
    x: Array,
    y: Vec<u32>,
    range: Option<[f32; 2]>,
) -> Result<Table> {
    if x.sizes[0] != y.len() {
        let expected = format!("{} labels, one a row of {name}", x.sizes[0]);
        return Err(Error::format(path, "labels", expected, y.len()));
    }
    let wide: usize = shape.iter().product();
    match x.numbers {
        Numbers::Bytes(bytes) if shape[1..] == [1, 1] => {
            Table::of_values("npz", shape, count, bytes.into_iter().map(f32::from).collect(), y, None)
        }
        Numbers::Bytes(bytes) => Table::of_bytes("npz", shape, count, bytes, 255, y),
        Numbers::Integers(values) => {
            Table::of_values("npz", shape, count, values.into_iter().map(|n| n as f32).collect(), y, range)
        }
        Numbers::Floats(values) => match values.iter().position(|v| !v.is_finite()) {
            Some(i) => {
                let field = format!("array {name}: row {}, column {}", i / wide, i % wide);
                Err(Error::format(path, field, "a finite number (of 32 bits)", values[i]))
            }
            None => Table::of_values("npz", shape, count, values, y, range),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::npy::tests::npy;
    use super::*;
    use proptest::prelude::*;
    use std::io::{Cursor, Write};
    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    fn archive(arrays: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default().compression_method(method)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn opened(bytes: &[u8]) -> Result<Source> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path(), None, None)
    }

    fn plain() -> Vec<(&'static str, Vec<u8>)> {
        let x: Vec<u8> = [0.5f32, 1.0, -2.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        vec![("x", npy("<f4", "(2, 2)", &x)), ("y", npy("|u1", "(2,)", &[1, 0]))]
    }

    #[test]
    fn stored_and_deflated_archives_give_the_same_table() {
        let stored = opened(&archive(&plain(), CompressionMethod::Stored)).unwrap();
        assert_eq!(stored, opened(&archive(&plain(), CompressionMethod::Deflated)).unwrap());
        assert_eq!((stored.pool.shape(), stored.pool.classes()), ([2, 1, 1], 2));
        assert_eq!(stored.pool.raw(1), [-2.0, 4.0]);
    }

    #[test]
    fn images_of_bytes_become_pixels_and_keras_names_give_the_test_split() {
        let arrays = [
            ("x_train", npy("|u1", "(2, 1, 2)", &[0, 255, 51, 0])),
            ("y_train", npy("<i8", "(2, 1)", &[[0u8; 8], [0; 8]].concat())),
            ("x_test", npy("|u1", "(1, 1, 2)", &[9, 9])),
            ("y_test", npy("<i4", "(1,)", &2i32.to_le_bytes())),
        ];
        let source = opened(&archive(&arrays, CompressionMethod::Deflated)).unwrap();
        assert_eq!(source.pool.raw(1), [0.2, 0.0]);
        assert_eq!((source.pool.classes(), source.test.unwrap().labels()), (3, &[2][..]));
    }

    proptest! {
        #[test]
        fn cut_or_changed_archives_never_panic(cut in 0usize..700, place in 0usize..700, value: u8) {
            let mut bytes = archive(&plain(), CompressionMethod::Deflated);
            let end = bytes.len();
            bytes[place % end] = value;
            bytes.truncate(cut);
            let _ = opened(&bytes);
        }
    }
}
