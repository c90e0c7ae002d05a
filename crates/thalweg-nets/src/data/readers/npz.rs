//! A user's NumPy archive: inputs and labels as two arrays of one `.npz`, with the official test rows beside them if they are there.
//!
//! Default names: `x` and `y`; or `x_train` and `y_train` (as Keras lays its sets); test rows `x_test` and `y_test`.
//! Inputs `[N, D]`, `[N, h, w]`, `[N, c, h, w]`, or `[N, h, w, c]` with 1 or 3 channels, which is told from the shape (`npz_images`);
//! bytes are pixels of 0 to 255, other numbers are taken as they are.
use super::columns;
use super::gzip::{self, BEST_RATIO};
use super::npy::{self, Array, Numbers};
use super::npz_images::{self, Images};
use super::source::Source;
use crate::architecture::Shape;
use crate::data::spec::DataSpec;
use crate::data::table::Table;
use crate::error::{Error, Result};
use crate::{files, memory};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

type Archive = ZipArchive<BufReader<File>>;

/// Most classes that labels may name; a larger label is a mistake rather than a class.
pub(in crate::data) const MOST_CLASSES: i64 = 65_536;

/// Inputs with their labels, where those are there.
struct Part {
    name: String,
    images: Images,
    x: Array,
    y: Option<Vec<u32>>,
}

/// Reads the archive that `spec` names at `path`; rows need labels only where `labelled`.
///
/// # Errors
/// No archive, an array that is missing or damaged, shapes that do not fit, labels that are no integers from 0, values that are not finite.
pub(in crate::data) fn read(path: &Path, spec: &DataSpec, labelled: bool) -> Result<Source> {
    let file = files::open_regular(path)?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|e| Error::format(path, "archive", "a NumPy .npz file (a zip archive)", e))?;
    let held: Vec<String> =
        archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_string())).collect();
    let holds = |name: &str| held.iter().any(|held| held == name);
    let default = |plain: &str, keras: &str| match holds(plain) {
        false if holds(keras) => keras.to_string(),
        _ => plain.to_string(),
    };
    let inputs = spec.inputs.clone().unwrap_or_else(|| default("x", "x_train"));
    let labels = spec.label.clone().unwrap_or_else(|| default("y", "y_train"));
    let mut part = |inputs: &str, labels: &str| -> Result<Part> {
        let x = array(&mut archive, path, inputs, &held)?;
        let y = match labelled || holds(labels) {
            true => Some(classes(array(&mut archive, path, labels, &held)?, path, labels)?),
            false => None,
        };
        Ok(Part { images: npz_images::of(&x.sizes, spec.channels, path, inputs)?, name: inputs.to_owned(), x, y })
    };
    let pool = part(&inputs, &labels)?;
    let test = if holds("x_test") && inputs != "x_test" { Some(part("x_test", "y_test")?) } else { None };
    // Classes are those of all rows: a test row of a class that training rows lack must not be an error.
    let highest = [Some(&pool), test.as_ref()].into_iter().flatten().flat_map(|p| p.y.iter().flatten()).max();
    let count = highest.map_or(1, |&highest| highest as usize + 1);
    let range = range(&pool.x.numbers, pool.images.shape);
    let test = test.map(|part| table(path, part, count, range)).transpose()?;
    Ok(Source { pool: table(path, pool, count, range)?, test })
}

fn array(archive: &mut Archive, path: &Path, name: &str, held: &[String]) -> Result<Array> {
    let field = || format!("array {name}");
    if !held.iter().any(|held| held == name) {
        let expected = format!(
            "an array of this name among those of the archive: {} (say which they are: npz:{}@x=NAME@y=NAME)",
            held.join(", "),
            path.display()
        );
        return Err(Error::format(path, field(), expected, "none"));
    }
    let damaged = |e: &dyn std::fmt::Display| Error::format(path, field(), "an undamaged array", e);
    let entry = archive.by_name(&format!("{name}.npy")).map_err(|e| damaged(&e))?;
    let (packed, claimed) = (entry.compressed_size(), entry.size());
    let limit = gzip::limit();
    if claimed > limit || claimed > packed.saturating_mul(BEST_RATIO).saturating_add(1024) {
        let expected = format!("at most {limit} bytes, and no more than {packed} packed bytes can hold");
        return Err(Error::format(path, field(), expected, claimed));
    }
    let mut bytes = Vec::new();
    entry.take(claimed + 1).read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
    npy::decode(bytes, path, name)
}

fn classes(y: Array, path: &Path, name: &str) -> Result<Vec<u32>> {
    let numbers = match y.numbers {
        Numbers::Bytes(bytes) => bytes.into_iter().map(i64::from).collect(),
        Numbers::Integers(integers) => integers,
        Numbers::Floats(_) | Numbers::Doubles(_) => {
            let expected = "integer labels (astype(int) makes them)";
            return Err(Error::format(path, format!("array {name}: dtype"), expected, "floats"));
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
        Numbers::Doubles(values) => {
            let ends = values.iter().fold([f64::MAX, f64::MIN], |[a, b], &v| [a.min(v), b.max(v)]);
            ends.map(|end| end as f32)
        }
        Numbers::Floats(values) => {
            [values.iter().copied().fold(f32::MAX, f32::min), values.iter().copied().fold(f32::MIN, f32::max)]
        }
    };
    (ends[0] < ends[1]).then_some(ends)
}

fn table(path: &Path, part: Part, count: usize, range: Option<[f32; 2]>) -> Result<Table> {
    let Part { name, images: Images { shape, last, note }, x, y } = part;
    let rows = x.sizes[0];
    if let Some(y) = &y
        && rows != y.len()
    {
        return Err(Error::format(path, "labels", format!("{rows} labels, one a row of {name}"), y.len()));
    }
    let labelled = y.is_some();
    let labels = y.unwrap_or_else(|| vec![0; rows]);
    let wide: usize = shape.iter().product();
    let bytes = (rows as u64).checked_mul(wide as u64).and_then(|n| n.checked_mul(4));
    memory::check_file(path, &format!("array {name} as numbers of 32 bits"), bytes)?;
    let first = |values| if last { npz_images::channels_first(values, shape) } else { values };
    let of_values = |values: Vec<f32>| Table::of_values("npz", shape, count, first(values), labels.clone(), range);
    let of_features = |values: Vec<f64>| {
        let (values, offset) = columns::narrowed(&values, wide);
        Ok::<_, Error>(Table::of_values("npz", shape, count, values, labels.clone(), None)?.with_offset(offset))
    };
    let is_image = shape[1..] != [1, 1];
    finite(path, &name, wide, &x.numbers)?;
    let table = match x.numbers {
        Numbers::Bytes(bytes) if is_image => {
            let bytes = if last { npz_images::channels_first(bytes, shape) } else { bytes };
            Table::of_bytes("npz", shape, count, bytes, 255, labels)?
        }
        Numbers::Bytes(bytes) => of_values(bytes.into_iter().map(f32::from).collect())?,
        Numbers::Floats(values) => of_values(values)?,
        Numbers::Integers(values) if is_image => of_values(values.into_iter().map(|n| n as f32).collect())?,
        Numbers::Integers(values) => of_features(values.into_iter().map(|n| n as f64).collect())?,
        Numbers::Doubles(values) if is_image => of_values(values.into_iter().map(|n| n as f32).collect())?,
        Numbers::Doubles(values) => of_features(values)?,
    };
    Ok(table.labelled(labelled).noting(note))
}

/// Checks that all numbers are finite in 32 bits.
fn finite(path: &Path, name: &str, wide: usize, numbers: &Numbers) -> Result<()> {
    let wrong = match numbers {
        Numbers::Bytes(_) | Numbers::Integers(_) => None,
        Numbers::Floats(values) => values.iter().position(|v| !v.is_finite()).map(|i| (i, f64::from(values[i]))),
        Numbers::Doubles(values) => values.iter().position(|v| !(*v as f32).is_finite()).map(|i| (i, values[i])),
    };
    let Some((i, value)) = wrong else { return Ok(()) };
    let field = format!("array {name}: row {}, column {}", i / wide, i % wide);
    Err(Error::format(path, field, "a finite number (of 32 bits)", value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::readers::npy::tests::npy;
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
        read(file.path(), &DataSpec::named("npz"), true)
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

    #[test]
    fn arrays_may_be_named_and_labels_absent() {
        let x: Vec<u8> = [0.5f32, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let arrays = [("data", npy("<f4", "(2, 1)", &x)), ("target", npy("|u1", "(2,)", &[1, 0]))];
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), archive(&arrays, CompressionMethod::Stored)).unwrap();
        let named = DataSpec { inputs: Some("data".into()), label: Some("target".into()), ..DataSpec::named("npz") };
        assert_eq!(read(file.path(), &named, true).unwrap().pool.labels(), [1, 0]);
        let inputs = DataSpec { label: None, ..named };
        assert!(read(file.path(), &inputs, true).unwrap_err().to_string().contains("@x=NAME@y=NAME"));
        let pool = read(file.path(), &inputs, false).unwrap().pool;
        assert!(!pool.labelled && pool.raw(1) == [1.0]);
    }

    #[test]
    fn channels_that_stand_last_are_brought_to_the_front_and_told() {
        // Two images of 1 × 2 pixels with three channels: pixel p of channel c holds 10 c + p.
        let pixels = [0, 10, 20, 1, 11, 21, 2, 12, 22, 3, 13, 23];
        let arrays = [("x", npy("|u1", "(2, 1, 2, 3)", &pixels)), ("y", npy("|u1", "(2,)", &[0, 1]))];
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), archive(&arrays, CompressionMethod::Stored)).unwrap();
        // A single row of pixels may be one channel first: the user says.
        let spec = DataSpec { channels: Some(crate::data::Channels::Last), ..DataSpec::named("npz") };
        let pool = read(file.path(), &spec, true).unwrap().pool;
        assert_eq!(pool.shape(), [3, 1, 2]);
        let shown: Vec<f32> = pool.raw(1).iter().map(|v| v * 255.0).collect();
        for (found, expected) in shown.iter().zip([2.0, 3.0, 12.0, 13.0, 22.0, 23.0]) {
            assert!((found - expected).abs() < 1e-4, "{shown:?}");
        }
    }

    #[test]
    fn doubles_keep_differences_that_floats_cannot_hold() {
        let x: Vec<u8> = (0..4).flat_map(|i| (1.7e9 + f64::from(i)).to_le_bytes()).collect();
        let whole: Vec<u8> = (0..4).flat_map(|i| (1_700_000_000i64 + i).to_le_bytes()).collect();
        for x in [npy("<f8", "(4, 1)", &x), npy("<i8", "(4, 1)", &whole)] {
            let pool =
                opened(&archive(&[("x", x), ("y", npy("|u1", "(4,)", &[0, 1, 0, 1]))], CompressionMethod::Stored));
            let normal = pool.unwrap().pool.normalisation();
            assert!((normal.std[0] - 1.25f32.sqrt()).abs() < 1e-6, "{normal:?}");
        }
    }

    proptest! {
        #[test]
        fn cut_or_changed_archives_never_panic(cut in 0usize..700, place in 0usize..700, value: u8) {
            let mut bytes = archive(&plain(), CompressionMethod::Deflated);
            let end = bytes.len();
            bytes[place % end] = value;
            bytes.truncate(cut);
            // The archive's own checksums stand over every array: whatever is still read is what was written.
            if let Ok(found) = opened(&bytes) {
                prop_assert_eq!(found, opened(&archive(&plain(), CompressionMethod::Stored)).unwrap());
            }
        }

        #[test]
        fn what_is_written_is_read(d in 1usize..5, bits in proptest::collection::vec(any::<f32>(), 0..40), deflate: bool) {
            let finite: Vec<f32> = bits.into_iter().filter(|v| v.is_finite()).collect();
            let n = finite.len() / d;
            prop_assume!(n >= 2);
            let x: Vec<u8> = finite[..n * d].iter().flat_map(|v| v.to_le_bytes()).collect();
            let y: Vec<u8> = (0..n).map(|i| (i % 2) as u8).collect();
            let (x, y) = (npy("<f4", &format!("({n}, {d})"), &x), npy("|u1", &format!("({n},)"), &y));
            let method = if deflate { CompressionMethod::Deflated } else { CompressionMethod::Stored };
            let pool = opened(&archive(&[("x", x), ("y", y)], method)).unwrap().pool;
            prop_assert_eq!((pool.len(), pool.input_len()), (n, d));
            for i in 0..n {
                prop_assert_eq!(&pool.raw(i)[..], &finite[i * d..(i + 1) * d]);
                prop_assert_eq!(pool.labels()[i], (i % 2) as u32);
            }
        }
    }
}
