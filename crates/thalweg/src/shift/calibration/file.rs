//! A calibration as a file.
//!
//! It is safetensors: `f [P]` (f, or what stands in for it); `train`, `validation`, `held-out` (inputs `[N, D]`, or logits `[N, C]` where only those are
//! known), and `NAME.logits` beside each where a network stands in for f; where held-out rows have labels, what
//! estimates of f's accuracy need; what each test keeps, as `TEST.NAME`; the record as TOML in the header.
use super::accuracy::Accuracy;
use super::{Calibration, Record};
use crate::network::Network;
use crate::shift::base::{Base, Sample};
use crate::shift::method::Parts;
use crate::shift::reference::Reference;
use crate::shift::stored::{Store, Stored};
use crate::tensors::{TensorReader, TensorWriter};
use crate::{Artefact, Error, Result, Streams};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use thalweg_nets::files::write_whole;

/// The header's word for such a file, with its version.
pub(super) const FORMAT: &str = "thalweg shift calibration 7";

/// What gives the network called so, with the name that it has itself; nothing where there is none.
pub type NetworkNamed<'a> = dyn Fn(&str) -> Result<Option<(Arc<dyn Network>, String)>> + Sync + 'a;

impl Calibration {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut out = TensorWriter::default();
        if let Some(base) = &self.base {
            out.single("f", &[base.theta().len()], base.theta());
        }
        let Reference { train, validation, held_out } = &self.reference;
        for (name, rows) in [("train", train), ("validation", validation), ("held-out", held_out)] {
            let values = if self.base.is_some() { &rows.inputs } else { &rows.logits };
            out.single(name, &[rows.len(), values.len() / rows.len()], values);
            if self.record.stand_in.is_some() {
                out.single(format!("{name}.logits"), &[rows.len(), rows.classes()], &rows.logits);
            }
        }
        if let Some(accuracy) = &self.accuracy {
            accuracy.save(&mut out, &self.record.methods);
        }
        for (test, method) in self.tests.iter().zip(&self.record.methods) {
            test.save(&mut Store::new(&mut out, method.name()));
        }
        let record = toml::to_string(&self.record)
            .map_err(|e| Error::format(path, "calibration", "a record that TOML can hold", e))?;
        out.word("format", FORMAT);
        out.word("record", record);
        write_whole(path, &out.bytes()?)
    }

    /// Reads a file that [`Self::write`] made; nothing is trained.
    ///
    /// # Errors
    /// No such file, another kind of file or one of another version, tensors that do not fit the record.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_with(path, &|_| Ok(None))
    }

    /// As [`Self::read`], with what gives the network of this name, and its own name, for a calibration of one that the engine does not know.
    ///
    /// # Errors
    /// As [`Self::read`]; no such network, or one of another name.
    pub fn read_with(path: &Path, network: &NetworkNamed<'_>) -> Result<Self> {
        let data = std::fs::read(path).map_err(Error::io("read", path))?;
        let file = TensorReader::open(path, &data)?;
        if file.word("format") != FORMAT {
            let found = if file.word("format").is_empty() { "nothing" } else { file.word("format") };
            if found.starts_with(FORMAT.trim_end_matches(|c: char| c.is_ascii_digit())) {
                let expected =
                    format!("{FORMAT}: files of other versions lack what tests were trained to; calibrate again");
                return Err(Error::format(path, "format", expected, found));
            }
            return Err(Error::not_this(path, Artefact::Calibration, FORMAT, found));
        }
        let record: Record = toml::from_str(file.word("record"))
            .map_err(|e| Error::format(path, "record", "a record of this version", e))?;
        let theta = || Ok::<_, Error>(file.any("f")?.1);
        let base = match (&record.architecture, &record.network) {
            (Some(net), _) => Some(Arc::new(Base::new(net, theta()?)?)),
            (None, Some(name)) => match network(name)? {
                Some((network, given)) if given == *name => Some(Arc::new(Base::other(network, given, theta()?)?)),
                other => {
                    let found = other.map_or("nothing that evaluates it".to_owned(), |(_, given)| given);
                    return Err(Error::format(path, "network", format!("{name} given beside the file"), found));
                }
            },
            (None, None) => None,
        };
        let rows = |name: &str| -> Result<Sample> {
            let (shape, values) = file.any(name)?;
            match (&base, &shape[..]) {
                (Some(base), [n, _]) if record.stand_in.is_some() => {
                    let logits = file.single(&format!("{name}.logits"), &[*n, record.classes])?;
                    base.sample(&values)?.with_logits(logits)
                }
                (Some(base), [_, _]) => base.sample(&values),
                (None, [_, c]) if *c == record.classes => Sample::of_logits(values, *c),
                _ => {
                    Err(Error::format(path, format!("tensor {name}"), "[N, D], or logits [N, C]", format!("{shape:?}")))
                }
            }
        };
        let reference = Reference::new(rows("train")?, rows("validation")?, rows("held-out")?)?;
        let streams = Streams::new(record.seed).child("shift");
        let parts =
            Parts { base: base.clone(), reference: &reference, labels: &[], size: record.size, config: &record.config };
        let mut tests = Vec::new();
        for method in &record.methods {
            let stored = Stored::new(&file, method.name());
            let mut test = method.prepare(&parts, Some(&stored), &streams)?;
            test.keep(&reference.held_out, Some(&stored))?;
            tests.push(test);
        }
        let accuracy = Accuracy::read(path, &file, &reference, &record.methods)?;
        Ok(Self { record, seconds: BTreeMap::new(), base, reference, accuracy, tests, known: OnceLock::new() })
    }
}
