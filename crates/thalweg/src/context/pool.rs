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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_has_as_many_rows_of_every_class_as_there_are_up_to_the_number_asked_for() {
        // Rows [i, −i] of class i mod 3, but one row only of class 2.
        let labels: Vec<u32> = (0..20).map(|i| if i == 2 { 2 } else { i % 2 }).collect();
        let inputs: Vec<f32> = (0..20).flat_map(|i| [i as f32, -(i as f32)]).collect();
        let pool = Pool { inputs, labels: labels.clone() };
        assert_eq!(pool.wide(), 2);
        let drawn = pool.draw(4, &Streams::new(1)).unwrap();
        assert_eq!(drawn.labels(), [0, 0, 0, 0, 1, 1, 1, 1, 2]);
        for (row, label) in drawn.inputs().chunks(2).zip(drawn.labels()) {
            assert!(row[1] == -row[0] && labels[row[0] as usize] == *label, "{row:?} {label}");
        }
        assert_eq!(pool.draw(4, &Streams::new(1)).unwrap(), drawn);
        assert_ne!(pool.draw(4, &Streams::new(2)).unwrap(), drawn);
        // Every row of a class comes as often: 400 draws of 4 of its 9 or 10.
        let mut counts = [0f64; 20];
        for seed in 0..400 {
            let drawn = pool.draw(4, &Streams::new(seed)).unwrap();
            drawn.inputs().chunks(2).for_each(|row| counts[row[0] as usize] += 1.0);
        }
        for (i, label) in labels.iter().enumerate() {
            let n = labels.iter().filter(|other| *other == label).count() as f64;
            let share = (4.0 / n).min(1.0);
            assert!(
                (counts[i] - 400.0 * share).abs() <= 4.0 * (400.0 * share * (1.0 - share)).sqrt(),
                "{i}: {counts:?}"
            );
        }
    }

    #[test]
    fn a_zoo_that_does_not_know_its_data_is_refused_and_features_are_those_beside_it() {
        assert_eq!(features_of(Path::new("a/zoo")).folder, Some(Path::new("a/zoo").join(FEATURES)));
        let dir = tempfile::tempdir().unwrap();
        let layout = thalweg_nets::Layout::of_tensors([("w".to_string(), vec![3])]);
        let nets = dir.path().join("nets");
        std::fs::create_dir(&nets).unwrap();
        for (name, last) in [("a", 1.0), ("b", 2.0)] {
            let bytes = layout.to_safetensors(&[0.0, 0.5, last]).unwrap();
            std::fs::write(nets.join(format!("{name}.safetensors")), bytes).unwrap();
        }
        let options = thalweg_nets::zoo::ImportOptions::default();
        let zoo = thalweg_nets::zoo::import(&nets, &dir.path().join("zoo"), &options, &thalweg_nets::progress::Silent);
        let refused = Pool::of_zoo(&zoo.unwrap(), &Extractor::Rows, 5, &Streams::new(0)).unwrap_err().to_string();
        assert!(refused.contains("does not say what it was trained on"), "{refused}");
    }
}
