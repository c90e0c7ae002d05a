//! A watch as a file: its record as TOML in the header of a safetensors file, the rows as `rows` (inputs `[N, D]`, or logits `[N, C]` where only
//! those are known).
use super::{Evidence, Record, Watch};
use crate::shift::calibration::Calibration;
use crate::tensors::{TensorReader, TensorWriter};
use crate::{Error, Result};
use std::path::Path;

/// The header's word for such a file, with its version.
const FORMAT: &str = "thalweg shift watch 1";

impl Watch {
    /// The file's bytes.
    ///
    /// # Errors
    /// A record that TOML cannot hold.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut out = TensorWriter::default();
        let values = if self.rows.width() > 0 { &self.rows.inputs } else { &self.rows.logits };
        out.single("rows", &[self.rows.len(), values.len() / self.rows.len().max(1)], values);
        let record =
            toml::to_string(&self.record).map_err(|e| Error::parameter("watch", "a record that TOML can hold", e))?;
        out.word("format", FORMAT);
        out.word("record", record);
        out.bytes()
    }

    /// Reads the watch in the file `path`, which `calibration` was begun with.
    ///
    /// # Errors
    /// No such file, one of another kind, one that was damaged, or the watch of another calibration.
    pub fn read(path: &Path, calibration: &Calibration) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        if bytes.is_empty() {
            let expected = "a watch (remove the file, and a new watch is begun in its place)";
            return Err(Error::format(path, "file", expected, "an empty file"));
        }
        let file = TensorReader::open(path, &bytes)?;
        if file.word("format") != FORMAT {
            let found = if file.word("format").is_empty() { "nothing" } else { file.word("format") };
            let expected = format!("{FORMAT} (a name that no file has begins a new watch)");
            return Err(Error::format(path, "format", expected, found));
        }
        let record: Record = toml::from_str(file.word("record"))
            .map_err(|e| Error::format(path, "record", "a record of this version", e))?;
        if record.calibration != super::identity(calibration) {
            let expected = "the calibration that the watch was begun with (begin another watch for another)";
            return Err(Error::format(path, "calibration", expected, "another"));
        }
        record.overall.check().and_then(|()| Evidence::check(&record.harm)).map_err(|e| e.in_file(path))?;
        let (shape, values) = file.any("rows")?;
        let rows = match calibration.base() {
            _ if shape.first() == Some(&0) => calibration.reference().held_out.rows(&[]),
            Some(base) => base.sample(&values)?,
            None => crate::shift::base::Sample::of_logits(values, calibration.record.classes)?,
        };
        let told: usize = record.batches.iter().map(|batch| batch.rows).sum();
        if told != rows.len() {
            return Err(Error::format(path, "rows", format!("{told}, as many as its batches have"), rows.len()));
        }
        Ok(Self { record, rows })
    }
}
