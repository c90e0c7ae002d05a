//! [`DataSpec`]: where data come from and how they are split, as a `zoo.toml` records it; [`DataRecord`]: what was found there.
use super::catalogue::{self, FORMATS, Origin};
use super::dataset::Dataset;
use super::derive::{self, Change};
use super::fit::Fit;
use super::heart::Site;
use super::known::{self, Source};
use super::normalisation::Normalisation;
use super::split::{self, Splits};
use crate::architecture::Shape;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A set, its place, and its split.
///
/// | field | default | what |
/// | --- | --- | --- |
/// | `name` | | a set's name ([`super::catalogue::SETS`]) or a format ([`super::catalogue::FORMATS`]) |
/// | `folder` | `$THALWEG_DATA/NAME` | the set's folder, or the user's own file |
/// | `train` | all that is left | training rows |
/// | `validation` | a fifth of the pool, at most 5,000 | validation rows, cut from the training pool |
/// | `test` | a fifth of the pool, at most 10,000 | test rows; only where the set has no official test split |
/// | `seed` | 0 | which rows go where |
/// | `fit` | as they are | images brought to another size ([`Fit`]) |
/// | `derive` | none | a task made from the set ([`Change`]), e.g. `[{ classes = [3, 7] }, { rotate = 40 }]` |
/// | `site` | Cleveland | `heart` only: the hospital ([`Site`]) |
/// | `inputs` | `x`, else `x_train` | `npz` only: name of the array of inputs |
/// | `label` | `label`; `y`, else `y_train` | `csv` and `npz` only: the column or array of labels |
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// A set's name.
    pub name: String,
    /// The set's folder, or a user's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Number of training rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<usize>,
    /// Number of validation rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<usize>,
    /// Number of test rows, where the set has no official test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<usize>,
    /// Decides which rows go where.
    #[serde(default)]
    pub seed: u64,
    /// Brings images to another size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// Makes a task of the set: classes, labels, images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derive: Vec<Change>,
    /// The hospital of the heart data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// The array of inputs in an npz file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// The column of labels in a CSV file, or the array of labels in an npz file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// What was loaded, for the records: enough to notice that data changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// The set's name.
    pub name: String,
    /// `[channels, height, width]` of an input.
    pub shape: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Training rows.
    pub train: usize,
    /// Validation rows.
    pub validation: usize,
    /// Test rows.
    pub test: usize,
    /// BLAKE3 of the whole set's content before splitting, whatever file format it came in; hexadecimal.
    pub checksum: String,
    /// What the file calls the classes; empty where they are numbers from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// How inputs were standardised.
    pub normalisation: Normalisation,
}

impl DataSpec {
    /// The set of this name with defaults for everything else.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            folder: None,
            train: None,
            validation: None,
            test: None,
            seed: 0,
            fit: None,
            derive: Vec::new(),
            site: None,
            inputs: None,
            label: None,
        }
    }

    /// Reads `NAME[@CHANGE…][:PATH]`, as `--data` takes it: `mnist`, `mnist:/data/mnist`, `mnist@classes=3+7@rotate=40` (changes: see
    /// [`super::derive`]).
    ///
    /// # Errors
    /// An unknown name or change, an empty path.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, path) = match text.split_once(':') {
            Some((name, path)) => (name, Some(path)),
            None => (text, None),
        };
        if path == Some("") {
            return Err(Error::parameter("data", format!("a path after {name}:"), "nothing"));
        }
        let (name, fit, derive) = derive::parse(name)?;
        let spec = Self { folder: path.map(PathBuf::from), fit, derive, ..Self::named(name) };
        spec.check()?;
        Ok(spec)
    }

    /// The set's name with its changes, as [`Self::parse`] reads them (without size and folder): what tables call it.
    pub fn title(&self) -> String {
        self.derive.iter().fold(self.name.clone(), |title, change| title + &change.to_string())
    }

    /// Checks what can be checked without opening a file.
    ///
    /// # Errors
    /// An unknown name, a folder for a set that has none.
    pub fn check(&self) -> Result<()> {
        let name = self.name.as_str();
        self.derive.iter().try_for_each(Change::check)?;
        let set = catalogue::find(name);
        if set.is_none() && !FORMATS.contains(&name) {
            return Err(known::unknown(name));
        }
        if let (Some(folder), Some(Origin::Embedded)) = (&self.folder, set.map(|set| set.origin)) {
            let expected = format!("none ({name} are within the program)");
            return Err(Error::parameter("data.folder", expected, folder.display()));
        }
        for (field, given, of) in [
            ("data.site", self.site.is_some(), &["heart"][..]),
            ("data.inputs", self.inputs.is_some(), &["npz"]),
            ("data.label", self.label.is_some(), &["csv", "npz"]),
        ] {
            if given && !of.contains(&name) {
                return Err(Error::parameter(
                    field,
                    format!("nothing (it belongs to {})", of.join(" and ")),
                    "a value",
                ));
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Source> {
        self.check()?;
        let Source { pool, test } = known::open(self)?;
        let ready = |table| {
            let mut table = derive::labels(&self.derive, table)?;
            table.name = self.title();
            match self.fit {
                Some(fit) => fit.apply(table),
                None => Ok(table),
            }
        };
        Ok(Source { pool: ready(pool)?, test: test.map(ready).transpose()? })
    }

    /// The images of one part of the rows, changed; parts are numbered so that corruptions differ between them.
    fn changed(&self, data: Dataset, part: u64) -> Result<Dataset> {
        derive::images(&self.derive, data, self.seed.wrapping_mul(3).wrapping_add(part))
    }

    /// All rows as one set, official test rows last, standardised by the moments of the training pool: for foreign inputs that
    /// nothing is trained on. Then [`Dataset::standardised_as`] shows them as the network's own data would be.
    ///
    /// # Errors
    /// Missing or damaged files.
    pub fn load_whole(&self) -> Result<Dataset> {
        let Source { pool, test } = self.open()?;
        let normalisation = pool.normalisation();
        let mut whole = pool.standardised(&(0..pool.len()).collect::<Vec<_>>(), &normalisation)?;
        if let Some(test) = test {
            let test = test.standardised(&(0..test.len()).collect::<Vec<_>>(), &normalisation)?;
            whole.inputs.extend_from_slice(&test.inputs);
            whole.labels.extend_from_slice(&test.labels);
            whole.check()?;
        }
        self.changed(whole, 0)
    }

    /// Reads, splits and standardises: validation and training rows come from the training pool, both standardised (and the
    /// test rows too) by the moments of the whole pool.
    ///
    /// # Errors
    /// Missing or damaged files, splits larger than the data.
    pub fn load(&self) -> Result<Splits> {
        let Source { pool, test } = self.open()?;
        if let (Some(asked), Some(official)) = (self.test, &test) {
            let expected = format!("nothing ({} has {} official test rows)", self.name, official.len());
            return Err(Error::parameter("data.test", expected, asked));
        }
        let n = pool.len();
        let validation = self.validation.unwrap_or((n / 5).clamp(1, 5_000));
        let tested = test.is_none().then(|| self.test.unwrap_or((n / 5).clamp(1, 10_000)));
        let rows = split::cut(n, self.train, validation, tested, self.seed)?;
        let mut hasher = blake3::Hasher::new();
        pool.hash(&mut hasher);
        let normalisation = pool.normalisation();
        let test = match test {
            Some(official) => {
                if (official.shape(), official.classes()) != (pool.shape(), pool.classes()) {
                    let of = |t: &super::Table| format!("{:?} with {} classes", t.shape(), t.classes());
                    return Err(Error::shape(format!("data {}: test rows", self.name), of(&pool), of(&official)));
                }
                official.hash(&mut hasher);
                official.standardised(&(0..official.len()).collect::<Vec<_>>(), &normalisation)?
            }
            None => pool.standardised(&rows.test, &normalisation)?,
        };
        let train = pool.standardised(&rows.train, &normalisation)?;
        let validation = pool.standardised(&rows.validation, &normalisation)?;
        let record = DataRecord {
            name: self.title(),
            shape: pool.shape(),
            classes: pool.classes(),
            train: train.len(),
            validation: validation.len(),
            test: test.len(),
            checksum: hasher.finalize().to_hex().to_string(),
            class_names: pool.class_names().to_vec(),
            normalisation,
        };
        let [train, validation, test] = [(train, 0), (validation, 1), (test, 2)].map(|(part, i)| self.changed(part, i));
        Ok(Splits { train: train?, validation: validation?, test: test?, record })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_parse() {
        assert_eq!(DataSpec::parse("digits").unwrap(), DataSpec::named("digits"));
        let spec = DataSpec::parse("mnist:/a/b:c").unwrap();
        assert_eq!((spec.name.as_str(), spec.folder), ("mnist", Some(PathBuf::from("/a/b:c"))));
        assert!(DataSpec::parse("minst").unwrap_err().to_string().contains("fashion-mnist"));
        assert!(DataSpec::parse("mnist:").unwrap_err().to_string().contains("path"));
        assert!(DataSpec::parse("digits:/a").is_err());
    }

    #[test]
    fn toml_round_trip_and_unknown_fields() {
        let spec = DataSpec { train: Some(500), seed: 3, ..DataSpec::named("digits") };
        assert_eq!(toml::from_str::<DataSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
        let message = toml::from_str::<DataSpec>("name = \"digits\"\ntrian = 3").unwrap_err().to_string();
        assert!(message.contains("trian"), "{message}");
    }

    #[test]
    fn digits_load_whole_and_are_recorded() {
        let splits = DataSpec::named("digits").load().unwrap();
        let record = &splits.record;
        assert_eq!((record.train, record.validation, record.test), (1079, 359, 359));
        assert_eq!(record.shape, [1, 8, 8]);
        let all: usize = [&splits.train, &splits.validation, &splits.test].iter().map(|d| d.class_counts()[3]).sum();
        assert_eq!(all, 183);
        let again = toml::from_str::<DataRecord>(&toml::to_string(record).unwrap()).unwrap();
        assert_eq!(&again, record);
        // Golden: the content's sum must not change unless the data do.
        assert_eq!(record.checksum, "463742d5c95444917115dc77cd837b951afdaacb604d3ad3713169af9457300a");
    }

    #[test]
    fn the_sum_and_the_normalisation_do_not_depend_on_the_split() {
        let a = DataSpec::named("digits").load().unwrap();
        let b = DataSpec { train: Some(100), seed: 9, ..DataSpec::named("digits") }.load().unwrap();
        assert_eq!(a.record.checksum, b.record.checksum);
        assert_eq!(a.record.normalisation, b.record.normalisation);
        assert_ne!(a.test.labels, b.test.labels);
        assert_eq!(b.train.len(), 100);
    }

    #[test]
    fn a_missing_set_names_the_folder_and_the_command() {
        let message = DataSpec::parse("mnist:/nowhere/at/all").unwrap().load().unwrap_err().to_string();
        for part in ["/nowhere/at/all", "train-images-idx3-ubyte", "thalweg data get mnist"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
