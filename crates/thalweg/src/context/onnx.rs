//! Frozen features from the user's own network in an ONNX file (M10), run by `rten`.
//!
//! The file has one input, `[n, C, H, W]` or `[n, D]` with n free (or 1), and gives `[n, F]` (more axes are laid flat). It sees rows in their raw
//! values (pixels in [0, 1]): export with it whatever resizing, channels and standardisation it needs. Every chunk of rows runs on one
//! thread, chunks in parallel: same bytes on any number of threads. Not for networks whose answer for a row depends on its batch.
use super::onnx_wire;
use crate::{Error, Result};
use rayon::prelude::*;
use rten::{Dimension, Model, RunOptions, ThreadPool, Value};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use thalweg_nets::data::Dataset;

/// Rows that run at once.
const CHUNK: usize = 32;

/// A network from an ONNX file.
pub struct Onnx {
    name: String,
    bytes: Vec<u8>,
    model: Model,
    /// Shape of a row, as the file says it; none of an axis that is free.
    row: Vec<Option<usize>>,
    chunk: usize,
    one_thread: Arc<ThreadPool>,
}

impl std::fmt::Debug for Onnx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Onnx").field("name", &self.name).field("row", &self.row).finish_non_exhaustive()
    }
}

impl Onnx {
    /// The network in the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be read, is not ONNX, uses what `rten` cannot run, or takes another input than the module says.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let refuse = |field: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(Error::format(path, field, expected, found.to_string()))
        };
        if let Err(found) = onnx_wire::check(&bytes) {
            return refuse("network", "one in ONNX (Protocol Buffers)", &found);
        }
        let model = match Model::load(bytes.clone()) {
            Ok(model) => model,
            Err(e) => return refuse("network", "one in ONNX that can be run", &e),
        };
        let (inputs, outputs) = (model.input_ids().len(), model.output_ids().len());
        if inputs != 1 || outputs == 0 {
            return refuse("inputs", "one, and an output", &format!("{inputs} and {outputs}"));
        }
        let Some(shape) = model.input_shape(0) else {
            return refuse("input", "a shape [n, C, H, W] or [n, D]", &"none");
        };
        let axes: Vec<Option<usize>> = shape
            .iter()
            .map(|axis| match axis {
                Dimension::Fixed(size) => Some(*size),
                Dimension::Symbolic(_) => None,
            })
            .collect();
        let chunk = match axes[..] {
            [None, _] | [None, _, _, _] => CHUNK,
            [Some(1), _] | [Some(1), _, _, _] => 1,
            _ => return refuse("input", "[n, C, H, W] or [n, D], n free or 1", &shape_of(&axes)),
        };
        let one_thread = Arc::new(ThreadPool::with_num_threads(1));
        Ok(Self { name: path.display().to_string(), bytes, model, row: axes[1..].to_vec(), chunk, one_thread })
    }

    /// The file, to be kept with a model.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Features `[n, F]` of the raw values of `rows`.
    ///
    /// # Errors
    /// Rows of another shape; a network that fails on them or does not answer row by row in numbers.
    pub fn of(&self, rows: &Dataset) -> Result<Vec<f32>> {
        let row = match self.row.len() {
            1 => vec![rows.input_len()],
            _ => rows.shape.to_vec(),
        };
        if row.iter().zip(&self.row).any(|(found, expected)| expected.is_some_and(|expected| expected != *found)) {
            let found = shape_of(&row.iter().map(|&size| Some(size)).collect::<Vec<_>>());
            let expected = format!("{}, as {} says", shape_of(&self.row), self.name);
            return Err(Error::shape(format!("rows of {}", rows.name), expected, found));
        }
        let chunks: Vec<_> = rows.raw().par_chunks(self.chunk * rows.input_len()).map(|x| self.run(x, &row)).collect();
        let chunks = chunks.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(chunks.concat())
    }

    /// Features of some rows `x`, each of shape `row`.
    fn run(&self, x: &[f32], row: &[usize]) -> Result<Vec<f32>> {
        let n = x.len() / row.iter().product::<usize>();
        let failed =
            |e: &dyn std::fmt::Display| Error::format(&self.name, "run", "features of every row", e.to_string());
        let shape: Vec<usize> = [&[n], row].concat();
        let value = Value::from_shape(shape, x.to_vec()).map_err(|e| failed(&e))?;
        let mut options = RunOptions::default();
        options.thread_pool = Some(self.one_thread.clone());
        let inputs = vec![(self.model.input_ids()[0], value.into())];
        let mut answers =
            self.model.run(inputs, &self.model.output_ids()[..1], Some(options)).map_err(|e| failed(&e))?;
        let answer = answers.pop().and_then(Value::into_tensor::<f32>);
        let Some(answer) = answer.map(|answer| answer.into_data()) else {
            return Err(failed(&"an answer that is not 32-bit floats"));
        };
        match !answer.is_empty() && answer.len().is_multiple_of(n) {
            true => Ok(answer),
            false => Err(failed(&format!("{} numbers for {n} rows", answer.len()))),
        }
    }
}

fn shape_of(axes: &[Option<usize>]) -> String {
    let axes = axes.iter().map(|axis| axis.map_or("free".into(), |size| size.to_string())).collect::<Vec<_>>();
    format!("[{}]", axes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PyTorch answered: `tests/data/features.py` made file and numbers.
    const TORCH: [f32; 10] = [
        0.201_841_32,
        0.254_800_98,
        0.034_685_805,
        0.143_223_4,
        0.258_496_76,
        0.206_104_37,
        0.257_054_8,
        0.006_570_983_7,
        0.165_882_29,
        0.242_063_85,
    ];

    fn file() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/features.onnx")
    }

    fn rows(n: usize, shape: [usize; 3]) -> Dataset {
        let raw: Vec<f32> = (0..n * shape.iter().product::<usize>()).map(|i| (i * 37 % 101) as f32 / 100.0).collect();
        Dataset::of_raw("rows", shape, 2, raw, (0..n as u32).map(|i| i % 2).collect()).unwrap()
    }

    #[test]
    fn features_are_those_of_pytorch_for_raw_values_in_any_number_of_rows() {
        let onnx = Onnx::open(&file()).unwrap();
        let features = onnx.of(&rows(70, [1, 8, 8])).unwrap();
        assert_eq!(features.len(), 70 * 5);
        for (i, (a, b)) in features.iter().zip(&TORCH).enumerate() {
            assert!((a - b).abs() < 1e-5, "number {i}: {a} for {b}");
        }
        let few = onnx.of(&rows(2, [1, 8, 8])).unwrap();
        assert!(few.iter().zip(&features).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    /// Four files that a fuzzer found: `rten` alone never comes back from them.
    #[test]
    fn files_that_the_reader_would_never_end_are_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx-endless");
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 4);
        for file in files {
            let message = Onnx::open(&file).unwrap_err().to_string();
            assert!(message.contains(".onnx: network:") && message.contains("at byte"), "{message}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let onnx = Onnx::open(&file()).unwrap();
        let message = onnx.of(&rows(2, [3, 8, 8])).unwrap_err().to_string();
        assert!(message.contains("expected shape [1, 8, 8]") && message.contains("[3, 8, 8]"), "{message}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.onnx");
        let whole = fs::read(file()).unwrap();
        for bytes in [&whole[..whole.len() / 2], b"not a network", b""] {
            fs::write(&path, bytes).unwrap();
            let message = Onnx::open(&path).unwrap_err().to_string();
            assert!(message.contains("cut.onnx"), "{message}");
        }
        assert!(Onnx::open(&dir.path().join("none.onnx")).unwrap_err().to_string().contains("none.onnx"));
    }
}
