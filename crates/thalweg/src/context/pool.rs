//! The labelled rows of one task that support sets are drawn from, as the encoder takes them: some of every class, features already computed.
use super::extractor::Extractor;
use super::support::Support;
use crate::{Error, Result, Streams};
use std::path::Path;
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::zoo::ZooStore;

/// The file of a user's own features in a zoo's folder.
pub const FEATURES: &str = "features.npz";

/// Rows `[n, F]` with labels `[n]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    inputs: Vec<f32>,
    labels: Vec<u32>,
}

impl Pool {
    /// Training and validation rows of the task of `zoo`, at most `keep` of every class each.
    ///
    /// # Errors
    /// A zoo that does not know its data, data that cannot be had.
    pub fn of_zoo(zoo: &ZooStore, extractor: &Extractor, keep: usize, streams: &Streams) -> Result<[Self; 2]> {
        let file;
        let spec = match (extractor, zoo.data()) {
            (Extractor::File, _) => {
                file = features_of(zoo.dir());
                &file
            }
            (_, Some(spec)) => spec,
            (_, None) => {
                let found = format!("{}, which does not say what it was trained on", zoo.dir().display());
                return Err(Error::parameter("context", "zoos that know their data", found));
            }
        };
        let splits = spec.load()?;
        let of = |data: &Dataset, part: u64| {
            let rows = data.subset(&Support::rows(&data.labels, keep, &streams.index(part)));
            Ok(Self { inputs: extractor.of(&rows)?.into_owned(), labels: rows.labels })
        };
        Ok([of(&splits.train, 0)?, of(&splits.validation, 1)?])
    }

    /// Numbers of a row.
    pub fn wide(&self) -> usize {
        self.inputs.len() / self.labels.len()
    }

    /// A support set of `each` random rows of every class.
    ///
    /// # Errors
    /// None for `each` above 0.
    pub fn draw(&self, each: usize, streams: &Streams) -> Result<Support> {
        let (rows, wide) = (Support::rows(&self.labels, each, streams), self.wide());
        let inputs: Vec<f32> = rows.iter().flat_map(|&i| &self.inputs[i * wide..(i + 1) * wide]).copied().collect();
        let labels: Vec<u32> = rows.iter().map(|&i| self.labels[i]).collect();
        Support::new(&inputs, &labels)
    }
}

fn features_of(dir: &Path) -> DataSpec {
    DataSpec { folder: Some(dir.join(FEATURES)), ..DataSpec::named("npz") }
}
